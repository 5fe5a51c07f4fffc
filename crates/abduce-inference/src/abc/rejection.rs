//! Rejection ABC.

use super::adjustment::{Adjustment, adjust};
use super::distance::{Summaries, Summariser, distances, prior_rows, scales};
use super::{AbcError, AbcSample, simulated};
use crate::prior::Prior;
use crate::simulator::Simulate;
use abduce_data::Seed;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Accept {
    /// Simulations within this distance.
    Within(f64),
    /// The closest part of the simulations.
    Quantile(f64),
}

/// Options of [`rejection_abc`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RejectionAbc {
    /// Simulations in all.
    pub simulations: usize,
    /// Which are kept.
    pub accept: Accept,
    /// What the distance is measured on.
    pub summaries: Summaries,
    /// What happens to the accepted parameters.
    pub adjustment: Adjustment,
}

/// Draws from the prior, simulates, and keeps the closest to the observation `x_obs`.
///
/// # Errors
/// Options out of range, nothing accepted, or a simulator that fails.
pub fn rejection_abc(
    prior: &Prior,
    x_obs: &[f64],
    options: &RejectionAbc,
    simulate: &mut Simulate<'_>,
    seed: Seed,
) -> Result<AbcSample, AbcError> {
    let (d, width) = (prior.parameters(), x_obs.len());
    let pilot = options.summaries.pilot(options.simulations)?;
    match options.accept {
        Accept::Within(epsilon) if epsilon.is_nan() || epsilon <= 0.0 => {
            return Err(AbcError::Option { option: "eps", value: epsilon, expected: "greater than 0" });
        }
        Accept::Quantile(q) if !(f64::MIN_POSITIVE..=1.0).contains(&q) => {
            return Err(AbcError::Option { option: "quantile", value: q, expected: "above 0 and at most 1" });
        }
        _ => {}
    }
    let summariser = Summariser::fit(options.summaries, prior, pilot, width, simulate, seed.derive("pilot", 0))?;
    let rows = options.simulations - pilot;
    let theta = prior_rows(prior, rows, seed, 0);
    let (theta, x) = simulated(simulate, &theta, d, pilot, width)?;
    let usable = theta.len() / d;
    let failed = rows - usable;
    if usable < 2 {
        return Err(AbcError::TooFew { usable, failed, needed: 2, purpose: "scaling the distance" });
    }
    let (summaries, observed) = (summariser.of_rows(&x, width), summariser.of_rows(x_obs, width));
    let scales = scales(&summaries, summariser.width(width));
    let all = distances(&summaries, &observed, &scales);
    let mut order: Vec<usize> = (0..usable).collect();
    order.sort_by(|&a, &b| all[a].total_cmp(&all[b]));
    match options.accept {
        Accept::Within(epsilon) => order.truncate(order.partition_point(|&i| all[i] <= epsilon)),
        Accept::Quantile(q) => order.truncate(((q * usable as f64).ceil() as usize).max(1)),
    }
    if order.is_empty() {
        let closest = all.iter().copied().fold(f64::INFINITY, f64::min);
        let epsilon = if let Accept::Within(epsilon) = options.accept { epsilon } else { 0.0 };
        return Err(AbcError::NoneAccepted { simulations: usable, epsilon, closest });
    }
    let pick = |table: &[f64], width: usize| -> Vec<f64> {
        order.iter().flat_map(|&i| table[i * width..(i + 1) * width].iter().copied()).collect()
    };
    let epsilon = if let Accept::Within(epsilon) = options.accept { epsilon } else { all[order[order.len() - 1]] };
    let mut sample = AbcSample {
        theta: pick(&theta, d),
        weights: vec![1.0 / order.len() as f64; order.len()],
        distances: pick(&all, 1),
        epsilon,
        simulations: options.simulations,
        failed,
    };
    if options.adjustment == Adjustment::Linear {
        adjust(&mut sample, &pick(&summaries, observed.len()), &observed, &scales, prior)?;
    }
    Ok(sample)
}

//! Rejection ABC.

use super::adjustment::{Adjustment, Kernel, adjust};
use super::distance::Distance;
use super::summary::{Simulated, Summaries, Summariser, prior_rows};
use super::{AbcError, AbcSample};
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
    /// Parameters that are simulated, those of the regression for the summaries included.
    pub simulations: usize,
    /// Which are kept.
    pub accept: Accept,
    /// What the distance is measured on.
    pub summaries: Summaries,
    /// What happens to the accepted parameters; both regressions are the same here.
    pub adjustment: Adjustment,
    /// Independent data of the observation; so many are simulated with each parameter.
    pub trials: usize,
}

impl RejectionAbc {
    fn check(&self) -> Result<(), AbcError> {
        match self.accept {
            Accept::Within(epsilon) if epsilon.is_nan() || epsilon <= 0.0 => {
                return Err(AbcError::Option { option: "eps", value: epsilon, expected: "greater than 0" });
            }
            Accept::Quantile(q) if !(f64::MIN_POSITIVE..=1.0).contains(&q) => {
                return Err(AbcError::Option { option: "quantile", value: q, expected: "above 0 and at most 1" });
            }
            _ => {}
        }
        check_trials(self.trials, self.summaries, self.adjustment)
    }
}

/// Several data have no order, so they are no vector of summaries.
pub(super) fn check_trials(trials: usize, summaries: Summaries, adjustment: Adjustment) -> Result<(), AbcError> {
    match (trials, summaries, adjustment) {
        (0, ..) => Err(AbcError::Option { option: "num_iid_samples", value: 0.0, expected: "at least 1" }),
        (1, ..) | (_, Summaries::Data, Adjustment::None) => Ok(()),
        (_, Summaries::SemiAutomatic { .. }, _) => Err(AbcError::Trials { method: "the regression of semi-automatic summaries", trials }),
        _ => Err(AbcError::Trials { method: "the regression adjustment", trials }),
    }
}

/// Draws from the prior, simulates, and keeps the closest to the observation `x_obs` (trials, …).
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
    options.check()?;
    let (d, width) = (prior.parameters(), x_obs.len() / options.trials);
    let size = (width, options.trials);
    let pilot = options.summaries.pilot(options.simulations)?;
    let summariser = if pilot == 0 {
        Summariser::Data
    } else {
        let theta = prior_rows(prior, pilot, seed.derive("pilot", 0), 0);
        Summariser::fit(options.summaries, &Simulated::new(simulate, &theta, d, 0, size)?, width, d)?
    };
    let theta = prior_rows(prior, options.simulations - pilot, seed, 0);
    keep(prior, x_obs, options, &summariser, &Simulated::new(simulate, &theta, d, pilot, size)?)
}

/// Simulations that are there already.
#[derive(Clone, Copy, Debug)]
pub struct SimulationTable<'a> {
    /// θ (n, d).
    pub theta: &'a [f32],
    /// x (n, …); a row that is not finite counts as failed, as does one of θ.
    pub x: &'a [f32],
    /// What θ was drawn from, where that is not the prior: accepted parameters then have weights prior/proposal.
    pub proposal: Option<&'a Prior>,
}

/// As [`rejection_abc`] with the first simulations of a table; those of the regression for the summaries come first.
///
/// # Errors
/// Options out of range, nothing accepted, tables that don't fit, too few rows, or parameters outside the prior.
pub fn rejection_abc_of_table(
    prior: &Prior,
    x_obs: &[f64],
    options: &RejectionAbc,
    table: &SimulationTable<'_>,
) -> Result<AbcSample, AbcError> {
    options.check()?;
    if options.trials > 1 {
        return Err(AbcError::Trials { method: "a table of simulations", trials: options.trials });
    }
    let (d, width, rows) = (prior.parameters(), x_obs.len(), options.simulations);
    let stored = table.theta.len() / d;
    if table.theta.len() != stored * d || table.x.len() != stored * width {
        return Err(AbcError::Table { theta: table.theta.len(), x: table.x.len(), parameters: d, width });
    }
    if stored < rows {
        return Err(AbcError::Stored { wanted: rows, stored });
    }
    let pilot = options.summaries.pilot(rows)?;
    let part = |range: std::ops::Range<usize>| {
        let mut part = Simulated { theta: Vec::new(), x: Vec::new(), weights: Vec::new(), failed: 0 };
        let mut point = vec![0.0; d];
        for row in range {
            let (theta, x) = (&table.theta[row * d..(row + 1) * d], &table.x[row * width..(row + 1) * width]);
            if !x.iter().chain(theta).all(|v| v.is_finite()) {
                part.failed += 1;
                continue;
            }
            let supports = prior.support().iter().zip(theta);
            let inside = supports.clone().all(|(support, &t)| support.contains_rounded(t));
            point.iter_mut().zip(supports).for_each(|(p, (support, &t))| *p = support.clamp_inside(f64::from(t)));
            let log_prior = prior.log_prob(&point);
            match table.proposal {
                None if !inside => return Err(AbcError::OutsidePrior { row }),
                // Weight 0: the proposal reaches beyond the prior.
                Some(_) if !inside || log_prior == f64::NEG_INFINITY => continue,
                Some(proposal) => part.weights.push((log_prior - proposal.log_prob(&point)).exp()),
                None => part.weights.push(1.0),
            }
            part.theta.extend_from_slice(&point);
            part.x.extend(x.iter().map(|&v| f64::from(v)));
        }
        Ok(part)
    };
    let summariser = Summariser::fit(options.summaries, &part(0..pilot)?, width, d)?;
    keep(prior, x_obs, options, &summariser, &part(pilot..rows)?)
}

/// The closest simulations.
fn keep(prior: &Prior, x_obs: &[f64], options: &RejectionAbc, summariser: &Summariser, made: &Simulated) -> Result<AbcSample, AbcError> {
    let (d, width) = (prior.parameters(), x_obs.len() / options.trials);
    let (usable, failed) = (made.rows(d), made.failed);
    if usable < 2 {
        return Err(AbcError::TooFew { usable, failed, needed: 2, purpose: "scaling the distance" });
    }
    let summaries = summariser.of_rows(&made.x, width);
    let distance = Distance::new(summariser.of_rows(x_obs, width), &summaries, summariser.width(width));
    let all = distance.of_rows(&summaries);
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
    let mut weights = pick(&made.weights, 1);
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= total);
    let mut sample =
        AbcSample { theta: pick(&made.theta, d), weights, distances: pick(&all, 1), epsilon, simulations: options.simulations, failed };
    if options.adjustment != Adjustment::None {
        adjust(&mut sample, &pick(&summaries, distance.observed.len()), &distance, Kernel::Weights, prior)?;
    }
    Ok(sample)
}

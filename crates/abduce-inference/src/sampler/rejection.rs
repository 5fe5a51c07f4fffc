//! Rejection sampling with a bounded effort.

use super::error::{SamplerError, require};
use super::proposal::{Candidates, Proposal};
use super::target::{Counted, Target};
use abduce_data::Seed;

/// The bound M with π ≤ M q that a rejection sampler needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound<'a> {
    /// log M of each target. A candidate above it is an error.
    Known(&'a [f64]),
    /// The largest log π − log q of the first candidates plus `margin` (sbi: 10 000 candidates, ln 1.2). Where a later candidate exceeds it, the
    /// target's draws are thrown away and the bound is raised. What no candidate has shown stays unknown: in many dimensions
    /// prefer importance weights, whose reliability can be measured.
    Estimated {
        /// Candidates that the first estimate is made from.
        candidates: usize,
        /// What is added to the largest log-ratio.
        margin: f64,
    },
}

/// Options of [`rejection`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RejectionOptions<'a> {
    /// Draws per target.
    pub num_samples: usize,
    /// Candidates per target and round (1000).
    pub batch_size: usize,
    /// Most candidates per target, those for the bound included (1 000 000).
    pub max_proposals: usize,
    /// The bound.
    pub bound: Bound<'a>,
}

impl Default for RejectionOptions<'_> {
    /// 1000 draws; the bound is estimated as sbi does.
    fn default() -> Self {
        let bound = Bound::Estimated { candidates: 10_000, margin: 0.182_321_556_793_954_6 };
        Self { num_samples: 1000, batch_size: 1000, max_proposals: 1_000_000, bound }
    }
}

/// Draws of a rejection sampler.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// (targets, num_samples, d).
    pub draws: Vec<f64>,
    /// Accepted part of the candidates drawn under the final bound, per target.
    pub acceptance_rate: Vec<f64>,
    /// log M per target.
    pub log_bound: Vec<f64>,
    /// Candidates that gave NaN or +∞ and were taken as impossible, per target.
    pub non_finite: Vec<u64>,
}

/// Independent draws of each target: candidates of `proposal` are accepted with probability π/(M q).
///
/// Targets that have their draws drop out of the rounds.
///
/// # Errors
/// The cap of proposals is reached (never other draws in their place); a candidate exceeds a known bound; options out of range.
pub fn rejection(
    target: &dyn Target,
    proposal: &dyn Proposal,
    options: &RejectionOptions<'_>,
    seed: Seed,
) -> Result<Accepted, SamplerError> {
    let RejectionOptions { num_samples, batch_size, max_proposals, bound } = *options;
    let (targets, d) = (target.count(), target.dimension());
    require(num_samples > 0, "num_samples", num_samples as f64, "at least 1")?;
    require(batch_size > 0, "batch_size", batch_size as f64, "at least 1")?;
    let mut density = Counted::new(target);
    let mut candidates = Candidates::new(target, batch_size);
    let mut pending: Vec<usize> = (0..targets).collect();
    let mut proposed = vec![0usize; targets];
    let (mut log_bound, margin, mut estimates_left) = match bound {
        Bound::Known(bounds) if bounds.len() != targets => {
            return Err(SamplerError::Shape { what: "known bounds (targets)", found: bounds.len(), expected: targets });
        }
        Bound::Known(bounds) => (bounds.to_vec(), None, 0),
        Bound::Estimated { candidates, margin } => {
            require(margin >= 0.0 && margin.is_finite(), "margin", margin, "at least 0")?;
            (vec![f64::NEG_INFINITY; targets], Some(margin), candidates.div_ceil(batch_size))
        }
    };
    let mut draws = vec![0.0; targets * num_samples * d];
    let (mut accepted, mut tried) = (vec![0usize; targets], vec![0usize; targets]);
    let mut rngs: Vec<_> = (0..targets).map(|t| seed.stream("sampler.rejection", target.stream(t))).collect();
    for round in 0.. {
        if let Some(&t) = pending.iter().find(|&&t| proposed[t] + batch_size > max_proposals) {
            let rate = accepted[t] as f64 / tried[t].max(1) as f64;
            return Err(SamplerError::RejectionCap { target: t, accepted: accepted[t], wanted: num_samples, proposed: proposed[t], rate });
        }
        candidates.fill(&mut density, proposal, &pending, seed.derive("sampler.rejection.round", round));
        for (place, &t) in pending.iter().enumerate() {
            proposed[t] += batch_size;
            let top = candidates.weighted(place).map(|(_, w)| w).fold(f64::NEG_INFINITY, f64::max);
            if top > log_bound[t] {
                let Some(margin) = margin else {
                    return Err(SamplerError::RejectionBound { target: t, log_ratio: top, log_bound: log_bound[t] });
                };
                log_bound[t] = top + margin;
                (accepted[t], tried[t]) = (0, 0);
                // The candidates that raised a bound are no draws under it: this round would know too well that nothing exceeds it.
                continue;
            }
            if estimates_left > 0 {
                continue;
            }
            for (point, log_weight) in candidates.weighted(place) {
                if accepted[t] == num_samples {
                    break;
                }
                tried[t] += 1;
                if -rngs[t].exponential() < log_weight - log_bound[t] {
                    let at = (t * num_samples + accepted[t]) * d;
                    draws[at..at + d].copy_from_slice(point);
                    accepted[t] += 1;
                }
            }
        }
        estimates_left = usize::saturating_sub(estimates_left, 1);
        pending.retain(|&t| accepted[t] < num_samples);
        if pending.is_empty() {
            break;
        }
    }
    let acceptance_rate = accepted.iter().zip(&tried).map(|(&a, &n)| a as f64 / n as f64).collect();
    let non_finite = density.tally.iter().map(|t| t.non_finite).collect();
    Ok(Accepted { draws, acceptance_rate, log_bound, non_finite })
}

//! Importance weights, resampling and the evidence.

use super::error::{SamplerError, require};
use super::pareto::pareto_smooth;
use super::proposal::{Candidates, Proposal};
use super::target::{Counted, Target};
use abduce_data::Seed;

/// What the weights of one target are worth.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct WeightReport {
    /// k̂ of [`super::pareto_smooth`]: below 0.7, estimates from the weights are reliable.
    pub k_hat: f64,
    /// (Σ w)²/Σ w² of the smoothed weights.
    pub ess: f64,
    /// log of the mean raw weight: the evidence ∫ π, if log q is normalised and log π complete. In nats.
    pub log_evidence: f64,
    /// Its standard error by the delta method, sd(w)/(mean(w) √S); means nothing where k̂ > 0.5.
    pub log_evidence_error: f64,
    /// Evaluations that gave NaN or +∞ and were given no weight.
    pub non_finite: u64,
}

/// Weighted draws for each target.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighted {
    /// Targets.
    pub targets: usize,
    /// Draws per target S.
    pub draws: usize,
    /// Dimension d.
    pub dimension: usize,
    /// The proposal's draws, (targets, S, d).
    pub points: Vec<f64>,
    /// log π − log q, as it came, (targets, S).
    pub log_weights: Vec<f64>,
    /// Pareto-smoothed weights, normalised to sum 1 for each target, (targets, S).
    pub weights: Vec<f64>,
    /// Per target.
    pub report: Vec<WeightReport>,
}

/// `draws` draws of the proposal for each target, weighted by π/q and Pareto-smoothed.
///
/// # Errors
/// A target for which no draw has a positive weight; fewer than 25 draws (no tail to judge them by).
pub fn importance(target: &dyn Target, proposal: &dyn Proposal, draws: usize, seed: Seed) -> Result<Weighted, SamplerError> {
    require(draws >= 25, "draws", draws as f64, "at least 25")?;
    let (targets, dimension) = (target.count(), target.dimension());
    let all: Vec<usize> = (0..targets).collect();
    let mut density = Counted::new(target);
    let mut candidates = Candidates::new(target, draws);
    candidates.fill(&mut density, proposal, &all, seed);
    let log_weights: Vec<f64> = all.iter().flat_map(|&t| candidates.weighted(t).map(|(_, w)| w)).collect();
    let mut weights = vec![0.0; log_weights.len()];
    let mut report = Vec::with_capacity(targets);
    for (t, (weights, raw)) in weights.chunks_exact_mut(draws).zip(log_weights.chunks_exact(draws)).enumerate() {
        weights.copy_from_slice(raw);
        report.push(judge(weights, density.tally[t].non_finite).ok_or(SamplerError::NoWeight { target: t, draws })?);
    }
    Ok(Weighted { targets, draws, dimension, points: candidates.points, log_weights, weights, report })
}

/// Turns the log-weights of one target into Pareto-smoothed weights of sum 1 and says what they are worth; `None` where all are zero.
pub(crate) fn judge(weights: &mut [f64], non_finite: u64) -> Option<WeightReport> {
    let largest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return None;
    }
    let n = weights.len() as f64;
    let scaled = || weights.iter().map(|w| libm::exp(w - largest));
    let mean = scaled().sum::<f64>() / n;
    let variance = scaled().map(|w| (w - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let k_hat = pareto_smooth(weights);
    let mut total = 0.0;
    for w in weights.iter_mut() {
        *w = libm::exp(*w - largest);
        total += *w;
    }
    weights.iter_mut().for_each(|w| *w /= total);
    Some(WeightReport {
        k_hat,
        ess: 1.0 / weights.iter().map(|w| w * w).sum::<f64>(),
        log_evidence: largest + libm::log(mean),
        log_evidence_error: (variance / n).sqrt() / mean,
        non_finite,
    })
}

impl Weighted {
    /// Refuses weights whose k̂ is above `limit` (0.7 is usual) for any target.
    ///
    /// # Errors
    /// [`SamplerError::Unreliable`] for the first such target.
    pub fn require(&self, limit: f64) -> Result<(), SamplerError> {
        match self.report.iter().position(|r| r.k_hat.is_nan() || r.k_hat > limit) {
            Some(target) => {
                let WeightReport { k_hat, ess, .. } = self.report[target];
                Err(SamplerError::Unreliable { target, k_hat, limit, ess, draws: self.draws })
            }
            None => Ok(()),
        }
    }

    /// Sampling-importance-resampling: `count` points per target, chosen with replacement by the smoothed weights, (targets, count, d). Points
    /// repeat where the effective number of draws is small: look at the report first.
    pub fn resample(&self, count: usize, seed: Seed) -> Vec<f64> {
        let d = self.dimension;
        let mut out = Vec::with_capacity(self.targets * count * d);
        let mut cumulative = vec![0.0; self.draws];
        for (t, weights) in self.weights.chunks_exact(self.draws).enumerate() {
            let mut rng = seed.stream("sampler.resample", t as u64);
            let mut total = 0.0;
            for (c, w) in cumulative.iter_mut().zip(weights) {
                total += w;
                *c = total;
            }
            for _ in 0..count {
                let u = total * rng.uniform();
                // The first whose cumulative weight exceeds u: never one of weight 0.
                let chosen = cumulative.partition_point(|&c| c <= u).min(self.draws - 1);
                let at = (t * self.draws + chosen) * d;
                out.extend_from_slice(&self.points[at..at + d]);
            }
        }
        out
    }
}

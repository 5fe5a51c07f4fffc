//! Highest-density coverage, and the numbers that any coverage curve is summarised by.

use super::{Pairs, Rank, bands, uniformity};
use abduce_data::{Rng, Seed};

/// Steps of the fixed credibility grid α = 0, 0.01, …, 1 that all coverage curves share.
pub const ALPHA_STEPS: usize = 100;

/// Expected coverage probability of a family of credible sets, from the credibility levels of the truths.
///
/// u_i is the level of the smallest set of pair i's family that holds θ_i; ECP(α) = #{u_i ≤ α}/n, the diagonal for an exact posterior.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Coverage {
    /// Levels u_i of the usable pairs.
    pub levels: Vec<f64>,
    /// ECP at α = 0, 0.01, …, 1.
    pub ecp: Vec<f64>,
    /// sup over all α of |ECP(α) - α|, the Kolmogorov-Smirnov distance (not only on the grid).
    pub max_abs_error: f64,
    /// Mean of |ECP(α) - α| over the grid.
    pub mean_abs_error: f64,
    /// Area to the calibrated curve, Σ_{α > 1/2} (ECP - α) Δα: above zero for too wide posteriors, below for too narrow ones.
    pub atc: f64,
    /// Kolmogorov-Smirnov p-value of the levels against U(0, 1).
    pub ks_p: f64,
}

impl Coverage {
    /// Summarises credibility levels in [0, 1].
    pub fn from_levels(levels: Vec<f64>) -> Self {
        let ecp = bands::ecdf(&levels, ALPHA_STEPS);
        let max_abs_error = uniformity::ks_distance(&levels);
        let mean_abs_error = ecp.iter().enumerate().map(|(k, e)| (e - alpha(k)).abs()).sum::<f64>() / ecp.len() as f64;
        let ks_p = uniformity::ks_p_value(max_abs_error, levels.len());
        Self { atc: area_to_calibrated(&ecp), levels, ecp, max_abs_error, mean_abs_error, ks_p }
    }
}

/// Grid point `k` of the credibility grid.
pub fn alpha(k: usize) -> f64 {
    k as f64 / ALPHA_STEPS as f64
}

/// Σ_{α > 1/2} (ECP(α) - α) Δα on the credibility grid.
pub(super) fn area_to_calibrated(ecp: &[f64]) -> f64 {
    (ALPHA_STEPS / 2 + 1..=ALPHA_STEPS).map(|k| (ecp[k] - alpha(k)) / ALPHA_STEPS as f64).sum()
}

/// Coverage of the highest-density sets: u_i from the rank of log q(θ_i|x_i) among the draws' log q, densest first.
///
/// `None` without the draws' log-probabilities. As the ranks, it passes the prior used as posterior.
pub fn highest_density_coverage(pairs: &Pairs<'_>, seed: Seed) -> Option<Coverage> {
    let level = |i: usize| {
        let mut rng = seed.stream("diagnostics.hpd", pairs.row(i) as u64);
        Some(highest_density_rank(pairs.log_prob_theta(i), pairs.log_prob_samples(i)?, &mut rng).pit)
    };
    (0..pairs.len()).map(level).collect::<Option<Vec<_>>>().map(Coverage::from_levels)
}

/// Rank of a θ among draws by density, densest first; its transform is the credibility of the smallest highest-density set that holds θ.
pub(super) fn highest_density_rank(log_prob_theta: f64, log_prob_draws: &[f64], rng: &mut Rng) -> Rank {
    let denser = log_prob_draws.iter().filter(|&&l| l > log_prob_theta).count();
    let ties = log_prob_draws.iter().filter(|&&l| l == log_prob_theta).count();
    Rank::randomised(denser, ties, log_prob_draws.len(), rng)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// u uniform on [0, 1/2] only: ECP(α) = min(1, 2α), so the area is ∫ over (1/2, 1] of (1 - α) = 1/8, within a grid step.
    #[test]
    fn area_is_positive_for_sets_that_are_too_wide() {
        let levels: Vec<f64> = (0..1000).map(|i| (f64::from(i) + 0.5) / 2000.0).collect();
        let coverage = Coverage::from_levels(levels);
        assert!((coverage.atc - 0.125).abs() < 0.005, "{}", coverage.atc);
        assert!((coverage.max_abs_error - 0.5).abs() < 0.001);
        assert!((coverage.mean_abs_error - 0.25).abs() < 0.005);
        assert!(coverage.ks_p < 1e-12);
    }
}

//! ln ∫ L(x_o | θ) p(θ) dθ from draws of the posterior: what normalises a posterior that is known up to a constant.

use super::{ChainError, Kind, Posterior};
use crate::prior::cholesky::Cholesky;
use crate::sampler::{Proposal, importance};
use abduce_data::Seed;
use abduce_nn::Compute;
use serde::{Deserialize, Serialize};

/// An evidence with its doubts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// ln Z in nats.
    pub log_evidence: f64,
    /// Its standard error.
    pub error: f64,
    /// Shape of the tail of the weights: above 0.7 the estimate is not to be trusted (Vehtari et al. 2015, arXiv:1507.02646).
    pub k_hat: f64,
}

/// Draws of the proposal per observation.
const DRAWS: usize = 2048;
/// Degrees of freedom of the proposal: tails heavier than any posterior's on the unconstrained scale.
const FREEDOM: f64 = 5.0;
/// Widening of the fitted covariance, against modes that the draws have missed the flanks of.
const WIDENING: f64 = 1.3;

impl Posterior {
    /// The evidence of each observation, from draws `theta` (observations, draws, d) of its posterior: importance sampling with a Student-t
    /// that has the draws' mean and covariance on the scale of z.
    ///
    /// A normalised posterior has the evidence 1 by definition. Of a ratio network it is that of the ratio, which is 1 where it is exact.
    ///
    /// # Errors
    /// Observations that don't fit, or weights that are all zero.
    pub fn log_evidence(
        &self,
        compute: &Compute,
        x: &[f32],
        trials: usize,
        theta: &[f32],
        seed: Seed,
    ) -> Result<Vec<Evidence>, ChainError> {
        let observations = x.len() / (self.x_len() * trials.max(1));
        if self.kind() == Kind::Npe {
            return Ok(vec![Evidence { log_evidence: 0.0, error: 0.0, k_hat: f64::NEG_INFINITY }; observations]);
        }
        let d = self.dimension();
        let (z, _) = self.unconstrained(compute, theta)?;
        let fits: Vec<StudentT> = z.chunks_exact((z.len() / observations / d).max(1) * d).map(|own| StudentT::fit(own, d)).collect();
        let target = self.target(compute, x, trials)?;
        let weighted = importance(&target, &Fits { fits, d }, DRAWS, seed)?;
        // The target leaves the constant of the standardisation out of p(z), and that of x out of the likelihood.
        let of_x = if self.kind() == Kind::Nle { trials as f64 * self.x_scale.log_abs_det() } else { 0.0 };
        let constant = of_x - self.theta_scale.log_abs_det();
        let evidence = |report: &crate::sampler::WeightReport| Evidence {
            log_evidence: report.log_evidence + constant,
            error: report.log_evidence_error,
            k_hat: report.k_hat,
        };
        Ok(weighted.report.iter().map(evidence).collect())
    }
}

/// A multivariate Student-t.
struct StudentT {
    mean: Vec<f64>,
    factor: Cholesky,
    /// ln of the density's constant.
    constant: f64,
}

impl StudentT {
    fn fit(rows: &[f32], d: usize) -> Self {
        let n = (rows.len() / d) as f64;
        let mut mean = vec![0.0; d];
        rows.chunks_exact(d).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, &v)| *m += f64::from(v) / n));
        let mut covariance = vec![0.0; d * d];
        for row in rows.chunks_exact(d) {
            for a in 0..d {
                let own = (f64::from(row[a]) - mean[a]) * WIDENING / n;
                (0..d).for_each(|b| covariance[a * d + b] += own * (f64::from(row[b]) - mean[b]));
            }
        }
        // Draws that coincide in some direction: their spread in each coordinate, or a little of the prior's, which is about 1.
        let factor = Cholesky::factor(&covariance, d).unwrap_or_else(|_| {
            let mut lower = vec![0.0; d * d];
            (0..d).for_each(|a| lower[a * d + a] = covariance[a * d + a].sqrt().max(1e-3));
            Cholesky::from_lower(lower, d)
        });
        let half = 0.5 * d as f64;
        let gamma = |x: f64| libm::lgamma(x);
        let constant =
            gamma(0.5 * FREEDOM + half) - gamma(0.5 * FREEDOM) - half * (FREEDOM * std::f64::consts::PI).ln() - factor.log_det_lower();
        Self { mean, factor, constant }
    }
}

/// One Student-t per target.
struct Fits {
    fits: Vec<StudentT>,
    d: usize,
}

impl Proposal for Fits {
    fn draw(&self, targets: &[usize], draws: usize, seed: Seed, points: &mut [f64], log_density: &mut [f64]) {
        let d = self.d;
        let mut noise = vec![0.0; d];
        let rows = points.chunks_exact_mut(draws * d).zip(log_density.chunks_exact_mut(draws));
        for (&target, (points, log_density)) in targets.iter().zip(rows) {
            let fit = &self.fits[target];
            let mut rng = seed.stream("evidence", target as u64);
            for (point, log_density) in points.chunks_exact_mut(d).zip(log_density) {
                noise.fill_with(|| rng.normal());
                // χ² with five degrees of freedom as a sum of squares.
                let chi2: f64 = (0..FREEDOM as usize).map(|_| rng.normal().powi(2)).sum();
                let scale = (FREEDOM / chi2).sqrt();
                (0..d).for_each(|i| point[i] = fit.mean[i] + scale * fit.factor.apply_row(i, &noise));
                let squares = noise.iter().map(|z| (scale * z).powi(2)).sum::<f64>();
                *log_density = fit.constant - 0.5 * (FREEDOM + d as f64) * (squares / FREEDOM).ln_1p();
            }
        }
    }
}

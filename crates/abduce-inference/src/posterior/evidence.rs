//! ln ∫ L(x_o | θ) p(θ) dθ from draws of the posterior: what normalises a posterior that is known up to a constant.

use super::{ChainError, Kind, Posterior, VariationalError};
use crate::prior::cholesky::Cholesky;
use crate::sampler::{HarmonicEvidence, HarmonicOptions, Proposal, harmonic_evidence, importance};
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
        let constant = self.target_constant(trials);
        let evidence = |report: &crate::sampler::WeightReport| Evidence {
            log_evidence: report.log_evidence + constant,
            error: report.log_evidence_error,
            k_hat: report.k_hat,
        };
        Ok(weighted.report.iter().map(evidence).collect())
    }
}

impl Posterior {
    /// The evidence of each observation by the learnt harmonic mean of its draws `theta` (observations, draws, d): see
    /// [`harmonic_evidence`]. It needs no proposal that covers the posterior, but draws that do.
    ///
    /// # Errors
    /// Observations that don't fit, a normalised posterior, too few draws, or draws where the density is zero.
    pub fn harmonic_evidence(
        &self,
        compute: &Compute,
        x: &[f32],
        trials: usize,
        theta: &[f32],
        options: &HarmonicOptions,
        seed: Seed,
    ) -> Result<Vec<HarmonicEvidence>, VariationalError> {
        let target = self.target(compute, x, trials).map_err(ChainError::from)?;
        let (observations, d) = (target.count(), self.dimension());
        let (z, _) = self.unconstrained(compute, theta).map_err(ChainError::from)?;
        let draws = z.len() / d / observations;
        let z: Vec<f64> = z.into_iter().map(f64::from).collect();
        let of: Vec<usize> = (0..z.len() / d).map(|r| r / draws).collect();
        let mut log_density = vec![0.0; of.len()];
        target.evaluate(&z, &of, &mut log_density, None);
        let constant = self.target_constant(trials);
        let mut jobs: Vec<_> = (0..observations).map(|i| (i, None)).collect();
        compute.threads.for_each(&mut jobs, |_, (i, found)| {
            let (own, values) = (&z[*i * draws * d..(*i + 1) * draws * d], &log_density[*i * draws..(*i + 1) * draws]);
            *found = Some(harmonic_evidence(own, values, options, compute.simd, seed.derive("harmonic", *i as u64)));
        });
        let mut all = Vec::with_capacity(observations);
        for (_, found) in jobs {
            // Every job has been visited.
            let Some(found) = found else { continue };
            let found = found?;
            all.push(HarmonicEvidence { log_evidence: found.log_evidence + constant, ..found });
        }
        Ok(all)
    }

    /// What [`Posterior::target`] leaves out, in nats: the constant of the standardisation in p(z), and that of x in the likelihood of `trials` data.
    pub(super) fn target_constant(&self, trials: usize) -> f64 {
        match self.kind() {
            Kind::Npe => 0.0,
            Kind::Nle => trials as f64 * self.x_scale.log_abs_det() - self.theta_scale.log_abs_det(),
            Kind::Nre => -self.theta_scale.log_abs_det(),
        }
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

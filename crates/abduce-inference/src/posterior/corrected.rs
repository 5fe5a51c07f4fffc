//! Densities that were learnt under a Gaussian proposal, corrected for it (SNPE-A).

use super::PosteriorError;
use crate::prior::cholesky::Cholesky;
use crate::prior::special::HALF_LN_TAU;
use abduce_density::{Architecture, By, Estimator, Indexed};
use abduce_nn::Compute;
use serde::{Deserialize, Serialize};

/// N(m, L Lᵀ) over z, the standardised unconstrained parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianProposal {
    /// m (d).
    pub mean: Vec<f64>,
    /// L, row-major (d, d), with a positive diagonal.
    pub factor: Vec<f64>,
}

/// What fixes a corrected density but its numbers: part of the model file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectedArchitecture {
    /// q(z | x).
    pub corrected: Architecture,
    /// p̃(z).
    pub proposal: GaussianProposal,
}

/// ln q(z | x) − ln p̃(z): q learnt from simulations of p̃ is ∝ p̃(z) p(x | z), so that this is a log-ratio up to a function of x (Papamakarios & Murray 2016,
/// arXiv:1605.06376, who divide mixtures of Gaussians in closed form; here any density is corrected, and chains draw from the product with the prior).
///
/// Nothing was simulated far out in the tails of p̃, where the quotient would grow without bound: −ln p̃ stops growing at the squared distance
/// R² = d + 2√(d t) + 2t, t = ln 10⁴, beyond which less than one simulation in ten thousand lies (Laurent & Massart 2000).
#[derive(Clone, Debug)]
pub struct CorrectedDensity {
    estimator: Estimator,
    architecture: CorrectedArchitecture,
    factor: Cholesky,
}

/// ln 10⁴.
const TAIL: f64 = 9.210_340_371_976_184;

impl CorrectedDensity {
    /// `None` where the proposal has another dimension than the density, or is none.
    pub fn new(estimator: Estimator, proposal: GaussianProposal) -> Option<Self> {
        let d = estimator.architecture().features;
        let sound = |values: &[f64], n: usize| values.len() == n && values.iter().all(|v| v.is_finite());
        let positive = || (0..d).all(|i| proposal.factor[i * d + i] > 0.0);
        if !(sound(&proposal.mean, d) && sound(&proposal.factor, d * d) && positive()) {
            return None;
        }
        let factor = Cholesky::from_lower(proposal.factor.clone(), d);
        let architecture = CorrectedArchitecture { corrected: estimator.architecture().clone(), proposal };
        Some(Self { estimator, architecture, factor })
    }

    /// q(z | x), without the correction.
    pub const fn estimator(&self) -> &Estimator {
        &self.estimator
    }

    /// What was built.
    pub const fn architecture(&self) -> &CorrectedArchitecture {
        &self.architecture
    }

    /// The log-ratio of `rows` pairs out of two tables, up to a function of x.
    pub fn log_ratio(
        &self,
        compute: &Compute,
        params: &[f32],
        rows: usize,
        z: Indexed<'_, impl Fn(usize) -> usize + Sync>,
        x: Indexed<'_, impl Fn(usize) -> usize + Sync>,
    ) -> Vec<f32> {
        let (table, row) = (z.table, &z.row);
        let mut scores = self.estimator.log_prob_indexed(compute, params, rows, Indexed { table, row }, x);
        let mut point = Vec::new();
        scores.iter_mut().enumerate().for_each(|(r, score)| *score -= self.log_proposal(table, row(r), &mut point, None) as f32);
        scores
    }

    /// As [`CorrectedDensity::log_ratio`], with the gradient by z (rows, d).
    pub fn log_ratio_gradient(
        &self,
        compute: &Compute,
        params: &[f32],
        rows: usize,
        z: Indexed<'_, impl Fn(usize) -> usize + Sync>,
        x: Indexed<'_, impl Fn(usize) -> usize + Sync>,
    ) -> (Vec<f32>, Vec<f32>) {
        let (table, row) = (z.table, &z.row);
        let (mut scores, mut gradient) = self.estimator.gradient_indexed(compute, params, rows, Indexed { table, row }, x, By::Input);
        let d = self.architecture.proposal.mean.len();
        let mut point = Vec::new();
        for (r, (score, gradient)) in scores.iter_mut().zip(gradient.chunks_exact_mut(d)).enumerate() {
            *score -= self.log_proposal(table, row(r), &mut point, Some(gradient)) as f32;
        }
        (scores, gradient)
    }

    /// ln p̃ of a row of the table, stopped at R²; the gradient of −ln p̃ is added to `gradient`.
    fn log_proposal(&self, table: &[f32], row: usize, point: &mut Vec<f64>, gradient: Option<&mut [f32]>) -> f64 {
        let mean = &self.architecture.proposal.mean;
        let d = mean.len();
        point.clear();
        point.extend(table[row * d..(row + 1) * d].iter().zip(mean).map(|(&z, m)| f64::from(z) - m));
        self.factor.solve_lower(point);
        let distance: f64 = point.iter().map(|y| y * y).sum();
        let farthest = d as f64 + 2.0 * (d as f64 * TAIL).sqrt() + 2.0 * TAIL;
        if let Some(gradient) = gradient
            && distance < farthest
        {
            self.factor.solve_upper(point);
            gradient.iter_mut().zip(&*point).for_each(|(g, p)| *g += *p as f32);
        }
        -0.5 * distance.min(farthest) - self.factor.log_det_lower() - d as f64 * HALF_LN_TAU
    }
}

impl GaussianProposal {
    /// The Gaussian with the moments of rows (n, d), its covariance `widened` so many times.
    ///
    /// # Errors
    /// The index of a coordinate that does not vary or is a function of those before it.
    pub(crate) fn of_draws(rows: &[f64], d: usize, widened: f64) -> Result<Self, usize> {
        let n = (rows.len() / d) as f64;
        let mut mean = vec![0.0; d];
        rows.chunks_exact(d).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / n));
        let mut covariance = vec![0.0; d * d];
        for row in rows.chunks_exact(d) {
            for a in 0..d {
                for b in 0..d {
                    covariance[a * d + b] += widened * (row[a] - mean[a]) * (row[b] - mean[b]) / n;
                }
            }
        }
        let factor = Cholesky::factor(&covariance, d)?;
        let mut lower = vec![0.0; d * d];
        (0..d).for_each(|i| lower[i * d..i * d + i + 1].copy_from_slice(factor.row(i)));
        Ok(Self { mean, factor: lower })
    }

    /// m + L ε for standard normal ε, in place.
    pub(crate) fn place(&self, noise: &mut [f64]) {
        let d = self.mean.len();
        for i in (0..d).rev() {
            noise[i] = self.mean[i] + self.factor[i * d..i * d + i + 1].iter().zip(&*noise).map(|(l, e)| l * e).sum::<f64>();
        }
    }

    /// The same Gaussian for (u − shift)/scale, per coordinate.
    pub(crate) fn standardised(&self, shift: &[f64], scale: &[f64]) -> Self {
        let d = self.mean.len();
        Self {
            mean: (0..d).map(|i| (self.mean[i] - shift[i]) / scale[i]).collect(),
            factor: (0..d * d).map(|at| self.factor[at] / scale[at / d]).collect(),
        }
    }
}

/// What a corrected density can't be built from.
pub(super) fn build(architecture: CorrectedArchitecture) -> Result<CorrectedDensity, super::NetworkError> {
    let estimator = Estimator::new(architecture.corrected)?;
    CorrectedDensity::new(estimator, architecture.proposal).ok_or(super::NetworkError::Proposal)
}

impl super::Posterior {
    /// The densities of a posterior that was learnt under a proposal, without their correction; other posteriors as they are.
    pub(crate) fn uncorrected(&self) -> Self {
        let mut plain = self.clone();
        for member in &mut plain.members {
            if let super::Network::Corrected(corrected) = &member.network {
                member.network = super::Network::Posterior(corrected.estimator().clone());
            }
        }
        plain
    }

    /// The posterior whose densities of θ were learnt from simulations of `proposal`, a Gaussian over u.
    ///
    /// # Errors
    /// Networks that are no densities of θ, or a proposal that is none.
    pub(crate) fn corrected(mut self, proposal: &GaussianProposal) -> Result<Self, PosteriorError> {
        let own = proposal.standardised(self.theta_scale.mean(), self.theta_scale.std());
        for member in &mut self.members {
            let super::Network::Posterior(estimator) = &member.network else { return Err(PosteriorError::NotADensity) };
            let corrected = CorrectedDensity::new(estimator.clone(), own.clone()).ok_or(PosteriorError::NotADensity)?;
            member.network = super::Network::Corrected(Box::new(corrected));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    /// Moments of the Gaussian's own draws: 20 000 of them know a mean to 0.7 % and a covariance to 1 to 2 % of its scale.
    #[test]
    fn gaussians_are_placed_fitted_and_rescaled() {
        let truth = GaussianProposal { mean: vec![1.0, -2.0], factor: vec![0.5, 0.0, 0.6, 0.8] };
        let mut rng = Seed(3).stream("noise", 0);
        let mut rows = vec![0.0; 40_000];
        for row in rows.chunks_exact_mut(2) {
            row.iter_mut().for_each(|e| *e = rng.normal());
            truth.place(row);
        }
        let found = GaussianProposal::of_draws(&rows, 2, 1.0).unwrap();
        assert!(found.mean.iter().zip(&truth.mean).all(|(a, b)| (a - b).abs() < 0.03), "{found:?}");
        assert!(found.factor.iter().zip(&truth.factor).all(|(a, b)| (a - b).abs() < 0.03), "{found:?}");
        let wide = GaussianProposal::of_draws(&rows, 2, 4.0).unwrap();
        assert!(wide.factor.iter().zip(&found.factor).all(|(a, b)| (a - 2.0 * b).abs() < 1e-12));
        let scaled = truth.standardised(&[1.0, 0.0], &[0.5, 2.0]);
        assert_eq!((scaled.mean, scaled.factor), (vec![0.0, -1.0], vec![1.0, 0.0, 0.3, 0.4]));
        assert_eq!(GaussianProposal::of_draws(&[1.0, 2.0, 1.0, 3.0], 2, 1.0).unwrap_err(), 0);
    }
}

//! Gaussians of full covariance, one per target: proposals and variational families.

use super::error::SamplerError;
use super::proposal::Proposal;
use super::target::Target;
use crate::prior::cholesky::Cholesky;
use crate::prior::special::HALF_LN_TAU;
use abduce_data::{Rng, Seed};

/// N(m_t, L_t L_tᵀ) for each target t.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussians {
    dimension: usize,
    /// (targets, d).
    mean: Vec<f64>,
    /// Lower triangular with positive diagonal, (targets, d, d).
    factor: Vec<f64>,
}

/// Which covariances a fit may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Covariance {
    /// Any.
    #[default]
    Full,
    /// Independent coordinates.
    Diagonal,
}

impl Gaussians {
    /// Independent coordinates: means and standard deviations, both (targets, d).
    ///
    /// # Errors
    /// Lengths that don't fit; a standard deviation that isn't positive and finite.
    pub fn diagonal(dimension: usize, mean: &[f64], std: &[f64]) -> Result<Self, SamplerError> {
        if mean.len() != std.len() || dimension == 0 || !mean.len().is_multiple_of(dimension) {
            return Err(SamplerError::Shape { what: "standard deviations (targets, d)", found: std.len(), expected: mean.len() });
        }
        if let Some(&value) = std.iter().find(|s| !(**s > 0.0 && s.is_finite())) {
            return Err(SamplerError::Option { option: "std", value, expected: "positive numbers" });
        }
        let mut factor = vec![0.0; mean.len() * dimension];
        for (i, &s) in std.iter().enumerate() {
            factor[i * dimension + i % dimension] = s;
        }
        Ok(Self { dimension, mean: mean.to_vec(), factor })
    }

    /// d.
    pub const fn dimension(&self) -> usize {
        self.dimension
    }

    /// m, (targets, d).
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// L Lᵀ of one target, (d, d).
    pub fn covariance(&self, target: usize) -> Vec<f64> {
        let (d, l) = (self.dimension, self.factor_of(target));
        let product = |i: usize, j: usize| (0..=i.min(j)).map(|k| l[i * d + k] * l[j * d + k]).sum();
        (0..d * d).map(|at| product(at / d, at % d)).collect()
    }

    fn factor_of(&self, t: usize) -> &[f64] {
        let size = self.dimension * self.dimension;
        &self.factor[t * size..(t + 1) * size]
    }

    /// Writes m + Lε and returns the log-density there.
    pub(super) fn place(&self, t: usize, noise: &[f64], point: &mut [f64]) -> f64 {
        let (d, factor) = (self.dimension, self.factor_of(t));
        let mut log_density = 0.0;
        for i in 0..d {
            let row = &factor[i * d..=i * d + i];
            point[i] = self.mean[t * d + i] + row.iter().zip(noise).map(|(l, e)| l * e).sum::<f64>();
            log_density -= 0.5 * noise[i] * noise[i] + HALF_LN_TAU + libm::log(row[i]);
        }
        log_density
    }

    /// Draws a point whose noise has the law of [`log_student`], leaves the noise in `noise`, and returns the log-density.
    pub(super) fn place_heavy_tailed(&self, t: usize, rng: &mut Rng, noise: &mut [f64], point: &mut [f64]) -> f64 {
        let stretch = (FREEDOM / rng.chi2(FREEDOM)).sqrt();
        noise.iter_mut().for_each(|e| *e = stretch * rng.normal());
        let square = noise.iter().map(|e| e * e).sum::<f64>();
        // `place` adds the normal law of the noise; take it out again.
        let log_det = self.place(t, noise, point) + 0.5 * square + self.dimension as f64 * HALF_LN_TAU;
        log_det + log_student(square, self.dimension)
    }

    /// Drops the correlations and keeps the variances.
    pub(super) fn make_diagonal(&mut self) {
        let d = self.dimension;
        for row in 0..self.mean.len() {
            let own = &mut self.factor[row * d..(row + 1) * d];
            let variance = own.iter().map(|l| l * l).sum::<f64>();
            own.fill(0.0);
            own[row % d] = variance.sqrt();
        }
    }

    /// ln det L.
    pub(super) fn log_det(&self, t: usize) -> f64 {
        let (d, factor) = (self.dimension, self.factor_of(t));
        (0..d).map(|i| libm::log(factor[i * d + i])).sum()
    }

    /// Overwrites the point with the noise y of m + L y.
    pub(super) fn take_back(&self, t: usize, point: &mut [f64]) {
        let (d, factor) = (self.dimension, self.factor_of(t));
        for i in 0..d {
            let known: f64 = (0..i).map(|j| factor[i * d + j] * point[j]).sum();
            point[i] = (point[i] - self.mean[t * d + i] - known) / factor[i * d + i];
        }
    }

    /// Lᵀ g.
    pub(super) fn pull_back(&self, t: usize, g: &[f64], out: &mut [f64]) {
        let (d, factor) = (self.dimension, self.factor_of(t));
        for j in 0..d {
            out[j] = (j..d).map(|i| factor[i * d + j] * g[i]).sum();
        }
    }

    /// m ← m + L s and L ← L T, where T is 1 + `turn` below the diagonal and exp(`turn`) on it.
    pub(super) fn step(&mut self, t: usize, shift: &[f64], turn: &[f64]) {
        let d = self.dimension;
        let (mean, factor) = (&mut self.mean[t * d..(t + 1) * d], &mut self.factor[t * d * d..(t + 1) * d * d]);
        for i in 0..d {
            let row = &mut factor[i * d..=i * d + i];
            mean[i] += row.iter().zip(shift).map(|(l, s)| l * s).sum::<f64>();
            // Column j needs the old columns from j on only.
            for j in 0..=i {
                let below: f64 = (j + 1..=i).map(|k| row[k] * turn[k * d + j]).sum();
                row[j] = row[j] * libm::exp(turn[j * d + j]) + below;
            }
        }
    }

    /// Takes mean and covariance of weighted points (n, d), weights of sum 1. `Err(i)` where the covariance isn't positive definite in row i; the
    /// Gaussian is then unchanged.
    pub(super) fn set_moments(&mut self, t: usize, points: &[f64], weights: &[f64]) -> Result<(), usize> {
        let d = self.dimension;
        let mut mean = vec![0.0; d];
        for (x, w) in points.chunks_exact(d).zip(weights) {
            mean.iter_mut().zip(x).for_each(|(m, x)| *m += w * x);
        }
        let mut covariance = vec![0.0; d * d];
        for (x, w) in points.chunks_exact(d).zip(weights) {
            for i in 0..d {
                for j in 0..d {
                    covariance[i * d + j] += w * (x[i] - mean[i]) * (x[j] - mean[j]);
                }
            }
        }
        let factor = Cholesky::factor(&covariance, d)?;
        self.mean[t * d..(t + 1) * d].copy_from_slice(&mean);
        for i in 0..d {
            self.factor[(t * d + i) * d..=(t * d + i) * d + i].copy_from_slice(factor.row(i));
        }
        Ok(())
    }
}

impl Proposal for Gaussians {
    fn draw(&self, targets: &[usize], draws: usize, seed: Seed, points: &mut [f64], log_density: &mut [f64]) {
        let d = self.dimension;
        let mut noise = vec![0.0; d];
        let blocks = points.chunks_exact_mut(draws * d).zip(log_density.chunks_exact_mut(draws));
        for (&t, (points, log_density)) in targets.iter().zip(blocks) {
            let mut rng = seed.stream("sampler.gaussian", t as u64);
            for (point, log_density) in points.chunks_exact_mut(d).zip(log_density) {
                noise.iter_mut().for_each(|e| *e = rng.normal());
                *log_density = self.place(t, &noise, point);
            }
        }
    }
}

/// Degrees of freedom of [`HeavyTailed`].
const FREEDOM: f64 = 5.0;

/// Log-density of a point of this squared length under the standard multivariate Student's t of five degrees of freedom.
pub(super) fn log_student(square: f64, d: usize) -> f64 {
    let size = d as f64;
    let half = 0.5 * (FREEDOM + size);
    let constant = libm::lgamma(half) - libm::lgamma(0.5 * FREEDOM) - 0.5 * size * libm::log(FREEDOM * std::f64::consts::PI);
    constant - half * libm::log1p(square / FREEDOM)
}

/// The same locations and factors with tails of Student's t of five degrees of freedom: covers targets whose tails a Gaussian would miss.
pub(super) struct HeavyTailed<'a> {
    pub(super) gaussians: &'a Gaussians,
    /// Whose numbers the random streams have.
    pub(super) target: &'a dyn Target,
}

impl Proposal for HeavyTailed<'_> {
    fn draw(&self, targets: &[usize], draws: usize, seed: Seed, points: &mut [f64], log_density: &mut [f64]) {
        let d = self.gaussians.dimension;
        let mut noise = vec![0.0; d];
        let blocks = points.chunks_exact_mut(draws * d).zip(log_density.chunks_exact_mut(draws));
        for (&t, (points, log_density)) in targets.iter().zip(blocks) {
            let mut rng = seed.stream("sampler.heavy_tailed", self.target.stream(t));
            for (point, log_density) in points.chunks_exact_mut(d).zip(log_density) {
                *log_density = self.gaussians.place_heavy_tailed(t, &mut rng, &mut noise, point);
            }
        }
    }
}

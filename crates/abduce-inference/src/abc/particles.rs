//! A weighted population and the kernel that moves it.

use crate::prior::UnconstrainedTransform;
use crate::prior::cholesky::Cholesky;
use abduce_data::Rng;

/// A weighted population.
#[derive(Clone)]
pub(super) struct Particles {
    pub(super) d: usize,
    /// Values of the summaries of one particle.
    pub(super) width: usize,
    pub(super) theta: Vec<f64>,
    /// θ on the unconstrained scale.
    pub(super) u: Vec<f64>,
    pub(super) summaries: Vec<f64>,
    pub(super) distances: Vec<f64>,
    pub(super) weights: Vec<f64>,
}

impl Particles {
    pub(super) const fn empty(d: usize, width: usize) -> Self {
        Self { d, width, theta: Vec::new(), u: Vec::new(), summaries: Vec::new(), distances: Vec::new(), weights: Vec::new() }
    }

    pub(super) const fn len(&self) -> usize {
        self.weights.len()
    }

    pub(super) fn push(&mut self, theta: &[f64], summaries: &[f64], distance: f64, weight: f64, transform: &UnconstrainedTransform) {
        debug_assert_eq!(summaries.len(), self.width);
        let start = self.u.len();
        self.u.resize(start + self.d, 0.0);
        transform.unconstrained_from_theta(theta, &mut self.u[start..]);
        self.theta.extend_from_slice(theta);
        self.summaries.extend_from_slice(summaries);
        self.distances.push(distance);
        self.weights.push(weight);
    }

    /// A copy of particle `i` of `other`.
    pub(super) fn copy(&mut self, other: &Self, i: usize, weight: f64) {
        let (d, width) = (self.d, self.width);
        self.theta.extend_from_slice(&other.theta[i * d..(i + 1) * d]);
        self.u.extend_from_slice(&other.u[i * d..(i + 1) * d]);
        self.summaries.extend_from_slice(&other.summaries[i * width..(i + 1) * width]);
        self.distances.push(other.distances[i]);
        self.weights.push(weight);
    }

    /// Whether the weights have a finite, positive sum; they are divided by it.
    pub(super) fn normalise(&mut self) -> bool {
        let sum: f64 = self.weights.iter().sum();
        self.weights.iter_mut().for_each(|w| *w /= sum);
        sum.is_finite() && sum > 0.0
    }

    /// 1/Σ w².
    pub(super) fn effective_size(&self) -> f64 {
        1.0 / self.weights.iter().map(|w| w * w).sum::<f64>()
    }

    /// `count` particles by systematic resampling, of equal weights.
    pub(super) fn resampled(&self, count: usize, rng: &mut Rng) -> Self {
        let mut out = Self::empty(self.d, self.width);
        systematic(&self.weights, count, rng).into_iter().for_each(|i| out.copy(self, i, 1.0 / count as f64));
        out
    }
}

/// `count` rows, in their order: each appears w·count times, up or down to the next integer.
pub(super) fn systematic(weights: &[f64], count: usize, rng: &mut Rng) -> Vec<usize> {
    let (offset, mut sum, mut row) = (rng.uniform(), weights.first().copied().unwrap_or(0.0), 0);
    let mut rows = Vec::with_capacity(count);
    for k in 0..count {
        let at = (k as f64 + offset) / count as f64;
        while at > sum && row + 1 < weights.len() {
            row += 1;
            sum += weights[row];
        }
        rows.push(row);
    }
    rows
}

/// The Gaussian kernel of a population.
pub(super) struct Kernel {
    factor: Cholesky,
    cumulative: Vec<f64>,
}

impl Kernel {
    /// With `scale` times the population's weighted covariance.
    pub(super) fn new(particles: &Particles, scale: f64) -> Self {
        let d = particles.d;
        let rows = || particles.u.chunks_exact(d).zip(&particles.weights);
        let mut mean = vec![0.0; d];
        rows().for_each(|(u, w)| mean.iter_mut().zip(u).for_each(|(m, u)| *m += w * u));
        let mut covariance = vec![0.0; d * d];
        for (u, w) in rows() {
            for a in 0..d {
                (0..d).for_each(|b| covariance[a * d + b] += scale * w * (u[a] - mean[a]) * (u[b] - mean[b]));
            }
        }
        // Particles that have fallen together leave a kernel of their spread in each coordinate alone, or next to none.
        let factor = Cholesky::factor(&covariance, d).unwrap_or_else(|_| {
            let mut lower = vec![0.0; d * d];
            (0..d).for_each(|a| lower[a * d + a] = covariance[a * d + a].sqrt().max(1e-12));
            Cholesky::from_lower(lower, d)
        });
        let mut sum = 0.0;
        let cumulative = particles.weights.iter().map(|w| {
            sum += w;
            sum
        });
        Self { factor, cumulative: cumulative.collect() }
    }

    /// A particle, moved.
    pub(super) fn propose(&self, particles: &Particles, transform: &UnconstrainedTransform, rng: &mut Rng) -> Vec<f32> {
        let d = particles.d;
        let at = rng.uniform();
        let chosen = self.cumulative.partition_point(|&c| c <= at).min(particles.len() - 1);
        let noise: Vec<f64> = (0..d).map(|_| rng.normal()).collect();
        let u: Vec<f64> = (0..d).map(|i| particles.u[chosen * d + i] + self.factor.apply_row(i, &noise)).collect();
        let mut theta = vec![0.0; d];
        transform.theta_from_unconstrained(&u, &mut theta);
        theta.iter().map(|&t| t as f32).collect()
    }

    /// ln Σ_j w_j N(u | u_j, Σ), up to the constant (2π)^{-d/2}.
    pub(super) fn log_mixture(&self, particles: &Particles, u: &[f64]) -> f64 {
        let mut offset = vec![0.0; u.len()];
        let terms: Vec<f64> = particles
            .u
            .chunks_exact(particles.d)
            .zip(&particles.weights)
            .map(|(centre, w)| {
                offset.iter_mut().zip(u).zip(centre).for_each(|((o, u), c)| *o = u - c);
                self.factor.solve_lower(&mut offset);
                w.ln() - 0.5 * offset.iter().map(|o| o * o).sum::<f64>()
            })
            .collect();
        let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + terms.iter().map(|t| (t - top).exp()).sum::<f64>().ln() - self.factor.log_det_lower()
    }
}

//! Multivariate normal priors, on the whole space or restricted to a box.

use super::cholesky::Cholesky;
use super::special::{HALF_LN_TAU, log_normal_mass};
use super::{Interval, PriorError};
use abduce_data::{Rng, Seed};
use statrs::function::erf::erfc_inv;
use std::f64::consts::SQRT_2;

/// N(loc, L Lᵀ).
#[derive(Clone, Debug)]
pub(super) struct MultivariateNormal {
    loc: Vec<f64>,
    factor: Cholesky,
}

impl MultivariateNormal {
    pub(super) fn new(loc: Vec<f64>, factor: Cholesky) -> Self {
        Self { loc, factor }
    }

    pub(super) fn parameters(&self) -> usize {
        self.loc.len()
    }

    pub(super) fn sample(&self, rng: &mut Rng, theta: &mut [f64]) {
        let z: Vec<f64> = self.loc.iter().map(|_| rng.normal()).collect();
        for (i, value) in theta.iter_mut().enumerate() {
            *value = Interval::REAL.clamp_inside(self.loc[i] + self.factor.apply_row(i, &z));
        }
    }

    pub(super) fn log_prob(&self, theta: &[f64]) -> f64 {
        let mut z: Vec<f64> = theta.iter().zip(&self.loc).map(|(value, loc)| value - loc).collect();
        self.factor.solve_lower(&mut z);
        -0.5 * z.iter().map(|z| z * z).sum::<f64>() - self.factor.log_det_lower() - HALF_LN_TAU * z.len() as f64
    }

    pub(super) fn mean(&self) -> &[f64] {
        &self.loc
    }

    /// L.
    pub(super) const fn factor(&self) -> &Cholesky {
        &self.factor
    }

    pub(super) fn std(&self) -> Vec<f64> {
        (0..self.loc.len()).map(|i| self.factor.row(i).iter().map(|l| l * l).sum::<f64>().sqrt()).collect()
    }
}

/// N(loc, L Lᵀ) restricted to a box, normalised over it.
#[derive(Clone, Debug)]
pub(super) struct TruncatedMultivariateNormal {
    normal: MultivariateNormal,
    support: Vec<Interval>,
    /// ln P(box) under the untruncated normal.
    log_mass: f64,
    /// ln of the largest possible product of the conditional masses of parameters 1, 2, …
    log_bound: f64,
    mean: Vec<f64>,
    std: Vec<f64>,
}

/// The lattice for P(box): prime number of points, and independent shifts from which its error is estimated.
const LATTICE_POINTS: u32 = 16_381;
const LATTICE_SHIFTS: u32 = 8;
/// A normalisation known worse than this would make `log_prob` wrong in its third decimal.
const LARGEST_RELATIVE_ERROR: f64 = 1e-3;
/// Below this the sampler would need ten thousand tries for a draw.
const SMALLEST_ACCEPTANCE: f64 = 1e-4;
/// Draws for the moments: a standard error of 0.3 % of the standard deviation.
const MOMENT_DRAWS: u32 = 100_000;

impl TruncatedMultivariateNormal {
    /// P(box) by the separation of variables of Genz (1992, J. Comp. Graph. Stat. 1, 141): with z = L⁻¹(θ − loc), the mass is the mean over
    /// w ∈ [0, 1]^{d−1} of Π_i [Φ(b_i) − Φ(a_i)], where the bounds of z_i follow from z_0 … z_{i−1} drawn by w. The mean is taken over
    /// Richtmyer's lattice, folded to be periodic; for d = 1 the product is the exact answer.
    pub(super) fn new(normal: MultivariateNormal, support: Vec<Interval>) -> Result<Self, PriorError> {
        let d = normal.parameters();
        let log_bound = (1..d)
            .map(|i| {
                let half_width = 0.5 * (support[i].high - support[i].low) / normal.factor.diagonal(i);
                log_normal_mass(-half_width, half_width)
            })
            .sum();
        let mut prior = Self { normal, support, log_mass: 0.0, log_bound, mean: vec![0.0; d], std: vec![0.0; d] };
        let mut rng = Seed(0).stream("truncated normal lattice", 0);
        let generators: Vec<f64> = primes().take(d).map(|p| f64::from(p).sqrt().fract()).collect();
        // Masses relative to the first conditional one, which is the same for every point.
        let (low, high) = prior.conditional_bounds(0, &[]);
        let log_first = log_normal_mass(low, high);
        let (mut sum, mut sum_of_squares) = (0.0, 0.0);
        for _ in 0..LATTICE_SHIFTS {
            let shift: Vec<f64> = (0..d).map(|_| rng.uniform()).collect();
            let mut total = 0.0;
            let mut z = vec![0.0; d];
            for point in 0..LATTICE_POINTS {
                let mut log_product = 0.0;
                for i in 0..d - 1 {
                    let fraction = (f64::from(point) * generators[i] + shift[i]).fract();
                    let w = 1.0 - (2.0 * fraction - 1.0).abs();
                    let (low, high) = prior.conditional_bounds(i, &z);
                    z[i] = quantile_between(low, high, w);
                    let (low, high) = prior.conditional_bounds(i + 1, &z);
                    log_product += log_normal_mass(low, high);
                }
                total += libm::exp(log_product);
            }
            let mean = total / f64::from(LATTICE_POINTS);
            sum += mean;
            sum_of_squares += mean * mean;
        }
        let shifts = f64::from(LATTICE_SHIFTS);
        let rest = sum / shifts;
        let variance = (sum_of_squares / shifts - rest * rest).max(0.0) / (shifts - 1.0);
        let relative_error = variance.sqrt() / rest;
        let acceptance = rest / libm::exp(prior.log_bound);
        prior.log_mass = log_first + libm::log(rest);
        // Written so that NaN fails too.
        let usable = prior.log_mass.is_finite() && relative_error <= LARGEST_RELATIVE_ERROR && acceptance >= SMALLEST_ACCEPTANCE;
        if !usable {
            return Err(PriorError::BoxTooUnlikely { mass: libm::exp(prior.log_mass), relative_error, acceptance });
        }
        prior.measure_moments();
        Ok(prior)
    }

    /// Bounds of z_i given z_0 … z_{i−1}.
    fn conditional_bounds(&self, i: usize, z: &[f64]) -> (f64, f64) {
        let factor = &self.normal.factor;
        let shift: f64 = self.normal.loc[i] + factor.row(i)[..i].iter().zip(z).map(|(l, z)| l * z).sum::<f64>();
        let diagonal = factor.diagonal(i);
        ((self.support[i].low - shift) / diagonal, (self.support[i].high - shift) / diagonal)
    }

    fn measure_moments(&mut self) {
        let d = self.normal.parameters();
        let mut rng = Seed(0).stream("truncated normal moments", 0);
        let mut theta = vec![0.0; d];
        let (mut sum, mut squares) = (vec![0.0; d], vec![0.0; d]);
        for _ in 0..MOMENT_DRAWS {
            self.sample(&mut rng, &mut theta);
            for i in 0..d {
                let offset = theta[i] - self.normal.loc[i];
                sum[i] += offset;
                squares[i] += offset * offset;
            }
        }
        let n = f64::from(MOMENT_DRAWS);
        for i in 0..d {
            let mean = sum[i] / n;
            self.mean[i] = self.normal.loc[i] + mean;
            self.std[i] = (squares[i] / n - mean * mean).max(0.0).sqrt();
        }
    }

    pub(super) fn parameters(&self) -> usize {
        self.normal.parameters()
    }

    pub(super) fn support(&self) -> &[Interval] {
        &self.support
    }

    /// Before it is truncated.
    pub(super) const fn normal(&self) -> &MultivariateNormal {
        &self.normal
    }

    /// Exact: z_0, z_1, … from their conditional truncated normals, accepted with probability (product of the conditional masses of parameters
    /// 1, 2, …)/(its bound), which is the ratio of the target's density to the proposal's.
    pub(super) fn sample(&self, rng: &mut Rng, theta: &mut [f64]) {
        let d = self.normal.parameters();
        let mut z = vec![0.0; d];
        loop {
            let mut log_product = 0.0;
            for i in 0..d {
                let (low, high) = self.conditional_bounds(i, &z);
                if i > 0 {
                    log_product += log_normal_mass(low, high);
                }
                z[i] = rng.truncated_normal(low, high);
            }
            if libm::log(rng.uniform_open_low()) <= log_product - self.log_bound {
                break;
            }
        }
        for i in 0..d {
            theta[i] = self.support[i].clamp_inside(self.normal.loc[i] + self.normal.factor.apply_row(i, &z));
        }
    }

    pub(super) fn log_prob(&self, theta: &[f64]) -> f64 {
        if self.support.iter().zip(theta).all(|(interval, &value)| interval.contains(value)) {
            self.normal.log_prob(theta) - self.log_mass
        } else {
            f64::NEG_INFINITY
        }
    }

    pub(super) fn mean(&self) -> &[f64] {
        &self.mean
    }

    pub(super) fn std(&self) -> &[f64] {
        &self.std
    }
}

/// The z with [Φ(z) − Φ(low)]/[Φ(high) − Φ(low)] = w, computed in the left half, where Φ keeps its relative precision.
fn quantile_between(low: f64, high: f64, w: f64) -> f64 {
    if low > 0.0 {
        return -quantile_between(-high, -low, 1.0 - w);
    }
    let (below_low, below_high) = (libm::erfc(-low / SQRT_2), libm::erfc(-high / SQRT_2));
    let twice_cdf = below_low + w * (below_high - below_low);
    (-SQRT_2 * erfc_inv(twice_cdf)).clamp(low, high)
}

fn primes() -> impl Iterator<Item = u32> {
    (2u32..).filter(|&n| (2..n).take_while(|k| k * k <= n).all(|k| n % k != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truncated(loc: [f64; 2], covariance: [f64; 4], low: [f64; 2], high: [f64; 2]) -> Result<TruncatedMultivariateNormal, PriorError> {
        let normal = MultivariateNormal::new(loc.to_vec(), Cholesky::factor(&covariance, 2).unwrap());
        let support = low.into_iter().zip(high).map(|(low, high)| Interval { low, high }).collect();
        TruncatedMultivariateNormal::new(normal, support)
    }

    /// The quadrant probability of a bivariate normal is ¼ + asin ρ/(2π).
    #[test]
    fn the_quadrant_has_its_known_mass() {
        for rho in [-0.6, 0.0, 0.8f64] {
            let prior = truncated([0.0; 2], [1.0, rho, rho, 1.0], [0.0; 2], [f64::INFINITY; 2]).unwrap();
            let exact = 0.25 + rho.asin() / std::f64::consts::TAU;
            assert!((prior.log_mass.exp() / exact - 1.0).abs() < 1e-4, "{} against {exact}", prior.log_mass.exp());
        }
    }

    /// Mean of the first coordinate over the positive quadrant: (1 + ρ)/(2 √(2π) P).
    #[test]
    fn draws_have_the_moments_of_the_truncated_density() {
        let rho = 0.8f64;
        let prior = truncated([0.0; 2], [1.0, rho, rho, 1.0], [0.0; 2], [f64::INFINITY; 2]).unwrap();
        let exact = (1.0 + rho) / (2.0 * std::f64::consts::TAU.sqrt() * (0.25 + rho.asin() / std::f64::consts::TAU));
        // Standard error of 100 000 draws: 0.002.
        assert!((prior.mean[0] - exact).abs() < 0.01, "{} against {exact}", prior.mean[0]);
    }

    #[test]
    fn a_box_in_the_far_corner_is_refused() {
        let error = truncated([0.0; 2], [1.0, -0.999, -0.999, 1.0], [6.0; 2], [f64::INFINITY; 2]).unwrap_err();
        assert!(matches!(error, PriorError::BoxTooUnlikely { .. }), "{error}");
    }
}

//! A prior known only through draws: a kernel density estimate on the unconstrained scale.

use super::cholesky::Cholesky;
use super::special::{HALF_LN_TAU, log_sum_exp};
use super::{Bijection, Interval, PriorError, UnconstrainedTransform};
use abduce_data::Rng;

/// With u_i the unconstrained images of the n draws (identity, log or logit by the given bounds), w_i their weights (1/n where there are none), S
/// their covariance and h the bandwidth,
///
///   p(θ) = |du/dθ| Σ_i w_i N(u(θ); u_i, h² S).
///
/// A draw picks a row and adds h S^{1/2} times a standard normal: exactly this density. It is smoother than the rows: its covariance in u is
/// (1 + h²) S.
#[derive(Clone, Debug)]
pub(crate) struct Empirical {
    support: Vec<Interval>,
    transform: UnconstrainedTransform,
    /// Factor of h² S.
    kernel: Cholesky,
    /// Row-major (n, d): the unconstrained rows u_i.
    rows: Vec<f64>,
    /// Row-major (n, d): the rows solved by the kernel's factor, so that a distance is a difference of two vectors.
    whitened: Vec<f64>,
    /// ln w_i (n); empty where all are equal.
    log_weights: Vec<f64>,
    /// Sums of the weights up to each row; empty where all are equal.
    cumulative: Vec<f64>,
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl Empirical {
    /// `bandwidth` None: Scott's rule n^{−1/(d+4)}.
    pub(super) fn new(draws: &[Vec<f64>], support: Vec<Interval>, bandwidth: Option<f64>) -> Result<Self, PriorError> {
        let (n, d) = (draws.len(), support.len());
        let h = bandwidth.unwrap_or_else(|| scott(n as f64, d));
        let theta: Vec<f64> = draws.iter().flatten().copied().collect();
        Self::build(&theta, &[], support, h)
    }

    /// Of rows `theta` (n, d) with `weights` (n) that sum to 1, at bandwidth `h`.
    pub(crate) fn weighted(theta: &[f64], weights: &[f64], support: Vec<Interval>, h: f64) -> Result<Self, PriorError> {
        let equal = weights.iter().all(|w| *w == weights[0]);
        Self::build(theta, if equal { &[] } else { weights }, support, h)
    }

    fn build(theta: &[f64], weights: &[f64], support: Vec<Interval>, h: f64) -> Result<Self, PriorError> {
        let d = support.len();
        let n = theta.len() / d;
        if n < d + 2 {
            return Err(PriorError::TooFewDraws { rows: n, parameters: d, needed: d + 2 });
        }
        let transform = UnconstrainedTransform { parameters: support.iter().map(Bijection::logit_from_support).collect() };
        let mut rows = vec![0.0; n * d];
        for (row, (draw, image)) in theta.chunks_exact(d).zip(rows.chunks_exact_mut(d)).enumerate() {
            for (index, (&value, interval)) in draw.iter().zip(&support).enumerate() {
                let Interval { low, high } = *interval;
                if !(low < value && value < high) {
                    return Err(PriorError::DrawOutsideBounds { row, index, value, low, high });
                }
            }
            transform.unconstrained_from_theta(draw, image);
        }
        // Equal weights are not multiplied by: the same bytes whether they are given or not.
        let weight = |row: usize| weights.get(row).copied().unwrap_or(1.0);
        // n − 1 for equal weights, in its weighted form 1 − Σ w² for others.
        let freedom = if weights.is_empty() { n as f64 - 1.0 } else { 1.0 - weights.iter().map(|w| w * w).sum::<f64>() };
        let total = if weights.is_empty() { n as f64 } else { 1.0 };
        let means = |rows: &[f64]| -> Vec<f64> {
            (0..d).map(|i| rows.iter().skip(i).step_by(d).enumerate().map(|(row, v)| weight(row) * v).sum::<f64>() / total).collect()
        };
        let centre = means(&rows);
        let mut covariance = vec![0.0; d * d];
        for (r, row) in rows.chunks_exact(d).enumerate() {
            for i in 0..d {
                for j in 0..d {
                    covariance[i * d + j] += weight(r) * (row[i] - centre[i]) * (row[j] - centre[j]);
                }
            }
        }
        covariance.iter_mut().for_each(|value| *value *= h * h / freedom);
        let kernel = Cholesky::factor(&covariance, d).map_err(|index| PriorError::DegenerateDraws { index })?;
        let mut whitened = rows.clone();
        whitened.chunks_exact_mut(d).for_each(|row| kernel.solve_lower(row));

        let mean = means(theta);
        let square = |i: usize| theta.iter().skip(i).step_by(d).enumerate().map(move |(row, v)| (row, *v));
        let std =
            (0..d).map(|i| (square(i).map(|(row, v)| weight(row) * (v - mean[i]) * (v - mean[i])).sum::<f64>() / freedom).sqrt()).collect();
        let log_weights = weights.iter().map(|w| libm::log(*w)).collect();
        let cumulative = weights
            .iter()
            .scan(0.0, |sum, w| {
                *sum += w;
                Some(*sum)
            })
            .collect();
        Ok(Self { support, transform, kernel, rows, whitened, log_weights, cumulative, mean, std })
    }

    /// θ ↔ u.
    pub(super) const fn transform(&self) -> &UnconstrainedTransform {
        &self.transform
    }

    /// Turns u (d) into Σ_i r_i (h² S)⁻¹ (u_i − u), r_i ∝ w_i N(u; u_i, h² S) the share of kernel i: the gradient of ln Σ_i w_i N.
    pub(super) fn pull(&self, u: &mut [f64]) {
        self.kernel.solve_lower(u);
        let exponent = |i: usize| -0.5 * self.whitened(i).iter().zip(&*u).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() + self.log_weight(i);
        let all = log_sum_exp((0..self.rows()).map(exponent));
        let mut mean = vec![0.0; u.len()];
        for i in 0..self.rows() {
            let share = libm::exp(exponent(i) - all);
            mean.iter_mut().zip(self.whitened(i)).for_each(|(m, w)| *m += share * w);
        }
        u.iter_mut().zip(mean).for_each(|(u, m)| *u = m - *u);
        self.kernel.solve_upper(u);
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows.len() / self.support.len()
    }

    /// Row `i` in units of the kernel.
    pub(crate) fn whitened(&self, i: usize) -> &[f64] {
        let d = self.support.len();
        &self.whitened[i * d..(i + 1) * d]
    }

    /// ln w_i.
    pub(crate) fn log_weight(&self, i: usize) -> f64 {
        self.log_weights.get(i).copied().unwrap_or_else(|| -libm::log(self.rows() as f64))
    }

    pub(super) fn parameters(&self) -> usize {
        self.support.len()
    }

    pub(super) fn support(&self) -> &[Interval] {
        &self.support
    }

    pub(crate) fn sample(&self, rng: &mut Rng, theta: &mut [f64]) {
        let d = self.parameters();
        let row = if self.cumulative.is_empty() {
            rng.below(self.rows())
        } else {
            let at = rng.uniform();
            self.cumulative.partition_point(|&c| c <= at).min(self.rows() - 1)
        };
        let z: Vec<f64> = (0..d).map(|_| rng.normal()).collect();
        let u: Vec<f64> = (0..d).map(|i| self.rows[row * d + i] + self.kernel.apply_row(i, &z)).collect();
        self.transform.theta_from_unconstrained(&u, theta);
    }

    pub(crate) fn log_prob(&self, theta: &[f64]) -> f64 {
        let d = self.parameters();
        if !self.support.iter().zip(theta).all(|(interval, &value)| interval.contains(value)) {
            return f64::NEG_INFINITY;
        }
        let mut u = vec![0.0; d];
        self.transform.unconstrained_from_theta(theta, &mut u);
        let log_abs_det = self.transform.log_abs_det(&u);
        self.kernel.solve_lower(&mut u);
        let exponents = self.whitened.chunks_exact(d).map(|row| -0.5 * row.iter().zip(&u).map(|(a, b)| (a - b) * (a - b)).sum::<f64>());
        let sum = if self.log_weights.is_empty() {
            log_sum_exp(exponents) - libm::log(self.rows() as f64)
        } else {
            log_sum_exp(exponents.zip(&self.log_weights).map(|(e, w)| e + w))
        };
        sum - HALF_LN_TAU * d as f64 - self.kernel.log_det_lower() - log_abs_det
    }

    /// Of the rows, not of the smoothed density.
    pub(super) fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Of the rows, not of the smoothed density.
    pub(super) fn std(&self) -> &[f64] {
        &self.std
    }
}

/// Scott's rule.
pub(crate) fn scott(effective_rows: f64, d: usize) -> f64 {
    libm::pow(effective_rows, -1.0 / (d as f64 + 4.0))
}

//! A prior known only through draws: a kernel density estimate on the unconstrained scale.

use super::cholesky::Cholesky;
use super::special::{HALF_LN_TAU, log_sum_exp};
use super::{Bijection, Interval, PriorError, UnconstrainedTransform};
use abduce_data::Rng;

/// With u_i the unconstrained images of the n draws (identity, log or logit by the given bounds), S their sample covariance and h the
/// bandwidth,
///
///   p(θ) = |du/dθ| (1/n) Σ_i N(u(θ); u_i, h² S).
///
/// A draw picks a row and adds h S^{1/2} times a standard normal: exactly this density. It is smoother than the rows: its covariance in u is
/// (1 + h²) S.
#[derive(Clone, Debug)]
pub(super) struct Empirical {
    support: Vec<Interval>,
    transform: UnconstrainedTransform,
    /// Factor of h² S.
    kernel: Cholesky,
    /// Row-major (n, d): the unconstrained rows u_i.
    rows: Vec<f64>,
    /// Row-major (n, d): the rows solved by the kernel's factor, so that a distance is a difference of two vectors.
    whitened: Vec<f64>,
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl Empirical {
    /// `bandwidth` None: Scott's rule n^{−1/(d+4)}.
    pub(super) fn new(draws: &[Vec<f64>], support: Vec<Interval>, bandwidth: Option<f64>) -> Result<Self, PriorError> {
        let (n, d) = (draws.len(), support.len());
        if n < d + 2 {
            return Err(PriorError::TooFewDraws { rows: n, parameters: d, needed: d + 2 });
        }
        let transform = UnconstrainedTransform { parameters: support.iter().map(Bijection::logit_from_support).collect() };
        let mut rows = vec![0.0; n * d];
        for (row, (draw, image)) in draws.iter().zip(rows.chunks_exact_mut(d)).enumerate() {
            for (index, (&value, interval)) in draw.iter().zip(&support).enumerate() {
                let Interval { low, high } = *interval;
                if !(low < value && value < high) {
                    return Err(PriorError::DrawOutsideBounds { row, index, value, low, high });
                }
            }
            transform.unconstrained_from_theta(draw, image);
        }
        let centre = column_means(&rows, d);
        let mut covariance = vec![0.0; d * d];
        for row in rows.chunks_exact(d) {
            for i in 0..d {
                for j in 0..d {
                    covariance[i * d + j] += (row[i] - centre[i]) * (row[j] - centre[j]);
                }
            }
        }
        let h = bandwidth.unwrap_or_else(|| libm::pow(n as f64, -1.0 / (d as f64 + 4.0)));
        covariance.iter_mut().for_each(|value| *value *= h * h / (n as f64 - 1.0));
        let kernel = Cholesky::factor(&covariance, d).map_err(|index| PriorError::DegenerateDraws { index })?;
        let mut whitened = rows.clone();
        whitened.chunks_exact_mut(d).for_each(|row| kernel.solve_lower(row));

        let theta: Vec<f64> = draws.iter().flatten().copied().collect();
        let mean = column_means(&theta, d);
        let std = (0..d)
            .map(|i| (theta.iter().skip(i).step_by(d).map(|v| (v - mean[i]) * (v - mean[i])).sum::<f64>() / (n as f64 - 1.0)).sqrt())
            .collect();
        Ok(Self { support, transform, kernel, rows, whitened, mean, std })
    }

    pub(super) fn parameters(&self) -> usize {
        self.support.len()
    }

    pub(super) fn support(&self) -> &[Interval] {
        &self.support
    }

    pub(super) fn sample(&self, rng: &mut Rng, theta: &mut [f64]) {
        let d = self.parameters();
        let row = rng.below(self.rows.len() / d);
        let z: Vec<f64> = (0..d).map(|_| rng.normal()).collect();
        let u: Vec<f64> = (0..d).map(|i| self.rows[row * d + i] + self.kernel.apply_row(i, &z)).collect();
        self.transform.theta_from_unconstrained(&u, theta);
    }

    pub(super) fn log_prob(&self, theta: &[f64]) -> f64 {
        let d = self.parameters();
        if !self.support.iter().zip(theta).all(|(interval, &value)| interval.contains(value)) {
            return f64::NEG_INFINITY;
        }
        let mut u = vec![0.0; d];
        self.transform.unconstrained_from_theta(theta, &mut u);
        let log_abs_det = self.transform.log_abs_det(&u);
        self.kernel.solve_lower(&mut u);
        let exponents = self.whitened.chunks_exact(d).map(|row| -0.5 * row.iter().zip(&u).map(|(a, b)| (a - b) * (a - b)).sum::<f64>());
        let n = (self.whitened.len() / d) as f64;
        log_sum_exp(exponents) - libm::log(n) - HALF_LN_TAU * d as f64 - self.kernel.log_det_lower() - log_abs_det
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

fn column_means(rows: &[f64], columns: usize) -> Vec<f64> {
    let n = (rows.len() / columns) as f64;
    (0..columns).map(|i| rows.iter().skip(i).step_by(columns).sum::<f64>() / n).collect()
}

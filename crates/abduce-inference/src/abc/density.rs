//! A smooth density of an ABC sample.

use super::{AbcError, AbcSample};
use crate::prior::Interval;
use crate::prior::empirical::{Empirical, scott};
use abduce_data::Rng;

/// How wide the kernels are, in units of the sample's covariance on the unconstrained scale.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Bandwidth {
    /// The largest leave-one-out log-probability, on a grid of 24 widths from 0.1 to 3 of Scott's.
    #[default]
    CrossValidated,
    /// n^{−1/(d+4)}, n the effective number of draws (Scott 1992).
    Scott,
    /// (n (d + 2)/4)^{−1/(d+4)} (Silverman 1986, equation 4.14).
    Silverman,
    /// Given.
    Factor(f64),
}

/// A kernel density estimate of a weighted sample: Gaussian kernels on the unconstrained scale of the prior's support, so that it is zero
/// outside, and with the sample's own covariance.
#[derive(Clone, Debug)]
pub struct KernelDensity {
    kernels: Empirical,
    bandwidth: f64,
}

/// Widths that cross validation compares.
const WIDTHS: usize = 24;
/// Rows whose left-out density cross validation averages: so many tell the width to some per cent.
const LEFT_OUT: usize = 1000;

impl KernelDensity {
    /// Of a sample whose parameters lie in `support`.
    ///
    /// # Errors
    /// Fewer than d + 2 rows, rows that all lie in a plane, or a factor that is not positive.
    pub fn new(sample: &AbcSample, support: &[Interval], bandwidth: Bandwidth) -> Result<Self, AbcError> {
        let (d, n) = (support.len(), sample.effective_size());
        let kernels = |h: f64| Empirical::weighted(&sample.theta, &sample.weights, support.to_vec(), h);
        let bandwidth = match bandwidth {
            Bandwidth::Scott => scott(n, d),
            Bandwidth::Silverman => scott(n * (d as f64 + 2.0) / 4.0, d),
            Bandwidth::Factor(h) if h.is_finite() && h > 0.0 => h,
            Bandwidth::Factor(h) => return Err(AbcError::Option { option: "bandwidth", value: h, expected: "greater than 0" }),
            Bandwidth::CrossValidated => cross_validated(&kernels(1.0)?, scott(n, d), d),
        };
        Ok(Self { kernels: kernels(bandwidth)?, bandwidth })
    }

    /// Width of the kernels in units of the sample's.
    pub const fn bandwidth(&self) -> f64 {
        self.bandwidth
    }

    /// ln of the density at θ (d), normalised over the support; −∞ outside.
    pub fn log_prob(&self, theta: &[f64]) -> f64 {
        self.kernels.log_prob(theta)
    }

    /// A draw.
    pub fn sample(&self, rng: &mut Rng, theta: &mut [f64]) {
        self.kernels.sample(rng, theta);
    }
}

/// The width with the largest Σ_i w_i ln q_{−i}(u_i), i over evenly spaced rows; rows that coincide with row i are left out with it.
fn cross_validated(kernels: &Empirical, scott: f64, d: usize) -> f64 {
    let n = kernels.rows();
    let widths: Vec<f64> = (0..WIDTHS).map(|k| scott * 0.1 * 30.0f64.powf(k as f64 / (WIDTHS - 1) as f64)).collect();
    let mut scores = [0.0; WIDTHS];
    let mut squares = Vec::with_capacity(n);
    for i in (0..n).step_by(n.div_ceil(LEFT_OUT)) {
        squares.clear();
        for j in 0..n {
            let square: f64 = kernels.whitened(i).iter().zip(kernels.whitened(j)).map(|(a, b)| (a - b).powi(2)).sum();
            if square > 0.0 {
                squares.push((square, kernels.log_weight(j)));
            }
        }
        for (score, &h) in scores.iter_mut().zip(&widths) {
            let terms = || squares.iter().map(|(square, log_weight)| log_weight - 0.5 * square / (h * h));
            let top = terms().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = terms().map(|t| (t - top).exp()).sum();
            *score += kernels.log_weight(i).exp() * (top + sum.ln() - d as f64 * h.ln());
        }
    }
    let best = (0..WIDTHS).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0);
    widths[best]
}

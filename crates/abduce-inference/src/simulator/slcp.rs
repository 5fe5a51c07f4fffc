//! SLCP: simple likelihood, complex posterior (Papamakarios et al. 2019, arXiv:1805.07226; benchmark of arXiv:2101.04653).

use super::{Outcome, Simulator, built_in_prior};
use crate::prior::{Bounds, Prior, PriorSpec};
use abduce_data::{ParameterInfo, Rng};
use std::f64::consts::TAU;

/// Added to both variances, as the benchmark does.
const NUGGET: f64 = 1e-6;

/// θ ~ U[−3, 3]⁵; x is four independent points of N(m, S) with m = (θ0, θ1), s1 = θ2², s2 = θ3², ρ = tanh θ4 and
/// S = [[s1², ρ s1 s2], [ρ s1 s2, s2²]] + 1e-6 I.
#[derive(Clone, Debug)]
pub struct Slcp {
    prior: Prior,
}

impl Slcp {
    /// The task as published.
    pub fn new() -> Self {
        Self { prior: built_in_prior(PriorSpec::Uniform(Bounds { low: [-3.0; 5].into(), high: [3.0; 5].into() })) }
    }
}

impl Default for Slcp {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator for Slcp {
    fn name(&self) -> &'static str {
        "slcp"
    }

    fn parameters(&self) -> Vec<ParameterInfo> {
        ParameterInfo::numbered(5)
    }

    fn data_shape(&self) -> Vec<usize> {
        vec![8]
    }

    fn prior(&self) -> &Prior {
        &self.prior
    }

    fn simulate(&self, theta: &[f64], rng: &mut Rng, x: &mut [f32]) -> Outcome {
        let [l11, l21, l22] = covariance_factor(theta);
        for point in x.chunks_exact_mut(2) {
            let (a, b) = (rng.normal(), rng.normal());
            point[0] = (theta[0] + l11 * a) as f32;
            point[1] = (theta[1] + l21 * a + l22 * b) as f32;
        }
        Outcome::Done
    }

    fn log_likelihood(&self, theta: &[f64], x: &[f64]) -> Option<f64> {
        Some(log_likelihood(theta, x))
    }
}

/// L11, L21, L22 of the Cholesky factor of S.
///
/// L22² = S22 − S12²/S11, written with 1 − ρ² = sech² θ4 so that |ρ| → 1 loses no digits.
fn covariance_factor(theta: &[f64]) -> [f64; 3] {
    let (s1, s2) = (theta[2] * theta[2], theta[3] * theta[3]);
    let sech = 1.0 / libm::cosh(theta[4]);
    let s11 = s1 * s1 + NUGGET;
    let s12 = libm::tanh(theta[4]) * s1 * s2;
    let l11 = s11.sqrt();
    let rest = (s1 * s1 * s2 * s2 * sech * sech + NUGGET * (s1 * s1 + s2 * s2 + NUGGET)) / s11;
    [l11, s12 / l11, rest.sqrt()]
}

/// ln p(x | θ), the sum over the four points.
pub fn log_likelihood(theta: &[f64], x: &[f64]) -> f64 {
    let [l11, l21, l22] = covariance_factor(theta);
    let log_norm = -libm::log(TAU) - libm::log(l11) - libm::log(l22);
    x.chunks_exact(2)
        .map(|point| {
            let a = (point[0] - theta[0]) / l11;
            let b = (point[1] - theta[1] - l21 * a) / l22;
            log_norm - 0.5 * (a * a + b * b)
        })
        .sum()
}

//! Gaussian linear: the conjugate task of the benchmark of Lueckmann et al. 2021 (arXiv:2101.04653).

use super::{Outcome, Simulator, built_in_prior};
use crate::prior::{LocationScale, Prior, PriorSpec};
use abduce_data::{ParameterInfo, Rng};
use std::f64::consts::TAU;

/// Variance of the prior and of the noise.
const VARIANCE: f64 = 0.1;
const DIMENSIONS: usize = 10;

/// θ ~ N(0, 0.1 I) and x ~ N(θ, 0.1 I) in ten dimensions (0.1 is the variance); the posterior is N(x/2, 0.05 I).
#[derive(Clone, Debug)]
pub struct GaussianLinear {
    prior: Prior,
}

impl GaussianLinear {
    /// The task as published.
    pub fn new() -> Self {
        let arguments = LocationScale { loc: [0.0; DIMENSIONS].into(), scale: VARIANCE.sqrt().into() };
        Self { prior: built_in_prior(PriorSpec::Normal(arguments)) }
    }
}

impl Default for GaussianLinear {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator for GaussianLinear {
    fn name(&self) -> &'static str {
        "gaussian_linear"
    }

    fn parameters(&self) -> Vec<ParameterInfo> {
        ParameterInfo::numbered(DIMENSIONS)
    }

    fn data_shape(&self) -> Vec<usize> {
        vec![DIMENSIONS]
    }

    fn prior(&self) -> &Prior {
        &self.prior
    }

    fn simulate(&self, theta: &[f64], rng: &mut Rng, x: &mut [f32]) -> Outcome {
        for (x, theta) in x.iter_mut().zip(theta) {
            *x = (theta + VARIANCE.sqrt() * rng.normal()) as f32;
        }
        Outcome::Done
    }

    fn log_likelihood(&self, theta: &[f64], x: &[f64]) -> Option<f64> {
        Some(log_likelihood(theta, x))
    }
}

/// ln p(x | θ).
pub fn log_likelihood(theta: &[f64], x: &[f64]) -> f64 {
    theta.iter().zip(x).map(|(theta, x)| -0.5 * (x - theta) * (x - theta) / VARIANCE - 0.5 * libm::log(TAU * VARIANCE)).sum()
}

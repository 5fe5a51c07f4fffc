//! The toy model of the LtU-ILI documentation (arXiv:2402.05137): a curve with three amplitudes.

use super::{Outcome, Simulator, built_in_prior};
use crate::prior::{Bounds, Prior, PriorSpec};
use abduce_data::{ParameterInfo, Rng};
use std::f64::consts::TAU;

/// θ ~ U[0, 1]³; y_j = 3 θ0 sin t_j + θ1 t_j² − 2 θ2 t_j + N(0, 1).
#[derive(Clone, Debug)]
pub struct Toy {
    name: &'static str,
    times: Vec<f64>,
    prior: Prior,
}

impl Toy {
    /// t = 0, 1, …, 9.
    pub fn ten_integers() -> Self {
        Self::new("ltu_ili_toy", (0..10).map(f64::from).collect())
    }

    /// Twenty points from 0 to 10, both included.
    pub fn twenty_points() -> Self {
        Self::new("ltu_ili_toy_20", (0..20).map(|j| f64::from(j) * 10.0 / 19.0).collect())
    }

    fn new(name: &'static str, times: Vec<f64>) -> Self {
        Self { name, times, prior: built_in_prior(PriorSpec::Uniform(Bounds { low: [0.0; 3].into(), high: [1.0; 3].into() })) }
    }

    /// ln p(y | θ).
    pub fn log_likelihood(&self, theta: &[f64], y: &[f64]) -> f64 {
        self.times.iter().zip(y).map(|(&t, y)| -0.5 * (y - curve(theta, t)) * (y - curve(theta, t)) - 0.5 * libm::log(TAU)).sum()
    }
}

fn curve(theta: &[f64], t: f64) -> f64 {
    3.0 * theta[0] * libm::sin(t) + theta[1] * t * t - 2.0 * theta[2] * t
}

impl Simulator for Toy {
    fn name(&self) -> &'static str {
        self.name
    }

    fn parameters(&self) -> Vec<ParameterInfo> {
        ParameterInfo::numbered(3)
    }

    fn data_shape(&self) -> Vec<usize> {
        vec![self.times.len()]
    }

    fn prior(&self) -> &Prior {
        &self.prior
    }

    fn simulate(&self, theta: &[f64], rng: &mut Rng, x: &mut [f32]) -> Outcome {
        for (x, &t) in x.iter_mut().zip(&self.times) {
            *x = (curve(theta, t) + rng.normal()) as f32;
        }
        Outcome::Done
    }

    fn log_likelihood(&self, theta: &[f64], x: &[f64]) -> Option<f64> {
        Some(Self::log_likelihood(self, theta, x))
    }
}

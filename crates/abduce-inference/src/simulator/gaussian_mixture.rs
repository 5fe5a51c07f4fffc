//! Gaussian mixture: a wide and a narrow component with a common mean (Sisson et al. 2007; benchmark of arXiv:2101.04653).

use super::{Outcome, Simulator, built_in_prior};
use crate::prior::{Bounds, Prior, PriorSpec};
use abduce_data::{ParameterInfo, Rng};
use std::f64::consts::TAU;

/// Standard deviations of the two equally likely components.
const SCALES: [f64; 2] = [1.0, 0.1];

/// θ ~ U[−10, 10]²; x ~ ½ N(θ, I) + ½ N(θ, 0.01 I), one component for both coordinates. The posterior is the same mixture centred at x, cut
/// to the box. (The benchmark's first release drew the component per coordinate; its release 1.1 repaired that.)
#[derive(Clone, Debug)]
pub struct GaussianMixture {
    prior: Prior,
}

impl GaussianMixture {
    /// The task as repaired.
    pub fn new() -> Self {
        Self { prior: built_in_prior(PriorSpec::Uniform(Bounds { low: [-10.0; 2].into(), high: [10.0; 2].into() })) }
    }
}

impl Default for GaussianMixture {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator for GaussianMixture {
    fn name(&self) -> &'static str {
        "gaussian_mixture"
    }

    fn parameters(&self) -> Vec<ParameterInfo> {
        ParameterInfo::numbered(2)
    }

    fn data_shape(&self) -> Vec<usize> {
        vec![2]
    }

    fn prior(&self) -> &Prior {
        &self.prior
    }

    fn simulate(&self, theta: &[f64], rng: &mut Rng, x: &mut [f32]) -> Outcome {
        let scale = SCALES[rng.below(2)];
        for (x, theta) in x.iter_mut().zip(theta) {
            *x = (theta + scale * rng.normal()) as f32;
        }
        Outcome::Done
    }

    fn log_likelihood(&self, theta: &[f64], x: &[f64]) -> Option<f64> {
        Some(log_likelihood(theta, x))
    }
}

/// ln p(x | θ).
pub fn log_likelihood(theta: &[f64], x: &[f64]) -> f64 {
    let square: f64 = theta.iter().zip(x).map(|(theta, x)| (x - theta) * (x - theta)).sum();
    let [wide, narrow] = SCALES.map(|scale| -0.5 * square / (scale * scale) - libm::log(2.0 * TAU * scale * scale));
    wide.max(narrow) + libm::log1p(libm::exp(-(wide - narrow).abs()))
}

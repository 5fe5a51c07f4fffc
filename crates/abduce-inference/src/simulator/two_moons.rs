//! Two moons (Greenberg et al. 2019, arXiv:1905.07488; benchmark of Lueckmann et al. 2021, arXiv:2101.04653).

use super::{Outcome, Simulator, built_in_prior};
use crate::prior::{Bounds, Prior, PriorSpec};
use abduce_data::{ParameterInfo, Rng};
use std::f64::consts::{FRAC_1_SQRT_2, PI, TAU};

/// Mean and standard deviation of the radius.
const RADIUS: (f64, f64) = (0.1, 0.01);

/// θ ~ U[−1, 1]²; with a ~ U(−π/2, π/2) and r ~ N(0.1, 0.01²),
/// x = (r cos a + 0.25 − |θ0 + θ1|/√2, r sin a + (θ1 − θ0)/√2): crescents, in two places.
#[derive(Clone, Debug)]
pub struct TwoMoons {
    prior: Prior,
}

impl TwoMoons {
    /// The task as published.
    pub fn new() -> Self {
        Self { prior: built_in_prior(PriorSpec::Uniform(Bounds { low: [-1.0; 2].into(), high: [1.0; 2].into() })) }
    }
}

impl Default for TwoMoons {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator for TwoMoons {
    fn name(&self) -> &'static str {
        "two_moons"
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
        let (sin, cos) = libm::sincos(PI * (rng.uniform() - 0.5));
        let radius = RADIUS.0 + RADIUS.1 * rng.normal();
        let [shift_x, shift_y] = shift(theta);
        x[0] = (radius * cos + shift_x) as f32;
        x[1] = (radius * sin + shift_y) as f32;
        Outcome::Done
    }

    fn log_likelihood(&self, theta: &[f64], x: &[f64]) -> Option<f64> {
        Some(log_likelihood(theta, x))
    }
}

/// Centre of the half-circle that θ stands for.
fn shift(theta: &[f64]) -> [f64; 2] {
    [0.25 - (theta[0] + theta[1]).abs() * FRAC_1_SQRT_2, (theta[1] - theta[0]) * FRAC_1_SQRT_2]
}

/// ln p(x | θ). In polar coordinates about the centre the density is N(r; 0.1, 0.01²)/π on the right half-plane, in Cartesian ones it has the
/// Jacobian 1/r besides (which the benchmark's own likelihood function omits; its reference draws obey it).
pub fn log_likelihood(theta: &[f64], x: &[f64]) -> f64 {
    let [shift_x, shift_y] = shift(theta);
    let (u, v) = (x[0] - shift_x, x[1] - shift_y);
    if u < 0.0 {
        return f64::NEG_INFINITY;
    }
    let radius = libm::hypot(u, v);
    let z = (radius - RADIUS.0) / RADIUS.1;
    -0.5 * z * z - 0.5 * libm::log(TAU) - libm::log(RADIUS.1) - libm::log(PI * radius)
}

//! Laws of the diagnostics, on posteriors known in closed form.

mod conformal;
mod local;
mod matrix;
mod rates;
mod requirements;

use super::{PriorSpread, Validation, ValidationInputs, ValidationOptions, validate};
use abduce_data::{Rng, Seed};
use statrs::function::erf::erfc_inv;
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

/// What is wrong with a posterior.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    /// Nothing: the exact posterior.
    None,
    /// Every mean shifted by this many posterior standard deviations.
    Shifted(f64),
    /// Every standard deviation times this.
    Scaled(f64),
    /// The prior instead of the posterior.
    IgnoresData,
    /// Too low where x_j > 0 and too high where x_j < 0, so that the ranks of all pairs together are exactly uniform: given the sign of x_j, the truth's
    /// probability integral transform v has the density 1 ± w (2 v - 1).
    AverageOnly(f64),
}

/// What the posterior of parameter j claims given x_j.
#[derive(Clone, Copy, Debug)]
struct Claim {
    mean: f64,
    sd: f64,
    /// The w of [`Defect::AverageOnly`] with its sign; 0 for the others.
    warp: f64,
}

impl Claim {
    fn new(defect: Defect, sigma: f64, x: f64) -> Self {
        let variance = sigma * sigma;
        let (mean, sd) = (x / (1.0 + variance), (variance / (1.0 + variance)).sqrt());
        match defect {
            Defect::None => Self { mean, sd, warp: 0.0 },
            Defect::Shifted(by) => Self { mean: mean + by * sd, sd, warp: 0.0 },
            Defect::Scaled(by) => Self { mean, sd: by * sd, warp: 0.0 },
            Defect::IgnoresData => Self { mean: 0.0, sd: 1.0, warp: 0.0 },
            Defect::AverageOnly(w) => Self { mean, sd, warp: w * x.signum() },
        }
    }

    /// With V ~ U(0, 1) the normal's transform is U = V + w (V² - V).
    fn draw(self, rng: &mut Rng) -> f64 {
        let z = rng.normal();
        if self.warp == 0.0 {
            return self.mean + self.sd * z;
        }
        let v = 0.5 * libm::erfc(-z * FRAC_1_SQRT_2);
        let u = v + self.warp * (v * v - v);
        self.mean - self.sd * SQRT_2 * erfc_inv(2.0 * u)
    }

    /// log of the normal density, less log dU/dV.
    fn log_prob(self, theta: f64) -> f64 {
        let normal = log_normal_density(theta, self.mean, self.sd);
        if self.warp == 0.0 {
            return normal;
        }
        let (w, u) = (self.warp, 0.5 * libm::erfc(-(theta - self.mean) / self.sd * FRAC_1_SQRT_2));
        let v = ((1.0 - w).powi(2) + 4.0 * w * u).sqrt() / (2.0 * w) - (1.0 - w) / (2.0 * w);
        normal - (1.0 + w * (2.0 * v - 1.0)).ln()
    }
}

/// Test pairs of the linear Gaussian: θ_j ~ N(0, 1), x_j = θ_j + N(0, σ_j²), with a posterior that has a defect.
///
/// The exact posterior is N(x_j/(1 + σ_j²), σ_j²/(1 + σ_j²)).
#[derive(Clone, PartialEq, Debug)]
struct LinearGaussian {
    parameters: Vec<String>,
    theta: Vec<f64>,
    samples: Vec<f64>,
    log_prob_theta: Vec<f64>,
    log_prob_samples: Vec<f64>,
    prior_log_prob: Vec<f64>,
    x: Vec<f64>,
}

fn log_normal_density(value: f64, mean: f64, sd: f64) -> f64 {
    -0.5 * ((value - mean) / sd).powi(2) - sd.ln() - 0.5 * std::f64::consts::TAU.ln()
}

impl LinearGaussian {
    fn new(noise: &[f64], n: usize, draws: usize, defect: Defect, seed: Seed) -> Self {
        let parameters = (0..noise.len()).map(|j| format!("theta_{j}")).collect();
        let mut all = Self {
            parameters,
            theta: vec![],
            samples: vec![],
            log_prob_theta: vec![],
            log_prob_samples: vec![],
            prior_log_prob: vec![],
            x: vec![],
        };
        for i in 0..n {
            let mut rng = seed.stream("linear Gaussian", i as u64);
            let mut claims = Vec::new();
            let (mut log_q, mut log_p) = (0.0, 0.0);
            for &sigma in noise {
                let theta = rng.normal();
                let x = theta + sigma * rng.normal();
                let claim = Claim::new(defect, sigma, x);
                log_q += claim.log_prob(theta);
                log_p += log_normal_density(theta, 0.0, 1.0);
                all.theta.push(theta);
                all.x.push(x);
                claims.push(claim);
            }
            all.log_prob_theta.push(log_q);
            all.prior_log_prob.push(log_p);
            for _ in 0..draws {
                let mut log_q = 0.0;
                for claim in &claims {
                    let theta = claim.draw(&mut rng);
                    log_q += claim.log_prob(theta);
                    all.samples.push(theta);
                }
                all.log_prob_samples.push(log_q);
            }
        }
        all
    }

    fn inputs(&self) -> ValidationInputs<'_> {
        ValidationInputs {
            parameters: &self.parameters,
            theta: &self.theta,
            samples: &self.samples,
            log_prob_theta: &self.log_prob_theta,
            log_prob_samples: Some(&self.log_prob_samples),
            prior_log_prob: &self.prior_log_prob,
            prior: PriorSpread::Variance(&[1.0; 8][..self.parameters.len()]),
            x: Some(&self.x),
        }
    }

    fn validate(&self, seed: u64) -> Validation {
        validate(&self.inputs(), Seed(seed), &ValidationOptions::default()).unwrap()
    }

    /// One draw of the posterior of each pair (n, d): the first.
    fn first_draws(&self) -> Vec<f64> {
        let (d, n) = (self.parameters.len(), self.log_prob_theta.len());
        self.samples.chunks_exact(self.samples.len() / n).flat_map(|draws| &draws[..d]).copied().collect()
    }
}

/// Draws of the prior (m, d).
fn prior_draws(m: usize, d: usize, seed: Seed) -> Vec<f64> {
    let mut rng = seed.stream("prior draws", 0);
    (0..m * d).map(|_| rng.normal()).collect()
}

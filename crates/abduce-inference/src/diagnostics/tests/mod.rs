//! Laws of the diagnostics, on posteriors known in closed form.

mod matrix;
mod rates;
mod requirements;

use super::{PriorSpread, Validation, ValidationInputs, ValidationOptions, validate};
use abduce_data::Seed;

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
            let mut moments = Vec::new();
            let (mut log_q, mut log_p) = (0.0, 0.0);
            for sigma in noise {
                let theta = rng.normal();
                let x = theta + sigma * rng.normal();
                let variance = sigma * sigma;
                let (mean, sd) = (x / (1.0 + variance), (variance / (1.0 + variance)).sqrt());
                let (mean, sd) = match defect {
                    Defect::None => (mean, sd),
                    Defect::Shifted(by) => (mean + by * sd, sd),
                    Defect::Scaled(by) => (mean, by * sd),
                    Defect::IgnoresData => (0.0, 1.0),
                };
                log_q += log_normal_density(theta, mean, sd);
                log_p += log_normal_density(theta, 0.0, 1.0);
                all.theta.push(theta);
                all.x.push(x);
                moments.push((mean, sd));
            }
            all.log_prob_theta.push(log_q);
            all.prior_log_prob.push(log_p);
            for _ in 0..draws {
                let mut log_q = 0.0;
                for &(mean, sd) in &moments {
                    let theta = mean + sd * rng.normal();
                    log_q += log_normal_density(theta, mean, sd);
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
}

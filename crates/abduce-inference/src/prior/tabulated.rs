//! A density of one parameter that is linear between the points of a table.

use super::{Interval, PriorError};
use abduce_data::Rng;

/// Piecewise-linear density, normalised.
#[derive(Clone, Debug)]
pub(crate) struct Tabulated {
    theta: Vec<f64>,
    /// Density at the points; integrates to 1 by the trapezium rule, which is exact here.
    density: Vec<f64>,
    /// Probability below each point.
    cumulative: Vec<f64>,
}

impl Tabulated {
    /// Checks and normalises a table.
    pub(crate) fn new(theta: &[f64], density: &[f64]) -> Result<Self, PriorError> {
        if theta.len() != density.len() {
            return Err(PriorError::Length { family: "tabulated", argument: "density", found: density.len(), expected: theta.len() });
        }
        if theta.len() < 2 {
            return Err(PriorError::Table { reason: "at least two points are needed" });
        }
        if !theta.iter().all(|value| value.is_finite()) || !theta.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(PriorError::Table { reason: "theta must be finite and increasing" });
        }
        if !density.iter().all(|&value| value.is_finite() && value >= 0.0) {
            return Err(PriorError::Table { reason: "the density must be finite and not negative" });
        }
        let mut cumulative = vec![0.0];
        let mut total = 0.0;
        for i in 1..theta.len() {
            total += 0.5 * (density[i] + density[i - 1]) * (theta[i] - theta[i - 1]);
            cumulative.push(total);
        }
        if !(total > 0.0 && total.is_finite()) {
            return Err(PriorError::Table { reason: "the density must have a positive, finite integral" });
        }
        cumulative.iter_mut().for_each(|value| *value /= total);
        Ok(Self { theta: theta.to_vec(), density: density.iter().map(|value| value / total).collect(), cumulative })
    }

    pub(super) fn support(&self) -> Interval {
        Interval { low: self.theta[0], high: self.theta[self.theta.len() - 1] }
    }

    /// Inverse of the cumulative distribution, a quadratic in each piece.
    pub(crate) fn sample(&self, rng: &mut Rng) -> f64 {
        let u = rng.uniform();
        let i = self.cumulative.partition_point(|&c| c <= u).clamp(1, self.theta.len() - 1) - 1;
        let width = self.theta[i + 1] - self.theta[i];
        let (left, right) = (self.density[i], self.density[i + 1]);
        let need = u - self.cumulative[i];
        // need = left t + (right − left) t²/(2 width), in the form that stays finite when right = left.
        let root = (left * left + 2.0 * (right - left) * need / width).max(0.0).sqrt();
        let sum = left + root;
        if sum > 0.0 { self.theta[i] + (2.0 * need / sum).min(width) } else { self.theta[i] }
    }

    pub(super) fn log_prob(&self, theta: f64) -> f64 {
        libm::log(self.rise_and_density(theta).1)
    }

    /// dp/dθ of the piece that θ lies on, and p(θ).
    pub(super) fn rise_and_density(&self, theta: f64) -> (f64, f64) {
        let i = self.theta.partition_point(|&point| point <= theta).clamp(1, self.theta.len() - 1) - 1;
        let (rise, run) = (self.density[i + 1] - self.density[i], self.theta[i + 1] - self.theta[i]);
        (rise / run, self.density[i] + (theta - self.theta[i]) / run * rise)
    }

    /// Mean and standard deviation, exact: on a piece with midpoint m and half-width h, ∫(θ − c)^k p is a polynomial.
    pub(super) fn moments(&self) -> (f64, f64) {
        let moment = |centre: f64, power: i32| -> f64 {
            (1..self.theta.len())
                .map(|i| {
                    let half = 0.5 * (self.theta[i] - self.theta[i - 1]);
                    let middle = 0.5 * (self.theta[i] + self.theta[i - 1]) - centre;
                    let level = 0.5 * (self.density[i] + self.density[i - 1]);
                    let tilt = 0.5 * (self.density[i] - self.density[i - 1]);
                    let h2 = half * half / 3.0;
                    // With s in [−1, 1]: ∫ (m + h s)^k (level + tilt s) h ds.
                    2.0 * half
                        * match power {
                            1 => middle * level + half * tilt / 3.0,
                            _ => (middle * middle + h2) * level + 2.0 * middle * half * tilt / 3.0,
                        }
                })
                .sum()
        };
        let mean = self.theta[0] + moment(self.theta[0], 1);
        (mean, moment(mean, 2).max(0.0).sqrt())
    }
}

//! Every density once more in plain scalar f64, written from the formulae alone: one row at a time, no graph, no layers.

mod flow;
mod mixture;
mod monotone;
mod network;

use super::cases::Case;
use abduce_density::{Architecture, DensitySpec, Space};
use std::collections::BTreeMap;
use std::ops::Range;

/// log q and everything on the way to it, for one set of parameters.
pub(crate) struct Reference<'a> {
    architecture: &'a Architecture,
    values: Vec<f64>,
    ranges: BTreeMap<&'a str, Range<usize>>,
}

impl<'a> Reference<'a> {
    pub(crate) fn new(case: &'a Case) -> Self {
        let parameters = case.estimator.layout().parameters();
        Self {
            architecture: case.estimator.architecture(),
            values: super::cases::wide(&case.params),
            ranges: parameters.iter().map(|p| (p.name.as_str(), p.range.clone())).collect(),
        }
    }

    /// log q(θ | x).
    pub(crate) fn log_prob(&self, theta: &[f64], x: &[f64]) -> f64 {
        let c = self.summaries(x);
        match &self.architecture.density {
            DensitySpec::Mdn { hidden, components } => {
                let raw = self.perceptron("", &c, hidden, |a| a.max(0.0));
                mixture::log_density(*components, &raw, theta)
            }
            DensitySpec::Made { hidden, components } => {
                let raw = self.made(theta, &c, hidden, *components);
                raw.chunks(3 * components).zip(theta).map(|(raw, &t)| mixture::log_density(*components, raw, &[t])).sum()
            }
            _ => {
                let (noise, ladj) = self.noise(theta, x).expect("a flow");
                self.log_base(&noise) + ladj
            }
        }
    }

    /// Log-density of a flow's noise: standard normal, or uniform on circles.
    pub(crate) fn log_base(&self, noise: &[f64]) -> f64 {
        let log_tau = std::f64::consts::TAU.ln();
        match self.architecture.density.space() {
            Space::Reals => noise.iter().map(|z| -0.5 * z * z - 0.5 * log_tau).sum(),
            Space::Angles => -log_tau * noise.len() as f64,
        }
    }

    /// The noise to which a flow takes θ, and log|det ∂noise/∂θ|; `None` for densities that are no flows.
    pub(crate) fn noise(&self, theta: &[f64], x: &[f64]) -> Option<(Vec<f64>, f64)> {
        flow::forward(self, &self.architecture.density, theta, &self.summaries(x))
    }

    fn summaries(&self, x: &[f64]) -> Vec<f64> {
        if x.is_empty() { Vec::new() } else { self.embed(&self.architecture.embedding, x) }
    }

    fn tensor(&self, path: &str) -> &[f64] {
        let range = self.ranges.get(path).unwrap_or_else(|| panic!("no parameter `{path}`"));
        &self.values[range.clone()]
    }

    /// Weighted sum of log q over the rows of a case.
    fn weighted_log_prob(&self, case: &Case, weights: &[f64]) -> f64 {
        (0..case.rows).map(|row| weights[row] * self.log_prob(&case.theta_row(row), &case.x_row(row))).sum()
    }
}

/// Gradients of Σ weightᵣ log q(θᵣ | xᵣ) by central differences.
pub(crate) struct Gradients {
    pub(crate) params: Vec<f64>,
    pub(crate) theta: Vec<f64>,
    pub(crate) x: Vec<f64>,
}

/// Step of the central differences: truncation h² f''' ~ 1e-12 and rounding 1e-15/h ~ 1e-8, both far below f32 rounding; so small that hardly any
/// kink of a rectifier or knot of a spline falls between the two sides.
const STEP: f64 = 2e-7;

/// Differences by every trained parameter and every input. Fixed parameters get 0.
pub(crate) fn gradients(case: &Case, weights: &[f64]) -> Gradients {
    let mut reference = Reference::new(case);
    let mask = case.estimator.layout().gradient_mask();
    let params = (0..case.params.len())
        .map(|i| {
            if mask.is_some_and(|mask| mask[i] == 0.0) {
                return 0.0;
            }
            let centre = reference.values[i];
            let mut at = |value: f64| {
                reference.values[i] = value;
                reference.weighted_log_prob(case, weights)
            };
            let slope = (at(centre + STEP) - at(centre - STEP)) / (2.0 * STEP);
            at(centre);
            slope
        })
        .collect();
    let by_input = |row: usize, own: Vec<f64>, log_prob: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
        (0..own.len())
            .map(|f| {
                let at = |delta: f64| {
                    let mut moved = own.clone();
                    moved[f] += delta;
                    log_prob(&moved)
                };
                weights[row] * (at(STEP) - at(-STEP)) / (2.0 * STEP)
            })
            .collect()
    };
    let (mut theta, mut x) = (Vec::new(), Vec::new());
    for row in 0..case.rows {
        let (theta_row, x_row) = (case.theta_row(row), case.x_row(row));
        theta.extend(by_input(row, theta_row.clone(), &|moved| reference.log_prob(moved, &x_row)));
        x.extend(by_input(row, x_row.clone(), &|moved| reference.log_prob(&theta_row, moved)));
    }
    Gradients { params, theta, x }
}

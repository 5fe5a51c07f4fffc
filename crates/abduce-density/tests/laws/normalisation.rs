//! ∫ q(θ | x) dθ = 1 by quadrature.

use super::cases::{self, Case};
use abduce_data::Seed;
use abduce_density::Space;
use abduce_nn::Compute;
use std::f64::consts::{PI, TAU};

/// A grid that holds all the mass: for each feature the range of many draws, widened on both sides by the range itself; for angles the circle.
pub(crate) struct Grid {
    /// (low, spacing) per feature.
    axes: Vec<(f64, f64)>,
    points: usize,
}

impl Grid {
    pub(crate) fn new(case: &Case, points: usize) -> Self {
        let d = case.features();
        if case.space() == Space::Angles {
            let spacing = TAU / points as f64;
            return Self { axes: vec![(0.5 * spacing - PI, spacing); d], points };
        }
        let draws = case.estimator.sample(&cases::best(), &case.params, &case.x[..case.context()], &[4000], Seed(5));
        let axes = (0..d)
            .map(|f| {
                let own = draws.iter().skip(f).step_by(d).map(|&t| f64::from(t));
                let (low, high) = own.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), t| (low.min(t), high.max(t)));
                let range = high - low;
                (low - range, 3.0 * range / (points - 1) as f64)
            })
            .collect();
        Self { axes, points }
    }

    /// Point `i` of axis `f`.
    pub(crate) fn at(&self, f: usize, i: usize) -> f64 {
        let (low, spacing) = self.axes[f];
        low + spacing * i as f64
    }

    /// Index of the cell around a grid point that holds `t`, for draws.
    pub(crate) fn cell(&self, f: usize, t: f64) -> usize {
        let (low, spacing) = self.axes[f];
        ((t - low) / spacing).round().clamp(0.0, (self.points - 1) as f64) as usize
    }

    /// Probability of the cell around each point, the first feature varying fastest: q times the cell's volume.
    pub(crate) fn masses(&self, case: &Case, compute: &Compute) -> Vec<f64> {
        let (d, n) = (self.axes.len(), self.points);
        let theta: Vec<f32> = (0..n.pow(d as u32)).flat_map(|p| (0..d).map(move |f| self.at(f, p / n.pow(f as u32) % n) as f32)).collect();
        let log_q = case.estimator.log_prob(compute, &case.params, &theta, &case.x[..case.context()], |_| 0);
        let volume: f64 = self.axes.iter().map(|&(_, spacing)| spacing).product();
        log_q.iter().map(|&l| f64::from(l).exp() * volume).collect()
    }
}

/// The sum over a fine grid errs by the curvature within a cell: widths of order 1 against spacings of 1e-3 in one dimension.
#[test]
fn one_dimensional_densities_integrate_to_one_at_every_level() {
    for context in [0, 4] {
        for case in cases::of_shape(1, context, 1) {
            let grid = Grid::new(&case, 20_001);
            for compute in cases::levels() {
                let total: f64 = grid.masses(&case, &compute).iter().sum();
                assert!((total - 1.0).abs() < 1e-4, "{} at {}: ∫q = {total}", case.name, compute.simd);
            }
        }
    }
}

/// Spacings of some 0.05 in two dimensions; kinks of the splines' densities leave 1e-4.
#[test]
fn two_dimensional_densities_integrate_to_one() {
    for context in [0, 4] {
        for case in cases::of_shape(2, context, 1) {
            let total: f64 = Grid::new(&case, 501).masses(&case, &cases::best()).iter().sum();
            assert!((total - 1.0).abs() < 1e-3, "{}: ∫q = {total}", case.name);
        }
    }
}

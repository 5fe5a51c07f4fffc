//! Reference points for TARP that depend on the data.
//!
//! With references drawn independently of x, TARP can't tell a posterior that ignores the data: under the prior used as posterior θ_i and
//! the draws are exchangeable given r_i. Lemos et al. (2023, arXiv:2302.03026, section on the choice of references) need r to
//! depend on x. Power needs more: r_i must lie near where the data put θ_i, since then θ_i is nearer to it than draws which ignore x are.
//! So r_i is a *prediction of θ_i from x_i*.
//!
//! **Exactness.** A prediction fitted to all pairs, or leave-one-out, ties the levels f_i of different pairs together, and the
//! Kolmogorov-Smirnov test would no longer reject at its nominal rate. Here r_i uses x_i and the pairs *before* i only. Given these, θ_i
//! and its draws are exchangeable for an exact posterior, so f_i is uniform given f_1 … f_{i-1}: the levels are independent and uniform, whatever
//! the predictor.

use super::Pairs;
use super::features::FeatureScale;
use super::tarp::{ThetaBox, random_references};
use abduce_data::Seed;

/// Pairs that the nearest neighbour is sought among, the latest ones: bounds the cost at n · 1000 · 64.
const MAX_NEIGHBOURS: usize = 1000;
/// The first references stay random: a prediction from fewer pairs says nothing.
const MIN_HISTORY: usize = 10;

/// One reference per usable pair (n, d), predicted from its features and the pairs before it; `None` without features.
///
/// Two predictors run side by side: the θ of the nearest earlier x (any relation, few features) and ridge regression on standardised features
/// (many features, near-linear relation). Each pair takes the one whose geometric mean distance from the truth has been smaller so far: unlike the
/// mean square, it prefers a predictor that is often exact, on one of two branches say, to one that is always halfway between.
pub fn x_dependent_references(pairs: &Pairs<'_>, seed: Seed) -> Option<Vec<f64>> {
    let features = standardised_features(pairs, seed)?;
    let width = features.len() / pairs.len();
    let (n, d) = (pairs.len(), pairs.parameters());
    let theta_box = ThetaBox::of(pairs);
    let mut references = random_references(pairs, seed.derive("diagnostics.tarp.x", 0));
    if width == 0 {
        return Some(references); // all features constant: the data say nothing, and neither can a reference
    }
    let unit = |i: usize| -> Vec<f64> {
        let theta = pairs.theta(i).iter();
        theta.zip(&theta_box.low).zip(&theta_box.width).map(|((t, low), w)| (t - low) / w).collect()
    };
    let theta_unit: Vec<f64> = (0..n).flat_map(unit).collect();
    let mut ridge = RecursiveRidge::new(width, d);
    let (mut neighbour_log_error, mut ridge_log_error) = (0.0, 0.0);
    // In units of the θ box; 1e-3 keeps an exact hit (θ on a grid) from deciding for ever.
    let log_error = |guess: &[f64], truth: &[f64]| libm::log(squared_distance(guess, truth) + 1e-6);
    for i in 0..n {
        let x = &features[i * width..][..width];
        let truth = &theta_unit[i * d..][..d];
        if i >= MIN_HISTORY {
            let first = i.saturating_sub(MAX_NEIGHBOURS);
            let nearest = nearest_row(x, &features[first * width..i * width]) + first;
            let neighbour = &theta_unit[nearest * d..][..d];
            let fitted = ridge.predict(x);
            let chosen = if neighbour_log_error < ridge_log_error { neighbour } else { &fitted[..] };
            for j in 0..d {
                references[i * d + j] = theta_box.low[j] + theta_box.width[j] * chosen[j];
            }
            neighbour_log_error += log_error(neighbour, truth);
            ridge_log_error += log_error(&fitted, truth);
        }
        ridge.learn(x, truth);
    }
    Some(references)
}

/// Features (n, F') of the usable pairs, standardised. They are functions of x alone.
fn standardised_features(pairs: &Pairs<'_>, seed: Seed) -> Option<Vec<f64>> {
    let rows = (0..pairs.len()).map(|i| pairs.x(i)).collect::<Option<Vec<_>>>()?;
    let scale = FeatureScale::fit(&rows, seed);
    Some(rows.iter().flat_map(|row| scale.transform(row)).collect())
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

/// Row of `rows` nearest to `x`; the first of equals. `rows` isn't empty.
fn nearest_row(x: &[f64], rows: &[f64]) -> usize {
    let mut best = (f64::INFINITY, 0);
    for (i, row) in rows.chunks_exact(x.len()).enumerate() {
        let distance = squared_distance(x, row);
        if distance < best.0 {
            best = (distance, i);
        }
    }
    best.1
}

/// Ridge regression with penalty 1 and an intercept, updated one pair at a time (Sherman and Morrison 1950).
struct RecursiveRidge {
    inverse: Vec<f64>, // (p, p) of ZᵀZ + 1, symmetric; p = features + 1
    weights: Vec<f64>, // (p, d)
    z: Vec<f64>,       // (p): the features with a leading 1
    outputs: usize,
}

impl RecursiveRidge {
    fn new(features: usize, outputs: usize) -> Self {
        let p = features + 1;
        let mut inverse = vec![0.0; p * p];
        inverse.iter_mut().step_by(p + 1).for_each(|v| *v = 1.0);
        Self { inverse, weights: vec![0.0; p * outputs], z: vec![1.0; p], outputs }
    }

    fn predict(&self, x: &[f64]) -> Vec<f64> {
        let mut y = self.weights[..self.outputs].to_vec();
        for (weights, v) in self.weights[self.outputs..].chunks_exact(self.outputs).zip(x) {
            y.iter_mut().zip(weights).for_each(|(y, w)| *y += w * v);
        }
        y
    }

    fn learn(&mut self, x: &[f64], y: &[f64]) {
        let fitted = self.predict(x);
        self.z[1..].copy_from_slice(x);
        let p = self.z.len();
        let gain: Vec<f64> = self.inverse.chunks_exact(p).map(|row| row.iter().zip(&self.z).map(|(a, b)| a * b).sum()).collect();
        let scale = 1.0 / (1.0 + gain.iter().zip(&self.z).map(|(a, b)| a * b).sum::<f64>());
        for (k, g) in gain.iter().enumerate() {
            for (j, fit) in fitted.iter().enumerate() {
                self.weights[k * self.outputs + j] += scale * g * (y[j] - fit);
            }
            for (entry, h) in self.inverse[k * p..][..p].iter_mut().zip(&gain) {
                *entry -= scale * g * h;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One feature, penalty 1 on slope and intercept: the normal equations for x = 1, 2, 3, y = 1, 2, 4 are
    /// (4 6; 6 15) (a, b) = (7, 17), so a = 1/8, b = 13/12.
    #[test]
    fn recursive_ridge_solves_the_normal_equations() {
        let mut ridge = RecursiveRidge::new(1, 1);
        for (x, y) in [(1.0, 1.0), (2.0, 2.0), (3.0, 4.0)] {
            ridge.learn(&[x], &[y]);
        }
        assert!((ridge.weights[0] - 0.125).abs() < 1e-12 && (ridge.weights[1] - 13.0 / 12.0).abs() < 1e-12, "{:?}", ridge.weights);
    }
}

//! From the statistics of references and of a cloud to ln d: two regressions, weighted by their own errors.

use crate::eigen::{self, Eigen};

/// A normal law of ln d.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LogDimension {
    pub mean: f64,
    pub sd: f64,
}

/// References: rows of features and the logarithms of their dimensions.
pub(super) struct References {
    pub features: Vec<Vec<f64>>,
    pub log_dimensions: Vec<f64>,
}

/// No regression is trusted to better than this.
const LEAST_SD: f64 = 0.005;
/// A cloud that lies farther out than this many standard deviations of the references in a feature counts as lying there.
const CLIP: f64 = 4.0;

/// Regression of ln d on the features at `query`.
///
/// A ridge regression weighted towards references that look alike extrapolates safely; a Gaussian process with a smooth and a linear kernel follows curved
/// relations where references are near. They are averaged with their inverse variances; where they disagree, the variance grows.
pub(super) fn regress(references: &References, query: &[f64]) -> LogDimension {
    let first = references.log_dimensions[0];
    if references.log_dimensions.iter().all(|l| *l == first) {
        return LogDimension { mean: first, sd: LEAST_SD };
    }
    let (a, b) = (local_ridge(references, query), gaussian_process(references, query));
    let (wa, wb) = (a.sd.powi(-2), b.sd.powi(-2));
    let (wa, wb) = (wa / (wa + wb), wb / (wa + wb));
    let mean = wa * a.mean + wb * b.mean;
    let variance = wa * a.sd * a.sd + wb * b.sd * b.sd + wa * wb * (a.mean - b.mean).powi(2);
    LogDimension { mean, sd: variance.sqrt() }
}

/// Features in units of their (weighted) standard deviations over the references, and the query's, clipped.
fn standardised(references: &References, weights: &[f64], query: &[f64]) -> (Vec<Vec<f64>>, Vec<f64>) {
    let total: f64 = weights.iter().sum();
    let (mut rows, mut point) = (references.features.clone(), query.to_vec());
    for c in 0..query.len() {
        let mean = rows.iter().zip(weights).map(|(row, w)| w * row[c]).sum::<f64>() / total;
        let variance = rows.iter().zip(weights).map(|(row, w)| w * (row[c] - mean) * (row[c] - mean)).sum::<f64>() / total;
        let sd = variance.sqrt() + 1e-4;
        rows.iter_mut().for_each(|row| row[c] = (row[c] - mean) / sd);
        point[c] = ((point[c] - mean) / sd).clamp(-CLIP, CLIP);
    }
    (rows, point)
}

/// Mean squared difference of the features.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / a.len() as f64
}

fn quantile_of(values: &[f64], p: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    crate::special::quantile(&sorted, p)
}

/// Ridge regression, then once more with weights that fall with the distance of the features and of the predicted ln d; the error from leaving out each
/// reference in turn.
fn local_ridge(references: &References, query: &[f64]) -> LogDimension {
    const PENALTY: f64 = 3.0;
    const SHARE: f64 = 0.25;
    const WIDTH: f64 = 0.35;
    let y = &references.log_dimensions;
    let mut weights = vec![1.0; y.len()];
    let columns = query.len() + 1;
    let dot = |b: &[f64], row: &[f64]| b[0] + b[1..].iter().zip(row).map(|(b, v)| b * v).sum::<f64>();
    for round in 0.. {
        let (rows, point) = standardised(references, &weights, query);
        let entry = |row: &[f64], j: usize| if j == 0 { 1.0 } else { row[j - 1] };
        let mut normal = vec![0.0; columns * columns];
        let mut right = vec![0.0; columns];
        for ((row, y), w) in rows.iter().zip(y).zip(&weights) {
            for i in 0..columns {
                let wi = w * entry(row, i);
                right[i] += wi * y;
                for j in 0..=i {
                    normal[i * columns + j] += wi * entry(row, j);
                }
            }
        }
        (1..columns).for_each(|i| normal[i * columns + i] += PENALTY);
        let inverse = Inverse::new(columns, &normal);
        let b = inverse.times(&right);
        let here = dot(&b, &point);
        let predicted: Vec<f64> = rows.iter().map(|row| dot(&b, row)).collect();
        if round == 0 {
            let distances: Vec<f64> = rows.iter().map(|row| distance(row, &point)).collect();
            let reach = quantile_of(&distances, SHARE).max(1e-12);
            for ((w, d), p) in weights.iter_mut().zip(&distances).zip(&predicted) {
                *w = (-0.5 * d / reach - 0.5 * ((p - here) / WIDTH).powi(2)).exp();
            }
            continue;
        }
        let (mut squares, mut total) = (0.0, 0.0);
        for (((row, y), w), p) in rows.iter().zip(y).zip(&weights).zip(&predicted) {
            let full: Vec<f64> = (0..columns).map(|j| entry(row, j)).collect();
            let leverage = w * full.iter().zip(inverse.times(&full)).map(|(a, b)| a * b).sum::<f64>();
            let residual = (y - p) / (1.0 - leverage.clamp(0.0, 0.9));
            squares += w * residual * residual;
            total += w;
        }
        return LogDimension { mean: here, sd: (squares / total).sqrt().max(LEAST_SD) };
    }
    unreachable!("the second round returns")
}

/// Gaussian process with kernel exp(-Δ²/(2·1.5²)) + x·x'/p + 1 of the p standardised features, Δ² their mean squared difference. Of five noise variances the one with the least error when
/// each reference is left out is taken; the scale comes from those errors too.
fn gaussian_process(references: &References, query: &[f64]) -> LogDimension {
    const LENGTH: f64 = 1.5;
    const NOISES: [f64; 5] = [0.001, 0.003, 0.01, 0.03, 0.1];
    const SHARE: f64 = 0.15;
    let n = references.log_dimensions.len();
    let (rows, point) = standardised(references, &vec![1.0; n], query);
    let (centre, spread) = crate::special::mean_and_sd(&references.log_dimensions);
    let y: Vec<f64> = references.log_dimensions.iter().map(|l| (l - centre) / spread).collect();
    let kernel = |a: &[f64], b: &[f64]| {
        let product = a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / a.len() as f64;
        (-0.5 * distance(a, b) / (LENGTH * LENGTH)).exp() + product + 1.0
    };
    let mut gram = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            gram[i * n + j] = kernel(&rows[i], &rows[j]);
        }
    }
    let Eigen { values, vectors } = eigen::symmetric(n, &gram);
    let to_axes = |v: &[f64]| -> Vec<f64> { vectors.chunks_exact(n).map(|u| u.iter().zip(v).map(|(u, v)| u * v).sum()).collect() };
    let y_axes = to_axes(&y);
    let fit = |noise: f64| {
        // α = (K + noise)⁻¹ y and the diagonal of that inverse; α_i over it is the error at i when i is left out.
        let (mut alpha, mut diagonal) = (vec![0.0; n], vec![0.0; n]);
        for ((u, value), y) in vectors.chunks_exact(n).zip(&values).zip(&y_axes) {
            let inverse = 1.0 / (value.max(0.0) + noise);
            for i in 0..n {
                alpha[i] += inverse * y * u[i];
                diagonal[i] += inverse * u[i] * u[i];
            }
        }
        let errors: Vec<f64> = alpha.iter().zip(&diagonal).map(|(a, d)| a / d).collect();
        let score = errors.iter().map(|e| e * e).sum::<f64>();
        (score, noise, alpha, diagonal, errors)
    };
    let fits = NOISES.map(fit);
    let best = fits.iter().fold(&fits[0], |best, fit| if fit.0 < best.0 { fit } else { best });
    let (_, noise, alpha, diagonal, errors) = best;
    let cross: Vec<f64> = rows.iter().map(|row| kernel(&point, row)).collect();
    let mean = centre + spread * cross.iter().zip(alpha).map(|(k, a)| k * a).sum::<f64>();
    let explained: f64 = to_axes(&cross).iter().zip(&values).map(|(c, value)| c * c / (value.max(0.0) + noise)).sum();
    let scale = errors.iter().zip(diagonal).map(|(e, d)| e * e * d).sum::<f64>() / n as f64;
    let predictive = (kernel(&point, &point) + noise - explained).max(*noise) * scale;
    // The errors of references that look alike: the relation is rougher in some places than in others.
    let distances: Vec<f64> = rows.iter().map(|row| distance(row, &point)).collect();
    let reach = quantile_of(&distances, SHARE).max(1e-12);
    let weights: Vec<f64> = distances.iter().map(|d| (-0.5 * d / reach).exp()).collect();
    let local = errors.iter().zip(&weights).map(|(e, w)| w * e * e).sum::<f64>() / weights.iter().sum::<f64>();
    LogDimension { mean, sd: (spread * local.max(predictive).sqrt()).max(LEAST_SD) }
}

/// The inverse of a positive definite matrix by its eigenvectors.
struct Inverse {
    n: usize,
    eigen: Eigen,
}

impl Inverse {
    fn new(n: usize, matrix: &[f64]) -> Self {
        Self { n, eigen: eigen::symmetric(n, matrix) }
    }

    fn times(&self, v: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.n];
        let floor = 1e-13 * self.eigen.values[0];
        for (u, value) in self.eigen.vectors.chunks_exact(self.n).zip(&self.eigen.values) {
            let along = u.iter().zip(v).map(|(u, v)| u * v).sum::<f64>() / value.max(floor);
            out.iter_mut().zip(u).for_each(|(o, u)| *o += along * u);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    /// A linear and a curved relation with known noise: the prediction lies within four stated deviations and those within a factor of two of the noise.
    #[test]
    fn known_relations_are_found_with_their_noise() {
        let mut rng = Seed(5).stream("regression", 0);
        for curved in [0.0, 0.3] {
            let features: Vec<Vec<f64>> = (0..300).map(|_| (0..6).map(|_| rng.normal()).collect()).collect();
            let truth = |f: &[f64]| 1.0 + 0.4 * f[0] - 0.2 * f[3] + curved * (1.5 * f[1]).sin();
            let log_dimensions = features.iter().map(|f| truth(f) + 0.05 * rng.normal()).collect();
            let references = References { features, log_dimensions };
            let (mut pulls, mut sds) = (Vec::new(), Vec::new());
            for _ in 0..20 {
                let query: Vec<f64> = (0..6).map(|_| 0.7 * rng.normal()).collect();
                let found = regress(&references, &query);
                pulls.push((found.mean - truth(&query)) / found.sd);
                sds.push(found.sd);
            }
            let worst = pulls.iter().fold(0.0f64, |m, p| m.max(p.abs()));
            let sd = sds.iter().sum::<f64>() / 20.0;
            assert!(worst < 4.0, "{pulls:?}");
            assert!(sd > 0.03 && sd < if curved == 0.0 { 0.1 } else { 0.25 }, "{sd}");
        }
    }
}

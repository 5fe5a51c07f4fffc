//! Weighted linear least squares.

use crate::prior::cholesky::Cholesky;

/// Coefficients (1 + features, outputs) of y ≈ β_0 + xᵀβ by weighted least squares; rows of `x` (n, features), `y` (n, outputs).
///
/// A ridge of 1e-9 of the diagonal keeps collinear features (constant ones among them) from making the normal equations singular; it changes
/// well-determined coefficients by 1e-9 of their size.
pub(super) fn fit(x: &[f64], y: &[f64], weights: &[f64], features: usize, outputs: usize) -> Option<Vec<f64>> {
    let size = features + 1;
    let (mut normal, mut right) = (vec![0.0; size * size], vec![0.0; size * outputs]);
    let at = |row: &[f64], k: usize| if k == 0 { 1.0 } else { row[k - 1] };
    for ((row, targets), &w) in x.chunks_exact(features).zip(y.chunks_exact(outputs)).zip(weights) {
        for a in 0..size {
            let scaled = w * at(row, a);
            (0..=a).for_each(|b| normal[a * size + b] += scaled * at(row, b));
            (0..outputs).for_each(|o| right[a * outputs + o] += scaled * targets[o]);
        }
    }
    let scale = (0..size).map(|a| normal[a * size + a]).fold(0.0f64, f64::max);
    for a in 0..size {
        normal[a * size + a] += 1e-9 * normal[a * size + a] + 1e-12 * scale;
        (0..a).for_each(|b| normal[b * size + a] = normal[a * size + b]);
    }
    let inverse = Cholesky::factor(&normal, size).ok()?.inverse();
    let mut coefficients = vec![0.0; size * outputs];
    for a in 0..size {
        for b in 0..size {
            (0..outputs).for_each(|o| coefficients[a * outputs + o] += inverse[a * size + b] * right[b * outputs + o]);
        }
    }
    Some(coefficients)
}

/// β_0 + xᵀβ for one row.
pub(super) fn predict(coefficients: &[f64], x: &[f64], outputs: usize) -> Vec<f64> {
    let mut y = coefficients[..outputs].to_vec();
    for (row, &x) in coefficients[outputs..].chunks_exact(outputs).zip(x) {
        y.iter_mut().zip(row).for_each(|(y, c)| *y += c * x);
    }
    y
}

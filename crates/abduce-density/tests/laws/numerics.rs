//! A determinant, norms, and bounds of test statistics.

/// ln|det| by elimination with partial pivoting; `a` is (n, n) row-major.
pub(crate) fn ln_abs_det(mut a: Vec<f64>, n: usize) -> f64 {
    let mut total = 0.0;
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| a[i * n + k].abs().total_cmp(&a[j * n + k].abs())).expect("a row");
        for j in 0..n {
            a.swap(k * n + j, pivot * n + j);
        }
        total += a[k * n + k].abs().ln();
        for i in k + 1..n {
            let factor = a[i * n + k] / a[k * n + k];
            for j in k..n {
                a[i * n + j] -= factor * a[k * n + j];
            }
        }
    }
    total
}

/// ‖a - b‖ and ‖b‖.
pub(crate) fn difference_and_norm(a: &[f32], b: &[f64]) -> (f64, f64) {
    assert_eq!(a.len(), b.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    (square(&mut a.iter().zip(b).map(|(&a, b)| f64::from(a) - b)), square(&mut b.iter().copied()))
}

/// Kolmogorov's distance that n draws exceed with a probability of 1e-5: √(ln(2/1e-5)/2n) (Dvoretzky-Kiefer-Wolfowitz-Massart).
pub(crate) fn kolmogorov_bound(n: usize) -> f64 {
    ((2.0f64 / 1e-5).ln() / (2.0 * n as f64)).sqrt()
}

/// χ² value exceeded with a probability of 1e-5 (Wilson and Hilferty 1931; 4.265 standard deviations).
pub(crate) fn chi_square_bound(degrees: usize) -> f64 {
    let k = degrees as f64;
    k * (1.0 - 2.0 / (9.0 * k) + 4.265 * (2.0 / (9.0 * k)).sqrt()).powi(3)
}

//! Gauss-Legendre quadrature.

/// Positive nodes and weights of the 16-point Gauss-Legendre rule on [−1, 1]; the negative ones mirror them.
const GAUSS_LEGENDRE: [(f64, f64); 8] = [
    (0.09501250983763744, 0.18945061045506864),
    (0.2816035507792589, 0.18260341504492364),
    (0.45801677765722737, 0.16915651939500265),
    (0.6178762444026438, 0.1495959888165767),
    (0.755404408355003, 0.12462897125553407),
    (0.8656312023878318, 0.0951585116824926),
    (0.9445750230732326, 0.062253523938647456),
    (0.9894009349916499, 0.027152459411754176),
];

/// All 16 nodes and weights on [−1, 1], increasing.
pub fn gauss_legendre() -> [(f64, f64); 16] {
    std::array::from_fn(|i| if i < 8 { (-GAUSS_LEGENDRE[7 - i].0, GAUSS_LEGENDRE[7 - i].1) } else { GAUSS_LEGENDRE[i - 8] })
}

/// ∫ f over [low, high]: `panels` panels of 16 Gauss-Legendre nodes.
pub fn integrate(low: f64, high: f64, panels: usize, mut f: impl FnMut(f64) -> f64) -> f64 {
    let rule = gauss_legendre();
    let half = 0.5 * (high - low) / panels as f64;
    let mut sum = 0.0;
    for panel in 0..panels {
        let centre = low + half * (2 * panel + 1) as f64;
        sum += rule.iter().map(|&(node, weight)| weight * f(centre + half * node)).sum::<f64>();
    }
    sum * half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quadrature_is_exact_for_polynomials_up_to_degree_31() {
        assert!((integrate(-1.0, 2.0, 1, |x| x.powi(9)) - (1024.0 - 1.0) / 10.0).abs() < 1e-11);
        assert!((integrate(-1.0, 1.0, 1, |x| x.powi(30)) - 2.0 / 31.0).abs() < 1e-15);
    }
}

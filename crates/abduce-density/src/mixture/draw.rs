//! Draws from Gaussian mixtures, one row at a time in f64.

use super::MixtureShape;
use abduce_kernels::affine::LOG_SCALE_BOUND;

/// Standard normal distribution function.
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)
}

/// Inverse of [`normal_cdf`] for p in (0, 1): Halley's iteration from a logistic guess, to f64 rounding in the bulk.
pub fn normal_quantile(p: f64) -> f64 {
    let p = p.clamp(1e-300, 1.0 - f64::EPSILON / 2.0);
    // Work in the lower half, where the distribution function keeps relative accuracy.
    if p > 0.5 {
        return -normal_quantile((1.0 - p).max(1e-300));
    }
    // Φ(z) ≈ φ(z)/|z| in the tail; a logistic curve of the same slope near the centre.
    let mut z = if p < 1e-3 { -(-2.0 * p.ln() - (-2.0 * p.ln()).ln() - 1.837_877).max(1.0).sqrt() } else { (p / (1.0 - p)).ln() * 0.5513 };
    for _ in 0..8 {
        let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let step = (normal_cdf(z) - p) / density.max(1e-300);
        let delta = step / (1.0 + 0.5 * z * step);
        z -= delta;
        if delta.abs() < 1e-12 {
            break;
        }
    }
    z
}

/// One draw of one group: component k with probability π_k, then θ = m + A⁻¹ v.
///
/// `raw(p)` gives raw parameter p of the group; `choice` is uniform on (0, 1), `noise` standard normal (d). Writes θ (d).
pub fn draw_component(shape: MixtureShape, raw: impl Fn(usize) -> f64, choice: f64, noise: &[f64], theta: &mut [f64]) {
    let (k, _) = choose(shape.components, &raw, choice);
    let d = shape.features;
    let bound = f64::from(LOG_SCALE_BOUND);
    // Solve A δ = v from the last row up.
    for i in (0..d).rev() {
        let mut rest = noise[i];
        for j in i + 1..d {
            rest -= raw(shape.above(k, i, j)) * theta[j];
        }
        let a = raw(shape.diagonal(k, i));
        theta[i] = rest * (-a / (1.0 + a.abs() / bound)).exp();
    }
    for (i, theta) in theta.iter_mut().enumerate() {
        *theta += raw(shape.mean(k, i));
    }
}

/// The component that `u` in (0, 1) selects, and what is left of `u`, again uniform on (0, 1).
pub(crate) fn choose(components: usize, raw: impl Fn(usize) -> f64, u: f64) -> (usize, f64) {
    let top = (0..components).map(&raw).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = (0..components).map(|k| (raw(k) - top).exp()).sum();
    let mut rest = u * total;
    for k in 0..components {
        let weight = (raw(k) - top).exp();
        if rest < weight || k + 1 == components {
            return (k, (rest / weight).clamp(0.0, 1.0));
        }
        rest -= weight;
    }
    (0, u)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_inverts_the_distribution_function() {
        for i in -75..=75 {
            let z = f64::from(i) / 10.0;
            let p = normal_cdf(z);
            // Near p = 1 the rounding of p itself limits z.
            let tolerance = 1e-9 + if z > 0.0 { 1e-16 / ((-0.5 * z * z).exp() / 2.5) } else { 0.0 };
            assert!((normal_quantile(p) - z).abs() < tolerance, "{z}: {}", normal_quantile(p));
        }
    }
}

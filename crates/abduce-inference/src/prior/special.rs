//! Special functions that neither `libm` nor `statrs` offers in the form needed here.

pub(crate) use abduce_cosmology::quadrature::integrate;
use std::f64::consts::{SQRT_2, TAU};

/// ½ ln 2π.
pub(crate) const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;

/// ln φ(z) of the standard normal.
pub(crate) fn log_normal_density(z: f64) -> f64 {
    -0.5 * z * z - HALF_LN_TAU
}

/// ln Φ(z): from erfc, and below −35, where erfc leaves the f64 range, from the first terms of its asymptotic series (error 1e-8).
fn log_normal_cdf(z: f64) -> f64 {
    if z > -35.0 {
        return libm::log(0.5 * libm::erfc(-z / SQRT_2));
    }
    let inverse = 1.0 / (z * z);
    log_normal_density(z) - libm::log(-z) + libm::log1p(-inverse * (1.0 - 3.0 * inverse * (1.0 - 5.0 * inverse)))
}

/// ln [Φ(high) − Φ(low)] for low < high without cancellation in either tail.
pub(crate) fn log_normal_mass(low: f64, high: f64) -> f64 {
    if low > 0.0 {
        return log_normal_mass(-high, -low);
    }
    if high > 0.0 {
        return libm::log(0.5 * (libm::erf(high / SQRT_2) - libm::erf(low / SQRT_2)));
    }
    if high - low < 1e-5 {
        // The density is flat to (width × |z|)²/24 over so short an interval; a difference of cdfs would be rounding noise.
        let middle = 0.5 * (low + high);
        let tilt = middle * (high - low);
        if tilt.abs() < 1e-3 {
            return log_normal_density(middle) + libm::log(high - low) + tilt * tilt / 24.0;
        }
    }
    let upper = log_normal_cdf(high);
    upper + libm::log(-libm::expm1(log_normal_cdf(low) - upper))
}

/// ln B(a, b) = ln Γ(a) + ln Γ(b) − ln Γ(a + b).
pub(crate) fn log_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b)
}

/// ln I₀(x) of the modified Bessel function, x ≥ 0.
///
/// Power series Σ (x²/4)^k/(k!)² below 25 (all terms positive), above it the asymptotic series e^x/√(2πx) Σ Π(2j−1)²/(k!(8x)^k), whose
/// smallest term is of relative size e^{−2x}.
pub(crate) fn log_bessel_i0(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    if x < 25.0 {
        let quarter = 0.25 * x * x;
        for k in 1..200 {
            term *= quarter / f64::from(k * k);
            sum += term;
            if term < sum * 1e-17 {
                break;
            }
        }
        return libm::log(sum);
    }
    for k in 1..40 {
        let odd = f64::from(2 * k - 1);
        term *= odd * odd / (8.0 * x * f64::from(k));
        sum += term;
        if term < 1e-17 {
            break;
        }
    }
    x - 0.5 * libm::log(TAU * x) + libm::log(sum)
}

/// x ln y with the limit 0 for x = 0, which keeps exponents of 0 out of trouble at the edge of a support.
pub(crate) fn x_log_y(x: f64, y: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x * libm::log(y) }
}

/// ln(1 + e^x).
pub(crate) fn softplus(x: f64) -> f64 {
    if x > 0.0 { x + libm::log1p(libm::exp(-x)) } else { libm::log1p(libm::exp(x)) }
}

/// ln Σ e^{v}; −∞ for an empty sum.
pub(crate) fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + libm::log(values.map(|v| libm::exp(v - largest)).sum::<f64>())
}

/// ln mean e^{v}; −∞ for no values.
pub(crate) fn log_mean_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().count();
    log_sum_exp(values) - libm::log(n.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from scipy 1.17 (`log_ndtr`, `i0e`), to the digits printed.
    #[test]
    fn known_values() {
        let close = |found: f64, expected: f64, tolerance: f64| {
            assert!((found - expected).abs() <= tolerance * expected.abs(), "{found} against {expected}");
        };
        close(log_normal_mass(f64::NEG_INFINITY, -5.0), -15.064_998_393_988_727, 1e-14);
        close(log_normal_mass(40.0, f64::INFINITY), -804.608_442_013_753_9, 1e-10);
        close(log_normal_mass(-1.0, 1.0), -0.381_715_146_302_126_2, 1e-13);
        close(log_bessel_i0(1.0), 0.235_914_358_507_178_68, 1e-14);
        close(log_bessel_i0(24.999), 22.475_748_213_954_287, 1e-13);
        close(log_bessel_i0(100.0), 96.779_732_689_942_58, 1e-13);
    }

    #[test]
    fn branches_join() {
        // 24.999999 and 25.000001 are 2e-6 apart; d ln I0/dx is 0.98 there.
        assert!((log_bessel_i0(25.000_001) - log_bessel_i0(24.999_999) - 1.96e-6).abs() < 1e-8);
        assert!((log_normal_cdf(-35.000_001) - log_normal_cdf(-34.999_999) + 2e-6 * 35.0285).abs() < 1e-7);
        let (low, width) = (-3.0, 1e-5);
        let short = log_normal_mass(low, low + 0.999 * width) - libm::log(0.999 * width);
        let long = log_normal_mass(low, low + 1.001 * width) - libm::log(1.001 * width);
        assert!((short - long).abs() < 1e-7, "{short} {long}");
    }
}

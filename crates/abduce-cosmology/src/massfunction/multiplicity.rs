//! Multiplicity functions f(σ) of haloes: dn/dlnM = f(σ) ρ_m/M |dlnσ/dlnM|.

use super::COLLAPSE_THRESHOLD;
use std::f64::consts::PI;

/// Table 2 of Tinker et al. 2008 (arXiv:0803.2706): overdensity in units of the mean matter density, A, a, b, c.
const TINKER: [[f64; 5]; 9] = [
    [200.0, 0.186, 1.47, 2.57, 1.19],
    [300.0, 0.200, 1.52, 2.25, 1.27],
    [400.0, 0.212, 1.56, 2.05, 1.34],
    [600.0, 0.218, 1.61, 1.87, 1.45],
    [800.0, 0.248, 1.87, 1.59, 1.58],
    [1200.0, 0.255, 2.13, 1.51, 1.80],
    [1600.0, 0.260, 2.30, 1.46, 1.97],
    [2400.0, 0.260, 2.53, 1.44, 2.24],
    [3200.0, 0.260, 2.66, 1.41, 2.44],
];

/// Overdensities over which [`tinker08`] was calibrated.
pub const TINKER_OVERDENSITIES: [f64; 2] = [TINKER[0][0], TINKER[TINKER.len() - 1][0]];

/// Tinker et al. 2008 (Eqs. 3, 5-8): f = A [(σ/b)^{−a} + 1] e^{−c/σ²} for haloes of `overdensity` times the mean matter density, 200 to 3200.
///
/// The table is interpolated linearly in the overdensity (the paper suggests splines in its logarithm; differences are below 2 %), and
/// continued beyond its ends.
pub fn tinker08(sigma: f64, z: f64, overdensity: f64) -> f64 {
    let row = TINKER.partition_point(|row| row[0] <= overdensity).clamp(1, TINKER.len() - 1);
    let (below, above) = (TINKER[row - 1], TINKER[row]);
    let fraction = (overdensity - below[0]) / (above[0] - below[0]);
    let [amplitude, a, b, c] = std::array::from_fn(|i| below[i + 1] + fraction * (above[i + 1] - below[i + 1]));
    let growth = 1.0 + z;
    let alpha = libm::exp10(-libm::pow(0.75 / libm::log10(overdensity / 75.0), 1.2));
    let amplitude = amplitude * libm::pow(growth, -0.14);
    let a = a * libm::pow(growth, -0.06);
    let b = b * libm::pow(growth, -alpha);
    amplitude * (libm::pow(sigma / b, -a) + 1.0) * libm::exp(-c / (sigma * sigma))
}

/// Bhattacharya et al. 2011 (arXiv:1005.2239, Table 4), friends of friends with b = 0.2.
pub fn bhattacharya11(sigma: f64, z: f64) -> f64 {
    let growth = 1.0 + z;
    let amplitude = 0.333 * libm::pow(growth, -0.11);
    let a = 0.788 * libm::pow(growth, -0.01);
    let nu = COLLAPSE_THRESHOLD / sigma;
    let x = a * nu * nu;
    amplitude * (2.0 / PI).sqrt() * libm::exp(-0.5 * x) * (1.0 + libm::pow(x, -0.807)) * libm::pow(x.sqrt(), 1.795)
}

/// Sheth & Tormen 1999 (astro-ph/9901122, Eq. 10).
pub fn sheth_tormen99(sigma: f64) -> f64 {
    let nu = COLLAPSE_THRESHOLD / sigma;
    let x = 0.707 * nu * nu;
    0.3222 * (2.0 * x / PI).sqrt() * libm::exp(-0.5 * x) * (1.0 + libm::pow(x, -0.3))
}

/// Press & Schechter 1974: f = √(2/π) ν e^{−ν²/2}.
pub fn press_schechter74(sigma: f64) -> f64 {
    let nu = COLLAPSE_THRESHOLD / sigma;
    (2.0 / PI).sqrt() * nu * libm::exp(-0.5 * nu * nu)
}

/// Watson et al. 2013 (arXiv:1212.0095, Eq. 12), friends of friends with b = 0.2, universal in redshift.
pub fn watson13_fof(sigma: f64) -> f64 {
    0.282 * (libm::pow(1.406 / sigma, 2.163) + 1.0) * libm::exp(-1.210 / (sigma * sigma))
}

/// Linear bias of haloes of `overdensity` times the mean matter density (Tinker et al. 2010, arXiv:1001.3162, Eq. 6 and Table 2).
pub fn tinker10_bias(sigma: f64, overdensity: f64) -> f64 {
    let nu = COLLAPSE_THRESHOLD / sigma;
    let y = libm::log10(overdensity);
    let tail = libm::exp(-libm::pow(4.0 / y, 4.0));
    let amplitude = 1.0 + 0.24 * y * tail;
    let a = 0.44 * y - 0.88;
    let c = 0.019 + 0.107 * y + 0.19 * tail;
    let power = libm::pow(nu, a);
    1.0 - amplitude * power / (power + libm::pow(COLLAPSE_THRESHOLD, a)) + 0.183 * libm::pow(nu, 1.5) + c * libm::pow(nu, 2.4)
}

/// Linear bias of Sheth & Tormen 1999 by the peak-background split: b = 1 + (aν² − 1)/δ_c + (2p/δ_c)/(1 + (aν²)^p).
pub fn sheth_tormen99_bias(sigma: f64) -> f64 {
    let nu = COLLAPSE_THRESHOLD / sigma;
    let x = 0.707 * nu * nu;
    1.0 + (x - 1.0) / COLLAPSE_THRESHOLD + 0.6 / COLLAPSE_THRESHOLD / (1.0 + libm::pow(x, 0.3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quadrature::integrate;

    /// ∫ f dlnσ⁻¹ over all σ: all mass is in haloes for Press-Schechter, and for Sheth-Tormen by its normalisation (0.3222 has four digits).
    #[test]
    fn all_mass_is_in_haloes() {
        let total = |f: &dyn Fn(f64) -> f64| integrate(-4.0, 40.0, 200, |log_sigma| f(log_sigma.exp()));
        assert!((total(&press_schechter74) - 1.0).abs() < 1e-9);
        assert!((total(&sheth_tormen99) - 1.0).abs() < 2e-3, "{}", total(&sheth_tormen99));
    }

    /// Haloes of all masses together do not cluster more than matter: ∫ f b dlnσ⁻¹ = 1.
    #[test]
    fn the_mean_bias_of_all_mass_is_one() {
        let total = integrate(-4.0, 40.0, 200, |x: f64| sheth_tormen99(x.exp()) * sheth_tormen99_bias(x.exp()));
        assert!((total - 1.0).abs() < 2e-3, "{total}");
    }
}

//! Concentrations c = R200c/r_s of haloes.

use super::HaloPopulation;
use super::definition::nfw_mass;
use crate::error::{CosmologyError, Result};

/// Duffy et al. 2008 (arXiv:0804.2486, Table 1, NFW, full sample): c200c = 5.71 (M200c/2e12 Msun/h)^{−0.084} (1 + z)^{−0.47}, calibrated for 1e11 to 1e15
/// Msun/h and z < 2.
pub fn duffy08_c200c(m200c_msun_h: f64, a: f64) -> f64 {
    5.71 * libm::pow(m200c_msun_h / 2e12, -0.084) * libm::pow(a, 0.47)
}

/// Median c200c of Diemer & Joyce 2019 (arXiv:1809.07326, Eqs. 8, 28-31).
///
/// With ν = δ_c/σ(M, z), n = dlnP/dlnk measured as −2 dlnσ/dlnR − 3 at κR and α the growth rate: the larger root of c/μ(c)^{(5+n)/6} = A/ν (1 + ν²/B), times C.
pub(super) fn diemer_joyce19_c200c(haloes: &HaloPopulation, m200c_msun_h: f64, a: f64) -> Result<f64> {
    const KAPPA: f64 = 0.41;
    let radius = haloes.lagrangian_radius_mpc_h(m200c_msun_h);
    let n = -2.0 * haloes.variance.sigma_and_slope(KAPPA * radius).1 - 3.0;
    let nu = haloes.peak_height(m200c_msun_h, a);
    let alpha = haloes.growth.at(a).f1;
    let amplitude = 2.45 * (1.0 + 1.82 * (n + 3.0));
    let b = 3.20 * (1.0 + 2.30 * (n + 3.0));
    let c = 1.0 - 0.21 * (1.0 - alpha);
    let target = amplitude / nu * (1.0 + nu * nu / b);
    let exponent = (5.0 + n) / 6.0;
    // ln of the left-hand side as a function of ln c falls to a minimum and rises; its slope crosses 0 once.
    let log_left = |x: f64| x - exponent * libm::log(nfw_mass(libm::exp(x)));
    let slope = |x: f64| {
        let c = libm::exp(x);
        1.0 - exponent * c * c / ((1.0 + c) * (1.0 + c)) / nfw_mass(c)
    };
    let bisect = |mut low: f64, mut high: f64, rises: &dyn Fn(f64) -> bool| {
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if rises(middle) { high = middle } else { low = middle }
        }
        0.5 * (low + high)
    };
    let (low, high) = (libm::log(0.1), libm::log(1e4));
    let minimum = bisect(low, high, &|x| slope(x) > 0.0);
    let log_target = libm::log(target);
    if log_target.is_nan() || log_target < log_left(minimum) || log_target > log_left(high) {
        return Err(CosmologyError::Parameter {
            name: "the halo mass",
            value: m200c_msun_h,
            range: "the masses where the concentration exists",
        });
    }
    Ok(c * libm::exp(bisect(minimum, high, &|x| log_left(x) > log_target)))
}

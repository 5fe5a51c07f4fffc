//! The variance of the linear density in top-hat spheres.

use super::LinearPower;
use crate::quadrature::gauss_legendre;
use std::f64::consts::PI;

/// Integration range in h/Mpc: below, k^{3+n_s} leaves less than 1e-10 of the variance of any sphere that holds a halo; above, the
/// top hat of 1e9 Msun/h (R = 0.14 Mpc/h) less than 1e-6.
const RANGE_H_PER_MPC: [f64; 2] = [1e-5, 1e3];
/// Panels of 16 nodes: 14 nodes per acoustic oscillation at k = 0.3 h/Mpc.
const PANELS: u32 = 140;

/// σ(R) of a power spectrum, with W(x) = 3 (sin x − x cos x)/x³.
#[derive(Clone, Debug)]
pub struct TopHatVariance {
    /// k and k³P/(2π²) times the weight in ln k, at the nodes of the integral.
    nodes: Vec<(f64, f64)>,
}

impl TopHatVariance {
    /// The variance of `power`.
    pub fn new(power: &LinearPower) -> Self {
        let [low, high] = RANGE_H_PER_MPC.map(libm::log);
        let half = 0.5 * (high - low) / f64::from(PANELS);
        let rule = gauss_legendre();
        let nodes = (0..PANELS)
            .flat_map(|panel| rule.map(|(x, weight)| (low + half * (f64::from(2 * panel + 1) + x), half * weight)))
            .map(|(log_k, weight)| {
                let k = libm::exp(log_k);
                (k, weight * k * k * k * power.at(k) / (2.0 * PI * PI))
            })
            .collect();
        Self { nodes }
    }

    /// σ(R) for a comoving radius in Mpc/h.
    pub fn sigma(&self, radius_mpc_h: f64) -> f64 {
        self.sigma_and_slope(radius_mpc_h).0
    }

    /// σ(R) and dlnσ/dlnR for a comoving radius in Mpc/h.
    pub fn sigma_and_slope(&self, radius_mpc_h: f64) -> (f64, f64) {
        let (mut square, mut slope) = (0.0, 0.0);
        for &(k, weight) in &self.nodes {
            let x = k * radius_mpc_h;
            let (window, derivative) = if x < 1e-2 {
                (1.0 - x * x / 10.0, -x * x / 5.0)
            } else {
                let (sin, cos) = libm::sincos(x);
                let window = 3.0 * (sin - x * cos) / (x * x * x);
                // x dW/dx = 3 sin x/x − 3 W.
                (window, 3.0 * sin / x - 3.0 * window)
            };
            square += weight * window * window;
            slope += weight * window * derivative;
        }
        (square.sqrt(), slope / square)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P ∝ k^{−2}: σ² ∝ R^{−1} exactly; ∫ dx W² = 3π/5.
    #[test]
    fn a_power_law_has_its_closed_form() {
        let k: Vec<f64> = (0..40).map(|i| 1e-5 * 1.7f64.powi(i)).collect();
        let power = LinearPower::from_table(&k, &k.iter().map(|k| k.powi(-2)).collect::<Vec<_>>()).unwrap();
        let variance = TopHatVariance::new(&power);
        for radius in [1.0, 8.0, 30.0] {
            let (sigma, slope) = variance.sigma_and_slope(radius);
            let exact = (3.0 * PI / 5.0 / (2.0 * PI * PI) / radius).sqrt();
            // The range of k leaves out k < 1e-5: R·1e-5 of the integral.
            assert!((sigma / exact - 1.0).abs() < 1e-5 + 1e-5 * radius, "{sigma} against {exact}");
            assert!((slope + 0.5).abs() < 1e-3, "{slope}");
        }
    }
}

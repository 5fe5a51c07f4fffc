//! The choices of Karras et al. 2022 (arXiv:2206.00364, table 1), from their equations.

use serde::{Deserialize, Serialize};

/// Exponent of the sampling grid.
pub const RHO: f64 = 7.0;

/// A denoiser as D(x; σ) = c_skip x + c_out F(c_in x; c_noise) and its loss weight, for data of standard deviation σ_data.
///
/// Inputs c_in x and targets of F have unit variance at every noise level, and c_skip is the choice that lets c_out amplify
/// the errors of F least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preconditioning {
    /// σ_data²/(σ² + σ_data²).
    pub skip: f64,
    /// σ σ_data/√(σ² + σ_data²).
    pub out: f64,
    /// 1/√(σ² + σ_data²).
    pub input: f64,
    /// ln(σ)/4.
    pub noise: f64,
    /// λ = (σ² + σ_data²)/(σ σ_data)² of λ ‖D - x‖²: the loss of F itself, λ c_out² = 1.
    pub weight: f64,
}

impl Preconditioning {
    /// At noise level σ > 0.
    pub fn new(sigma: f64, sigma_data: f64) -> Self {
        let total = sigma * sigma + sigma_data * sigma_data;
        Self {
            skip: sigma_data * sigma_data / total,
            out: sigma * sigma_data / total.sqrt(),
            input: 1.0 / total.sqrt(),
            noise: 0.25 * libm::log(sigma),
            weight: total / (sigma * sigma_data).powi(2),
        }
    }
}

/// Log-normal law of the training noise levels: ln σ ~ N(`mean`, `std`²).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogNormalLevels {
    /// P_mean.
    pub mean: f64,
    /// P_std.
    pub std: f64,
}

impl Default for LogNormalLevels {
    /// N(-1.2, 1.2²) for data of σ_data = 0.5.
    fn default() -> Self {
        Self { mean: -1.2, std: 1.2 }
    }
}

/// `points` noise levels from σ_max down to σ_min: σ_i = (σ_max^{1/ρ} + i/(points - 1) (σ_min^{1/ρ} - σ_max^{1/ρ}))^ρ (eq. 5). Denoising
/// samplers append 0. With fewer than two points the grid is σ_max alone.
pub fn grid(points: usize, sigma_min: f64, sigma_max: f64, rho: f64) -> Vec<f64> {
    let (low, high) = (libm::pow(sigma_min, 1.0 / rho), libm::pow(sigma_max, 1.0 / rho));
    let at = |i: usize| libm::pow(high + i as f64 / (points - 1) as f64 * (low - high), rho);
    if points < 2 { vec![sigma_max] } else { (0..points).map(at).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::NoiseSchedule;

    /// x = θ + σ ε with Var θ = σ_data². Identities of the paper's appendix B.6.
    #[test]
    fn inputs_and_targets_have_unit_variance_and_the_skip_is_optimal() {
        for sigma in [0.002, 0.1, 0.5, 1.0, 7.0, 80.0] {
            for sigma_data in [0.5, 1.0, 3.0] {
                let p = Preconditioning::new(sigma, sigma_data);
                let (data, noise) = (sigma_data * sigma_data, sigma * sigma);
                assert!((p.input * p.input * (data + noise) - 1.0).abs() < 1e-14);
                let target = |skip: f64| (1.0 - skip).powi(2) * data + skip * skip * noise;
                assert!((target(p.skip) / (p.out * p.out) - 1.0).abs() < 1e-10, "{sigma} {sigma_data}");
                assert!([0.99, 1.01].iter().all(|&k| target(k * p.skip) > target(p.skip)));
                assert!((p.weight * p.out * p.out - 1.0).abs() < 1e-14);
                assert_eq!(p.noise, 0.25 * sigma.ln());
            }
        }
    }

    /// With σ_data = 1 it is the parametrisation of [`Marginal`](crate::schedule::Marginal): D = y cos φ + F sin φ.
    #[test]
    fn the_angle_parametrisation_is_this_preconditioning() {
        for sigma in [0.002, 0.3, 2.0, 80.0] {
            let (p, at) = (Preconditioning::new(sigma, 1.0), NoiseSchedule::edm().marginal(sigma));
            let (x, f) = (1.7, -0.4);
            let (denoised, _) = at.reflect(x * p.input, f);
            assert!((denoised - (p.skip * x + p.out * f)).abs() < 1e-14);
            assert!((at.total * p.input - 1.0).abs() < 1e-15);
        }
    }

    /// Karras et al.: 18 levels from 80 to 0.002; the seventh roots are equidistant.
    #[test]
    fn the_grid_follows_its_power_law() {
        let grid = grid(18, 0.002, 80.0, RHO);
        assert!((grid[0] - 80.0).abs() < 1e-12 && (grid[17] - 0.002).abs() < 1e-15);
        let roots: Vec<f64> = grid.iter().map(|s| s.powf(1.0 / 7.0)).collect();
        let step = roots[1] - roots[0];
        assert!(roots.windows(2).all(|w| (w[1] - w[0] - step).abs() < 1e-13));
        assert_eq!(super::grid(1, 0.002, 80.0, RHO), [80.0]);
    }
}

//! The transfer functions of Eisenstein & Hu 1998 (ApJ 496, 605, astro-ph/9709112); numbers in brackets are its equations.
//!
//! Within 4 % of a Boltzmann code near the concordance model, but up to 16 % off where baryons are half of the matter.

use crate::cosmology::Cosmology;
use crate::error::Result;
use std::f64::consts::E;

/// The fit with baryon oscillations and the one without.
#[derive(Clone, Debug)]
pub struct EisensteinHu {
    h: f64,
    baryon_fraction: f64,
    omega_m_h2: f64,
    theta2: f64,
    k_eq: f64,
    sound_horizon: f64,
    k_silk: f64,
    alpha_c: f64,
    beta_c: f64,
    alpha_b: f64,
    beta_b: f64,
    beta_node: f64,
    alpha_gamma: f64,
    smooth_sound_horizon: f64,
}

impl EisensteinHu {
    /// The coefficients for `cosmology`; dark energy does not enter.
    ///
    /// # Errors
    /// Its parameters are out of range.
    pub fn new(cosmology: &Cosmology) -> Result<Self> {
        let cosmology = cosmology.check()?;
        let pow = libm::pow;
        let h2 = cosmology.h * cosmology.h;
        let (om, ob) = (cosmology.omega_m * h2, cosmology.omega_b * h2);
        let fb = cosmology.omega_b / cosmology.omega_m;
        let fc = 1.0 - fb;
        let theta2 = (cosmology.t_cmb / 2.7) * (cosmology.t_cmb / 2.7);
        let z_eq = 2.5e4 * om / (theta2 * theta2); // (2)
        let k_eq = 7.46e-2 * om / theta2; // (3), 1/Mpc
        let b1 = 0.313 * pow(om, -0.419) * (1.0 + 0.607 * pow(om, 0.674));
        let b2 = 0.238 * pow(om, 0.223);
        let z_d = 1291.0 * pow(om, 0.251) / (1.0 + 0.659 * pow(om, 0.828)) * (1.0 + b1 * pow(ob, b2)); // (4)
        let ratio = |z: f64| 31.5 * ob / (theta2 * theta2) * (1000.0 / z); // (5)
        let (r_d, r_eq) = (ratio(z_d), ratio(z_eq));
        let sound_horizon =
            2.0 / (3.0 * k_eq) * (6.0 / r_eq).sqrt() * libm::log(((1.0 + r_d).sqrt() + (r_d + r_eq).sqrt()) / (1.0 + r_eq.sqrt())); // (6), Mpc
        let k_silk = 1.6 * pow(ob, 0.52) * pow(om, 0.73) * (1.0 + pow(10.4 * om, -0.95)); // (7), 1/Mpc
        let a1 = pow(46.9 * om, 0.670) * (1.0 + pow(32.1 * om, -0.532));
        let a2 = pow(12.0 * om, 0.424) * (1.0 + pow(45.0 * om, -0.582));
        let alpha_c = pow(a1, -fb) * pow(a2, -fb * fb * fb); // (11)
        let bb1 = 0.944 / (1.0 + pow(458.0 * om, -0.708));
        let bb2 = pow(0.395 * om, -0.0266);
        let beta_c = 1.0 / (1.0 + bb1 * (pow(fc, bb2) - 1.0)); // (12)
        let y = (1.0 + z_eq) / (1.0 + z_d);
        let root = (1.0 + y).sqrt();
        let g = y * (-6.0 * root + (2.0 + 3.0 * y) * libm::log((root + 1.0) / (root - 1.0))); // (15)
        let alpha_b = 2.07 * k_eq * sound_horizon * pow(1.0 + r_d, -0.75) * g; // (14)
        let beta_b = 0.5 + fb + (3.0 - 2.0 * fb) * ((17.2 * om) * (17.2 * om) + 1.0).sqrt(); // (24)
        let beta_node = 8.41 * pow(om, 0.435); // (23)
        let alpha_gamma = 1.0 - 0.328 * libm::log(431.0 * om) * fb + 0.38 * libm::log(22.3 * om) * fb * fb; // (31)
        let smooth_sound_horizon = 44.5 * libm::log(9.83 / om) / (1.0 + 10.0 * pow(ob, 0.75)).sqrt(); // (26), Mpc
        Ok(Self {
            h: cosmology.h,
            baryon_fraction: fb,
            omega_m_h2: om,
            theta2,
            k_eq,
            sound_horizon,
            k_silk,
            alpha_c,
            beta_c,
            alpha_b,
            beta_b,
            beta_node,
            alpha_gamma,
            smooth_sound_horizon,
        })
    }

    /// Sound horizon at the drag epoch in Mpc.
    pub fn sound_horizon_mpc(&self) -> f64 {
        self.sound_horizon
    }

    /// Wave number of Silk damping in 1/Mpc.
    pub fn k_silk_per_mpc(&self) -> f64 {
        self.k_silk
    }

    /// T(k) with baryon oscillations, 1 at large scales. It may be negative where baryons dominate.
    pub fn at(&self, k_h_per_mpc: f64) -> f64 {
        let k = k_h_per_mpc * self.h;
        let q = k / (13.41 * self.k_eq); // (10)
        let cold = |alpha: f64, beta: f64| {
            let c = 14.2 / alpha + 386.0 / (1.0 + 69.9 * libm::pow(q, 1.08)); // (20)
            let log = libm::log(E + 1.8 * beta * q);
            log / (log + c * q * q) // (19)
        };
        let ks = k * self.sound_horizon;
        let fourth = |x: f64| x * x * x * x;
        let f = 1.0 / (1.0 + fourth(ks / 5.4)); // (18)
        let matter = f * cold(1.0, self.beta_c) + (1.0 - f) * cold(self.alpha_c, self.beta_c); // (17)
        let cubed = |x: f64| x * x * x;
        let shifted = ks / libm::cbrt(1.0 + cubed(self.beta_node / ks)); // k s̃, (22)
        let bessel = if shifted < 1e-4 { 1.0 } else { libm::sin(shifted) / shifted };
        let damping = libm::exp(-libm::pow(k / self.k_silk, 1.4));
        let baryons =
            (cold(1.0, 1.0) / (1.0 + (ks / 5.2) * (ks / 5.2)) + self.alpha_b / (1.0 + cubed(self.beta_b / ks)) * damping) * bessel; // (21)
        self.baryon_fraction * baryons + (1.0 - self.baryon_fraction) * matter // (16)
    }

    /// T(k) without oscillations, with the same overall suppression by baryons.
    pub fn smooth_at(&self, k_h_per_mpc: f64) -> f64 {
        let scaled = 0.43 * k_h_per_mpc * self.h * self.smooth_sound_horizon;
        let shape = self.alpha_gamma + (1.0 - self.alpha_gamma) / (1.0 + (scaled * scaled) * (scaled * scaled)); // Γ_eff/(Ωm h), (30)
        let q = k_h_per_mpc * self.h * self.theta2 / (self.omega_m_h2 * shape); // (28)
        let log = libm::log(2.0 * E + 1.8 * q);
        let c = 14.2 + 731.0 / (1.0 + 62.5 * q);
        log / (log + c * q * q) // (29)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// colossus 1.4's own formula (`modelEisenstein98`) at the baryon-rich cosmology c03.
    #[test]
    fn the_transfer_function_has_its_known_values() {
        let transfer = EisensteinHu::new(&Cosmology::lcdm(0.1229, 0.039, 0.8759, 0.8264, 0.6313)).unwrap();
        for (k, expected) in [
            (0.001, 9.755619213e-01),
            (0.01, 5.967791070e-01),
            (0.0366570377, 1.443902651e-01),
            (0.1, 4.516804195e-02),
            (0.3, 7.845150880e-03),
            (1.0, 1.082875416e-03),
            (10.0, 1.846021717e-05),
        ] {
            let found = transfer.at(k);
            assert!((found - expected).abs() < 1e-6 * expected.abs(), "k = {k}: {found} against {expected}");
        }
    }

    /// The smooth fit runs through the oscillating one: both agree at large scales, and within a few per cent at small ones, where
    /// the oscillations have been damped.
    #[test]
    fn the_smooth_fit_has_the_same_limits() {
        let transfer = EisensteinHu::new(&Cosmology::QUIJOTE).unwrap();
        for (k, tolerance) in [(1e-4, 2e-3), (1e-3, 1e-2), (1.0, 0.05), (5.0, 0.05)] {
            let ratio = transfer.smooth_at(k) / transfer.at(k);
            assert!((ratio - 1.0).abs() < tolerance, "k = {k}: {ratio}");
        }
    }
}

//! Expansion, distances and times of a flat model.
//!
//!   E(a)² = Ωm a⁻³ + Ωr a⁻⁴ + Ω_de a^{−3(1+w0+wa)} e^{−3 wa (1−a)},   Ω_de = 1 − Ωm − Ωr.

use crate::cosmology::{Cosmology, HUBBLE_DISTANCE_MPC_H};
use crate::error::Result;
use crate::quadrature::integrate;

/// Hubble time 1/H0 in Gyr/h: 977.79222 Gyr km/s/Mpc.
const HUBBLE_TIME_GYR_H: f64 = 9.777_922_2;

/// Whether photons and massless neutrinos take part in the expansion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Radiation {
    /// Ωr = 0, as in N-body runs (Quijote's among them).
    Neglected,
    /// Ωr = Ωγ + Ων of the model's T_cmb and N_eff, at the expense of dark energy.
    Included,
}

/// The expansion of a model.
#[derive(Clone, Copy, Debug)]
pub struct Background {
    omega_m: f64,
    omega_r: f64,
    omega_de: f64,
    w0: f64,
    wa: f64,
}

impl Background {
    /// The expansion of `cosmology`.
    ///
    /// # Errors
    /// Its parameters are out of range.
    pub fn new(cosmology: &Cosmology, radiation: Radiation) -> Result<Self> {
        let cosmology = cosmology.check()?;
        let omega_r = match radiation {
            Radiation::Neglected => 0.0,
            Radiation::Included => cosmology.omega_photons() + cosmology.omega_neutrinos(),
        };
        let omega_m = cosmology.omega_m;
        Ok(Self { omega_m, omega_r, omega_de: 1.0 - omega_m - omega_r, w0: cosmology.w0, wa: cosmology.wa })
    }

    /// Density of radiation today over the critical density, 0 where it is neglected.
    pub fn omega_r(&self) -> f64 {
        self.omega_r
    }

    /// Density of dark energy today over the critical density.
    pub fn omega_de(&self) -> f64 {
        self.omega_de
    }

    /// ρ_de(a)/ρ_de(1).
    pub fn dark_energy(&self, a: f64) -> f64 {
        if self.w0 == -1.0 && self.wa == 0.0 {
            return 1.0;
        }
        libm::exp(-3.0 * ((1.0 + self.w0 + self.wa) * libm::log(a) + self.wa * (1.0 - a)))
    }

    /// E² = (H/H0)².
    fn e_squared(&self, a: f64) -> f64 {
        let inverse = 1.0 / a;
        (self.omega_r * inverse + self.omega_m) * inverse * inverse * inverse + self.omega_de * self.dark_energy(a)
    }

    /// E(a) = H/H0.
    pub fn e(&self, a: f64) -> f64 {
        self.e_squared(a).sqrt()
    }

    /// d ln E/d ln a.
    pub fn dlog_e_dlog_a(&self, a: f64) -> f64 {
        let cubed = 1.0 / (a * a * a);
        let w = self.w0 + self.wa * (1.0 - a);
        let slope = -3.0 * self.omega_m * cubed - 4.0 * self.omega_r * cubed / a - 3.0 * (1.0 + w) * self.omega_de * self.dark_energy(a);
        0.5 * slope / self.e_squared(a)
    }

    /// Ωm(a) = Ωm a⁻³/E².
    pub fn omega_m_at(&self, a: f64) -> f64 {
        self.omega_m / (a * a * a * self.e_squared(a))
    }

    /// a² E, which stays finite and smooth as a → 0.
    fn a_squared_e(&self, a: f64) -> f64 {
        let a2 = a * a;
        (self.omega_r + self.omega_m * a + self.omega_de * self.dark_energy(a) * a2 * a2).sqrt()
    }

    /// Comoving distance in Mpc/h to scale factor `a` in (0, 1]: (c/H0) ∫_a^1 da'/(a'² E).
    pub fn comoving_distance_mpc_h(&self, a: f64) -> f64 {
        // s = √a' takes the a'^{-1/2} of matter domination out of the integrand; one more panel for each factor of two in s.
        let first = a.sqrt();
        let panels = 1 + libm::log2(1.0 / first).ceil().clamp(1.0, 60.0) as usize;
        HUBBLE_DISTANCE_MPC_H * integrate(first, 1.0, panels, |s| 2.0 * s / self.a_squared_e(s * s))
    }

    /// Angular-diameter distance χ a in Mpc/h.
    pub fn angular_diameter_distance_mpc_h(&self, a: f64) -> f64 {
        a * self.comoving_distance_mpc_h(a)
    }

    /// dV/dz/dΩ in (Mpc/h)³ per steradian: (c/H0) χ²/E.
    pub fn volume_element(&self, a: f64) -> f64 {
        let distance = self.comoving_distance_mpc_h(a);
        HUBBLE_DISTANCE_MPC_H * distance * distance / self.e(a)
    }

    /// Age at scale factor `a` in Gyr/h: (1/H0) ∫_0^a da'/(a' E).
    pub fn age_gyr_h(&self, a: f64) -> f64 {
        HUBBLE_TIME_GYR_H
            * integrate(0.0, a.sqrt(), 8, |s| {
                let at = s * s;
                2.0 * s * at / self.a_squared_e(at)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONCORDANCE: Cosmology = Cosmology::lcdm(0.3, 0.05, 0.7, 0.95, 0.8);

    /// Comoving distances in Mpc for H0 = 70 km/s/Mpc, Ωm = 0.3, by adaptive quadrature (scipy 1.17).
    #[test]
    fn distances_are_the_known_ones() {
        let background = Background::new(&CONCORDANCE, Radiation::Neglected).unwrap();
        for (z, distance_mpc) in [(0.5, 1888.625396), (1.4, 4174.400073)] {
            let found = background.comoving_distance_mpc_h(1.0 / (1.0 + z)) / 0.7;
            assert!((found / distance_mpc - 1.0).abs() < 1e-9, "{found} against {distance_mpc}");
        }
    }

    /// Flat ΛCDM: t = 2/(3 H0 √ΩΛ) asinh √(ΩΛ a³/Ωm); Einstein-de Sitter: χ = 2 c/H0 (1 − √a).
    #[test]
    fn closed_forms() {
        let background = Background::new(&CONCORDANCE, Radiation::Neglected).unwrap();
        for a in [0.01, 0.3, 1.0f64] {
            let exact = HUBBLE_TIME_GYR_H * 2.0 / (3.0 * 0.7f64.sqrt()) * (0.7 / 0.3 * a.powi(3)).sqrt().asinh();
            assert!((background.age_gyr_h(a) / exact - 1.0).abs() < 1e-10);
        }
        let flat = Background::new(&Cosmology { omega_m: 1.0, ..CONCORDANCE }, Radiation::Neglected).unwrap();
        for a in [1e-3, 0.1, 0.5f64] {
            let exact = HUBBLE_DISTANCE_MPC_H * 2.0 * (1.0 - a.sqrt());
            assert!((flat.comoving_distance_mpc_h(a) / exact - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn the_slope_of_e_is_its_derivative() {
        let model = Cosmology { w0: -0.8, wa: -0.3, ..CONCORDANCE };
        let background = Background::new(&model, Radiation::Included).unwrap();
        assert!((background.e(1.0) - 1.0).abs() < 1e-15);
        for a in [1e-4, 0.1, 0.7] {
            // Central difference of step 1e-4 in ln a: error 1e-9 of third derivatives of order 1.
            let step = 1e-4f64;
            let difference = (background.e(a * step.exp()) / background.e(a * (-step).exp())).ln() / (2.0 * step);
            assert!((difference - background.dlog_e_dlog_a(a)).abs() < 1e-7);
        }
    }
}

//! Flat ΛCDM without radiation: distances, volume and linear growth.

use crate::prior::special::integrate;

/// Speed of light over 100 km/s/Mpc: the Hubble distance in Mpc/h.
const HUBBLE_DISTANCE_MPC_H: f64 = 2_997.924_58;
/// Critical density today, h² Msun/Mpc³.
pub(super) const CRITICAL_DENSITY: f64 = 2.775_366_27e11;

/// The parameters of a flat ΛCDM model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cosmology {
    pub(super) omega_m: f64,
    pub(super) omega_b: f64,
    pub(super) h: f64,
    pub(super) n_s: f64,
    pub(super) sigma8: f64,
}

impl Cosmology {
    /// E(z) = H(z)/H0.
    pub(super) fn e(&self, z: f64) -> f64 {
        let a = 1.0 + z;
        (self.omega_m * a * a * a + 1.0 - self.omega_m).sqrt()
    }

    /// Ωm(z).
    pub(super) fn omega_m_at(&self, z: f64) -> f64 {
        let e = self.e(z);
        let a = 1.0 + z;
        self.omega_m * a * a * a / (e * e)
    }

    /// Comoving distance in Mpc/h.
    pub(super) fn comoving_distance_mpc_h(&self, z: f64) -> f64 {
        HUBBLE_DISTANCE_MPC_H * integrate(0.0, z, 2, |z| 1.0 / self.e(z))
    }

    /// dV/dz/dΩ in (Mpc/h)³ per steradian: c χ²/H.
    pub(super) fn volume_element(&self, z: f64) -> f64 {
        let distance = self.comoving_distance_mpc_h(z);
        HUBBLE_DISTANCE_MPC_H * distance * distance / self.e(z)
    }

    /// Angle in arcmin of the radius R500c that holds `mass_msun` at 500 times the critical density, at angular-diameter distance χ/(1 + z).
    pub(super) fn theta500_arcmin(&self, mass_msun: f64, z: f64) -> f64 {
        let e = self.e(z);
        let density = 500.0 * CRITICAL_DENSITY * self.h * self.h * e * e;
        let radius_mpc = libm::cbrt(3.0 * mass_msun / (4.0 * std::f64::consts::PI * density));
        radius_mpc / self.angular_distance_mpc(z) * (180.0 * 60.0 / std::f64::consts::PI)
    }

    /// Angular-diameter distance in Mpc.
    pub(super) fn angular_distance_mpc(&self, z: f64) -> f64 {
        self.comoving_distance_mpc_h(z) / (self.h * (1.0 + z))
    }

    /// Linear growth D(z)/D(0) = g(z)/g(0), g ∝ E(z) ∫_0^a da'/(a' E)³ (Heath 1977; exact without radiation).
    pub(super) fn growth(&self, z: f64) -> f64 {
        let unnormalised = |z: f64| {
            // With a' = s², da'/(a'E)³ = 2 s⁴ ds/(Ωm + (1 − Ωm) s⁶)^{3/2}: smooth at 0.
            let end = (1.0 / (1.0 + z)).sqrt();
            self.e(z)
                * integrate(0.0, end, 4, |s| {
                    let s3 = s * s * s;
                    let square = self.omega_m + (1.0 - self.omega_m) * s3 * s3;
                    2.0 * s3 * s / (square * square.sqrt())
                })
        };
        unnormalised(z) / unnormalised(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONCORDANCE: Cosmology = Cosmology { omega_m: 0.3, omega_b: 0.05, h: 0.7, n_s: 0.95, sigma8: 0.8 };

    /// Comoving distances in Mpc for H0 = 70 km/s/Mpc, Ωm = 0.3, by adaptive quadrature (scipy 1.17).
    #[test]
    fn distances_are_the_known_ones() {
        for (z, distance_mpc) in [(0.5, 1888.625396), (1.4, 4174.400073)] {
            let found = CONCORDANCE.comoving_distance_mpc_h(z) / 0.7;
            assert!((found / distance_mpc - 1.0).abs() < 1e-7, "{found} against {distance_mpc}");
        }
    }

    /// Einstein-de Sitter: D = a; and D at z = 1 for Ωm = 0.3 from the hypergeometric form a ₂F₁(1/3, 1; 11/6; −a³(1 − Ωm)/Ωm) (scipy).
    #[test]
    fn growth_is_the_known_one() {
        let flat_matter = Cosmology { omega_m: 1.0, ..CONCORDANCE };
        assert!((flat_matter.growth(1.0) - 0.5).abs() < 1e-12);
        assert!((CONCORDANCE.growth(1.0) / 0.611805753301 - 1.0).abs() < 1e-9, "{}", CONCORDANCE.growth(1.0));
    }
}

//! The survey's cosmological model, and the angles under which it shows clusters.

use abduce_cosmology::background::{Background, Radiation};
use abduce_cosmology::cosmology::CRITICAL_DENSITY;

/// A model whose parameters are known to be in range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cosmology {
    pub(super) model: abduce_cosmology::Cosmology,
}

impl Cosmology {
    pub(super) fn background(&self) -> Background {
        Background::new(&self.model, Radiation::Neglected).expect("the model is a constant of this simulator")
    }

    /// E(z) = H(z)/H0.
    pub(super) fn e(&self, z: f64) -> f64 {
        self.background().e(1.0 / (1.0 + z))
    }

    /// Angle in arcmin of the radius R500c that holds `mass_msun` at 500 times the critical density, at angular-diameter distance χ/(1 + z).
    pub(super) fn theta500_arcmin(&self, mass_msun: f64, z: f64) -> f64 {
        let h = self.model.h;
        let background = self.background();
        let a = 1.0 / (1.0 + z);
        let e = background.e(a);
        let density = 500.0 * CRITICAL_DENSITY * h * h * e * e;
        let radius_mpc = libm::cbrt(3.0 * mass_msun / (4.0 * std::f64::consts::PI * density));
        let distance_mpc = background.angular_diameter_distance_mpc_h(a) / h;
        radius_mpc / distance_mpc * (180.0 * 60.0 / std::f64::consts::PI)
    }
}

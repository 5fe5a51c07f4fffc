//! Expansion with radiation in the units of the perturbation equations: conformal time in Mpc, c = 1.

use crate::background::{Background, Radiation};
use crate::cosmology::Cosmology;
use crate::error::Result;

/// 100 km/s/Mpc in 1/Mpc: 1e5 m/s over c.
const HUNDRED_PER_MPC: f64 = 1.0 / 2_997.924_58;
/// 100 km/s/Mpc in 1/s.
const HUNDRED_SI: f64 = 1e5 / 3.085_677_581_491_367e22;

/// Densities times (3/2) H0², in 1/Mpc², and the Hubble rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expansion {
    background: Background,
    hubble_per_mpc: f64,
    hubble_si: f64,
    pub(super) cold: f64,
    pub(super) baryons: f64,
    pub(super) photons: f64,
    pub(super) neutrinos: f64,
}

impl Expansion {
    pub(super) fn new(cosmology: &Cosmology) -> Result<Self> {
        let background = Background::new(cosmology, Radiation::Included)?;
        let hubble = cosmology.h * HUNDRED_PER_MPC;
        let scale = 1.5 * hubble * hubble;
        Ok(Self {
            background,
            hubble_per_mpc: hubble,
            hubble_si: cosmology.h * HUNDRED_SI,
            cold: scale * (cosmology.omega_m - cosmology.omega_b),
            baryons: scale * cosmology.omega_b,
            photons: scale * cosmology.omega_photons(),
            neutrinos: scale * cosmology.omega_neutrinos(),
        })
    }

    /// ℋ = aH in 1/Mpc.
    pub(super) fn conformal_hubble(&self, a: f64) -> f64 {
        let radiation_and_matter = self.photons + self.neutrinos + (self.cold + self.baryons) * a;
        let scale = 1.5 * self.hubble_per_mpc * self.hubble_per_mpc;
        let dark = scale * self.background.omega_de() * self.background.dark_energy(a) * (a * a) * (a * a);
        ((radiation_and_matter + dark) / 1.5).sqrt() / a
    }

    /// H in 1/s.
    pub(super) fn hubble_si(&self, a: f64) -> f64 {
        self.background.e(a) * self.hubble_si
    }

    /// Conformal time in Mpc deep in radiation domination, a → 0.
    pub(super) fn radiation_time(&self, a: f64) -> f64 {
        a / ((self.photons + self.neutrinos) / 1.5).sqrt()
    }

    /// Scale factor at a conformal time deep in radiation domination.
    pub(super) fn radiation_scale_factor(&self, time_mpc: f64) -> f64 {
        time_mpc * ((self.photons + self.neutrinos) / 1.5).sqrt()
    }

    /// Conformal times at equal steps of ln a; the first must lie deep in radiation domination.
    pub(super) fn conformal_times(&self, log_a: &[f64]) -> Vec<f64> {
        let mut time = self.radiation_time(libm::exp(log_a[0]));
        let mut times = vec![time];
        for pair in log_a.windows(2) {
            let half = 0.5 * (pair[1] - pair[0]);
            let middle = 0.5 * (pair[1] + pair[0]);
            // Simpson's rule over steps of a few thousandths: errors of 1e-12.
            let at = |x: f64| 1.0 / self.conformal_hubble(libm::exp(x));
            time += half / 3.0 * (at(pair[0]) + 4.0 * at(middle) + at(pair[1]));
            times.push(time);
        }
        times
    }
}

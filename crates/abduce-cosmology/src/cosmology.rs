//! The parameters of a flat cosmological model.

use crate::error::{CosmologyError, Result};

/// Critical density today over h²: 3 (100 km/s/Mpc)²/(8πG), in Msun/Mpc³. In (Msun/h)/(Mpc/h)³ it is the critical density itself.
pub const CRITICAL_DENSITY: f64 = 2.775_366_27e11;

/// c over 100 km/s/Mpc: the Hubble distance in Mpc/h.
pub const HUBBLE_DISTANCE_MPC_H: f64 = 2_997.924_58;

/// What fixes the amplitude of the primordial fluctuations.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amplitude {
    /// Root mean square of the linear matter density in spheres of 8 Mpc/h today.
    Sigma8(f64),
    /// Power of the primordial curvature per ln k at 0.05/Mpc.
    PrimordialCurvature(f64),
}

/// A flat cosmological model with cold dark matter, baryons, photons, massless neutrinos and dark energy of equation of state
/// w(a) = w0 + wa (1 − a) (Chevallier & Polarski 2001, Linder 2003).
///
/// Plain data: fill it, for example from [`Cosmology::QUIJOTE`], and everything built from it calls [`Cosmology::check`].
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cosmology {
    /// Matter density today (cold dark matter and baryons) over the critical density.
    pub omega_m: f64,
    /// Baryon density today over the critical density.
    pub omega_b: f64,
    /// Hubble constant over 100 km/s/Mpc.
    pub h: f64,
    /// Slope of the primordial power spectrum.
    pub n_s: f64,
    /// Amplitude of the fluctuations.
    pub amplitude: Amplitude,
    /// Equation of state of dark energy today.
    pub w0: f64,
    /// −dw/da.
    pub wa: f64,
    /// Temperature of the microwave background today, K.
    pub t_cmb: f64,
    /// Effective number of massless neutrino species.
    pub n_eff: f64,
}

impl Cosmology {
    /// The fiducial model of the Quijote simulations (Villaescusa-Navarro et al. 2020, arXiv:1909.05273).
    pub const QUIJOTE: Self = Self::lcdm(0.3175, 0.049, 0.6711, 0.9624, 0.834);

    /// ΛCDM with T_cmb = 2.7255 K and N_eff = 3.046; nothing is checked yet.
    pub const fn lcdm(omega_m: f64, omega_b: f64, h: f64, n_s: f64, sigma8: f64) -> Self {
        Self { omega_m, omega_b, h, n_s, amplitude: Amplitude::Sigma8(sigma8), w0: -1.0, wa: 0.0, t_cmb: 2.7255, n_eff: 3.046 }
    }

    /// The model itself if all its numbers are in the range where the equations of this crate hold.
    ///
    /// # Errors
    /// The first parameter that is not. The ranges are wide: they keep out what has no meaning (no baryons to recombine, dark energy that
    /// dominated early), not what is unlikely.
    pub fn check(self) -> Result<Self> {
        let inside = |name, value: f64, low: f64, high: f64, range| {
            if (low..=high).contains(&value) { Ok(()) } else { Err(CosmologyError::Parameter { name, value, range }) }
        };
        inside("omega_m", self.omega_m, 0.01, 1.0, "[0.01, 1]")?;
        inside("omega_b", self.omega_b, 1e-3, self.omega_m, "[0.001, omega_m]")?;
        inside("h", self.h, 0.1, 2.0, "[0.1, 2]")?;
        inside("n_s", self.n_s, 0.0, 2.0, "[0, 2]")?;
        match self.amplitude {
            Amplitude::Sigma8(sigma8) => inside("sigma8", sigma8, 1e-3, 10.0, "[0.001, 10]")?,
            Amplitude::PrimordialCurvature(a_s) => inside("A_s", a_s, 1e-12, 1e-6, "[1e-12, 1e-6]")?,
        }
        inside("w0", self.w0, -3.0, 0.0, "[-3, 0]")?;
        inside("wa", self.wa, -3.0, 2.0, "[-3, 2]")?;
        inside("w0 + wa", self.w0 + self.wa, -5.0, -0.2, "[-5, -0.2]: dark energy must not matter early")?;
        inside("t_cmb", self.t_cmb, 2.0, 4.0, "[2, 4] K")?;
        inside("n_eff", self.n_eff, 0.0, 10.0, "[0, 10]")?;
        Ok(self)
    }

    /// Comoving matter density in (Msun/h)/(Mpc/h)³.
    pub fn matter_density(&self) -> f64 {
        self.omega_m * CRITICAL_DENSITY
    }

    /// Density of photons today over the critical density: π²k⁴T⁴/(15 ħ³c⁵) over 3H0²/(8πG).
    pub fn omega_photons(&self) -> f64 {
        let t = self.t_cmb / 2.7255;
        PHOTON_DENSITY * (t * t) * (t * t) / (self.h * self.h)
    }

    /// Density of massless neutrinos today over the critical density: (7/8) (4/11)^{4/3} N_eff per photon density.
    pub fn omega_neutrinos(&self) -> f64 {
        self.omega_photons() * NEUTRINO_PER_PHOTON_DENSITY * self.n_eff
    }

    /// Mass in Msun/h of one of `particles_per_side`³ particles that carry the matter of a periodic box of side `box_size_mpc_h`.
    pub fn particle_mass_msun_h(&self, particles_per_side: usize, box_size_mpc_h: f64) -> f64 {
        let spacing = box_size_mpc_h / particles_per_side as f64;
        self.matter_density() * spacing * spacing * spacing
    }
}

/// Ωγ h² at 2.7255 K.
const PHOTON_DENSITY: f64 = 2.472_975e-5;
/// (7/8) (4/11)^{4/3}.
const NEUTRINO_PER_PHOTON_DENSITY: f64 = 0.227_107_317_660_239_3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_follow_from_their_definitions() {
        // CODATA 2018 and the IAU parsec.
        let (k, h_bar, c, g) = (1.380_649e-23f64, 1.054_571_817e-34f64, 299_792_458.0f64, 6.6743e-11);
        let hundred = 1e5 / 3.085_677_581_491_367e22;
        let photons = std::f64::consts::PI.powi(2) * (k * 2.7255).powi(4) / (15.0 * h_bar.powi(3) * c.powi(5));
        let omega = photons / (3.0 * hundred * hundred / (8.0 * std::f64::consts::PI * g));
        assert!((PHOTON_DENSITY / omega - 1.0).abs() < 1e-5, "{omega}");
        assert!((NEUTRINO_PER_PHOTON_DENSITY / (0.875 * (4.0f64 / 11.0).powf(4.0 / 3.0)) - 1.0).abs() < 1e-12);
    }

    /// Villaescusa-Navarro et al. 2020, Table 1: 6.56e11 for 512³ particles in 1 Gpc/h, an eighth of it for 1024³.
    #[test]
    fn quijote_particles_have_their_mass() {
        let mass = Cosmology::QUIJOTE.particle_mass_msun_h(512, 1000.0);
        assert!((mass / 6.56e11 - 1.0).abs() < 2e-3, "{mass}");
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (model, name) in [
            (Cosmology { omega_b: 0.4, ..Cosmology::QUIJOTE }, "omega_b"),
            (Cosmology { h: f64::NAN, ..Cosmology::QUIJOTE }, "h"),
            (Cosmology { amplitude: Amplitude::Sigma8(-0.8), ..Cosmology::QUIJOTE }, "sigma8"),
            (Cosmology { w0: -0.3, wa: 0.4, ..Cosmology::QUIJOTE }, "w0 + wa"),
        ] {
            assert!(model.check().is_err_and(|error| error.to_string().starts_with(name)));
        }
        assert!(Cosmology::QUIJOTE.check().is_ok());
    }
}

//! What the mass of a halo means, and how one definition follows from another for Navarro-Frenk-White profiles.

use crate::background::Background;
use crate::cosmology::CRITICAL_DENSITY;
use crate::error::{Result, positive};
use std::f64::consts::PI;

/// The mean density inside the radius that a mass belongs to.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MassDefinition {
    /// A multiple of the critical density, for example 200c.
    Critical(f64),
    /// A multiple of the mean matter density, for example 200m.
    Mean(f64),
    /// Virial: Δ_c = 18π² + 82x − 39x², x = Ωm(z) − 1, times the critical density (Bryan & Norman 1998, astro-ph/9710107, Eq. 6).
    Virial,
}

impl MassDefinition {
    /// Density inside in units of the critical density at scale factor `a`.
    pub fn critical_overdensity(self, background: &Background, a: f64) -> f64 {
        match self {
            Self::Critical(delta) => delta,
            Self::Mean(delta) => delta * background.omega_m_at(a),
            Self::Virial => {
                let x = background.omega_m_at(a) - 1.0;
                18.0 * PI * PI + 82.0 * x - 39.0 * x * x
            }
        }
    }

    /// Density inside in units of the mean matter density at scale factor `a`.
    pub fn mean_overdensity(self, background: &Background, a: f64) -> f64 {
        match self {
            Self::Mean(delta) => delta,
            other => other.critical_overdensity(background, a) / background.omega_m_at(a),
        }
    }

    /// Comoving density inside in (Msun/h)/(Mpc/h)³ at scale factor `a`.
    pub fn comoving_density(self, background: &Background, a: f64) -> f64 {
        let e = background.e(a);
        self.critical_overdensity(background, a) * CRITICAL_DENSITY * e * e * a * a * a
    }

    /// Comoving radius in Mpc/h of a halo of `mass_msun_h`.
    pub fn comoving_radius_mpc_h(self, mass_msun_h: f64, background: &Background, a: f64) -> f64 {
        libm::cbrt(3.0 * mass_msun_h / (4.0 * PI * self.comoving_density(background, a)))
    }
}

/// μ(c) = ln(1 + c) − c/(1 + c): the mass of a Navarro-Frenk-White profile inside c scale radii, 4π ρ_s r_s³ μ.
pub fn nfw_mass(c: f64) -> f64 {
    if c < 1e-3 {
        // Its series, where the difference loses digits.
        return c * c * (0.5 - c * (2.0 / 3.0 - 0.75 * c));
    }
    libm::log1p(c) - c / (1.0 + c)
}

/// Mass and concentration of a halo in another definition, for a Navarro-Frenk-White profile: with ρ(c) ∝ μ(c)/c³ the mean density inside c
/// scale radii, c' solves μ(c')/c'³ = (Δ'/Δ) μ(c)/c³, and M' = M μ(c')/μ(c).
///
/// # Errors
/// A mass or concentration that is not positive.
pub fn converted_mass(
    mass_msun_h: f64,
    concentration: f64,
    from: MassDefinition,
    to: MassDefinition,
    background: &Background,
    a: f64,
) -> Result<(f64, f64)> {
    positive("the halo mass", mass_msun_h)?;
    positive("the concentration", concentration)?;
    let ratio = to.critical_overdensity(background, a) / from.critical_overdensity(background, a);
    let mean = |log_c: f64| {
        let c = libm::exp(log_c);
        libm::log(nfw_mass(c)) - 3.0 * log_c
    };
    // ln μ(c)/c³ falls from ∞ (slope −1) to −∞ (slope −3): bisection cannot fail.
    let target = mean(libm::log(concentration)) + libm::log(ratio);
    let (mut low, mut high) = (-20.0, 20.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if mean(middle) > target { low = middle } else { high = middle }
    }
    let c = libm::exp(0.5 * (low + high));
    Ok((mass_msun_h * nfw_mass(c) / nfw_mass(concentration), c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::background::Radiation;
    use crate::cosmology::Cosmology;

    fn background() -> Background {
        Background::new(&Cosmology::QUIJOTE, Radiation::Neglected).unwrap()
    }

    /// The mass inside the new radius of the old profile, integrated from its density, is the new mass.
    #[test]
    fn converted_masses_are_integrals_of_the_profile() {
        let background = background();
        let (mass, c) = (3e13, 6.0);
        let from = MassDefinition::Critical(200.0);
        let radius = from.comoving_radius_mpc_h(mass, &background, 0.7);
        for to in [MassDefinition::Virial, MassDefinition::Mean(200.0), MassDefinition::Critical(500.0)] {
            let (new_mass, new_c) = converted_mass(mass, c, from, to, &background, 0.7).unwrap();
            let new_radius = to.comoving_radius_mpc_h(new_mass, &background, 0.7);
            assert!((new_radius / radius - new_c / c).abs() < 1e-9, "the scale radius stays");
            let scale = radius / c;
            let integral = crate::quadrature::integrate(0.0, new_radius / scale, 8, |x| x / ((1.0 + x) * (1.0 + x)));
            assert!((mass / nfw_mass(c) * integral / new_mass - 1.0).abs() < 1e-9);
            let (back, back_c) = converted_mass(new_mass, new_c, to, from, &background, 0.7).unwrap();
            assert!((back / mass - 1.0).abs() < 1e-9 && (back_c / c - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn definitions_agree_where_they_should() {
        let flat = Background::new(&Cosmology { omega_m: 1.0, ..Cosmology::QUIJOTE }, Radiation::Neglected).unwrap();
        // Einstein-de Sitter: critical and mean densities coincide, virial is 18π².
        assert!((MassDefinition::Critical(200.0).mean_overdensity(&flat, 0.5) - 200.0).abs() < 1e-9);
        assert!((MassDefinition::Virial.mean_overdensity(&flat, 0.5) - 18.0 * PI * PI).abs() < 1e-9);
        assert!((nfw_mass(1e-3 * (1.0 - 1e-9)) / nfw_mass(1e-3) - 1.0).abs() < 1e-6);
    }
}

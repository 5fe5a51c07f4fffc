//! How far particles are kicked and drifted between two scale factors.

use crate::growth::Growth;
use crate::quadrature::integrate;
use serde::{Deserialize, Serialize};

/// How equations of motion are stepped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "stepping"))]
pub enum Stepping {
    /// Factors that make linear modes grow exactly for any number of steps (Feng et al. 2016, arXiv:1603.00476).
    #[default]
    FastPm,
    /// Plain leapfrog: kick ∫ da/(a² E), drift ∫ da/(a³ E) (Quinn et al. 1997, astro-ph/9710043). Needs many steps on large scales.
    Leapfrog,
    /// Leapfrog for the departure from second-order perturbation theory (Tassev, Zaldarriaga & Eisenstein 2013, arXiv:1301.0322): large scales
    /// are those of perturbation theory for any number of steps. Costs 24 bytes per particle.
    Cola,
}

/// Factors of one kick-drift-kick step a0 → a1 with x += drift p and p += kick F, where p = a² dx/dt/H₀ and F = −∇∇⁻²δ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factors {
    /// Kick at a0, to the middle.
    pub kick1: f64,
    /// Drift through the whole step.
    pub drift: f64,
    /// Kick at a1, from the middle.
    pub kick2: f64,
}

impl Factors {
    /// The factors of a step, with the middle at √(a0 a1).
    ///
    /// FastPM, with G_p = D, g_p = dD/da, G_f = a² E f D and g_f = dG_f/da = 1.5 Ω_m(a) a E D (which follows from the growth equation):
    ///
    /// drift(a_i → a_f | a_c) = [G_p(a_f) − G_p(a_i)]/(a_c³ E(a_c) g_p(a_c)),
    /// kick(a_i → a_f | a_c) = 1.5 Ω_m(a_c) a_c E(a_c) [G_f(a_f) − G_f(a_i)]/g_f(a_c).
    pub fn new(growth: &Growth, stepping: Stepping, a0: f64, a1: f64) -> Self {
        let middle = (a0 * a1).sqrt();
        let background = growth.background();
        match stepping {
            Stepping::FastPm => {
                let d = |a: f64| growth.at(a).d1;
                // a² E f D
                let momentum = |a: f64| {
                    let at = growth.at(a);
                    a * a * background.e(a) * at.f1 * at.d1
                };
                // a³ E dD/da = a² E f D as well.
                let drift = (d(a1) - d(a0)) / momentum(middle);
                // The factors 1.5 Ω_m(a) a E of force and slope cancel.
                let kick = |from: f64, to: f64, at: f64| (momentum(to) - momentum(from)) / d(at);
                Self { kick1: kick(a0, middle, a0), drift, kick2: kick(middle, a1, a1) }
            }
            Stepping::Leapfrog | Stepping::Cola => {
                // 1.5 Ω_m0 = 1.5 Ω_m(1): E(1) = 1.
                let gravity = 1.5 * background.omega_m_at(1.0);
                let kick = |from: f64, to: f64| gravity * integrate(from, to, 2, |a| 1.0 / (a * a * background.e(a)));
                let drift = integrate(a0, a1, 2, |a| 1.0 / (a * a * a * background.e(a)));
                Self { kick1: kick(a0, middle), drift, kick2: kick(middle, a1) }
            }
        }
    }
}

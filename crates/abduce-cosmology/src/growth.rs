//! Linear and second-order growth of matter perturbations, from their differential equations.
//!
//! With ' = d/dln a (Bouchet et al. 1995, astro-ph/9406013):
//!
//!   D'' + (2 + dlnE/dlna) D' − (3/2) Ωm(a) D = 0,
//!   D2'' + (2 + dlnE/dlna) D2' − (3/2) Ωm(a) (D2 − D²) = 0.
//!
//! D(1) = 1; D2 is negative and scaled along (−3/7 D² in an Einstein-de Sitter universe). With radiation, the growing mode starts as
//! D ∝ a + (2/3) a_eq (Meszaros 1974), which assumes modes far inside the horizon and baryons that fall as cold dark matter does.

use crate::background::{Background, Radiation};
use crate::cosmology::Cosmology;
use crate::error::Result;
use crate::spline::hermite;

/// Scale factor where the integration starts; before it the growing mode of matter (and radiation) domination holds.
pub const FIRST_SCALE_FACTOR: f64 = 1e-4;
/// Steps of fourth order: 0.0045 in ln a each, so errors of some 1e-11.
const STEPS: usize = 2048;

/// Growth at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GrowthAt {
    /// Linear growth D, 1 today.
    pub d1: f64,
    /// d ln D/d ln a.
    pub f1: f64,
    /// Second-order growth, negative.
    pub d2: f64,
    /// d ln D2/d ln a.
    pub f2: f64,
}

/// Growth of a model as a function of the scale factor.
#[derive(Clone, Debug)]
pub struct Growth {
    background: Background,
    /// (D, D', D2, D2') and (D'', D2'') at equal steps of ln a.
    rows: Vec<([f64; 4], [f64; 2])>,
    step: f64,
}

impl Growth {
    /// Integrates the growth of `cosmology` from [`FIRST_SCALE_FACTOR`] to today.
    ///
    /// # Errors
    /// Its parameters are out of range.
    pub fn new(cosmology: &Cosmology, radiation: Radiation) -> Result<Self> {
        let background = Background::new(cosmology, radiation)?;
        let accelerations = |log_a: f64, y: [f64; 4]| {
            let a = libm::exp(log_a);
            let friction = 2.0 + background.dlog_e_dlog_a(a);
            let gravity = 1.5 * background.omega_m_at(a);
            [gravity * y[0] - friction * y[1], gravity * (y[2] - y[0] * y[0]) - friction * y[3]]
        };
        let slopes = |log_a: f64, y: [f64; 4]| {
            let [d1, d2] = accelerations(log_a, y);
            [y[1], d1, y[3], d2]
        };
        let first = libm::log(FIRST_SCALE_FACTOR);
        let step = -first / STEPS as f64;
        let a = FIRST_SCALE_FACTOR;
        let d = a + 2.0 / 3.0 * background.omega_r() / cosmology.omega_m;
        let mut y = [d, a, -3.0 / 7.0 * d * d, -6.0 / 7.0 * d * a];
        let mut rows = Vec::with_capacity(STEPS + 1);
        for i in 0..=STEPS {
            let log_a = first + step * i as f64;
            rows.push((y, accelerations(log_a, y)));
            let moved = |y: [f64; 4], k: [f64; 4], h: f64| std::array::from_fn(|j| y[j] + h * k[j]);
            let k1 = slopes(log_a, y);
            let k2 = slopes(log_a + 0.5 * step, moved(y, k1, 0.5 * step));
            let k3 = slopes(log_a + 0.5 * step, moved(y, k2, 0.5 * step));
            let k4 = slopes(log_a + step, moved(y, k3, step));
            y = std::array::from_fn(|j| y[j] + step / 6.0 * (k1[j] + 2.0 * (k2[j] + k3[j]) + k4[j]));
        }
        let today = rows[STEPS].0[0];
        for (values, second) in &mut rows {
            let squared = today * today;
            *values = [values[0] / today, values[1] / today, values[2] / squared, values[3] / squared];
            *second = [second[0] / today, second[1] / squared];
        }
        Ok(Self { background, rows, step })
    }

    /// The expansion that the growth belongs to.
    pub fn background(&self) -> &Background {
        &self.background
    }

    /// Growth at scale factor `a` in (0, 1]; later than today it stays today's.
    pub fn at(&self, a: f64) -> GrowthAt {
        if a < FIRST_SCALE_FACTOR {
            let [d, slope, d2, _] = self.rows[0].0;
            // D = c (a + b): c and b from value and slope at the start; without radiation b = 0.
            let c = slope / FIRST_SCALE_FACTOR;
            let now = d - slope + c * a;
            return GrowthAt { d1: now, f1: c * a / now, d2: d2 * (now / d) * (now / d), f2: 2.0 * c * a / now };
        }
        let position = ((libm::log(a / FIRST_SCALE_FACTOR)) / self.step).clamp(0.0, STEPS as f64);
        let i = (position as usize).min(STEPS - 1);
        let t = position - i as f64;
        let ((y0, s0), (y1, s1)) = (self.rows[i], self.rows[i + 1]);
        let d1 = hermite(t, self.step, [y0[0], y1[0]], [y0[1], y1[1]]).0;
        let d1_slope = hermite(t, self.step, [y0[1], y1[1]], [s0[0], s1[0]]).0;
        let d2 = hermite(t, self.step, [y0[2], y1[2]], [y0[3], y1[3]]).0;
        let d2_slope = hermite(t, self.step, [y0[3], y1[3]], [s0[1], s1[1]]).0;
        GrowthAt { d1, f1: d1_slope / d1, d2, f2: d2_slope / d2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    /// The golden tolerances, 1e-6 and 1e-5, are met with room: both sides integrate to some 1e-10.
    #[test]
    fn growth_is_the_golden_one() {
        let Some(cosmologies) = golden::cosmologies() else { return };
        let rows = golden::rows("linear/growth.csv").unwrap();
        for (name, cosmology) in cosmologies {
            let growth = Growth::new(&cosmology, Radiation::Neglected).unwrap();
            let mut compared = 0;
            for row in rows.iter().filter(|row| row[0] == name) {
                let [a, d1, f1, d2, f2] = std::array::from_fn(|i| row[i + 1].parse::<f64>().unwrap());
                let found = growth.at(a);
                for (found, expected) in [(found.d1, d1), (found.f1, f1), (found.d2, d2), (found.f2, f2)] {
                    assert!((found / expected - 1.0).abs() < 1e-8, "{name} a = {a}: {found} against {expected}");
                }
                compared += 1;
            }
            assert!(compared > 30);
        }
    }

    /// D at z = 1 for Ωm = 0.3 from the hypergeometric form a ₂F₁(1/3, 1; 11/6; −a³(1 − Ωm)/Ωm) (scipy 1.17).
    #[test]
    fn growth_has_its_closed_form() {
        let growth = Growth::new(&Cosmology { omega_m: 0.3, ..Cosmology::QUIJOTE }, Radiation::Neglected).unwrap();
        assert!((growth.at(0.5).d1 / 0.611805753301 - 1.0).abs() < 1e-9, "{}", growth.at(0.5).d1);
    }

    /// Einstein-de Sitter: D = a, D2 = −3/7 a²; also before the first step.
    #[test]
    fn flat_matter_grows_as_the_scale_factor() {
        let growth = Growth::new(&Cosmology { omega_m: 1.0, ..Cosmology::QUIJOTE }, Radiation::Neglected).unwrap();
        for a in [1e-5, 0.01, 0.5, 1.0] {
            let at = growth.at(a);
            assert!((at.d1 / a - 1.0).abs() < 1e-10 && (at.f1 - 1.0).abs() < 1e-10);
            assert!((at.d2 / (-3.0 / 7.0 * a * a) - 1.0).abs() < 1e-10 && (at.f2 - 2.0).abs() < 1e-10);
        }
    }

    /// With radiation: D ∝ 1 + (3/2) a/a_eq while dark energy is negligible.
    #[test]
    fn radiation_delays_growth_as_meszaros_says() {
        let model = Cosmology { omega_m: 0.999, ..Cosmology::QUIJOTE };
        let growth = Growth::new(&model, Radiation::Included).unwrap();
        let equality = (model.omega_photons() + model.omega_neutrinos()) / model.omega_m;
        let exact = |a: f64| 1.0 + 1.5 * a / equality;
        for a in [5e-5, 1e-3, 0.02] {
            let ratio = growth.at(a).d1 / growth.at(1e-4).d1;
            assert!((ratio / (exact(a) / exact(1e-4)) - 1.0).abs() < 1e-6, "{ratio}");
        }
    }
}

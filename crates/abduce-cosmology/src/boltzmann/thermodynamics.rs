//! Scattering rate, sound speed and conformal time of the baryons' history, tabulated in ln a.

use super::expansion::Expansion;
use super::recombination::{HELIUM_PER_HYDROGEN_MASS, M_H, Recombination, SIGMA_T};
use crate::cosmology::Cosmology;
use crate::spline::hermite;

const LOG_A_FIRST: f64 = -26.0;
const STEPS: usize = 6500;
/// 0.004 in ln a: recombination takes some 0.05.
const STEP: f64 = -LOG_A_FIRST / STEPS as f64;
const SUBSTEPS: usize = 4;
const METRES_PER_MPC: f64 = 3.085_677_581_491_367e22;
/// Critical density over h² in kg/m³.
const CRITICAL_SI: f64 = 1.878_340e-26;
/// k_B/(m_H c²) in 1/K.
const BOLTZMANN_PER_HYDROGEN: f64 = 1.380_649e-23 / (M_H * 299_792_458.0 * 299_792_458.0);

/// What the perturbation equations ask of the background at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch {
    pub(super) a: f64,
    /// ℋ in 1/Mpc.
    pub(super) hubble: f64,
    /// Scattering rate κ' = a n_e σ_T in 1/Mpc.
    pub(super) scattering: f64,
    /// Square of the baryons' sound speed over c².
    pub(super) sound_squared: f64,
    /// Conformal time in Mpc.
    pub(super) time: f64,
    /// ∫ dτ [R² + 16/15 (1 + R)]/[6 κ' (1 + R)²] in Mpc²: photon waves have decayed by e^{−k² of this}.
    pub(super) diffusion: f64,
}

/// The tables.
pub(super) struct Thermodynamics {
    pub(super) expansion: Expansion,
    /// σ_T times hydrogen nuclei today, 1/Mpc.
    opacity: f64,
    /// x_e, a c_s², τ/a, and the logarithm of the diffusion integral, each with its slope in ln a.
    rows: Vec<[(f64, f64); 4]>,
}

/// Helium mass fraction of big-bang nucleosynthesis (fit to PArthENoPE of Planck 2015 XIII, arXiv:1502.01589, as CAMB has it, for a neutron lifetime of
/// 880.3 s). The fit ends at Ωb h² = 0.04; beyond, its last value holds.
pub(super) fn helium_fraction(omega_b_h2: f64, n_eff: f64) -> f64 {
    let w = omega_b_h2.min(0.04);
    let extra = n_eff - 3.046;
    0.2311 + 0.9502 * w - 11.27 * w * w
        + extra * (0.01356 + 0.008_581 * w - 0.1810 * w * w)
        + extra * extra * (-0.000_979_5 - 0.001_370 * w + 0.017_46 * w * w)
}

impl Thermodynamics {
    pub(super) fn new(cosmology: &Cosmology, expansion: Expansion) -> Self {
        let omega_b_h2 = cosmology.omega_b * cosmology.h * cosmology.h;
        let helium = helium_fraction(omega_b_h2, cosmology.n_eff);
        let helium_ratio = helium / (HELIUM_PER_HYDROGEN_MASS * (1.0 - helium));
        let hydrogen = omega_b_h2 * CRITICAL_SI * (1.0 - helium) / M_H;
        let log_a: Vec<f64> = (0..=STEPS).map(|i| LOG_A_FIRST + STEP * i as f64).collect();
        let recombination = Recombination { expansion: &expansion, hydrogen, helium_ratio, t_cmb: cosmology.t_cmb };
        let history = recombination.history(&log_a, SUBSTEPS);
        let times = expansion.conformal_times(&log_a);
        let opacity = SIGMA_T * hydrogen * METRES_PER_MPC;

        let mut columns = [const { Vec::new() }; 4];
        let mut diffusion = 0.0;
        let mut last_integrand = 0.0;
        for (i, state) in history.iter().enumerate() {
            let a = libm::exp(log_a[i]);
            let log_t = |i: usize| libm::log(history[i].t_matter);
            let (low, high) = (i.saturating_sub(1), (i + 1).min(STEPS));
            let slope = (log_t(high) - log_t(low)) / (STEP * (high - low) as f64);
            let per_mass = (1.0 - helium) * (1.0 + helium_ratio + state.x_e);
            let sound_squared = BOLTZMANN_PER_HYDROGEN * per_mass * state.t_matter * (1.0 - slope / 3.0);
            // Baryon momentum per photon momentum.
            let r = 0.75 * expansion.baryons / expansion.photons * a;
            let scattering = opacity * state.x_e / (a * a);
            let integrand = (r * r + 16.0 / 15.0 * (1.0 + r)) / (6.0 * scattering * (1.0 + r) * (1.0 + r)) / expansion.conformal_hubble(a);
            // In radiation domination the integrand goes as a³, so the integral begins as a third of it per unit of ln a.
            diffusion = if i == 0 { integrand / 3.0 } else { diffusion + 0.5 * STEP * (integrand + last_integrand) };
            last_integrand = integrand;
            columns[0].push(state.x_e);
            columns[1].push(a * sound_squared);
            columns[2].push(times[i] / a);
            columns[3].push(libm::log(diffusion));
        }
        let slopes: Vec<Vec<f64>> = columns.iter().map(|column| slopes(column)).collect();
        let rows = (0..=STEPS).map(|i| std::array::from_fn(|c| (columns[c][i], slopes[c][i]))).collect();
        Self { expansion, opacity, rows }
    }

    /// Everything at ln a ≤ 0.
    pub(super) fn at(&self, log_a: f64) -> Epoch {
        let position = ((log_a - LOG_A_FIRST) / STEP).clamp(0.0, STEPS as f64);
        let i = (position as usize).min(STEPS - 1);
        let t = position - i as f64;
        let (low, high) = (&self.rows[i], &self.rows[i + 1]);
        let column = |c: usize| hermite(t, STEP, [low[c].0, high[c].0], [low[c].1, high[c].1]).0;
        let a = libm::exp(log_a);
        Epoch {
            a,
            hubble: self.expansion.conformal_hubble(a),
            scattering: self.opacity * column(0) / (a * a),
            sound_squared: column(1) / a,
            time: column(2) * a,
            diffusion: libm::exp(column(3)),
        }
    }
}

/// Slopes per unit of ln a by fourth-order differences, second order at the two rows next to each end.
fn slopes(values: &[f64]) -> Vec<f64> {
    let last = values.len() - 1;
    (0..values.len())
        .map(|i| {
            if i == 0 {
                (values[1] - values[0]) / STEP
            } else if i == last {
                (values[last] - values[last - 1]) / STEP
            } else if i == 1 || i == last - 1 {
                (values[i + 1] - values[i - 1]) / (2.0 * STEP)
            } else {
                (8.0 * (values[i + 1] - values[i - 1]) - (values[i + 2] - values[i - 2])) / (12.0 * STEP)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fiducial() -> Thermodynamics {
        let planck = Cosmology::lcdm(0.3158, 0.0494, 0.6732, 0.966, 0.812);
        Thermodynamics::new(&planck, Expansion::new(&planck).unwrap())
    }

    /// Planck 2018 (arXiv:1807.06209, Table 2, TT,TE,EE+lowE): z* = 1089.95 ± 0.27, z_drag = 1060.0 ± 0.3 — for one massive neutrino species, so
    /// we allow 0.5.
    #[test]
    fn last_scattering_and_drag_epoch_are_plancks() {
        let thermo = fiducial();
        let (mut depth, mut drag) = (0.0, 0.0);
        let (mut z_star, mut z_drag) = (0.0, 0.0);
        let step = 1e-4;
        let mut log_a = -0.5 * step;
        while z_drag == 0.0 || z_star == 0.0 {
            let at = thermo.at(log_a);
            let d = at.scattering / at.hubble * step;
            // Without reionisation the optical depth counts from recombination alone.
            depth += d;
            drag += d * 4.0 / 3.0 * thermo.expansion.photons / thermo.expansion.baryons / at.a;
            let z = 1.0 / at.a - 1.0;
            if depth > 1.0 && z_star == 0.0 {
                z_star = z;
            }
            if drag > 1.0 && z_drag == 0.0 {
                z_drag = z;
            }
            log_a -= step;
        }
        assert!((z_star - 1089.95).abs() < 0.6, "{z_star}");
        assert!((z_drag - 1060.0).abs() < 0.6, "{z_drag}");
    }

    /// Freeze-out and cooling: 2e-4 of hydrogen stays ionised, and baryons cool as a⁻² once they have decoupled, by z = 20.
    #[test]
    fn relics_and_cooling() {
        let thermo = fiducial();
        let at = thermo.at((1.0f64 / 21.0).ln());
        let x_e = at.scattering * at.a * at.a / thermo.opacity;
        assert!((1.5e-4..3e-4).contains(&x_e), "{x_e}");
        let later = thermo.at((1.0f64 / 11.0).ln());
        let slope = (later.sound_squared / at.sound_squared).ln() / (later.a / at.a).ln();
        assert!((slope + 2.0).abs() < 0.05, "{slope}");
    }

    #[test]
    fn the_helium_fraction_is_that_of_nucleosynthesis() {
        assert!((helium_fraction(0.02237, 3.046) - 0.2467).abs() < 2e-4);
        assert_eq!(helium_fraction(0.05, 3.046), helium_fraction(0.04, 3.046));
    }
}

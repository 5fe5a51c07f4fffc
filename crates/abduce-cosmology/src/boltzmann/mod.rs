//! Linear perturbations from the early universe to today: the Einstein-Boltzmann equations of photons, massless neutrinos, baryons and cold dark matter.
//!
//! **What it is for.** The linear matter power spectrum to a few tenths of a per cent for any parameters in the range of simulations, where fits fail
//! where baryons are many (Eisenstein & Hu by 16 %). **What it leaves out**: massive neutrinos, curvature, reionisation (1e-4 in the power), and
//! perturbations of dark energy, which matter near the horizon only (k < 1e-3 h/Mpc) and vanish for a cosmological constant.
//!
//! Start reading at `system.rs` (the equations), then `mode.rs` (their solution).

mod expansion;
mod mode;
mod recombination;
mod system;
mod thermodynamics;

use crate::cosmology::{Amplitude, Cosmology};
use crate::error::{CosmologyError, Result, positive};
use crate::power::{EisensteinHu, LinearPower};
use crate::spline::CubicSpline;
use abduce_kernels::Threads;
use expansion::Expansion;
use mode::Evolution;
use std::f64::consts::{PI, TAU};
use thermodynamics::Thermodynamics;

/// Pivot of the primordial spectrum in 1/Mpc.
pub const PIVOT_PER_MPC: f64 = 0.05;
/// Modes that one work item evolves.
const MODES_PER_ITEM: usize = 4;

/// How precisely the equations are solved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precision {
    /// Error allowed per step, relative.
    pub tolerance: f64,
    /// Last moment of the photon hierarchies, 4 to 1000.
    pub photon_moments: usize,
    /// Last moment of the neutrino hierarchy, 4 to 1000. Reflection at the end comes back at twice as many waves, so 0.6 `streaming_waves` do.
    pub neutrino_moments: usize,
    /// kτ from which neutrinos are streaming.
    pub streaming_waves: f64,
    /// kτ from which photons may be.
    pub photon_waves: f64,
    /// κ'τ below which photons stream.
    pub streaming_depth: f64,
    /// Exponent of their diffusion damping from which photons follow the baryons without waves.
    pub diffusion_exponent: f64,
    /// kτ at which a mode starts.
    pub start_k_time: f64,
    /// Latest conformal time at which a mode starts, Mpc.
    pub start_time_mpc: f64,
    /// Modes per acoustic oscillation.
    pub modes_per_oscillation: f64,
    /// Modes per factor of ten where nothing oscillates.
    pub modes_per_decade: f64,
    /// Smallest and largest k in h/Mpc.
    pub k_range_h_per_mpc: [f64; 2],
}

impl Default for Precision {
    fn default() -> Self {
        Self {
            tolerance: 5e-6,
            photon_moments: 20,
            neutrino_moments: 55,
            streaming_waves: 90.0,
            photon_waves: 100.0,
            streaming_depth: 0.1,
            diffusion_exponent: 10.0,
            start_k_time: 3e-3,
            start_time_mpc: 0.1,
            modes_per_oscillation: 14.0,
            modes_per_decade: 16.0,
            k_range_h_per_mpc: [3e-5, 30.0],
        }
    }
}

impl Precision {
    /// Refuses settings with which nothing can be solved.
    fn check(&self) -> Result<()> {
        for (what, value) in [
            ("tolerance", self.tolerance),
            ("streaming_waves", self.streaming_waves),
            ("photon_waves", self.photon_waves),
            ("streaming_depth", self.streaming_depth),
            ("diffusion_exponent", self.diffusion_exponent),
            ("start_k_time", self.start_k_time),
            ("start_time_mpc", self.start_time_mpc),
            ("modes_per_oscillation", self.modes_per_oscillation),
            ("modes_per_decade", self.modes_per_decade),
            ("the smallest k", self.k_range_h_per_mpc[0]),
        ] {
            positive(what, value)?;
        }
        let inside = |name, value: f64, low: f64, high: f64, range| {
            if (low..=high).contains(&value) { Ok(()) } else { Err(CosmologyError::Parameter { name, value, range }) }
        };
        inside("photon_moments", self.photon_moments as f64, 4.0, 1000.0, "4 to 1000")?;
        inside("neutrino_moments", self.neutrino_moments as f64, 4.0, 1000.0, "4 to 1000")?;
        // Waves are followed until they stream; the history begins at a = 5e-12.
        inside("start_k_time", self.start_k_time, 1e-5, 0.1, "[1e-5, 0.1]")?;
        let [low, high] = self.k_range_h_per_mpc;
        inside("the largest k", high, 2.0 * low, 100.0, "from twice the smallest to 100 h/Mpc")
    }
}

/// Transfer of the primordial curvature to the matter density at several times.
#[derive(Clone, Debug)]
pub struct MatterTransfer {
    cosmology: Cosmology,
    smooth: EisensteinHu,
    /// δ_m/(k² T_smooth) for unit curvature as a function of ln k (k in h/Mpc), one for each time.
    ratios: Vec<CubicSpline>,
}

impl MatterTransfer {
    /// Evolves the model's modes to each of the ascending scale factors `a`, at most 1.
    ///
    /// # Errors
    /// Parameters or scale factors out of range; an integration that fails.
    pub fn new(cosmology: &Cosmology, a: &[f64], precision: &Precision, threads: &Threads) -> Result<Self> {
        precision.check()?;
        let stops = log_scale_factors(a)?;
        let smooth = EisensteinHu::new(cosmology)?;
        let thermo = Thermodynamics::new(cosmology, Expansion::new(cosmology)?);
        let k = modes(&smooth, cosmology.h, precision);
        let mut deltas = vec![0.0; k.len() * stops.len()];
        let mut items: Vec<_> =
            deltas.chunks_mut(MODES_PER_ITEM * stops.len()).zip(k.chunks(MODES_PER_ITEM)).map(|x| (x, Ok(()))).collect();
        threads.for_each(&mut items, |_, ((deltas, k), outcome)| {
            let mut evolution = Evolution::new(&thermo, *precision);
            *outcome =
                k.iter().zip(deltas.chunks_mut(stops.len())).try_for_each(|(k, deltas)| evolution.matter(*k * cosmology.h, &stops, deltas));
        });
        items.into_iter().try_for_each(|(_, outcome)| outcome)?;
        let log_k: Vec<f64> = k.iter().map(|&k| libm::log(k)).collect();
        let ratios = (0..stops.len())
            .map(|stop| {
                let values = k.iter().enumerate().map(|(i, &k)| deltas[i * stops.len() + stop] / (k * k * smooth.smooth_at(k))).collect();
                CubicSpline::new(log_k.clone(), values)
            })
            .collect::<Result<_>>()?;
        Ok(Self { cosmology: *cosmology, smooth, ratios })
    }

    /// δ_m at time `index` and k in h/Mpc, for a primordial curvature of 1; beyond the computed modes it goes on as the smooth fit.
    pub fn at(&self, index: usize, k_h_per_mpc: f64) -> f64 {
        let spline = &self.ratios[index];
        let (low, high) = spline.range();
        let log_k = libm::log(k_h_per_mpc).clamp(low, high);
        spline.at(log_k) * k_h_per_mpc * k_h_per_mpc * self.smooth.smooth_at(k_h_per_mpc)
    }

    /// The matter power spectra at each time. Given a σ8, all are scaled by the factor that makes it the one of the last time, which should be today.
    ///
    /// # Errors
    /// A spectrum that is not positive and finite.
    pub fn power(&self) -> Result<Vec<LinearPower>> {
        let n_s = self.cosmology.n_s;
        // P = 2π²/k³ A_s (k/k_p)^{n_s − 1} δ²; with δ = k² t the rest is k^{n_s} t².
        let shapes = (0..self.ratios.len())
            .map(|index| LinearPower::from_transfer(n_s, |k| self.at(index, k) / (k * k)))
            .collect::<Result<Vec<_>>>()?;
        let factor = match self.cosmology.amplitude {
            Amplitude::PrimordialCurvature(a_s) => 2.0 * PI * PI * a_s * libm::pow(self.cosmology.h / PIVOT_PER_MPC, n_s - 1.0),
            Amplitude::Sigma8(sigma8) => {
                let ratio = sigma8 / shapes.last().map_or(1.0, LinearPower::sigma8);
                ratio * ratio
            }
        };
        shapes.iter().map(|shape| shape.scaled(factor)).collect()
    }
}

impl LinearPower {
    /// The matter power spectrum today by the Boltzmann equations.
    ///
    /// # Errors
    /// Parameters out of range; an integration that fails.
    pub fn boltzmann(cosmology: &Cosmology, threads: &Threads) -> Result<Self> {
        let today = MatterTransfer::new(cosmology, &[1.0], &Precision::default(), threads)?.power()?;
        // One time was asked for.
        today.into_iter().next().ok_or(CosmologyError::Length { what: "the spectra", found: 0, expected: 1 })
    }
}

/// Logarithms of the times asked for.
fn log_scale_factors(a: &[f64]) -> Result<Vec<f64>> {
    let refused = |value, range| Err(CosmologyError::Parameter { name: "a", value, range });
    if a.is_empty() {
        return Err(CosmologyError::Length { what: "the scale factors", found: 0, expected: 1 });
    }
    for (i, &value) in a.iter().enumerate() {
        if !(1e-3..=1.0).contains(&value) {
            return refused(value, "[0.001, 1], where power spectra are of matter");
        }
        if i > 0 && value <= a[i - 1] {
            return refused(value, "scale factors above the one before it: they must rise");
        }
    }
    Ok(a.iter().map(|&a| libm::log(a)).collect())
}

/// Wave numbers in h/Mpc: equal steps while acoustic waves are resolved, equal ratios elsewhere.
///
/// The error of a spline through n points per wave goes as n⁻⁴ times the wave's amplitude, which falls as e^{−(k/k_Silk)^{1.4}} (Eisenstein & Hu): steps
/// grow with (most of) its fourth root.
fn modes(smooth: &EisensteinHu, h: f64, precision: &Precision) -> Vec<f64> {
    let [low, high] = precision.k_range_h_per_mpc;
    let ratio = libm::exp10(1.0 / precision.modes_per_decade);
    let step = TAU / (precision.modes_per_oscillation * smooth.sound_horizon_mpc() * h);
    let mut k = low;
    let mut modes = vec![k];
    while k < high {
        let damping = libm::pow(k * h / smooth.k_silk_per_mpc(), 1.4);
        k += (k * (ratio - 1.0)).min(step * libm::exp(0.2 * damping));
        modes.push(k);
    }
    modes
}

#[cfg(test)]
mod tests;

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
use crate::error::{Result, positive};
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
    /// Last moment of the photon hierarchies, at least 4.
    pub photon_moments: usize,
    /// Last moment of the neutrino hierarchy, at least 4.
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
        let stops = a.iter().map(|&a| check_scale_factor(a)).collect::<Result<Vec<f64>>>()?;
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
        today.into_iter().next().ok_or(crate::error::CosmologyError::Length { what: "the spectra", found: 0, expected: 1 })
    }
}

fn check_scale_factor(a: f64) -> Result<f64> {
    positive("the scale factor", a)?;
    if (1e-3..=1.0).contains(&a) {
        Ok(libm::log(a))
    } else {
        Err(crate::error::CosmologyError::Parameter { name: "a", value: a, range: "[0.001, 1], where matter is what power spectra are of" })
    }
}

/// Wave numbers in h/Mpc: equal steps while acoustic waves are resolved, equal ratios elsewhere.
fn modes(smooth: &EisensteinHu, h: f64, precision: &Precision) -> Vec<f64> {
    let [low, high] = precision.k_range_h_per_mpc;
    let ratio = libm::exp10(1.0 / precision.modes_per_decade);
    let step = TAU / (precision.modes_per_oscillation * smooth.sound_horizon_mpc() * h);
    // By then e^{−(k/k_Silk)^{1.4}} is 5e-6.
    let silent = 6.0 * smooth.k_silk_per_mpc() / h;
    let mut k = low;
    let mut modes = vec![k];
    while k < high {
        let geometric = k * (ratio - 1.0);
        k += if k < silent { geometric.min(step) } else { geometric };
        modes.push(k);
    }
    modes
}

#[cfg(test)]
mod tests;

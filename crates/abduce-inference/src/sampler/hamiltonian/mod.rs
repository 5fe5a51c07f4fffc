//! Hamiltonian Monte Carlo with fixed trajectories and with the no-U-turn rule, for many targets at once.
//!
//! All chains integrate side by side, one batched gradient per leapfrog step; a chain whose trajectory is complete waits for the others of its
//! target only, because these share what warm-up learns (step size and scales), and drops out of the batch meanwhile.

mod adaptation;
mod engine;
mod tree;

use super::chains::{Chains, Schedule};
use super::error::{SamplerError, require};
use super::target::Target;
use abduce_data::Seed;
use engine::{Engine, Kernel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of [`hmc`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HmcOptions {
    /// Acceptance that the step size is adapted to (0.8).
    pub target_accept: f64,
    /// Longest integration time, in units of the coordinates' standard deviations (π: half a period of a Gaussian). Each trajectory's
    /// number of steps is uniform up to it, so that no period of the target can be hit.
    pub trajectory_length: f64,
    /// Most leapfrog steps of a trajectory, whatever its length (1000).
    pub max_steps: usize,
}

impl Default for HmcOptions {
    fn default() -> Self {
        Self { target_accept: 0.8, trajectory_length: std::f64::consts::PI, max_steps: 1000 }
    }
}

/// Options of [`nuts`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NutsOptions {
    /// Acceptance that the step size is adapted to (0.8).
    pub target_accept: f64,
    /// Most doublings of a trajectory (10: 1023 leapfrog steps).
    pub max_tree_depth: usize,
}

impl Default for NutsOptions {
    fn default() -> Self {
        Self { target_accept: 0.8, max_tree_depth: 10 }
    }
}

/// Hamiltonian Monte Carlo (Neal 2011, arXiv:1206.1901): H = −log π(q) + ½ Σ v_i p_i², leapfrog steps of a size uniform on [ε/2, ε] for each
/// trajectory, acceptance min(1, e^{−ΔH}).
///
/// `starts` is (targets, num_chains, d). During warm-up ε goes to `target_accept` by dual averaging and v to the variances of the draws, in
/// windows of doubling length, both pooled over a target's chains (acceptances by their harmonic mean), so that twenty chains need shorter warm-ups than
/// one; a target learns nothing from another. With fewer than 20 steps of warm-up only ε is adapted. Divergences after warm-up are in the report.
///
/// # Errors
/// Starts outside the support; options out of range.
pub fn hmc(target: &dyn Target, starts: &[f64], schedule: &Schedule, options: &HmcOptions, seed: Seed) -> Result<Chains, SamplerError> {
    let HmcOptions { target_accept, trajectory_length, max_steps } = *options;
    check_acceptance(target_accept)?;
    require(trajectory_length > 0.0 && trajectory_length.is_finite(), "trajectory_length", trajectory_length, "a positive number")?;
    require(max_steps > 0, "max_steps", max_steps as f64, "at least 1")?;
    let kernel = Kernel::Line { trajectory_length, max_steps };
    Ok(Engine::new(target, starts, schedule, kernel, target_accept, (seed, "sampler.hmc"))?.run())
}

/// The no-U-turn sampler (Hoffman & Gelman 2014) with multinomial weights (Betancourt 2017); otherwise as [`hmc`].
///
/// A call of the density serves the chains that are still growing their trajectories; all buffers are allocated at the start,
/// (6 + 2 `max_tree_depth`) d numbers a chain.
///
/// # Errors
/// Starts outside the support; options out of range.
pub fn nuts(target: &dyn Target, starts: &[f64], schedule: &Schedule, options: &NutsOptions, seed: Seed) -> Result<Chains, SamplerError> {
    let NutsOptions { target_accept, max_tree_depth } = *options;
    check_acceptance(target_accept)?;
    require((1..=30).contains(&max_tree_depth), "max_tree_depth", max_tree_depth as f64, "1 to 30")?;
    let kernel = Kernel::Tree { max_depth: max_tree_depth as u32 };
    Ok(Engine::new(target, starts, schedule, kernel, target_accept, (seed, "sampler.nuts"))?.run())
}

fn check_acceptance(wanted: f64) -> Result<(), SamplerError> {
    require(wanted > 0.0 && wanted < 1.0, "target_accept", wanted, "between 0 and 1")
}

//! Samplers of densities known up to a constant, for a whole test set at once.
//!
//! A [`Target`] is m densities over ℝ^d, one per observation. Every sampler advances all chains of all targets together: one call of
//! [`Target::log_density`] (or its gradient) serves every chain that waits for a value, so a network sees large batches and 1000 observations
//! cost hardly more calls than one.
//!
//! | sampler | needs | good for |
//! |---|---|---|
//! | [`slice()`] | density | few dimensions, any shape, scales unknown |
//! | [`stretch`] | density | few dimensions, linear correlations |
//! | [`nuts`], [`hmc`] | gradient | many dimensions, correlations |
//! | [`rejection`] | a proposal and a bound | exact independent draws where the proposal is close |
//! | [`importance`] | a proposal | checking and refining a trained posterior, evidence |
//! | [`harmonic_evidence`] | draws of any sampler | the evidence |
//! | [`fit_reverse`], [`fit_forward`] | gradient; a start | a Gaussian approximation, as a proposal for the weights |
//! | [`fit_flows`] | gradient (reverse), density (forward); candidates | independent draws of a flow fitted to each target |
//!
//! Chains walk on the unconstrained scale; [`Unconstrained`] turns a density over bounded parameters into one. Every chain has random
//! streams of its own, made from the seed, the target's number and the chain's: draws depend neither on the threads nor on which other targets
//! are in the batch. What can't be delivered is a [`SamplerError`] with numbers; no sampler ever answers with draws of something else.
//!
//! ```
//! use abduce_data::Seed;
//! use abduce_inference::sampler::{self, Method, Schedule, SliceOptions, Target};
//!
//! /// N(x_t, 1) for each observation x_t.
//! struct Shifted([f64; 2]);
//! impl Target for Shifted {
//!     fn dimension(&self) -> usize { 1 }
//!     fn count(&self) -> usize { 2 }
//!     fn log_density(&self, points: &[f64], of: &[usize], out: &mut [f64]) {
//!         for ((x, &t), out) in points.iter().zip(of).zip(out) {
//!             *out = -0.5 * (x - self.0[t]).powi(2);
//!         }
//!     }
//!     fn log_density_gradient(&self, points: &[f64], of: &[usize], out: &mut [f64], gradient: &mut [f64]) {
//!         self.log_density(points, of, out);
//!         for ((x, &t), g) in points.iter().zip(of).zip(gradient) {
//!             *g = self.0[t] - x;
//!         }
//!     }
//! }
//!
//! let target = Shifted([-1.0, 4.0]);
//! let schedule = Schedule { num_chains: 4, draws: 500, ..Schedule::default() };
//! let starts = [-2.0, -1.0, 0.0, 1.0, 3.0, 4.0, 5.0, 6.0]; // (targets, chains, d)
//! let chains = Method::Slice(SliceOptions::default()).sample(&target, &starts, &schedule, Seed(1))?;
//! chains.require(1.02, 400.0)?;
//! let mean = chains.of_target(1).iter().sum::<f64>() / 2000.0;
//! assert!((mean - 4.0).abs() < 0.1);
//! # Ok::<(), sampler::SamplerError>(())
//! ```

mod chains;
pub mod convergence;
mod error;
mod flows;
mod gaussian;
mod hamiltonian;
mod harmonic;
mod importance;
mod locate;
mod maximum;
mod pareto;
mod proposal;
mod rejection;
mod slice;
mod start;
mod stretch;
mod target;
mod variational;

#[cfg(test)]
mod tests;

pub use chains::{Chains, Convergence, Schedule};
pub use error::SamplerError;
pub use flows::{Divergence, FlowFitError, FlowFits, FlowOptions, fit_flows};
pub use gaussian::{Covariance, Gaussians};
pub use hamiltonian::{HmcOptions, NutsOptions, hmc, nuts};
pub use harmonic::{HarmonicEvidence, HarmonicOptions, harmonic_evidence};
pub(crate) use importance::judge;
pub use importance::{WeightReport, Weighted, importance};
pub use locate::{Located, locate};
pub use maximum::{Maximum, MaximumOptions, maximise};
pub use pareto::pareto_smooth;
pub use proposal::{PointProposal, Proposal};
pub use rejection::{Accepted, Bound, RejectionOptions, rejection};
pub use slice::{SliceOptions, slice};
pub use start::{Choice, StartOptions, starts};
pub use stretch::{StretchOptions, stretch};
pub use target::{Target, Unconstrained};
pub use variational::{ForwardOptions, ReverseOptions, fit_forward, fit_reverse};

use abduce_data::Seed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Markov chain sampler with its options.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// [`slice()`].
    Slice(SliceOptions),
    /// [`stretch`].
    Stretch(StretchOptions),
    /// [`hmc`].
    Hmc(HmcOptions),
    /// [`nuts`].
    Nuts(NutsOptions),
}

impl Method {
    /// Runs the chains from `starts` (targets, num_chains, d).
    ///
    /// # Errors
    /// Those of the sampler.
    pub fn sample(&self, target: &dyn Target, starts: &[f64], schedule: &Schedule, seed: Seed) -> Result<Chains, SamplerError> {
        match self {
            Self::Slice(options) => slice(target, starts, schedule, options, seed),
            Self::Stretch(options) => stretch(target, starts, schedule, options, seed),
            Self::Hmc(options) => hmc(target, starts, schedule, options, seed),
            Self::Nuts(options) => nuts(target, starts, schedule, options, seed),
        }
    }
}

//! Approximate Bayesian computation: parameters whose simulations come close to the observation.
//!
//! The oldest simulation-based method and the one with the fewest assumptions: no network, a distance instead. [`rejection_abc`] keeps the closest
//! of many prior draws (Pritchard et al. 1999); [`smc_abc`] closes in over several populations (Beaumont et al. 2009, arXiv:0805.2256). A linear
//! regression can correct the kept parameters for their distance (Beaumont et al. 2002), and a regression of θ on x can choose the
//! summaries (Fearnhead and Prangle 2012, arXiv:1004.1112).
//!
//! Distances are Euclidean over the summaries, each scaled by its standard deviation over the prior's simulations. Where an observation is
//! several independent data, of which any order is as good, it is the energy distance between the sets.
//!
//! [`AbcPosterior`] is a finished sample with everything needed to draw from it, on disk or in memory.

mod adjustment;
mod density;
mod distance;
mod particles;
mod posterior;
mod regression;
mod rejection;
mod smc;
mod summary;

pub use adjustment::Adjustment;
pub use density::{Bandwidth, KernelDensity};
pub use posterior::AbcPosterior;
pub use rejection::{Accept, RejectionAbc, SimulationTable, rejection_abc, rejection_abc_of_table};
pub use smc::{Decay, Leftover, Population, SmcAbc, smc_abc};
pub use summary::Summaries;

use crate::prior::PriorError;

/// A weighted sample of the approximate posterior.
#[derive(Clone, Debug, PartialEq)]
pub struct AbcSample {
    /// θ (n, d).
    pub theta: Vec<f64>,
    /// Weights; sum 1.
    pub weights: Vec<f64>,
    /// Distance of each simulation from the observation.
    pub distances: Vec<f64>,
    /// The largest distance that was accepted.
    pub epsilon: f64,
    /// Parameters simulated.
    pub simulations: usize,
    /// Of them failed, and left out.
    pub failed: usize,
}

impl AbcSample {
    /// Effective number of draws, 1/Σ w².
    pub fn effective_size(&self) -> f64 {
        1.0 / self.weights.iter().map(|w| w * w).sum::<f64>()
    }

    /// `count` draws θ (count, d) by systematic resampling, in random order: each row appears w·count times, up or down to the next integer.
    pub fn resample(&self, count: usize, rng: &mut abduce_data::Rng) -> Vec<f64> {
        let d = self.theta.len() / self.weights.len().max(1);
        let mut rows = particles::systematic(&self.weights, count, rng);
        // Fisher-Yates: any part of the draws is a sample.
        (1..count).rev().for_each(|k| rows.swap(k, rng.below(k + 1)));
        rows.iter().flat_map(|&row| &self.theta[row * d..(row + 1) * d]).copied().collect()
    }
}

/// Why ABC can't deliver.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AbcError {
    /// An option outside its range.
    #[error("option {option} = {value}, expected {expected}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        value: f64,
        /// The allowed range.
        expected: &'static str,
    },
    /// Nothing was close enough.
    #[error("none of {simulations} simulations lies within {epsilon} of the observation; the closest is at {closest}")]
    NoneAccepted {
        /// Simulations run.
        simulations: usize,
        /// The distance asked for.
        epsilon: f64,
        /// The smallest distance.
        closest: f64,
    },
    /// Too few simulations are left for what is asked.
    #[error("{usable} usable simulations ({failed} failed), at least {needed} are needed for {purpose}")]
    TooFew {
        /// Usable simulations.
        usable: usize,
        /// Failed ones.
        failed: usize,
        /// Needed.
        needed: usize,
        /// What for.
        purpose: &'static str,
    },
    /// The observation does not fit the simulations.
    #[error("the observation has {found} values, simulations have {expected}")]
    Observation {
        /// Values of the observation.
        found: usize,
        /// Values of a simulation.
        expected: usize,
    },
    /// Several independent data with a method that is for one.
    #[error("{method} works on one datum per observation, and there are {trials}")]
    Trials {
        /// The method.
        method: &'static str,
        /// Data of the observation.
        trials: usize,
    },
    /// A stored simulation that the prior does not allow.
    #[error("row {row}: theta lies outside the prior's support")]
    OutsidePrior {
        /// Its row.
        row: usize,
    },
    /// Stored tables whose rows don't pair.
    #[error("{theta} values of theta and {x} of x do not make rows of {parameters} and {width}")]
    Table {
        /// Values of theta.
        theta: usize,
        /// Values of x.
        x: usize,
        /// Parameters of the prior.
        parameters: usize,
        /// Values of the observation.
        width: usize,
    },
    /// Too few stored simulations.
    #[error("{wanted} simulations are asked for, and {stored} are stored")]
    Stored {
        /// Asked for.
        wanted: usize,
        /// There are.
        stored: usize,
    },
    /// The sample is too small or too narrow for a kernel density.
    #[error("a kernel density of the accepted parameters: {0}")]
    Density(#[from] PriorError),
    /// The simulator failed as a whole.
    #[error("the simulator failed: {0}")]
    Simulator(String),
}

#[cfg(test)]
mod tests;

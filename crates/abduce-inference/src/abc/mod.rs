//! Approximate Bayesian computation: parameters whose simulations come close to the observation.
//!
//! The oldest simulation-based method and the one with the fewest assumptions: no network, a distance instead. [`rejection_abc`] keeps the closest
//! of many prior draws (Pritchard et al. 1999); [`smc_abc`] closes in over several populations (Beaumont et al. 2009, arXiv:0805.2256). A linear
//! regression can correct the kept parameters for their distance (Beaumont et al. 2002), and a regression of θ on x can choose the
//! summaries (Fearnhead and Prangle 2012, arXiv:1004.1112).
//!
//! Distances are Euclidean over the summaries, each scaled by its standard deviation over the prior's simulations.

mod adjustment;
mod distance;
mod regression;
mod rejection;
mod smc;

pub use adjustment::Adjustment;
pub use distance::Summaries;
pub use rejection::{Accept, RejectionAbc, rejection_abc};
pub use smc::{Decay, Population, SmcAbc, smc_abc};

use crate::simulator::Simulate;

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
    /// Simulations run.
    pub simulations: usize,
    /// Of them failed, and left out.
    pub failed: usize,
}

impl AbcSample {
    /// Effective number of draws, 1/Σ w².
    pub fn effective_size(&self) -> f64 {
        1.0 / self.weights.iter().map(|w| w * w).sum::<f64>()
    }

    /// `count` draws θ (count, d) by systematic resampling: each row appears w·count times, up or down to the next integer.
    pub fn resample(&self, count: usize, rng: &mut abduce_data::Rng) -> Vec<f64> {
        let d = self.theta.len() / self.weights.len().max(1);
        let (offset, mut sum, mut row) = (rng.uniform(), self.weights.first().copied().unwrap_or(0.0), 0);
        let mut out = Vec::with_capacity(count * d);
        for k in 0..count {
            let at = (k as f64 + offset) / count as f64;
            while at > sum && row + 1 < self.weights.len() {
                row += 1;
                sum += self.weights[row];
            }
            out.extend_from_slice(&self.theta[row * d..(row + 1) * d]);
        }
        out
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
    /// A population could not be completed.
    #[error("population {population}: {accepted} of {wanted} particles after {tried} simulations at epsilon {epsilon}")]
    Stuck {
        /// The population, from 1.
        population: usize,
        /// Particles found.
        accepted: usize,
        /// Particles wanted.
        wanted: usize,
        /// Simulations of this population.
        tried: usize,
        /// Its distance.
        epsilon: f64,
    },
    /// The observation does not fit the simulations.
    #[error("the observation has {found} values, simulations have {expected}")]
    Observation {
        /// Values of the observation.
        found: usize,
        /// Values of a simulation.
        expected: usize,
    },
    /// The simulator failed as a whole.
    #[error("the simulator failed: {0}")]
    Simulator(String),
}

/// Simulates rows `theta` (n, d), checks the shape of the answer, and keeps the pairs that did not fail.
fn simulated(simulate: &mut Simulate<'_>, theta: &[f32], d: usize, first: usize, width: usize) -> Result<(Vec<f64>, Vec<f64>), AbcError> {
    let rows = theta.len() / d;
    let x = simulate(theta, first).map_err(AbcError::Simulator)?;
    if x.len() != rows * width {
        return Err(AbcError::Observation { found: width, expected: x.len() / rows.max(1) });
    }
    let good = || theta.chunks_exact(d).zip(x.chunks_exact(width)).filter(|(_, x)| x.iter().all(|v| v.is_finite()));
    Ok((
        good().flat_map(|(theta, _)| theta.iter().map(|&v| f64::from(v))).collect(),
        good().flat_map(|(_, x)| x.iter().map(|&v| f64::from(v))).collect(),
    ))
}

#[cfg(test)]
mod tests;

//! Simulation-based inference: priors, simulators, training, posteriors and their diagnostics.

pub mod abc;
pub mod diagnostics;
pub mod estimate;
pub mod posterior;
pub mod prior;
pub mod sampler;
pub mod sequential;
pub mod simulator;
pub mod study;
pub mod training;

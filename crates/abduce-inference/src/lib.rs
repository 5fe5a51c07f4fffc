//! Simulation-based inference: priors, simulators, training, posteriors and their diagnostics.

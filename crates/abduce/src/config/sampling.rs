//! How a posterior is drawn from.

use super::support;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How draws are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "sampling method", "x-names" = METHOD_NAMES, "x-unavailable" = support::SAMPLERS))]
pub enum SampleMethod {
    /// Exact, independent draws. Only a posterior density (engines NPE, SNPE) can be drawn from directly.
    Direct,
    /// Markov chains by slice sampling, coordinate by coordinate.
    Slice,
    /// Markov chains by affine-invariant stretch moves of an ensemble of walkers.
    Emcee,
    /// Markov chains by Hamiltonian Monte Carlo.
    Hmc,
    /// Markov chains by the no-U-turn sampler.
    Nuts,
}

/// Other names of methods: (theirs, ours).
pub(crate) const METHOD_NAMES: &[(&str, &str)] = &[
    ("slice_np", "slice"),
    ("slice_np_vectorized", "slice"),
    ("slice_pymc", "slice"),
    ("hmc_pyro", "hmc"),
    ("hmc_pymc", "hmc"),
    ("nuts_pyro", "nuts"),
    ("nuts_pymc", "nuts"),
];

impl SampleMethod {
    /// By our name or one of sbi's.
    pub fn named(name: &str) -> Option<Self> {
        let own = METHOD_NAMES.iter().find(|(theirs, _)| *theirs == name).map_or(name, |(_, ours)| ours);
        serde_json::from_value(own.into()).ok()
    }
}

/// Options of Markov chains; what is not given follows from the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-ignored" = support::SAMPLE_PARAMS))]
pub struct SampleParams {
    /// Chains per observation; -1 for the method's own number.
    #[schemars(range(min = -1, max = 100_000))]
    pub num_chains: i64,
    /// Steps of each chain that adapt the sampler and are thrown away.
    #[schemars(extend("x-aliases" = ["warmup_steps"]))]
    pub burn_in: Option<usize>,
    /// Of the steps after that, each so many-th is kept.
    #[schemars(range(min = 1))]
    pub thin: Option<usize>,
}

impl Default for SampleParams {
    fn default() -> Self {
        Self { num_chains: -1, burn_in: None, thin: None }
    }
}

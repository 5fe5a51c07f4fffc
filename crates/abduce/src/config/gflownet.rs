//! The file of a generative flow network: what is built, by which policy, and how it is trained.

use super::{Findings, Section};
use abduce_gflownet::environment::{BitSequence, Hypergrid, Ising, PerfectTree, SetAddition};
use abduce_gflownet::{Loss, PolicySpec, TrainConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What `abduce gflownet train` reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GflownetConfig {
    /// What is built, and what it is worth.
    pub environment: EnvironmentConfig,
    /// The network.
    #[serde(default)]
    pub policy: PolicySpec,
    /// What is minimised.
    #[serde(default)]
    pub loss: Loss,
    /// How it is trained.
    #[serde(default)]
    pub train: TrainConfig,
    /// Points of the curve at which the exact distribution is computed, where the states can be listed.
    #[serde(default = "forty")]
    #[schemars(range(min = 1, max = 10000))]
    pub evaluations: usize,
    /// Seed of everything random.
    #[serde(default)]
    pub seed: u64,
    /// The folder of the results; the command line's `-o` comes first.
    #[serde(default = "super::infer::here")]
    pub out_dir: PathBuf,
}

fn forty() -> usize {
    40
}

/// What is built: `NAME: {ARGUMENTS}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum EnvironmentConfig {
    /// Points of a grid, one coordinate up at a time.
    Hypergrid(Hypergrid),
    /// Bits from left to right, near to some modes.
    BitSequence(BitSequence),
    /// Spins of a lattice, set in any order.
    Ising(Ising),
    /// Leaves of a tree.
    PerfectTree(PerfectTree),
    /// Sets of a fixed size, elements added in any order.
    SetAddition(SetAddition),
}

impl Section for GflownetConfig {
    const KIND: &'static str = "gflownet";

    fn check(&self, findings: &mut Findings) {
        if let Err(error) = self.loss.check() {
            findings.error(&format!("loss.{}", self.loss.name()), &error.to_string(), "see `abduce explain loss`");
        }
        match &self.environment {
            EnvironmentConfig::BitSequence(bits) if bits.length % bits.word != 0 => {
                let message = format!("{} bits are no multiple of words of {}", bits.length, bits.word);
                findings.error("environment.bit_sequence.length", &message, "make `length` a multiple of `word`");
            }
            EnvironmentConfig::SetAddition(set) if set.size > set.log_weights.len() => {
                let message = format!("sets of {} out of {} elements", set.size, set.log_weights.len());
                findings.error("environment.set_addition.size", &message, "make `size` at most the number of `log_weights`");
            }
            _ => {}
        }
    }
}

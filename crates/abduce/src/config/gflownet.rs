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

fn one() -> f64 {
    1.0
}

fn failure() -> f64 {
    -15.0
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
    /// Attempts to prove a theorem of a Metamath database.
    Proof(ProofConfig),
    /// Derivations of a string in the letter game MIU.
    Miu(MiuConfig),
}

/// All attempts to prove a theorem by a few tactics: assertions, and expressions for the variables that a conclusion does not fix. ln R is -`beta` for each step of a finished
/// proof, and `dead_end` where no tactic applies any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofConfig {
    /// The database, an .mm file.
    pub database: PathBuf,
    /// The label of the theorem.
    pub theorem: String,
    /// Labels of the assertions that proofs may cite.
    #[schemars(length(min = 1))]
    pub labels: Vec<String>,
    /// Expressions, their types in front: "wff ( ph -> ph )".
    #[serde(default)]
    pub expressions: Vec<String>,
    /// Most steps of a proof.
    #[schemars(range(min = 1, max = 64))]
    pub max_steps: usize,
    /// What a step costs in ln R.
    #[serde(default = "one")]
    pub beta: f64,
    /// ln R of an attempt that ends without a proof.
    #[serde(default = "failure")]
    pub dead_end: f64,
}

/// All derivations in the game of M, I and U (Hofstadter 1979), from MI. Rewards as in `proof`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MiuConfig {
    /// The string that is to be derived.
    pub target: String,
    /// Most letters of a string on the way.
    #[schemars(range(min = 2, max = 64))]
    pub max_length: usize,
    /// Most steps.
    #[schemars(range(min = 1, max = 64))]
    pub max_steps: usize,
    /// What a step costs in ln R.
    #[serde(default = "one")]
    pub beta: f64,
    /// ln R of an attempt that ends without a proof.
    #[serde(default = "failure")]
    pub dead_end: f64,
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
            EnvironmentConfig::Miu(miu) if !miu.target.bytes().all(|letter| b"MIU".contains(&letter)) => {
                let message = format!("`{}` is no string of M, I and U", miu.target);
                findings.error("environment.miu.target", &message, "use these three letters");
            }
            EnvironmentConfig::Proof(ProofConfig { beta, dead_end, .. }) | EnvironmentConfig::Miu(MiuConfig { beta, dead_end, .. })
                if !beta.is_finite() || !dead_end.is_finite() =>
            {
                findings.error("environment", "`beta` and `dead_end` are to be finite", "give a large number in place of an infinite one");
            }
            _ => {}
        }
    }
}

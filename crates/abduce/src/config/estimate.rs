//! Estimates without a posterior density, in a pipeline: points and quantiles of each parameter, and which simulator made the data.

use super::Findings;
use super::simulator::{PriorPlace, SimulatorConfig};
use abduce_inference::estimate::{EstimatorSpec, Quantity};
use abduce_nn::trainer::{Schedule, TrainConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A functional of the posterior of each parameter, learnt on the training pairs: `estimates/NAME.safetensors`, what it does on the pairs held out,
/// `estimates/NAME.json`, and its values for the observations of `sample`, `estimates/NAME.npy`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EstimateConfig {
    /// What is learnt.
    #[serde(default)]
    pub quantity: QuantityConfig,
    /// Levels of the quantiles, increasing.
    #[serde(default = "levels")]
    #[schemars(length(min = 1))]
    pub levels: Vec<f32>,
    /// How the network learns.
    #[serde(flatten)]
    pub learn: LearnConfig,
}

/// Mean and standard deviation; median; or quantiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "quantity"))]
pub enum QuantityConfig {
    /// Mean and standard deviation.
    #[default]
    Moments,
    /// Median.
    Median,
    /// Quantiles at `levels`.
    Quantiles,
}

fn levels() -> Vec<f32> {
    vec![0.025, 0.16, 0.5, 0.84, 0.975]
}

impl QuantityConfig {
    /// What the library is asked for.
    pub fn quantity(self, levels: &[f32]) -> Quantity {
        match self {
            Self::Moments => Quantity::Moments {},
            Self::Median => Quantity::Median {},
            Self::Quantiles => Quantity::Quantiles { levels: levels.to_vec() },
        }
    }
}

/// Which simulator made the observations of `sample`: the one of `simulate`, or others. A classifier of their simulations learns the probabilities of the
/// models: `models.safetensors`; what it does on simulations held out and what it says of the observations: `models.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelsConfig {
    /// Name of the model of the section `simulate`.
    #[serde(default = "this")]
    pub name: String,
    /// The others by name: built-in tasks or programs, with priors and parameters of their own, whose data have the same shape.
    #[schemars(extend("minProperties" = 1))]
    pub others: BTreeMap<String, SimulatorConfig>,
    /// Simulations of each of the others; as many as of `simulate` where not given.
    #[serde(default)]
    #[schemars(range(min = 2))]
    pub n: Option<usize>,
    /// Prior probabilities, up to a factor, of the models by name; equal where not given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prior: BTreeMap<String, f64>,
    /// How the network learns.
    #[serde(flatten)]
    pub learn: LearnConfig,
}

fn this() -> String {
    "simulate".into()
}

/// How the network of an estimator learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LearnConfig {
    /// Widths of the hidden layers.
    #[schemars(length(min = 1, max = 64))]
    pub hidden: Vec<usize>,
    /// Networks whose answers are averaged.
    #[schemars(range(min = 1, max = 1000))]
    pub nets: usize,
    /// Learning rate of Adam; it drops twice where progress ends.
    #[schemars(range(max = 10.0), extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: f32,
    /// Rows per step; a fiftieth of the training rows, between 50 and 512, where not given.
    #[schemars(range(min = 1))]
    pub batch_size: Option<usize>,
    /// Most epochs.
    #[schemars(range(min = 1))]
    pub max_epochs: Option<usize>,
    /// Share of the simulations held out.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub validation_fraction: f64,
}

impl Default for LearnConfig {
    fn default() -> Self {
        Self { hidden: vec![64, 64, 64], nets: 1, learning_rate: 1e-3, batch_size: None, max_epochs: None, validation_fraction: 0.1 }
    }
}

impl LearnConfig {
    /// The network.
    pub fn spec(&self) -> EstimatorSpec {
        EstimatorSpec { hidden: self.hidden.clone(), ..EstimatorSpec::default() }
    }

    /// The training on so many rows.
    pub fn train(&self, rows: usize) -> TrainConfig {
        TrainConfig {
            batch_size: self.batch_size.unwrap_or((rows / 50).clamp(50, 512)),
            learning_rate: self.learning_rate,
            schedule: Schedule::Plateau { factor: 0.2, drops: 2 },
            stop_after_epochs: 10,
            max_epochs: self.max_epochs,
            ..TrainConfig::default()
        }
    }
}

impl ModelsConfig {
    /// Names of all models, the one of `simulate` first.
    pub fn names(&self) -> Vec<String> {
        std::iter::once(&self.name).chain(self.others.keys()).cloned().collect()
    }

    /// Prior probabilities in the order of [`ModelsConfig::names`].
    pub fn priors(&self) -> Vec<f64> {
        self.names().iter().map(|name| self.prior.get(name).copied().unwrap_or(1.0)).collect()
    }

    /// What can't be.
    pub(super) fn check(&self, findings: &mut Findings) {
        for (name, simulator) in &self.others {
            simulator.check_at(&format!("models.others.{name}."), PriorPlace::Here, findings);
            check_name("models.others", name, findings);
        }
        if self.others.contains_key(&self.name) {
            findings.error(
                "models.name",
                &format!("`{}` is the name of two models", self.name),
                "give the model of `simulate` another name",
            );
        }
        let names = self.names();
        for (name, value) in &self.prior {
            if !names.contains(name) {
                findings.error("models.prior", &format!("there is no model `{name}`"), &format!("the models are {}", names.join(", ")));
            } else if !(*value > 0.0 && value.is_finite()) {
                findings.error("models.prior", &format!("the prior probability of `{name}` is {value}"), "give a positive number");
            }
        }
    }
}

/// What can't be in a section `estimate`.
pub(super) fn check_estimates(estimates: &BTreeMap<String, EstimateConfig>, findings: &mut Findings) {
    for (name, estimate) in estimates {
        let rising = estimate.levels.windows(2).all(|pair| pair[0] < pair[1]);
        if !(rising && estimate.levels.iter().all(|level| *level > 0.0 && *level < 1.0)) {
            let message = format!("levels {:?} of quantiles", estimate.levels);
            findings.error(&format!("estimate.{name}.levels"), &message, "levels increase between 0 and 1");
        }
        check_name("estimate", name, findings);
    }
}

/// Names stand in those of files.
fn check_name(section: &str, name: &str, findings: &mut Findings) {
    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "-_".contains(c)) {
        findings.error(section, &format!("`{name}` is no name of a file"), "take letters, digits, - and _");
    }
}

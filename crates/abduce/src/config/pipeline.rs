//! The one-file form: every stage of `abduce run` in one file.

use super::data::DataConfig;
use super::embeddings::EmbeddingConfig;
use super::estimate::{EstimateConfig, ModelsConfig, check_estimates};
use super::infer::{
    InferConfig, ModelConfig, Parameter, TrainConfig, check_embedding, check_priors, check_training, cpu, fill_backend_defaults,
    fill_engine_defaults, here,
};
use super::nets::Engine;
use super::sampling::{SampleMethod, SampleParams};
use super::simulator::{PriorPlace, SimulatorConfig};
use super::val::{ValConfig, check_validation};
use super::{Findings, Section};
use abduce_inference::prior::PriorSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What `abduce run` reads: simulate → train → sample → validate → report. The sections of training keep their names and keys from the
/// infer file, `data` and `validate` are a data and a val file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineConfig {
    /// Seed of everything random, except where a section has its own.
    #[serde(default)]
    pub seed: u64,
    /// The run directory; the outputs of all stages go there. The command line's `-o` comes first.
    #[serde(default)]
    pub out_dir: Option<PathBuf>,
    /// Names of the parameters, in the order of the columns of θ; the task's own where not given.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Simulate the training and test pairs, with a built-in task or a program.
    #[serde(default)]
    pub simulate: Option<SimulateConfig>,
    /// Stored simulations, in place of `simulate`.
    #[serde(default)]
    pub data: Option<DataConfig>,
    /// The prior p(θ) of stored simulations; `simulate` brings its own.
    #[serde(default)]
    pub prior: Option<PriorSpec>,
    /// What the parameters of the stored simulations were drawn from, where that is not the prior.
    #[serde(default)]
    pub proposal: Option<PriorSpec>,
    /// A net that summarises the data before the density sees them.
    #[serde(default)]
    pub embedding_net: Option<EmbeddingConfig>,
    /// Engine and nets.
    #[serde(default)]
    pub model: ModelConfig,
    /// How the nets are trained.
    #[serde(default)]
    pub train_args: TrainConfig,
    /// Apply the posterior to observations.
    #[serde(default)]
    pub sample: Option<SampleConfig>,
    /// Estimates of the parameters beside the posterior, without a density: `NAME: {quantity: moments}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub estimate: BTreeMap<String, EstimateConfig>,
    /// Compare the simulator of `simulate` with others: which one made the observations?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<ModelsConfig>,
    /// Test the posterior on held-out pairs.
    #[serde(default)]
    #[schemars(extend("x-aliases" = ["val"]))]
    pub validate: ValConfig,
    /// The report.
    #[serde(default)]
    pub report: ReportConfig,
}

impl PipelineConfig {
    /// The prior: the one given, or the simulator's own. None only where neither is there, which the check of the file refuses.
    pub fn prior(&self) -> Option<PriorSpec> {
        self.prior.clone().or_else(|| self.simulate.as_ref()?.simulator.prior())
    }

    /// The training part. None only without a prior.
    pub fn infer(&self) -> Option<InferConfig> {
        Some(InferConfig {
            prior: self.prior()?,
            proposal: self.proposal.clone(),
            embedding_net: self.embedding_net.clone(),
            model: self.model.clone(),
            train_args: self.train_args.clone(),
            parameters: self.parameters.clone(),
            seed: self.seed,
            device: cpu(),
            out_dir: self.out_dir.clone().unwrap_or_else(here),
        })
    }
}

/// Pairs (θ, x) from a simulator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SimulateConfig {
    /// The simulator.
    #[serde(flatten)]
    pub simulator: SimulatorConfig,
    /// Number of training pairs.
    #[schemars(range(min = 2))]
    pub n: usize,
    /// Number of held-out pairs for validation.
    #[serde(default = "test_pairs")]
    pub n_test: usize,
    /// Seed of the simulations; the file's where not given.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Folder for theta.npy and x.npy, inside the run directory.
    #[serde(default = "simulations")]
    pub out: PathBuf,
    /// Folder of simulations that several runs share and none repeats. A program's are otherwise kept in the run directory, so that a run that was
    /// stopped goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<PathBuf>,
}

fn test_pairs() -> usize {
    1000
}

fn simulations() -> PathBuf {
    "simulations".into()
}

/// Posterior draws (n_obs, n, d) for observations: `samples.npy` in the run directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleConfig {
    /// Observations; `data.xobs_file` where not given.
    #[serde(default)]
    pub x_file: Option<PathBuf>,
    /// Draws per observation.
    #[serde(default = "draws")]
    #[schemars(range(min = 1))]
    pub n: usize,
    /// How they are drawn; exactly where the networks give the posterior density, else by slice sampling.
    #[serde(default)]
    pub sample_method: Option<SampleMethod>,
    /// Options of the chains.
    #[serde(default)]
    pub sample_params: SampleParams,
    /// Independent data of each observation, one after the other in the rows of the file (engines NLE, NRE and NPSE).
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub trials: usize,
}

fn one() -> usize {
    1
}

fn draws() -> usize {
    10_000
}

/// The HTML report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReportConfig {
    /// Heading; the task or the run directory where not given.
    pub title: Option<String>,
    /// Compare the posterior of the observations with values from elsewhere.
    pub compare: Option<CompareConfig>,
}

/// Values of one parameter from elsewhere, one per observation, and an optional check of the predicted data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareConfig {
    /// The values, one per observation, in the unit of the parameter.
    pub file: PathBuf,
    /// Their 1σ errors; none where not given.
    #[serde(default)]
    pub error_file: Option<PathBuf>,
    /// What they are: `ACT DR3`.
    pub name: String,
    /// The parameter; the first one where not given.
    #[serde(default)]
    pub parameter: Option<String>,
    /// Whether the parameter is a logarithm.
    #[serde(default)]
    pub scale: CompareScale,
    /// Also predict how a feature of the data is distributed, by simulating with posterior draws; needs `simulate`.
    #[serde(default)]
    pub predict: Option<PredictConfig>,
}

/// How ratios follow from values of a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "scale"))]
pub enum CompareScale {
    /// The parameter is the quantity itself.
    #[default]
    Linear,
    /// The parameter is the decimal logarithm of the quantity.
    Log10,
}

/// A posterior predictive check: counts of one feature over the observations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PredictConfig {
    /// Index of the feature in a datum.
    pub feature: usize,
    /// What it is, for the axis.
    pub quantity: String,
    /// Number of bins.
    #[serde(default = "ten")]
    #[schemars(range(min = 2, max = 1000))]
    pub bins: usize,
}

fn ten() -> usize {
    10
}

impl Section for PipelineConfig {
    const KIND: &'static str = "pipeline";

    fn fill(value: &mut Value) {
        fill_engine_defaults(value);
        fill_backend_defaults(value);
    }

    fn check(&self, findings: &mut Findings) {
        match (&self.simulate, &self.data) {
            (None, None) => findings.error("", "there is nothing to train on", "add a section `simulate` or `data`"),
            (Some(_), Some(_)) => findings.error("data", "both `simulate` and `data` are given", "keep one of the two"),
            (None, Some(data)) => {
                findings.within("data.", |findings| data.check(findings));
                if self.validate.data.is_none() && !self.validate.metrics.is_empty() && !self.model.engine.is_abc() {
                    let help = "add `data` to `validate`, or leave validation out with `validate: {metrics: {}}`";
                    findings.error("validate", "there are no test pairs to validate on", help);
                }
                if self.prior.is_none() {
                    findings.error("data", "stored simulations do not tell their prior", "add a section `prior`");
                }
            }
            (Some(simulate), None) => {
                simulate.simulator.check_at("simulate.", PriorPlace::Here, findings);
                for (section, given) in [("prior", self.prior.is_some()), ("proposal", self.proposal.is_some())] {
                    match (given, &simulate.simulator.task) {
                        (false, _) => {}
                        (true, Some(_)) => {
                            findings.error(section, "the task of `simulate` draws from its own prior", &format!("leave `{section}` out"));
                        }
                        (true, None) => {
                            let help = "give `prior` in the section `simulate`, and there alone";
                            findings.error(section, "the parameters of `simulate` are drawn from the prior of that section", help);
                        }
                    }
                }
            }
        }
        let engine = self.model.engine;
        if (engine.is_sequential() || engine == Engine::Smcabc) && self.simulate.is_none() {
            let help = "add a section `simulate`; its `n` counts the simulations of each round, or of all populations";
            findings.error("model.engine", "this engine simulates while it trains, and there is no simulator", help);
        }
        if (engine.is_sequential() || engine.is_abc()) && self.sample.is_none() {
            findings.error("model.engine", "this engine closes in on an observation, and there is none", "add `sample: {x_file: …}`");
        }
        check_estimates(&self.estimate, findings);
        if let Some(models) = &self.models {
            models.check(findings);
            if self.simulate.is_none() {
                findings.error("models", "there is no simulator to compare others with", "add a section `simulate`");
            }
        }
        if (engine.is_sequential() || engine.is_abc()) && !(self.estimate.is_empty() && self.models.is_none()) {
            let section = if self.estimate.is_empty() { "models" } else { "estimate" };
            let help = "leave the section out, or name an engine that trains on simulations of the prior";
            findings.error(
                section,
                "estimates are learnt on simulations of the prior, and this engine simulates for one observation",
                help,
            );
        }
        check_embedding(engine, self.embedding_net.as_ref(), findings);
        if self.validate.posterior_file.is_some() {
            findings.error("validate.posterior_file", "a pipeline validates the posterior that it trains", "leave `posterior_file` out");
        }
        if let Some(sample) = &self.sample
            && sample.x_file.is_none()
            && self.data.as_ref().is_none_or(|data| data.xobs_file.is_none())
        {
            findings.error("sample", "there is no observation to sample for", "add `x_file` to `sample`");
        }
        if let Some(compare) = &self.report.compare {
            if self.sample.is_none() {
                findings.error("report.compare", "there are no observations to compare", "add a section `sample`");
            }
            if compare.predict.is_some() && self.simulate.is_none() {
                findings.error("report.compare.predict", "predicting data needs a simulator", "leave `predict` out");
            }
        }
        check_training(&self.model, &self.train_args, &self.parameters, findings);
        check_priors(self.prior().as_ref(), self.proposal.as_ref(), self.parameters.len(), findings);
        check_validation(&self.validate, "validate.", findings);
    }
}

//! The one-file form: every stage of `abduce run` in one file.

use super::data::DataConfig;
use super::infer::{InferConfig, ModelConfig, Parameter, TrainConfig, check_priors, check_training, cpu, fill_backend_defaults};
use super::nets::EmbeddingConfig;
use super::val::{ValConfig, check_validation};
use super::{Findings, Section};
use abduce_inference::prior::PriorSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// What `abduce run` reads: simulate → train → sample → validate → report. The sections of training keep their names and keys from the
/// infer file, `data` and `validate` are a data and a val file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineConfig {
    /// Seed of everything random, except where a section has its own.
    #[serde(default)]
    pub seed: u64,
    /// The run directory; the outputs of all stages go there.
    pub out_dir: PathBuf,
    /// Names of the parameters, in the order of the columns of θ; the task's own where not given.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Simulate the training and test pairs with a built-in task.
    #[serde(default)]
    pub simulate: Option<SimulateConfig>,
    /// Stored simulations, in place of `simulate`.
    #[serde(default)]
    pub data: Option<DataConfig>,
    /// The prior p(θ); the task's own where not given.
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
    /// Test the posterior on held-out pairs.
    #[serde(default)]
    #[schemars(extend("x-aliases" = ["val"]))]
    pub validate: ValConfig,
    /// The report.
    #[serde(default)]
    pub report: ReportConfig,
}

impl PipelineConfig {
    /// The training part, with `task_prior` where the file gives no prior.
    pub fn infer(&self, task_prior: PriorSpec) -> InferConfig {
        InferConfig {
            prior: self.prior.clone().unwrap_or(task_prior),
            proposal: self.proposal.clone(),
            embedding_net: self.embedding_net.clone(),
            model: self.model.clone(),
            train_args: self.train_args.clone(),
            parameters: self.parameters.clone(),
            seed: self.seed,
            device: cpu(),
            out_dir: self.out_dir.clone(),
        }
    }
}

/// Pairs (θ, x) from a built-in simulator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulateConfig {
    /// The simulator.
    pub task: Task,
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
    /// Arguments of the simulator, for those that have any.
    #[serde(default)]
    pub args: serde_json::Map<String, Value>,
}

fn test_pairs() -> usize {
    1000
}

fn simulations() -> PathBuf {
    "simulations".into()
}

/// A built-in simulator with its prior.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-kind" = "task"))]
pub enum Task {
    /// Two parameters, two data, a posterior with two crescents.
    TwoMoons,
    /// Five parameters, eight data: simple likelihood, complex posterior.
    Slcp,
    /// Ten parameters, ten data, all normal.
    GaussianLinear,
    /// Two parameters, two data from a broad and a narrow normal.
    GaussianMixture,
    /// An epidemic: two rates, ten counts of infected people.
    Sir,
    /// LtU-ILI's toy: three parameters of a curve with noise.
    LtuIliToy,
    /// Masses of galaxy clusters from their Sunyaev–Zeldovich signal.
    SzCluster,
}

/// Posterior draws for observations.
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
    /// The draws (n_obs, n, d), inside the run directory.
    #[serde(default = "samples")]
    pub out: PathBuf,
}

fn draws() -> usize {
    10_000
}

fn samples() -> PathBuf {
    "samples.npy".into()
}

/// The HTML report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReportConfig {
    /// Heading; the task or the run directory where not given.
    pub title: Option<String>,
    /// The report, inside the run directory.
    pub out: PathBuf,
}

impl Default for ReportConfig {
    fn default() -> Self {
        Self { title: None, out: "report.html".into() }
    }
}

impl Section for PipelineConfig {
    const KIND: &'static str = "pipeline";

    fn fill(value: &mut Value) {
        fill_backend_defaults(value);
    }

    fn check(&self, findings: &mut Findings) {
        match (&self.simulate, &self.data) {
            (None, None) => findings.error("", "there is nothing to train on", "add a section `simulate` or `data`"),
            (Some(_), Some(_)) => findings.error("data", "both `simulate` and `data` are given", "keep one of the two"),
            (None, Some(data)) => {
                findings.within("data.", |findings| data.check(findings));
                if self.validate.data.is_none() && !self.validate.metrics.is_empty() {
                    let help = "add `data` to `validate`, or leave validation out with `validate: {metrics: {}}`";
                    findings.error("validate", "there are no test pairs to validate on", help);
                }
                if self.prior.is_none() {
                    findings.error("data", "stored simulations do not tell their prior", "add a section `prior`");
                }
            }
            (Some(_), None) => {}
        }
        if let Some(sample) = &self.sample
            && sample.x_file.is_none()
            && self.data.as_ref().is_none_or(|data| data.xobs_file.is_none())
        {
            findings.error("sample", "there is no observation to sample for", "add `x_file` to `sample`");
        }
        check_training(&self.model, &self.train_args, &self.parameters, findings);
        check_priors(self.prior.as_ref(), self.proposal.as_ref(), self.parameters.len(), findings);
        check_validation(&self.validate, "validate.", findings);
    }
}

//! The infer file: prior, model and training.

use super::abc::AbcConfig;
use super::embeddings::EmbeddingConfig;
use super::nets::{Backend, DensityConfig, Engine, NetConfig, NetSort, NsfConfig, SdeType, lampe_defaults, pydelfi_defaults};
use super::{Findings, Section, support};
use abduce_data::ParameterInfo;
use abduce_inference::prior::{Prior, PriorError, PriorSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What `abduce train` reads: the prior, the nets and how they are trained. LtU-ILI's infer files are read unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InferConfig {
    /// The prior p(θ): `{FAMILY: {ARGUMENTS}}`, or LtU-ILI's `{module, class, args}`.
    pub prior: PriorSpec,
    /// What the parameters of the stored simulations were drawn from, where that is not the prior; the loss is then weighted by
    /// prior/proposal.
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
    /// Names of the parameters, in the order of the columns of θ.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Seed of everything random: split, initial weights, shuffling.
    #[serde(default)]
    pub seed: u64,
    /// Where training runs. This version computes on the CPU.
    #[serde(default = "cpu")]
    pub device: String,
    /// The run directory; the command line's `-o` comes first.
    #[serde(default = "here")]
    #[schemars(extend("x-aliases" = ["output_path"]))]
    pub out_dir: PathBuf,
}

pub(crate) fn cpu() -> String {
    "cpu".into()
}

pub(crate) fn here() -> PathBuf {
    ".".into()
}

impl Section for InferConfig {
    const KIND: &'static str = "infer";

    fn fill(value: &mut Value) {
        fill_engine_defaults(value);
        fill_backend_defaults(value);
    }

    fn check(&self, findings: &mut Findings) {
        if self.device != "cpu" {
            findings.notice("device", format!("`{}` is not built in; running on the CPU", self.device));
        }
        check_training(&self.model, &self.train_args, &self.parameters, findings);
        check_embedding(self.model.engine, self.embedding_net.as_ref(), findings);
        check_priors(Some(&self.prior), self.proposal.as_ref(), self.parameters.len(), findings);
    }
}

/// Engine, name and nets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-ignored" = support::MODEL))]
pub struct ModelConfig {
    /// Whose defaults apply.
    #[schemars(extend("x-aliases" = ["module"]))]
    pub backend: Backend,
    /// What is learnt.
    #[schemars(extend("x-aliases" = ["class"]))]
    pub engine: Engine,
    /// Engine NPSE: the noise.
    pub sde_type: SdeType,
    /// Prefix of the files written: `NAME_posterior.safetensors`; none when empty.
    pub name: String,
    /// The nets of the ensemble.
    #[schemars(length(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nets: Vec<NetConfig>,
}

impl Default for ModelConfig {
    fn default() -> Self {
        let nets = vec![NetConfig::new(DensityConfig::Nsf(NsfConfig::default()))];
        Self { backend: Backend::default(), engine: Engine::default(), sde_type: SdeType::default(), name: String::new(), nets }
    }
}

/// How the nets are trained: Adam on shuffled batches, gradient clipping, early stop on the validation part, best weights restored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-ignored" = support::TRAIN))]
pub struct TrainConfig {
    /// Pairs (θ, x) per step.
    #[schemars(range(min = 1), extend("x-aliases" = ["batch_size"]))]
    pub training_batch_size: usize,
    /// Step size of Adam.
    #[schemars(range(max = 10.0), extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Schedule `plateau`: factor on the learning rate at each drop.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub plateau_factor: f64,
    /// Schedule `plateau`: how often the learning rate drops before training ends.
    #[schemars(range(min = 1))]
    pub plateau_drops: usize,
    /// Decoupled weight decay per unit of learning rate.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Largest norm of a gradient; null for none.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub clip_max_norm: Option<f64>,
    /// Part of the pairs held out for validation; all nets of an ensemble share the split.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub validation_fraction: f64,
    /// JSON file `{"train": [rows], "val": [rows]}` that fixes the split, in place of `validation_fraction`.
    pub split_file: Option<PathBuf>,
    /// Training ends after this many epochs without a better validation loss. Backend lampe: 30.
    #[schemars(range(min = 1))]
    pub stop_after_epochs: usize,
    /// Sequential engines: rounds of simulations.
    #[schemars(range(min = 1, max = 1000))]
    pub num_round: usize,
    /// Engine SNPE: add the plain loss of the pairs that come from the prior.
    pub use_combined_loss: bool,
    /// Sequential engines: train each round anew, scaled to all simulations so far, in place of going on from the last round's weights.
    pub retrain_from_scratch: bool,
    /// Sequential engines: leave the first round's simulations, which come from the prior, out of the training of later rounds.
    pub discard_prior_samples: bool,
    /// Engines NRE and SNPE: parameters that each datum is tried with, its own among them.
    #[schemars(range(min = 2, max = 10_000))]
    pub num_atoms: usize,
    /// Engine NRE_C: parameters from the prior that each datum is tried with.
    #[schemars(range(min = 1, max = 10_000))]
    pub num_classes: usize,
    /// Engine NRE_C: odds of a joint pair.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub gamma: f64,
    /// Engine BNRE: weight of the balance; larger is more cautious.
    #[schemars(range(min = 0.0))]
    pub regularization_strength: Option<f64>,
    /// Training ends after this many epochs in any case; null for no limit.
    #[schemars(range(min = 1), extend("x-aliases" = ["max_epochs", "epochs"]))]
    pub max_num_epochs: Option<usize>,
    /// Decay of a moving average of the weights, which then is what is judged and kept; null for none.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub ema_decay: Option<f64>,
    /// In place of all that, for the engines MCABC and SMCABC.
    #[serde(flatten)]
    pub abc: AbcConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            training_batch_size: 50,
            learning_rate: 5e-4,
            schedule: Schedule::Constant,
            plateau_factor: 0.2,
            plateau_drops: 2,
            weight_decay: 0.0,
            clip_max_norm: Some(5.0),
            validation_fraction: 0.1,
            split_file: None,
            stop_after_epochs: 20,
            num_round: 1,
            use_combined_loss: false,
            retrain_from_scratch: false,
            discard_prior_samples: false,
            num_atoms: 10,
            num_classes: 5,
            gamma: 1.0,
            regularization_strength: None,
            max_num_epochs: None,
            ema_decay: None,
            abc: AbcConfig::default(),
        }
    }
}

/// How the learning rate changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "schedule"))]
pub enum Schedule {
    /// Not at all.
    Constant,
    /// Half a cosine from `learning_rate` to 0 over `max_num_epochs`.
    Cosine,
    /// Whenever the early stop would end the training, the best weights are restored and the rate is multiplied by `plateau_factor`; after
    /// `plateau_drops` drops training ends.
    Plateau,
}

/// The name of a parameter, its unit and its label in plots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Short name, used in files: `omega_m`.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Unit, as it is to be read: `Msun`; null for pure numbers.
    #[serde(default)]
    pub unit: Option<String>,
    /// LaTeX for the axes of plots: `\Omega_m`, with or without dollar signs; the name where it is not given.
    #[serde(default)]
    pub label: Option<String>,
}

impl From<&Parameter> for ParameterInfo {
    fn from(parameter: &Parameter) -> Self {
        let label = parameter.label.as_ref().map(|label| label.trim_matches('$').to_string());
        Self { name: parameter.name.clone(), unit: parameter.unit.clone(), label }
    }
}

/// Writes the nets of an engine where none are given: classifiers for a ratio, a masked autoregressive flow for a likelihood, none for ABC.
pub(crate) fn fill_engine_defaults(file: &mut Value) {
    let Some(model) = file.get_mut("model").and_then(Value::as_object_mut) else { return };
    let engine = model.get("engine").and_then(|engine| serde_json::from_value::<Engine>(engine.clone()).ok()).unwrap_or_default();
    let net = match engine {
        Engine::Npe | Engine::Snpe | Engine::SnpeA | Engine::SnpeB | Engine::Tsnpe => return,
        Engine::Nle | Engine::Snle => "maf",
        Engine::Nre | Engine::NreA | Engine::NreC | Engine::Bnre | Engine::Snre | Engine::SnreA | Engine::SnreC => "resnet",
        Engine::Fmpe | Engine::Npse => "mlp",
        Engine::Mcabc | Engine::Smcabc => {
            model.entry("nets").or_insert_with(|| json!([]));
            return;
        }
    };
    let nets = model.entry("nets").or_insert_with(|| json!([{"model": net}]));
    if engine.wants() == Some(NetSort::Field) {
        let fields = nets.as_array_mut().into_iter().flatten().filter(|net| net["model"] == "mlp" || net["model"] == "ada_mlp");
        fields.for_each(|net| fill(net, json!({"hidden_features": 100, "hidden_layers": 5})));
    }
}

/// Writes the backend's defaults where a key is not given; sbi's stand in `Default`.
pub(crate) fn fill_backend_defaults(file: &mut Value) {
    let backend = file.pointer("/model/backend").and_then(|backend| serde_json::from_value::<Backend>(backend.clone()).ok());
    let net_defaults = match backend.unwrap_or_default() {
        Backend::Sbi => return,
        Backend::Lampe => lampe_defaults,
        Backend::Pydelfi => pydelfi_defaults,
    };
    let engine = file.pointer("/model/engine").and_then(|engine| serde_json::from_value::<Engine>(engine.clone()).ok());
    if engine.is_some_and(Engine::is_abc) {
        return;
    }
    let file = match file {
        Value::Object(file) => file,
        _ => return,
    };
    if backend == Some(Backend::Lampe) {
        fill(file.entry("train_args").or_insert_with(|| json!({})), json!({"stop_after_epochs": 30}));
    }
    let Some(model) = file.get_mut("model").and_then(Value::as_object_mut) else { return };
    for net in model.entry("nets").or_insert_with(|| json!([{"model": "nsf"}])).as_array_mut().into_iter().flatten() {
        let name = net["model"].as_str().unwrap_or_default().to_string();
        fill(net, net_defaults(&name));
    }
}

fn fill(section: &mut Value, defaults: Value) {
    if let (Value::Object(section), Value::Object(defaults)) = (section, defaults) {
        for (key, value) in defaults {
            section.entry(key).or_insert(value);
        }
    }
}

/// Rules that concern several keys of the model and its training.
pub(crate) fn check_training(model: &ModelConfig, train: &TrainConfig, parameters: &[Parameter], findings: &mut Findings) {
    if model.name.contains(['/', '\\', '\0']) {
        findings.error("model.name", "`name` becomes part of file names and cannot contain a slash", "name the folder in `out_dir`");
    }
    for (index, net) in model.nets.iter().enumerate() {
        if net.signature.contains(['/', '\\', '\0']) {
            let path = format!("model.nets.{index}.signature");
            findings.error(&path, "`signature` becomes part of file names and cannot contain a slash", "use letters, digits and `_`");
        }
        if model.backend == Backend::Lampe && matches!(net.density, DensityConfig::Nsf(_)) {
            let path = format!("model.nets.{index}.model");
            findings.notice(
                &path,
                "`nsf` is the coupling flow here also with backend lampe, whose own nsf is autoregressive: that is `maf_rqs`",
            );
        }
    }
    AbcConfig::check(model.engine, train, findings);
    let Some(sort) = model.engine.wants() else {
        if !model.nets.is_empty() {
            findings.error("model.nets", "engines MCABC and SMCABC train no nets", "leave `nets` out");
        }
        check_names(parameters, "parameters", findings);
        return;
    };
    for (index, net) in model.nets.iter().enumerate().filter(|(_, net)| !net.density.can_be(sort)) {
        let (what, names) = match sort {
            NetSort::Density => ("a density", "nsf, maf, mdn, made, maf_rqs, nice, realnvp, gf, ncsf, sospf, bpf, naf, unaf, cnf"),
            NetSort::Classifier => ("a classifier", "resnet, mlp, linear"),
            NetSort::Field => ("a vector field", "mlp, ada_mlp"),
        };
        let message = format!("this engine trains {what}, which `{}` is not", net.density.name());
        findings.error(&format!("model.nets.{index}.model"), &message, &format!("use one of {names}"));
    }
    if model.engine == Engine::Bnre && train.regularization_strength.is_none() {
        findings.error("train_args", "engine BNRE needs `regularization_strength`", "100 is a common choice");
    }
    let nets: usize = model.nets.iter().map(|net| net.repeats).sum();
    if nets > 1000 {
        findings.error("model.nets", &format!("{nets} nets in one ensemble; at most 1000 are allowed"), "lower `repeats`");
    }
    if train.schedule == Schedule::Cosine && train.max_num_epochs.is_none() {
        findings.error("train_args.schedule", "schedule `cosine` needs to know its length", "set `max_num_epochs` in train_args");
    }
    check_names(parameters, "parameters", findings);
}

/// An embedding is a net, too.
pub(crate) fn check_embedding(engine: Engine, embedding: Option<&EmbeddingConfig>, findings: &mut Findings) {
    if engine.is_abc() && embedding.is_some() {
        findings.error("embedding_net", "engines MCABC and SMCABC train no nets", "leave `embedding_net` out; `sass` summarises the data");
    }
}

/// Every parameter has a name of its own; `section` is where they stand.
pub(crate) fn check_names(parameters: &[Parameter], section: &str, findings: &mut Findings) {
    for (index, parameter) in parameters.iter().enumerate() {
        if parameters[..index].iter().any(|other| other.name == parameter.name) {
            let message = format!("two parameters are called `{}`", parameter.name);
            findings.error(&format!("{section}.{index}.name"), &message, "every parameter needs a name of its own");
        }
    }
}

/// Builds the priors, so that wrong arguments are found before anything runs, and compares their numbers of parameters.
pub(crate) fn check_priors(prior: Option<&PriorSpec>, proposal: Option<&PriorSpec>, names: usize, findings: &mut Findings) {
    let dimension = prior.and_then(|spec| dimension_of(spec, "prior", findings));
    let proposed = proposal.and_then(|spec| dimension_of(spec, "proposal", findings));
    if let (Some(prior), Some(proposal)) = (dimension, proposed)
        && prior != proposal
    {
        let message = format!("the numbers of parameters differ: {prior} in the prior, {proposal} in the proposal");
        findings.error("proposal", &message, "both describe the columns of theta");
    }
    if let Some(prior) = dimension
        && names != 0
        && names != prior
    {
        let message = format!("the numbers of parameters differ: {prior} in the prior, {names} named here");
        findings.error("parameters", &message, "name every column of theta");
    }
}

/// Number of parameters of a prior that stands at `section`; nothing, and a finding, where it cannot be built.
pub(crate) fn dimension_of(spec: &PriorSpec, section: &str, findings: &mut Findings) -> Option<usize> {
    match Prior::new(spec.clone()) {
        Ok(prior) => Some(prior.parameters()),
        Err(error) => {
            let key = match &error {
                PriorError::Length { family, argument, .. }
                | PriorError::NotPositiveDefinite { family, argument }
                | PriorError::MatrixRow { family, argument, .. } => format!("{section}.{family}.{argument}"),
                PriorError::Value { family, argument, index, .. } => format!("{section}.{family}.{argument}.{index}"),
                PriorError::EmptyInterval { family, index, .. } | PriorError::BelowSinglePrecision { family, index, .. } => {
                    format!("{section}.{family}.high.{index}")
                }
                _ => section.to_string(),
            };
            findings.error(&key, &error.to_string(), "see the prior's arguments with `abduce explain prior`");
            None
        }
    }
}

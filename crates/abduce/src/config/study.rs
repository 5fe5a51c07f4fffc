//! The study file: what may vary, how it is searched, and what each trial trains.

use super::{Findings, Section};
use abduce_inference::study::{Condition, Dimension, Domain, Grouping, Halving, Sampler, Scale, Space, Tpe};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What `abduce search` reads: an infer file and a data file, or a pipeline; the keys of it that may vary, and how to search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StudyConfig {
    /// The file that every trial changes: an infer file, or, where there is no `data`, a pipeline.
    pub base: PathBuf,
    /// The data file of an infer file. A pipeline has data of its own, or simulates them once for all trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// The folder of the study; the command line's `-o` comes first.
    #[serde(default = "super::infer::here")]
    pub out_dir: PathBuf,
    /// Seed of the proposals. Split, initial weights and shuffling follow from the seed of the base file, for all trials alike.
    #[serde(default)]
    pub seed: u64,
    /// What a trial is judged by.
    #[serde(default)]
    pub objective: Objective,
    /// Keys of the base file with the values they may have, or `default`.
    #[serde(default)]
    pub search: SearchConfig,
    /// How values are proposed.
    #[serde(default)]
    pub sampler: SamplerConfig,
    /// When a trial is given up.
    #[serde(default)]
    pub pruner: PrunerConfig,
    /// So many of the best trials form the ensemble.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 100))]
    pub ensemble: usize,
    /// Where the trials are kept.
    #[serde(default)]
    pub storage: StorageConfig,
    /// Seconds between two signs of life of a worker; one that is silent for twice as long loses its trial to another.
    #[serde(default = "minute")]
    #[schemars(range(max = 86400), extend("exclusiveMinimum" = 0.0))]
    pub heartbeat: f64,
}

fn five() -> usize {
    5
}

fn minute() -> f64 {
    60.0
}

/// Where the record of the trials is kept, which all processes of a study share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-kind" = "storage"))]
pub enum StorageConfig {
    /// A file in the folder of the study.
    #[default]
    Journal,
    /// A PostgreSQL database, such as `postgresql://me@host/studies`: for hundreds of workers. A password comes from the environment variable
    /// PGPASSWORD, never from the file, of which copies are kept.
    Postgresql(String),
}

/// What a trial is judged by; more is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-kind" = "objective"))]
pub enum Objective {
    /// Mean log-density of the held-out pairs of the split in nats, of the best epoch, averaged over the nets of the base file.
    #[default]
    ValidationLogProb,
}

/// What may vary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SearchConfig {
    /// A space that is known by name.
    Named(NamedSpace),
    /// Dotted keys of the base file, as in `--set`: `model.nets.0.hidden_features: {int: [16, 512], log: true}`.
    Keys(BTreeMap<String, DimensionConfig>),
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self::Named(NamedSpace::Default)
    }
}

/// A space that is known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "search space"))]
pub enum NamedSpace {
    /// LtU-cmass's ranges: hidden features 16-512, transforms 2-8, embedding of 0-4 layers 16-512 wide, batches of 32-256, learning rate
    /// 5e-6-1e-2, weight decay 1e-5-1e-1.
    Default,
}

/// The values of one key: exactly one of `int`, `float`, `choice` and `layers`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DimensionConfig {
    /// Smallest and largest integer.
    #[schemars(length(min = 2, max = 2))]
    pub int: Option<Vec<i64>>,
    /// Smallest and largest number.
    #[schemars(length(min = 2, max = 2))]
    pub float: Option<Vec<f64>>,
    /// The values to choose from.
    pub choice: Option<Vec<Value>>,
    /// A list of equal widths, for keys such as `embedding_net.fcn.n_hidden`.
    pub layers: Option<LayersConfig>,
    /// Whether `int` or `float` are spread evenly in the logarithm.
    pub log: bool,
    /// Varies only where other keys of the search have one of some values: `{model.nets.0.model: [nsf, maf_rqs]}`.
    pub when: Option<BTreeMap<String, Vec<Value>>>,
}

/// Layers of one width.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayersConfig {
    /// Smallest and largest width, on a logarithmic scale.
    #[schemars(length(min = 2, max = 2))]
    pub width: Vec<i64>,
    /// Smallest and largest number of layers; 0 leaves the embedding out.
    #[schemars(length(min = 2, max = 2))]
    pub depth: Vec<i64>,
}

/// How values are proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SamplerConfig {
    /// The method.
    pub method: Method,
    /// Method tpe: random trials before the first proposal.
    pub startup: usize,
    /// Method tpe: draws of which the best is proposed.
    #[schemars(range(min = 1, max = 100000))]
    pub candidates: usize,
    /// Method tpe: whether keys are proposed one by one or together.
    pub estimator: Estimator,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        let tpe = Tpe::default();
        Self { method: Method::Tpe, startup: tpe.startup, candidates: tpe.candidates, estimator: Estimator::Grouped }
    }
}

/// How values are proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "method"))]
pub enum Method {
    /// At random.
    Random,
    /// Tree-structured Parzen estimators (Bergstra et al. 2011).
    Tpe,
}

/// Whether keys are proposed one by one or together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "estimator"))]
pub enum Estimator {
    /// One by one.
    Univariate,
    /// Together, as far as they exist together.
    Grouped,
}

/// When a trial is given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PrunerConfig {
    /// The method.
    pub method: PruningMethod,
    /// Epochs before a trial is first judged.
    #[schemars(range(min = 1))]
    pub min_epochs: usize,
    /// The best 1/reduction goes on, and is judged again after reduction times as many epochs.
    #[schemars(range(min = 2, max = 100))]
    pub reduction: usize,
}

impl Default for PrunerConfig {
    fn default() -> Self {
        let halving = Halving::default();
        Self { method: PruningMethod::Asha, min_epochs: halving.min_epochs, reduction: halving.reduction }
    }
}

/// When a trial is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "pruner"))]
pub enum PruningMethod {
    /// Never.
    None,
    /// Asynchronous successive halving (Li et al. 2018, arXiv:1810.05934).
    Asha,
}

/// Name of the dimension of a list's length, behind its key.
const DEPTH: &str = ".depth";
/// Name of the dimension of a list's widths, behind its key.
const WIDTH: &str = ".width";
/// The list whose absence is an absent embedding.
const EMBEDDING_LAYERS: &str = "embedding_net.fcn.n_hidden";
/// What may vary without making the held-out scores of two trials incomparable.
const ALLOWED: [&str; 3] = ["model.nets.", "embedding_net.", "train_args."];
const REFUSED: [&str; 2] = ["train_args.validation_fraction", "train_args.split_file"];

impl StudyConfig {
    /// The sampler.
    pub fn sampler(&self) -> Sampler {
        let SamplerConfig { method, startup, candidates, estimator } = self.sampler;
        let grouping = match estimator {
            Estimator::Univariate => Grouping::Univariate,
            Estimator::Grouped => Grouping::Grouped,
        };
        match method {
            Method::Random => Sampler::Random,
            Method::Tpe => Sampler::Tpe(Tpe { startup, candidates, grouping }),
        }
    }

    /// The pruner, if any.
    pub fn halving(&self) -> Option<Halving> {
        let halving = Halving { min_epochs: self.pruner.min_epochs, reduction: self.pruner.reduction };
        (self.pruner.method == PruningMethod::Asha).then_some(halving)
    }

    /// Keys and their values.
    pub fn keys(&self) -> BTreeMap<String, DimensionConfig> {
        match &self.search {
            SearchConfig::Keys(keys) => keys.clone(),
            SearchConfig::Named(NamedSpace::Default) => default_space(),
        }
    }

    /// The space; the error is the key concerned and what is wrong with it.
    ///
    /// # Errors
    /// A key cannot vary, or not like this.
    pub fn space(&self) -> Result<Space, (String, String)> {
        let mut dimensions = Vec::new();
        for (key, config) in &self.keys() {
            dimensions.extend(config.dimensions(key).map_err(|reason| (key.clone(), reason))?);
        }
        // Stable: what depends on other keys comes behind all that does not.
        dimensions.sort_by_key(|dimension| dimension.condition.is_some());
        Space::new(dimensions).map_err(|error| match error {
            abduce_inference::study::StudyError::Space { dimension, reason } => (dimension, reason),
            other => (String::new(), other.to_string()),
        })
    }

    /// The changes to the base file that the values of a trial mean, as `--set` has them.
    pub fn overrides(&self, params: &BTreeMap<String, Value>) -> Vec<String> {
        let mut changes = Vec::new();
        for (key, config) in self.keys() {
            if config.layers.is_none() {
                changes.extend(params.get(&key).map(|value| format!("{key}={value}")));
                continue;
            }
            let depth = params.get(&format!("{key}{DEPTH}")).and_then(Value::as_u64).unwrap_or(0);
            match params.get(&format!("{key}{WIDTH}")) {
                Some(width) if depth > 0 => changes.push(format!("{key}={}", json!(vec![width; depth as usize]))),
                _ => changes.push("embedding_net=null".to_string()),
            }
        }
        changes
    }
}

impl DimensionConfig {
    fn dimensions(&self, key: &str) -> Result<Vec<Dimension>, String> {
        let scale = if self.log { Scale::Log } else { Scale::Linear };
        let given = [self.int.is_some(), self.float.is_some(), self.choice.is_some(), self.layers.is_some()];
        if given.iter().filter(|given| **given).count() != 1 {
            return Err("exactly one of `int`, `float`, `choice` and `layers` says what it may be".into());
        }
        if self.log && (self.choice.is_some() || self.layers.is_some()) {
            return Err("`log` goes with `int` or `float`".into());
        }
        let condition = match self.when.as_ref().map(|when| when.iter().collect::<Vec<_>>()) {
            None => None,
            Some(all) => match all.as_slice() {
                [(dimension, among)] => Some(Condition { dimension: (*dimension).clone(), among: (*among).clone() }),
                _ => return Err("`when` names one other key".into()),
            },
        };
        if let Some(layers) = &self.layers {
            if condition.is_some() {
                return Err("`layers` cannot have a `when`".into());
            }
            let [low, high] = pair(&layers.depth)?;
            if low < 0 || (low == 0 && key != EMBEDDING_LAYERS) {
                return Err(format!("at least one layer is needed, except for `{EMBEDDING_LAYERS}`"));
            }
            let [narrow, wide] = pair(&layers.width)?;
            let depth = format!("{key}{DEPTH}");
            let mut width = Dimension::new(&format!("{key}{WIDTH}"), Domain::Int { low: narrow, high: wide, scale: Scale::Log });
            width.condition = Some(Condition { dimension: depth.clone(), among: (low.max(1)..=high).map(Value::from).collect() });
            return Ok(vec![Dimension::new(&depth, Domain::Int { low, high, scale: Scale::Linear }), width]);
        }
        let domain = match (&self.int, &self.float, &self.choice) {
            (Some(int), ..) => {
                let [low, high] = pair(int)?;
                Domain::Int { low, high, scale }
            }
            (_, Some(float), _) => {
                let [low, high] = pair(float)?;
                Domain::Float { low, high, scale }
            }
            (.., choice) => Domain::Choice(choice.clone().unwrap_or_default()),
        };
        Ok(vec![Dimension { name: key.to_string(), domain, condition }])
    }
}

fn pair<T: Copy>(values: &[T]) -> Result<[T; 2], String> {
    values.try_into().map_err(|_| "two values are needed: the smallest and the largest".to_string())
}

/// LtU-cmass's ranges (its PR 115).
fn default_space() -> BTreeMap<String, DimensionConfig> {
    let int = |low, high, log| DimensionConfig { int: Some(vec![low, high]), log, ..DimensionConfig::default() };
    let float = |low, high| DimensionConfig { float: Some(vec![low, high]), log: true, ..DimensionConfig::default() };
    let layers = LayersConfig { width: vec![16, 512], depth: vec![0, 4] };
    BTreeMap::from([
        ("model.nets.0.hidden_features".to_string(), int(16, 512, true)),
        ("model.nets.0.num_transforms".to_string(), int(2, 8, false)),
        (EMBEDDING_LAYERS.to_string(), DimensionConfig { layers: Some(layers), ..DimensionConfig::default() }),
        ("train_args.training_batch_size".to_string(), int(32, 256, true)),
        ("train_args.learning_rate".to_string(), float(5e-6, 1e-2)),
        ("train_args.weight_decay".to_string(), float(1e-5, 1e-1)),
    ])
}

impl Section for StudyConfig {
    const KIND: &'static str = "study";

    fn check(&self, findings: &mut Findings) {
        for key in self.keys().keys() {
            let place = format!("search.{key}");
            if REFUSED.contains(&key.as_str()) {
                findings.error(&place, "trials with different held-out pairs cannot be compared", "leave this key out of `search`");
            } else if !ALLOWED.iter().any(|prefix| key.starts_with(prefix)) {
                let help = "keys of `model.nets.N`, `embedding_net` and `train_args` may vary; others would make scores incomparable";
                findings.error(&place, &format!("`{key}` cannot vary in a study"), help);
            }
        }
        if self.keys().is_empty() {
            findings.error("search", "nothing varies", "name at least one key, or write `search: default`");
        }
        if let Err((key, reason)) = self.space() {
            findings.error(&format!("search.{key}"), &format!("{key}: {reason}"), "see `abduce explain search`");
        }
    }
}

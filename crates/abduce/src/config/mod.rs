//! Configuration: YAML in, checked structs out.
//!
//! A file goes through five steps. [`load`] reads it into a tree with positions (`node`), merges the overrides (`overrides`), checks the tree
//! against the schema of its struct (`schema`, `reader`), fills the defaults that depend on other keys, and runs the struct's own `check`.
//! Every problem points at its line. The structs are plain data: [`DataConfig`], [`InferConfig`], [`ValConfig`], [`PipelineConfig`], [`SimulatorConfig`], [`StudyConfig`], [`UniverseConfig`]. They
//! are at the same time the YAML sections, the schema (`abduce schema`) and the reference (`abduce explain`).
//!
//! ```
//! use abduce::config::{InferConfig, parse, to_yaml};
//!
//! let text = "prior: {module: ili.utils, class: Uniform, args: {low: [0, 0], high: [1, 2]}}";
//! let loaded = parse::<InferConfig>("infer.yaml", text, &["train_args.batch_size=64".to_string()])?;
//! assert_eq!(loaded.config.train_args.training_batch_size, 64);
//! let resolved = to_yaml(&loaded.config)?;
//! assert_eq!(parse::<InferConfig>("config.yaml", &resolved, &[])?.config, loaded.config);
//! # Ok::<(), abduce::error::ConfigError>(())
//! ```

mod abc;
mod cosmology;
mod data;
mod embeddings;
mod estimate;
mod explain;
mod gflownet;
mod infer;
mod nearest;
mod nets;
mod node;
mod overrides;
mod paths;
mod pipeline;
mod reader;
mod sampling;
mod schema;
mod simulator;
mod study;
mod support;
mod val;

pub use abc::{AbcConfig, KdeBandwidth, KdeConfig};
pub use cosmology::{
    AmplitudeConfig, BispectrumConfig, DesignConfig, FinderConfig, HaloConfig, ModelParameters, PlacementConfig, RangeConfig,
    SimulationConfig, SpaceConfig, SummaryConfig, SummaryScale, TracerConfig, TransferConfig, UniverseConfig,
};
pub use data::{DataConfig, NanRows};
pub use embeddings::{
    CnnConfig, DeepSetConfig, EmbeddingConfig, FcnConfig, GnnConfig, IobConfig, Padding, Pooling, ResNetConfig, ResidualMlpConfig,
    SetTransformerConfig, TransformerConfig, WidthWeights,
};
pub use estimate::{EstimateConfig, LearnConfig, ModelsConfig, QuantityConfig};
pub use explain::explain;
pub use gflownet::{EnvironmentConfig, GflownetConfig, MiuConfig, ProofConfig};
pub use infer::{InferConfig, ModelConfig, Parameter, Schedule, TrainConfig};
pub use nets::{
    Activation, AffineFlowConfig, Backend, DensityConfig, Engine, MadeConfig, MafRqsConfig, MdnConfig, NetConfig, NetSort, NsfConfig,
    SdeType,
};
pub use paths::{POSTERIOR_FILE, PathRules, posterior_file_name};
pub use pipeline::{CompareConfig, CompareScale, PipelineConfig, PredictConfig, ReportConfig, SampleConfig, SimulateConfig};
pub use sampling::{SampleMethod, SampleParams, VariationalDist, VariationalDivergence};
pub use simulator::{ExchangeConfig, SimulatorConfig};
pub use study::{
    DimensionConfig, Estimator, LayersConfig, Method, NamedSpace, Objective, PrunerConfig, PruningMethod, SamplerConfig, SearchConfig,
    StorageConfig, StudyConfig,
};
pub use val::{
    ConformalConfig, CoverageConfig, CoveragePlot, DataAveragedC2stConfig, DrawsConfig, LocalC2stConfig, MetricConfig,
    PosteriorSamplesConfig, RegionsConfig, SinglePosteriorConfig, ValConfig,
};

use crate::error::{ConfigError, Problem};
use node::Sources;
use reader::Reader;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// A kind of configuration file.
pub trait Section: Serialize + DeserializeOwned + JsonSchema {
    /// Its name: `data`, `infer`, `val`, `pipeline`, `study`.
    const KIND: &'static str;

    /// Fills defaults that depend on other keys, in a value that has the right form.
    fn fill(_value: &mut Value) {}

    /// Rules that concern several keys.
    fn check(&self, findings: &mut Findings);
}

/// A checked configuration and what should be said about it.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The configuration.
    pub config: T,
    /// Keys that have no effect, and substitutions.
    pub notices: Vec<Notice>,
    /// Where its paths lead.
    pub paths: PathRules,
}

/// Something that is not as written, and harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `file:line:column`.
    pub place: String,
    /// What it is.
    pub message: String,
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// What `check` found, by the dotted path of the key concerned.
#[derive(Debug, Default)]
pub struct Findings {
    prefix: String,
    errors: Vec<(String, String, String)>,
    notices: Vec<(String, String)>,
}

impl Findings {
    /// Something that cannot be run as it is, and what to do about it.
    pub fn error(&mut self, path: &str, message: &str, help: &str) {
        self.errors.push((format!("{}{path}", self.prefix), message.to_string(), help.to_string()));
    }

    /// Something that is not as written, and harmless.
    pub fn notice(&mut self, path: &str, message: impl Into<String>) {
        self.notices.push((format!("{}{path}", self.prefix), message.into()));
    }

    /// Runs the checks of a section that stands at `prefix`, which ends in a dot.
    pub fn within(&mut self, prefix: &str, check: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.prefix, prefix.to_string());
        check(self);
        self.prefix = outer;
    }
}

/// Reads and checks `file`, with overrides `KEY.KEY=VALUE` from the command line; `working` is the working directory.
pub fn load<T: Section>(file: &Path, overrides: &[String], working: &Path) -> Result<Loaded<T>, ConfigError> {
    let name = file.display().to_string();
    let fail = |problem: Problem| ConfigError::new(&name, vec![problem]);
    let cannot = |error: std::io::Error| {
        fail(Problem::new(format!("cannot read {name}: {error}")).help("check the path; it is relative to the working directory"))
    };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(working.join(file)).map_err(cannot)?;
    // One byte more than allowed is enough to know that it is too large.
    opened.take(node::MAX_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        fail(Problem::new(format!("{name} is not a text file (UTF-8)")).help("was a data file given in place of a configuration?"))
    })?;
    let mut loaded = parse(&name, &text, overrides)?;
    loaded.paths = PathRules::new(working, file);
    Ok(loaded)
}

/// The content of the text of a file called `name`, unchecked: for whoever reads a section in another language.
pub fn read_yaml(name: &str, text: &str) -> Result<Value, ConfigError> {
    let mut sources = Sources::default();
    sources.add(name, text);
    node::parse(text, 0, &sources).map(|tree| tree.plain()).map_err(|problem| ConfigError::new(name, vec![problem]))
}

/// Reads and checks the text of a file called `name`.
pub fn parse<T: Section>(name: &str, text: &str, overrides: &[String]) -> Result<Loaded<T>, ConfigError> {
    let fail = |problems: Vec<Problem>| ConfigError::new(name, problems);
    let mut sources = Sources::default();
    sources.add(name, text);
    let mut tree = node::parse(text, 0, &sources).map_err(|problem| fail(vec![problem]))?;
    for text in overrides {
        overrides::apply(&mut tree, text, &mut sources).map_err(|problem| fail(vec![problem]))?;
    }
    let schema = schema::reading_schema::<T>();
    let mut reader = Reader::new(&schema, &sources);
    let value = reader.read(&tree);
    let Reader { problems, mut notices, spans, .. } = reader;
    let Some(mut value) = value else {
        return Err(fail(problems));
    };
    T::fill(&mut value);
    let config: T = serde_json::from_value(value).map_err(|error| fail(vec![Problem::new(format!("{name}: {error}"))]))?;

    let mut findings = Findings::default();
    config.check(&mut findings);
    let nearest_span = |path: &str| {
        // A default has no place of its own: the section around it has.
        let mut path = path;
        loop {
            if let Some(span) = spans.get(path) {
                return *span;
            }
            path = path.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
    };
    if findings.errors.is_empty() {
        notices.extend(
            findings.notices.iter().map(|(path, message)| Notice { place: sources.place(nearest_span(path)), message: message.clone() }),
        );
        return Ok(Loaded { config, notices, paths: PathRules::new(Path::new(""), Path::new(name)) });
    }
    let problems = findings.errors.iter().map(|(path, message, help)| sources.problem(nearest_span(path), message, "here").help(help));
    Err(fail(problems.collect()))
}

/// The resolved configuration with every default written out; [`parse`] reads it back to the same value.
pub fn to_yaml<T: Section>(config: &T) -> Result<String, ConfigError> {
    serde_saphyr::to_string(config).map_err(|error| unwritable::<T>(&error))
}

/// The same as JSON.
pub fn to_json<T: Section>(config: &T) -> Result<String, ConfigError> {
    serde_json::to_string_pretty(config).map_err(|error| unwritable::<T>(&error))
}

fn unwritable<T: Section>(error: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::new(T::KIND, vec![Problem::new(format!("cannot write the {} configuration: {error}", T::KIND))])
}

/// What [`json_schema`] and [`explain`] know about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaKind {
    /// [`DataConfig`].
    Data,
    /// [`InferConfig`].
    Infer,
    /// [`ValConfig`].
    Val,
    /// [`PipelineConfig`].
    Pipeline,
    /// [`SimulatorConfig`].
    Simulator,
    /// [`StudyConfig`].
    Study,
    /// [`GflownetConfig`].
    Gflownet,
    /// [`UniverseConfig`].
    Universe,
    /// `metrics.json`.
    Metrics,
}

impl SchemaKind {
    /// Every kind.
    pub const ALL: [Self; 9] =
        [Self::Data, Self::Infer, Self::Val, Self::Pipeline, Self::Simulator, Self::Study, Self::Gflownet, Self::Universe, Self::Metrics];

    /// Its name on the command line and in `schema/NAME.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => DataConfig::KIND,
            Self::Infer => InferConfig::KIND,
            Self::Val => ValConfig::KIND,
            Self::Pipeline => PipelineConfig::KIND,
            Self::Simulator => SimulatorConfig::KIND,
            Self::Study => StudyConfig::KIND,
            Self::Gflownet => GflownetConfig::KIND,
            Self::Universe => UniverseConfig::KIND,
            Self::Metrics => "metrics",
        }
    }
}

/// The JSON schema of a kind of file.
pub fn json_schema(kind: SchemaKind) -> Value {
    match kind {
        SchemaKind::Data => schema::published_schema::<DataConfig>(),
        SchemaKind::Infer => schema::published_schema::<InferConfig>(),
        SchemaKind::Val => schema::published_schema::<ValConfig>(),
        SchemaKind::Pipeline => schema::published_schema::<PipelineConfig>(),
        SchemaKind::Simulator => schema::published_schema::<SimulatorConfig>(),
        SchemaKind::Study => schema::published_schema::<StudyConfig>(),
        SchemaKind::Gflownet => schema::published_schema::<GflownetConfig>(),
        SchemaKind::Universe => schema::published_schema::<UniverseConfig>(),
        SchemaKind::Metrics => schema::plain_schema::<abduce_inference::diagnostics::Metrics>(),
    }
}

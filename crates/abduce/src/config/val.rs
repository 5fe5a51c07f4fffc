//! The val file: how a posterior is tested.

use super::data::DataConfig;
use super::infer::here;
use super::sampling::{SampleMethod, SampleParams};
use super::{Findings, Section, support};
use abduce_inference::diagnostics::{ConformalScore, Gate, LocalC2stOptions, RegionOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What `abduce validate` computes and draws. LtU-ILI's val files are read unchanged; every key can be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-ignored" = support::VAL))]
pub struct ValConfig {
    /// Folder for metrics and plots; the command line's `-o` comes first. In a pipeline: inside the run directory.
    #[schemars(extend("x-aliases" = ["output_path"]))]
    pub out_dir: PathBuf,
    /// The trained posterior: looked for in `out_dir`, then as given; a name ending in `.pkl` stands for `.safetensors`.
    #[schemars(extend("x-aliases" = ["posterior_path"]))]
    pub posterior_file: Option<PathBuf>,
    /// Test pairs; the command line's `--data` comes first.
    pub data: Option<DataConfig>,
    /// Use the first rows of the test pairs only; null for all.
    #[schemars(range(min = 1))]
    pub n_data: Option<usize>,
    /// Matplotlib style file whose known keys set colours and sizes of the plots.
    pub style_path: Option<PathBuf>,
    /// Labels of the parameters in plots; theirs in the run where not given.
    #[serde(deserialize_with = "plain_labels")]
    pub labels: Option<Vec<String>>,
    /// Test the ensemble as one posterior; otherwise every net on its own.
    pub ensemble_mode: bool,
    /// What to draw and compute, by names of your choice: `NAME: {METRIC: {ARGUMENTS}}`, or LtU-ILI's `NAME: {module, class, args}`.
    pub metrics: BTreeMap<String, MetricConfig>,
    /// Conditions that decide the exit status.
    pub gates: Vec<Gate>,
    /// Seed of the posterior draws; the run's where not given.
    pub seed: Option<u64>,
}

impl Default for ValConfig {
    fn default() -> Self {
        let coverage = CoverageConfig { plot_list: CoveragePlot::ALL.to_vec(), draws: DrawsConfig::default() };
        Self {
            out_dir: here(),
            posterior_file: None,
            data: None,
            n_data: None,
            style_path: None,
            labels: None,
            ensemble_mode: true,
            metrics: BTreeMap::from([
                ("conformal".to_string(), MetricConfig::Conformal(ConformalConfig::default())),
                ("coverage".to_string(), MetricConfig::PosteriorCoverage(coverage)),
            ]),
            gates: Vec::new(),
            seed: None,
        }
    }
}

impl Section for ValConfig {
    const KIND: &'static str = "val";

    fn check(&self, findings: &mut Findings) {
        check_validation(self, "", findings);
    }
}

/// Rules on a validation section that stands at `prefix`.
pub(crate) fn check_validation(config: &ValConfig, prefix: &str, findings: &mut Findings) {
    for name in config.metrics.keys().filter(|name| name.is_empty() || name.contains(['/', '\\', '\0'])) {
        let path = format!("{prefix}metrics.{name}");
        findings.error(&path, "the name of a metric becomes part of file names", "use letters, digits and `_`");
    }
    if let Some(data) = &config.data {
        findings.within(&format!("{prefix}data."), |findings| data.check(findings));
    }
}

/// One metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MetricConfig {
    /// Corner plot of the posterior of one observation: `xobs_file`, or a random test row.
    SinglePosterior(SinglePosteriorConfig),
    /// Draws for every test row, saved as an array (num_samples, n_data, d).
    PosteriorSamples(PosteriorSamplesConfig),
    /// Calibration over all test rows.
    PosteriorCoverage(CoverageConfig),
    /// Calibration by region: how many bins, and of what. Bins of the posterior means are always made.
    Regions(RegionsConfig),
    /// Corrected highest-density regions that cover what they say: `conformal.json`, for any later draws of this posterior.
    Conformal(ConformalConfig),
    /// Is the posterior right for the observations of `xobs_file`? Trains classifiers (L-C2ST).
    LocalC2st(LocalC2stConfig),
    /// Classifier two-sample test between the posteriors averaged over all test rows and the prior; needs 500 test rows.
    DataAveragedC2st(DataAveragedC2stConfig),
}

/// Arguments of the calibration by region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegionsConfig {
    /// Bins of equal numbers of test rows per variable; fewer where a bin would hold less than 50.
    #[schemars(range(min = 2))]
    pub bins: usize,
    /// Numbers of the datum, counted from 0 in its flattened form, that bins are made of too: a known redshift, for example.
    pub features: Vec<usize>,
}

impl Default for RegionsConfig {
    fn default() -> Self {
        let RegionOptions { bins, features } = RegionOptions::default();
        Self { bins, features }
    }
}

/// Arguments of the corrected regions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConformalConfig {
    /// How unlikely a posterior deems a parameter.
    pub score: ConformalScore,
}

/// Arguments of the local test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LocalC2stConfig {
    /// Relabellings of the test rows, each with a training of its own; the smallest p-value is one over one more.
    #[schemars(range(min = 1))]
    pub permutations: usize,
    /// Posterior draws per observation.
    #[schemars(range(min = 1))]
    pub num_samples: usize,
    /// Test the first observations only.
    #[schemars(range(min = 1))]
    pub n_observations: usize,
}

impl Default for LocalC2stConfig {
    fn default() -> Self {
        Self { permutations: LocalC2stOptions::default().permutations, num_samples: 1000, n_observations: 10 }
    }
}

/// The test of the average has no arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DataAveragedC2stConfig {}

/// How a posterior is drawn from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DrawsConfig {
    /// Draws per observation.
    #[schemars(range(min = 1))]
    pub num_samples: usize,
    /// How they are drawn: by slice sampling where the networks give a likelihood or ratio. Of a posterior density draws are exact whatever
    /// stands here.
    pub sample_method: Option<SampleMethod>,
    /// Options of the chains.
    pub sample_params: SampleParams,
}

impl Default for DrawsConfig {
    fn default() -> Self {
        Self { num_samples: 1000, sample_method: None, sample_params: SampleParams::default() }
    }
}

/// Arguments of the corner plot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-ignored" = support::METRIC))]
pub struct SinglePosteriorConfig {
    /// Draws per observation.
    #[serde(flatten)]
    pub draws: DrawsConfig,
    /// Also save the draws.
    #[serde(default)]
    pub save_samples: bool,
    /// Chooses the random test row and the draws; the seed of the validation where not given.
    #[serde(default)]
    pub seed: Option<u64>,
}

/// Arguments of saved draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-ignored" = support::METRIC))]
pub struct PosteriorSamplesConfig {
    /// Draws per observation.
    #[serde(flatten)]
    pub draws: DrawsConfig,
}

/// Arguments of the calibration plots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-ignored" = support::METRIC))]
pub struct CoverageConfig {
    /// Draws per observation.
    #[serde(flatten)]
    pub draws: DrawsConfig,
    /// What to draw.
    #[schemars(length(min = 1))]
    pub plot_list: Vec<CoveragePlot>,
}

/// A calibration plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "plot"))]
pub enum CoveragePlot {
    /// P–P plot of the ranks of each parameter.
    Coverage,
    /// Histogram of the ranks of each parameter.
    Histogram,
    /// Posterior mean and spread against the truth.
    Predictions,
    /// Tests of accuracy with random points.
    Tarp,
    /// Log-probability of the truth.
    Logprob,
}

impl CoveragePlot {
    /// Every plot.
    pub const ALL: [Self; 5] = [Self::Coverage, Self::Histogram, Self::Predictions, Self::Tarp, Self::Logprob];
}

/// Labels copied from Python, `r'$\Omega_m$'`, lose the r and the quotes.
fn plain_labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let labels = Option::<Vec<String>>::deserialize(deserializer)?;
    Ok(labels.map(|labels| labels.iter().map(|label| plain_label(label).to_string()).collect()))
}

fn plain_label(label: &str) -> &str {
    ["r'", "r\""].iter().find_map(|start| label.strip_prefix(start)?.strip_suffix(&start[1..])).unwrap_or(label)
}

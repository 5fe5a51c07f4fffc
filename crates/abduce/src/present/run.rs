//! The files of a run directory, as far as the report shows them.

use super::PresentError;
use super::comparison::Comparison;
use super::training::NetTraining;
use crate::config::{self, InferConfig, POSTERIOR_FILE, PipelineConfig};
use abduce_data::npy::RowFile;
use abduce_data::rundir::{CONFIG, MANIFEST, Manifest};
use abduce_data::{ModelFile, ParameterInfo, npy};
use abduce_inference::abc::{AbcPosterior, Population};
use abduce_inference::diagnostics::{Curves, InformationCurve, Metrics, Validation, Warning};
use abduce_inference::posterior::{Novelty, Posterior};
use abduce_inference::prior::Prior;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Histories of the nets: a list of [`NetTraining`].
pub const TRAINING: &str = "training.json";
/// A [`DataSummary`].
pub const DATA: &str = "data.json";
/// What each ordered summary adds, an [`InformationCurve`], where the embedding is ordered.
pub const INFORMATION: &str = "information.json";
/// Folder of the validation.
pub const VALIDATION: &str = "validation";
/// Numbers of the validation, in its folder, after the prefix `NAME_` where there is one.
pub const METRICS: &str = "metrics.json";
/// Arrays of the validation ([`Curves`]), in its folder, after the same prefix.
pub const CURVES: &str = "curves.json";
/// Posterior draws (n_obs, n, d).
pub const SAMPLES: &str = "samples.npy";
/// What is known about the chains of each observation, where draws are those of chains: a list of `Convergence`, in the order of the observations.
pub const SAMPLING: &str = "sampling.json";
/// An [`AbcSummary`], where ABC stands in place of training.
pub const ABC: &str = "abc.json";
/// What the draws are given (n_obs, …).
pub const OBSERVATIONS: &str = "observations.npy";
/// True or fiducial parameters of the observations (n_obs, d) or (d), where they are known.
pub const TRUTH: &str = "observations_theta.npy";
/// Observations outside the simulations: a list of [`Novelty`].
pub const NOVELTIES: &str = "novelties.json";
/// A [`Comparison`], or a list of them.
pub const COMPARISON: &str = "comparison.json";
/// What the stages found worth saying: a list of [`Warning`].
pub const WARNINGS: &str = "warnings.json";

/// What was trained on: `data.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSummary {
    /// Pairs (θ, x) in the files.
    pub rows: usize,
    /// Pairs left out for NaN or infinite values.
    pub dropped: usize,
    /// Pairs trained on.
    pub train: usize,
    /// Pairs held out for the early stop and the ensemble's weights.
    pub validation: usize,
    /// Shape of one datum.
    pub x_shape: Vec<usize>,
    /// Features of the data that never change in the training part, and tell nothing.
    pub constant_features: Vec<usize>,
    /// Names, units and labels of the parameters.
    pub parameters: Vec<ParameterInfo>,
}

/// What ABC came to: `abc.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AbcSummary {
    /// The largest accepted distance, in standard deviations of the simulated data.
    pub epsilon: f64,
    /// Parameters that were accepted.
    pub accepted: usize,
    /// Parameters that were simulated.
    pub simulations: usize,
    /// Of them failed.
    pub failed: usize,
    /// Accepted over simulated.
    pub acceptance: f64,
    /// Independent draws that the weighted sample is worth.
    pub effective_draws: f64,
    /// Width of the kernels of the smooth density, where there is one.
    pub bandwidth: Option<f64>,
    /// The course of the populations; empty for rejection.
    pub populations: Vec<Population>,
}

impl AbcSummary {
    /// Of a finished sample.
    pub fn of(posterior: &AbcPosterior) -> Self {
        let sample = &posterior.sample;
        Self {
            epsilon: sample.epsilon,
            accepted: sample.weights.len(),
            simulations: sample.simulations,
            failed: sample.failed,
            acceptance: posterior.acceptance(),
            effective_draws: sample.effective_size(),
            bandwidth: posterior.bandwidth,
            populations: posterior.course.clone(),
        }
    }
}

/// The resolved configuration of a run.
#[derive(Debug)]
pub enum RunConfig {
    /// Of `abduce run`.
    Pipeline(Box<PipelineConfig>),
    /// Of `abduce train`.
    Infer(Box<InferConfig>),
}

/// Everything that was found. What isn't there is `None` or empty.
#[derive(Debug)]
pub struct RunFiles {
    /// Text of the resolved configuration.
    pub config_text: Option<String>,
    /// The same, read; `None` where this version doesn't understand it.
    pub config: Option<RunConfig>,
    /// Versions, seeds, hashes.
    pub manifest: Option<Manifest>,
    /// The posterior, where it is networks.
    pub posterior: Option<Posterior>,
    /// The posterior, where it is an ABC sample.
    pub abc: Option<AbcPosterior>,
    /// Histories of the nets.
    pub training: Vec<NetTraining>,
    /// What was trained on.
    pub data: Option<DataSummary>,
    /// What each ordered summary adds.
    pub information: Option<InformationCurve>,
    /// The validation.
    pub validation: Option<Validation>,
    /// Posterior draws, left on disk.
    pub samples: Option<RowFile>,
    /// True parameters of the observations (n_obs, d), row-major.
    pub truth: Option<Vec<f64>>,
    /// Observations outside the simulations.
    pub novelties: Vec<Novelty>,
    /// Comparisons with reference catalogues.
    pub comparisons: Vec<Comparison>,
    /// What the stages found worth saying.
    pub warnings: Vec<Warning>,
}

/// One or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl RunFiles {
    /// Reads a run directory. Times, hosts and paths (`timings.json`, `provenance.json`) are not looked at.
    ///
    /// # Errors
    /// A file is damaged, or the folder holds neither a posterior nor a validation.
    pub fn read(run: &Path) -> Result<Self, PresentError> {
        let config_text = text(&run.join(CONFIG))?;
        let model = named(run, POSTERIOR_FILE)?.map(|path| ModelFile::load(&path).map(|file| (path, file))).transpose()?;
        let (posterior, abc) = match model {
            Some((path, file)) if AbcPosterior::is_in(&file) => (None, Some(AbcPosterior::of_file(&file, &path)?)),
            Some((path, _)) => (Some(Posterior::load(&path)?), None),
            None => (None, None),
        };
        let folder = run.join(VALIDATION);
        let metrics: Option<Metrics> = named(&folder, METRICS)?.map_or(Ok(None), |path| json(&path))?;
        let curves: Option<Curves> = named(&folder, CURVES)?.map_or(Ok(None), |path| json(&path))?;
        let validation = metrics.zip(curves).map(|(metrics, curves)| Validation { metrics, curves });
        if posterior.is_none() && abc.is_none() && validation.is_none() {
            return Err(PresentError::NoRun { path: run.to_path_buf() });
        }
        let comparisons: Option<OneOrMany<Comparison>> = json(&run.join(COMPARISON))?;
        Ok(Self {
            config: config_text.as_deref().and_then(read_config),
            config_text,
            manifest: json(&run.join(MANIFEST))?,
            posterior,
            abc,
            training: json(&run.join(TRAINING))?.unwrap_or_default(),
            data: json(&run.join(DATA))?,
            information: json(&run.join(INFORMATION))?,
            validation,
            samples: existing(run.join(SAMPLES)).map(|path| RowFile::open(&path)).transpose()?,
            truth: existing(run.join(TRUTH)).map(|path| npy::read::<f64>(&path)).transpose()?.map(|array| array.into_data()),
            novelties: json(&run.join(NOVELTIES))?.unwrap_or_default(),
            comparisons: comparisons.map_or_else(Vec::new, |found| match found {
                OneOrMany::Many(all) => all,
                OneOrMany::One(one) => vec![one],
            }),
            warnings: json(&run.join(WARNINGS))?.unwrap_or_default(),
        })
    }

    /// Number of observations that were sampled for.
    pub fn observations(&self) -> Option<usize> {
        self.samples.as_ref().map(RowFile::rows)
    }

    /// The prior.
    pub fn prior(&self) -> Option<&Prior> {
        self.posterior.as_ref().map(|posterior| &posterior.prior).or_else(|| self.abc.as_ref().map(|abc| &abc.prior))
    }

    /// Names, units and labels of the parameters, from the file that knows most about them.
    pub fn parameters(&self) -> Vec<ParameterInfo> {
        let named_by_validation = || {
            let names = self.validation.iter().flat_map(|validation| &validation.metrics.parameters);
            names.map(|parameter| ParameterInfo::named(parameter.name.clone())).collect()
        };
        match (&self.posterior, &self.abc, &self.data) {
            (Some(posterior), ..) => posterior.parameters.clone(),
            (_, Some(abc), _) => abc.parameters.clone(),
            (.., Some(data)) => data.parameters.clone(),
            _ => named_by_validation(),
        }
    }
}

/// The file is a resolved configuration of either form.
fn read_config(text: &str) -> Option<RunConfig> {
    let pipeline = || config::parse::<PipelineConfig>(CONFIG, text, &[]).ok().map(|loaded| RunConfig::Pipeline(Box::new(loaded.config)));
    let infer = || config::parse::<InferConfig>(CONFIG, text, &[]).ok().map(|loaded| RunConfig::Infer(Box::new(loaded.config)));
    pipeline().or_else(infer)
}

fn existing(path: PathBuf) -> Option<PathBuf> {
    path.is_file().then_some(path)
}

/// `folder/name`, or the first file in alphabetical order whose name ends in `_name`.
fn named(folder: &Path, name: &str) -> Result<Option<PathBuf>, PresentError> {
    if let Some(path) = existing(folder.join(name)) {
        return Ok(Some(path));
    }
    let failed = |source| abduce_data::DataError::Io { path: folder.to_path_buf(), action: "read", source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error).into()),
    };
    let suffix = format!("_{name}");
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.file_name().is_some_and(|file| file.to_string_lossy().ends_with(&suffix)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found.into_iter().next())
}

fn text(path: &Path) -> Result<Option<String>, PresentError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(abduce_data::DataError::Io { path: path.to_path_buf(), action: "read", source }.into()),
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, PresentError> {
    let parse = |text: String| {
        serde_json::from_str(&text).map_err(|error| PresentError::Content { path: path.to_path_buf(), reason: error.to_string() })
    };
    text(path)?.map(parse).transpose()
}

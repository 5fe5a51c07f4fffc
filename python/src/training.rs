//! Training.

use crate::posterior::Posterior;
use crate::simulation::Callable;
use crate::work::Listeners;
use crate::{arrays, error, work};
use abduce::commands::train::Prepared;
use abduce::config::{self, InferConfig, NanRows};
use abduce::error::Error;
use abduce::pipeline::VERSION;
use abduce::present::run::TRAINING;
use abduce::session::Session;
use abduce::stages::inputs::PairFiles;
use abduce::stages::run::{Existing, open, write_provenance};
use abduce::stages::sequential::{ROUNDS, SequentialInputs, train_stage};
use abduce::stages::train::{CHECKPOINTS, checkpoints, posterior_path, prefix, train_watched};
use abduce_data::rundir::{CONFIG, DataFile, Manifest};
use abduce_data::{Array, RunDir, Seed, npy};
use abduce_inference::posterior::Posterior as Inner;
use abduce_inference::prior::Prior;
use numpy::PyReadonlyArrayDyn;
use pyo3::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Training data larger than this stay in their files.
const BUFFER_BYTES: usize = 256 << 20;

/// What training leaves: the posterior, LtU-ILI's summaries and the histories as JSON.
type Trained = (Posterior, String, String);

/// Reads an infer section in the form of the YAML files, LtU-ILI's among them; gives it with what there is to note.
pub(crate) fn infer_of(text: &str) -> PyResult<(InferConfig, Vec<String>)> {
    let loaded = config::parse::<InferConfig>("the configuration", text, &[]).map_err(error::of)?;
    let mut infer = loaded.config;
    infer.out_dir = ".".into();
    Ok((infer, loaded.notices.iter().map(ToString::to_string).collect()))
}

/// The infer section with all defaults, as JSON, and what there is to note: a check before anything runs.
#[pyfunction]
pub(crate) fn check_infer(text: &str) -> PyResult<(String, Vec<String>)> {
    let (infer, notices) = infer_of(text)?;
    let text = serde_json::to_string(&infer).map_err(|error| error::ConfigError::new_err(error.to_string()))?;
    Ok((text, notices))
}

/// A YAML text as JSON.
#[pyfunction]
#[pyo3(signature = (text, name="the configuration"))]
pub(crate) fn yaml_to_json(text: &str, name: &str) -> PyResult<String> {
    Ok(config::read_yaml(name, text).map_err(error::of)?.to_string())
}

/// A folder that stays, or one that goes with the call.
pub(crate) enum Folder {
    Kept(PathBuf),
    Passing(tempfile::TempDir),
}

impl Folder {
    pub(crate) fn new(wanted: Option<PathBuf>) -> PyResult<Self> {
        Ok(match wanted {
            Some(path) => Self::Kept(path),
            None => Self::Passing(tempfile::tempdir()?),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Passing(folder) => folder.path(),
        }
    }

    /// A run in it: one that is there is gone on with where it is the same, and otherwise made anew.
    pub(crate) fn existing(&self) -> Existing {
        match self {
            Self::Kept(path) if RunDir::is_run(path) => Existing::Restart,
            _ => Existing::Refuse,
        }
    }
}

/// Pairs (θ, x) in memory.
pub(crate) struct Inputs {
    theta: Array,
    x: Array,
}

impl Inputs {
    pub(crate) fn new(theta: &PyReadonlyArrayDyn<'_, f32>, x: &PyReadonlyArrayDyn<'_, f32>) -> PyResult<Self> {
        let (theta, x) = (arrays::owned(theta)?, arrays::owned(x)?);
        if theta.rows() != x.rows() {
            return Err(error::shape(format!("theta has {} rows and x has {}", theta.rows(), x.rows())));
        }
        Ok(Self { theta, x })
    }

    /// Writes them into `data` of the run; the files are enough.
    pub(crate) fn write(self, run: &Path) -> Result<PairFiles, Error> {
        let data = run.join("data");
        std::fs::create_dir_all(&data).map_err(|source| Error::File { action: "make", path: data.clone(), source })?;
        let [theta, x] = ["theta.npy", "x.npy"].map(|name| data.join(name));
        npy::write(&theta, &self.theta)?;
        npy::write(&x, &self.x)?;
        Ok(PairFiles { theta, x, thin: 1, first: None, nan_rows: NanRows::Drop, buffer_bytes: BUFFER_BYTES })
    }
}

/// The prior of a configuration.
pub(crate) fn prior_of(infer: &InferConfig) -> PyResult<Prior> {
    Prior::new(infer.prior.clone()).map_err(|error| error::ConfigError::new_err(format!("prior: {error}")))
}

/// Trains on pairs in memory. With `folder` the run directory is that of the program, and holds the pairs in `data`; `resume` goes on with it.
#[pyfunction]
#[pyo3(signature = (config, theta, x, folder=None, resume=false, threads=None, progress=None))]
pub(crate) fn train(
    py: Python<'_>,
    config: &str,
    theta: PyReadonlyArrayDyn<'_, f32>,
    x: PyReadonlyArrayDyn<'_, f32>,
    folder: Option<PathBuf>,
    resume: bool,
    threads: Option<usize>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Trained> {
    let (infer, _) = infer_of(config)?;
    let session = work::session(threads)?;
    let folder = Folder::new(folder)?;
    let inputs = Inputs::new(&theta, &x)?;
    work::run(py, &session, Listeners { progress, simulate: None }, |watch| {
        let pairs = inputs.write(folder.path())?;
        let split_file = infer.train_args.split_file.as_ref().map(|file| session.path(file));
        let prepared = Prepared::of(&session, infer, pairs, split_file, folder.path().to_path_buf())?;
        let existing = if resume { Existing::Resume } else { folder.existing() };
        let run = prepared.open(&session, existing)?;
        let kept = checkpoints(&run.file(CHECKPOINTS), &prepared.fingerprint)?;
        train_watched(&session, &run, &prepared.request(), &kept, watch)?;
        results(&run, &prepared.infer)
    })
}

/// Trains in rounds that call `simulate` with θ (n, d), float64, for data of one observation.
#[pyfunction]
#[pyo3(signature = (config, simulate, x_obs, simulations, folder=None, resume=false, threads=None))]
pub(crate) fn train_rounds(
    py: Python<'_>,
    config: &str,
    simulate: Bound<'_, PyAny>,
    x_obs: PyReadonlyArrayDyn<'_, f32>,
    simulations: usize,
    folder: Option<PathBuf>,
    resume: bool,
    threads: Option<usize>,
) -> PyResult<Trained> {
    let (infer, _) = infer_of(config)?;
    let session = work::session(threads)?;
    let folder = Folder::new(folder)?;
    let x_obs = arrays::owned(&x_obs)?;
    let prior = prior_of(&infer)?;
    work::run(py, &session, Listeners { progress: None, simulate: Some(&simulate) }, |watch| {
        let simulator = Callable::new(watch, prior, x_obs.row_shape().to_vec());
        in_rounds(&session, &infer, &simulator, &x_obs, simulations, (&folder, resume))
    })
}

fn in_rounds(
    session: &Session,
    infer: &InferConfig,
    simulator: &Callable,
    x_obs: &Array,
    simulations: usize,
    (folder, resume): (&Folder, bool),
) -> Result<Trained, Error> {
    let text = config::to_yaml(infer)?;
    let mut manifest = Manifest::new(VERSION, Seed(infer.seed), session.compute.simd.name(), &text);
    std::fs::create_dir_all(folder.path()).map_err(|source| Error::File { action: "make", path: folder.path().to_path_buf(), source })?;
    let file = folder.path().join("x_obs.npy");
    npy::write(&file, x_obs)?;
    manifest.data = vec![DataFile::of("x_obs", &file)?];
    let run = open(folder.path(), &manifest, if resume { Existing::Resume } else { folder.existing() })?;
    run.write_text(CONFIG, &text)?;
    write_provenance(session, &run, std::slice::from_ref(&file))?;
    let rounds = run.file(ROUNDS);
    if !resume && rounds.exists() {
        // Nobody knows whether a callable is still the one that simulated them.
        std::fs::remove_dir_all(&rounds).map_err(|source| Error::File { action: "remove", path: rounds, source })?;
    }
    let inputs = SequentialInputs { infer, parameters: None, simulator, simulations, x_obs: &file };
    train_stage(session, &run, &inputs)?;
    results(&run, infer)
}

fn results(run: &RunDir, infer: &InferConfig) -> Result<Trained, Error> {
    let posterior = Posterior { inner: Arc::new(Inner::load(&posterior_path(run, infer))?) };
    let read = |name: String| {
        let path = run.file(&name);
        std::fs::read_to_string(&path).map_err(|source| Error::File { action: "read", path, source })
    };
    Ok((posterior, read(format!("{}summary.json", prefix(&infer.model.name)))?, read(TRAINING.to_string())?))
}

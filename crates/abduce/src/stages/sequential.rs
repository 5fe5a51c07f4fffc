//! Training in rounds that simulate where the posterior of one observation is.

use super::inputs::read_array;
use super::nets::{nets, strategy, training};
use super::run::{Stage, fingerprint, stage};
use super::train::{CHECKPOINTS, build_prior, checkpoints, conclude, net_names, parameter_names, posterior_path};
use crate::config::InferConfig;
use crate::error::Error;
use crate::pipeline::VERSION;
use crate::present::run::DataSummary;
use crate::progress::TrainingProgress;
use crate::session::Session;
use abduce_data::artefact::write_atomic;
use abduce_data::rundir::DataFile;
use abduce_data::{Array, ParameterInfo, RunDir, Scaling, Seed, npy};
use abduce_inference::diagnostics::Warning;
use abduce_inference::posterior::{ChainOptions, Posterior};
use abduce_inference::sequential::{Restart, Round, Rounds, SequentialError, SequentialTask, train_sequential};
use abduce_inference::simulator::{RowSimulator, Theta, simulate_rows};
use abduce_inference::training::{CheckpointFiles, Checkpoints, TrainingError};
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Folder of the finished rounds in a run directory.
pub const ROUNDS: &str = "rounds";

/// What a sequential engine needs.
pub struct SequentialInputs<'a> {
    /// Prior, nets, options.
    pub infer: &'a InferConfig,
    /// Names of the parameters where the configuration gives none.
    pub parameters: Option<Vec<ParameterInfo>>,
    /// The simulator.
    pub simulator: &'a dyn RowSimulator,
    /// Simulations of each round.
    pub simulations: usize,
    /// The file of the observation.
    pub x_obs: &'a Path,
}

/// The observation of a file: one datum, as a row.
fn observation(file: &Path, simulator: &dyn RowSimulator) -> Result<Array, Error> {
    let x_obs = read_array(file, "x_obs")?;
    let x_obs = match simulator.data_shape() {
        // A file of exactly one datum's shape is one observation.
        Some(shape) if x_obs.shape() == shape => Array::new([&[1], shape.as_slice()].concat(), x_obs.into_data())?,
        _ => x_obs,
    };
    if x_obs.rows() != 1 {
        return Err(Error::failed(
            format!("{} holds {} observations, and a sequential engine closes in on one", file.display(), x_obs.rows()),
            "give a file with one observation, or use an engine without rounds",
        ));
    }
    Ok(x_obs)
}

/// The stage `train` of a sequential engine, skipped where it was done before; gives the path of the posterior.
///
/// # Errors
/// The observation is not one, the simulator fails, or training does.
pub fn train_stage(session: &Session, run: &RunDir, inputs: &SequentialInputs<'_>) -> Result<PathBuf, Error> {
    let x_obs = observation(inputs.x_obs, inputs.simulator)?;
    let depends = json!([
        VERSION,
        session.compute.simd.name(),
        inputs.infer,
        DataFile::of("x_obs", inputs.x_obs)?,
        inputs.simulator.identity(),
        inputs.simulations,
    ]);
    let depends = fingerprint(&depends)?;
    let output = posterior_path(run, inputs.infer);
    let outputs = [output.clone()];
    stage(session, run, &Stage { name: "train", fingerprint: &depends, outputs: &outputs }, || {
        train_in_rounds(session, run, inputs, &x_obs, &depends)
    })?;
    Ok(output)
}

/// All simulations of the finished rounds of a run: θ (n, d) and x (n, …).
///
/// # Errors
/// A file of a round can't be read.
pub fn all_rounds(run: &RunDir, rounds: usize) -> Result<(Array, Array), Error> {
    let (mut theta, mut x): (Vec<Array>, Vec<Array>) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        theta.push(npy::read(&run.file(&format!("{ROUNDS}/{round}/theta.npy")))?);
        x.push(npy::read(&run.file(&format!("{ROUNDS}/{round}/x.npy")))?);
    }
    let joined = |parts: &[Array]| {
        let rows = parts.iter().map(Array::rows).sum();
        let shape = std::iter::once(rows).chain(parts.first().into_iter().flat_map(|part| part.row_shape().iter().copied())).collect();
        Array::new(shape, parts.iter().flat_map(|part| part.data().iter().copied()).collect())
    };
    Ok((joined(&theta)?, joined(&x)?))
}

/// Runs the rounds, goes on from those that are finished, and writes what [`super::train::train`] writes, and every round's simulations and
/// posterior into `rounds/K`.
fn train_in_rounds(
    session: &Session,
    run: &RunDir,
    inputs: &SequentialInputs<'_>,
    x_obs: &Array,
    fingerprint: &str,
) -> Result<Vec<Warning>, Error> {
    let infer = inputs.infer;
    let prior = build_prior(&infer.prior, "prior")?;
    let x_shape = x_obs.row_shape().to_vec();
    let parameters = parameter_names(infer, inputs.parameters.as_deref(), prior.parameters());
    let specs = nets(infer, &x_shape)?;
    let seed = Seed(infer.seed);
    let task = SequentialTask {
        strategy: strategy(&infer.model, &infer.train_args),
        rounds: infer.train_args.num_round,
        simulations: inputs.simulations,
        x_obs: x_obs.row(0),
        x_shape: &x_shape,
        name: &infer.model.name,
        prior: &prior,
        parameters: &parameters,
        nets: &specs,
        train: training(&infer.train_args),
        validation_fraction: infer.train_args.validation_fraction,
        restart: if infer.train_args.retrain_from_scratch { Restart::FromScratch } else { Restart::Warm },
        chains: ChainOptions::default(),
        x_scaling: Scaling::Independent,
        seed,
    };
    session.console.note(format_args!("{} rounds of {} simulations for one observation", task.rounds, task.simulations));
    let files = RoundFiles::open(session, run, infer, fingerprint)?;
    let progress = TrainingProgress::new(session, task.train, net_names(&specs));
    let stopped = || Error::Interrupted { run: run.path().to_path_buf() };
    let mut simulate = |theta: &[f32], first: usize| {
        let rows = theta.len() / prior.parameters();
        let seed = seed.derive("rounds", 0);
        let made = simulate_rows(inputs.simulator, Theta::Given(theta), first as u64, rows, seed, &session.stop);
        made.map(|made| made.x.into_data()).map_err(|error| error.to_string())
    };
    let trained = train_sequential(&task, &session.compute, &mut simulate, &files, &progress);
    if session.is_stopping() {
        return Err(stopped());
    }
    let trained = trained.map_err(|error| match error {
        SequentialError::Train { source: TrainingError::Interrupted, .. } => stopped(),
        other => Error::failed(other.to_string(), "rounds that are finished are kept: change what is wrong and go on with --resume"),
    })?;
    let (rows, dropped) = files.count(task.rounds)?;
    let validation = (infer.train_args.validation_fraction * (rows - dropped) as f64).round() as usize;
    let train = rows - dropped - validation;
    let summary =
        DataSummary { rows, dropped, train, validation, x_shape, constant_features: trained.constant_features.clone(), parameters };
    conclude(session, run, infer, &trained, &specs, &summary)?;
    Ok(Vec::new())
}

/// Rounds as files.
struct RoundFiles<'a> {
    session: &'a Session,
    run: &'a RunDir,
    checkpoints: Vec<CheckpointFiles>,
}

impl<'a> RoundFiles<'a> {
    /// Rounds of another training are removed.
    fn open(session: &'a Session, run: &'a RunDir, infer: &InferConfig, fingerprint: &str) -> Result<Self, Error> {
        let folder = run.file(ROUNDS);
        let marker = folder.join("fingerprint");
        let io = |action: &'static str, path: &Path| {
            let path = path.to_path_buf();
            move |source: std::io::Error| Error::File { action, path, source }
        };
        if folder.is_dir() && std::fs::read_to_string(&marker).ok().as_deref() != Some(fingerprint) {
            std::fs::remove_dir_all(&folder).map_err(io("remove", &folder))?;
        }
        let rounds = 0..infer.train_args.num_round;
        let checkpoints = rounds.map(|round| checkpoints(&run.file(&format!("{CHECKPOINTS}/round-{round}")), fingerprint));
        let checkpoints = checkpoints.collect::<Result<_, _>>()?;
        std::fs::create_dir_all(&folder).map_err(io("write", &folder))?;
        write_atomic(&marker, |out| out.write_all(fingerprint.as_bytes()))?;
        Ok(Self { session, run, checkpoints })
    }

    fn file(&self, round: usize, name: &str) -> PathBuf {
        self.run.file(&format!("{ROUNDS}/{}/{name}", round + 1))
    }

    /// Simulations of all rounds, and those without a datum.
    fn count(&self, rounds: usize) -> Result<(usize, usize), Error> {
        let (mut rows, mut dropped) = (0, 0);
        for round in 0..rounds {
            let x: Array = npy::read(&self.file(round, "x.npy"))?;
            rows += x.rows();
            dropped += (0..x.rows()).filter(|&row| x.row(row).iter().any(|v| !v.is_finite())).count();
        }
        Ok((rows, dropped))
    }
}

impl Rounds for RoundFiles<'_> {
    fn load(&self, round: usize) -> Result<Option<Round>, SequentialError> {
        let history = self.file(round, "training.json");
        // Written last: a round with it is whole.
        if !history.exists() {
            return Ok(None);
        }
        let progress = self.run.read_json(&format!("{ROUNDS}/{}/training.json", round + 1))?;
        let posterior = Posterior::load(&self.file(round, "posterior.safetensors"))?;
        Ok(Some(Round {
            theta: npy::read(&self.file(round, "theta.npy"))?,
            x: npy::read(&self.file(round, "x.npy"))?,
            posterior,
            progress,
        }))
    }

    fn keep(&self, round: usize, finished: &Round) -> Result<(), SequentialError> {
        let folder = self.file(round, "");
        std::fs::create_dir_all(&folder).map_err(|source| abduce_data::DataError::Io { action: "create", path: folder.clone(), source })?;
        npy::write(&self.file(round, "theta.npy"), &finished.theta)?;
        npy::write(&self.file(round, "x.npy"), &finished.x)?;
        finished.posterior.save(&self.file(round, "posterior.safetensors"))?;
        self.run.write_json(&format!("{ROUNDS}/{}/training.json", round + 1), &finished.progress)?;
        self.session.console.note(format_args!("round {} is finished", round + 1));
        Ok(())
    }

    fn checkpoints(&self, round: usize) -> &dyn Checkpoints {
        &self.checkpoints[round]
    }
}

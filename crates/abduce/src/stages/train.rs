//! Training: pairs in, a posterior and its history out.

use super::inputs::{PairFiles, dropped_rows, make_folder};
use super::nets::{engine, nets, training};
use crate::config::{Backend, InferConfig, posterior_file_name};
use crate::error::Error;
use crate::present::run::{DATA, DataSummary, INFORMATION, TRAINING};
use crate::present::training::NetTraining;
use crate::progress::TrainingProgress;
use crate::session::{Session, warning};
use abduce_data::{PairSource, ParameterInfo, RunDir, Scaling, Seed, Split};
use abduce_inference::diagnostics::{Severity, Warning};
use abduce_inference::prior::Prior;
use abduce_inference::training::{
    self, CheckpointFiles, Checkpoints, Drawn, NetSpec, Observer, Silent, Trained, TrainingError, TrainingTask, train_ensemble,
};
use abduce_nn::trainer::TrainState;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Folder of the checkpoints in a run directory.
pub const CHECKPOINTS: &str = "checkpoints";
/// Time between two checkpoints of a net: seconds of work are lost at most.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(2);
/// Data of this size are worth a line on memory.
const LARGE_BYTES: usize = 256 << 20;

/// What to train.
#[derive(Clone, Debug)]
pub struct Training<'a> {
    /// Prior, nets, options.
    pub infer: &'a InferConfig,
    /// The simulations.
    pub pairs: &'a PairFiles,
    /// A file that fixes the split.
    pub split_file: Option<PathBuf>,
    /// Names of the parameters where the configuration gives none.
    pub parameters: Option<Vec<ParameterInfo>>,
    /// Identifies everything that training depends on: checkpoints of another are not used.
    pub fingerprint: &'a str,
}

/// The posterior's file.
pub fn posterior_path(run: &RunDir, infer: &InferConfig) -> PathBuf {
    run.file(&posterior_file_name(&infer.model.name))
}

/// Trains, goes on from checkpoints where there are any, and writes posterior, summaries and histories into the run.
pub fn train(session: &Session, run: &RunDir, request: &Training<'_>) -> Result<Vec<Warning>, Error> {
    train_watched(session, run, request, &checkpoints(&run.file(CHECKPOINTS), request.fingerprint)?, &Silent)
}

/// The same with checkpoints kept elsewhere, and with `watch` called after the progress is shown: it may stop the training, or choose
/// the networks that are trained here.
pub fn train_watched(
    session: &Session,
    run: &RunDir,
    request: &Training<'_>,
    checkpoints: &dyn Checkpoints,
    watch: &dyn Observer,
) -> Result<Vec<Warning>, Error> {
    let infer = request.infer;
    let prior = build_prior(&infer.prior, "prior")?;
    let proposal = infer.proposal.as_ref().map(|spec| build_prior(spec, "proposal")).transpose()?;
    let source = request.pairs.open()?;
    let seed = Seed(infer.seed);
    let split = match &request.split_file {
        Some(path) => Split::from_file(path, source.kept())?,
        None => Split::by_fraction(source.kept(), infer.train_args.validation_fraction, seed)?,
    };
    let parameters = parameter_names(infer, request.parameters.as_deref(), source.theta_len());
    let specs = nets(infer, source.x_shape())?;
    let task = TrainingTask {
        engine: engine(&infer.model, &infer.train_args),
        name: &infer.model.name,
        prior: &prior,
        proposal: proposal.as_ref().map(Drawn::From),
        parameters: &parameters,
        source: &source,
        split: &split,
        nets: &specs,
        train: training(&infer.train_args),
        x_scaling: Scaling::Independent,
        buffer_bytes: request.pairs.buffer_bytes,
        start: None,
        seed,
    };
    announce(session, &task);

    let progress = Watched { progress: TrainingProgress::new(session, task.train, net_names(&specs)), watch };
    let trained = train_ensemble(&task, &session.compute, checkpoints, &progress).map_err(|error| match error {
        TrainingError::Interrupted => Error::Interrupted { run: run.path().to_path_buf() },
        other => other.into(),
    })?;

    let summary = DataSummary {
        rows: source.rows(),
        dropped: source.nan_report().rows,
        train: split.train.len(),
        validation: split.validation.len(),
        x_shape: source.x_shape().to_vec(),
        constant_features: trained.constant_features.clone(),
        parameters: parameters.clone(),
    };
    conclude(session, run, infer, &trained, &specs, &summary)?;
    Ok(warnings(&source, &trained, &specs, &task))
}

/// Progress, and whoever else watches.
struct Watched<'a> {
    progress: TrainingProgress,
    watch: &'a dyn Observer,
}

impl Observer for Watched<'_> {
    fn start(&self, offset: f64) {
        self.watch.start(offset);
    }

    fn wants(&self, net: usize) -> bool {
        self.watch.wants(net)
    }

    fn epoch(&self, net: usize, state: &TrainState) -> ControlFlow<()> {
        self.progress.epoch(net, state)?;
        self.watch.epoch(net, state)
    }
}

/// Writes what was trained into the run.
pub(super) fn conclude(
    session: &Session,
    run: &RunDir,
    infer: &InferConfig,
    trained: &Trained,
    specs: &[NetSpec],
    data: &DataSummary,
) -> Result<(), Error> {
    trained.posterior.save(&posterior_path(run, infer))?;
    run.write_json(TRAINING, &histories(trained, specs))?;
    run.write_json(&format!("{}summary.json", prefix(&infer.model.name)), &summary(trained, infer.model.backend))?;
    run.write_json(DATA, data)?;
    if let Some(curve) = &trained.information {
        run.write_json(INFORMATION, curve)?;
        let [low, high] = curve.matter_interval;
        let total = curve.nats.iter().fold(0.0f64, |top, nats| top.max(*nats));
        session.console.note(format_args!("{} ordered summaries matter ({low} to {high}); they tell {total:.2} nats", curve.matter));
    }
    let best = trained.progress.iter().map(|p| format!("{:.3}", p.best_validation().unwrap_or(f64::NAN))).collect::<Vec<_>>().join(", ");
    session.console.note(match engine(&infer.model, &infer.train_args) {
        training::Engine::Npe if infer.train_args.num_round == 1 => format!("held-out log-probability of the nets: {best} nats"),
        training::Engine::Nle => format!("held-out log-likelihood of the nets: {best} nats"),
        _ => format!("held-out score of the nets (minus their loss): {best}"),
    });
    Ok(())
}

pub(super) fn build_prior(spec: &abduce_inference::prior::PriorSpec, section: &str) -> Result<Prior, Error> {
    Prior::new(spec.clone()).map_err(|error| Error::failed(format!("{section}: {error}"), "see `abduce explain prior`"))
}

pub(super) fn parameter_names(infer: &InferConfig, given: Option<&[ParameterInfo]>, count: usize) -> Vec<ParameterInfo> {
    if infer.parameters.is_empty() {
        given.map_or_else(|| ParameterInfo::numbered(count), <[ParameterInfo]>::to_vec)
    } else {
        infer.parameters.iter().map(ParameterInfo::from).collect()
    }
}

/// `NAME_`, or nothing.
pub fn prefix(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("{name}_") }
}

pub(super) fn net_names(specs: &[NetSpec]) -> Vec<String> {
    let name = |(index, spec): (usize, &NetSpec)| match spec.signature.as_str() {
        "" => format!("net {} {}", index + 1, spec.network.family()),
        signature => format!("net {} {} {signature}", index + 1, spec.network.family()),
    };
    specs.iter().enumerate().map(name).collect()
}

fn announce(session: &Session, task: &TrainingTask<'_>) {
    let source = task.source;
    session.console.note(format_args!(
        "training {} on {} pairs ({} held out): {} parameters from {} numbers, {} threads, {}",
        if task.nets.len() == 1 { "1 net".to_string() } else { format!("{} nets", task.nets.len()) },
        task.split.train.len(),
        task.split.validation.len(),
        source.theta_len(),
        source.x_len(),
        session.compute.threads.count(),
        session.compute.simd
    ));
    let mib = |bytes: usize| bytes.div_ceil(1 << 20);
    let bytes = source.rows().saturating_mul(source.theta_len() + source.x_len()).saturating_mul(size_of::<f32>());
    if source.arrays().is_none() {
        let buffer = mib(task.buffer_bytes);
        session.console.note(format_args!("memory: {} MiB of data stay in their files, mixed in a buffer of {buffer} MiB", mib(bytes)));
    } else if bytes > LARGE_BYTES {
        // The data as given, and as the nets see them.
        session
            .console
            .note(format_args!("memory: about {} MiB for the data (a smaller `buffer_mib` leaves them on disk)", mib(2 * bytes)));
    }
}

/// The checkpoints in `folder`; those of another training are removed.
pub fn checkpoints(folder: &Path, fingerprint: &str) -> Result<CheckpointFiles, Error> {
    make_folder(folder)?;
    let marker = folder.join("fingerprint");
    if std::fs::read_to_string(&marker).ok().as_deref() != Some(fingerprint) {
        let io = |action: &'static str, path: &Path| {
            let path = path.to_path_buf();
            move |source: std::io::Error| Error::File { action, path, source }
        };
        for entry in std::fs::read_dir(folder).map_err(io("read", folder))? {
            let path = entry.map_err(io("read", folder))?.path();
            if path.extension().is_some_and(|extension| extension == "safetensors") {
                std::fs::remove_file(&path).map_err(io("remove", &path))?;
            }
        }
        abduce_data::artefact::write_atomic(&marker, |out| std::io::Write::write_all(out, fingerprint.as_bytes()))?;
    }
    Ok(CheckpointFiles::new(folder, CHECKPOINT_INTERVAL))
}

fn histories(trained: &Trained, specs: &[NetSpec]) -> Vec<NetTraining> {
    let net = |((progress, spec), &weight): ((&abduce_nn::trainer::Progress, &NetSpec), &f64)| NetTraining {
        signature: spec.signature.clone(),
        model: spec.network.family().to_string(),
        history: progress.history.clone(),
        best_epoch: progress.best_epoch,
        weight,
    };
    trained.progress.iter().zip(specs).zip(&trained.posterior.weights).map(net).collect()
}

/// LtU-ILI's `summary.json`: the sbi backend has one value per round, and there is one round. Times stay out: they differ from run to run.
fn summary(trained: &Trained, backend: Backend) -> Value {
    let net = |progress: &abduce_nn::trainer::Progress| {
        let score = |f: fn(&abduce_nn::trainer::EpochRecord) -> f64| progress.history.iter().map(f).collect::<Vec<_>>();
        let (train, validation) = (score(|e| e.train), score(|e| e.validation));
        let (best, epochs) = (progress.best_validation(), progress.history.len());
        match backend {
            Backend::Lampe => json!({
                "training_log_probs": train,
                "validation_log_probs": validation,
                "best_validation_log_prob": best,
                "epochs_trained": epochs,
            }),
            Backend::Sbi | Backend::Pydelfi => json!({
                "training_loss": train.iter().map(|v| -v).collect::<Vec<_>>(),
                "validation_loss": validation.iter().map(|v| -v).collect::<Vec<_>>(),
                "best_validation_loss": [best.map(|v| -v)],
                "training_log_probs": train,
                "validation_log_probs": validation,
                "best_validation_log_prob": [best],
                "epochs_trained": [epochs],
            }),
        }
    };
    Value::Array(trained.progress.iter().map(net).collect())
}

/// Features named in one warning.
const MAX_NAMED: usize = 10;

fn warnings(source: &PairSource, trained: &Trained, specs: &[NetSpec], task: &TrainingTask<'_>) -> Vec<Warning> {
    let mut found: Vec<Warning> = dropped_rows(source).into_iter().collect();
    let constant = &trained.constant_features;
    if !constant.is_empty() {
        let named = constant.iter().take(MAX_NAMED).map(usize::to_string).collect::<Vec<_>>().join(", ");
        let more = if constant.len() > MAX_NAMED { ", …" } else { "" };
        found.push(warning(
            format!("{} of {} features of x are constant in the training pairs: {named}{more}", constant.len(), source.x_len()),
            "they tell nothing about the parameters and can be left out",
        ));
    }
    for ((progress, name), _) in trained.progress.iter().zip(net_names(specs)).zip(specs) {
        let skipped: usize = progress.history.iter().map(|epoch| epoch.skipped_steps).sum();
        if skipped > 0 {
            found.push(warning(
                format!("{name}: {skipped} of {} steps were skipped, their gradients were not finite", progress.steps as usize + skipped),
                "lower the learning rate, and look for extreme values in x",
            ));
        }
        if task.train.max_epochs.is_some_and(|max| progress.history.len() >= max) && progress.stalled < task.train.stop_after_epochs {
            found.push(Warning {
                severity: Severity::Info,
                text: format!("{name}: training ended at `max_num_epochs`, not by the early stop"),
                hint: "more epochs may improve it".into(),
            });
        }
    }
    found
}

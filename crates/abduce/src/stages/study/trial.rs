//! One trial: a training that reports to the journal, and is given up when it is not worth going on.

use super::record::Shared;
use super::{HOPELESS, Study, locked};
use crate::commands::train::Prepared;
use crate::error::Error;
use crate::present::run::TRAINING;
use crate::present::training::NetTraining;
use crate::session::Session;
use crate::stages::run::Existing;
use crate::stages::train::{CHECKPOINTS, checkpoints, train_watched};
use abduce_data::RunDir;
use abduce_inference::study::{Claim, Halving, Outcome, StudyError, TrialState, Verdict};
use abduce_inference::training::Observer;
use abduce_nn::trainer::TrainState;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two looks whether a sign of life is due.
const TICK: Duration = Duration::from_millis(20);

/// Trains what `claim` says and reports how it ended.
///
/// # Errors
/// What ends the study: a configuration that cannot be used, files, or trials that all fail.
pub(super) fn run(study: &Study, session: &Session, single: &Session, journal: &Mutex<Shared>, claim: &Claim) -> Result<(), Error> {
    let end = |outcome: Outcome| -> Result<bool, Error> { Ok(locked(journal).end(claim, outcome)?) };
    let prepared = study
        .infer(&claim.params)
        .and_then(|(infer, split_file)| Prepared::of(single, infer, study.pairs.clone(), split_file, study.trial_folder(claim.trial)));
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            end(Outcome::Failed { error: error.to_string() })?;
            return Err(error);
        }
    };
    let interval = Duration::from_secs_f64(study.config.heartbeat);
    let nets: usize = prepared.infer.model.nets.iter().map(|net| net.repeats).sum();
    let watch =
        Watch { session, journal, claim, halving: study.config.halving().filter(|_| nets == 1), found: Mutex::new(Found::default()) };
    let (run, result) = match open(single, &prepared, &watch, interval) {
        Ok(run) => {
            let result = train(single, &run, &prepared, &watch, interval);
            (Some(run), result)
        }
        Err(error) => (None, Err(error)),
    };
    let found = watch.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = found.error {
        return Err(error.into());
    }
    let outcome = match (result, run) {
        (Ok(()), Some(run)) => Outcome::Complete { value: score(&run)? },
        (Err(Error::Interrupted { .. }), _) if found.given_up => Outcome::Pruned { value: found.best },
        (Err(Error::Interrupted { .. }), _) => Outcome::Released,
        (Err(Error::Failed { message, .. }), _) => Outcome::Failed { error: message },
        (Err(error), _) => {
            end(Outcome::Released)?;
            return Err(error);
        }
        (Ok(()), None) => Outcome::Released,
    };
    if !end(outcome.clone())? {
        session.console.note(format_args!("trial {}: taken over by another worker", claim.trial));
        return Ok(());
    }
    let what = match &outcome {
        Outcome::Complete { value } => format!("{value:.4}"),
        Outcome::Pruned { value } => format!("given up at {value:.4}"),
        Outcome::Failed { error } => format!("failed: {error}"),
        Outcome::Released => "stopped".to_string(),
    };
    let params: Vec<String> = claim.params.iter().map(|(key, value)| format!("{key}={value}")).collect();
    session.console.note(format_args!("trial {}: {what}  {}", claim.trial, params.join(" ")));
    if let Outcome::Failed { error } = outcome {
        let mut journal = locked(journal);
        let trials = &journal.refresh()?.trials;
        let failed = trials.values().filter(|record| matches!(record.state, TrialState::Ended(Outcome::Failed { .. }))).count();
        if failed >= HOPELESS && trials.values().all(|record| record.value().is_none()) {
            return Err(Error::failed(
                format!("{failed} trials failed and none succeeded; the last: {error}"),
                "does `abduce train`, or `abduce run`, work with the base file as it is?",
            ));
        }
    }
    Ok(())
}

/// Opens the run of the trial. A worker that was only slow and lost its trial to us may still be in it: it leaves after its current epoch.
fn open(single: &Session, prepared: &Prepared, watch: &Watch<'_>, interval: Duration) -> Result<RunDir, Error> {
    let mut last = Instant::now();
    loop {
        match prepared.open(single, Existing::Update) {
            Err(Error::InUse { run }) => {
                if watch.session.is_stopping() || watch.found().lost {
                    return Err(Error::Interrupted { run });
                }
            }
            other => return other,
        }
        if last.elapsed() >= interval {
            last = Instant::now();
            watch.beat();
        }
        std::thread::sleep(TICK);
    }
}

/// Trains, with signs of life from a thread of their own: an epoch may take longer than the time between two of them.
fn train(single: &Session, run: &RunDir, prepared: &Prepared, watch: &Watch<'_>, interval: Duration) -> Result<(), Error> {
    let checkpoints = checkpoints(&run.file(CHECKPOINTS), &prepared.fingerprint)?;
    let done = AtomicBool::new(false);
    let trained = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = Instant::now();
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                if last.elapsed() >= interval {
                    last = Instant::now();
                    watch.beat();
                }
            }
        });
        let trained = train_watched(single, run, &prepared.request(), &checkpoints, watch);
        done.store(true, Ordering::Relaxed);
        trained
    });
    trained?;
    Ok(run.finish_stage("train", &prepared.fingerprint)?)
}

/// The objective: the held-out score of the best epoch, averaged over the nets.
fn score(run: &RunDir) -> Result<f64, Error> {
    let nets: Vec<NetTraining> = run.read_json(TRAINING)?;
    let best: Vec<f64> = nets.iter().filter_map(|net| Some(net.history[net.best_epoch?].validation)).collect();
    Ok(best.iter().sum::<f64>() / best.len() as f64)
}

/// Sees the epochs of a trial.
struct Watch<'a> {
    session: &'a Session,
    journal: &'a Mutex<Shared>,
    claim: &'a Claim,
    halving: Option<Halving>,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    offset: f64,
    best: f64,
    given_up: bool,
    lost: bool,
    error: Option<StudyError>,
}

impl Watch<'_> {
    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self) {
        // Outside the lock on what was found, so that a slow file system does not hold up the training.
        let owned = locked(self.journal).beat(self.claim);
        let mut found = self.found();
        match owned {
            Ok(owned) => found.lost |= !owned,
            Err(error) => found.error = Some(error),
        }
    }

    /// Reports the score at a rung, and whether to go on.
    fn rung(&self, halving: &Halving, epoch: usize, best: f64) -> Result<Verdict, StudyError> {
        let mut journal = locked(self.journal);
        if !journal.step(self.claim, epoch, best)? {
            self.found().lost = true;
            return Ok(Verdict::GiveUp);
        }
        let trials = &journal.refresh()?.trials;
        let others = trials.iter().filter(|(number, _)| **number != self.claim.trial);
        let peers = others.map(|(_, record)| (record.steps.as_slice(), record.is_complete()));
        let own = trials.get(&self.claim.trial).map(|record| record.steps.as_slice()).unwrap_or_default();
        Ok(halving.judge(own, peers))
    }
}

impl Observer for Watch<'_> {
    fn start(&self, offset: f64) {
        self.found().offset = offset;
    }

    fn epoch(&self, _net: usize, state: &TrainState) -> ControlFlow<()> {
        let (offset, lost) = {
            let found = self.found();
            (found.offset, found.lost || found.error.is_some())
        };
        if lost || self.session.is_stopping() {
            return ControlFlow::Break(());
        }
        let epoch = state.progress.history.len();
        let Some(best) = state.progress.best_validation().map(|best| best + offset) else { return ControlFlow::Continue(()) };
        self.found().best = best;
        let Some(halving) = self.halving.filter(|halving| halving.is_rung(epoch)) else { return ControlFlow::Continue(()) };
        match self.rung(&halving, epoch, best) {
            Ok(Verdict::GoOn) => ControlFlow::Continue(()),
            Ok(Verdict::GiveUp) => {
                let mut found = self.found();
                found.given_up = !found.lost;
                ControlFlow::Break(())
            }
            Err(error) => {
                self.found().error = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

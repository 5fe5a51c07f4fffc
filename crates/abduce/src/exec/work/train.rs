//! Shards of `abduce train`: networks of the ensemble. A network's seed is a function of its place in the ensemble, so that where it is trained
//! makes no difference. What a shard leaves is the network's checkpoint in the run; the merge is the command itself, which finds all
//! networks trained, weighs them and writes the posterior.

use super::{Reached, publish_head};
use crate::commands::train::{Prepared, TrainArgs};
use crate::commands::{ComputeArgs, ExistingArgs};
use crate::error::Error;
use crate::exec::files::{Maker, ShardFolder};
use crate::exec::plan::Plan;
use crate::exec::worker::{Worker, finish_merge};
use crate::session::Session;
use crate::stages::inputs::make_folder;
use crate::stages::run::Existing;
use crate::stages::train::{CHECKPOINTS, checkpoints, posterior_path, train_watched};
use abduce_data::{DataError, RunDir};
use abduce_inference::training::{CheckpointFiles, Checkpoints, Observer, Silent};
use abduce_nn::trainer::TrainState;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The training of an ensemble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainWork {
    /// Where the command was given: relative paths are meant from there.
    pub working: PathBuf,
    /// The infer file.
    pub infer: PathBuf,
    /// The data file.
    pub data: PathBuf,
    /// Changes to the infer file.
    pub set: Vec<String>,
    /// Seed, where the command gave one.
    pub seed: Option<u64>,
    /// A hash of everything that the result depends on, the data among it.
    pub fingerprint: String,
    /// The posterior's file.
    pub posterior: PathBuf,
}

/// Time between two checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);

impl TrainWork {
    /// The work of a command, the number of its networks, and its run directory, which is made.
    ///
    /// # Errors
    /// The files are not as they should be, or there is another run.
    pub fn plan(session: &Session, args: &TrainArgs) -> Result<(Self, usize, PathBuf), Error> {
        if args.tensorboard.is_some() {
            return Err(Error::Usage {
                message: "--tensorboard can't be used in shards: the epochs are on other machines".into(),
                help: "leave it out; scores over epochs are in the run directory afterwards".into(),
            });
        }
        let prepared = Prepared::new(session, args)?;
        let existing = match (args.existing.restart, RunDir::is_run(&prepared.folder)) {
            (true, _) => Existing::Restart,
            (false, true) => Existing::Resume,
            (false, false) => Existing::Refuse,
        };
        if args.existing.restart {
            ShardFolder::of(&prepared.folder).remove()?;
        }
        let run = prepared.open(session, existing)?;
        // Makes the folder, and removes what other trainings left in it, before the workers begin.
        checkpoints(&run.file(CHECKPOINTS), &prepared.fingerprint)?;
        let work = Self {
            working: session.working.clone(),
            infer: args.infer.clone(),
            data: args.data.clone(),
            set: args.set.clone(),
            seed: args.seed,
            fingerprint: prepared.fingerprint.clone(),
            posterior: posterior_path(&run, &prepared.infer),
        };
        let nets = prepared.infer.model.nets.iter().map(|net| net.repeats).sum();
        Ok((work, nets, prepared.folder))
    }

    /// The training, as the files describe it now.
    fn prepare(&self, session: &Session, output: &Path) -> Result<Prepared, Error> {
        let args = TrainArgs {
            infer: self.infer.clone(),
            data: self.data.clone(),
            out: Some(output.to_path_buf()),
            seed: self.seed,
            set: self.set.clone(),
            tensorboard: None,
            existing: ExistingArgs::default(),
            compute: ComputeArgs::default(),
        };
        let prepared = Prepared::new(&Session { working: self.working.clone(), ..session.clone() }, &args)?;
        if prepared.fingerprint != self.fingerprint {
            return Err(Error::Usage {
                message: "the configuration, the data or the instruction set is not what the plan was made for".into(),
                help: "restore what has changed, or begin anew with `abduce submit … train --restart`".into(),
            });
        }
        Ok(prepared)
    }

    /// Trains the networks of a shard.
    ///
    /// # Errors
    /// Training fails.
    pub(super) fn shard(&self, worker: &Worker<'_>, shard: usize) -> Result<Reached, Error> {
        let prepared = self.prepare(worker.session, worker.output)?;
        let run = RunDir::open(worker.output)?;
        let range = worker.plan.shards[shard].clone();
        let own = worker.folder.path().join(format!(".{shard:05}.{}-{}", crate::exec::files::host(), std::process::id()));
        make_folder(&own)?;
        let shared = CheckpointFiles::new(&run.file(CHECKPOINTS), CHECKPOINT_INTERVAL);
        let kept = Moved { own: CheckpointFiles::new(&own, CHECKPOINT_INTERVAL), shared };
        let result = range.clone().try_for_each(|net| {
            let watch = OneNet { net, worker };
            match train_watched(worker.session, &run, &prepared.request(), &kept, &watch) {
                // Where there is but one network, this was the whole training.
                Ok(_) => Ok(()),
                Err(Error::Interrupted { .. }) if !worker.session.is_stopping() => Ok(()),
                Err(error) => Err((net, error)),
            }
        });
        std::fs::remove_dir_all(&own).ok();
        match result {
            Err((net, Error::Interrupted { .. })) => Ok(Reached::Item(net)),
            Err((_, error)) => Err(error),
            Ok(()) => publish_head(worker, shard, range).map(|()| Reached::End),
        }
    }

    /// The command itself, which finds every network trained.
    ///
    /// # Errors
    /// Those of training.
    pub(super) fn merge(&self, session: &Session, output: &Path, plan: &Plan, folder: &ShardFolder) -> Result<(), Error> {
        let prepared = self.prepare(session, output)?;
        let makers = plan
            .shards
            .iter()
            .enumerate()
            .map(|(shard, range)| folder.read(&folder.shard(shard), &plan.config_sha256, range.start).map(|(head, _)| head.maker));
        let makers: Vec<Maker> = makers.collect::<Result<_, _>>()?;
        let run = prepared.open(session, Existing::Resume)?;
        prepared.train(session, &run, &Silent)?;
        finish_merge(folder, plan, &makers)
    }
}

/// One network is trained here.
struct OneNet<'a> {
    net: usize,
    worker: &'a Worker<'a>,
}

impl Observer for OneNet<'_> {
    fn wants(&self, net: usize) -> bool {
        net == self.net
    }

    fn epoch(&self, _net: usize, _state: &TrainState) -> ControlFlow<()> {
        if self.worker.session.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Checkpoints that are written in a folder of this process and moved to where all look for them: two copies of a shard never write to the
/// same file.
struct Moved {
    own: CheckpointFiles,
    shared: CheckpointFiles,
}

impl Moved {
    fn publish(&self, net: usize) -> Result<(), DataError> {
        let (from, to) = (self.own.path(net), self.shared.path(net));
        if from.exists() { std::fs::rename(&from, &to).map_err(DataError::io(&to, "write")) } else { Ok(()) }
    }
}

impl Checkpoints for Moved {
    fn load(&self, net: usize) -> Result<Option<TrainState>, DataError> {
        self.shared.load(net)
    }

    fn save(&self, net: usize, state: &TrainState) -> Result<(), DataError> {
        self.own.save(net, state)?;
        self.publish(net)
    }

    fn keep(&self, net: usize, state: &TrainState) -> Result<(), DataError> {
        self.own.keep(net, state)?;
        self.publish(net)
    }
}

//! Shards of `abduce search`: workers. They share the study's journal, so that it makes no difference to a trial which of them does it; how many
//! there are changes what the sampler knows when it proposes, and with it the trials.

use super::{Reached, publish_head};
use crate::commands::search::{SearchArgs, tell};
use crate::error::Error;
use crate::exec::files::{Maker, ShardFolder};
use crate::exec::plan::Plan;
use crate::exec::worker::{Worker, finish_merge};
use crate::session::Session;
use crate::stages::study::{ExistingStudy, Study, StudyChanges};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchWork {
    /// Where the command was given: relative paths are meant from there.
    pub working: PathBuf,
    /// The study file.
    pub study: PathBuf,
    /// Changes to it.
    pub set: Vec<String>,
    /// Seed, where the command gave one.
    pub seed: Option<u64>,
    /// Trials in all.
    pub trials: usize,
    /// A hash of everything that scores depend on.
    pub hash: String,
}

impl SearchWork {
    /// The work of a command and the folder of its study, which is made.
    ///
    /// # Errors
    /// A file is not as it should be, or there is another study.
    pub fn plan(session: &Session, args: &SearchArgs) -> Result<(Self, PathBuf), Error> {
        let study = args.load(session)?;
        let planned = ShardFolder::of(&study.folder).plan().exists();
        match args.existing() {
            ExistingStudy::Restart => {
                ShardFolder::of(&study.folder).remove()?;
                study.open(session, ExistingStudy::Restart)?;
            }
            // Submitting again is going on.
            ExistingStudy::Refuse if planned => study.open(session, ExistingStudy::Join)?,
            other => study.open(session, other)?,
        }
        let work = Self {
            working: session.working.clone(),
            study: args.study.clone(),
            set: args.set.clone(),
            seed: args.seed,
            trials: study.trials,
            hash: study.hash,
        };
        Ok((work, study.folder))
    }

    fn load(&self, session: &Session, output: &Path) -> Result<Study, Error> {
        let session = Session { working: self.working.clone(), ..session.clone() };
        let changes = StudyChanges { set: &self.set, out: Some(output), seed: self.seed };
        let study = Study::load(&session, &self.study, &changes, self.trials)?;
        if study.hash != self.hash {
            return Err(Error::Usage {
                message: "the study, the data or the instruction set is not what the plan was made for".into(),
                help: "restore what has changed, or begin anew with `abduce submit … search --restart`".into(),
            });
        }
        Ok(study)
    }

    /// Works on trials until there are none left.
    ///
    /// # Errors
    /// Those of a study.
    pub(super) fn shard(&self, worker: &Worker<'_>, shard: usize) -> Result<Reached, Error> {
        let study = self.load(worker.session, worker.output)?;
        let range = worker.plan.shards[shard].clone();
        match study.work(worker.session, worker.session.compute.threads.count()) {
            Err(Error::Interrupted { .. }) => Ok(Reached::Item(range.start)),
            Err(error) => Err(error),
            Ok(()) => publish_head(worker, shard, range).map(|()| Reached::End),
        }
    }

    /// Table, importance and ensemble.
    ///
    /// # Errors
    /// Those of a study.
    pub(super) fn merge(&self, session: &Session, output: &Path, plan: &Plan, folder: &ShardFolder) -> Result<(), Error> {
        let study = self.load(session, output)?;
        let makers = plan
            .shards
            .iter()
            .enumerate()
            .map(|(shard, range)| folder.read(&folder.shard(shard), &plan.config_sha256, range.start).map(|(head, _)| head.maker));
        let makers: Vec<Maker> = makers.collect::<Result<_, _>>()?;
        let results = study.conclude(session)?;
        let results = results.ok_or_else(|| Error::failed("another process writes the results", "merge again when it has ended"))?;
        tell(session, &results);
        finish_merge(folder, plan, &makers)
    }
}

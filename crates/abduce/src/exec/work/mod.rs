//! What can be sharded, and what its shards are.

pub mod search;
pub mod simulate;
pub mod suite;
pub mod train;
pub mod validate;

use super::files::{KIND, ShardFolder, ShardHead};
use super::plan::Plan;
use super::worker::Worker;
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::Session;
use abduce_data::ModelFile;
use search::SearchWork;
use serde::{Deserialize, Serialize};
use simulate::SimulateWork;
use std::ops::Range;
use std::path::{Path, PathBuf};
use suite::SuiteWork;
use train::TrainWork;
use validate::ValidateWork;

/// The work of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Work {
    /// Rows of a table of simulations.
    Simulate(SimulateWork),
    /// Networks of an ensemble.
    Train(TrainWork),
    /// Workers of a study.
    Search(SearchWork),
    /// Blocks of test pairs.
    Validate(ValidateWork),
    /// Universes of a suite.
    Suite(Box<SuiteWork>),
}

/// How the work on a shard ended, when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The shard is published.
    End,
    /// Stopped on request before this item; what was done is kept.
    Item(usize),
}

impl Work {
    /// What it is, in a few words.
    pub fn describe(&self) -> String {
        match self {
            Self::Simulate(work) => format!("simulate {}", work.task),
            Self::Train(work) => format!("train {}", work.infer.display()),
            Self::Search(work) => format!("search {}", work.study.display()),
            Self::Validate(work) => {
                format!("validate {}", work.run.as_ref().or(work.metrics.as_ref()).map_or("".into(), |path| path.display().to_string()))
            }
            Self::Suite(_) => "cosmology suite".into(),
        }
    }

    /// What an item is called, in the plural.
    pub fn items(&self) -> &'static str {
        match self {
            Self::Simulate(_) => "simulations",
            Self::Train(_) => "networks",
            Self::Search(_) => "workers",
            Self::Validate(_) => "blocks of test pairs",
            Self::Suite(_) => "universes",
        }
    }

    /// The word after which logs and jobs are called.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Simulate(_) => "simulate",
            Self::Train(_) => "train",
            Self::Search(_) => "search",
            Self::Validate(_) => "validate",
            Self::Suite(_) => "suite",
        }
    }

    /// The files that the command ends with.
    pub fn outputs(&self, output: &Path) -> Vec<PathBuf> {
        match self {
            Self::Simulate(_) => simulate::outputs(output).into(),
            Self::Train(work) => vec![work.posterior.clone()],
            Self::Search(_) => vec![output.join(crate::stages::study::RESULTS)],
            Self::Validate(work) => work.results.clone(),
            Self::Suite(_) => suite::outputs(output).into(),
        }
    }

    /// Does one shard, from where an earlier attempt stopped.
    ///
    /// # Errors
    /// Whatever keeps an item from being done.
    pub fn shard(&self, worker: &Worker<'_>, shard: usize) -> Result<Reached, Error> {
        match self {
            Self::Simulate(work) => work.shard(worker, shard),
            Self::Train(work) => work.shard(worker, shard),
            Self::Search(work) => work.shard(worker, shard),
            Self::Validate(work) => work.shard(worker, shard),
            Self::Suite(work) => work.shard(worker, shard),
        }
    }

    /// Puts the shards, which are all there, together.
    ///
    /// # Errors
    /// A shard is not what the plan says, or the output cannot be written.
    pub fn merge(&self, session: &Session, output: &Path, plan: &Plan) -> Result<(), Error> {
        let folder = ShardFolder::of(output);
        match self {
            Self::Simulate(work) => work.merge(session, output, plan, &folder),
            Self::Train(work) => work.merge(session, output, plan, &folder),
            Self::Search(work) => work.merge(session, output, plan, &folder),
            Self::Validate(work) => work.merge(session, output, plan, &folder),
            Self::Suite(work) => work.merge(session, output, plan, &folder),
        }
    }
}

impl Work {
    /// How the finished command ends: with a gate that does not hold, or well.
    ///
    /// # Errors
    /// Its results cannot be read.
    pub fn ending(&self, session: &Session) -> Result<Ending, Error> {
        match self {
            Self::Validate(work) => work.ending(session),
            _ => Ok(Ending::Done),
        }
    }
}

/// The head of a shard of the items `range`.
fn head(worker: &Worker<'_>, range: Range<usize>, failed: Vec<usize>) -> Result<serde_json::Value, Error> {
    let head = ShardHead {
        kind: KIND.into(),
        config_sha256: worker.plan.config_sha256.clone(),
        first: range.start,
        end: range.end,
        failed,
        maker: worker.maker(),
    };
    serde_json::to_value(head).map_err(|error| Error::Failed { message: format!("cannot write JSON: {error}"), help: None })
}

/// Publishes a shard whose results are elsewhere: its file says only that they are complete.
fn publish_head(worker: &Worker<'_>, shard: usize, range: Range<usize>) -> Result<(), Error> {
    let file = ModelFile { metadata: head(worker, range, Vec::new())?, tensors: Vec::new() };
    worker.folder.publish(&file, &worker.folder.shard(shard))
}

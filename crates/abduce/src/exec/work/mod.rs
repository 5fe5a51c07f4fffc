//! What can be sharded, and what its shards are.

pub mod simulate;

use super::files::ShardFolder;
use super::plan::Plan;
use super::worker::Worker;
use crate::error::Error;
use crate::session::Session;
use serde::{Deserialize, Serialize};
use simulate::SimulateWork;
use std::path::{Path, PathBuf};

/// The work of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Work {
    /// Rows of a table of simulations.
    Simulate(SimulateWork),
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
        }
    }

    /// What an item is called, in the plural.
    pub fn items(&self) -> &'static str {
        match self {
            Self::Simulate(_) => "simulations",
        }
    }

    /// The word after which logs and jobs are called.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Simulate(_) => "simulate",
        }
    }

    /// The files that the command ends with.
    pub fn outputs(&self, output: &Path) -> Vec<PathBuf> {
        match self {
            Self::Simulate(_) => simulate::outputs(output).into(),
        }
    }

    /// Does one shard, from where an earlier attempt stopped.
    ///
    /// # Errors
    /// Whatever keeps an item from being done.
    pub fn shard(&self, worker: &Worker<'_>, shard: usize) -> Result<Reached, Error> {
        match self {
            Self::Simulate(work) => work.shard(worker, shard),
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
        }
    }
}

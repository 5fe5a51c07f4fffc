//! How far a sharded command is: the files say it, Slurm adds what it knows.

use super::files::{ShardFailure, ShardFolder, ShardState};
use super::indices::compact;
use super::plan::Plan;
use super::squeue::{self, Task};
use super::{slurm, worker};
use crate::error::Error;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

/// The state of a sharded command.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// What it is.
    pub work: String,
    /// Items in all.
    pub items: usize,
    /// Shards in all.
    pub shards: usize,
    /// Whether the output is complete.
    pub merged: bool,
    /// Complete shards.
    pub done: Vec<usize>,
    /// Shards that were begun and stopped.
    pub partial: Vec<usize>,
    /// Shards of which nothing is there.
    pub missing: Vec<usize>,
    /// Shards whose last attempt failed.
    pub failed: Vec<ShardFailure>,
    /// What Slurm says of the jobs: nothing where it was not used.
    pub slurm: Option<String>,
}

/// Looks at the files beside `output`, and asks Slurm where it was used.
///
/// # Errors
/// There is no plan.
pub fn status(output: &Path) -> Result<Status, Error> {
    let plan = Plan::load(output)?;
    let folder = ShardFolder::of(output);
    let merged = worker::is_merged(output, &plan);
    let mut status = Status {
        work: plan.work.describe(),
        items: plan.items,
        shards: plan.shards.len(),
        merged,
        done: Vec::new(),
        partial: Vec::new(),
        missing: Vec::new(),
        failed: Vec::new(),
        slurm: None,
    };
    for shard in 0..plan.shards.len() {
        match folder.state(shard) {
            _ if merged => status.done.push(shard),
            ShardState::Done => status.done.push(shard),
            ShardState::Partial => status.partial.push(shard),
            ShardState::Missing => status.missing.push(shard),
            ShardState::Failed(failure) => status.failed.push(failure),
        }
    }
    let jobs: Vec<u64> =
        slurm::submissions(output).iter().flat_map(|submission| [Some(submission.array), submission.merge]).flatten().collect();
    if !jobs.is_empty() {
        status.slurm = Some(match slurm::tasks(&jobs) {
            None => "it does not answer".into(),
            Some(tasks) if tasks.is_empty() => "no job is left".into(),
            Some(tasks) => squeue::summary(&tasks.iter().collect::<Vec<&Task>>()),
        });
    }
    Ok(status)
}

impl Status {
    /// A few lines for people.
    pub fn text(&self) -> String {
        let mut text = format!("{}: {} items in {} shards", self.work, self.items, self.shards);
        let end = if self.merged { ", all done and merged" } else { "" };
        // Writing to a string cannot fail.
        _ = writeln!(text, "{end}");
        if !self.merged {
            for (word, shards) in [("done", &self.done), ("partial", &self.partial), ("missing", &self.missing)] {
                let which = if shards.is_empty() { String::new() } else { format!("  ({})", compact(shards)) };
                _ = writeln!(text, "  {word:8}{:6}{which}", shards.len());
            }
            _ = writeln!(text, "  {:8}{:6}", "failed", self.failed.len());
            for failure in &self.failed {
                _ = writeln!(
                    text,
                    "    shard {} at item {} on {}, attempt {}: {}",
                    failure.shard, failure.item, failure.host, failure.attempt, failure.message
                );
            }
        }
        if let Some(slurm) = &self.slurm {
            _ = writeln!(text, "  slurm: {slurm}");
        }
        text
    }
}

//! A worker: one process that does some shards of a plan, and the merge that follows.

use super::environment::Environment;
use super::files::{Maker, ShardFolder, ShardState, host, processor};
use super::plan::Plan;
use super::work::Reached;
use crate::error::Error;
use crate::pipeline::Ending;
use crate::progress::duration;
use crate::session::{Session, json};
use abduce_data::artefact::write_atomic;
use serde_json::json;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time between two lines of progress.
const LINE_INTERVAL: Duration = Duration::from_secs(30);

/// What a worker has at hand.
#[derive(Debug)]
pub struct Worker<'a> {
    /// The call.
    pub session: &'a Session,
    /// The folder of the command's output.
    pub output: &'a Path,
    /// Shards.
    pub folder: ShardFolder,
    /// The plan.
    pub plan: Plan,
    /// What Slurm says.
    pub environment: &'a Environment,
    begun: Instant,
}

impl<'a> Worker<'a> {
    /// A worker of the plan beside `output`.
    ///
    /// # Errors
    /// The plan cannot be used.
    pub fn new(session: &'a Session, output: &'a Path, environment: &'a Environment) -> Result<Self, Error> {
        let plan = Plan::load(output)?;
        Ok(Self { session, output, folder: ShardFolder::of(output), plan, environment, begun: Instant::now() })
    }

    /// Does `shards`, those that are not done yet. A shard that fails leaves its error in a file and the others are still done; the first
    /// error is returned.
    ///
    /// # Errors
    /// A shard failed, or the worker was stopped ([`Error::Partial`]).
    pub fn run(&self, shards: &[usize]) -> Result<(), Error> {
        let mut first_error = None;
        for &shard in shards {
            if self.folder.state(shard) == ShardState::Done {
                self.note(shard, format_args!("done before"));
                continue;
            }
            if self.session.is_stopping() {
                return Err(Error::Partial { message: format!("stopped before shard {shard}") });
            }
            let range = &self.plan.shards[shard];
            self.note(shard, format_args!("{} {} to {}", self.plan.work.items(), range.start, range.end));
            match self.plan.work.shard(self, shard) {
                Ok(Reached::End) => {
                    self.folder.clear_traces(shard);
                    self.note(shard, format_args!("done"));
                }
                Ok(Reached::Item(item)) => {
                    let message =
                        format!("shard {shard}: stopped after {} of {} {}", item - range.start, range.len(), self.plan.work.items());
                    return Err(Error::Partial { message });
                }
                Err(error) => {
                    let part = self.folder.read_part(shard, &self.plan.config_sha256, self.plan.shards[shard].start).ok().flatten();
                    let item = part.map_or(self.plan.shards[shard].start, |(head, _)| head.end);
                    self.folder.note_failure(shard, item, &error, self.host())?;
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    fn host(&self) -> String {
        self.environment.get("SLURMD_NODENAME").map_or_else(host, str::to_string)
    }

    /// This process, as the maker of a shard.
    pub fn maker(&self) -> Maker {
        Maker {
            host: self.host(),
            cpu: processor(),
            simd: self.session.compute.simd.name().to_string(),
            threads: self.session.compute.threads.count(),
            restarts: self.environment.restarts(),
            seconds: self.begun.elapsed().as_secs_f64(),
        }
    }

    /// Says something about a shard.
    pub fn note(&self, shard: usize, text: impl std::fmt::Display) {
        self.session.console.note(format_args!("shard {shard}: {text}"));
    }

    /// Progress through the items of a shard, from item `next` on.
    pub fn progress(&self, shard: usize, next: usize) -> ShardProgress<'_> {
        ShardProgress { worker: self, shard, first: next, begun: Instant::now(), last_line: Instant::now() }
    }
}

/// Says now and then how far a shard is: plain lines, since nobody watches a job.
#[derive(Debug)]
pub struct ShardProgress<'a> {
    worker: &'a Worker<'a>,
    shard: usize,
    first: usize,
    begun: Instant,
    last_line: Instant,
}

impl ShardProgress<'_> {
    /// All items before `next` are done.
    pub fn reached(&mut self, next: usize) {
        if self.last_line.elapsed() < LINE_INTERVAL {
            return;
        }
        self.last_line = Instant::now();
        let range = &self.worker.plan.shards[self.shard];
        let rate = (next - self.first) as f64 / self.begun.elapsed().as_secs_f64();
        let text = format!(
            "{} of {} {}, {rate:.3} per s, {} left",
            next - range.start,
            range.len(),
            self.worker.plan.work.items(),
            duration((range.end - next) as f64 / rate)
        );
        self.worker.note(self.shard, text);
    }
}

/// Puts the shards of `output` together. Files are trusted, not exit codes: all shards must be there.
///
/// # Errors
/// Shards are missing, which the error lists; or one is not what the plan says.
pub fn merge(session: &Session, output: &Path) -> Result<Ending, Error> {
    let plan = Plan::load(output)?;
    let folder = ShardFolder::of(output);
    if is_merged(output, &plan) {
        session.console.note("merged before");
        return plan.work.ending(session);
    }
    let missing: Vec<usize> = (0..plan.shards.len()).filter(|&shard| folder.state(shard) != ShardState::Done).collect();
    if !missing.is_empty() {
        return Err(incomplete(&folder, &missing));
    }
    plan.work.merge(session, output, &plan)?;
    let outputs: Vec<String> = plan.work.outputs(output).iter().map(|path| path.display().to_string()).collect();
    session.console.note(format_args!("{} {} in {}", plan.items, plan.work.items(), outputs.join(" and ")));
    plan.work.ending(session)
}

/// The error that lists what is missing, with the reasons that are known.
pub fn incomplete(folder: &ShardFolder, missing: &[usize]) -> Error {
    let failures: Vec<String> = missing
        .iter()
        .filter_map(|&shard| match folder.state(shard) {
            ShardState::Failed(failure) => {
                Some(format!("shard {shard} failed at item {} on {}: {}", failure.item, failure.host, failure.message))
            }
            _ => None,
        })
        .collect();
    let some = failures.iter().take(5).map(|text| format!("; {text}")).collect::<String>();
    let list = super::indices::compact(missing);
    Error::failed(format!("not all shards are done, missing: {list}{some}"), "submit again: only the missing shards are done")
}

/// Whether the merge was finished and its outputs are still there.
pub fn is_merged(output: &Path, plan: &Plan) -> bool {
    let folder = ShardFolder::of(output);
    let mark: Option<serde_json::Value> = std::fs::read_to_string(folder.merged()).ok().and_then(|text| serde_json::from_str(&text).ok());
    mark.is_some_and(|mark| mark["config_sha256"] == plan.config_sha256.as_str())
        && plan.work.outputs(output).iter().all(|path| path.is_file())
}

/// Notes that the outputs are complete, and removes the shards that are in them now.
///
/// # Errors
/// The mark cannot be written.
pub fn finish_merge(folder: &ShardFolder, plan: &Plan, makers: &[Maker]) -> Result<(), Error> {
    let text = json(&json!({"config_sha256": plan.config_sha256, "shards": makers}))?;
    write_atomic(&folder.merged(), |out| out.write_all(text.as_bytes()))?;
    for shard in 0..plan.shards.len() {
        // Only space: with the mark nobody looks at them.
        std::fs::remove_file(folder.shard(shard)).ok();
        folder.clear_traces(shard);
    }
    folder.sweep();
    Ok(())
}

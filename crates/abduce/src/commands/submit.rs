//! `abduce submit COMMAND…`: a command in shards, as a Slurm array or in processes on this machine.

use super::cosmology::universe::{SuiteArgs, suite_work};
use super::search::SearchArgs;
use super::simulate::{self, SimulateArgs};
use super::train::TrainArgs;
use super::validate::ValidateArgs;
use crate::error::Error;
use crate::exec::files::{ShardFolder, ShardState};
use crate::exec::local::{self, Local};
use crate::exec::plan::Plan;
use crate::exec::slurm::{self, Layout, SlurmOptions};
use crate::exec::work::Work;
use crate::exec::work::search::SearchWork;
use crate::exec::work::train::TrainWork;
use crate::exec::work::validate::ValidateWork;
use crate::exec::worker::{incomplete, is_merged, merge};
use crate::pipeline::Ending;
use crate::session::{Session, print};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Run a command in shards: as a Slurm array, or with --local in processes on this machine.
///
/// The result has the bytes of the command itself (of `search` only with one worker, since proposals depend on what is known). Submitting
/// again does what is missing.
#[derive(Clone, Debug, clap::Args)]
pub struct SubmitArgs {
    /// Pieces that the work is cut into; four times --parallel by default, and --parallel for `search`.
    #[arg(long, value_name = "S")]
    pub shards: Option<NonZeroUsize>,
    /// Most shards at once; all cores with --local, otherwise 16.
    #[arg(long, value_name = "P")]
    pub parallel: Option<NonZeroUsize>,
    /// Wait for the end of the jobs.
    #[arg(long)]
    pub wait: bool,
    /// Worker processes on this machine in place of Slurm.
    #[arg(long)]
    pub local: bool,
    /// Only write the plan: workers are started by hand, such as `mpirun -n 8 abduce worker FOLDER`, and `abduce merge` after them.
    #[arg(long, conflicts_with_all = ["local", "wait"])]
    pub plan: bool,
    /// What the jobs ask for.
    #[command(flatten)]
    pub slurm: SlurmOptions,
    /// The command.
    #[command(subcommand)]
    pub command: Sharded,
}

/// Commands that can be sharded.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Sharded {
    /// See `abduce simulate`; shards are rows.
    Simulate(SimulateArgs),
    /// See `abduce train`; shards are the networks of the ensemble.
    Train(TrainArgs),
    /// See `abduce search`; shards are workers that share the study.
    Search(SearchArgs),
    /// See `abduce validate`; shards are blocks of test pairs.
    Validate(ValidateArgs),
    /// See `abduce cosmology suite`; shards are universes.
    Suite(SuiteArgs),
}

impl Sharded {
    /// Whether to say nothing but warnings and errors.
    pub fn compute(&self) -> super::ComputeArgs {
        match self {
            Self::Simulate(args) => args.compute,
            Self::Train(args) => args.compute,
            Self::Search(args) => args.compute,
            Self::Validate(args) => args.compute,
            Self::Suite(args) => args.compute,
        }
    }
}

/// Work, its number of items and the folder of its output.
struct Order {
    work: Work,
    items: usize,
    output: PathBuf,
}

/// Shards per process that runs at once, so that one slow shard does not keep all others waiting.
const SHARDS_PER_PROCESS: usize = 4;
/// Tasks of an array at once.
const PARALLEL_TASKS: usize = 16;

/// Runs the command.
pub fn run(session: &Session, args: &SubmitArgs) -> Result<Ending, Error> {
    let cores = session.compute.threads.count();
    let parallel = args.parallel.map_or(if args.local { cores } else { PARALLEL_TASKS }, NonZeroUsize::get);
    let order = match &args.command {
        Sharded::Simulate(args) => {
            let (work, output) = simulate::work(session, args)?;
            Order { items: work.n, work: Work::Simulate(work), output }
        }
        Sharded::Train(args) => {
            let (work, items, output) = TrainWork::plan(session, args)?;
            Order { work: Work::Train(work), items, output }
        }
        Sharded::Validate(args) => {
            let (work, items, output) = ValidateWork::plan(session, args)?;
            Order { work: Work::Validate(work), items, output }
        }
        Sharded::Suite(args) => {
            let (work, items, output) = suite_work(session, args)?;
            Order { work: Work::Suite(Box::new(work)), items, output }
        }
        // Every worker is a shard: there is nothing else to cut.
        Sharded::Search(search) => {
            let (work, output) = SearchWork::plan(session, search)?;
            Order { work: Work::Search(work), items: args.shards.map_or(parallel, NonZeroUsize::get), output }
        }
    };
    let asked = args.shards.map(NonZeroUsize::get);
    let shards = asked.unwrap_or(SHARDS_PER_PROCESS * parallel);
    let output = order.output.as_path();
    let plan = Plan::new(order.work, order.items, shards)?.settle(output, asked)?;
    let folder = ShardFolder::of(output);
    if is_merged(output, &plan) {
        session.console.note(format_args!("{}: done before", plan.work.describe()));
        return plan.work.ending(session);
    }
    let missing = missing(&folder, &plan);
    if missing.is_empty() {
        return merge(session, output);
    }
    session.console.note(format_args!(
        "{}: {} of {} shards of {} {} to do",
        plan.work.describe(),
        missing.len(),
        plan.shards.len(),
        plan.items,
        plan.work.items()
    ));
    if args.plan {
        return Ok(Ending::Done);
    }
    let program = std::env::current_exe();
    let program = program.map_err(|source| Error::File { action: "find", path: "the program itself".into(), source })?;
    if args.local {
        let threads = (cores / parallel).max(1);
        local::run(session, &Local { program, parallel, threads }, output, &missing)?;
        return conclude(session, output, &plan);
    }
    on_slurm(session, args, &program, output, (&plan, &missing), parallel)
}

fn on_slurm(
    session: &Session,
    args: &SubmitArgs,
    program: &Path,
    output: &Path,
    (plan, missing): (&Plan, &[usize]),
    parallel: usize,
) -> Result<Ending, Error> {
    // Shards that are queued or running already are left to those tasks.
    let earlier = slurm::submissions(output);
    let jobs: Vec<u64> = earlier.iter().map(|submission| submission.array).collect();
    let active = slurm::tasks(&jobs).unwrap_or_default();
    let taken = |shard: usize| {
        earlier.iter().any(|submission| {
            active.iter().filter(|task| task.job == submission.array).any(|task| match (&submission.layout, task.task) {
                (Layout::One(_), Some(index)) => index as usize == shard,
                (Layout::Strided(tasks), Some(index)) => shard % tasks == index as usize,
                (_, None) => true,
            })
        })
    };
    let free: Vec<usize> = missing.iter().copied().filter(|&shard| !taken(shard)).collect();
    if free.is_empty() {
        session.console.note("every missing shard is queued or running already");
    } else {
        let submission = slurm::submit(&args.slurm, (program, output), plan.work.verb(), (&free, plan.shards.len()), parallel)?;
        print(&format!("{}\n", submission.array))?;
        session.console.note(format_args!("array {} of {} shards, merge {}", submission.array, free.len(), submission.merge.unwrap_or(0)));
    }
    if !args.wait {
        session.console.note(format_args!("`abduce status {}` tells how far it is", output.display()));
        return Ok(Ending::Done);
    }
    let jobs: Vec<u64> =
        slurm::submissions(output).iter().flat_map(|submission| [Some(submission.array), submission.merge]).flatten().collect();
    slurm::wait(&session.console, &jobs, || session.is_stopping())?;
    if session.is_stopping() {
        return Err(Error::Partial { message: "stopped waiting; the jobs go on".into() });
    }
    conclude(session, output, plan)
}

fn missing(folder: &ShardFolder, plan: &Plan) -> Vec<usize> {
    (0..plan.shards.len()).filter(|&shard| folder.state(shard) != ShardState::Done).collect()
}

/// The end: merged, or what is missing. Shards that were only stopped are status 75, failed ones status 1.
fn conclude(session: &Session, output: &Path, plan: &Plan) -> Result<Ending, Error> {
    let folder = ShardFolder::of(output);
    if is_merged(output, plan) {
        return plan.work.ending(session);
    }
    let missing = missing(&folder, plan);
    if missing.is_empty() {
        return merge(session, output);
    }
    let stopped = missing.iter().all(|&shard| !matches!(folder.state(shard), ShardState::Failed(_)));
    let begun = missing.iter().any(|&shard| folder.state(shard) == ShardState::Partial);
    if stopped && (begun || session.is_stopping()) {
        return Err(Error::Partial { message: format!("{} of {} shards are not done", missing.len(), plan.shards.len()) });
    }
    Err(incomplete(&folder, &missing))
}

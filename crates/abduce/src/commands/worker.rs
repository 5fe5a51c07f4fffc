//! `abduce worker FOLDER`: some shards of a plan, in this process. Started by `abduce submit`; may be started by hand.

use super::ComputeArgs;
use crate::error::Error;
use crate::exec::environment::{Environment, Told, assignment};
use crate::exec::worker::Worker;
use crate::pipeline::Ending;
use crate::session::Session;
use std::path::PathBuf;

/// Do shards of a submitted command.
///
/// Which ones: --shard, --rank with --of, the task of a Slurm array, or the rank under an MPI launcher. USR1 or TERM stops after the current
/// item with status 75, and the next attempt goes on there.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkerArgs {
    /// Output folder of the submitted command.
    pub folder: PathBuf,
    /// The shard.
    #[arg(long, conflicts_with = "rank")]
    pub shard: Option<usize>,
    /// Do every so-manieth shard, from this one on.
    #[arg(long, requires = "of")]
    pub rank: Option<usize>,
    /// Number of ranks.
    #[arg(long, requires = "rank")]
    pub of: Option<usize>,
    /// Threads and talk; without --threads as many as Slurm gave the job, else one.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Runs the command.
pub fn run(session: &Session, args: &WorkerArgs, environment: &Environment) -> Result<Ending, Error> {
    let output = session.path(&args.folder);
    let worker = Worker::new(session, &output, environment)?;
    let told = match (args.shard, args.rank, args.of) {
        (Some(shard), ..) => Told::Shard(shard),
        (None, Some(rank), Some(of)) => Told::Rank { rank, of },
        _ => Told::Nothing,
    };
    let shards = assignment(told, environment, worker.plan.shards.len())?;
    worker.run(&shards)?;
    Ok(Ending::Done)
}

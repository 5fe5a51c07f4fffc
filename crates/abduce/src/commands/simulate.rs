//! `abduce simulate TASK`: pairs (θ, x) from a built-in simulator.

use super::ComputeArgs;
use crate::error::Error;
use crate::exec::work::simulate::SimulateWork;
use crate::pipeline::Ending;
use crate::session::{Session, json, print};
use crate::stages::simulate::{simulate, simulator};
use abduce_data::Seed;
use serde_json::json;
use std::path::PathBuf;

/// Simulate parameters and data with a built-in task.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateArgs {
    /// The task.
    #[arg(value_name = "TASK", help = format!("The task: {}", abduce_inference::simulator::names().join(", ")))]
    pub task: String,
    /// Number of pairs.
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub n: u64,
    /// Seed: the same one gives the same files, and a longer table begins with the shorter one.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Folder for theta.npy (N, d) and x.npy (N, …).
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
    /// Print files and shapes as JSON.
    #[arg(long)]
    pub json: bool,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// The work as it is cut into shards, and the folder of its output.
///
/// # Errors
/// There is no such task.
pub fn work(session: &Session, args: &SimulateArgs) -> Result<(SimulateWork, PathBuf), Error> {
    simulator(&args.task)?;
    let n = usize::try_from(args.n).map_err(|_| Error::failed("that many rows cannot be counted", "ask for fewer"))?;
    Ok((SimulateWork { task: args.task.clone(), n, seed: args.seed }, session.path(&args.out)))
}

/// Runs the command.
pub fn run(session: &Session, args: &SimulateArgs) -> Result<Ending, Error> {
    let simulator = simulator(&args.task)?;
    let rows = usize::try_from(args.n).map_err(|_| Error::failed("that many rows do not fit into memory", "ask for fewer"))?;
    let values = simulator.data_shape().iter().product::<usize>() + simulator.prior().parameters();
    if rows.checked_mul(values * size_of::<f32>()).is_none_or(|bytes| bytes > isize::MAX as usize / 4) {
        return Err(Error::failed(format!("{rows} rows of {values} numbers do not fit into memory"), "ask for fewer"));
    }
    let made = simulate(session, simulator.as_ref(), rows, Seed(args.seed), (&session.path(&args.out), ""))?;
    made.warnings.iter().for_each(|warning| session.console.warn(warning));
    session.console.note(format_args!("{rows} pairs of {} in {} and {}", args.task, made.theta.display(), made.x.display()));
    if args.json {
        let found = json!({
            "theta": made.theta, "x": made.x, "rows": rows,
            "parameters": simulator.parameters(), "x_shape": simulator.data_shape(),
        });
        print(&json(&found)?)?;
    }
    Ok(Ending::Done)
}

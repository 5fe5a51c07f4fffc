//! `abduce simulate TASK|FILE.yaml`: pairs (θ, x) from a built-in task or a program.

use super::{ComputeArgs, notices};
use crate::config::{self, PathRules, SimulatorConfig};
use crate::error::Error;
use crate::exec::work::simulate::SimulateWork;
use crate::pipeline::Ending;
use crate::session::{Session, json, print};
use crate::stages::simulate::{self, Simulated, Wanted, parameter_names, rows_of, simulate_items};
use abduce_data::Seed;
use abduce_inference::simulator::store::FailedItems;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Simulate parameters and data with a built-in task, or with a program that a file describes.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateArgs {
    /// The task, or a YAML file.
    #[arg(value_name = "TASK|FILE", help = format!("The task: {}; or a YAML file with a `command` and its `prior`", abduce_inference::simulator::names().join(", ")))]
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
    /// Keep all simulations in this folder and simulate only what it lacks; several processes may share it.
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Try the failures in the store again.
    #[arg(long, requires = "store")]
    pub retry_failed: bool,
    /// Change a key of the file: --set workers=8.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
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
/// There is no such task, or what is asked for can't be cut.
pub fn work(session: &Session, args: &SimulateArgs) -> Result<(SimulateWork, PathBuf), Error> {
    if args.store.is_some() || Path::new(&args.task).extension().is_some() {
        return Err(Error::Usage {
            message: "only built-in tasks without a store are cut into shards".into(),
            help: "several processes of `abduce simulate … --store DIR` share the work of a program through the store".into(),
        });
    }
    simulate::simulator(&args.task)?;
    let n = usize::try_from(args.n).map_err(|_| Error::failed("that many rows cannot be counted", "ask for fewer"))?;
    Ok((SimulateWork { task: args.task.clone(), n, seed: args.seed }, session.path(&args.out)))
}

/// Runs the command.
pub fn run(session: &Session, args: &SimulateArgs) -> Result<Ending, Error> {
    let (config, paths) = simulator(session, args)?;
    let parameters = parameter_names(&config)?;
    let rows = usize::try_from(args.n).map_err(|_| Error::failed("that many rows do not fit into memory", "ask for fewer"))?;
    let folder = session.path(&args.out);
    let built_in = config.task.as_deref().map(simulate::simulator).transpose()?;
    let made: Simulated = match (&built_in, &args.store) {
        (Some(task), None) => {
            let values = task.data_shape().iter().product::<usize>() + parameters.len();
            check_memory(rows, values)?;
            simulate::simulate(session, task.as_ref(), rows, Seed(args.seed), (&folder, ""))?
        }
        (_, store) => {
            check_memory(rows, parameters.len())?;
            let store = store.as_ref().map(|store| session.path(store));
            let failed = if args.retry_failed { FailedItems::Again } else { FailedItems::Keep };
            let simulator = rows_of(session, &config, &paths, &folder)?;
            let wanted = Wanted { rows, seed: Seed(args.seed), store: store.as_deref(), failed, folder: &folder, suffix: "" };
            simulate_items(session, simulator.as_ref(), &wanted)?
        }
    };
    made.warnings.iter().for_each(|warning| session.console.warn(warning));
    let count = made.rows;
    session.console.note(format_args!("{count} pairs of {} in {} and {}", config.name(), made.theta.display(), made.x.display()));
    if args.json {
        let found = json!({
            "theta": made.theta, "x": made.x, "rows": count,
            "parameters": parameters, "x_shape": made.x_shape,
        });
        print(&json(&found)?)?;
    }
    if count < rows {
        let help = match &args.store {
            Some(_) => "the same command goes on from there, to the same files",
            None => "with --store the next call would go on from there",
        };
        return Err(Error::Unfinished { message: format!("stopped; the first {count} of {rows} pairs were written"), help: help.into() });
    }
    Ok(Ending::Done)
}

/// A task by its name, or what a file describes.
fn simulator(session: &Session, args: &SimulateArgs) -> Result<(SimulatorConfig, PathRules), Error> {
    let file = Path::new(&args.task);
    let is_yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    if is_yaml {
        let loaded = config::load::<SimulatorConfig>(file, &args.set, &session.working)?;
        notices(&session.console, &loaded);
        return Ok((loaded.config, loaded.paths));
    }
    if !args.set.is_empty() {
        return Err(Error::Usage {
            message: "--set changes a key of a file, and no file is given".into(),
            help: "a built-in task has nothing to set".into(),
        });
    }
    simulate::simulator(&args.task)?;
    Ok((SimulatorConfig { task: Some(args.task.clone()), ..SimulatorConfig::default() }, PathRules::new(&session.working, Path::new(""))))
}

fn check_memory(rows: usize, values: usize) -> Result<(), Error> {
    if rows.checked_mul(values * size_of::<f32>()).is_none_or(|bytes| bytes > isize::MAX as usize / 4) {
        return Err(Error::failed(format!("{rows} rows of {values} numbers do not fit into memory"), "ask for fewer"));
    }
    Ok(())
}

//! `abduce gflownet train FILE.yaml`: samplers in proportion to a reward.

use super::{ComputeArgs, notices};
use crate::config::{self, GflownetConfig};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::{Session, json, print};
use crate::stages::gflownet;
use std::path::PathBuf;

/// Generative flow networks: policies that build objects with probabilities proportional to a reward.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum GflownetCommand {
    /// Train a policy; metrics.json has its distance to the exact distribution.
    Train(GflownetArgs),
}

/// Arguments of the training.
#[derive(Clone, Debug, clap::Args)]
pub struct GflownetArgs {
    /// Environment, policy, loss and training: `abduce schema gflownet`.
    pub file: PathBuf,
    /// Folder of the results; `out_dir` of the file by default.
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Seed of everything random; `seed` of the file by default.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Change a key of the file: --set train.batch=128.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print metrics.json.
    #[arg(long)]
    pub json: bool,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

impl GflownetCommand {
    /// Threads and talk.
    pub const fn compute(&self) -> ComputeArgs {
        match self {
            Self::Train(args) => args.compute,
        }
    }
}

/// Runs the command; the folder of the results goes to standard output.
pub fn run(session: &Session, command: &GflownetCommand) -> Result<Ending, Error> {
    let GflownetCommand::Train(args) = command;
    let loaded = config::load::<GflownetConfig>(&args.file, &args.set, &session.working)?;
    notices(&session.console, &loaded);
    let mut config = loaded.config;
    config.seed = args.seed.unwrap_or(config.seed);
    let folder = session.path(args.out.as_deref().unwrap_or(&config.out_dir));
    let metrics = gflownet::run(session, &config, &folder)?;
    let number = |value: Option<f64>| value.map_or_else(|| "unknown".to_string(), |value| format!("{value:.4}"));
    session.console.note(format_args!(
        "after {} iterations: L1 {}, log Z {} (exact {})",
        metrics.iterations,
        number(metrics.l1),
        number(metrics.log_z),
        number(metrics.exact_log_z)
    ));
    if metrics.iterations < config.train.iterations {
        return Err(Error::Unfinished {
            message: format!(
                "stopped after {} of {} iterations; {} holds what was reached",
                metrics.iterations,
                config.train.iterations,
                folder.display()
            ),
            help: "run it again for all of them".into(),
        });
    }
    if args.json {
        print(&json(&metrics)?)?;
    } else {
        print(&format!("{}\n", folder.display()))?;
    }
    Ok(Ending::Done)
}

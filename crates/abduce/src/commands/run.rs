//! `abduce run PIPELINE.yaml`: all stages from one file.

use super::{ComputeArgs, ExistingArgs, notices};
use crate::config::{self, PipelineConfig};
use crate::error::Error;
use crate::pipeline::{self, Ending};
use crate::session::{Session, print};
use crate::stages::run::Existing;
use std::path::PathBuf;

/// Simulate, train, sample, validate and report, from one file.
///
/// Stages that were done before with the same options are skipped.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// The pipeline.
    pub pipeline: PathBuf,
    /// The run directory; `out_dir` of the file by default.
    #[arg(short, long, value_name = "RUN")]
    pub out: Option<PathBuf>,
    /// Change a key of the file: --set simulate.n=1000.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// What to do with a run that exists.
    #[command(flatten)]
    pub existing: ExistingArgs,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Runs the command; the path of the report goes to standard output.
pub fn run(session: &Session, args: &RunArgs) -> Result<Ending, Error> {
    let loaded = config::load::<PipelineConfig>(&args.pipeline, &args.set, &session.working)?;
    notices(&session.console, &loaded);
    let Some(out) = args.out.as_deref().or(loaded.config.out_dir.as_deref()) else {
        return Err(Error::Usage {
            message: "there is no run directory to write into".into(),
            help: "give `-o RUN`, or `out_dir` in the file".into(),
        });
    };
    let folder = session.path(out);
    let existing = match (args.existing.resume, args.existing.restart) {
        (true, _) => Existing::Resume,
        (_, true) => Existing::Restart,
        _ => Existing::Update,
    };
    let (ending, report) = pipeline::run(session, &loaded, &folder, existing)?;
    print(&format!("{}\n", report.display()))?;
    Ok(ending)
}

//! `abduce merge FOLDER`: the shards of a submitted command, put together.

use super::ComputeArgs;
use crate::error::Error;
use crate::exec::worker::merge;
use crate::pipeline::Ending;
use crate::session::Session;
use std::path::PathBuf;

/// Put the shards of a submitted command together.
#[derive(Clone, Debug, clap::Args)]
pub struct MergeArgs {
    /// Output folder of the submitted command.
    pub folder: PathBuf,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Runs the command.
pub fn run(session: &Session, args: &MergeArgs) -> Result<Ending, Error> {
    merge(session, &session.path(&args.folder))
}

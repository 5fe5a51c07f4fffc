//! `abduce status FOLDER`: how far a submitted command is.

use crate::error::Error;
use crate::exec::status::status;
use crate::pipeline::Ending;
use crate::session::{Session, json, print};
use std::path::PathBuf;

/// Say how far a submitted command is: the files tell, Slurm adds what it knows.
#[derive(Clone, Debug, clap::Args)]
pub struct StatusArgs {
    /// Output folder of the submitted command.
    pub folder: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(session: &Session, args: &StatusArgs) -> Result<Ending, Error> {
    let status = status(&session.path(&args.folder))?;
    print(&if args.json { json(&status)? } else { status.text() })?;
    Ok(Ending::Done)
}

//! `abduce prove …`: proof checkers and proof search.

mod verify;

use super::ComputeArgs;
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::Session;
use abduce_proof::metamath::{Database, LoadError};
use std::num::NonZeroUsize;
use std::path::Path;

/// Check proofs and search for them.
#[derive(Clone, Debug, clap::Args)]
pub struct ProveArgs {
    #[command(subcommand)]
    action: Action,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    Verify(verify::VerifyArgs),
}

/// Runs the command.
pub fn run(session: &Session, args: &ProveArgs) -> Result<Ending, Error> {
    match &args.action {
        Action::Verify(args) => verify::run(session, args),
    }
}

/// A database, or what is wrong with it.
fn open(session: &Session, path: &Path) -> Result<Database, Error> {
    Database::open(&session.path(path)).map_err(|error| match error {
        LoadError::Source(error) => Error::failed(error.to_string(), "give a Metamath database, a file that ends in .mm"),
        error => Error::Failed { message: error.to_string(), help: None },
    })
}

fn threads(session: &Session) -> NonZeroUsize {
    NonZeroUsize::new(session.compute.threads.count()).unwrap_or(NonZeroUsize::MIN)
}

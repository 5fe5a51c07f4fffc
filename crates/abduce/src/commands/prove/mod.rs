//! `abduce prove …`: proof checkers and proof search.

pub mod check_proof;
pub mod extract;
mod results;
pub mod search;
mod search_lean;
pub mod stats;
pub mod verify;

use super::ComputeArgs;
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::Session;
use abduce_proof::metamath::{Database, Environment, LoadError, ParsedDatabase, StatementId, read_labels};
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
    Stats(stats::StatsArgs),
    Extract(extract::ExtractArgs),
    CheckProof(check_proof::CheckProofArgs),
    Search(Box<search::SearchArgs>),
}

/// Runs the command.
pub fn run(session: &Session, args: &ProveArgs) -> Result<Ending, Error> {
    match &args.action {
        Action::Verify(args) => verify::run(session, args),
        Action::Stats(args) => stats::run(session, args),
        Action::Extract(args) => extract::run(session, args),
        Action::CheckProof(args) => check_proof::run(session, args),
        Action::Search(args) => search::run(session, args),
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

/// The environment of tactics of a database whose syntax is a grammar.
fn environment(db: &Database) -> Result<Environment<'_>, Error> {
    let parsed = ParsedDatabase::new(db);
    parsed.map(Environment::new).map_err(|error| {
        Error::failed(
            error.to_string(),
            "tactics need syntax axioms that form an unambiguous grammar, as in set.mm; `abduce prove verify` does not",
        )
    })
}

fn read_text(session: &Session, path: &Path) -> Result<String, Error> {
    let path = session.path(path);
    std::fs::read_to_string(&path).map_err(|source| Error::File { action: "read", path, source })
}

/// The theorems of a list of labels.
fn labels(session: &Session, db: &Database, path: &Path) -> Result<Vec<StatementId>, Error> {
    read_labels(db, &read_text(session, path)?).map_err(|unknown| {
        let shown: Vec<String> = unknown.iter().take(5).map(|label| format!("`{label}`")).collect();
        Error::failed(
            format!("{}: {} labels are no theorems of this database, such as {}", path.display(), unknown.len(), shown.join(", ")),
            "one label of a `$p` statement a line; what follows a `#` is left out",
        )
    })
}

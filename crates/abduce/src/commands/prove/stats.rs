//! `abduce prove stats FILE.mm`: a database in numbers.

use super::{environment, open};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::{Session, json, print};
use abduce_proof::metamath::Statistics;
use std::path::PathBuf;

/// Print what a Metamath database holds, as JSON.
#[derive(Clone, Debug, clap::Args)]
pub struct StatsArgs {
    /// The database.
    #[arg(value_name = "FILE.mm")]
    pub database: PathBuf,
}

/// Runs the command.
pub fn run(session: &Session, args: &StatsArgs) -> Result<Ending, Error> {
    let db = open(session, &args.database)?;
    print(&json(&Statistics::new(&environment(&db)?))?)?;
    Ok(Ending::Done)
}

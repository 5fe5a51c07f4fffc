//! `abduce prove verify FILE.mm`: every proof of a database.

use super::{open, threads};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::{Session, print};
use abduce_proof::metamath::{KernelLimits, verify};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

/// Check every proof of a Metamath database: status 0 only when all are valid.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    /// The database; files that it includes lie in its folder or below.
    #[arg(value_name = "FILE.mm")]
    pub database: PathBuf,
    /// Invalid proofs to list.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub show: usize,
}

/// Runs the command.
pub fn run(session: &Session, args: &VerifyArgs) -> Result<Ending, Error> {
    let start = Instant::now();
    let db = open(session, &args.database)?;
    let parsed = start.elapsed();
    let report = verify(&db, KernelLimits::default(), threads(session));
    session.console.note(format_args!(
        "{}: read in {:.2} s, {} proofs of {} steps checked in {:.2} s",
        args.database.display(),
        parsed.as_secs_f64(),
        report.checked,
        report.steps,
        (start.elapsed() - parsed).as_secs_f64()
    ));
    if report.faults.is_empty() {
        print(&format!("all {} proofs are valid\n", report.checked))?;
        return Ok(Ending::Done);
    }
    let mut text = String::new();
    for (theorem, fault) in report.faults.iter().take(args.show) {
        let span = db.span(*theorem);
        let (line, _) = db.sources().line_and_column(span.file, span.start);
        writeln!(text, "{}:{line}: {}: {fault}", db.sources().path(span.file).display(), db.label(*theorem)).ok();
    }
    if report.faults.len() > args.show {
        writeln!(text, "… and {} more", report.faults.len() - args.show).ok();
    }
    writeln!(text, "{} of {} proofs are invalid", report.faults.len(), report.checked).ok();
    print(&text)?;
    Ok(Ending::GateFailed)
}

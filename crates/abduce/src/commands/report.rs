//! `abduce report RUN`: one page of everything.

use crate::error::Error;
use crate::pipeline::Ending;
use crate::present;
use crate::session::{Session, print};
use std::path::PathBuf;

/// Write RUN/report.html, one self-contained page.
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    /// The run directory.
    pub run: PathBuf,
}

/// Runs the command; the path of the page goes to standard output.
pub fn run(session: &Session, args: &ReportArgs) -> Result<Ending, Error> {
    let path = present::report::write(&session.path(&args.run))?;
    print(&format!("{}\n", path.display()))?;
    Ok(Ending::Done)
}

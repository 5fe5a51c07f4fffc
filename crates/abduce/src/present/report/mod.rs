//! `report.html`: everything that a run directory says, on one page.
//!
//! The same files give the same bytes. What isn't there is left out, and the last section says which command adds it.

mod beyond;
mod overview;
mod sections;
mod summaries;
mod verdict;

use super::run::RunFiles;
use super::{PresentError, write_bytes};
use crate::error::Error;
use abduce_report::html::Report;
use std::path::{Path, PathBuf};

/// Name of the page in its run directory.
pub const REPORT: &str = "report.html";

/// Writes `RUN/report.html` from the files of the run directory.
///
/// # Errors
/// The folder holds no run, a file of it is damaged, or the page can't be written.
pub fn write(run: &Path) -> Result<PathBuf, Error> {
    let page = page(&RunFiles::read(run)?)?;
    let path = run.join(REPORT);
    write_bytes(&path, page.as_bytes())?;
    Ok(path)
}

/// The page.
///
/// # Errors
/// Arrays that don't fit or are not finite, or draws that can't be read.
pub fn page(files: &RunFiles) -> Result<String, PresentError> {
    let judgement = verdict::judge(files);
    let report = Report {
        title: overview::title(files),
        subtitle: overview::subtitle(files),
        verdict: judgement.verdict,
        gates: verdict::gates(files),
        warnings: judgement.warnings,
        run: overview::run(files),
        data: Some(overview::parameters(files)),
        sections: sections::all(files)?,
        footer: vec![overview::footer(files)],
    };
    report.html().map_err(|source| PresentError::Figure { figure: "the report".into(), source })
}

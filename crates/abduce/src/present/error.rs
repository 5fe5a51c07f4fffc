//! Why a result could not be shown.

use abduce_data::DataError;
use abduce_inference::abc::AbcError;
use abduce_inference::posterior::PosteriorError;
use abduce_report::FigureError;
use miette::Diagnostic;
use std::path::PathBuf;

/// Why a result could not be shown.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum PresentError {
    /// The arrays of a figure can't be drawn.
    #[error("cannot draw {figure}: {source}")]
    Figure {
        /// Which figure.
        figure: String,
        /// What is wrong with them.
        source: FigureError,
    },
    /// Arrays that belong together don't fit.
    #[error("cannot draw {figure}: {what} has {found} values, expected {expected}")]
    Length {
        /// Which figure.
        figure: String,
        /// The array.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that follows from the others.
        expected: usize,
    },
    /// A file of a run holds something else than its name promises.
    #[error("cannot read {path}: {reason}", path = path.display())]
    #[diagnostic(help("the file is written by abduce itself: run the stage again that makes it, or remove the file"))]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A folder without anything to report.
    #[error("{path} holds no run: there is neither a posterior nor a validation", path = path.display())]
    #[diagnostic(help("give the run directory that `abduce train` or `abduce run` wrote to"))]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// Arrays on disk.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The posterior's file.
    #[error(transparent)]
    Posterior(#[from] PosteriorError),
    /// An ABC sample that can't be drawn from.
    #[error(transparent)]
    Abc(#[from] AbcError),
}

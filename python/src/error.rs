//! Errors as Python exceptions: what the user wrote is a `ConfigError`, arrays that don't fit are a `ShapeError`, numbers that came out wrong a
//! `NumericsError`, and a sampler that can't deliver a `SamplerError`.

use abduce::error::{Error, ReportStyle, render};
use abduce_inference::posterior::{ChainError, PosteriorError};
use miette::Diagnostic as _;
use pyo3::exceptions::{PyArithmeticError, PyKeyboardInterrupt, PyOSError, PyRuntimeError, PyValueError};
use pyo3::{PyErr, create_exception};

create_exception!(
    abduce,
    ConfigError,
    PyValueError,
    "A configuration that can't be used; the message says where and what to write instead."
);
create_exception!(abduce, ShapeError, PyValueError, "Arrays that don't fit each other or the posterior.");
create_exception!(abduce, NumericsError, PyArithmeticError, "Numbers that are not finite, or a computation that came out wrong.");
create_exception!(abduce, SamplerError, PyRuntimeError, "A sampler that can't deliver, with the numbers that show it.");

/// Columns of a message that shows a place in a text.
const WIDTH: usize = 400;

/// Message and hint.
pub(crate) fn text(error: &Error) -> String {
    if let Error::Config(_) = error {
        return render(error, ReportStyle::Plain, WIDTH).trim().trim_start_matches("x ").to_string();
    }
    let hint = error.help().map_or_else(String::new, |hint| format!(" ({hint})"));
    format!("{error}{hint}")
}

/// Any error of the program.
pub(crate) fn of(error: impl Into<Error>) -> PyErr {
    let error = error.into();
    let text = text(&error);
    match &error {
        Error::Usage { .. } | Error::Config(_) => ConfigError::new_err(text),
        Error::Interrupted { .. } | Error::Partial { .. } => PyKeyboardInterrupt::new_err(text),
        Error::File { .. } => PyOSError::new_err(text),
        _ => PyRuntimeError::new_err(text),
    }
}

/// An error of a posterior.
pub(crate) fn of_posterior(error: PosteriorError) -> PyErr {
    match &error {
        PosteriorError::Width { .. } | PosteriorError::Pairing { .. } | PosteriorError::Trials { .. } => {
            ShapeError::new_err(error.to_string())
        }
        PosteriorError::NotFinite { .. } | PosteriorError::Flow(_) => NumericsError::new_err(error.to_string()),
        PosteriorError::NeedsSampler(_) | PosteriorError::OneDatum { .. } => SamplerError::new_err(error.to_string()),
        _ => of(error),
    }
}

/// An error of chains or climbs.
pub(crate) fn of_chains(error: ChainError) -> PyErr {
    match error {
        ChainError::Posterior(error) => of_posterior(error),
        other => SamplerError::new_err(other.to_string()),
    }
}

/// Words that come with no type of ours.
pub(crate) fn shape(message: impl Into<String>) -> PyErr {
    ShapeError::new_err(message.into())
}

//! What can be wrong with a model, its data or its file.

use abduce_data::DataError;
use abduce_density::SpecError;
use abduce_nn::layers::ShapeError;
use abduce_nn::trainer::TrainError;
use abduce_nn::widths::WeightsError;
use std::convert::Infallible;

/// Why a bottleneck can't be built, trained or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BottleneckError {
    /// A size out of range.
    #[error("{what} is {value}, it must lie between {low} and {high}")]
    Size {
        /// Which.
        what: &'static str,
        /// Its value.
        value: usize,
        /// Smallest allowed.
        low: usize,
        /// Largest allowed.
        high: usize,
    },
    /// Weights of widths that are no weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Numbers of a schedule out of range.
    #[error("{what} is {value}, it must be {must}")]
    Number {
        /// Which.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The condition.
        must: &'static str,
    },
    /// Rows of the wrong length.
    #[error("{what} have {found} values per row, the model expects {expected}")]
    Width {
        /// Which rows.
        what: &'static str,
        /// Values found.
        found: usize,
        /// Values expected.
        expected: usize,
    },
    /// x and y don't belong together.
    #[error("there are {x} rows of data but {y} of targets")]
    Rows {
        /// Rows of x.
        x: usize,
        /// Rows of y.
        y: usize,
    },
    /// A value that the head can't score.
    #[error("row {row} holds {value}: {must}")]
    Target {
        /// First such row.
        row: usize,
        /// The value.
        value: f32,
        /// What the head needs.
        must: &'static str,
    },
    /// What is asked for has no meaning for this head.
    #[error("a model with the head `{head}` can't {what}")]
    Unavailable {
        /// The head.
        head: &'static str,
        /// What was asked for.
        what: &'static str,
    },
    /// Convolutions that don't fit.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Images that can't be halved so often.
    #[error("a side of {side} can't be halved {times} times: pad the images or use fewer convolutions")]
    Halves {
        /// The side.
        side: usize,
        /// Convolutions of stride 2.
        times: usize,
    },
    /// The density of a flow head.
    #[error(transparent)]
    Density(#[from] SpecError),
    /// Training failed.
    #[error(transparent)]
    Train(#[from] TrainError<Infallible>),
    /// Files.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file that holds something else.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        reason: String,
    },
}

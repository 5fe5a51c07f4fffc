//! What can go wrong, with the numbers in it.

/// Result of this crate.
pub type Result<T, E = DimensionError> = std::result::Result<T, E>;

/// Why no dimension can be given.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DimensionError {
    /// The array has no second axis, or no rows at all.
    #[error("expected points as rows, shape (N, D), found shape {shape:?}")]
    Shape {
        /// The shape given.
        shape: Vec<usize>,
    },
    /// Too few points are left once rows that are not finite and duplicates are gone.
    #[error(
        "{distinct} distinct points are too few, {needed} are needed ({given} rows given, {non_finite} not finite, {duplicates} duplicates)"
    )]
    TooFewPoints {
        /// Points left.
        distinct: usize,
        /// Points needed.
        needed: usize,
        /// Rows given.
        given: usize,
        /// Rows with NaN or infinite values.
        non_finite: usize,
        /// Rows equal to an earlier one.
        duplicates: usize,
    },
    /// A setting outside its range.
    #[error("{name} = {value} is out of range: {must}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        must: String,
    },
    /// A precomputed distance matrix that is none.
    #[error("not a matrix of distances: {0}")]
    Distances(String),
    /// An estimator has no answer on these data.
    #[error("{method} has no answer here: {reason}")]
    NoAnswer {
        /// The estimator.
        method: &'static str,
        /// Why.
        reason: String,
    },
    /// A curve of losses that cannot be used.
    #[error("losses: {0}")]
    Losses(String),
}

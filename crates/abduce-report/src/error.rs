//! What can be wrong with the arrays of a figure.

/// Why a figure could not be drawn. Nothing is drawn in part: a figure is either whole or an error.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FigureError {
    /// An array that must hold something is empty.
    #[error("{what} is empty")]
    Empty {
        /// The array, in the words of the input struct.
        what: String,
    },
    /// An array holds fewer values than the figure needs to mean anything.
    #[error("{what} has {found} values, the figure needs at least {needed}")]
    TooFew {
        /// The array.
        what: String,
        /// Smallest usable length.
        needed: usize,
        /// Length given.
        found: usize,
    },
    /// Two arrays that belong together differ in length.
    #[error("{what} has {found} values, expected {expected}")]
    Length {
        /// The array.
        what: String,
        /// Length that follows from the other arrays.
        expected: usize,
        /// Length given.
        found: usize,
    },
    /// A value is NaN or infinite.
    #[error("{what} holds {value} at index {index}; every value must be finite")]
    NotFinite {
        /// The array.
        what: String,
        /// Position of the first such value.
        index: usize,
        /// The value: NaN, inf or -inf.
        value: f64,
    },
    /// Values that must increase strictly (histogram edges, grids, axis limits) do not.
    #[error("{what} must increase strictly, but value {index} is {next} after {previous}")]
    NotIncreasing {
        /// The array.
        what: String,
        /// Position of the value that is not larger than the one before it.
        index: usize,
        /// The value before.
        previous: f64,
        /// The value itself.
        next: f64,
    },
    /// A value lies outside what its axis or meaning allows.
    #[error("{what} is {value}, it must be {must}")]
    OutOfRange {
        /// The quantity.
        what: String,
        /// The value given.
        value: f64,
        /// The condition, in words.
        must: &'static str,
    },
    /// The picture would have too many pixels, or none.
    #[error("a picture of {width} x {height} pixels cannot be drawn (scale {scale}); each side must be between 1 and {limit}")]
    PictureSize {
        /// Width in pixels.
        width: f64,
        /// Height in pixels.
        height: f64,
        /// Scale asked for.
        scale: f64,
        /// Largest side.
        limit: u32,
    },
    /// The embedded font could not be read or the PNG not encoded: a fault of the build, not of the input.
    #[error("drawing failed: {reason}")]
    Drawing {
        /// Message of the library.
        reason: String,
    },
}

/// Every value finite, and at least one.
pub(crate) fn finite(what: &str, values: &[f64]) -> Result<(), FigureError> {
    if values.is_empty() {
        return Err(FigureError::Empty { what: what.to_owned() });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(FigureError::NotFinite { what: what.to_owned(), index, value: values[index] }),
        None => Ok(()),
    }
}

/// Finite and of the given length.
pub(crate) fn finite_of_length(what: &str, values: &[f64], expected: usize) -> Result<(), FigureError> {
    if values.len() != expected {
        return Err(FigureError::Length { what: what.to_owned(), expected, found: values.len() });
    }
    finite(what, values)
}

/// Finite and strictly increasing.
pub(crate) fn increasing(what: &str, values: &[f64]) -> Result<(), FigureError> {
    finite(what, values)?;
    for index in 1..values.len() {
        let (previous, next) = (values[index - 1], values[index]);
        if next <= previous {
            return Err(FigureError::NotIncreasing { what: what.to_owned(), index, previous, next });
        }
    }
    Ok(())
}

/// At least one item of any kind.
pub(crate) fn some<T>(what: &str, items: &[T]) -> Result<(), FigureError> {
    if items.is_empty() {
        return Err(FigureError::Empty { what: what.to_owned() });
    }
    Ok(())
}

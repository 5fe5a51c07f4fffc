//! What can be wrong with a request.

/// A result of this crate.
pub type Result<T> = std::result::Result<T, CosmologyError>;

/// What can be wrong with a request, with the numbers that say why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CosmologyError {
    /// A parameter lies outside the range in which the equations hold.
    #[error("{name} = {value} is outside {range}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What is allowed, in words or as an interval.
        range: &'static str,
    },
    /// Two lengths that must agree do not.
    #[error("{what} has {found} values, {expected} are needed")]
    Length {
        /// Which array.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that fits.
        expected: usize,
    },
    /// A mesh that cannot be transformed.
    #[error("a mesh of {0:?} cells: every side needs at least 2 cells, and all together must be countable")]
    Mesh([usize; 3]),
    /// A number that must be positive and finite is not.
    #[error("{what}: {value} is not a positive, finite number")]
    NotPositive {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// A table that is no function: its x must rise and everything be finite.
    #[error("row {row} of the table ({x}, {y}): abscissae must rise and all numbers be finite")]
    Table {
        /// Row, from 1.
        row: usize,
        /// Abscissa (after a logarithm where the table is read in logarithms).
        x: f64,
        /// Ordinate (likewise).
        y: f64,
    },
    /// A shape alone cannot be normalised by a primordial amplitude.
    #[error("{model} needs sigma8, not a primordial amplitude")]
    NeedsSigma8 {
        /// What was asked for.
        model: &'static str,
    },
    /// A line of a file that cannot be read as numbers.
    #[error("line {line}: {problem}")]
    Line {
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// An interval without an inside.
    #[error("{name}: the interval from {low} to {high} is empty or not finite")]
    Interval {
        /// The parameter.
        name: String,
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// A file that is not in the format it should be in.
    #[error("not a {format} file: {problem}")]
    Format {
        /// The format.
        format: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// An integration gave up.
    #[error("the integration of {what} stopped at a = {a} (k = {k_per_mpc}/Mpc)")]
    Integration {
        /// Which equations.
        what: &'static str,
        /// Scale factor that was reached.
        a: f64,
        /// The mode.
        k_per_mpc: f64,
    },
}

/// `value` if it is positive and finite.
pub(crate) fn positive(what: &'static str, value: f64) -> Result<f64> {
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err(CosmologyError::NotPositive { what, value }) }
}

/// Refuses a slice of the wrong length.
pub(crate) fn same_length(what: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected { Ok(()) } else { Err(CosmologyError::Length { what, found, expected }) }
}

//! What can be wrong with a prior's arguments.

/// A prior that cannot be built. `family` is the prior's name in [`PriorSpec`](super::PriorSpec), `argument` the argument's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PriorError {
    /// An argument has another length than the longest one (only scalars and lists of one broadcast).
    #[error("prior `{family}`: `{argument}` has {found} values where {expected} are expected, one per parameter")]
    Length {
        /// The prior's name.
        family: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// Its length.
        found: usize,
        /// The length it should have.
        expected: usize,
    },
    /// A value outside the range that the distribution allows.
    #[error("prior `{family}`: `{argument}`[{index}] is {value}, expected {expected}")]
    Value {
        /// The prior's name.
        family: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// Position in the argument.
        index: usize,
        /// The value found.
        value: f64,
        /// The values allowed, in words.
        expected: &'static str,
    },
    /// `low` is not below `high`.
    #[error("prior `{family}`: parameter {index} has low = {low} and high = {high}; low must be below high")]
    EmptyInterval {
        /// The prior's name.
        family: &'static str,
        /// The parameter.
        index: usize,
        /// Its lower bound.
        low: f64,
        /// Its upper bound.
        high: f64,
    },
    /// The interval is so short that it holds fewer than two single-precision numbers, so no draw could be stored.
    #[error("prior `{family}`: parameter {index} ranges over [{low}, {high}], too short for single precision; shift or rescale it")]
    BelowSinglePrecision {
        /// The prior's name.
        family: &'static str,
        /// The parameter.
        index: usize,
        /// Its lower bound.
        low: f64,
        /// Its upper bound.
        high: f64,
    },
    /// A matrix that should be symmetric and positive definite is not.
    #[error("prior `{family}`: `{argument}` is not symmetric and positive definite")]
    NotPositiveDefinite {
        /// The prior's name.
        family: &'static str,
        /// The argument's name.
        argument: &'static str,
    },
    /// A matrix with rows of the wrong length.
    #[error("prior `{family}`: row {row} of `{argument}` has {found} values where {expected} are expected")]
    MatrixRow {
        /// The prior's name.
        family: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// The row.
        row: usize,
        /// Its length.
        found: usize,
        /// The length it should have.
        expected: usize,
    },
    /// Not exactly one of the three forms of a covariance was given.
    #[error("prior `multivariate_normal`: give exactly one of covariance_matrix, precision_matrix and scale_tril ({found} were given)")]
    CovarianceForms {
        /// How many were given.
        found: usize,
    },
    /// The box of a truncated normal holds too little of the untruncated one to draw from or to normalise.
    #[error(
        "prior `multivariate_truncated_normal`: the box is too unlikely under the normal (mass {mass:.3e}, relative error \
         {relative_error:.1e}, expected acceptance {acceptance:.1e}); move loc towards the box or widen it"
    )]
    BoxTooUnlikely {
        /// The estimated probability of the box.
        mass: f64,
        /// Its relative standard error.
        relative_error: f64,
        /// Expected acceptance rate of the sampler.
        acceptance: f64,
    },
    /// A prior without parameters.
    #[error("prior `{family}` has no parameters")]
    NoParameters {
        /// The prior's name.
        family: &'static str,
    },
    /// Too few rows for an empirical prior.
    #[error("prior `empirical`: {rows} rows cannot give a density of {parameters} parameters; at least {needed} are needed")]
    TooFewDraws {
        /// Rows given.
        rows: usize,
        /// Parameters per row.
        parameters: usize,
        /// Rows needed.
        needed: usize,
    },
    /// A row of an empirical prior lies outside its own bounds.
    #[error("prior `empirical`: row {row}, parameter {index} is {value}, not strictly inside [{low}, {high}]")]
    DrawOutsideBounds {
        /// The row.
        row: usize,
        /// The parameter.
        index: usize,
        /// The value found.
        value: f64,
        /// The parameter's lower bound.
        low: f64,
        /// The parameter's upper bound.
        high: f64,
    },
    /// The rows of an empirical prior do not vary in every direction.
    #[error("prior `empirical`: the rows are constant or linearly dependent (parameter {index}), so they have no density")]
    DegenerateDraws {
        /// The first parameter that adds no variance of its own.
        index: usize,
    },
    /// A table that is no density.
    #[error("prior `tabulated`: {reason}")]
    Table {
        /// What is wrong, in words.
        reason: &'static str,
    },
}

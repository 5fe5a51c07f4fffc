/// Why a diagnostic couldn't be computed. None of these is recoverable by retrying: the input has to change.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DiagnosticsError {
    /// An array doesn't have the length that the other arrays imply.
    #[error("{array} holds {found} values, expected {expected}")]
    Length {
        /// Which array, with its shape in words.
        array: &'static str,
        /// Its length.
        found: usize,
        /// The length that fits, in words.
        expected: String,
    },
    /// Too few usable test pairs.
    #[error("{purpose} needs at least {needed} test pairs, got {found}")]
    TooFewPairs {
        /// The gate or diagnostic that asks for them.
        purpose: &'static str,
        /// Usable pairs.
        found: usize,
        /// Pairs needed.
        needed: usize,
    },
    /// Too few posterior draws per pair, or points per sample.
    #[error("{purpose} needs at least {needed} draws, got {found}")]
    TooFewDraws {
        /// The diagnostic that asks for them.
        purpose: &'static str,
        /// Draws given.
        found: usize,
        /// Draws needed.
        needed: usize,
    },
    /// More pairs had to be left out than the options allow: leaving out failures hides them, and they are rarely independent of θ.
    #[error(
        "{excluded} of {total} test pairs hold NaN or infinite values (first: pair {first}, in {array}); at most {allowed} may be left out"
    )]
    TooManyExcluded {
        /// Pairs left out.
        excluded: usize,
        /// All pairs.
        total: usize,
        /// Index of the first pair left out.
        first: usize,
        /// The array in which that pair fails.
        array: &'static str,
        /// The number the options allow.
        allowed: usize,
    },
    /// A value that must be finite isn't.
    #[error("{array} holds a non-finite value in row {row}")]
    NonFinite {
        /// Which array.
        array: &'static str,
        /// Row of the first such value.
        row: usize,
    },
    /// All true values of a parameter are the same, so the test pairs aren't draws of a prior.
    #[error("parameter {name} has the same true value in every test pair; calibration is defined for parameters drawn from the prior")]
    ConstantParameter {
        /// The parameter.
        name: String,
    },
    /// The prior's variance of a parameter isn't a positive number.
    #[error("the prior variance of {name} is {variance}, expected a positive number")]
    PriorVariance {
        /// The parameter.
        name: String,
        /// What was given or follows from the draws.
        variance: f64,
    },
    /// All posterior draws of a pair agree in one parameter.
    #[error("all posterior draws of {name} for test pair {pair} are equal: the posterior has collapsed to a point")]
    CollapsedDraws {
        /// The parameter.
        name: String,
        /// Index of the pair.
        pair: usize,
    },
    /// Two samples that must differ are all one point.
    #[error("all points of the two samples are equal: no length scale")]
    NoScale,
    /// The reference sample has no spread in one dimension, so there is no scale to compare on.
    #[error("all points of the reference sample are equal in dimension {dimension}")]
    ConstantDimension {
        /// The dimension, counted from 0.
        dimension: usize,
    },
    /// A saved file of another version.
    #[error("version {found} of the file isn't known to this program, which knows version {known}")]
    Version {
        /// Version of the file.
        found: u32,
        /// The version that can be read.
        known: u32,
    },
    /// An array that must ascend doesn't.
    #[error("{array} must ascend, and row {row} is below the one before it")]
    Unsorted {
        /// Which array.
        array: &'static str,
        /// The first row that is too small.
        row: usize,
    },
    /// No gate has this name.
    #[error("unknown gate `{name}`; known: coverage, log_prob_beats_prior, contraction")]
    UnknownGate {
        /// The name given.
        name: String,
    },
    /// An option outside its range.
    #[error("option {option} = {value}, expected {expected}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        value: f64,
        /// The allowed range.
        expected: &'static str,
    },
}

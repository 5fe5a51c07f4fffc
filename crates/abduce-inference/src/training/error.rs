//! Why training failed.

use crate::posterior::{NetworkError, PosteriorError};
use abduce_data::DataError;
use abduce_nn::trainer::TrainError;

/// Why training failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// θ and the prior have different dimensions.
    #[error("theta has {theta} columns but the prior has {prior} parameters")]
    Dimension {
        /// Columns of theta.
        theta: usize,
        /// Parameters of the prior.
        prior: usize,
    },
    /// Some θ lie outside the prior's support.
    #[error(
        "{count} of {rows} rows of theta lie outside the prior; the first is row {row}, where {parameter} = {value} is not in [{low}, {high}]"
    )]
    OutsidePrior {
        /// How many.
        count: usize,
        /// Of how many.
        rows: usize,
        /// The first such row.
        row: usize,
        /// Its first offending parameter.
        parameter: String,
        /// The value.
        value: f32,
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// A parameter does not vary, so there is nothing to infer.
    #[error("the parameter {0} has the same value in every training row: remove it from theta and from the prior")]
    ConstantParameter(String),
    /// Networks to go on from have other architectures.
    #[error("the networks to go on from are not those that are to be trained")]
    OtherStart,
    /// A density over angles for a parameter that has no period.
    #[error("a density over angles (ncsf) takes the bounds of each parameter's prior as one and the same point, but {0} has none")]
    NotPeriodic(String),
    /// Densities over angles beside densities over the real line.
    #[error("densities over angles (ncsf) can't stand in one ensemble with others: train them in a run of their own")]
    MixedSpaces,
    /// No network is asked for.
    #[error("the list of networks is empty")]
    NoNets,
    /// Weights for another number of rows.
    #[error("{found} weights are given for {rows} simulations")]
    Weights {
        /// Weights.
        found: usize,
        /// Simulations.
        rows: usize,
    },
    /// A network that the engine has no use for.
    #[error("net {net}: {family} is a {is}, this engine learns with a {wants}")]
    WrongNetwork {
        /// Its index.
        net: usize,
        /// Its family.
        family: &'static str,
        /// What it is.
        is: &'static str,
        /// What is needed.
        wants: &'static str,
    },
    /// A likelihood of data with constant features.
    #[error("feature {feature} of x has the same value in every training row ({count} such features): the likelihood has no density there")]
    ConstantData {
        /// The first such feature.
        feature: usize,
        /// How many there are.
        count: usize,
    },
    /// An ordered embedding for an engine that does not train its widths.
    #[error("net {net}: an ordered embedding (iob) orders what is told about the parameters, which only the engine NPE trains")]
    OrderedEngine {
        /// Its index.
        net: usize,
    },
    /// A network can't be built.
    #[error("net {net}: {source}")]
    Spec {
        /// Its index.
        net: usize,
        /// Why.
        source: NetworkError,
    },
    /// A network can't be trained.
    #[error("net {net}: {source}")]
    Train {
        /// Its index.
        net: usize,
        /// Why.
        source: TrainError<DataError>,
    },
    /// Stopped on request; what was reached is in the checkpoints.
    #[error("training was stopped; it can be resumed")]
    Interrupted,
    /// Files.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Scoring the members failed.
    #[error(transparent)]
    Posterior(#[from] PosteriorError),
}

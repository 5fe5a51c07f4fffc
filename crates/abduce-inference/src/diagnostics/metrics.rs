//! The numbers of `metrics.json`, in the form of its committed schema.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the form of `metrics.json`; raised when a field changes its meaning or goes.
pub const METRICS_VERSION: u32 = 1;

/// Everything a validation measured, as written to `metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metrics {
    /// Version of this form.
    pub version: u32,
    /// Test pairs used.
    pub n_pairs: usize,
    /// Test pairs left out because they hold NaN or infinite values; the other numbers don't speak for them.
    pub n_excluded: usize,
    /// Posterior draws per pair.
    pub n_draws: usize,
    /// Seed of the random ties, references and resamples.
    pub seed: u64,
    /// One entry per parameter, in the order of the parameters.
    pub parameters: Vec<ParameterMetrics>,
    /// TARP with references independent of the data. Passes the prior used as posterior.
    pub tarp: TarpMetrics,
    /// TARP with references predicted from the data; null without features of the data.
    pub tarp_x: Option<TarpMetrics>,
    /// Coverage of highest-density sets; null without log-probabilities of the draws. Passes the prior used as posterior.
    pub hpd: Option<HpdMetrics>,
    /// Exact held-out log-probability.
    pub log_prob: LogProbMetrics,
    /// Gates that could be evaluated, by name.
    pub gates: BTreeMap<String, GateMetrics>,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParameterMetrics {
    /// Name.
    pub name: String,
    /// Kolmogorov-Smirnov p-value of the ranks of the truth among the draws.
    pub sbc_ks_p: f64,
    /// χ² p-value of the ranks on merged bins.
    pub sbc_chi2_p: f64,
    /// Mean of z = (truth - posterior mean)/(posterior sd): 0 for an exact posterior.
    pub z_mean: f64,
    /// Standard deviation of z: 1 for an exact posterior, above for a too narrow one.
    pub z_sd: f64,
    /// Mean of 1 - (posterior variance)/(prior variance): 0 when the data say nothing.
    pub contraction: f64,
    /// Root mean square error of the posterior mean, in the parameter's unit.
    pub rmse: f64,
    /// The same over the range of the true values.
    pub nrmse: f64,
    /// Coefficient of determination of the posterior mean.
    pub r2: f64,
}

/// A TARP test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TarpMetrics {
    /// Area to the calibrated curve over credibilities above ½: positive when too wide, negative when too narrow.
    pub atc: f64,
    /// Bootstrap standard deviation of it.
    pub atc_sd: f64,
    /// Kolmogorov-Smirnov p-value of the credibility levels against U(0, 1).
    pub ks_p: f64,
}

/// Coverage of highest-density sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HpdMetrics {
    /// Largest |expected coverage - credibility|.
    pub max_abs_error: f64,
    /// Mean |expected coverage - credibility| over credibilities 0, 0.01, …, 1.
    pub mean_abs_error: f64,
    /// Kolmogorov-Smirnov p-value of the credibility levels against U(0, 1).
    pub ks_p: f64,
}

/// Held-out log-probability, nats per pair, exact and normalised over the prior's support.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogProbMetrics {
    /// Mean of log q(θ_i | x_i); null (-∞) when a truth has density zero.
    pub mean: Option<f64>,
    /// Standard error of the mean; null with it.
    pub sem: Option<f64>,
    /// Mean of log q(θ_i | x_i) - log p(θ_i), the information gained over the prior; null (-∞) when a truth has density zero.
    pub minus_prior_mean: Option<f64>,
    /// Standard error of that mean, over pairs; null with it.
    pub minus_prior_sem: Option<f64>,
    /// Pairs whose truth has posterior density zero.
    pub n_zero_density: usize,
}

/// A gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateMetrics {
    /// What is held against the threshold; null for -∞.
    pub value: Option<f64>,
    /// The gate passes when the value is above it.
    pub threshold: f64,
    /// Whether it does.
    pub pass: bool,
}

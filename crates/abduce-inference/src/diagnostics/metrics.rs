//! The numbers of `metrics.json`, in the form of its committed schema.

use super::regions::Region;
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
    /// Calibration by region; null for fewer than 100 pairs, and in files of earlier versions.
    #[serde(default)]
    pub regions: Option<RegionMetrics>,
    /// Data-averaged posterior against the prior; null without draws of the prior, and in files of earlier versions.
    #[serde(default)]
    pub data_averaged: Option<DataAveragedMetrics>,
    /// What conformal recalibration does to highest-density regions; null without log-probabilities of the draws, and in files of earlier
    /// versions.
    #[serde(default)]
    pub conformal: Option<ConformalMetrics>,
    /// Local classifier two-sample tests of the observations; null where not asked for.
    #[serde(default)]
    pub local_c2st: Option<Vec<LocalC2stMetrics>>,
    /// Whether the observations look like the simulations; null without observations.
    #[serde(default)]
    pub misspecification: Option<MisspecificationMetrics>,
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
    /// Draws per pair that it ranks the truth among, where these are fewer than `n_draws`: densities of vector fields are costly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_draws: Option<usize>,
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

/// Calibration by region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionMetrics {
    /// Tests: parameters × variables × bins.
    pub n_tests: usize,
    /// Smallest Holm-adjusted p-value of all of them.
    pub smallest_holm_p: f64,
    /// Regions with an adjusted p-value of at most 0.01, the worst first.
    pub rejected: Vec<Region>,
}

/// Mixture of the posteriors of all pairs against the prior.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DataAveragedMetrics {
    /// Two-sample Kolmogorov-Smirnov p-value of each parameter.
    pub ks_p: Vec<f64>,
    /// (mean of the mixture - mean of the prior)/(sd of the prior) of each parameter.
    pub shift: Vec<f64>,
    /// sd of the mixture over sd of the prior of each parameter.
    pub sd_ratio: Vec<f64>,
    /// Sliced Wasserstein-2 distance, in standard deviations of the prior.
    pub sliced_w2: f64,
    /// The same between two parts of the prior's draws: distances near it mean nothing.
    pub sliced_w2_noise: f64,
    /// Classifier two-sample test: 0.5 when the two can't be told apart; null where not asked for.
    pub c2st: Option<f64>,
}

/// Conformal recalibration of highest-density regions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConformalMetrics {
    /// Pairs that the correction is learnt from.
    pub n_pairs: usize,
    /// Corrections at 50, 68, 90, 95 and 99 %.
    pub levels: Vec<ConformalLevel>,
}

/// The correction of one level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConformalLevel {
    /// Credibility that the posterior states, and coverage that is wanted.
    pub stated: f64,
    /// Fraction of truths inside the posterior's own region of that credibility.
    pub coverage: f64,
    /// Credibility whose region has the wanted coverage; null where no region short of everything has.
    pub corrected: Option<f64>,
    /// Fraction of truths inside corrected regions, each half of the pairs by the correction of the other.
    pub corrected_coverage: f64,
}

/// L-C2ST of one observation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LocalC2stMetrics {
    /// Row of the observation.
    pub observation: usize,
    /// Mean of (p̂ - ½)² over posterior draws.
    pub statistic: f64,
    /// Mean of the same over relabellings.
    pub null_mean: f64,
    /// Permutation p-value.
    pub p: f64,
    /// The same, adjusted for all observations tested.
    pub adjusted_p: f64,
}

/// Observations against simulations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MisspecificationMetrics {
    /// Simulations that the null distribution comes from.
    pub n_calibration: usize,
    /// One entry per observation.
    pub observations: Vec<ObservationMetrics>,
    /// MMD² of all observations together; null for one.
    pub joint_mmd2: Option<f64>,
    /// Its permutation p-value.
    pub joint_p: Option<f64>,
}

/// One observation against simulations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObservationMetrics {
    /// p-value of its maximum mean discrepancy.
    pub mmd_p: f64,
    /// p-value of the distance of its fifth-nearest simulation.
    pub neighbour_p: f64,
    /// Mahalanobis distance from the simulations.
    pub mahalanobis: f64,
    /// Its p-value.
    pub mahalanobis_p: f64,
    /// p-value of the three together.
    pub p: f64,
    /// The same, adjusted for all observations by the method of Benjamini and Hochberg.
    pub adjusted_p: f64,
}

impl From<&super::Misspecification> for MisspecificationMetrics {
    fn from(found: &super::Misspecification) -> Self {
        let observation = |(check, &adjusted_p): (&super::ObservationCheck, &f64)| ObservationMetrics {
            mmd_p: check.mmd_p,
            neighbour_p: check.neighbour_p,
            mahalanobis: check.mahalanobis,
            mahalanobis_p: check.mahalanobis_p,
            p: check.p,
            adjusted_p,
        };
        Self {
            n_calibration: found.n_calibration,
            observations: found.observations.iter().zip(&found.adjusted()).map(observation).collect(),
            joint_mmd2: found.joint.map(|joint| joint.mmd2),
            joint_p: found.joint.and_then(|joint| joint.permutation_p),
        }
    }
}

impl LocalC2stMetrics {
    /// The numbers of the test of observation `observation`.
    pub fn new(observation: usize, test: &super::LocalC2st) -> Self {
        let null_mean = test.null.iter().sum::<f64>() / test.null.len() as f64;
        Self { observation, statistic: test.statistic, null_mean, p: test.p, adjusted_p: test.adjusted_p }
    }
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

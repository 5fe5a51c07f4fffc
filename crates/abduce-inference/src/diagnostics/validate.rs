//! All diagnostics of one posterior on one test set.

use super::averaged::{AveragedParameter, DataAveraged, data_averaged_posterior};
use super::bands::{EcdfBand, ecdf, simultaneous_ecdf_bands};
use super::conformal::ConformalCurves;
use super::coverage::{ALPHA_STEPS, Coverage, alpha, highest_density_coverage};
use super::gates::SIGNIFICANCE;
use super::metrics::{
    ConformalLevel, ConformalMetrics, DataAveragedMetrics, HpdMetrics, LogProbMetrics, METRICS_VERSION, Metrics, ParameterMetrics,
    RegionMetrics, TarpMetrics,
};
use super::predictions::{Predictions, mean_and_sem, mean_and_variance, predictions};
use super::ranks::{Rank, RankHistogram, rank_histogram, sbc_ranks};
use super::references::x_dependent_references;
use super::regions::{Region, RegionOptions, regions};
use super::tarp::{Tarp, TarpMetric, random_references, tarp};
use super::{DiagnosticsError, Gate, Pairs, ValidationInputs, gates, uniformity};
use abduce_data::Seed;
use std::collections::BTreeMap;

/// Choices of a validation.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValidationOptions {
    /// Largest fraction of test pairs that may be left out for NaN or infinite values before it's an error.
    pub max_excluded_fraction: f64,
    /// Distance of both TARP tests.
    pub tarp_metric: TarpMetric,
    /// Bootstrap resamples of the TARP bands, at least 2.
    pub bootstrap_resamples: usize,
    /// Bins of the calibration by region.
    pub regions: RegionOptions,
    /// Gates whose evaluation must be possible; the others are evaluated where they can be.
    pub required_gates: Vec<Gate>,
}

impl Default for ValidationOptions {
    fn default() -> Self {
        Self {
            max_excluded_fraction: 0.05,
            tarp_metric: TarpMetric::UnitBox,
            bootstrap_resamples: 500,
            regions: RegionOptions::default(),
            required_gates: Vec::new(),
        }
    }
}

/// What a validation found.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Validation {
    /// The numbers.
    pub metrics: Metrics,
    /// The arrays behind them.
    pub curves: Curves,
}

/// Every array that a plot of the validation needs. "Pair" means usable pair; `rows` says which they are.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Curves {
    /// Row of each usable pair in the inputs (n).
    pub rows: Vec<usize>,
    /// Credibilities 0, 0.01, …, 1 that all curves and bands below are given at.
    pub alpha: Vec<f64>,
    /// Simultaneous 68, 90 and 95 % bands of an exact posterior, for every P-P, highest-density and TARP curve.
    pub bands: Vec<EcdfBand>,
    /// One entry per parameter.
    pub parameters: Vec<ParameterCurves>,
    /// Highest-density coverage, where the draws' log-probabilities were given.
    pub hpd: Option<Coverage>,
    /// TARP with random references.
    pub tarp: Tarp,
    /// TARP with references predicted from x, where features were given.
    pub tarp_x: Option<Tarp>,
    /// Calibration of every parameter in every region; empty for fewer than 100 pairs.
    #[serde(default)]
    pub regions: Vec<Region>,
    /// Conformal recalibration, where the draws' log-probabilities were given.
    #[serde(default)]
    pub conformal: Option<ConformalCurves>,
    /// log q(θ_i | x_i) of each pair (n); `None`, in JSON null, for density zero (-∞).
    pub log_prob: Vec<Option<f64>>,
    /// log p(θ_i) of each pair (n).
    pub prior_log_prob: Vec<f64>,
}

/// Arrays of one parameter.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ParameterCurves {
    /// Name.
    pub name: String,
    /// Rank and probability integral transform of each pair (n).
    pub ranks: Vec<Rank>,
    /// Ranks on merged bins.
    pub histogram: RankHistogram,
    /// P-P coverage: fraction of pairs whose transform is at most α (101).
    pub coverage: Vec<f64>,
    /// Point estimates, z-scores and contraction.
    pub predictions: Predictions,
}

/// Runs every diagnostic. Cost O(n S d); the same seed gives the same numbers.
pub fn validate(inputs: &ValidationInputs<'_>, seed: Seed, options: &ValidationOptions) -> Result<Validation, DiagnosticsError> {
    if options.bootstrap_resamples < 2 {
        let value = options.bootstrap_resamples as f64;
        return Err(DiagnosticsError::Option { option: "bootstrap_resamples", value, expected: "at least 2" });
    }
    let pairs = Pairs::new(*inputs, options.max_excluded_fraction)?;
    let curves = curves(&pairs, seed, options)?;
    let mut metrics = Metrics {
        version: METRICS_VERSION,
        n_pairs: pairs.len(),
        n_excluded: pairs.excluded(),
        n_draws: pairs.draws(),
        seed: seed.0,
        parameters: curves.parameters.iter().map(parameter_metrics).collect(),
        tarp: tarp_metrics(&curves.tarp),
        tarp_x: curves.tarp_x.as_ref().map(tarp_metrics),
        hpd: curves.hpd.as_ref().map(|c| HpdMetrics {
            max_abs_error: c.max_abs_error,
            mean_abs_error: c.mean_abs_error,
            ks_p: c.ks_p,
            n_draws: pairs.scored().filter(|&scored| scored < pairs.draws()),
        }),
        log_prob: log_prob_metrics(&curves.log_prob, &curves.prior_log_prob),
        regions: region_metrics(&curves.regions),
        data_averaged: data_averaged_posterior(&pairs, seed)?.map(data_averaged_metrics),
        conformal: curves.conformal.as_ref().zip(curves.hpd.as_ref()).map(|(curves, hpd)| conformal_metrics(curves, hpd)),
        local_c2st: None,
        misspecification: None,
        gates: BTreeMap::new(),
    };
    metrics.gates = gates::evaluate_all(&metrics, &options.required_gates)?;
    Ok(Validation { metrics, curves })
}

fn curves(pairs: &Pairs<'_>, seed: Seed, options: &ValidationOptions) -> Result<Curves, DiagnosticsError> {
    let (ranks, predictions) = (sbc_ranks(pairs, seed), predictions(pairs)?);
    let regions = regions(pairs, &ranks, &predictions, &options.regions)?;
    let hpd = highest_density_coverage(pairs, seed);
    let parameter = |(j, (ranks, predictions)): (usize, (Vec<Rank>, Predictions))| {
        let pit: Vec<f64> = ranks.iter().map(|r| r.pit).collect();
        ParameterCurves {
            name: pairs.name(j).to_owned(),
            histogram: rank_histogram(&ranks, pairs.draws()),
            coverage: ecdf(&pit, ALPHA_STEPS),
            ranks,
            predictions,
        }
    };
    let test = |references: &[f64], purpose: &str| {
        tarp(pairs, references, options.tarp_metric, options.bootstrap_resamples, seed.derive(purpose, 0))
    };
    Ok(Curves {
        rows: (0..pairs.len()).map(|i| pairs.row(i)).collect(),
        alpha: (0..=ALPHA_STEPS).map(alpha).collect(),
        bands: simultaneous_ecdf_bands(pairs.len(), ALPHA_STEPS, &[0.68, 0.90, 0.95]),
        parameters: ranks.into_iter().zip(predictions).enumerate().map(parameter).collect(),
        regions,
        conformal: hpd.as_ref().map(|hpd| ConformalCurves::of_levels(&hpd.levels, pairs.scored().unwrap_or(pairs.draws()))),
        hpd,
        tarp: test(&random_references(pairs, seed), "diagnostics.tarp"),
        tarp_x: x_dependent_references(pairs, seed).map(|references| test(&references, "diagnostics.tarp_x")),
        log_prob: (0..pairs.len()).map(|i| Some(pairs.log_prob_theta(i)).filter(|q| q.is_finite())).collect(),
        prior_log_prob: (0..pairs.len()).map(|i| pairs.prior_log_prob(i)).collect(),
    })
}

fn parameter_metrics(curves: &ParameterCurves) -> ParameterMetrics {
    let pit: Vec<f64> = curves.ranks.iter().map(|r| r.pit).collect();
    let predictions = &curves.predictions;
    let (z_mean, z_variance) = mean_and_variance(predictions.z.iter().copied());
    ParameterMetrics {
        name: curves.name.clone(),
        sbc_ks_p: uniformity::ks_uniform_p(&pit),
        sbc_chi2_p: curves.histogram.chi2_p,
        z_mean,
        z_sd: z_variance.sqrt(),
        contraction: mean_and_variance(predictions.contraction.iter().copied()).0,
        rmse: predictions.rmse,
        nrmse: predictions.nrmse,
        r2: predictions.r2,
    }
}

fn tarp_metrics(tarp: &Tarp) -> TarpMetrics {
    TarpMetrics { atc: tarp.coverage.atc, atc_sd: tarp.atc_sd, ks_p: tarp.coverage.ks_p }
}

fn region_metrics(regions: &[Region]) -> Option<RegionMetrics> {
    let smallest_holm_p = regions.iter().map(|region| region.holm_p).reduce(f64::min)?;
    let mut rejected: Vec<Region> = regions.iter().filter(|region| region.holm_p <= SIGNIFICANCE).copied().collect();
    rejected.sort_by(|a, b| a.ks_p.total_cmp(&b.ks_p));
    Some(RegionMetrics { n_tests: regions.len(), smallest_holm_p, rejected })
}

fn data_averaged_metrics(found: DataAveraged) -> DataAveragedMetrics {
    let of = |value: fn(&AveragedParameter) -> f64| found.parameters.iter().map(value).collect();
    DataAveragedMetrics {
        ks_p: of(|p| p.ks_p),
        shift: of(|p| p.shift),
        sd_ratio: of(|p| p.sd_ratio),
        sliced_w2: found.sliced_w2.distance,
        sliced_w2_noise: found.sliced_w2.noise_floor,
        c2st: None,
    }
}

/// Levels of the table of conformal corrections, in steps of the credibility grid.
const CONFORMAL_STEPS: [usize; 5] = [50, 68, 90, 95, 99];

fn conformal_metrics(curves: &ConformalCurves, hpd: &Coverage) -> ConformalMetrics {
    let level = |k: usize| ConformalLevel {
        stated: alpha(k),
        coverage: hpd.ecp[k],
        corrected: curves.corrected[k],
        corrected_coverage: curves.coverage[k],
    };
    ConformalMetrics { n_pairs: hpd.levels.len(), levels: CONFORMAL_STEPS.map(level).to_vec() }
}

/// A single -∞ makes the mean -∞: it's reported as such (null in JSON), never dropped.
fn log_prob_metrics(log_prob: &[Option<f64>], prior: &[f64]) -> LogProbMetrics {
    let positive: Vec<f64> = log_prob.iter().copied().flatten().collect();
    let gain: Vec<f64> = log_prob.iter().zip(prior).filter_map(|(q, p)| q.map(|q| q - p)).collect();
    let n_zero_density = log_prob.len() - positive.len();
    let unless_infinite = |values: &[f64]| (n_zero_density == 0).then(|| mean_and_sem(values)).unzip();
    let ((mean, sem), (minus_prior_mean, minus_prior_sem)) = (unless_infinite(&positive), unless_infinite(&gain));
    LogProbMetrics { mean, sem, minus_prior_mean, minus_prior_sem, n_zero_density }
}

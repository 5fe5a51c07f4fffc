//! The plots of a validation, file names as LtU-ILI's.

use super::regions::{RegionQuantity, by_region, conformal};
use super::{PresentError, axis_label, labels::prose_label, write_figure};
use crate::config::CoveragePlot;
use crate::error::Error;
use abduce_data::ParameterInfo;
use abduce_inference::diagnostics::tarp::Tarp;
use abduce_inference::diagnostics::{Curves, Validation};
use abduce_report::{
    Axis, Calibration, CalibrationBand, CalibrationCurve, CalibrationKind, Dash, EcdfDifference, Errors, Figure, FigureError, Layer,
    LogProbHistogram, Prediction, Predictions, RankHistogram, RankHistograms, Remark, Tone, Xy,
};
use std::path::{Path, PathBuf};

/// A figure of a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plot {
    /// Ranks of the truth among the draws, one histogram per parameter.
    Ranks,
    /// The same ranks as differences of distribution functions.
    Ecdf,
    /// P–P coverage of every parameter.
    Coverage,
    /// Coverage of highest-density regions.
    Hpd,
    /// Coverage of each parameter's intervals in regions.
    RegionCoverage,
    /// Bias of each parameter in regions.
    RegionBias,
    /// Coverage of highest-density regions as corrected by held-out pairs.
    Conformal,
    /// TARP with random references.
    Tarp,
    /// TARP with references predicted from the data.
    TarpX,
    /// Posterior mean and standard deviation against the truth.
    Predictions,
    /// z-score against contraction of every pair.
    Contraction,
    /// Held-out log-probability against the prior's.
    LogProb,
}

impl Plot {
    /// Every figure, in the order of the report.
    pub const ALL: [Self; 12] = [
        Self::Ranks,
        Self::Ecdf,
        Self::Coverage,
        Self::Hpd,
        Self::RegionCoverage,
        Self::RegionBias,
        Self::Conformal,
        Self::Tarp,
        Self::TarpX,
        Self::Predictions,
        Self::Contraction,
        Self::LogProb,
    ];

    /// Name of its files, without prefix and extension; LtU-ILI's where it draws the same.
    pub const fn stem(self) -> &'static str {
        match self {
            Self::Ranks => "ranks_histogram",
            Self::Ecdf => "ecdf",
            Self::Coverage => "plot_coverage",
            Self::Hpd => "plot_hpd",
            Self::RegionCoverage => "plot_region_coverage",
            Self::RegionBias => "plot_region_bias",
            Self::Conformal => "plot_conformal",
            Self::Tarp => "plot_TARP",
            Self::TarpX => "plot_TARP_x",
            Self::Predictions => "plot_predictions",
            Self::Contraction => "plot_contraction",
            Self::LogProb => "plot_true_logprobs",
        }
    }
}

/// Which figures are drawn, and the prefix of their files (`NAME_`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotSelection {
    /// Before every stem; may be empty.
    pub prefix: String,
    /// The figures.
    pub plots: Vec<Plot>,
}

impl Default for PlotSelection {
    fn default() -> Self {
        Self { prefix: String::new(), plots: Plot::ALL.to_vec() }
    }
}

impl PlotSelection {
    /// The figures that the entries of a validation file's `plot_list` stand for: each brings those that tell the same story.
    pub fn of(prefix: &str, list: &[CoveragePlot]) -> Self {
        let figures = |plot: &CoveragePlot| -> &'static [Plot] {
            match plot {
                CoveragePlot::Coverage => &[Plot::Coverage, Plot::Hpd, Plot::RegionCoverage, Plot::RegionBias, Plot::Conformal],
                CoveragePlot::Histogram => &[Plot::Ranks, Plot::Ecdf],
                CoveragePlot::Predictions => &[Plot::Predictions, Plot::Contraction],
                CoveragePlot::Tarp => &[Plot::Tarp, Plot::TarpX],
                CoveragePlot::Logprob => &[Plot::LogProb],
            }
        };
        let wanted: Vec<Plot> = list.iter().flat_map(figures).copied().collect();
        Self { prefix: prefix.to_string(), plots: Plot::ALL.into_iter().filter(|plot| wanted.contains(plot)).collect() }
    }
}

/// Draws the selected figures into `folder` as SVG and PNG and returns their paths.
///
/// Left out is what the validation has no numbers for: highest-density coverage, as stated or corrected, without log-probabilities of the draws,
/// regions of fewer than 100 pairs, TARP with
/// references from the data without features of the data, log-probabilities when a truth has density zero (their mean is -∞). z against
/// contraction is drawn for up to seven parameters, as many as there are colours.
///
/// # Errors
/// `parameters` are not those of the validation, or a file can't be written.
pub fn write_plots(
    folder: &Path,
    validation: &Validation,
    parameters: &[ParameterInfo],
    which: &PlotSelection,
) -> Result<Vec<PathBuf>, Error> {
    let mut paths = Vec::new();
    for &plot in &which.plots {
        if let Some(figure) = figure(plot, validation, parameters)? {
            paths.extend(write_figure(folder, &format!("{}{}", which.prefix, plot.stem()), &figure)?);
        }
    }
    Ok(paths)
}

/// One figure; `None` when the validation holds no numbers for it.
///
/// # Errors
/// `parameters` are not those of the validation, or arrays of a damaged file.
pub fn figure(plot: Plot, validation: &Validation, parameters: &[ParameterInfo]) -> Result<Option<Figure>, PresentError> {
    let of = validation.curves.parameters.len();
    if parameters.len() != of || validation.metrics.parameters.len() != of {
        let found = if parameters.len() != of { parameters.len() } else { validation.metrics.parameters.len() };
        return Err(PresentError::Length { figure: plot.stem().into(), what: "the list of parameters", found, expected: of });
    }
    let drawn = match plot {
        Plot::Ranks => ranks(validation, parameters).map(Some),
        Plot::Ecdf => ecdf(&validation.curves, parameters).map(Some),
        Plot::Coverage => coverage(&validation.curves, parameters).map(Some),
        Plot::Hpd => hpd(validation).transpose(),
        Plot::RegionCoverage => by_region(RegionQuantity::Coverage, &validation.curves, parameters).transpose(),
        Plot::RegionBias => by_region(RegionQuantity::Bias, &validation.curves, parameters).transpose(),
        Plot::Conformal => conformal(validation).transpose(),
        Plot::Tarp => tarp("TARP, random references", &validation.curves, &validation.curves.tarp).map(Some),
        Plot::TarpX => {
            let test = validation.curves.tarp_x.as_ref();
            test.map(|test| tarp("TARP, references from the data", &validation.curves, test)).transpose()
        }
        Plot::Predictions => predictions(&validation.curves, parameters).map(Some),
        Plot::Contraction if of > MAX_SERIES => Ok(None),
        Plot::Contraction => contraction(&validation.curves, parameters).map(Some),
        Plot::LogProb => log_prob(validation).transpose(),
    };
    drawn.map_err(|source| PresentError::Figure { figure: plot.stem().into(), source })
}

fn ranks(validation: &Validation, parameters: &[ParameterInfo]) -> Result<Figure, FigureError> {
    let possible = (validation.metrics.n_draws + 1) as f64;
    let counts = |values: &[usize]| values.iter().map(|&v| v as f64).collect::<Vec<_>>();
    let curves = &validation.curves.parameters;
    let histograms = parameters.iter().zip(curves).zip(&validation.metrics.parameters).map(|((parameter, curves), metrics)| {
        let histogram = &curves.histogram;
        RankHistogram {
            label: prose_label(parameter),
            edges: histogram.edges.iter().map(|edge| edge * possible).collect(),
            counts: counts(&histogram.counts),
            expected: histogram.expected.clone(),
            lower: counts(&histogram.lower),
            upper: counts(&histogram.upper),
            remarks: vec![Remark::new("KS p", metrics.sbc_ks_p), Remark::new("χ² p", metrics.sbc_chi2_p)],
        }
    });
    RankHistograms { title: "Ranks of the true values".into(), band: "95 % expected per bin".into(), parameters: histograms.collect() }
        .figure()
}

fn ecdf(curves: &Curves, parameters: &[ParameterInfo]) -> Result<Figure, FigureError> {
    let difference = |values: &[f64]| values.iter().zip(&curves.alpha).map(|(v, a)| v - a).collect::<Vec<_>>();
    let (lower, upper) = curves.bands.last().map(|band| (difference(&band.lower), difference(&band.upper))).unwrap_or_default();
    EcdfDifference {
        title: "Ranks: distribution minus uniform".into(),
        grid: curves.alpha.clone(),
        band: curves.bands.last().map(|band| simultaneous(band.level)).unwrap_or_default(),
        lower,
        upper,
        curves: parameters.iter().zip(&curves.parameters).map(|(p, c)| (prose_label(p), difference(&c.coverage))).collect(),
    }
    .figure()
}

fn simultaneous(level: f64) -> String {
    format!("{:.0} % expected", 100.0 * level)
}

/// The bands of an exact posterior, widest first.
fn expected_bands(curves: &Curves, levels: &[f64]) -> Vec<CalibrationBand> {
    let mut bands: Vec<_> = curves.bands.iter().filter(|band| levels.contains(&band.level)).collect();
    bands.sort_by(|a, b| b.level.total_cmp(&a.level));
    bands
        .into_iter()
        .map(|band| CalibrationBand {
            name: simultaneous(band.level),
            lower: band.lower.clone(),
            upper: band.upper.clone(),
            of_curve: None,
        })
        .collect()
}

fn coverage(curves: &Curves, parameters: &[ParameterInfo]) -> Result<Figure, FigureError> {
    Calibration {
        title: "Coverage of each parameter".into(),
        kind: CalibrationKind::Marginal,
        credibility: curves.alpha.clone(),
        curves: parameters
            .iter()
            .zip(&curves.parameters)
            .map(|(p, c)| CalibrationCurve { name: prose_label(p), coverage: c.coverage.clone() })
            .collect(),
        bands: expected_bands(curves, &[0.68, 0.95]),
        remarks: Vec::new(),
    }
    .figure()
}

fn hpd(validation: &Validation) -> Option<Result<Figure, FigureError>> {
    let curves = &validation.curves;
    let coverage = curves.hpd.as_ref()?;
    let calibration = Calibration {
        title: "Coverage of highest-density regions".into(),
        kind: CalibrationKind::HighestDensity,
        credibility: curves.alpha.clone(),
        curves: vec![CalibrationCurve { name: "joint posterior".into(), coverage: coverage.ecp.clone() }],
        bands: expected_bands(curves, &[0.68, 0.95]),
        remarks: vec![Remark::new("KS p", coverage.ks_p), Remark::new("largest difference", coverage.max_abs_error)],
    };
    Some(calibration.figure())
}

fn tarp(title: &str, curves: &Curves, test: &Tarp) -> Result<Figure, FigureError> {
    let bootstrap = |name: &str, (lower, upper): &(Vec<f64>, Vec<f64>)| CalibrationBand {
        name: name.into(),
        lower: lower.clone(),
        upper: upper.clone(),
        of_curve: Some(0),
    };
    let bands = [bootstrap("bootstrap 95 %", &test.two_sigma), bootstrap("bootstrap 68 %", &test.one_sigma)];
    Calibration {
        title: title.into(),
        kind: CalibrationKind::Tarp,
        credibility: curves.alpha.clone(),
        curves: vec![CalibrationCurve { name: "joint posterior".into(), coverage: test.coverage.ecp.clone() }],
        bands: expected_bands(curves, &[0.95]).into_iter().chain(bands).collect(),
        remarks: vec![
            Remark::new("KS p", test.coverage.ks_p),
            Remark::new("area", test.coverage.atc),
            Remark::new("its standard error", test.atc_sd),
        ],
    }
    .figure()
}

/// Colours before the palette repeats.
const MAX_SERIES: usize = 7;

/// More points than this per panel are a smear: the first ones are drawn, the numbers hold for all.
const MAX_POINTS: usize = 500;

fn first<T: Clone>(values: &[T]) -> Vec<T> {
    values.iter().take(MAX_POINTS).cloned().collect()
}

fn predictions(curves: &Curves, parameters: &[ParameterInfo]) -> Result<Figure, FigureError> {
    let predictions = parameters.iter().zip(&curves.parameters).map(|(parameter, curves)| {
        let found = &curves.predictions;
        Prediction {
            label: axis_label(parameter),
            truth: first(&found.truth),
            centre: first(&found.mean),
            error: Errors::symmetric(first(&found.sd)),
            remarks: vec![Remark::new("R²", found.r2)],
        }
    });
    Predictions { title: "Predictions".into(), centre: "posterior mean".into(), parameters: predictions.collect() }.figure()
}

fn contraction(curves: &Curves, parameters: &[ParameterInfo]) -> Result<Figure, FigureError> {
    let points = parameters.iter().zip(&curves.parameters).enumerate().map(|(index, (parameter, curves))| Layer::Points {
        name: Some(prose_label(parameter)),
        x: first(&curves.predictions.contraction),
        y: first(&curves.predictions.z),
        x_error: None,
        y_error: None,
        tone: Tone::Series(index),
    });
    let line = |y: f64, dash: Dash| Layer::Horizontal { name: None, y, tone: Tone::Neutral, dash };
    Xy {
        title: "What the data tell, and whether it is true".into(),
        description: "z-score of the true value against contraction of each test pair".into(),
        x: Axis::linear("contraction: 1 − posterior variance / prior variance"),
        y: Axis::linear("z: (truth − mean) / standard deviation"),
        layers: [line(0.0, Dash::Dashed), line(-2.0, Dash::Dotted), line(2.0, Dash::Dotted)].into_iter().chain(points).collect(),
        ..Xy::default()
    }
    .figure()
}

fn log_prob(validation: &Validation) -> Option<Result<Figure, FigureError>> {
    let metrics = &validation.metrics.log_prob;
    // The mean is -∞ as soon as one truth has no density: there is nothing to draw a line at, and the findings say so.
    let (mean, sem) = metrics.mean.zip(metrics.sem)?;
    let mut remarks = vec![Remark::new("mean", mean), Remark::new("standard error", sem)];
    remarks.extend(metrics.minus_prior_mean.map(|gain| Remark::new("above the prior", gain)));
    let histogram = LogProbHistogram {
        title: "Held-out log-probability".into(),
        log_prob: validation.curves.log_prob.iter().copied().flatten().collect(),
        mean,
        prior_mean: metrics.minus_prior_mean.map(|gain| mean - gain),
        remarks,
    };
    Some(histogram.figure())
}

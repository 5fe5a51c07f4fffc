//! The intrinsic dimension of an array of points, or of a bottleneck's loss curves.

use crate::error::Error;
use crate::session::{Session, warning};
use abduce_data::Array;
use abduce_data::npz::Npz;
use abduce_dimension::bottleneck::{EffectPoint, EffectSettings, LikelihoodRatio, LossCurves, LossScale, authors_rule, effect};
use abduce_dimension::{Cleaning, Cloud, Combined, CombinedSettings, Crew, Method, Scale, survey};
use abduce_inference::diagnostics::Warning;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What one method found, as it is printed.
#[derive(Clone, Debug, Serialize)]
pub struct MethodReport {
    /// The method's name.
    pub method: &'static str,
    /// Its answer.
    pub dimension: Option<f64>,
    /// Interval of 95 %.
    pub interval: Option<[f64; 2]>,
    /// Error from sampling alone (of `combined`, of its regression).
    pub standard_error: Option<f64>,
    /// The farthest neighbour of each point that it reads.
    pub neighbours: Option<usize>,
    /// Mean distance to that neighbour, in the units of the data.
    pub radius: Option<f64>,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The dimension of a cloud: what `--json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct DimensionReport {
    /// The answer of the first method asked for.
    #[serde(flatten)]
    pub answer: MethodReport,
    /// Points that were used, after cleaning.
    pub points: usize,
    /// Columns that vary.
    pub columns: usize,
    /// What was left out.
    pub left_out: Cleaning,
    /// Uncorrected dimension (GRIDE) against scale.
    pub scales: Vec<Scale>,
    /// All methods asked for.
    pub estimates: Vec<MethodReport>,
    /// Rules on the spectrum, where lPCA was asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<&'static str, Option<f64>>,
    /// How the combined estimate came about.
    pub combined: Option<Combined>,
    /// What to mind.
    pub warnings: Vec<Warning>,
}

/// A statistic farther out than this, in standard deviations of the references, is worth a warning.
const NOVEL: f64 = 5.0;

/// Asks points, the rows of an array, for their dimension by `methods`, of which the first is the answer.
pub fn of_points(session: &Session, points: Array<f64>, methods: &[Method], settings: CombinedSettings) -> Result<DimensionReport, Error> {
    let cloud = Cloud::new(&points)?;
    drop(points);
    let crew = Crew { simd: session.compute.simd, threads: session.compute.threads.clone() };
    let found = survey(&cloud, methods, settings, &crew)?;
    let estimates: Vec<MethodReport> = found
        .findings
        .iter()
        .map(|finding| MethodReport {
            method: finding.method.name(),
            dimension: finding.estimate.as_ref().ok().map(|estimate| estimate.dimension),
            interval: finding.interval,
            standard_error: finding.estimate.as_ref().ok().and_then(|estimate| estimate.standard_error),
            neighbours: finding.neighbours,
            radius: finding.radius,
            reason: finding.estimate.as_ref().err().map(ToString::to_string),
        })
        .collect();
    let Some(answer) = estimates.first().cloned() else {
        return Err(Error::Usage { message: "no method is asked for".into(), help: "leave --method out for the combined estimate".into() });
    };
    if let Err(error) = &found.findings[0].estimate {
        return Err(error.clone().into());
    }
    let warnings = warnings(cloud.cleaning(), found.combined.as_ref(), settings);
    let rules = found.rules.into_iter().map(|(name, rule)| (name, rule.ok())).collect();
    Ok(DimensionReport {
        answer,
        points: cloud.rows(),
        columns: cloud.dims(),
        left_out: cloud.cleaning(),
        scales: found.scales,
        estimates,
        rules,
        combined: found.combined,
        warnings,
    })
}

fn warnings(cleaning: Cleaning, combined: Option<&Combined>, settings: CombinedSettings) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if cleaning.non_finite_rows > 0 {
        warnings.push(warning(
            format!("{} of {} rows hold NaN or infinite values and were left out", cleaning.non_finite_rows, cleaning.rows),
            "the dimension is that of the others",
        ));
    }
    if cleaning.duplicate_rows > 0 {
        warnings.push(warning(
            format!("{} of {} rows repeat an earlier one and were left out", cleaning.duplicate_rows, cleaning.rows),
            "many repeats mean rounded or discrete data, whose small scales say nothing",
        ));
    }
    let Some(found) = combined else { return warnings };
    if found.points == settings.max_points && cleaning.rows > settings.max_points {
        warnings.push(warning(
            format!("thinned to {} points for the combined estimate", found.points),
            "--max-points raises the bound; time grows in proportion",
        ));
    }
    if found.novelty > NOVEL {
        warnings.push(warning(
            format!(
                "the cloud resembles none of the simulated manifolds: its {} lies {:.1} of their standard deviations out",
                found.novel_statistic, found.novelty
            ),
            "its interval can't be relied on; look at the dimension against scale, and at clusters, rounding and units of the columns",
        ));
    }
    if found.whole == found.searched[1] && found.searched[1] < found.span {
        warnings
            .push(warning(format!("the answer lies at the largest dimension simulated, {}", found.searched[1]), "the truth may be larger"));
    }
    warnings
}

/// The dimension of a bottleneck: what `--method iob --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct BottleneckReport {
    /// `iob`.
    pub method: &'static str,
    /// Dimension at the tolerance asked for.
    pub dimension: usize,
    /// Its interval of 95 % over trainings and test points.
    pub interval: [usize; 2],
    /// The tolerated loss.
    pub tolerance: f64,
    /// `share of the variance` or `nats`.
    pub unit: &'static str,
    /// Dimension against tolerated loss.
    pub curve: Vec<EffectPoint>,
    /// Trainings.
    pub seeds: usize,
    /// Held-out points.
    pub points: usize,
    /// Widths trained.
    pub widths: Vec<usize>,
    /// Mean loss at each.
    pub losses: Vec<f64>,
    /// The authors' rule, where the widths have no gaps and the losses are squared errors.
    pub authors_rule: Option<AuthorsRule>,
    /// What to mind.
    pub warnings: Vec<Warning>,
}

/// The answer of the rule that came with the method.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AuthorsRule {
    /// Smallest width whose next one gains too little; none where every one gains.
    pub dimension: Option<usize>,
    /// The number of test points that it is told.
    pub effective_points: f64,
}

/// The loss curves in an npz file, with arrays `losses` (trainings, widths, rows) and `widths`.
///
/// # Errors
/// The file is missing or damaged, or its arrays don't fit.
pub fn loss_curves(path: &Path) -> Result<LossCurves, Error> {
    let mut archive = Npz::open(path)?;
    let widths = archive.read::<f64>("widths")?;
    let losses = archive.read::<f64>("losses")?;
    if let Some(bad) = widths.data().iter().find(|w| !(**w >= 0.0 && w.fract() == 0.0 && **w < 1e9)) {
        return Err(Error::failed(format!("{}: width {bad} is no whole number", path.display()), "`widths` holds the numbers of latents"));
    }
    let widths: Vec<usize> = widths.data().iter().map(|w| *w as usize).collect();
    Ok(LossCurves::new(widths, &losses)?)
}

/// Reads the dimension off loss curves; at a tolerance of 0.01 of the variance, or 0.02 nats, where none is given.
pub fn of_losses(
    session: &Session,
    curves: &LossCurves,
    scale: LossScale,
    tolerance: Option<f64>,
    effective_points: f64,
    settings: EffectSettings,
) -> Result<BottleneckReport, Error> {
    let tolerance = tolerance.unwrap_or(match scale {
        LossScale::Variance => 0.01,
        LossScale::Nats => 0.02,
    });
    let crew = Crew { simd: session.compute.simd, threads: session.compute.threads.clone() };
    let mut tolerances = match scale {
        LossScale::Variance => settings.tolerances.clone(),
        LossScale::Nats => vec![0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005],
    };
    tolerances.push(tolerance);
    tolerances.sort_by(|a, b| b.total_cmp(a));
    tolerances.dedup();
    let curve = effect(curves, &EffectSettings { tolerances, scale, ..settings }, &crew)?;
    let Some(answer) = curve.iter().find(|point| point.tolerance == tolerance).copied() else {
        return Err(Error::failed(format!("no dimension at the tolerance {tolerance}"), "give a positive number"));
    };
    let authors_rule = (scale == LossScale::Variance)
        .then(|| authors_rule(curves, effective_points, LikelihoodRatio::Halved).ok())
        .flatten()
        .map(|dimension| AuthorsRule { dimension, effective_points });
    let mut warnings = Vec::new();
    if answer.capped {
        warnings.push(warning(
            format!("the largest width trained, {}, is needed at this tolerance", answer.sufficient),
            "the truth may be larger: train a wider bottleneck",
        ));
    }
    if curves.seeds() < 3 {
        warnings.push(warning(
            format!("{} training(s): the interval knows little of how trainings scatter", curves.seeds()),
            "three to five seeds show it",
        ));
    }
    Ok(BottleneckReport {
        method: "iob",
        dimension: answer.dimension,
        interval: answer.interval,
        tolerance,
        unit: match scale {
            LossScale::Variance => "share of the variance",
            LossScale::Nats => "nats",
        },
        curve,
        seeds: curves.seeds(),
        points: curves.points(),
        widths: curves.widths().to_vec(),
        losses: curves.means(),
        authors_rule,
        warnings,
    })
}

//! Pictures of posterior predictive checks.

use super::{PresentError, write_figure};
use crate::error::Error;
use abduce_report::{Axis, Errors, Figure, Layer, Tone, Xy};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One observation against its replicates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictiveSummary {
    /// Row of the observation.
    pub observation: usize,
    /// Replicates that it is compared with.
    pub replicates: usize,
    /// Simulations that failed.
    pub failed: usize,
    /// p-value of the Mahalanobis distance of the observation from the replicates.
    pub mahalanobis_p: f64,
    /// That distance.
    pub mahalanobis: f64,
    /// p-value of the median distance from the replicates.
    pub median_distance_p: f64,
    /// That distance, in the units of the data.
    pub median_distance: f64,
    /// Value by value.
    pub features: Vec<FeatureSummary>,
}

/// One value of the data among its replicates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureSummary {
    /// Its place in the datum, or in the data of one observation.
    pub feature: usize,
    /// The observed value.
    pub observed: f64,
    /// (2.5, 16, 50, 84, 97.5) % of the replicates.
    pub quantiles: [f64; 5],
    /// Two-sided p-value.
    pub p: f64,
    /// The same, adjusted for all values by Holm's method.
    pub adjusted_p: f64,
}

/// Values drawn one by one, with error bars; more are drawn as bands.
const MAX_BARS: usize = 60;

/// Every value of the observed data among its replicates, in units of their spread: median, 68 % and 95 % of the replicates, and the observed value.
///
/// # Errors
/// No value varies among the replicates.
pub fn replicates(summary: &PredictiveSummary) -> Result<Figure, PresentError> {
    let figure = format!("the replicates of observation {}", summary.observation);
    draw(summary).map_err(|source| PresentError::Figure { figure, source })
}

/// Writes [`replicates`] as `folder/predictive_obsI.svg` and `.png`.
///
/// # Errors
/// As [`replicates`], and files that can't be written.
pub fn write_replicates(folder: &Path, summary: &PredictiveSummary) -> Result<[PathBuf; 2], Error> {
    write_figure(folder, &format!("predictive_obs{}", summary.observation), &replicates(summary)?)
}

/// Half the width of the central 68 %, or of the 95 % where that is nothing.
fn spread(feature: &FeatureSummary) -> f64 {
    let [low, below, _, above, high] = feature.quantiles;
    if above > below { 0.5 * (above - below) } else { 0.25 * (high - low) }
}

fn draw(summary: &PredictiveSummary) -> Result<Figure, abduce_report::FigureError> {
    let shown: Vec<&FeatureSummary> = summary.features.iter().filter(|feature| spread(feature) > 0.0).collect();
    let x: Vec<f64> = shown.iter().map(|feature| feature.feature as f64).collect();
    let scaled = |value: fn(&FeatureSummary) -> f64| -> Vec<f64> {
        shown.iter().map(|feature| (value(feature) - feature.quantiles[2]) / spread(feature)).collect()
    };
    let quantile: [fn(&FeatureSummary) -> f64; 4] = [|f| f.quantiles[0], |f| f.quantiles[1], |f| f.quantiles[3], |f| f.quantiles[4]];
    let [low, below, above, high] = quantile.map(scaled);
    let mut layers = Vec::new();
    if shown.len() > MAX_BARS {
        for (name, lower, upper) in [("95 % of the replicates", low, high), ("68 %", below, above)] {
            layers.push(Layer::Band { name: Some(name.into()), x: x.clone(), lower, upper, tone: Tone::Series(0) });
        }
    } else {
        for (name, lower, upper, tone) in
            [("95 % of the replicates", low, high, Tone::Neutral), ("median and 68 %", below, above, Tone::Series(0))]
        {
            layers.push(Layer::Points {
                name: Some(name.into()),
                x: x.clone(),
                y: vec![0.0; x.len()],
                x_error: None,
                y_error: Some(Errors { below: lower.iter().map(|v| -v).collect(), above: upper }),
                tone,
            });
        }
    }
    layers.push(Layer::Points {
        name: Some("observed".into()),
        x,
        y: scaled(|f| f.observed),
        x_error: None,
        y_error: None,
        tone: Tone::Truth,
    });
    Xy {
        title: format!("Observation {}: p = {:.3} (all values together)", summary.observation, summary.mahalanobis_p),
        description: format!("Observed data among {} replicates with parameters from the posterior", summary.replicates),
        x: Axis::linear("value of the data, by its place"),
        y: Axis::linear("difference from the median / spread"),
        layers,
        ..Xy::default()
    }
    .figure()
}

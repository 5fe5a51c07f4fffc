//! Our estimates against a reference catalogue's.

use super::{PresentError, axis_label};
use abduce_data::ParameterInfo;
use abduce_report::{Axis, Dash, Errors, Figure, FigureError, Layer, Shape, Tone, Xy};
use serde::{Deserialize, Serialize};

/// A comparison over n objects: `comparison.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The reference: `ACT DR3 catalogue`.
    pub name: String,
    /// Name of the parameter compared.
    pub parameter: String,
    /// Reference values, in the parameter's unit (n).
    pub reference: Vec<f64>,
    /// Their 1σ errors; empty where the reference states none.
    #[serde(default)]
    pub reference_error: Vec<f64>,
    /// Posterior medians (n).
    pub median: Vec<f64>,
    /// Posterior standard deviations (n).
    pub sd: Vec<f64>,
    /// Median over the objects of ours / reference.
    #[serde(default)]
    pub median_ratio: Option<f64>,
    /// Standard deviation over the objects of log₁₀(ours / reference).
    #[serde(default)]
    pub scatter_dex: Option<f64>,
    /// Mean of (ours − reference)/(error of the difference).
    #[serde(default)]
    pub pull_mean: Option<f64>,
    /// Standard deviation of the same.
    #[serde(default)]
    pub pull_sd: Option<f64>,
    /// Observed against predicted counts.
    #[serde(default)]
    pub predictive: Option<Predictive>,
}

/// Counts per bin of an observable, observed and predicted by the posterior.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predictive {
    /// The observable with its unit, for the axis.
    pub quantity: String,
    /// Observed counts (bins).
    pub observed: Vec<f64>,
    /// Ends of the bins (bins + 1).
    pub edges: Vec<f64>,
    /// Predicted means (bins).
    pub mean: Vec<f64>,
    /// Lower ends of the predicted 68 % (bins).
    pub low: Vec<f64>,
    /// Upper ends (bins).
    pub high: Vec<f64>,
}

/// Ours against the reference's, with the 1:1 line.
///
/// # Errors
/// Arrays of different lengths, or values that are not finite.
pub fn scatter(comparison: &Comparison, parameters: &[ParameterInfo]) -> Result<Figure, PresentError> {
    let figure = format!("the comparison with {}", comparison.name);
    let label = parameters.iter().find(|p| p.name == comparison.parameter).map_or_else(|| comparison.parameter.clone(), axis_label);
    let error = &comparison.reference_error;
    let xy = Xy {
        title: "This posterior and the reference".into(),
        description: format!("Posterior median against the value of {} for {} objects", comparison.name, comparison.reference.len()),
        remarks: Vec::new(),
        x: Axis::linear(format!("{}: {label}", comparison.name)),
        y: Axis::linear(format!("this posterior: {label}")),
        layers: vec![
            Layer::Points {
                name: Some("posterior median, 1σ".into()),
                x: comparison.reference.clone(),
                y: comparison.median.clone(),
                x_error: (!error.is_empty()).then(|| Errors::symmetric(error.clone())),
                y_error: Some(Errors::symmetric(comparison.sd.clone())),
                tone: Tone::Series(0),
            },
            Layer::Identity { name: Some("1:1".into()) },
        ],
        shape: Shape::Square,
    };
    xy.figure().map_err(|source| PresentError::Figure { figure, source })
}

/// Observed and predicted counts.
///
/// # Errors
/// Arrays of different lengths, or values that are not finite.
pub fn counts(name: &str, predictive: &Predictive) -> Result<Figure, PresentError> {
    let drawn = |source: FigureError| PresentError::Figure { figure: format!("the predicted counts of {name}"), source };
    // Constant over each bin, hence twice at each inner edge.
    let steps = |values: &[f64]| values.iter().flat_map(|v| [*v, *v]).collect::<Vec<_>>();
    let x: Vec<f64> = predictive.edges.windows(2).flat_map(|pair| [pair[0], pair[1]]).collect();
    let xy = Xy {
        title: "Observed and predicted".into(),
        description: format!("Histogram of {}, observed and predicted by the posterior", predictive.quantity),
        x: Axis::linear(&predictive.quantity),
        y: Axis::linear("objects per bin"),
        layers: vec![
            Layer::Histogram {
                name: Some("observed".into()),
                edges: predictive.edges.clone(),
                heights: predictive.observed.clone(),
                tone: Tone::Series(0),
            },
            Layer::Band {
                name: Some("predicted, 68 %".into()),
                x: x.clone(),
                lower: steps(&predictive.low),
                upper: steps(&predictive.high),
                tone: Tone::Series(1),
            },
            Layer::Line { name: Some("predicted, mean".into()), x, y: steps(&predictive.mean), tone: Tone::Series(1), dash: Dash::Solid },
        ],
        shape: Shape::Square,
        ..Xy::default()
    };
    xy.figure().map_err(drawn)
}

//! Pictures of posterior draws.

use super::{PresentError, axis_label, labels::prose_label, write_figure};
use crate::error::Error;
use abduce_data::ParameterInfo;
use abduce_inference::prior::Interval;
use abduce_report::{Axis, Corner, CornerPosterior, CornerView, Errors, Figure, FigureError, Layer, Tone, Xy};
use std::path::{Path, PathBuf};

/// Draws that a corner plot uses: more don't show.
const MAX_DRAWS: usize = 10_000;

/// A corner plot of one or several posteriors over the same parameters; one panel when there is one parameter.
///
/// `prior_limits` are the prior's support (d), where densities end; `posteriors` are names with draws (n, d), row-major, of which the first
/// 10 000 are drawn; `truth` (d) is marked where known.
///
/// # Errors
/// Lengths that don't fit, draws that are not finite, or fewer than 20 of them.
pub fn corner(
    title: &str,
    parameters: &[ParameterInfo],
    prior_limits: &[Interval],
    posteriors: &[(&str, &[f32])],
    truth: Option<&[f64]>,
) -> Result<Figure, PresentError> {
    let name = if title.is_empty() { "the corner plot" } else { title };
    let d = parameters.len();
    if prior_limits.len() != d {
        return Err(PresentError::Length { figure: name.into(), what: "the prior's limits", found: prior_limits.len(), expected: d });
    }
    let posterior = |(name, draws): &(&str, &[f32])| CornerPosterior {
        name: (*name).to_string(),
        samples: draws.iter().take(MAX_DRAWS * d).map(|&v| f64::from(v)).collect(),
    };
    let corner = Corner {
        title: title.to_string(),
        labels: parameters.iter().map(axis_label).collect(),
        posteriors: posteriors.iter().map(posterior).collect(),
        truth: truth.map(<[f64]>::to_vec),
        limits: Some(prior_limits.iter().map(|limit| [limit.low, limit.high]).collect()),
        view: CornerView::Posterior,
    };
    corner.figure().map_err(|source| PresentError::Figure { figure: name.into(), source })
}

/// Writes [`corner`] as `folder/stem.svg` and `folder/stem.png`.
///
/// # Errors
/// As [`corner`], and files that can't be written.
pub fn write_corner(
    folder: &Path,
    stem: &str,
    parameters: &[ParameterInfo],
    prior_limits: &[Interval],
    posteriors: &[(&str, &[f32])],
    truth: Option<&[f64]>,
) -> Result<[PathBuf; 2], Error> {
    write_figure(folder, stem, &corner("", parameters, prior_limits, posteriors, truth)?)
}

/// Quantiles of one parameter for one observation after another.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Intervals {
    /// Rows of (2.5 %, 16 %, 50 %, 84 %, 97.5 %).
    pub quantiles: Vec<[f64; 5]>,
    /// True values, one per row, where known.
    pub truth: Option<Vec<f64>>,
}

impl Intervals {
    /// Quantiles of each parameter of one observation's `draws` (n, d), for drawing.
    pub fn of_draws(draws: &[f32], d: usize) -> Vec<[f64; 5]> {
        (0..d)
            .map(|j| {
                let mut sorted: Vec<f64> = draws.iter().skip(j).step_by(d).map(|&v| f64::from(v)).collect();
                sorted.sort_by(f64::total_cmp);
                [0.025, 0.16, 0.5, 0.84, 0.975].map(|p| quantile(&sorted, p))
            })
            .collect()
    }
}

/// Linear between order statistics; NaN without any, which no figure accepts.
pub(crate) fn quantile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = p * last as f64;
    let below = place.floor() as usize;
    sorted[below] + place.fract() * (sorted[(below + 1).min(last)] - sorted[below])
}

/// Median, 68 % and 95 % of one parameter for every observation, ordered by the median.
///
/// # Errors
/// No observation, quantiles that are not finite, or as many truths as there are not observations.
pub fn intervals(parameter: &ParameterInfo, found: &Intervals) -> Result<Figure, PresentError> {
    let figure = format!("the intervals of {}", parameter.name);
    let n = found.quantiles.len();
    if let Some(truth) = found.truth.as_ref().filter(|truth| truth.len() != n) {
        return Err(PresentError::Length { figure, what: "the true values", found: truth.len(), expected: n });
    }
    draw_intervals(parameter, found).map_err(|source| PresentError::Figure { figure, source })
}

fn draw_intervals(parameter: &ParameterInfo, found: &Intervals) -> Result<Figure, FigureError> {
    let mut order: Vec<usize> = (0..found.quantiles.len()).collect();
    order.sort_by(|&a, &b| found.quantiles[a][2].total_cmp(&found.quantiles[b][2]));
    let column = |q: usize| order.iter().map(|&i| found.quantiles[i][q]).collect::<Vec<_>>();
    let gap = |a: usize, b: usize| order.iter().map(|&i| found.quantiles[i][b] - found.quantiles[i][a]).collect::<Vec<_>>();
    let x: Vec<f64> = (1..=order.len()).map(|rank| rank as f64).collect();
    let mut layers = vec![
        Layer::Band { name: Some("95 %".into()), x: x.clone(), lower: column(0), upper: column(4), tone: Tone::Series(0) },
        Layer::Points {
            name: Some("median and 68 %".into()),
            x: x.clone(),
            y: column(2),
            x_error: None,
            y_error: Some(Errors { below: gap(1, 2), above: gap(2, 3) }),
            tone: Tone::Series(0),
        },
    ];
    if let Some(truth) = &found.truth {
        layers.push(Layer::Points {
            name: Some("true value".into()),
            x,
            y: order.iter().map(|&i| truth[i]).collect(),
            x_error: None,
            y_error: None,
            tone: Tone::Truth,
        });
    }
    Xy {
        title: prose_label(parameter),
        description: format!("Posterior median, 68 % and 95 % of {} for {} observations", parameter.name, order.len()),
        x: Axis::linear("observation, ordered by its median"),
        y: Axis::linear(axis_label(parameter)),
        layers,
        ..Xy::default()
    }
    .figure()
}

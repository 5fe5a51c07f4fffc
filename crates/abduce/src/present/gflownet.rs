//! Pictures of a generative flow network: the way of its training, and what it has learnt beside what it was to learn.

use super::{PresentError, write_figure};
use crate::error::Error;
use crate::stages::gflownet::Evaluation;
use abduce_gflownet::IterationRecord;
use abduce_report::{Axis, Dash, Layer, Remark, Shape, Tone, Xy};
use std::path::Path;

/// The distribution of ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Learnt {
    /// P_T.
    pub learnt: Vec<f64>,
    /// R/Z.
    pub target: Vec<f64>,
    /// Whether the loss has the target as its optimum.
    pub samples_the_reward: bool,
}

/// Points of a curve that a picture shows.
const MOST_POINTS: usize = 400;

/// Writes `plot_loss`, `plot_distance` and `plot_learnt` as SVG and PNG; the last two where there are numbers for them.
///
/// # Errors
/// A file can't be written.
pub fn write_figures(folder: &Path, history: &[IterationRecord], evaluations: &[Evaluation], learnt: Option<&Learnt>) -> Result<(), Error> {
    let draw = |stem: &str, xy: Xy| -> Result<(), Error> {
        let figure = xy.figure().map_err(|source| PresentError::Figure { figure: stem.into(), source })?;
        write_figure(folder, stem, &figure).map(|_| ())
    };
    let line = |x: Vec<f64>, y: Vec<f64>, tone: Tone| Layer::Line { name: None, x, y, tone, dash: Dash::Solid };
    // Means over equal parts: single batches jump.
    let part = history.len().div_ceil(MOST_POINTS).max(1);
    let (x, y): (Vec<f64>, Vec<f64>) = history
        .chunks(part)
        .map(|records| {
            let mean = records.iter().map(|record| record.loss).sum::<f64>() / records.len() as f64;
            (records[records.len() - 1].iteration as f64, mean)
        })
        .filter(|(_, loss)| *loss > 0.0)
        .unzip();
    if x.len() > 1 {
        draw(
            "plot_loss",
            Xy {
                title: "Loss".into(),
                description: "Mean loss of the batches against the iteration.".into(),
                x: Axis::linear("iteration"),
                y: Axis::log10("loss"),
                layers: vec![line(x, y, Tone::Series(0))],
                ..Xy::default()
            },
        )?;
    }
    let (x, y): (Vec<f64>, Vec<f64>) =
        evaluations.iter().filter(|found| found.l1 > 0.0).map(|found| (found.iteration as f64, found.l1)).unzip();
    if x.len() > 1 {
        draw(
            "plot_distance",
            Xy {
                title: "Distance to the target".into(),
                description: "Exact L1 distance between the distribution of ends and the target against the iteration.".into(),
                x: Axis::linear("iteration"),
                y: Axis::log10(r"\Sigma |P_T - R/Z|"),
                layers: vec![line(x, y, Tone::Series(0))],
                ..Xy::default()
            },
        )?;
    }
    if let Some(Learnt { learnt, target, samples_the_reward }) = learnt {
        let shown = || target.iter().zip(learnt).filter(|(_, learnt)| **learnt > 0.0);
        let low = shown().flat_map(|(a, b)| [*a, *b]).fold(f64::INFINITY, f64::min);
        let high = shown().flat_map(|(a, b)| [*a, *b]).fold(0.0, f64::max);
        let (x, y): (Vec<f64>, Vec<f64>) = shown().unzip();
        let l1 = target.iter().zip(learnt).map(|(a, b)| (a - b).abs()).sum::<f64>();
        let diagonal = samples_the_reward.then(|| Layer::Line {
            name: Some("equal".into()),
            x: vec![low, high],
            y: vec![low, high],
            tone: Tone::Truth,
            dash: Dash::Dashed,
        });
        let points = Layer::Points { name: Some("ends".into()), x, y, x_error: None, y_error: None, tone: Tone::Series(0) };
        draw(
            "plot_learnt",
            Xy {
                title: "Learnt against target".into(),
                description: "Probability that a trajectory ends in a state, against the probability that it should have.".into(),
                remarks: vec![Remark::new("L1", l1)],
                x: Axis::log10("R/Z"),
                y: Axis::log10("P_T"),
                layers: diagonal.into_iter().chain([points]).collect(),
                shape: Shape::Square,
            },
        )?;
    }
    Ok(())
}

//! Loss against width.

use super::{View, block};
use crate::present::PresentError;
use abduce_report::html::{Block, Cell, Section, Table};
use abduce_report::{Axis, Dash, Errors, Layer, Scale, Tone, Xy};

/// Shares of the variance for which the smallest width is given.
const SHARES: [f64; 5] = [0.5, 0.8, 0.9, 0.95, 0.99];

/// What losses are divided by: the variance where it is known.
fn unit(view: &View<'_>) -> (f64, &'static str) {
    match view.losses.mean.filter(|mean| *mean > 0.0) {
        Some(mean) => (mean, "held-out error / variance"),
        None => (1.0, "held-out loss [nat]"),
    }
}

/// The answer at the top.
pub(super) fn headline(view: &View<'_>) -> String {
    let ours = &view.losses.ordered[view.losses.kept];
    let (unit, _) = unit(view);
    match view.losses.mean {
        Some(_) => {
            let share = |share: f64| smallest(ours, unit, share).map_or("no width".to_string(), |k| format!("{k}"));
            format!("{} latents keep 90 % of the variance of held-out rows, {} keep 95 %.", share(0.9), share(0.95))
        }
        None => format!(
            "The held-out loss falls from {:.4} with no latent to {:.4} with all {}.",
            ours[0],
            ours[ours.len() - 1],
            ours.len() - 1
        ),
    }
}

fn smallest(losses: &[f64], unit: f64, share: f64) -> Option<usize> {
    losses.iter().position(|loss| loss / unit <= 1.0 - share)
}

/// The figure and the tables.
fn blocks(view: &View<'_>) -> Result<Vec<Block>, PresentError> {
    let losses = view.losses;
    let (unit, label) = unit(view);
    let widths: Vec<f64> = (0..losses.ordered[0].len()).map(|k| k as f64).collect();
    let scaled = |values: &[f64]| values.iter().map(|v| v / unit).collect::<Vec<_>>();
    // Principal axes of full width leave nothing, which a logarithm can't show.
    let shown = |values: &[f64]| {
        let floor = losses
            .ordered
            .iter()
            .flatten()
            .chain(&losses.separate.iter().map(|s| s.1).collect::<Vec<_>>())
            .fold(f64::MAX, |a, &b| a.min(b));
        values.iter().map(|v| v.max(0.3 * floor) / unit).collect::<Vec<_>>()
    };
    let mut layers = Vec::new();
    if let Some(axes) = &losses.principal {
        let name = Some("principal axes".to_string());
        layers.push(Layer::Line { name, x: widths.clone(), y: shown(axes), tone: Tone::Neutral, dash: Dash::Dashed });
    }
    for (index, ordered) in losses.ordered.iter().enumerate() {
        let name = Some(if index == losses.kept { "ordered code" } else { "other trainings" }.to_string());
        let tone = if index == losses.kept { Tone::Series(0) } else { Tone::Series(4) };
        layers.push(Layer::Line { name, x: widths.clone(), y: scaled(ordered), tone, dash: Dash::Solid });
        if index == losses.kept {
            let y = scaled(ordered);
            // A bar on a logarithmic axis must not reach zero.
            let bars = losses.standard_errors[index]
                .iter()
                .zip(&y)
                .map(|(e, y)| (1.96 * e / unit).min(if losses.mean.is_some() { 0.9 * y } else { f64::MAX }));
            let y_error = Some(Errors::symmetric(bars.collect()));
            layers.push(Layer::Points { name: None, x: widths.clone(), y, x_error: None, y_error, tone });
        }
    }
    if !losses.separate.is_empty() {
        let (x, y) = losses.separate.iter().map(|&(k, loss)| (k as f64, loss / unit)).unzip();
        let name = Some("trained for one width alone".to_string());
        layers.push(Layer::Points { name, x, y, x_error: None, y_error: None, tone: Tone::Series(1) });
    }
    if let Some(grown) = &losses.grown {
        let name = Some("grown latent by latent".to_string());
        layers.push(Layer::Line { name, x: widths[1..].to_vec(), y: scaled(grown), tone: Tone::Series(2), dash: Dash::Dotted });
    }
    let ours = &losses.ordered[losses.kept];
    let positive = losses.mean.is_some() && ours.iter().all(|l| *l > 0.0);
    let figure = Xy {
        title: "Loss against width".into(),
        description: format!("Held-out loss at widths 0 to {}.", widths.len() - 1),
        x: Axis::linear("open latents").between(-0.02 * widths.len() as f64, 1.02 * (widths.len() - 1) as f64),
        y: Axis { label: label.into(), scale: if positive { Scale::Log10 } else { Scale::Linear }, limits: None },
        layers,
        ..Xy::default()
    };
    let shown_widths = [0, 1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024, 2048].into_iter();
    let last = widths.len() - 1;
    let row = |k: usize| {
        let mut cells =
            vec![Cell::Count(k as u64), Cell::Number(ours[k] / unit, 4), Cell::Number(losses.standard_errors[losses.kept][k] / unit, 2)];
        if let Some(axes) = &losses.principal {
            cells.push(Cell::Number(axes[k] / unit, 4));
        }
        if !losses.separate.is_empty() {
            cells.push(losses.separate.iter().find(|s| s.0 == k).map_or(Cell::Empty, |s| Cell::Number(s.1 / unit, 4)));
        }
        cells
    };
    let mut columns = vec!["width".to_string(), label.to_string(), "standard error".to_string()];
    columns.extend(losses.principal.as_ref().map(|_| "principal axes".to_string()));
    columns.extend((!losses.separate.is_empty()).then(|| "this width alone".to_string()));
    let mut chosen: Vec<usize> = shown_widths.filter(|&k| k < last).collect();
    chosen.push(last);
    let table = Table { caption: format!("On {} held-out rows.", losses.rows), columns, rows: chosen.into_iter().map(row).collect() };
    let caption = "Every width of the one model, on rows that it has not seen.";
    let mut blocks = vec![block(figure.figure(), "the losses", caption)?, Block::Table(table)];
    if losses.mean.is_some() {
        let row = |share: f64| {
            let cell = |losses: &[f64]| smallest(losses, unit, share).map_or(Cell::Text("-".into()), |k| Cell::Count(k as u64));
            let mut cells = vec![Cell::Text(format!("{:.0} %", 100.0 * share)), cell(ours)];
            cells.extend(losses.principal.as_ref().map(|axes| cell(axes)));
            cells
        };
        let mut columns = vec!["variance kept".to_string(), "latents".to_string()];
        columns.extend(losses.principal.as_ref().map(|_| "principal axes".to_string()));
        let caption = "How many numbers keep so much of the variance.".into();
        blocks.push(Block::Table(Table { caption, columns, rows: SHARES.into_iter().map(row).collect() }));
    }
    Ok(blocks)
}

/// Loss against width.
pub(super) fn section(view: &View<'_>) -> Result<Section, PresentError> {
    Ok(super::section("Loss against width", blocks(view)?))
}

/// Validation loss per epoch at some widths.
pub(super) fn history(view: &View<'_>) -> Result<Option<Section>, PresentError> {
    let history = &view.losses.history;
    let (unit, _) = unit(view);
    let mut layers = Vec::new();
    for (index, k) in view.widths().into_iter().enumerate().take(7) {
        let points = history.iter().enumerate().filter_map(|(e, widths)| Some((e as f64 + 1.0, widths.get(k).copied().flatten()? / unit)));
        let (x, y): (Vec<f64>, Vec<f64>) = points.unzip();
        if x.len() > 1 {
            layers.push(Layer::Line { name: Some(format!("width {k}")), x, y, tone: Tone::Series(index), dash: Dash::Solid });
        }
    }
    if layers.is_empty() {
        return Ok(None);
    }
    let log = view.losses.mean.is_some();
    let label = if log { "validation error / variance" } else { "validation loss [nat]" };
    let figure = Xy {
        title: "Training".into(),
        description: "Validation loss per epoch at several widths.".into(),
        x: Axis::linear("epoch"),
        y: if log { Axis::log10(label) } else { Axis::linear(label) },
        layers,
        ..Xy::default()
    };
    let caption = "Loss of several widths on the validation rows, epoch by epoch.";
    Ok(Some(super::section("Training", vec![block(figure.figure(), "the training", caption)?])))
}

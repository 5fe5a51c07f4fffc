//! What the latents do and mean.

use super::{View, block};
use crate::error::Error;
use abduce_data::Array;
use abduce_report::html::{Block, Cell, Section, Table};
use abduce_report::{Axis, Dash, Layer, Pictures, Tone, Xy};

/// Latents shown.
const MOST_LATENTS: usize = 8;
/// Steps of a walk.
const STEPS: usize = 7;
/// Columns in one figure of walks: the palette's.
const MOST_LINES: usize = 7;

/// The output as one latent goes through its quantiles from 5 % to 95 %, the others at their medians.
pub(super) fn walks(view: &View<'_>) -> Result<Option<Section>, Error> {
    let latents = view.model.latents();
    let sorted: Vec<Vec<f32>> = (0..latents)
        .map(|j| {
            let mut values: Vec<f32> = view.codes.data().iter().skip(j).step_by(latents).copied().collect();
            values.sort_by(f32::total_cmp);
            values
        })
        .collect();
    let quantile = |j: usize, q: f64| sorted[j][((sorted[j].len() - 1) as f64 * q).round() as usize];
    let level = |step: usize| 0.05 + 0.9 * step as f64 / (STEPS - 1) as f64;
    let shown = latents.min(MOST_LATENTS);
    let codes: Vec<f32> = (0..shown)
        .flat_map(|j| (0..STEPS).map(move |step| (j, step)))
        .flat_map(|(j, step)| (0..latents).map(move |i| (i, j, step)))
        .map(|(i, j, step)| quantile(i, if i == j { level(step) } else { 0.5 }))
        .collect();
    let out = view.model.decode(&view.session.compute, &Array::new(vec![shown * STEPS, latents], codes)?, latents)?;
    let caption = "One latent goes through its quantiles from 5 % to 95 %, all others stay at their medians.";
    if let Some(size) = view.picture() {
        let row = |j: usize| {
            let pictures = (0..STEPS).map(|s| out.row(j * STEPS + s).iter().map(|&v| f64::from(v)).collect()).collect();
            (format!("latent {}", j + 1), pictures)
        };
        let figure = Pictures {
            title: "Walks along the latents".into(),
            description: "Decoded pictures as one latent after the other goes through its quantiles.".into(),
            size,
            columns: (0..STEPS).map(|s| format!("{:.0} %", 100.0 * level(s))).collect(),
            rows: (0..shown).map(row).collect(),
        };
        return Ok(Some(super::section("Walks along the latents", vec![block(figure.figure(), "the walks", caption)?])));
    }
    let width = out.row_len();
    if width > MOST_LINES && out.shape().len() > 2 {
        return Ok(None);
    }
    let mut blocks = Vec::new();
    for j in 0..shown.min(4) {
        let levels: Vec<f64> = (0..STEPS).map(|s| 100.0 * level(s)).collect();
        let layers = if width <= MOST_LINES {
            // Columns of different units on one axis: in standard deviations of the training rows.
            let (mean, std) = (view.model.y_scale.mean(), view.model.y_scale.std());
            let line = |c: usize| Layer::Line {
                name: Some(view.model.columns.get(c).cloned().unwrap_or_else(|| format!("x{}", c + 1))),
                x: levels.clone(),
                y: (0..STEPS)
                    .map(|s| {
                        let value = f64::from(out.row(j * STEPS + s)[c]);
                        if mean.len() == width { (value - mean[c]) / std[c] } else { value }
                    })
                    .collect(),
                tone: Tone::Series(c),
                dash: Dash::Solid,
            };
            (0..width).map(line).collect()
        } else {
            // A long row is a curve: one line per step.
            let line = |s: usize| Layer::Line {
                name: Some(format!("{:.0} %", levels[s])),
                x: (1..=width).map(|c| c as f64).collect(),
                y: out.row(j * STEPS + s).iter().map(|&v| f64::from(v)).collect(),
                tone: Tone::Series(s),
                dash: Dash::Solid,
            };
            (0..STEPS).map(line).collect::<Vec<_>>()
        };
        let (x, y) = if width <= MOST_LINES {
            (Axis::linear(format!("quantile of latent {} [%]", j + 1)), Axis::linear("output [standard deviations]"))
        } else {
            (Axis::linear("column"), Axis::linear("output"))
        };
        let figure = Xy { title: format!("Latent {}", j + 1), description: caption.into(), x, y, layers, ..Xy::default() };
        blocks.push(block(figure.figure(), "the walks", if j == 0 { caption } else { "" })?);
    }
    Ok(Some(super::section("Walks along the latents", blocks)))
}

/// Correlations of each latent with named columns: of the values, and of their ranks.
pub(super) fn meaning(view: &View<'_>, table: &Array, names: &[String]) -> Section {
    let (latents, width) = (view.model.latents(), table.row_len());
    let column = |array: &Array, j: usize| array.data().iter().skip(j).step_by(array.row_len()).map(|&v| f64::from(v)).collect::<Vec<_>>();
    let named: Vec<(Vec<f64>, Vec<f64>)> = (0..width).map(|c| column(table, c)).map(|v| (ranks(&v), v)).map(|(r, v)| (v, r)).collect();
    let rows = (0..latents.min(MOST_LATENTS)).map(|j| {
        let z = column(&view.codes, j);
        let ranked = ranks(&z);
        let cells = named.iter().map(|(values, order)| match (correlation(&z, values), correlation(&ranked, order)) {
            (Some(r), Some(rho)) => Cell::Text(format!("{r:+.2} / {rho:+.2}")),
            _ => Cell::Empty,
        });
        std::iter::once(Cell::Text(format!("latent {}", j + 1))).chain(cells).collect()
    });
    let table = Table {
        caption: "Correlation of values / of ranks. The sign of a latent is arbitrary.".into(),
        columns: std::iter::once(String::new()).chain(names.iter().cloned()).collect(),
        rows: rows.collect(),
    };
    super::section("What the latents mean", vec![Block::Table(table)])
}

/// Ranks from 0, ties sharing their mean.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let end = (start..order.len()).find(|&i| values[order[i]] != values[order[start]]).unwrap_or(order.len());
        // NaN is unequal to itself: it stands alone.
        let end = end.max(start + 1);
        order[start..end].iter().for_each(|&i| ranks[i] = 0.5 * (start + end - 1) as f64);
        start = end;
    }
    ranks
}

/// Pearson's; `None` where one of the two does not vary.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len() as f64;
    let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        aa += (a - ma).powi(2);
        bb += (b - mb).powi(2);
        ab += (a - ma) * (b - mb);
    }
    let r = ab / (aa * bb).sqrt();
    r.is_finite().then_some(r)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_ties_and_correlations_are_exact_on_lines() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 7.0]), [1.5, 0.0, 1.5, 3.0]);
        let (a, cubes) = ([1.0, 2.0, 3.0, 4.0], [1.0, 8.0, 27.0, 64.0]);
        assert_eq!(correlation(&a, &a.map(|v| 3.0 - 2.0 * v)), Some(-1.0));
        assert!(correlation(&a, &cubes).is_some_and(|r| r < 0.96));
        assert_eq!(correlation(&ranks(&a), &ranks(&cubes)), Some(1.0));
        assert_eq!(correlation(&a, &[5.0; 4]), None);
    }
}

//! What the code gives back at several widths.

use super::{View, block};
use crate::error::Error;
use abduce_report::Pictures;
use abduce_report::html::{Block, Cell, Section, Table};

/// Pictures shown.
const MOST_PICTURES: usize = 6;
/// Columns of a table whose recovery is listed.
const MOST_COLUMNS: usize = 32;

/// Pictures beside their reconstructions, or what part of each column's variance is kept; nothing for long rows that are no pictures.
pub(super) fn section(view: &View<'_>) -> Result<Option<Section>, Error> {
    let widths = view.widths();
    let decode =
        |width: usize| -> Result<Vec<f32>, Error> { Ok(view.model.decode(&view.session.compute, &view.codes, width)?.into_data()) };
    let len = view.x.row_len();
    if let Some(size) = view.picture() {
        let shown = view.x.rows().min(MOST_PICTURES);
        let codes = view.codes.select_rows(0..shown);
        let mut rows: Vec<(String, Vec<Vec<f64>>)> =
            (0..shown).map(|r| (format!("row {}", r + 1), vec![view.x.row(r).iter().map(|&v| f64::from(v)).collect()])).collect();
        for &width in &widths {
            let out = view.model.decode(&view.session.compute, &codes, width)?;
            for (r, row) in rows.iter_mut().enumerate() {
                row.1.push(out.row(r).iter().map(|&v| f64::from(v)).collect());
            }
        }
        let columns = std::iter::once("data".to_string()).chain(widths.iter().map(|w| format!("{w}"))).collect();
        let description = "The first rows and what their codes of several widths give back.".to_string();
        let figure = Pictures { title: "Reconstructions by open latents".into(), description, size, columns, rows };
        let caption = "The first rows of the data, and what their first 1, 2, 4, … latents give back.";
        return Ok(Some(super::section("Reconstructions", vec![block(figure.figure(), "the reconstructions", caption)?])));
    }
    if len > MOST_COLUMNS {
        return Ok(None);
    }
    let names: Vec<String> = match view.model.columns.len() {
        0 => (1..=len).map(|j| format!("x{j}")).collect(),
        _ => view.model.columns.clone(),
    };
    let mut rows: Vec<Vec<Cell>> = names.into_iter().map(|name| vec![Cell::Text(name)]).collect();
    let x = view.x.data();
    for &width in &widths {
        let out = decode(width)?;
        for (j, row) in rows.iter_mut().enumerate() {
            row.push(Cell::Number(kept(x.iter().skip(j).step_by(len), out.iter().skip(j).step_by(len)), 3));
        }
    }
    let columns = std::iter::once("column".to_string()).chain(widths.iter().map(|w| format!("{w}"))).collect();
    let caption = "Part of each column's variance that codes of so many latents keep, on all rows given.".into();
    Ok(Some(super::section("What each width keeps", vec![Block::Table(Table { caption, columns, rows })])))
}

/// 1 - Σ(x - f)²/Σ(x - mean)².
fn kept<'a>(x: impl Iterator<Item = &'a f32> + Clone, f: impl Iterator<Item = &'a f32>) -> f64 {
    let n = x.clone().count() as f64;
    let mean = x.clone().map(|&v| f64::from(v)).sum::<f64>() / n;
    let total: f64 = x.clone().map(|&v| (f64::from(v) - mean).powi(2)).sum();
    let left: f64 = x.zip(f).map(|(&x, &f)| (f64::from(x) - f64::from(f)).powi(2)).sum();
    if total > 0.0 { 1.0 - left / total } else { 1.0 }
}

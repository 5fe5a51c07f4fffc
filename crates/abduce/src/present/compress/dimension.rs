//! How many latents a tolerated loss needs.

use super::{View, block};
use crate::error::Error;
use crate::stages::compress::ROW_LOSSES;
use abduce_data::npz::Npz;
use abduce_dimension::Crew;
use abduce_dimension::bottleneck::{EffectSettings, LossCurves, LossScale, effect};
use abduce_report::html::{Block, Cell, Section, Table};
use abduce_report::{Axis, Dash, Layer, Tone, Xy};
use std::path::Path;

/// Dimension against tolerated loss, from the held-out losses row by row; nothing where there is no loss at width 0 to compare with.
pub(super) fn section(view: &View<'_>, folder: &Path) -> Result<Option<Section>, Error> {
    let mut file = Npz::open(&folder.join(ROW_LOSSES))?;
    let widths = file.read::<f64>("widths")?.into_data().into_iter().map(|w| w as usize).collect();
    let failed = |error: abduce_dimension::DimensionError| Error::failed(format!("the dimension: {error}"), "train again");
    let curves = LossCurves::new(widths, &file.read::<f64>("losses")?).map_err(failed)?;
    let variance = view.losses.mean.is_some();
    if variance && curves.means()[0] <= 0.0 {
        return Ok(None);
    }
    let scale = if variance { LossScale::Variance } else { LossScale::Nats };
    let crew = Crew { simd: view.session.compute.simd, threads: view.session.compute.threads.clone() };
    let points = effect(&curves, &EffectSettings { scale, ..EffectSettings::default() }, &crew).map_err(failed)?;
    let of = |value: fn(&abduce_dimension::bottleneck::EffectPoint) -> usize| points.iter().map(|p| value(p) as f64).collect::<Vec<_>>();
    let x: Vec<f64> = points.iter().map(|p| p.tolerance).collect();
    let (mut x_up, mut low, mut high) = (x.clone(), of(|p| p.interval[0]), of(|p| p.interval[1]));
    // Bands run to the right.
    if x_up.first() > x_up.last() {
        [&mut x_up, &mut low, &mut high].into_iter().for_each(|v| v.reverse());
    }
    let unit = if variance { "tolerated loss / variance" } else { "tolerated loss [nat]" };
    let figure = Xy {
        title: "Dimension against tolerated loss".into(),
        description: "Smallest number of latents whose remaining gain stays below the tolerated loss.".into(),
        x: Axis::log10(unit),
        y: Axis::linear("latents").between(0.0, view.model.latents() as f64 + 0.5),
        layers: vec![
            Layer::Band { name: Some("95 % of resamplings".into()), x: x_up, lower: low, upper: high, tone: Tone::Series(0) },
            Layer::Line { name: None, x: x.clone(), y: of(|p| p.dimension), tone: Tone::Series(0), dash: Dash::Solid },
            Layer::Points { name: None, x, y: of(|p| p.dimension), x_error: None, y_error: None, tone: Tone::Series(0) },
        ],
        ..Xy::default()
    };
    let row = |p: &abduce_dimension::bottleneck::EffectPoint| {
        let tolerance = if variance { format!("{} %", 100.0 * p.tolerance) } else { format!("{} nat", p.tolerance) };
        vec![
            Cell::Text(tolerance),
            Cell::Count(p.dimension as u64),
            Cell::Text(format!("{} to {}", p.interval[0], p.interval[1])),
            Cell::Text(if p.capped { format!("{} or more", p.sufficient) } else { p.sufficient.to_string() }),
        ]
    };
    let table = Table {
        caption: "Enough: with confidence no wider code gains more than the tolerated loss.".into(),
        columns: ["tolerated loss", "dimension", "95 % interval", "enough"].map(str::to_string).to_vec(),
        rows: points.iter().map(row).collect(),
    };
    let text = "A dimension belongs to a tolerated loss: with enough rows every direction of noise is significant. Closed surfaces (spheres, tori) have no chart \
                of their own dimension, so a code of them needs one latent more.";
    let caption = "From the losses of every held-out row at every width.";
    let blocks = vec![Block::Text(text.into()), block(figure.figure(), "the dimension", caption)?, Block::Table(table)];
    Ok(Some(super::section("Dimension", blocks)))
}

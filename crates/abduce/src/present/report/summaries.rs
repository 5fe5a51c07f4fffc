//! How many ordered summaries matter.

use super::sections;
use crate::present::PresentError;
use abduce_inference::diagnostics::InformationCurve;
use abduce_report::html::{Block, Cell, Section, Table, Width};
use abduce_report::{Axis, Dash, Errors, Figure, Layer, Tone, Xy};

/// Rows of the table.
const MAX_ROWS: usize = 32;

/// The information curve with its table.
pub(super) fn section(curve: &InformationCurve) -> Result<Section, PresentError> {
    let [low, high] = curve.matter_interval;
    let answer = format!(
        "{} of {} summaries matter (95 % of the resamplings: {low} to {high}): no wider code gains {} nat with 97.5 % confidence. Each point is a lower \
         bound of what that many summaries tell, as good as the network at that width, on {} held-out pairs.",
        curve.matter,
        curve.gains.len(),
        curve.tolerance,
        curve.pairs
    );
    let row = |(k, gain): (usize, &abduce_inference::diagnostics::Gain)| {
        vec![
            Cell::Count(k as u64 + 1),
            Cell::Number(curve.nats[k + 1], 4),
            Cell::Number(gain.nats, 3),
            Cell::Text(format!("{:.3} to {:.3}", gain.low, gain.high)),
        ]
    };
    let table = Table {
        caption: "What each summary adds.".into(),
        columns: ["summaries", "nats", "added", "95 % interval"].map(str::to_string).to_vec(),
        rows: curve.gains.iter().enumerate().take(MAX_ROWS).map(row).collect(),
    };
    let drawn = figure(curve).map_err(|source| PresentError::Figure { figure: "the information curve".into(), source })?;
    let caption = "Information about the parameters against the number of summaries, from one training at all widths.";
    let blocks = vec![Block::Text(answer), sections::figure(drawn, caption, Width::Full), Block::Table(table)];
    Ok(sections::section("How many summaries matter", blocks))
}

/// Nats against the number of summaries.
fn figure(curve: &InformationCurve) -> Result<Figure, abduce_report::FigureError> {
    let widths: Vec<f64> = (0..curve.nats.len()).map(|k| k as f64).collect();
    let errors = Errors::symmetric(curve.standard_errors.iter().map(|e| 1.96 * e).collect());
    let layers = vec![
        Layer::Vertical { name: Some("summaries that matter".into()), x: curve.matter as f64, tone: Tone::Neutral, dash: Dash::Dashed },
        Layer::Line { name: None, x: widths.clone(), y: curve.nats.clone(), tone: Tone::Series(0), dash: Dash::Solid },
        Layer::Points { name: None, x: widths.clone(), y: curve.nats.clone(), x_error: None, y_error: Some(errors), tone: Tone::Series(0) },
    ];
    Xy {
        title: "Information in ordered summaries".into(),
        description: format!(
            "Information in nats at 0 to {} summaries: {}.",
            curve.gains.len(),
            curve.nats.iter().map(|n| format!("{n:.3}")).collect::<Vec<_>>().join(", ")
        ),
        x: Axis::linear("number of summaries").between(-0.3, curve.gains.len() as f64 + 0.3),
        y: Axis::linear("information [nat]"),
        layers,
        ..Xy::default()
    }
    .figure()
}

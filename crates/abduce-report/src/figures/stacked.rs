//! A measurement over its ratio to a reference.

use crate::draw::font::Fonts;
use crate::error::FigureError;
use crate::figure::Figure;
use crate::plot::{Axis, Layer, Plot};
use crate::sheet::{Columns, Sheet};

/// Two panels over one x axis: curves above, ratios or differences below.
///
/// ```
/// use abduce_report::{Axis, Dash, Layer, Stacked, Tone};
/// let line = |y: Vec<f64>| Layer::Line { name: None, x: vec![0.01, 0.1, 1.0], y, tone: Tone::Series(0), dash: Dash::Solid };
/// let figure = Stacked {
///     title: "Power".into(),
///     x: Axis::log10("k"),
///     upper: Axis::log10("P"),
///     lower: Axis::linear("ratio"),
///     upper_layers: vec![line(vec![1e3, 1e4, 1e2])],
///     lower_layers: vec![line(vec![1.0, 1.1, 0.9])],
///     ..Stacked::default()
/// };
/// assert!(figure.figure()?.svg()?.contains("ratio"));
/// # Ok::<(), abduce_report::FigureError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stacked {
    /// Title above the panels.
    pub title: String,
    /// A line under the title.
    pub subtitle: String,
    /// What the figure shows, for those who cannot see it.
    pub description: String,
    /// The shared axis.
    pub x: Axis,
    /// Vertical axis of the upper panel.
    pub upper: Axis,
    /// Vertical axis of the lower panel.
    pub lower: Axis,
    /// What is drawn above.
    pub upper_layers: Vec<Layer>,
    /// What is drawn below.
    pub lower_layers: Vec<Layer>,
}

impl Stacked {
    /// Draws the figure.
    pub fn figure(&self) -> Result<Figure, FigureError> {
        let plot = |y: &Axis, layers: &[Layer]| Plot { x: self.x.clone(), y: y.clone(), layers: layers.to_vec(), ..Plot::default() };
        let sheet = Sheet {
            title: self.title.clone(),
            subtitle: self.subtitle.clone(),
            per_row: 1,
            panel_width: 520.0,
            row_heights: vec![300.0, 130.0],
            columns: Columns::Shared,
            plots: vec![plot(&self.upper, &self.upper_layers), plot(&self.lower, &self.lower_layers)],
        };
        Ok(Figure::new(&self.title, self.description.clone(), sheet.draw(&Fonts::embedded()?)?))
    }
}

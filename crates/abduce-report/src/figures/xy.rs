//! A figure of free layers.

use crate::draw::font::Fonts;
use crate::error::FigureError;
use crate::figure::Figure;
use crate::figures::{Remark, remarks};
use crate::plot::{Axis, Layer, Plot};
use crate::sheet::{Columns, Sheet};

/// Proportions of a single panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// For histograms and functions.
    #[default]
    Wide,
    /// For comparisons of two measurements of the same thing.
    Square,
}

/// One panel with any layers: a scatter plot with error bars and a 1:1 line, predictive counts against observed ones, a function with its band.
///
/// ```
/// use abduce_report::{Axis, Layer, Tone, Xy};
/// let figure = Xy {
///     title: "Counts".into(),
///     x: Axis::linear(r"y_0 [10^{-4}]"),
///     y: Axis::linear("clusters"),
///     layers: vec![Layer::Histogram { name: None, edges: vec![0.0, 1.0, 2.0], heights: vec![4.0, 2.0], tone: Tone::Series(0) }],
///     ..Xy::default()
/// }
/// .figure()?;
/// assert!(figure.svg()?.contains("clusters"));
/// # Ok::<(), abduce_report::FigureError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Xy {
    /// Title above the panel; also names the figure for screen readers.
    pub title: String,
    /// What the figure shows, for those who cannot see it.
    pub description: String,
    /// Numbers under the title.
    pub remarks: Vec<Remark>,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// What is drawn, from back to front.
    pub layers: Vec<Layer>,
    /// Proportions.
    pub shape: Shape,
}

impl Xy {
    /// Draws the figure.
    pub fn figure(&self) -> Result<Figure, FigureError> {
        let (panel_width, height) = match self.shape {
            Shape::Wide => (520.0, 300.0),
            Shape::Square => (380.0, 380.0),
        };
        let plot = Plot { x: self.x.clone(), y: self.y.clone(), layers: self.layers.clone(), ..Plot::default() };
        let sheet = Sheet {
            title: self.title.clone(),
            subtitle: remarks(&self.remarks),
            per_row: 1,
            panel_width,
            row_heights: vec![height],
            columns: Columns::Separate,
            plots: vec![plot],
        };
        Ok(Figure::new(&self.title, self.description.clone(), sheet.draw(&Fonts::embedded()?)?))
    }
}

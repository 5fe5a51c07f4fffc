//! Curves and their ratios to a reference.

use crate::draw::{Dash, font::Fonts};
use crate::error::{FigureError, finite, finite_of_length, some};
use crate::figure::Figure;
use crate::plot::{Axis, Layer, Plot, Tone};
use crate::sheet::{Columns, Sheet};

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Name in the legend.
    pub name: String,
    /// Ordinates, one per abscissa.
    pub y: Vec<f64>,
}

/// Curves over one another, and under them their ratios, which arrive computed: `ratios[i]` belongs to `curves[i]`.
#[derive(Debug, Clone, PartialEq)]
pub struct RatioCurves {
    /// Title.
    pub title: String,
    /// What the figure shows, for those who cannot see it.
    pub description: String,
    /// Horizontal axis of both panels.
    pub x_axis: Axis,
    /// Vertical axis of the upper panel.
    pub y_axis: Axis,
    /// Label of the lower panel's vertical axis.
    pub ratio_label: String,
    /// Abscissae.
    pub x: Vec<f64>,
    /// The curves, from back to front.
    pub curves: Vec<Curve>,
    /// Ratios of each to the reference.
    pub ratios: Vec<Vec<f64>>,
}

impl RatioCurves {
    /// Draws the figure.
    pub fn figure(&self) -> Result<Figure, FigureError> {
        some("curves", &self.curves)?;
        finite("x", &self.x)?;
        let (mut upper, mut lower) = (Vec::new(), Vec::new());
        for (index, curve) in self.curves.iter().enumerate() {
            finite_of_length(&curve.name, &curve.y, self.x.len())?;
            let ratio = self.ratios.get(index).map_or(&[][..], Vec::as_slice);
            finite_of_length(&format!("{}: ratio", curve.name), ratio, self.x.len())?;
            let line = |name: Option<String>, y: &[f64]| Layer::Line {
                name,
                x: self.x.clone(),
                y: y.to_vec(),
                tone: Tone::Series(index),
                dash: if index == 0 { Dash::Solid } else { Dash::Dashed },
            };
            upper.push(line(Some(curve.name.clone()), &curve.y));
            lower.push(line(None, ratio));
        }
        let plot = |y: Axis, layers| Plot { x: self.x_axis.clone(), y, layers, ..Plot::default() };
        let sheet = Sheet {
            title: self.title.clone(),
            subtitle: String::new(),
            per_row: 1,
            panel_width: 520.0,
            row_heights: vec![280.0, 150.0],
            columns: Columns::Shared,
            plots: vec![plot(self.y_axis.clone(), upper), plot(Axis::linear(self.ratio_label.clone()), lower)],
        };
        Ok(Figure::new(&self.title, self.description.clone(), sheet.draw(&Fonts::embedded()?)?))
    }
}

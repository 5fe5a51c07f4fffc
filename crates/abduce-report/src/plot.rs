//! What one panel shows: axes and layers of arrays, checked before anything is drawn.

use crate::draw::{Dash, ink::Ink};
use crate::error::{FigureError, finite, finite_of_length, increasing, some};
use crate::ticks::Scale;

/// A colour by role, the same in light and dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tone {
    /// One of several equal things; the palette repeats after seven.
    Series(usize),
    /// True values, thresholds, references: red.
    Truth,
    /// Expectations and their bands: grey.
    Neutral,
    /// The colour of text.
    Text,
}

impl Tone {
    pub(crate) fn ink(self) -> Ink {
        match self {
            Self::Series(index) => Ink::Series(index),
            Self::Truth => Ink::Truth,
            Self::Neutral => Ink::Band,
            Self::Text => Ink::Text,
        }
    }
}

/// One axis.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Axis {
    /// Quantity and unit, in the notation of [`crate::Label`].
    pub label: String,
    /// Linear or logarithmic.
    pub scale: Scale,
    /// Ends of the axis; from the data, with a margin, if absent.
    pub limits: Option<[f64; 2]>,
}

impl Axis {
    /// A linear axis whose ends follow from the data.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    /// A logarithmic axis whose ends follow from the data.
    pub fn log10(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Log10, limits: None }
    }

    /// This axis with fixed ends.
    #[must_use]
    pub fn between(mut self, low: f64, high: f64) -> Self {
        self.limits = Some([low, high]);
        self
    }
}

/// Lengths of error bars, both non-negative.
#[derive(Debug, Clone, PartialEq)]
pub struct Errors {
    /// Towards smaller values.
    pub below: Vec<f64>,
    /// Towards larger values.
    pub above: Vec<f64>,
}

impl Errors {
    /// The same length in both directions.
    pub fn symmetric(sigma: Vec<f64>) -> Self {
        Self { below: sigma.clone(), above: sigma }
    }
}

/// Something drawn in a panel. Layers are drawn in their order. A name puts the layer into the legend; layers of one name share an entry.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Layer {
    /// A line through points.
    Line {
        /// Name in the legend.
        name: Option<String>,
        /// Abscissae.
        x: Vec<f64>,
        /// Ordinates, as many.
        y: Vec<f64>,
        /// Colour.
        tone: Tone,
        /// Pattern.
        dash: Dash,
    },
    /// Discs, with error bars where given.
    Points {
        /// Name in the legend.
        name: Option<String>,
        /// Abscissae.
        x: Vec<f64>,
        /// Ordinates, as many.
        y: Vec<f64>,
        /// Horizontal error bars.
        x_error: Option<Errors>,
        /// Vertical error bars.
        y_error: Option<Errors>,
        /// Colour.
        tone: Tone,
    },
    /// The area between two curves.
    Band {
        /// Name in the legend.
        name: Option<String>,
        /// Abscissae.
        x: Vec<f64>,
        /// Lower curve.
        lower: Vec<f64>,
        /// Upper curve.
        upper: Vec<f64>,
        /// Colour; bands over each other add up.
        tone: Tone,
    },
    /// Bars from zero over adjoining intervals.
    Histogram {
        /// Name in the legend.
        name: Option<String>,
        /// Interval ends, one more than heights.
        edges: Vec<f64>,
        /// Counts or densities.
        heights: Vec<f64>,
        /// Colour.
        tone: Tone,
    },
    /// The line y = x. Without limits it also makes both axes cover the same values.
    Identity {
        /// Name in the legend.
        name: Option<String>,
    },
    /// A vertical line across the panel.
    Vertical {
        /// Name in the legend.
        name: Option<String>,
        /// Where.
        x: f64,
        /// Colour.
        tone: Tone,
        /// Pattern.
        dash: Dash,
    },
    /// A horizontal line across the panel.
    Horizontal {
        /// Name in the legend.
        name: Option<String>,
        /// Where.
        y: f64,
        /// Colour.
        tone: Tone,
        /// Pattern.
        dash: Dash,
    },
}

impl Layer {
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Line { name, .. }
            | Self::Points { name, .. }
            | Self::Band { name, .. }
            | Self::Histogram { name, .. }
            | Self::Identity { name }
            | Self::Vertical { name, .. }
            | Self::Horizontal { name, .. } => name.as_deref(),
        }
    }

    fn check(&self, panel: &str) -> Result<(), FigureError> {
        let what = |array: &str| match self.name() {
            Some(name) => format!("{panel}, {name}: {array}"),
            None => format!("{panel}: {array}"),
        };
        match self {
            Self::Line { x, y, .. } => {
                finite(&what("x"), x)?;
                finite_of_length(&what("y"), y, x.len())
            }
            Self::Points { x, y, x_error, y_error, .. } => {
                finite(&what("x"), x)?;
                finite_of_length(&what("y"), y, x.len())?;
                for (axis, errors) in [("x error", x_error), ("y error", y_error)] {
                    let Some(errors) = errors else { continue };
                    for side in [&errors.below, &errors.above] {
                        finite_of_length(&what(axis), side, x.len())?;
                        if let Some(negative) = side.iter().find(|length| **length < 0.0) {
                            return Err(FigureError::OutOfRange { what: what(axis), value: *negative, must: "at least 0" });
                        }
                    }
                }
                Ok(())
            }
            Self::Band { x, lower, upper, .. } => {
                finite(&what("x"), x)?;
                finite_of_length(&what("lower"), lower, x.len())?;
                finite_of_length(&what("upper"), upper, x.len())
            }
            Self::Histogram { edges, heights, .. } => {
                increasing(&what("edges"), edges)?;
                if edges.len() != heights.len() + 1 {
                    return Err(FigureError::Length { what: what("edges"), expected: heights.len() + 1, found: edges.len() });
                }
                finite(&what("heights"), heights)
            }
            Self::Identity { .. } => Ok(()),
            Self::Vertical { x, .. } => finite(&what("x"), std::slice::from_ref(x)),
            Self::Horizontal { y, .. } => finite(&what("y"), std::slice::from_ref(y)),
        }
    }

    /// Calls `see(x values, y values)` with everything the axes must cover. Error bars do not stretch a logarithmic axis.
    fn extent(&self, log: [Scale; 2], see: &mut impl FnMut(&[f64], &[f64])) {
        match self {
            Self::Line { x, y, .. } => see(x, y),
            Self::Points { x, y, x_error, y_error, .. } => {
                see(x, y);
                let ends = |centre: &[f64], errors: &Errors, scale: Scale| -> Vec<f64> {
                    let below = centre
                        .iter()
                        .zip(&errors.below)
                        .map(|(c, e)| c - e)
                        .filter(|end| scale == Scale::Linear || *end > 0.2 * c_min(centre));
                    below.chain(centre.iter().zip(&errors.above).map(|(c, e)| c + e)).collect()
                };
                if let Some(errors) = x_error {
                    see(&ends(x, errors, log[0]), &[]);
                }
                if let Some(errors) = y_error {
                    see(&[], &ends(y, errors, log[1]));
                }
            }
            Self::Band { x, lower, upper, .. } => {
                see(x, lower);
                see(&[], upper);
            }
            Self::Histogram { edges, heights, .. } => {
                see(edges, heights);
                see(&[], &[0.0]);
            }
            Self::Identity { .. } => {}
            Self::Vertical { x, .. } => see(std::slice::from_ref(x), &[]),
            Self::Horizontal { y, .. } => see(&[], std::slice::from_ref(y)),
        }
    }
}

fn c_min(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// One panel: axes, layers, a header on the left and a remark on the right above it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Plot {
    pub(crate) header: String,
    pub(crate) remark: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) layers: Vec<Layer>,
}

/// Ends of both axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ranges {
    pub(crate) x: [f64; 2],
    pub(crate) y: [f64; 2],
}

impl Plot {
    /// Checks every array, then finds the ends of the axes.
    pub(crate) fn ranges(&self, panel: &str) -> Result<Ranges, FigureError> {
        some(&format!("{panel}: list of layers"), &self.layers)?;
        for layer in &self.layers {
            layer.check(panel)?;
        }
        let (mut x, mut y) = (Extent::default(), Extent::default());
        for layer in &self.layers {
            layer.extent([self.x.scale, self.y.scale], &mut |xs, ys| {
                x.see(xs);
                y.see(ys);
            });
        }
        let grounded = self.layers.iter().any(|layer| matches!(layer, Layer::Histogram { .. }));
        if self.layers.iter().any(|layer| matches!(layer, Layer::Identity { .. })) && self.x.limits.is_none() && self.y.limits.is_none() {
            let both = Extent { low: x.low.min(y.low), high: x.high.max(y.high) };
            (x, y) = (both, both);
        }
        Ok(Ranges {
            x: ends(&format!("{panel}, x axis"), &self.x, x, if grounded { [0.0, 0.0] } else { [0.035, 0.035] })?,
            y: ends(&format!("{panel}, y axis"), &self.y, y, if grounded && y.low >= 0.0 { [0.0, 0.08] } else { [0.05, 0.05] })?,
        })
    }
}

#[derive(Clone, Copy)]
struct Extent {
    low: f64,
    high: f64,
}

impl Default for Extent {
    fn default() -> Self {
        Self { low: f64::INFINITY, high: f64::NEG_INFINITY }
    }
}

impl Extent {
    fn see(&mut self, values: &[f64]) {
        for value in values {
            self.low = self.low.min(*value);
            self.high = self.high.max(*value);
        }
    }
}

fn ends(what: &str, axis: &Axis, extent: Extent, margin: [f64; 2]) -> Result<[f64; 2], FigureError> {
    if let Some(limits) = axis.limits {
        increasing(&format!("{what}: limits"), &limits)?;
        positive_if_log(what, axis.scale, limits[0])?;
        return Ok(limits);
    }
    let extent = if extent.low > extent.high { Extent { low: 0.0, high: 1.0 } } else { extent };
    positive_if_log(what, axis.scale, extent.low)?;
    Ok(padded([extent.low, extent.high], axis.scale, margin))
}

fn positive_if_log(what: &str, scale: Scale, low: f64) -> Result<(), FigureError> {
    if scale == Scale::Log10 && low <= 0.0 {
        return Err(FigureError::OutOfRange { what: what.to_owned(), value: low, must: "positive on a logarithmic axis" });
    }
    Ok(())
}

/// `[low, high]` widened by fractions of its length; a single value, or a length beyond f64's resolution, becomes an interval around it.
pub(crate) fn padded([low, high]: [f64; 2], scale: Scale, margin: [f64; 2]) -> [f64; 2] {
    if scale == Scale::Log10 {
        let logs = padded([low.log10(), high.log10()], Scale::Linear, margin);
        return [10_f64.powf(logs[0]), 10_f64.powf(logs[1])];
    }
    let length = high - low;
    let size = low.abs().max(high.abs());
    if length <= 1e-9 * size || length == 0.0 {
        let around = if size == 0.0 { 1.0 } else { 0.05 * size };
        return [low - around, high + around];
    }
    [low - margin[0] * length, high + margin[1] * length]
}

//! From a plot to marks inside a rectangle.

use crate::draw::font::Fonts;
use crate::draw::ink::Ink;
use crate::draw::{Anchor, Dash, Line, Mark, Paint, Point, Rect, Stroke, Turn};
use crate::label::Label;
use crate::plot::{Axis, Errors, Layer, Plot, Ranges};
use crate::ticks::{Scale, Ticks, linear, logarithmic};

pub(crate) const TICK_SIZE: f64 = 11.0;
pub(crate) const LABEL_SIZE: f64 = 13.0;
pub(crate) const TICK_LENGTH: f64 = 4.0;
/// Clear pixels between neighbouring tick labels.
const LABEL_GAP: f64 = 10.0;
/// Coordinates are held within this many pixels: far outside any window, yet exact in f32.
const FARTHEST: f64 = 1e5;

/// Values along one direction to pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    values: [f64; 2],
    pixels: [f64; 2],
    scale: Scale,
}

impl Span {
    pub(crate) fn new(values: [f64; 2], pixels: [f64; 2], scale: Scale) -> Self {
        Self { values, pixels, scale }
    }

    pub(crate) fn at(&self, value: f64) -> f64 {
        let fraction = match self.scale {
            Scale::Linear => (value - self.values[0]) / (self.values[1] - self.values[0]),
            // What is not positive lies infinitely far below.
            Scale::Log10 => (value.max(f64::MIN_POSITIVE) / self.values[0]).ln() / (self.values[1] / self.values[0]).ln(),
        };
        (self.pixels[0] + fraction * (self.pixels[1] - self.pixels[0])).clamp(-FARTHEST, FARTHEST)
    }

    /// Ticks whose labels, `extent` pixels long along this direction, keep apart.
    pub(crate) fn ticks(&self, most: usize, extent: impl Fn(&str) -> f64) -> Ticks {
        let mut most = most;
        loop {
            let ticks = match self.scale {
                Scale::Linear => linear(self.values[0], self.values[1], most),
                Scale::Log10 => logarithmic(self.values[0], self.values[1], most),
            };
            let apart = ticks.values.windows(2).enumerate().all(|(i, pair)| {
                let room = (self.at(pair[1]) - self.at(pair[0])).abs();
                room >= (extent(&ticks.labels[i]) + extent(&ticks.labels[i + 1])) / 2.0 + LABEL_GAP
            });
            if apart || most <= 2 {
                return ticks;
            }
            most -= 1;
        }
    }
}

/// An axis label with the factor that its tick labels leave out.
pub(crate) fn axis_label(label: &str, exponent: i32) -> Label {
    let text = Label::parse(label);
    if exponent == 0 {
        return text;
    }
    let factor = Label::parse(&format!("$\\times 10^{{{exponent}}}$"));
    if text.is_empty() { factor } else { text.then(Label::text("  (")).then(factor).then(Label::text(")")) }
}

/// A plot whose axes are settled, in a rectangle.
pub(crate) struct Panel {
    pub(crate) rect: Rect,
    pub(crate) x: Span,
    pub(crate) y: Span,
    pub(crate) x_ticks: Ticks,
    pub(crate) y_ticks: Ticks,
}

impl Panel {
    pub(crate) fn new(rect: Rect, ranges: Ranges, x_axis: &Axis, y_axis: &Axis, fonts: &Fonts) -> Self {
        let x = Span::new(ranges.x, [rect.left, rect.right()], x_axis.scale);
        let y = Span::new(ranges.y, [rect.bottom(), rect.top], y_axis.scale);
        let x_ticks = x.ticks(((rect.width / 58.0) as usize).clamp(2, 9), |text| fonts.width(&Label::parse(text), TICK_SIZE));
        // Axes that cover the same values, as for a comparison of two measurements, are marked at the same values.
        let same = ranges.x == ranges.y && x_axis.scale == y_axis.scale;
        let y_ticks = if same { x_ticks.clone() } else { y.ticks(((rect.height / 34.0) as usize).clamp(2, 9), |_| TICK_SIZE - 2.0) };
        Self { rect, x, y, x_ticks, y_ticks }
    }

    pub(crate) fn at(&self, x: f64, y: f64) -> Point {
        [self.x.at(x), self.y.at(y)]
    }

    /// Width of the widest tick label on the left.
    pub(crate) fn tick_label_width(&self, fonts: &Fonts) -> f64 {
        self.y_ticks.labels.iter().map(|text| fonts.width(&Label::parse(text), TICK_SIZE)).fold(0.0, f64::max)
    }

    pub(crate) fn grid(&self) -> Mark {
        let (left, right, top, bottom) = (self.rect.left, self.rect.right(), self.rect.top, self.rect.bottom());
        let inside = |pixel: f64, low: f64, high: f64| pixel > low + 1.0 && pixel < high - 1.0;
        let verticals = self.x_ticks.values.iter().map(|v| crisp(self.x.at(*v))).filter(|p| inside(*p, left, right));
        let horizontals = self.y_ticks.values.iter().map(|v| crisp(self.y.at(*v))).filter(|p| inside(*p, top, bottom));
        Mark::Path {
            lines: verticals
                .map(|x| Line::open(vec![[x, top], [x, bottom]]))
                .chain(horizontals.map(|y| Line::open(vec![[left, y], [right, y]])))
                .collect(),
            fill: None,
            stroke: Some(solid(Ink::Grid, 1.0)),
        }
    }

    /// Box and tick marks.
    pub(crate) fn frame(&self) -> Vec<Mark> {
        let rect = self.rect;
        let mut lines = Vec::new();
        for (ticks, length) in [(&self.x_ticks.values, TICK_LENGTH), (&self.x_ticks.minor, TICK_LENGTH / 2.0)] {
            lines.extend(
                ticks.iter().map(|v| crisp(self.x.at(*v))).map(|x| Line::open(vec![[x, rect.bottom()], [x, rect.bottom() + length]])),
            );
        }
        for (ticks, length) in [(&self.y_ticks.values, TICK_LENGTH), (&self.y_ticks.minor, TICK_LENGTH / 2.0)] {
            lines.extend(ticks.iter().map(|v| crisp(self.y.at(*v))).map(|y| Line::open(vec![[rect.left, y], [rect.left - length, y]])));
        }
        lines.push(Line::closed(rect.corners()));
        vec![Mark::Path { lines, fill: None, stroke: Some(solid(Ink::Frame, 1.0)) }]
    }

    pub(crate) fn bottom_tick_labels(&self) -> impl Iterator<Item = Mark> {
        let y = self.rect.bottom() + TICK_LENGTH + TICK_SIZE;
        self.x_ticks
            .values
            .iter()
            .zip(&self.x_ticks.labels)
            .map(move |(value, text)| Mark::text(Label::parse(text), [self.x.at(*value), y], TICK_SIZE, Anchor::Middle, Ink::Muted))
    }

    pub(crate) fn left_tick_labels(&self) -> impl Iterator<Item = Mark> {
        let x = self.rect.left - TICK_LENGTH - 3.0;
        self.y_ticks.values.iter().zip(&self.y_ticks.labels).map(move |(value, text)| {
            Mark::text(Label::parse(text), [x, self.y.at(*value) + 0.36 * TICK_SIZE], TICK_SIZE, Anchor::End, Ink::Muted)
        })
    }

    /// Axis labels under the tick labels and, upwards, at `left` pixels.
    pub(crate) fn axis_labels(&self, plot: &Plot, left: f64, fonts: &Fonts) -> Vec<Mark> {
        let mut marks = Vec::new();
        let (label, size) = fonts.fit(&axis_label(&plot.x.label, self.x_ticks.exponent), LABEL_SIZE, self.rect.width + 40.0);
        let below = self.rect.bottom() + TICK_LENGTH + TICK_SIZE + LABEL_SIZE + 7.0;
        marks.push(Mark::text(label, [self.rect.left + self.rect.width / 2.0, below], size, Anchor::Middle, Ink::Text));
        let (label, size) = fonts.fit(&axis_label(&plot.y.label, self.y_ticks.exponent), LABEL_SIZE, self.rect.height + 30.0);
        let at = [left, self.rect.top + self.rect.height / 2.0];
        marks.push(Mark::Text { label, at, size, anchor: Anchor::Middle, turn: Turn::Up, ink: Ink::Text });
        marks
    }

    /// Everything inside the box.
    pub(crate) fn contents(&self, plot: &Plot) -> Mark {
        Mark::Window { window: self.rect, marks: plot.layers.iter().flat_map(|layer| self.layer(layer)).collect() }
    }

    fn layer(&self, layer: &Layer) -> Vec<Mark> {
        match layer {
            Layer::Line { x, y, tone, dash, .. } => {
                let points = x.iter().zip(y).map(|(x, y)| self.at(*x, *y)).collect();
                vec![Mark::stroke(points, Stroke { paint: tone.ink().solid(), width: 1.8, dash: *dash })]
            }
            Layer::Points { x, y, x_error, y_error, tone, .. } => self.points(x, y, x_error.as_ref(), y_error.as_ref(), tone.ink()),
            Layer::Band { x, lower, upper, tone, .. } => {
                let upper = x.iter().zip(upper).map(|(x, y)| self.at(*x, *y));
                let lower = x.iter().zip(lower).rev().map(|(x, y)| self.at(*x, *y));
                vec![Mark::fill(upper.chain(lower).collect(), tone.ink().thin(BAND_OPACITY))]
            }
            Layer::Histogram { edges, heights, tone, .. } => {
                let ground = self.y.at(0.0);
                let mut outline = vec![[self.x.at(edges[0]), ground]];
                for (pair, height) in edges.windows(2).zip(heights) {
                    outline.push(self.at(pair[0], *height));
                    outline.push(self.at(pair[1], *height));
                }
                outline.push([self.x.at(edges[edges.len() - 1]), ground]);
                let stroke = solid(tone.ink(), 1.3);
                vec![Mark::fill(outline.clone(), tone.ink().thin(FILL_OPACITY)), Mark::stroke(outline, stroke)]
            }
            Layer::Identity { .. } => {
                // Along curved (one axis logarithmic) identities, straight pieces of 1/64 of the box are indistinguishable.
                let points =
                    (0..=64).map(|i| self.rect.left + self.rect.width * f64::from(i) / 64.0).map(|x| self.identity_at(x)).collect();
                vec![Mark::stroke(points, IDENTITY)]
            }
            Layer::Vertical { x, tone, dash, .. } => {
                let x = self.x.at(*x);
                vec![Mark::stroke(
                    vec![[x, self.rect.top], [x, self.rect.bottom()]],
                    Stroke { paint: tone.ink().solid(), width: 1.5, dash: *dash },
                )]
            }
            Layer::Horizontal { y, tone, dash, .. } => {
                let y = self.y.at(*y);
                vec![Mark::stroke(
                    vec![[self.rect.left, y], [self.rect.right(), y]],
                    Stroke { paint: tone.ink().solid(), width: 1.5, dash: *dash },
                )]
            }
        }
    }

    fn identity_at(&self, pixel: f64) -> Point {
        let fraction = (pixel - self.x.pixels[0]) / (self.x.pixels[1] - self.x.pixels[0]);
        let [low, high] = self.x.values;
        let value = match self.x.scale {
            Scale::Linear => low + fraction * (high - low),
            Scale::Log10 => low * (high / low).powf(fraction),
        };
        [pixel, self.y.at(value)]
    }

    /// Many points become smaller and paler, so that their density stays visible.
    fn points(&self, x: &[f64], y: &[f64], x_error: Option<&Errors>, y_error: Option<&Errors>, ink: Ink) -> Vec<Mark> {
        let crowd = (x.len() as f64 / 150.0).max(1.0).log10();
        let mut bars = Vec::new();
        for (index, (x, y)) in x.iter().zip(y).enumerate() {
            if let Some(errors) = x_error {
                bars.push(Line::open(vec![self.at(x - errors.below[index], *y), self.at(x + errors.above[index], *y)]));
            }
            if let Some(errors) = y_error {
                bars.push(Line::open(vec![self.at(*x, y - errors.below[index]), self.at(*x, y + errors.above[index])]));
            }
        }
        let paint = ink.thin((0.5 - 0.3 * crowd).max(0.08));
        let mut marks = Vec::new();
        if !bars.is_empty() {
            marks.push(Mark::Path { lines: bars, fill: None, stroke: Some(Stroke { paint, width: 1.0, dash: Dash::Solid }) });
        }
        let centres = x.iter().zip(y).map(|(x, y)| self.at(*x, *y)).collect();
        let radius = if x.len() < 10 { 3.6 } else { (2.5 - 0.8 * crowd).max(1.1) };
        marks.push(Mark::Dots { centres, radius, paint: ink.thin((0.9 - 0.15 * crowd).max(0.5)) });
        marks
    }
}

pub(crate) const BAND_OPACITY: f64 = 0.2;
pub(crate) const FILL_OPACITY: f64 = 0.3;
pub(crate) const IDENTITY: Stroke = Stroke { paint: Paint { ink: Ink::Muted, opacity: 1.0 }, width: 1.2, dash: Dash::Dashed };

pub(crate) fn solid(ink: Ink, width: f64) -> Stroke {
    Stroke { paint: ink.solid(), width, dash: Dash::Solid }
}

/// The middle of a pixel: a line of one pixel's width then covers one row, not two halves.
pub(crate) fn crisp(pixel: f64) -> f64 {
    pixel.floor() + 0.5
}

//! The drawing under every figure: a flat list of marks in pixels, written as SVG text or painted as PNG.
//!
//! Two writers for one list, instead of rendering our own SVG: the marks are few and simple, text is placed with the same font metrics in
//! both, and no XML, CSS or shaping library has to be linked.

pub(crate) mod font;
pub(crate) mod ink;
pub(crate) mod raster;
pub(crate) mod svg;

use crate::label::Label;
use ink::Ink;

/// A point in pixels, y downwards.
pub(crate) type Point = [f64; 2];

/// An axis-parallel rectangle in pixels, y downwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rect {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Rect {
    pub(crate) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(crate) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    pub(crate) fn corners(&self) -> Vec<Point> {
        vec![[self.left, self.top], [self.right(), self.top], [self.right(), self.bottom()], [self.left, self.bottom()]]
    }
}

/// A colour and how much of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Paint {
    pub(crate) ink: Ink,
    pub(crate) opacity: f64,
}

impl Ink {
    pub(crate) fn solid(self) -> Paint {
        Paint { ink: self, opacity: 1.0 }
    }

    pub(crate) fn thin(self, opacity: f64) -> Paint {
        Paint { ink: self, opacity }
    }
}

/// A line's look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stroke {
    pub(crate) paint: Paint,
    pub(crate) width: f64,
    pub(crate) dash: Dash,
}

/// Continuous, or a pattern: colour alone never tells two lines apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dash {
    /// A continuous line.
    #[default]
    Solid,
    /// Long strokes.
    Dashed,
    /// Dots.
    Dotted,
    /// Strokes and dots.
    DashDotted,
}

impl Dash {
    /// Lengths of stroke and gap in pixels.
    pub(crate) fn pattern(self) -> Option<&'static [f32]> {
        match self {
            Self::Solid => None,
            Self::Dashed => Some(&[6.0, 3.5]),
            Self::Dotted => Some(&[1.5, 3.0]),
            Self::DashDotted => Some(&[7.0, 3.0, 1.5, 3.0]),
        }
    }

    /// The pattern of curve `index` of several.
    pub(crate) fn of_series(index: usize) -> Self {
        [Self::Solid, Self::Dashed, Self::DashDotted, Self::Dotted][index % 4]
    }
}

/// Straight stretches through `points`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) points: Vec<Point>,
    pub(crate) closed: bool,
}

impl Line {
    pub(crate) fn open(points: Vec<Point>) -> Self {
        Self { points, closed: false }
    }

    pub(crate) fn closed(points: Vec<Point>) -> Self {
        Self { points, closed: true }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// Reading direction of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Level,
    /// From bottom to top.
    Up,
}

/// One thing to draw. Later marks lie over earlier ones.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mark {
    /// Several lines or rings; where rings overlap an odd number of times is inside.
    Path { lines: Vec<Line>, fill: Option<Paint>, stroke: Option<Stroke> },
    /// Equal discs.
    Dots { centres: Vec<Point>, radius: f64, paint: Paint },
    /// A label whose baseline is anchored at a point.
    Text { label: Label, at: Point, size: f64, anchor: Anchor, turn: Turn, ink: Ink },
    /// Marks cut to a window.
    Window { window: Rect, marks: Vec<Self> },
}

impl Mark {
    pub(crate) fn fill(ring: Vec<Point>, paint: Paint) -> Self {
        Self::Path { lines: vec![Line::closed(ring)], fill: Some(paint), stroke: None }
    }

    pub(crate) fn stroke(points: Vec<Point>, stroke: Stroke) -> Self {
        Self::Path { lines: vec![Line::open(points)], fill: None, stroke: Some(stroke) }
    }

    pub(crate) fn text(label: Label, at: Point, size: f64, anchor: Anchor, ink: Ink) -> Self {
        Self::Text { label, at, size, anchor, turn: Turn::Level, ink }
    }
}

/// A finished drawing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drawing {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) marks: Vec<Mark>,
}

//! A drawing as PNG.

use tiny_skia::{Color, FillRule, LineCap, LineJoin, Mask, Paint as SkiaPaint, Path, PathBuilder, Pixmap, StrokeDash, Transform};
use ttf_parser::OutlineBuilder;

use super::font::Fonts;
use super::ink::{Ink, Theme};
use super::{Anchor, Drawing, Line, Mark, Paint, Point, Rect, Stroke, Turn};
use crate::error::FigureError;
use crate::label::Label;

/// Largest side of a picture in pixels: 16384² RGBA is a gigabyte.
pub(crate) const LARGEST_SIDE: u32 = 16_384;

/// Paints `drawing` at `scale` device pixels per unit.
pub(crate) fn png(drawing: &Drawing, fonts: &Fonts, theme: Theme, scale: f64) -> Result<Vec<u8>, FigureError> {
    let (width, height) = ((drawing.width * scale).round(), (drawing.height * scale).round());
    let sound = |side: f64| (1.0..=f64::from(LARGEST_SIDE)).contains(&side);
    let pixmap = if sound(width) && sound(height) { Pixmap::new(width as u32, height as u32) } else { None };
    let Some(mut pixmap) = pixmap else {
        return Err(FigureError::PictureSize { width, height, scale, limit: LARGEST_SIDE });
    };
    pixmap.fill(colour(Ink::Paper.solid(), theme));
    let mut painter = Painter { pixmap: &mut pixmap, fonts, theme, scale: Transform::from_scale(scale as f32, scale as f32) };
    for mark in &drawing.marks {
        painter.mark(mark, None);
    }
    pixmap.encode_png().map_err(|error| FigureError::Drawing { reason: error.to_string() })
}

fn colour(paint: Paint, theme: Theme) -> Color {
    let [red, green, blue] = paint.ink.rgb(theme);
    Color::from_rgba8(red, green, blue, (paint.opacity.clamp(0.0, 1.0) * 255.0).round() as u8)
}

struct Painter<'a> {
    pixmap: &'a mut Pixmap,
    fonts: &'a Fonts,
    theme: Theme,
    scale: Transform,
}

impl Painter<'_> {
    fn mark(&mut self, mark: &Mark, clip: Option<&Mask>) {
        match mark {
            Mark::Path { lines, fill, stroke } => {
                let Some(path) = path_of(lines) else { return };
                if let Some(paint) = fill {
                    self.fill(&path, *paint, FillRule::EvenOdd, self.scale, clip);
                }
                if let Some(stroke) = stroke {
                    self.stroke(&path, *stroke, clip);
                }
            }
            Mark::Dots { centres, radius, paint } => {
                let mut builder = PathBuilder::new();
                for centre in centres {
                    builder.push_circle(centre[0] as f32, centre[1] as f32, *radius as f32);
                }
                if let Some(path) = builder.finish() {
                    self.fill(&path, *paint, FillRule::Winding, self.scale, clip);
                }
            }
            Mark::Text { label, at, size, anchor, turn, ink } => self.text(label, *at, *size, *anchor, *turn, *ink, clip),
            Mark::Window { window, marks } => {
                let mask = self.mask(*window);
                for mark in marks {
                    self.mark(mark, mask.as_ref());
                }
            }
        }
    }

    fn mask(&self, window: Rect) -> Option<Mask> {
        let mut mask = Mask::new(self.pixmap.width(), self.pixmap.height())?;
        let path = path_of(&[Line::closed(window.corners())])?;
        mask.fill_path(&path, FillRule::Winding, true, self.scale);
        Some(mask)
    }

    fn fill(&mut self, path: &Path, paint: Paint, rule: FillRule, transform: Transform, clip: Option<&Mask>) {
        self.pixmap.fill_path(path, &self.paint(paint), rule, transform, clip);
    }

    fn stroke(&mut self, path: &Path, stroke: Stroke, clip: Option<&Mask>) {
        let style = tiny_skia::Stroke {
            width: stroke.width as f32,
            line_cap: LineCap::Butt,
            line_join: LineJoin::Round,
            dash: stroke.dash.pattern().and_then(|pattern| StrokeDash::new(pattern.to_vec(), 0.0)),
            ..tiny_skia::Stroke::default()
        };
        self.pixmap.stroke_path(path, &self.paint(stroke.paint), &style, self.scale, clip);
    }

    fn paint(&self, paint: Paint) -> SkiaPaint<'static> {
        let mut skia = SkiaPaint::default();
        skia.set_color(colour(paint, self.theme));
        skia.anti_alias = true;
        skia
    }

    fn text(&mut self, label: &Label, at: Point, size: f64, anchor: Anchor, turn: Turn, ink: Ink, clip: Option<&Mask>) {
        let placement = self.fonts.place(label);
        let start = match anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -placement.width / 2.0,
            Anchor::End => -placement.width,
        } * size;
        let turn = match turn {
            Turn::Level => Transform::identity(),
            Turn::Up => Transform::from_rotate(-90.0),
        };
        let origin = turn.post_translate(at[0] as f32, at[1] as f32).post_concat(self.scale);
        let fonts = self.fonts;
        for (run, left) in label.runs.iter().zip(&placement.left) {
            let mut outline = GlyphPath { builder: PathBuilder::new(), left: 0.0, base: 0.0, unit: 0.0 };
            outline.unit = (size * run.scale / f64::from(fonts.face(run.slant).units_per_em())) as f32;
            outline.base = (-run.rise * size) as f32;
            fonts.glyphs(&run.text, run.slant, |glyph, offset| {
                outline.left = (start + left * size + offset * run.scale * size) as f32;
                fonts.outline(glyph, run.slant, &mut outline);
            });
            if let Some(path) = outline.builder.finish() {
                self.fill(&path, ink.solid(), FillRule::Winding, origin, clip);
            }
        }
    }
}

fn path_of(lines: &[Line]) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for line in lines {
        for (index, point) in line.points.iter().enumerate() {
            let (x, y) = (point[0] as f32, point[1] as f32);
            if index == 0 { builder.move_to(x, y) } else { builder.line_to(x, y) }
        }
        if line.closed && !line.points.is_empty() {
            builder.close();
        }
    }
    builder.finish()
}

/// Font units, y upwards, into pixels, y downwards.
struct GlyphPath {
    builder: PathBuilder,
    left: f32,
    base: f32,
    unit: f32,
}

impl GlyphPath {
    fn x(&self, x: f32) -> f32 {
        self.left + x * self.unit
    }

    fn y(&self, y: f32) -> f32 {
        self.base - y * self.unit
    }
}

impl OutlineBuilder for GlyphPath {
    fn move_to(&mut self, x: f32, y: f32) {
        self.builder.move_to(self.x(x), self.y(y));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.builder.line_to(self.x(x), self.y(y));
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.builder.quad_to(self.x(x1), self.y(y1), self.x(x), self.y(y));
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.builder.cubic_to(self.x(x1), self.y(y1), self.x(x2), self.y(y2), self.x(x), self.y(y));
    }

    fn close(&mut self) {
        self.builder.close();
    }
}

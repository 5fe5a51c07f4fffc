//! Small grey pictures in rows and columns.

use crate::draw::font::Fonts;
use crate::draw::ink::Ink;
use crate::draw::{Anchor, Drawing, Line, Mark, Rect};
use crate::error::{FigureError, finite_of_length, some};
use crate::figure::Figure;
use crate::label::Label;

/// Shades between the paper and the ink.
const SHADES: usize = 20;
const MARGIN: f64 = 14.0;
const GAP: f64 = 6.0;
const TEXT: f64 = 12.0;
const TITLE: f64 = 15.0;
/// Pixels of a picture's longer side.
const SIDE: f64 = 72.0;

/// A table of pictures with names for its rows and columns: reconstructions at several widths, walks along latents. All share one range of values: the
/// lowest is the paper, the highest the ink.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pictures {
    /// Title above; also names the figure for screen readers.
    pub title: String,
    /// What the figure shows, for those who cannot see it.
    pub description: String,
    /// Height and width of a picture in its own pixels.
    pub size: [usize; 2],
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Names of the rows, each with one picture per column: values row by row from the top.
    pub rows: Vec<(String, Vec<Vec<f64>>)>,
}

impl Pictures {
    /// Draws the figure.
    pub fn figure(&self) -> Result<Figure, FigureError> {
        let [height, width] = self.size;
        some("columns", &self.columns)?;
        some("rows", &self.rows)?;
        if height * width == 0 {
            return Err(FigureError::Empty { what: "a picture".to_owned() });
        }
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for (name, pictures) in &self.rows {
            if pictures.len() != self.columns.len() {
                return Err(FigureError::Length { what: format!("row {name}"), expected: self.columns.len(), found: pictures.len() });
            }
            for picture in pictures {
                finite_of_length(&format!("a picture of row {name}"), picture, height * width)?;
                picture.iter().for_each(|&v| (low, high) = (low.min(v), high.max(v)));
            }
        }
        let span = if high > low { high - low } else { 1.0 };
        let fonts = Fonts::embedded()?;
        let pixel = SIDE / height.max(width) as f64;
        let (w, h) = (pixel * width as f64, pixel * height as f64);
        let names = self.rows.iter().map(|(name, _)| fonts.width(&Label::parse(name), TEXT)).fold(0.0, f64::max);
        let left = (MARGIN + names + 8.0).ceil();
        let top = MARGIN + TITLE + 12.0 + TEXT + 8.0;
        let mut marks = vec![Mark::text(Label::parse(&self.title), [left, MARGIN + TITLE], TITLE, Anchor::Start, Ink::Text)];
        for (c, name) in self.columns.iter().enumerate() {
            let (label, size) = fonts.fit(&Label::parse(name), TEXT, w + GAP);
            marks.push(Mark::text(label, [left + c as f64 * (w + GAP) + w / 2.0, top - 7.0], size, Anchor::Middle, Ink::Muted));
        }
        // One path per shade, runs of equal pixels joined: a few thousand rectangles at most.
        let mut shades: Vec<Vec<Line>> = vec![Vec::new(); SHADES + 1];
        let mut frames = Vec::new();
        for (r, (name, pictures)) in self.rows.iter().enumerate() {
            let y = top + r as f64 * (h + GAP);
            marks.push(Mark::text(Label::parse(name), [left - 8.0, y + h / 2.0 + 0.36 * TEXT], TEXT, Anchor::End, Ink::Muted));
            for (c, picture) in pictures.iter().enumerate() {
                let x = left + c as f64 * (w + GAP);
                frames.push(Line::closed(Rect { left: x, top: y, width: w, height: h }.corners()));
                let shade = |at: usize| ((picture[at] - low) / span * SHADES as f64).round() as usize;
                for row in 0..height {
                    let mut start = 0;
                    while start < width {
                        let own = shade(row * width + start);
                        let end = (start + 1..width).find(|&j| shade(row * width + j) != own).unwrap_or(width);
                        if own > 0 {
                            let run = Rect {
                                left: x + start as f64 * pixel,
                                top: y + row as f64 * pixel,
                                width: (end - start) as f64 * pixel,
                                height: pixel,
                            };
                            shades[own].push(Line::closed(run.corners()));
                        }
                        start = end;
                    }
                }
            }
        }
        for (shade, lines) in shades.into_iter().enumerate().filter(|(_, lines)| !lines.is_empty()) {
            marks.push(Mark::Path { lines, fill: Some(Ink::Text.thin(shade as f64 / SHADES as f64)), stroke: None });
        }
        marks.push(Mark::Path { lines: frames, fill: None, stroke: Some(crate::panel::solid(Ink::Frame, 0.6)) });
        let columns = self.columns.len() as f64;
        let title = fonts.width(&Label::parse(&self.title), TITLE);
        let drawing = Drawing {
            width: (left + (columns * (w + GAP)).max(title) + MARGIN).ceil(),
            height: (top + self.rows.len() as f64 * (h + GAP) + MARGIN).ceil(),
            marks,
        };
        Ok(Figure::new(&self.title, self.description.clone(), drawing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_drawn_and_wrong_ones_refused() {
        let picture = |v: f64| vec![0.0, v, 1.0, v, 1.0, 0.0];
        let mut pictures = Pictures {
            title: "Codes".into(),
            size: [2, 3],
            columns: vec!["data".into(), "2".into()],
            rows: vec![("first".into(), vec![picture(0.2), picture(0.7)])],
            ..Pictures::default()
        };
        let svg = pictures.figure().unwrap().svg().unwrap();
        assert!(svg.contains("first") && svg.contains("data"));
        pictures.rows[0].1[1][2] = f64::NAN;
        assert!(matches!(pictures.figure(), Err(FigureError::NotFinite { index: 2, .. })));
        pictures.rows[0].1.pop();
        assert!(matches!(pictures.figure(), Err(FigureError::Length { expected: 2, found: 1, .. })));
    }
}

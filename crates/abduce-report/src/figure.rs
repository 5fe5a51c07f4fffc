//! A finished figure and its two forms.

use crate::draw::font::Fonts;
use crate::draw::ink::Theme;
use crate::draw::{Drawing, raster, svg};
use crate::error::FigureError;
use crate::label::Label;

/// A figure ready to be written. Same input, same bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    title: String,
    description: String,
    drawing: Drawing,
}

impl Figure {
    pub(crate) fn new(title: &str, description: String, drawing: Drawing) -> Self {
        Self { title: Label::parse(title).plain(), description, drawing }
    }

    /// Title in plain Unicode.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What the figure shows, for those who cannot see it.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Width and height in CSS pixels.
    pub fn size(&self) -> [f64; 2] {
        [self.drawing.width, self.drawing.height]
    }

    /// A self-contained SVG file, light or dark as its viewer is.
    pub fn svg(&self) -> Result<String, FigureError> {
        Ok(svg::standalone(&self.drawing, &Fonts::embedded()?, &self.title, &self.description))
    }

    /// A light PNG with `scale` device pixels per CSS pixel; 2 suits screens and print.
    pub fn png(&self, scale: f64) -> Result<Vec<u8>, FigureError> {
        self.png_in(Theme::Light, scale)
    }

    /// A PNG for light or dark surroundings.
    pub fn png_in(&self, theme: Theme, scale: f64) -> Result<Vec<u8>, FigureError> {
        raster::png(&self.drawing, &Fonts::embedded()?, theme, scale)
    }

    pub(crate) fn inline(&self, fonts: &Fonts) -> String {
        svg::inline(&self.drawing, fonts, &self.title, &self.description)
    }
}

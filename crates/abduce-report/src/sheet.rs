//! Panels side by side under one title and legend.

use crate::draw::font::Fonts;
use crate::draw::ink::Ink;
use crate::draw::{Anchor, Drawing, Mark, Point, Rect, Stroke};
use crate::error::FigureError;
use crate::label::Label;
use crate::panel::{BAND_OPACITY, FILL_OPACITY, IDENTITY, LABEL_SIZE, Panel, TICK_LENGTH, TICK_SIZE, crisp, solid};
use crate::plot::{Layer, Plot, Tone};

const MARGIN: f64 = 14.0;
const TITLE_SIZE: f64 = 15.0;
const SMALL_SIZE: f64 = 11.5;
const LEGEND_ROW: f64 = 20.0;
const KEY_WIDTH: f64 = 24.0;

/// How panels that stand over each other share their x axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Each panel has its own.
    Separate,
    /// One column; only the lowest panel shows it.
    Shared,
}

/// A figure made of equally wide panels, filled row by row.
#[derive(Debug)]
pub(crate) struct Sheet {
    pub(crate) title: String,
    /// A line of numbers under the title.
    pub(crate) subtitle: String,
    pub(crate) per_row: usize,
    pub(crate) panel_width: f64,
    /// Panel height of each row; the last one repeats.
    pub(crate) row_heights: Vec<f64>,
    pub(crate) columns: Columns,
    pub(crate) plots: Vec<Plot>,
}

impl Sheet {
    pub(crate) fn draw(&self, fonts: &Fonts) -> Result<Drawing, FigureError> {
        let per_row = self.per_row.min(self.plots.len()).max(1);
        let rows = self.plots.len().div_ceil(per_row);
        let height_of = |row: usize| self.row_heights.get(row).or(self.row_heights.last()).copied().unwrap_or(200.0);
        let ranges: Vec<_> = self.plots.iter().enumerate().map(|(i, plot)| plot.ranges(&self.panel_name(i))).collect::<Result<_, _>>()?;

        // A first pass at the origin tells how wide the tick labels are; panels keep their size, margins grow.
        let tick_width = self.plots.iter().zip(&ranges).enumerate().fold(0.0_f64, |widest, (index, (plot, ranges))| {
            let rect = Rect { left: 0.0, top: 0.0, width: self.panel_width, height: height_of(index / per_row) };
            widest.max(Panel::new(rect, *ranges, &plot.x, &plot.y, fonts).tick_label_width(fonts))
        });
        let has = |label: fn(&Plot) -> &str| self.plots.iter().any(|plot| !label(plot).is_empty());
        let y_label = if has(|plot| &plot.y.label) { LABEL_SIZE + 8.0 } else { 0.0 };
        let left = (tick_width + TICK_LENGTH + 3.0 + y_label).ceil();
        let header = if has(|plot| &plot.header) || has(|plot| &plot.remark) { 20.0 } else { 0.0 };
        let foot = TICK_LENGTH + TICK_SIZE + if has(|plot| &plot.x.label) { LABEL_SIZE + 12.0 } else { 4.0 };
        let (gap_x, gap_y) = (22.0, 14.0);

        let width = (2.0 * MARGIN + per_row as f64 * (left + self.panel_width) + (per_row - 1) as f64 * gap_x).ceil() + 6.0;
        let mut marks = Vec::new();
        let mut top = MARGIN;
        let text_left = crisp(MARGIN + left);
        for (text, size, ink) in [(&self.title, TITLE_SIZE, Ink::Text), (&self.subtitle, SMALL_SIZE, Ink::Muted)] {
            if !text.is_empty() {
                let (label, size) = fonts.fit(&Label::parse(text), size, width - text_left - MARGIN);
                marks.push(Mark::text(label, [text_left, top + size], size, Anchor::Start, ink));
                top += size + 8.0;
            }
        }
        top = legend(&self.plots, text_left, width - MARGIN, top, fonts, &mut marks);
        top = top.ceil();

        for row in 0..rows {
            let height = height_of(row);
            top += header;
            for column in 0..per_row {
                let index = row * per_row + column;
                let Some(plot) = self.plots.get(index) else { break };
                let rect_left = crisp(MARGIN + left + column as f64 * (left + self.panel_width + gap_x));
                let rect = Rect { left: rect_left, top: crisp(top), width: self.panel_width, height };
                let panel = Panel::new(rect, ranges[index], &plot.x, &plot.y, fonts);
                marks.push(panel.grid());
                marks.push(panel.contents(plot));
                marks.extend(panel.frame());
                marks.extend(panel.left_tick_labels());
                let lowest = row + 1 == rows;
                if self.columns == Columns::Separate || lowest {
                    marks.extend(panel.bottom_tick_labels());
                }
                let silent = self.columns == Columns::Shared && !lowest;
                let mut labels = panel.axis_labels(plot, rect_left - left + LABEL_SIZE, fonts);
                if silent {
                    labels.remove(0);
                }
                marks.extend(labels);
                self.headers(plot, rect, fonts, &mut marks);
            }
            top += height + if self.columns == Columns::Separate || row + 1 == rows { foot } else { 0.0 };
            top += if row + 1 < rows { gap_y } else { MARGIN };
        }
        Ok(Drawing { width, height: top.ceil(), marks })
    }

    fn panel_name(&self, index: usize) -> String {
        match self.plots.get(index).map(|plot| plot.header.as_str()) {
            Some(header) if !header.is_empty() => format!("panel {header}"),
            _ if self.plots.len() == 1 => "figure".to_owned(),
            _ => format!("panel {}", index + 1),
        }
    }

    fn headers(&self, plot: &Plot, rect: Rect, fonts: &Fonts, marks: &mut Vec<Mark>) {
        let baseline = rect.top - 7.0;
        let header = Label::parse(&plot.header);
        let remark = Label::parse(&plot.remark);
        let (remark, remark_size) = fonts.fit(&remark, SMALL_SIZE, rect.width * if header.is_empty() { 1.0 } else { 0.72 });
        let room = rect.width - fonts.width(&remark, remark_size) - 10.0;
        let (header, header_size) = fonts.fit(&header, LABEL_SIZE, room);
        marks.push(Mark::text(header, [rect.left, baseline], header_size, Anchor::Start, Ink::Text));
        marks.push(Mark::text(remark, [rect.right(), baseline], remark_size, Anchor::End, Ink::Muted));
    }
}

/// Names and keys in rows from the left, wrapped at `right`; gives the new top.
fn legend(plots: &[Plot], left: f64, right: f64, top: f64, fonts: &Fonts, marks: &mut Vec<Mark>) -> f64 {
    let mut entries: Vec<(&str, &Layer)> = Vec::new();
    for layer in plots.iter().flat_map(|plot| &plot.layers) {
        if let Some(name) = layer.name().filter(|name| entries.iter().all(|(seen, _)| seen != name)) {
            entries.push((name, layer));
        }
    }
    if entries.is_empty() {
        return top + 2.0;
    }
    entries.sort_by_key(|(_, layer)| match layer {
        Layer::Line { .. } | Layer::Points { .. } | Layer::Histogram { .. } => 0,
        Layer::Band { .. } => 1,
        Layer::Identity { .. } | Layer::Vertical { .. } | Layer::Horizontal { .. } => 2,
    });
    let mut bands: Vec<Tone> = Vec::new();
    let (mut x, mut y) = (left, top + LEGEND_ROW / 2.0);
    for (name, layer) in entries {
        let (label, size) = fonts.fit(&Label::parse(name), SMALL_SIZE, right - left - KEY_WIDTH);
        let length = KEY_WIDTH + fonts.width(&label, size) + 18.0;
        if x > left && x + length - 18.0 > right {
            (x, y) = (left, y + LEGEND_ROW);
        }
        // Bands of one colour lie over each other, so each further one looks darker; its key does too.
        let mut depth = 1;
        if let Layer::Band { tone, .. } = layer {
            bands.push(*tone);
            depth = bands.iter().filter(|other| *other == tone).count() as i32;
        }
        marks.extend(key(layer, [x, y], depth));
        marks.push(Mark::text(label, [x + KEY_WIDTH, y + 0.36 * size], size, Anchor::Start, Ink::Text));
        x += length;
    }
    y + LEGEND_ROW / 2.0 + 4.0
}

/// The key of a layer in a box of 18 × 10 pixels around a height; `depth` bands of its colour lie over each other.
fn key(layer: &Layer, [x, y]: Point, depth: i32) -> Vec<Mark> {
    let line = |stroke: Stroke| Mark::stroke(vec![[x, y], [x + 18.0, y]], stroke);
    let area = Rect { left: x, top: y - 5.0, width: 18.0, height: 10.0 }.corners();
    match layer {
        Layer::Line { tone, dash, .. } => vec![line(Stroke { dash: *dash, ..solid(tone.ink(), 2.0) })],
        Layer::Points { tone, y_error, x_error, .. } => {
            let mut marks = vec![Mark::Dots { centres: vec![[x + 9.0, y]], radius: 2.6, paint: tone.ink().solid() }];
            if y_error.is_some() || x_error.is_some() {
                marks.push(Mark::stroke(vec![[x + 9.0, y - 6.0], [x + 9.0, y + 6.0]], solid(tone.ink(), 1.0)));
            }
            marks
        }
        Layer::Band { tone, .. } => vec![Mark::fill(area, tone.ink().thin(1.0 - (1.0 - BAND_OPACITY).powi(depth)))],
        Layer::Histogram { tone, .. } => {
            vec![Mark::Path {
                lines: vec![crate::draw::Line::closed(area)],
                fill: Some(tone.ink().thin(FILL_OPACITY)),
                stroke: Some(solid(tone.ink(), 1.2)),
            }]
        }
        Layer::Identity { .. } => vec![line(IDENTITY)],
        Layer::Vertical { tone, dash, .. } | Layer::Horizontal { tone, dash, .. } => {
            vec![line(Stroke { dash: *dash, ..solid(tone.ink(), 1.6) })]
        }
    }
}

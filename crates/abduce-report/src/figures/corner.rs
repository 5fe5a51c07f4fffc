//! Corner plots: every pair of parameters, and each one alone on the diagonal.

use crate::contour::rings;
use crate::density::{Support, quantile, smooth, smooth_pair};
use crate::draw::font::Fonts;
use crate::draw::ink::Ink;
use crate::draw::{Anchor, Dash, Drawing, Line, Mark, Point, Rect, Stroke, Turn};
use crate::error::{FigureError, finite, finite_of_length, some};
use crate::figure::Figure;
use crate::label::Label;
use crate::panel::{LABEL_SIZE, Panel, Span, TICK_LENGTH, TICK_SIZE, axis_label, solid};
use crate::plot::padded;
use crate::ticks::{Scale, Ticks, fixed, linear};

/// Enclosed fractions of the filled contours, outermost first.
const FRACTIONS: [f64; 2] = [0.95, 0.68];
/// Fewer draws have no contours worth drawing.
const FEWEST_DRAWS: usize = 20;
const GAP: f64 = 10.0;
const MARGIN: f64 = 14.0;
const LINE: f64 = 18.0;

/// Draws of one posterior.
#[derive(Debug, Clone, PartialEq)]
pub struct CornerPosterior {
    /// Name in the legend; empty if there is only one.
    pub name: String,
    /// Draws, shape (n, d), row-major.
    pub samples: Vec<f64>,
}

/// Which values the axes cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CornerView {
    /// Where the draws (and the truth) are.
    #[default]
    Posterior,
    /// The whole prior; needs its limits.
    Prior,
}

/// A corner plot of one or several posteriors over the same parameters.
///
/// Off the diagonal, filled contours enclose 68 % and 95 % of the draws. On it, densities are scaled to the same height, and the central 68 %
/// of a single posterior are shaded; with one or two posteriors, median and distances to the 16 % and 84 % quantiles stand above. True values
/// are red. Densities end at the prior's limits where these are given.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Corner {
    /// Title.
    pub title: String,
    /// The d parameters, in the notation of [`Label`].
    pub labels: Vec<String>,
    /// The posteriors; the first is drawn on top.
    pub posteriors: Vec<CornerPosterior>,
    /// True values, d of them.
    pub truth: Option<Vec<f64>>,
    /// Limits of the prior's support, d pairs; infinite where there is none.
    pub limits: Option<Vec<[f64; 2]>>,
    /// Which values the axes cover.
    pub view: CornerView,
}

/// One posterior, column by column.
struct Columns {
    values: Vec<Vec<f64>>,
    sorted: Vec<Vec<f64>>,
    supports: Vec<Support>,
}

/// Sizes of the grid in pixels.
struct Layout {
    left: f64,
    top: f64,
    side: f64,
}

impl Layout {
    fn rect(&self, row: usize, column: usize) -> Rect {
        let place = |start: f64, index: usize| start + index as f64 * (self.side + GAP);
        Rect { left: place(self.left, column), top: place(self.top, row), width: self.side, height: self.side }
    }
}

impl Corner {
    /// Draws the figure.
    pub fn figure(&self) -> Result<Figure, FigureError> {
        let fonts = Fonts::embedded()?;
        let columns = self.checked()?;
        let ranges = self.ranges(&columns);
        let dimensions = self.labels.len();
        let side = match dimensions {
            1 => 300.0,
            2 => 230.0,
            3 => 184.0,
            4 => 156.0,
            5 => 134.0,
            6 => 118.0,
            7..=9 => 100.0,
            _ => 84.0,
        };
        // How far a label may reach over its panel: half the gap to the next one, if there is one.
        let overhang = if dimensions > 1 { GAP / 2.0 } else { 2.0 * GAP };
        let ticks: Vec<Ticks> =
            ranges.iter().map(|range| visible_ticks(*range, side, overhang, |text| fonts.width(&Label::parse(text), TICK_SIZE))).collect();
        let side_ticks: Vec<Ticks> = ranges.iter().map(|range| visible_ticks(*range, side, overhang, |_| TICK_SIZE - 2.0)).collect();
        let widest =
            side_ticks.iter().skip(1).flat_map(|t| &t.labels).map(|text| fonts.width(&Label::parse(text), TICK_SIZE)).fold(0.0, f64::max);
        let titled = self.posteriors.len() <= 2;
        let head = if titled { LINE * self.posteriors.len() as f64 } else { 0.0 };
        let title_height = if self.title.is_empty() { 0.0 } else { 26.0 };
        let layout = Layout {
            left: if dimensions > 1 { (MARGIN + LABEL_SIZE + 10.0 + widest + TICK_LENGTH).ceil() + 0.5 } else { MARGIN + 20.5 },
            top: (MARGIN + title_height + head + 4.0).ceil() + 0.5,
            side,
        };

        let mut marks = Vec::new();
        if !self.title.is_empty() {
            let (label, size) = fonts.fit(&Label::parse(&self.title), 15.0, layout.left + dimensions as f64 * (side + GAP));
            marks.push(Mark::text(label, [layout.left, MARGIN + 15.0], size, Anchor::Start, Ink::Text));
        }
        for row in 0..dimensions {
            for column in 0..=row {
                let rect = layout.rect(row, column);
                let y_range = if row == column { [0.0, 1.08] } else { ranges[row] };
                let panel = Panel {
                    rect,
                    x: Span::new(ranges[column], [rect.left, rect.right()], Scale::Linear),
                    y: Span::new(y_range, [rect.bottom(), rect.top], Scale::Linear),
                    x_ticks: ticks[column].clone(),
                    y_ticks: if row == column {
                        Ticks { values: Vec::new(), labels: Vec::new(), minor: Vec::new(), exponent: 0 }
                    } else {
                        side_ticks[row].clone()
                    },
                };
                let contents =
                    if row == column { self.diagonal(&columns, column, &panel) } else { self.pair(&columns, row, column, &panel) };
                marks.push(Mark::Window { window: rect, marks: contents });
                marks.extend(panel.frame());
                if row + 1 == dimensions {
                    marks.extend(panel.bottom_tick_labels());
                    let (label, size) = fonts.fit(&axis_label(&self.labels[column], ticks[column].exponent), LABEL_SIZE, side);
                    let at = [rect.left + side / 2.0, rect.bottom() + TICK_LENGTH + TICK_SIZE + LABEL_SIZE + 7.0];
                    marks.push(Mark::text(label, at, size, Anchor::Middle, Ink::Text));
                }
                if column == 0 && row > 0 {
                    marks.extend(panel.left_tick_labels());
                    let (label, size) = fonts.fit(&axis_label(&self.labels[row], side_ticks[row].exponent), LABEL_SIZE, side);
                    let at = [MARGIN + LABEL_SIZE, rect.top + side / 2.0];
                    marks.push(Mark::Text { label, at, size, anchor: Anchor::Middle, turn: Turn::Up, ink: Ink::Text });
                }
            }
            if titled {
                self.headings(&columns, row, &layout, &fonts, &mut marks);
            }
        }
        let right = self.legend(&layout, &fonts, &mut marks);
        let last = layout.rect(dimensions - 1, dimensions - 1);
        let height = last.bottom() + TICK_LENGTH + TICK_SIZE + LABEL_SIZE + 12.0 + MARGIN;
        let drawing = Drawing { width: (right.max(last.right() + 12.0) + MARGIN).ceil(), height: height.ceil(), marks };
        Ok(Figure::new(&self.title, self.description(&columns), drawing))
    }

    fn checked(&self) -> Result<Vec<Columns>, FigureError> {
        some("labels", &self.labels)?;
        some("posteriors", &self.posteriors)?;
        let dimensions = self.labels.len();
        if let Some(truth) = &self.truth {
            finite_of_length("truth", truth, dimensions)?;
        }
        let limits = match &self.limits {
            Some(limits) if limits.len() != dimensions => {
                return Err(FigureError::Length { what: "limits".to_owned(), expected: dimensions, found: limits.len() });
            }
            Some(limits) => limits.iter().map(|pair| Some(*pair)).collect(),
            None => vec![None; dimensions],
        };
        for (label, pair) in self.labels.iter().zip(limits.iter().flatten()) {
            if pair.iter().any(|end| end.is_nan()) || pair[0] >= pair[1] {
                return Err(FigureError::NotIncreasing { what: format!("limits of {label}"), index: 1, previous: pair[0], next: pair[1] });
            }
        }
        if self.view == CornerView::Prior {
            let ends: Vec<f64> = limits.iter().flatten().flatten().copied().collect();
            finite("limits (of a view of the whole prior)", &ends)?;
        }
        self.posteriors.iter().enumerate().map(|(index, posterior)| columns(posterior, index, dimensions, &limits)).collect()
    }

    fn ranges(&self, columns: &[Columns]) -> Vec<[f64; 2]> {
        (0..self.labels.len())
            .map(|parameter| {
                let mut range = match (self.view, &self.limits) {
                    (CornerView::Prior, Some(limits)) => limits[parameter],
                    _ => columns
                        .iter()
                        .map(|c| c.supports[parameter].range)
                        .fold([f64::INFINITY, f64::NEG_INFINITY], |a, b| [a[0].min(b[0]), a[1].max(b[1])]),
                };
                if let Some(truth) = self.truth.as_ref().map(|truth| truth[parameter]) {
                    let air = 0.06 * (range[1] - range[0]).max((truth - range[0]).abs()).max((truth - range[1]).abs());
                    if truth < range[0] {
                        range[0] = truth - air;
                    }
                    if truth > range[1] {
                        range[1] = truth + air;
                    }
                }
                // Guards lengths that f64 cannot resolve.
                padded(range, Scale::Linear, [0.0, 0.0])
            })
            .collect()
    }

    fn diagonal(&self, columns: &[Columns], parameter: usize, panel: &Panel) -> Vec<Mark> {
        let mut marks = Vec::new();
        for (index, posterior) in columns.iter().enumerate().rev() {
            let (values, support) = (&posterior.values[parameter], posterior.supports[parameter]);
            let curve = smooth(values, support);
            let highest = curve.density.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
            let along = |x: f64, density: f64| panel.at(x, density / highest);
            // The curve reaches the ends of its range with the height of the outermost bins, then drops: at a prior's limit that is its shape.
            let mut outline = vec![along(support.range[0], 0.0), along(support.range[0], curve.density[0])];
            outline.extend(curve.x.iter().zip(&curve.density).map(|(x, density)| along(*x, *density)));
            outline.push(along(support.range[1], curve.density[curve.density.len() - 1]));
            outline.push(along(support.range[1], 0.0));
            let central = [quantile(&posterior.sorted[parameter], 0.16), quantile(&posterior.sorted[parameter], 0.84)];
            let height_at = |x: f64| {
                let above = curve.x.partition_point(|centre| *centre < x).clamp(1, curve.x.len() - 1);
                let t = ((x - curve.x[above - 1]) / (curve.x[above] - curve.x[above - 1])).clamp(0.0, 1.0);
                curve.density[above - 1] + t * (curve.density[above] - curve.density[above - 1])
            };
            let between = curve.x.iter().copied().filter(|x| central[0] < *x && *x < central[1]);
            let tops = [central[0]].into_iter().chain(between).chain([central[1]]).map(|x| along(x, height_at(x)));
            let core = [along(central[0], 0.0)].into_iter().chain(tops).chain([along(central[1], 0.0)]).collect();
            let ink = Ink::Series(index);
            if columns.len() == 1 {
                marks.push(Mark::fill(core, ink.thin(0.3)));
            } else {
                marks.push(Mark::fill(outline.clone(), ink.thin(0.1)));
            }
            marks.push(Mark::stroke(outline, Stroke { paint: ink.solid(), width: 1.6, dash: Dash::of_series(index) }));
        }
        if let Some(truth) = &self.truth {
            let x = panel.x.at(truth[parameter]);
            marks.push(Mark::stroke(vec![[x, panel.rect.top], [x, panel.rect.bottom()]], TRUTH));
        }
        marks
    }

    fn pair(&self, columns: &[Columns], row: usize, column: usize, panel: &Panel) -> Vec<Mark> {
        let (mut marks, mut outlines) = (Vec::new(), Vec::new());
        // The first posterior lies on top; a veil of paper under each keeps its colour from mixing with those below.
        for (index, posterior) in columns.iter().enumerate().rev() {
            let (x, y) = (&posterior.values[column], &posterior.values[row]);
            let surface = smooth_pair(x, y, posterior.supports[column], posterior.supports[row]);
            let ink = Ink::Series(index);
            for (depth, level) in surface.enclosing_levels(x, y, &FRACTIONS).into_iter().enumerate() {
                let line = |ring: Vec<Point>| Line::closed(ring.into_iter().map(|[x, y]| panel.at(x, y)).collect());
                let lines: Vec<Line> = rings(&surface, level).into_iter().map(line).collect();
                if depth == 0 && index + 1 < columns.len() {
                    marks.push(Mark::Path { lines: lines.clone(), fill: Some(Ink::Paper.thin(0.65)), stroke: None });
                }
                let stroke = Stroke { paint: ink.solid(), width: 1.2, dash: Dash::of_series(index) };
                marks.push(Mark::Path { lines: lines.clone(), fill: Some(ink.thin(0.26)), stroke: None });
                outlines.push(Mark::Path { lines, fill: None, stroke: Some(stroke) });
            }
        }
        marks.extend(outlines);
        if let Some(truth) = &self.truth {
            let [x, y] = panel.at(truth[column], truth[row]);
            let rect = panel.rect;
            marks.push(Mark::stroke(vec![[x, rect.top], [x, rect.bottom()]], TRUTH));
            marks.push(Mark::stroke(vec![[rect.left, y], [rect.right(), y]], TRUTH));
            marks.push(Mark::Dots { centres: vec![[x, y]], radius: 2.8, paint: Ink::Truth.solid() });
        }
        marks
    }

    /// Median and distances to the 16 % and 84 % quantiles above the diagonal panel, one line for each posterior.
    fn headings(&self, columns: &[Columns], parameter: usize, layout: &Layout, fonts: &Fonts, marks: &mut Vec<Mark>) {
        let rect = layout.rect(parameter, parameter);
        // The triangle to the right of the diagonal is empty, except in the corner of the legend.
        let room = if parameter + 1 == self.labels.len() || self.labels.len() < 4 { layout.side + GAP } else { 1.5 * layout.side };
        for (index, posterior) in columns.iter().enumerate() {
            let value = interval(&posterior.sorted[parameter]);
            let full = Label::parse(&self.labels[parameter]).then(Label::text(" = ")).then(value.clone());
            let fits = fonts.width(&full, 12.0) * 0.75 <= room;
            let (label, size) = fonts.fit(if fits { &full } else { &value }, 12.0, room);
            let lines_below = (columns.len() - 1 - index) as f64;
            let ink = if columns.len() == 1 { Ink::Text } else { Ink::Series(index) };
            marks.push(Mark::text(label, [rect.left, rect.top - 8.0 - lines_below * LINE], size, Anchor::Start, ink));
        }
    }

    /// Keys in the empty upper right corner; gives the right end of what was drawn.
    fn legend(&self, layout: &Layout, fonts: &Fonts, marks: &mut Vec<Mark>) -> f64 {
        let names: Vec<(Label, Option<Ink>, Dash)> = self
            .posteriors
            .iter()
            .enumerate()
            .filter(|(_, posterior)| !posterior.name.is_empty())
            .map(|(index, posterior)| (Label::parse(&posterior.name), Some(Ink::Series(index)), Dash::of_series(index)))
            .chain(self.truth.iter().map(|_| (Label::text("true value"), Some(Ink::Truth), Dash::Solid)))
            .chain([(Label::text(if self.labels.len() > 1 { "contours: 68 %, 95 %" } else { "shaded: 68 %" }), None, Dash::Solid)])
            .collect();
        let (size, key) = (12.0, 26.0);
        let last = layout.rect(0, self.labels.len() - 1);
        let widest = names.iter().map(|(label, ..)| fonts.width(label, size)).fold(0.0, f64::max).min(240.0);
        let fits_inside = self.labels.len() > 2 || (self.labels.len() == 2 && widest + key <= layout.side);
        let left = if fits_inside { last.right() - widest - key } else { last.right() + 24.0 };
        for (index, (label, ink, dash)) in names.iter().enumerate() {
            let y = last.top + 8.0 + 19.0 * index as f64;
            let (label, size) = fonts.fit(label, size, widest);
            if let Some(ink) = ink {
                marks.extend(legend_key(*ink, *dash, [left, y]));
            }
            let ink = if ink.is_some() { Ink::Text } else { Ink::Muted };
            marks.push(Mark::text(label, [left + key, y + 0.36 * size], size, Anchor::Start, ink));
        }
        if fits_inside { last.right() } else { left + key + widest }
    }

    fn description(&self, columns: &[Columns]) -> String {
        let parameters: Vec<String> = self
            .labels
            .iter()
            .enumerate()
            .map(|(index, label)| format!("{} = {}", Label::parse(label).plain(), spoken_interval(&columns[0].sorted[index])))
            .collect();
        format!(
            "Marginal and pairwise posterior densities, {} posterior(s). Medians and 68 % intervals: {}",
            self.posteriors.len(),
            parameters.join("; ")
        )
    }
}

const TRUTH: Stroke = Stroke { paint: crate::draw::Paint { ink: Ink::Truth, opacity: 0.9 }, width: 1.3, dash: Dash::Solid };

fn legend_key(ink: Ink, dash: Dash, [x, y]: Point) -> Vec<Mark> {
    if ink == Ink::Truth {
        return vec![
            Mark::stroke(vec![[x, y], [x + 18.0, y]], TRUTH),
            Mark::Dots { centres: vec![[x + 9.0, y]], radius: 2.8, paint: ink.solid() },
        ];
    }
    let area = Rect { left: x, top: y - 5.5, width: 18.0, height: 11.0 };
    let stroke = Stroke { dash, ..solid(ink, 1.3) };
    vec![Mark::Path { lines: vec![Line::closed(area.corners())], fill: Some(ink.thin(0.4)), stroke: Some(stroke) }]
}

fn columns(posterior: &CornerPosterior, index: usize, dimensions: usize, limits: &[Option<[f64; 2]>]) -> Result<Columns, FigureError> {
    let name = if posterior.name.is_empty() { format!("samples of posterior {index}") } else { format!("samples of {}", posterior.name) };
    finite(&name, &posterior.samples)?;
    let draws = posterior.samples.len() / dimensions;
    if draws * dimensions != posterior.samples.len() {
        return Err(FigureError::Length {
            what: format!("{name} (draws × {dimensions})"),
            expected: (draws + 1) * dimensions,
            found: posterior.samples.len(),
        });
    }
    if draws < FEWEST_DRAWS {
        return Err(FigureError::TooFew { what: name, needed: FEWEST_DRAWS, found: draws });
    }
    let values: Vec<Vec<f64>> = (0..dimensions).map(|d| posterior.samples.iter().skip(d).step_by(dimensions).copied().collect()).collect();
    let sorted: Vec<Vec<f64>> = values
        .iter()
        .map(|column| {
            let mut sorted = column.clone();
            sorted.sort_by(f64::total_cmp);
            sorted
        })
        .collect();
    let supports = sorted.iter().zip(limits).map(|(column, limits)| Support::of(column, *limits)).collect();
    Ok(Columns { values, sorted, supports })
}

/// Ticks of a panel without neighbours' help: labels that reach more than `overhang` pixels over its ends are left out, and of all spacings the one with
/// most labels left, at most five, is taken.
fn visible_ticks(range: [f64; 2], side: f64, overhang: f64, extent: impl Fn(&str) -> f64) -> Ticks {
    let span = Span::new(range, [0.0, side], Scale::Linear);
    let mut best: Option<(usize, Ticks)> = None;
    for most in 2..=6 {
        let mut ticks = linear(range[0], range[1], most);
        let mut free_from = -overhang;
        let mut apart = true;
        let mut shown = 0;
        for (value, label) in ticks.values.iter().zip(&mut ticks.labels) {
            let (centre, half) = (span.at(*value), extent(label) / 2.0);
            if centre - half < -overhang || centre + half > side + overhang {
                label.clear();
                continue;
            }
            apart &= centre - half >= free_from;
            free_from = centre + half + 8.0;
            shown += 1;
        }
        if apart && shown <= 5 && best.as_ref().is_none_or(|(most, _)| shown > *most) {
            best = Some((shown, ticks));
        }
    }
    // Labels too wide for any spacing: marks alone.
    best.map_or_else(
        || {
            let mut bare = linear(range[0], range[1], 2);
            bare.labels.iter_mut().for_each(String::clear);
            bare
        },
        |(_, ticks)| ticks,
    )
}

/// Median, upper and lower distance with two digits of the smaller distance, and a common power of ten.
fn interval_numbers(sorted: &[f64]) -> ([String; 3], i32) {
    let [low, median, high] = [0.16, 0.5, 0.84].map(|p| quantile(sorted, p));
    let (above, below) = (high - median, median - low);
    let largest = median.abs().max(above).max(below);
    let written_out = (1e-3..1e5).contains(&largest) && above.min(below) < 1e3;
    let exponent = if largest > 0.0 && !written_out { largest.log10().floor() as i32 } else { 0 };
    let unit = 10_f64.powi(exponent);
    let smaller = above.min(below) / unit;
    let decimals = if smaller > 0.0 { (1 - smaller.log10().floor() as i32).clamp(0, 8) as usize } else { 2 };
    ([median, above, below].map(|value| fixed(value / unit, decimals)), exponent)
}

fn interval(sorted: &[f64]) -> Label {
    let ([median, above, below], exponent) = interval_numbers(sorted);
    let label = Label::with_interval(&median, &above, &below);
    if exponent == 0 {
        return label;
    }
    Label::text("(").then(label).then(Label::text(")")).then(Label::parse(&format!("$\\times10^{{{exponent}}}$")))
}

fn spoken_interval(sorted: &[f64]) -> String {
    let ([median, above, below], exponent) = interval_numbers(sorted);
    let power = if exponent == 0 { String::new() } else { format!(" × 10^{exponent}") };
    format!("{median} (+{above}, \u{2212}{below}){power}")
}

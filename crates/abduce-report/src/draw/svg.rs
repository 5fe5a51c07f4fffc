//! A drawing as SVG 1.1 text.
//!
//! Light colours are presentation attributes, which every viewer knows; dark ones override them in a style sheet where the viewer asks for a
//! dark scheme. Numbers have at most two decimals, so the bytes depend on the drawing alone.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::font::{FAMILIES, Fonts};
use super::ink::{Ink, Theme};
use super::{Anchor, Drawing, Line, Mark, Paint, Point, Rect, Stroke, Turn};
use crate::escape::escape;
use crate::label::{Label, Slant};

/// A file of its own: background, style sheet, title and description.
pub(crate) fn standalone(drawing: &Drawing, fonts: &Fonts, title: &str, description: &str) -> String {
    let (width, height) = (number(drawing.width), number(drawing.height));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         font-family=\"{FAMILIES}\">\n<title>{}</title>\n<desc>{}</desc>\n<style>@media (prefers-color-scheme:dark){{{}}}</style>\n",
        escape(title),
        escape(description),
        dark_rules()
    );
    let paper = Rect { left: 0.0, top: 0.0, width: drawing.width, height: drawing.height };
    mark(&mut svg, fonts, &Mark::fill(paper.corners(), Ink::Paper.solid()));
    finish(svg, fonts, drawing)
}

/// For a page that brings [`dark_rules`] and a background.
pub(crate) fn inline(drawing: &Drawing, fonts: &Fonts, title: &str, description: &str) -> String {
    let (width, height) = (number(drawing.width), number(drawing.height));
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" style=\"max-width:{width}px\" role=\"img\" \
         aria-label=\"{}\" font-family=\"{FAMILIES}\">\n",
        escape(&[title, description].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(". ")),
    );
    finish(svg, fonts, drawing)
}

fn finish(mut svg: String, fonts: &Fonts, drawing: &Drawing) -> String {
    for item in &drawing.marks {
        mark(&mut svg, fonts, item);
    }
    svg.push_str("</svg>\n");
    svg
}

/// The style rules that turn a drawing dark.
pub(crate) fn dark_rules() -> String {
    Ink::ALL.iter().fold(String::new(), |mut rules, ink| {
        let (name, hex) = (ink.name(), ink.hex(Theme::Dark));
        push(&mut rules, format_args!(".abd-f-{name}{{fill:{hex}}}.abd-k-{name}{{stroke:{hex}}}"));
        rules
    })
}

/// Two decimals without trailing zeros and without a negative zero.
pub(crate) fn number(value: f64) -> String {
    let hundredths = (value * 100.0).round();
    let mut text = format!("{:.2}", if hundredths == 0.0 { 0.0 } else { hundredths / 100.0 });
    while text.ends_with('0') {
        text.pop();
    }
    if text.ends_with('.') {
        text.pop();
    }
    text
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    out.write_fmt(arguments).ok();
}

fn mark(svg: &mut String, fonts: &Fonts, item: &Mark) {
    match item {
        Mark::Path { lines, fill, stroke } => {
            if lines.iter().all(|line| line.points.is_empty()) {
                return;
            }
            svg.push_str("<path");
            paint_attributes(svg, *fill, *stroke);
            svg.push_str(" d=\"");
            for line in lines {
                path_data(svg, line);
            }
            svg.push_str("\"/>\n");
        }
        Mark::Dots { centres, radius, paint } => dots(svg, centres, *radius, *paint),
        Mark::Text { label, at, size, anchor, turn, ink } => text(svg, fonts, label, *at, *size, *anchor, *turn, *ink),
        Mark::Window { window, marks } => {
            // A nested svg clips to its own box: no clip-path identifiers that could collide in a page.
            let (left, top, width, height) = (number(window.left), number(window.top), number(window.width), number(window.height));
            push(
                svg,
                format_args!(
                    "<svg x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" viewBox=\"{left} {top} {width} {height}\">\n"
                ),
            );
            for inner in marks {
                mark(svg, fonts, inner);
            }
            svg.push_str("</svg>\n");
        }
    }
}

fn paint_attributes(svg: &mut String, fill: Option<Paint>, stroke: Option<Stroke>) {
    let mut classes = Vec::new();
    match fill {
        Some(paint) => {
            push(svg, format_args!(" fill=\"{}\" fill-rule=\"evenodd\"", paint.ink.hex(Theme::Light)));
            if paint.opacity < 1.0 {
                push(svg, format_args!(" fill-opacity=\"{}\"", number(paint.opacity)));
            }
            classes.push(format!("abd-f-{}", paint.ink.name()));
        }
        None => svg.push_str(" fill=\"none\""),
    }
    if let Some(Stroke { paint, width, dash }) = stroke {
        push(svg, format_args!(" stroke=\"{}\" stroke-width=\"{}\" stroke-linejoin=\"round\"", paint.ink.hex(Theme::Light), number(width)));
        if paint.opacity < 1.0 {
            push(svg, format_args!(" stroke-opacity=\"{}\"", number(paint.opacity)));
        }
        if let Some(pattern) = dash.pattern() {
            let lengths: Vec<String> = pattern.iter().map(|length| number(f64::from(*length))).collect();
            push(svg, format_args!(" stroke-dasharray=\"{}\"", lengths.join(" ")));
        }
        classes.push(format!("abd-k-{}", paint.ink.name()));
    }
    if !classes.is_empty() {
        push(svg, format_args!(" class=\"{}\"", classes.join(" ")));
    }
}

fn path_data(svg: &mut String, line: &Line) {
    let mut before: Option<(String, String)> = None;
    for (index, point) in line.points.iter().enumerate() {
        let place = (number(point[0]), number(point[1]));
        // Points closer than the printed digits are one point.
        if before.as_ref() == Some(&place) && index + 1 < line.points.len() {
            continue;
        }
        svg.push(if before.is_none() { 'M' } else { ' ' });
        push(svg, format_args!("{} {}", place.0, place.1));
        before = Some(place);
    }
    if line.closed && before.is_some() {
        svg.push('Z');
    }
}

/// Discs of one colour as round caps of lines without length: a tenth of the bytes of `<circle>`. Discs within a tenth of a pixel are one.
fn dots(svg: &mut String, centres: &[Point], radius: f64, paint: Paint) {
    if centres.is_empty() {
        return;
    }
    let tenths: BTreeSet<(i64, i64)> = centres.iter().map(|c| ((c[0] * 10.0).round() as i64, (c[1] * 10.0).round() as i64)).collect();
    push(
        svg,
        format_args!(
            "<path fill=\"none\" stroke=\"{}\" class=\"abd-k-{}\" stroke-width=\"{}\" stroke-linecap=\"round\" stroke-opacity=\"{}\" d=\"",
            paint.ink.hex(Theme::Light),
            paint.ink.name(),
            number(2.0 * radius),
            number(paint.opacity)
        ),
    );
    for (x, y) in tenths {
        push(svg, format_args!("M{} {}h0", number(x as f64 / 10.0), number(y as f64 / 10.0)));
    }
    svg.push_str("\"/>\n");
}

#[expect(clippy::too_many_arguments, reason = "the fields of Mark::Text")]
fn text(svg: &mut String, fonts: &Fonts, label: &Label, at: Point, size: f64, anchor: Anchor, turn: Turn, ink: Ink) {
    if label.is_empty() {
        return;
    }
    push(svg, format_args!("<text x=\"{}\" y=\"{}\" font-size=\"{}\"", number(at[0]), number(at[1]), number(size)));
    match anchor {
        Anchor::Start => {}
        Anchor::Middle => svg.push_str(" text-anchor=\"middle\""),
        Anchor::End => svg.push_str(" text-anchor=\"end\""),
    }
    if turn == Turn::Up {
        push(svg, format_args!(" transform=\"rotate(-90 {} {})\"", number(at[0]), number(at[1])));
    }
    push(svg, format_args!(" fill=\"{}\" class=\"abd-f-{}\">", ink.hex(Theme::Light), ink.name()));
    let placement = fonts.place(label);
    let (mut cursor, mut height) = (0.0, 0.0);
    for (index, run) in label.runs.iter().enumerate() {
        let shift = (placement.left[index] - cursor) * size;
        let climb = (height - run.rise) * size;
        let plain = shift.abs() < 0.005 && climb.abs() < 0.005 && run.scale == 1.0 && run.slant == Slant::Upright;
        if plain {
            svg.push_str(&escape(&run.text));
        } else {
            svg.push_str("<tspan");
            if shift.abs() >= 0.005 {
                push(svg, format_args!(" dx=\"{}\"", number(shift)));
            }
            if climb.abs() >= 0.005 {
                push(svg, format_args!(" dy=\"{}\"", number(climb)));
            }
            if run.scale != 1.0 {
                push(svg, format_args!(" font-size=\"{}\"", number(size * run.scale)));
            }
            if run.slant == Slant::Italic {
                svg.push_str(" font-style=\"italic\"");
            }
            push(svg, format_args!(">{}</tspan>", escape(&run.text)));
        }
        (cursor, height) = (placement.right[index], run.rise);
    }
    svg.push_str("</text>\n");
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_have_one_spelling() {
        for (value, text) in [(0.0, "0"), (-0.001, "0"), (1.0, "1"), (-2.5, "-2.5"), (10.0, "10"), (3.146, "3.15"), (100.004, "100")] {
            assert_eq!(number(value), text);
        }
    }
}

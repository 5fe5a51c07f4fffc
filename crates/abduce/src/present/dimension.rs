//! Intrinsic dimension as a table and as a picture.

use crate::stages::dimension::{BottleneckReport, DimensionReport, MethodReport};
use abduce_dimension::bottleneck::EffectPoint;
use abduce_report::{Axis, Dash, Errors, Figure, FigureError, Layer, Tone, Xy};
use std::fmt::Write as _;

/// The report as text for people.
pub fn table(report: &DimensionReport) -> String {
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        writeln!(text, "{args}").ok();
    };
    line(format_args!("{} points in {} columns", report.points, report.columns));
    line(format_args!(""));
    line(format_args!("{:<10} {:>9}   {}", "method", "dimension", "95 % interval"));
    for estimate in &report.estimates {
        line(format_args!("{}", method_line(estimate)));
    }
    if let Some(found) = &report.combined {
        line(format_args!(""));
        line(format_args!(
            "most probable whole dimension {}; before whole numbers are favoured {:.2} ± {:.2}; linear span {}",
            found.whole,
            found.regression,
            found.log_error * found.regression,
            found.span
        ));
    }
    if report.estimates.iter().any(|estimate| estimate.method != "combined") {
        line(format_args!("intervals of all but `combined` hold sampling errors alone, no bias"));
    }
    if !report.rules.is_empty() {
        let rules: Vec<String> = report.rules.iter().map(|(name, value)| format!("{name} {}", number(*value))).collect();
        line(format_args!("rules on the spectrum: {}", rules.join(", ")));
    }
    if !report.scales.is_empty() {
        line(format_args!(""));
        line(format_args!("uncorrected dimension against scale (GRIDE)"));
        line(format_args!("{:>10} {:>12} {:>10} {:>8}", "neighbours", "radius", "dimension", "± 1 se"));
        for scale in &report.scales {
            line(format_args!("{:>10} {:>12.4e} {:>10.2} {:>8.2}", scale.neighbours, scale.radius, scale.dimension, scale.standard_error));
        }
    }
    text
}

fn method_line(estimate: &MethodReport) -> String {
    let interval = match (estimate.interval, &estimate.reason) {
        (Some([low, high]), _) => format!("[{low:.2}, {high:.2}]"),
        (None, Some(reason)) => reason.clone(),
        (None, None) => String::new(),
    };
    format!("{:<10} {:>9}   {interval}", estimate.method, number(estimate.dimension)).trim_end().to_owned()
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "none".into(), |value| format!("{value:.2}"))
}

/// Dimension against scale: the uncorrected curve, each local method at the radius that it reads, global ones as lines, the combined estimate as a line in its interval.
///
/// # Errors
/// Those of the figure; none on reports of [`of_points`](crate::stages::dimension::of_points).
pub fn figure(report: &DimensionReport) -> Result<Figure, FigureError> {
    let mut layers = Vec::new();
    let radii: Vec<f64> = report.scales.iter().map(|scale| scale.radius).collect();
    let reach: Vec<f64> = radii.iter().copied().chain(report.estimates.iter().filter_map(|e| e.radius)).collect();
    let (low, high) = reach.iter().fold((f64::INFINITY, 0.0f64), |(l, h), r| (l.min(*r), h.max(*r)));
    let ends = [0.9 * low, 1.1 * high];
    if let Some(found) = &report.combined {
        layers.push(Layer::Band {
            name: Some("combined, 95 %".into()),
            x: ends.to_vec(),
            lower: vec![found.interval[0]; 2],
            upper: vec![found.interval[1]; 2],
            tone: Tone::Neutral,
        });
        layers.push(Layer::Horizontal { name: Some("combined".into()), y: found.dimension, tone: Tone::Text, dash: Dash::Solid });
    }
    let dimensions: Vec<f64> = report.scales.iter().map(|scale| scale.dimension).collect();
    layers.push(Layer::Line { name: None, x: radii.clone(), y: dimensions.clone(), tone: Tone::Series(0), dash: Dash::Solid });
    layers.push(Layer::Points {
        name: Some("GRIDE, by scale".into()),
        x: radii,
        y: dimensions,
        x_error: None,
        y_error: Some(Errors::symmetric(report.scales.iter().map(|scale| scale.standard_error.max(0.0)).collect())),
        tone: Tone::Series(0),
    });
    let (mut local, mut global) = (0, 0);
    for estimate in report.estimates.iter().filter(|estimate| !["combined", "GRIDE"].contains(&estimate.method)) {
        let Some(dimension) = estimate.dimension else { continue };
        // Seven colours beside that of the curve; where they repeat, the number of neighbours tells the methods apart.
        let name = match estimate.neighbours {
            Some(neighbours) => format!("{} ({neighbours})", estimate.method),
            None => estimate.method.to_owned(),
        };
        let series = if estimate.radius.is_some() { &mut local } else { &mut global };
        let tone = if *series % 7 == 6 { Tone::Text } else { Tone::Series(1 + *series % 7) };
        *series += 1;
        let name = Some(name);
        layers.push(match estimate.radius {
            Some(radius) => {
                let y_error = estimate.standard_error.map(|se| Errors::symmetric(vec![se]));
                Layer::Points { name, x: vec![radius], y: vec![dimension], x_error: None, y_error, tone }
            }
            None => Layer::Horizontal { name, y: dimension, tone, dash: Dash::Dashed },
        });
    }
    Xy {
        title: "Intrinsic dimension".into(),
        description: format!(
            "Dimension against the mean distance to the farthest neighbour read, of {} points in {} columns",
            report.points, report.columns
        ),
        x: Axis::log10("mean distance to the neighbour").between(ends[0], ends[1]),
        y: Axis::linear("dimension"),
        layers,
        ..Xy::default()
    }
    .figure()
}

/// Dimension against tolerated loss as text for people.
pub fn bottleneck_table(report: &BottleneckReport) -> String {
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        writeln!(text, "{args}").ok();
    };
    let [low, high] = report.interval;
    line(format_args!(
        "dimension {} (95 % [{low}, {high}]) at a tolerated loss of {} ({}); {} trainings, {} held-out points",
        report.dimension, report.tolerance, report.unit, report.seeds, report.points
    ));
    line(format_args!(""));
    line(format_args!("{:>9} {:>9} {:>13} {:>10}", "tolerated", "dimension", "95 % interval", "sufficient"));
    for point in &report.curve {
        let interval = format!("[{}, {}]", point.interval[0], point.interval[1]);
        let cap = if point.capped { " (the largest trained)" } else { "" };
        line(format_args!("{:>9} {:>9} {interval:>13} {:>10}{cap}", point.tolerance, point.dimension, point.sufficient));
    }
    if let Some(rule) = report.authors_rule {
        let answer = rule.dimension.map_or_else(|| "none of the widths".into(), |dimension| dimension.to_string());
        line(format_args!(""));
        line(format_args!(
            "the authors' rule at {} test points: {answer} (a threshold on explained variance that moves with the number of points)",
            rule.effective_points
        ));
    }
    text
}

/// Dimension against tolerated loss.
///
/// # Errors
/// Those of the figure; none on reports of [`of_losses`](crate::stages::dimension::of_losses).
pub fn bottleneck_figure(report: &BottleneckReport) -> Result<Figure, FigureError> {
    let x: Vec<f64> = report.curve.iter().map(|point| point.tolerance).collect();
    let column = |f: &dyn Fn(&EffectPoint) -> usize| report.curve.iter().map(|point| f(point) as f64).collect::<Vec<_>>();
    // Whole numbers at separate tolerances: a line between them would show dimensions that nobody found.
    let found = Layer::Points {
        name: Some("dimension, 95 %".into()),
        x: x.clone(),
        y: column(&|p| p.dimension),
        x_error: None,
        y_error: Some(Errors {
            below: column(&|p| p.dimension.saturating_sub(p.interval[0])),
            above: column(&|p| p.interval[1].saturating_sub(p.dimension)),
        }),
        tone: Tone::Series(0),
    };
    let sufficient = Layer::Points {
        name: Some("sufficient with confidence".into()),
        x: x.iter().map(|x| 1.05 * x).collect(),
        y: column(&|p| p.sufficient),
        x_error: None,
        y_error: None,
        tone: Tone::Series(1),
    };
    Xy {
        title: "Dimension against tolerated loss".into(),
        description: format!("From {} trainings and {} held-out points", report.seeds, report.points),
        x: Axis::log10(format!("tolerated loss [{}]", report.unit)),
        y: Axis::linear("dimension"),
        layers: vec![Layer::Vertical { name: None, x: report.tolerance, tone: Tone::Neutral, dash: Dash::Dashed }, found, sufficient],
        ..Xy::default()
    }
    .figure()
}

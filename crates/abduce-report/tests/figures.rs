//! Laws of every figure and of the page: readable as XML, the same bytes twice, no markup from labels, errors instead of broken pictures.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use abduce_report::html::{Block, Cell, Gate, Report, Section, Severity, Status, Table, Verdict, Warning, Width};
use abduce_report::{
    Axis, Calibration, CalibrationBand, CalibrationCurve, CalibrationKind, Conformal, Corner, CornerPosterior, CornerView, EcdfDifference,
    Errors, Figure, FigureError, Layer, LogProbHistogram, NetHistory, Prediction, Predictions, RankHistogram, RankHistograms,
    RegionCalibration, RegionPanel, RegionSeries, Remark, Shape, Theme, Tone, TrainingCurves, Xy,
};

const HOSTILE: &str = "<script>alert('x')</script>&\"\u{1}\u{ffff}]]> $\\Omega_{<b>}$ `c`";

/// Points on a spiral: spread in both directions, never equal.
fn spiral(n: usize) -> Vec<f64> {
    (0..n).flat_map(|i| [(i as f64 * 0.7).sin() * (1.0 + i as f64 / n as f64), (i as f64 * 0.7).cos() * 3.0]).collect()
}

fn corner(label: &str, samples: Vec<f64>) -> Corner {
    Corner {
        title: label.into(),
        labels: vec![label.into(), r"\Omega_m".into()],
        posteriors: vec![CornerPosterior { name: label.into(), samples }, CornerPosterior { name: "b".into(), samples: spiral(300) }],
        truth: Some(vec![0.1, 0.2]),
        limits: Some(vec![[-5.0, 5.0], [f64::NEG_INFINITY, 3.0]]),
        view: CornerView::Posterior,
    }
}

fn training(label: &str, train: Vec<f64>) -> TrainingCurves {
    let validation = vec![3.0, 2.0, 2.5];
    TrainingCurves {
        title: label.into(),
        loss: label.into(),
        nets: vec![NetHistory { name: label.into(), train, validation, best_epoch: 1 }],
    }
}

fn ranks(label: &str, counts: Vec<f64>) -> RankHistograms {
    let remarks = vec![Remark::new(label, 0.03)];
    let (edges, expected, lower, upper) = (vec![0.0, 5.0, 10.0], vec![4.0; 2], vec![1.0; 2], vec![8.0; 2]);
    RankHistograms {
        title: label.into(),
        band: label.into(),
        parameters: vec![RankHistogram { label: label.into(), edges, counts, expected, lower, upper, remarks }],
    }
}

fn ecdf(label: &str, difference: Vec<f64>) -> EcdfDifference {
    let (lower, upper) = (vec![0.0, -0.1, 0.0], vec![0.0, 0.1, 0.0]);
    EcdfDifference {
        title: label.into(),
        grid: vec![0.0, 0.5, 1.0],
        band: label.into(),
        lower,
        upper,
        curves: vec![(label.into(), difference)],
    }
}

fn calibration(label: &str, kind: CalibrationKind, coverage: Vec<f64>) -> Calibration {
    Calibration {
        title: label.into(),
        kind,
        credibility: vec![0.0, 0.5, 1.0],
        curves: vec![CalibrationCurve { name: label.into(), coverage }],
        bands: vec![CalibrationBand { name: label.into(), lower: vec![0.0, 0.4, 1.0], upper: vec![0.0, 0.6, 1.0], of_curve: Some(0) }],
        remarks: vec![Remark::new(label, -0.01)],
    }
}

fn conformal(label: &str, corrected: Vec<f64>) -> Conformal {
    Conformal {
        title: label.into(),
        credibility: vec![0.0, 0.5, 1.0],
        stated: vec![0.0, 0.3, 1.0],
        corrected,
        correction: vec![Some(0.0), Some(0.7), None],
        band: label.into(),
        lower: vec![0.0, 0.4, 1.0],
        upper: vec![0.0, 0.6, 1.0],
        remarks: vec![Remark::new(label, 0.7)],
    }
}

fn regions(label: &str, value: Vec<f64>) -> RegionCalibration {
    let series =
        RegionSeries { name: label.into(), value, error: vec![0.05; 2], expected: 0.68, lower: vec![0.6; 2], upper: vec![0.75; 2] };
    let panel = RegionPanel {
        label: label.into(),
        variable: label.into(),
        bins: vec![[0.0, 1.0], [1.5, 3.0]],
        series: vec![series],
        remarks: vec![],
    };
    RegionCalibration { title: label.into(), quantity: label.into(), band: label.into(), panels: vec![panel] }
}

fn predictions(label: &str, centre: Vec<f64>) -> Predictions {
    let (truth, error) = (vec![1.0, 2.0, 3.0], Errors::symmetric(vec![0.1; 3]));
    Predictions {
        title: label.into(),
        centre: label.into(),
        parameters: vec![Prediction { label: label.into(), truth, centre, error, remarks: vec![] }],
    }
}

fn log_prob(label: &str, log_prob: Vec<f64>) -> LogProbHistogram {
    LogProbHistogram { title: label.into(), log_prob, mean: 1.0, prior_mean: Some(-1.0), remarks: vec![] }
}

fn masses(label: &str, y: Vec<f64>) -> Xy {
    Xy {
        title: label.into(),
        description: label.into(),
        x: Axis::log10(label),
        y: Axis::log10(label),
        layers: vec![
            Layer::Points {
                name: Some(label.into()),
                x: vec![1e14, 4e14],
                y,
                x_error: None,
                y_error: Some(Errors::symmetric(vec![2e13; 2])),
                tone: Tone::Text,
            },
            Layer::Identity { name: Some(label.into()) },
        ],
        shape: Shape::Square,
        ..Xy::default()
    }
}

type Drawn = Result<Figure, FigureError>;

/// Every figure, its labels `label`, its main array `values` where its length allows.
fn all(label: &str, corner_samples: Vec<f64>, three: Vec<f64>, two: Vec<f64>) -> Vec<(&'static str, Drawn)> {
    vec![
        ("corner", corner(label, corner_samples).figure()),
        ("training", training(label, three.clone()).figure()),
        ("ranks", ranks(label, two.clone()).figure()),
        ("ecdf", ecdf(label, three.clone()).figure()),
        ("marginal", calibration(label, CalibrationKind::Marginal, three.clone()).figure()),
        ("hpd", calibration(label, CalibrationKind::HighestDensity, three.clone()).figure()),
        ("tarp", calibration(label, CalibrationKind::Tarp, three.clone()).figure()),
        ("conformal", conformal(label, three.clone()).figure()),
        ("regions", regions(label, two.clone()).figure()),
        ("predictions", predictions(label, three.clone()).figure()),
        ("log_prob", log_prob(label, three).figure()),
        ("masses", masses(label, two.iter().map(|v| v * 1e14).collect()).figure()),
    ]
}

fn sound(label: &str) -> Vec<(&'static str, Figure)> {
    let figures = all(label, spiral(400), vec![0.1, 0.5, 0.9], vec![3.0, 5.0]);
    figures.into_iter().map(|(name, figure)| (name, figure.unwrap_or_else(|error| panic!("{name}: {error}")))).collect()
}

fn texts(xml: &roxmltree::Document<'_>) -> String {
    xml.descendants().filter(|node| node.is_text()).filter_map(|node| node.text()).collect()
}

#[test]
fn every_svg_is_well_formed_and_finite_whatever_the_labels() {
    for label in [r"\log_{10} M_{500}", HOSTILE, "", &"long ".repeat(2000)] {
        for (name, figure) in sound(label) {
            let svg = figure.svg().unwrap();
            let xml = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}"));
            for node in xml.descendants().filter(|node| node.is_element()) {
                let allowed = ["svg", "path", "text", "tspan", "title", "desc", "style"];
                assert!(allowed.contains(&node.tag_name().name()), "{name}: <{}>", node.tag_name().name());
                for attribute in node.attributes() {
                    assert!(!attribute.name().starts_with("on") && !attribute.name().ends_with("href"), "{name}: {}", attribute.name());
                    assert!(!attribute.value().contains("NaN") && !attribute.value().contains("inf"), "{name}: {attribute:?}");
                }
            }
        }
    }
}

#[test]
fn labels_appear_as_text() {
    for (name, figure) in sound(r"\Omega_m h^2") {
        let svg = figure.svg().unwrap();
        assert!(texts(&roxmltree::Document::parse(&svg).unwrap()).contains("Ωm"), "{name}");
    }
    let svg = masses("<b>", vec![1e14, 2e14]).figure().unwrap().svg().unwrap();
    assert!(svg.contains("&lt;b&gt;") && !svg.contains("<b>"));
}

#[test]
fn the_same_arrays_give_the_same_bytes() {
    for ((name, one), (_, two)) in sound("a_1").into_iter().zip(sound("a_1")) {
        assert_eq!(one.svg().unwrap(), two.svg().unwrap(), "{name}");
        assert_eq!(one.png(1.5).unwrap(), two.png(1.5).unwrap(), "{name}");
    }
}

#[test]
fn nan_infinite_and_missing_values_are_errors() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut samples = spiral(400);
        samples[17] = bad;
        for (name, figure) in all("x", samples, vec![0.1, bad, 0.9], vec![3.0, bad]) {
            assert!(matches!(figure, Err(FigureError::NotFinite { .. })), "{name} with {bad}: {figure:?}");
        }
    }
    for (name, figure) in all("x", vec![], vec![], vec![]) {
        assert!(matches!(figure, Err(FigureError::Empty { .. } | FigureError::Length { .. })), "{name}: {figure:?}");
    }
    for (name, figure) in
        all("x", spiral(400)[..799].to_vec(), vec![0.1, 0.2], vec![1.0]).into_iter().filter(|(name, _)| *name != "log_prob")
    {
        assert!(matches!(figure, Err(FigureError::Length { .. })), "{name}: {figure:?}");
    }
    assert!(matches!(corner("x", spiral(5)).figure(), Err(FigureError::TooFew { found: 5, .. })));
    assert!(matches!(masses("x", vec![-1.0, 1.0]).figure(), Err(FigureError::OutOfRange { .. })));
    let mut late = training("x", vec![1.0; 3]);
    late.nets[0].best_epoch = 3;
    assert!(matches!(late.figure(), Err(FigureError::OutOfRange { .. })));
    let message = training("net 0", vec![1.0, f64::NAN, 2.0]).figure().unwrap_err().to_string();
    assert_eq!(message, "net 0: training loss holds NaN at index 1; every value must be finite");
}

#[test]
fn extreme_but_finite_values_still_draw() {
    for scale in [1e-300, 1e-12, 1e12, 1e300] {
        let samples: Vec<f64> = spiral(400).iter().map(|v| v * scale).collect();
        let plot = Corner {
            labels: vec!["a".into(), "b".into()],
            posteriors: vec![CornerPosterior { name: String::new(), samples }],
            ..Corner::default()
        };
        let svg = plot.figure().unwrap().svg().unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{scale:e}");
    }
    let constant = Corner {
        labels: vec!["a".into()],
        posteriors: vec![CornerPosterior { name: String::new(), samples: vec![2.0; 50] }],
        ..Corner::default()
    };
    assert!(constant.figure().is_ok());
    assert!(log_prob("x", vec![2.0; 40]).figure().is_ok());
}

#[test]
fn corner_panels_share_their_edges() {
    let samples: Vec<f64> = spiral(600).chunks(2).flat_map(|p| [p[0] * 1e-7, p[1], p[0] * p[1] * 4e6]).collect();
    let labels = ["a", "a much longer label than its panel", "c"].map(String::from).to_vec();
    let figure =
        Corner { labels, posteriors: vec![CornerPosterior { name: String::new(), samples }], ..Corner::default() }.figure().unwrap();
    let svg = figure.svg().unwrap();
    let xml = roxmltree::Document::parse(&svg).unwrap();
    let windows: Vec<[f64; 4]> = xml
        .root_element()
        .descendants()
        .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "svg")) && node.has_attribute("x"))
        .map(|node| ["x", "y", "width", "height"].map(|name| node.attribute(name).unwrap().parse().unwrap()))
        .collect();
    assert_eq!(windows.len(), 6);
    for (index, (row, column)) in [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)].into_iter().enumerate() {
        let step = windows[1][1] - windows[0][1];
        let [x, y, width, height] = windows[index];
        assert_eq!([width, height], [windows[0][2]; 2]);
        assert_eq!([x, y], [windows[0][0] + f64::from(column) * step, windows[0][1] + f64::from(row) * step]);
        assert_eq!([x.fract(), y.fract()], [0.5, 0.5], "edges in the middle of pixels");
    }
}

fn dark_pixels(png: &[u8], top: u32, bottom: u32) -> usize {
    let picture = tiny_skia::Pixmap::decode_png(png).unwrap();
    let width = picture.width();
    let dark = |pixel: &&tiny_skia::PremultipliedColorU8| pixel.red() < 120 && pixel.green() < 120 && pixel.blue() < 120;
    picture.pixels()[(top * width) as usize..(bottom * width) as usize].iter().filter(dark).count()
}

#[test]
fn text_is_painted_in_the_png() {
    let titled = |title: &str| Xy { title: title.into(), ..masses("x", vec![1e14, 2e14]) }.figure().unwrap().png(2.0).unwrap();
    // The title occupies the strip between the margin of 14 and 14 + 15 + descent pixels, at twice the size.
    let pixels =
        ["", ".", r"\Omega_m", "Masses of clusters"].map(|title| if title.is_empty() { 0 } else { dark_pixels(&titled(title), 20, 66) });
    assert!(pixels[1] > 3 && pixels[2] > 5 * pixels[1] && pixels[3] > 3 * pixels[2], "{pixels:?}");
    assert_ne!(titled("Ω"), titled("Θ"), "Greek letters have glyphs of their own");
}

#[test]
fn pictures_have_the_size_asked_for_or_an_error() {
    let figure = masses("x", vec![1e14, 2e14]).figure().unwrap();
    let [width, height] = figure.size();
    let picture = tiny_skia::Pixmap::decode_png(&figure.png(3.0).unwrap()).unwrap();
    assert_eq!([f64::from(picture.width()), f64::from(picture.height())], [3.0 * width, 3.0 * height]);
    assert_ne!(figure.png_in(Theme::Light, 1.0).unwrap(), figure.png_in(Theme::Dark, 1.0).unwrap());
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
        assert!(matches!(figure.png(scale), Err(FigureError::PictureSize { .. })), "{scale}");
    }
}

fn report(text: &str) -> Report {
    let t = || text.to_owned();
    let table = Table {
        caption: t(),
        columns: vec![t(), t()],
        rows: vec![vec![Cell::Name(t()), Cell::Number(0.1234, 2)], vec![Cell::Text(t()), Cell::Count(12_345)]],
    };
    let figure = Block::Figure { figure: masses(text, vec![1e14, 2e14]).figure().unwrap(), caption: t(), width: Width::Half };
    Report {
        title: t(),
        subtitle: t(),
        verdict: Verdict { status: Status::Caution, headline: t(), text: t() },
        gates: vec![Gate { name: t(), status: Status::Good, measured: t(), required: t(), meaning: t() }],
        warnings: vec![
            Warning { severity: Severity::Notice, text: "a notice".into(), hint: t() },
            Warning { severity: Severity::Error, text: "an error".into(), hint: t() },
        ],
        run: vec![(t(), t())],
        data: Some(table.clone()),
        sections: vec![Section {
            title: t(),
            blocks: vec![
                Block::Text(t()),
                figure.clone(),
                figure.clone(),
                Block::Table(table),
                Block::Pairs(vec![(t(), t())]),
                Block::Verbatim(t()),
                Block::Details { summary: t(), blocks: vec![figure] },
            ],
        }],
        footer: vec![t()],
    }
}

#[test]
fn the_page_is_closed_markup_that_runs_and_requests_nothing() {
    for text in ["plain", HOSTILE, "`odd", "$x$ and `code`"] {
        let html = report(text).html().unwrap();
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
        let page = roxmltree::Document::parse_with_options(&html, options).unwrap_or_else(|error| panic!("{text}: {error}"));
        for node in page.descendants().filter(|node| node.is_element()) {
            let name = node.tag_name().name();
            assert!(!["script", "link", "img", "iframe", "object", "b"].contains(&name), "<{name}>");
            for attribute in node.attributes() {
                assert!(!attribute.name().starts_with("on") && attribute.name() != "src", "{attribute:?}");
                assert!(attribute.name() != "href" || attribute.value().starts_with('#'), "{attribute:?}");
            }
        }
        assert!(!html.contains("url(") && !html.contains("@import"));
        assert_eq!(
            html.matches("http").count(),
            html.matches("http-equiv").count() + html.matches("\"http://www.w3.org/2000/svg\"").count()
        );
        assert_eq!(html, report(text).html().unwrap());
    }
}

#[test]
fn the_gravest_warning_comes_first_and_numbers_are_set_apart() {
    let html = report("x").html().unwrap();
    assert!(html.find("an error").unwrap() < html.find("a notice").unwrap());
    assert!(html.contains("12\u{202f}345") && html.contains(">0.12<"));
}

//! Simulation-based calibration: rank histograms and ECDF differences.

use crate::draw::{Dash, font::Fonts};
use crate::error::{FigureError, finite_of_length, increasing, some};
use crate::figure::Figure;
use crate::figures::{Remark, remarks};
use crate::plot::{Axis, Layer, Plot, Tone};
use crate::sheet::{Columns, Sheet};

/// Ranks of the true values of one parameter, already counted in bins.
#[derive(Debug, Clone, PartialEq)]
pub struct RankHistogram {
    /// Parameter, in the notation of [`crate::Label`].
    pub label: String,
    /// Bin edges in ranks, one more than counts.
    pub edges: Vec<f64>,
    /// Counts.
    pub counts: Vec<f64>,
    /// Expected count of each bin when calibrated.
    pub expected: Vec<f64>,
    /// Lower ends of the band that holds a calibrated count, for instance with 99 % probability.
    pub lower: Vec<f64>,
    /// Upper ends.
    pub upper: Vec<f64>,
    /// Numbers beside the label, for instance p-values.
    pub remarks: Vec<Remark>,
}

/// One rank histogram per parameter, flat when calibrated: ∪ too narrow, ∩ too wide, a slope means bias.
#[derive(Debug, Clone, PartialEq)]
pub struct RankHistograms {
    /// Title.
    pub title: String,
    /// Name of the band in the legend, for instance `99 % expected`.
    pub band: String,
    /// The parameters.
    pub parameters: Vec<RankHistogram>,
}

impl RankHistograms {
    /// Draws the figure.
    pub fn figure(&self) -> Result<Figure, FigureError> {
        some("parameters", &self.parameters)?;
        let plots = self.parameters.iter().map(|parameter| self.plot(parameter)).collect::<Result<_, _>>()?;
        let sheet = Sheet {
            title: self.title.clone(),
            subtitle: String::new(),
            per_row: 3,
            panel_width: 230.0,
            row_heights: vec![140.0],
            columns: Columns::Separate,
            plots,
        };
        let description = format!(
            "Histograms of the ranks of the true values among posterior draws, {} parameter(s); flat is calibrated",
            self.parameters.len()
        );
        Ok(Figure::new(&self.title, description, sheet.draw(&Fonts::embedded()?)?))
    }

    fn plot(&self, parameter: &RankHistogram) -> Result<Plot, FigureError> {
        let what = |array: &str| format!("ranks of {}: {array}", parameter.label);
        let bins = parameter.counts.len();
        increasing(&what("edges"), &parameter.edges)?;
        finite_of_length(&what("edges"), &parameter.edges, bins + 1)?;
        for (name, values) in [("expected", &parameter.expected), ("lower", &parameter.lower), ("upper", &parameter.upper)] {
            finite_of_length(&what(name), values, bins)?;
        }
        // Bands and expectation are constant over each bin, hence twice at each inner edge.
        let steps = |values: &[f64]| values.iter().flat_map(|v| [*v, *v]).collect::<Vec<_>>();
        let x: Vec<f64> = parameter.edges.windows(2).flat_map(|pair| [pair[0], pair[1]]).collect();
        let ends = [parameter.edges[0], parameter.edges[bins]];
        let heights = parameter.counts.clone();
        Ok(Plot {
            header: parameter.label.clone(),
            remark: remarks(&parameter.remarks),
            x: Axis::linear("rank of the true value").between(ends[0], ends[1]),
            y: Axis::linear("pairs"),
            layers: vec![
                Layer::Histogram { name: None, edges: parameter.edges.clone(), heights, tone: Tone::Series(0) },
                Layer::Band {
                    name: Some(self.band.clone()),
                    x: x.clone(),
                    lower: steps(&parameter.lower),
                    upper: steps(&parameter.upper),
                    tone: Tone::Neutral,
                },
                Layer::Line { name: Some("expected".to_owned()), x, y: steps(&parameter.expected), tone: Tone::Text, dash: Dash::Dashed },
            ],
        })
    }
}

/// ECDF of the normalised ranks minus the uniform one, all parameters in one panel with their simultaneous band.
#[derive(Debug, Clone, PartialEq)]
pub struct EcdfDifference {
    /// Title.
    pub title: String,
    /// Normalised ranks in 0…1, strictly increasing.
    pub grid: Vec<f64>,
    /// Name of the band, for instance `95 % simultaneous`.
    pub band: String,
    /// Lower ends of the band of the difference.
    pub lower: Vec<f64>,
    /// Upper ends.
    pub upper: Vec<f64>,
    /// Parameter (in the notation of [`crate::Label`]) and its difference on the grid.
    pub curves: Vec<(String, Vec<f64>)>,
}

impl EcdfDifference {
    /// Draws the figure.
    pub fn figure(&self) -> Result<Figure, FigureError> {
        some("curves", &self.curves)?;
        increasing("grid", &self.grid)?;
        let band = Layer::Band {
            name: Some(self.band.clone()),
            x: self.grid.clone(),
            lower: self.lower.clone(),
            upper: self.upper.clone(),
            tone: Tone::Neutral,
        };
        let zero = Layer::Horizontal { name: None, y: 0.0, tone: Tone::Neutral, dash: Dash::Dashed };
        let curves = self.curves.iter().enumerate().map(|(index, (name, difference))| Layer::Line {
            name: Some(name.clone()),
            x: self.grid.clone(),
            y: difference.clone(),
            tone: Tone::Series(index),
            dash: Dash::of_series(index),
        });
        let plot = Plot {
            x: Axis::linear("normalised rank").between(0.0, 1.0),
            y: Axis::linear("ECDF \u{2212} uniform"),
            layers: [band, zero].into_iter().chain(curves).collect(),
            ..Plot::default()
        };
        let sheet = Sheet {
            title: self.title.clone(),
            subtitle: String::new(),
            per_row: 1,
            panel_width: 520.0,
            row_heights: vec![260.0],
            columns: Columns::Separate,
            plots: vec![plot],
        };
        let description = format!(
            "Difference between the distribution of ranks and the uniform one, {} parameter(s); inside the band is calibrated",
            self.curves.len()
        );
        Ok(Figure::new(&self.title, description, sheet.draw(&Fonts::embedded()?)?))
    }
}

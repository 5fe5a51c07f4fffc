//! A quantity in bins of another one: calibration by region.

use crate::draw::{Dash, font::Fonts};
use crate::error::{FigureError, finite, finite_of_length, some};
use crate::figure::Figure;
use crate::figures::{Remark, remarks};
use crate::plot::{Axis, Errors, Layer, Plot, Tone};
use crate::sheet::{Columns, Sheet};

/// Panels in a row.
const PER_ROW: usize = 3;

/// One quantity in every bin.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionSeries {
    /// Name in the legend.
    pub name: String,
    /// Value in each bin.
    pub value: Vec<f64>,
    /// Its standard error.
    pub error: Vec<f64>,
    /// What it would be when calibrated.
    pub expected: f64,
    /// Lower end of where it may lie by chance in each bin.
    pub lower: Vec<f64>,
    /// Upper end of it.
    pub upper: Vec<f64>,
}

/// The bins of one variable and what was measured in them.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionPanel {
    /// The parameter that was tested, in the notation of [`crate::Label`].
    pub label: String,
    /// What the bins are ranges of.
    pub variable: String,
    /// Smallest and largest value of the variable in each bin.
    pub bins: Vec<[f64; 2]>,
    /// The quantities.
    pub series: Vec<RegionSeries>,
    /// Numbers beside the label, for instance the smallest adjusted p-value.
    pub remarks: Vec<Remark>,
}

/// Calibration in bins, one panel per parameter and variable; points outside their grey bands mark regions where the posterior is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionCalibration {
    /// Title.
    pub title: String,
    /// What is drawn: `coverage`.
    pub quantity: String,
    /// Name of the bands, for instance `95 % expected`.
    pub band: String,
    /// The panels.
    pub panels: Vec<RegionPanel>,
}

impl RegionCalibration {
    /// Draws the figure.
    pub fn figure(&self) -> Result<Figure, FigureError> {
        some("panels", &self.panels)?;
        let plots = self.panels.iter().map(|panel| self.plot(panel)).collect::<Result<_, _>>()?;
        let sheet = Sheet {
            title: self.title.clone(),
            subtitle: "bars: range of the region and standard error".to_owned(),
            per_row: PER_ROW,
            panel_width: 230.0,
            row_heights: vec![190.0],
            columns: Columns::Separate,
            plots,
        };
        let description = format!("{} in regions of {} panel(s); inside the bands is calibrated", self.quantity, self.panels.len());
        Ok(Figure::new(&self.title, description, sheet.draw(&Fonts::embedded()?)?))
    }

    fn plot(&self, panel: &RegionPanel) -> Result<Plot, FigureError> {
        let bins = panel.bins.len();
        some("bins", &panel.bins)?;
        finite(&format!("bins of {}", panel.label), panel.bins.as_flattened())?;
        let centre: Vec<f64> = panel.bins.iter().map(|[low, high]| 0.5 * (low + high)).collect();
        let half_width: Vec<f64> = panel.bins.iter().map(|[low, high]| 0.5 * (high - low).abs()).collect();
        // Bands are constant over each bin, hence twice at its ends.
        let x: Vec<f64> = panel.bins.as_flattened().to_vec();
        let steps = |values: &[f64]| values.iter().flat_map(|v| [*v, *v]).collect::<Vec<_>>();
        let mut layers = Vec::new();
        for series in &panel.series {
            let what = |array: &str| format!("{} of {}: {array}", series.name, panel.label);
            for (name, values) in [("value", &series.value), ("error", &series.error), ("lower", &series.lower), ("upper", &series.upper)] {
                finite_of_length(&what(name), values, bins)?;
            }
            layers.push(Layer::Band {
                name: Some(self.band.clone()),
                x: x.clone(),
                lower: steps(&series.lower),
                upper: steps(&series.upper),
                tone: Tone::Neutral,
            });
            layers.push(Layer::Horizontal { name: None, y: series.expected, tone: Tone::Neutral, dash: Dash::Dashed });
        }
        for (index, series) in panel.series.iter().enumerate() {
            layers.push(Layer::Points {
                name: (!series.name.is_empty()).then(|| series.name.clone()),
                x: centre.clone(),
                y: series.value.clone(),
                x_error: Some(Errors::symmetric(half_width.clone())),
                y_error: Some(Errors::symmetric(series.error.clone())),
                tone: Tone::Series(index),
            });
        }
        Ok(Plot {
            header: panel.label.clone(),
            remark: remarks(&panel.remarks),
            x: Axis::linear(panel.variable.clone()),
            y: Axis::linear(self.quantity.clone()),
            layers,
        })
    }
}

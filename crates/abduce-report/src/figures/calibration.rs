//! Coverage against credibility: P–P, highest-density and TARP.

use crate::draw::{Dash, font::Fonts};
use crate::error::{FigureError, finite_of_length, increasing, some};
use crate::figure::Figure;
use crate::figures::{Remark, remarks};
use crate::plot::{Axis, Layer, Plot, Tone};
use crate::sheet::{Columns, Sheet};

/// Which coverage it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalibrationKind {
    /// Fraction of true values below the posterior quantile, per parameter (P–P plot).
    Marginal,
    /// Fraction of true values inside the highest-density region of that credibility.
    HighestDensity,
    /// Tests of accuracy with random points (Lemos et al. 2023, arXiv:2302.03026).
    Tarp,
}

/// Coverage as a function of credibility.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationCurve {
    /// Parameter or method, in the notation of [`crate::Label`]; empty for a single unnamed curve.
    pub name: String,
    /// Coverage at each grid point, in 0…1.
    pub coverage: Vec<f64>,
}

/// Where the coverage may lie by chance, or how uncertain it is.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationBand {
    /// Name in the legend, for instance `95 % expected`.
    pub name: String,
    /// Lower ends at each grid point.
    pub lower: Vec<f64>,
    /// Upper ends at each grid point.
    pub upper: Vec<f64>,
    /// The curve whose uncertainty it is, and whose colour it takes; grey if it belongs to none.
    pub of_curve: Option<usize>,
}

/// Coverage against the diagonal, and below it the difference of the two, where small departures show.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Title.
    pub title: String,
    /// Which coverage.
    pub kind: CalibrationKind,
    /// Credibilities in 0…1, strictly increasing.
    pub credibility: Vec<f64>,
    /// Curves on that grid.
    pub curves: Vec<CalibrationCurve>,
    /// Bands on that grid, widest first.
    pub bands: Vec<CalibrationBand>,
    /// Numbers under the title: ATC, p-values.
    pub remarks: Vec<Remark>,
}

impl Calibration {
    /// Draws the figure.
    pub fn figure(&self) -> Result<Figure, FigureError> {
        some("curves", &self.curves)?;
        increasing("credibility", &self.credibility)?;
        for (index, curve) in self.curves.iter().enumerate() {
            finite_of_length(&format!("coverage of curve {index}"), &curve.coverage, self.credibility.len())?;
        }
        for band in &self.bands {
            finite_of_length(&format!("lower ends of band {}", band.name), &band.lower, self.credibility.len())?;
            finite_of_length(&format!("upper ends of band {}", band.name), &band.upper, self.credibility.len())?;
        }
        let (x_label, y_label) = match self.kind {
            CalibrationKind::Marginal => ("posterior quantile", "fraction of true values below"),
            CalibrationKind::HighestDensity => ("credibility of the highest-density region", "fraction of true values inside"),
            CalibrationKind::Tarp => ("credibility", "expected coverage"),
        };
        let identity = Layer::Identity { name: Some("calibrated".to_owned()) };
        let square = Plot {
            x: Axis::linear(x_label).between(0.0, 1.0),
            y: Axis::linear(y_label).between(0.0, 1.0),
            layers: self.layers(|_, coverage| coverage, identity),
            ..Plot::default()
        };
        let zero = Layer::Horizontal { name: None, y: 0.0, tone: Tone::Neutral, dash: Dash::Dashed };
        let difference = self.layers(|credibility, coverage| coverage - credibility, zero);
        let reach = self.reach();
        let below = Plot {
            x: Axis::linear(x_label).between(0.0, 1.0),
            y: Axis::linear("difference").between(-reach, reach),
            layers: difference,
            ..Plot::default()
        };
        let sheet = Sheet {
            title: self.title.clone(),
            subtitle: remarks(&self.remarks),
            per_row: 1,
            panel_width: 360.0,
            row_heights: vec![360.0, 120.0],
            columns: Columns::Shared,
            plots: vec![square, below],
        };
        let description = match self.kind {
            CalibrationKind::Marginal => "Fraction of true values below each posterior quantile; the diagonal is calibrated",
            CalibrationKind::HighestDensity => {
                "Fraction of true values inside highest-density regions; below the diagonal the posterior is too narrow"
            }
            CalibrationKind::Tarp => "Expected coverage of TARP regions; below the diagonal the posterior is too narrow or biased",
        };
        Ok(Figure::new(&self.title, description.to_owned(), sheet.draw(&Fonts::embedded()?)?))
    }

    /// Bands, the reference, then curves, every ordinate passed through `ordinate(credibility, coverage)`.
    fn layers(&self, ordinate: impl Fn(f64, f64) -> f64, reference: Layer) -> Vec<Layer> {
        let mapped = |values: &[f64]| self.credibility.iter().zip(values).map(|(c, v)| ordinate(*c, *v)).collect::<Vec<_>>();
        let bands = self.bands.iter().map(|band| Layer::Band {
            name: Some(band.name.clone()),
            x: self.credibility.clone(),
            lower: mapped(&band.lower),
            upper: mapped(&band.upper),
            tone: band.of_curve.map_or(Tone::Neutral, Tone::Series),
        });
        let curves = self.curves.iter().enumerate().map(|(index, curve)| Layer::Line {
            name: (!curve.name.is_empty()).then(|| curve.name.clone()),
            x: self.credibility.clone(),
            y: mapped(&curve.coverage),
            tone: Tone::Series(index),
            dash: Dash::of_series(index),
        });
        bands.chain([reference]).chain(curves).collect()
    }

    /// Half the height of the difference panel.
    fn reach(&self) -> f64 {
        let arrays = self.curves.iter().map(|c| &c.coverage).chain(self.bands.iter().flat_map(|b| [&b.lower, &b.upper]));
        let largest =
            arrays.flat_map(|values| values.iter().zip(&self.credibility)).fold(0.0_f64, |reach, (v, c)| reach.max((v - c).abs()));
        // A perfect curve still gets an axis on which 0.01 would be seen.
        (1.1 * largest).max(0.02)
    }
}

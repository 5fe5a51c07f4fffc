//! Corrected credible regions: what they cover, and how far they differ from the stated ones.

use crate::draw::{Dash, font::Fonts};
use crate::error::{FigureError, finite_of_length, increasing};
use crate::figure::Figure;
use crate::figures::{Remark, remarks};
use crate::plot::{Axis, Layer, Plot, Tone};
use crate::sheet::{Columns, Sheet};

/// Coverage before and after the correction, and beside it the correction.
#[derive(Debug, Clone, PartialEq)]
pub struct Conformal {
    /// Title.
    pub title: String,
    /// Credibilities in 0…1, strictly increasing.
    pub credibility: Vec<f64>,
    /// Coverage of the posterior's own regions at each of them.
    pub stated: Vec<f64>,
    /// Coverage of the corrected regions.
    pub corrected: Vec<f64>,
    /// Credibility whose region has the coverage of the grid point; absent where no region short of everything has.
    pub correction: Vec<Option<f64>>,
    /// Name of the band of calibrated coverage, for instance `95 % expected`.
    pub band: String,
    /// Its lower ends.
    pub lower: Vec<f64>,
    /// Its upper ends.
    pub upper: Vec<f64>,
    /// Numbers under the title.
    pub remarks: Vec<Remark>,
}

impl Conformal {
    /// Draws the figure.
    pub fn figure(&self) -> Result<Figure, FigureError> {
        let n = self.credibility.len();
        increasing("credibility", &self.credibility)?;
        for (name, values) in [("stated", &self.stated), ("corrected", &self.corrected), ("lower", &self.lower), ("upper", &self.upper)] {
            finite_of_length(&format!("{name} coverage"), values, n)?;
        }
        if self.correction.len() != n {
            return Err(FigureError::Length { what: "correction".into(), found: self.correction.len(), expected: n });
        }
        let identity = || Layer::Identity { name: Some("calibrated".to_owned()) };
        let line = |name: &str, x: Vec<f64>, y: Vec<f64>, index: usize| Layer::Line {
            name: Some(name.to_owned()),
            x,
            y,
            tone: Tone::Series(index),
            dash: Dash::of_series(index),
        };
        let band = Layer::Band {
            name: Some(self.band.clone()),
            x: self.credibility.clone(),
            lower: self.lower.clone(),
            upper: self.upper.clone(),
            tone: Tone::Neutral,
        };
        let coverage = Plot {
            x: Axis::linear("credibility, stated or wanted").between(0.0, 1.0),
            y: Axis::linear("fraction of true values inside").between(0.0, 1.0),
            layers: vec![
                band,
                identity(),
                line("regions as stated", self.credibility.clone(), self.stated.clone(), 0),
                line("corrected regions", self.credibility.clone(), self.corrected.clone(), 1),
            ],
            ..Plot::default()
        };
        let known = self.credibility.iter().zip(&self.correction).filter_map(|(c, corrected)| Some((*c, (*corrected)?)));
        let (wanted, use_instead): (Vec<f64>, Vec<f64>) = known.unzip();
        let mut layers = vec![identity()];
        if !wanted.is_empty() {
            layers.push(line("corrected regions", wanted, use_instead, 1));
        }
        let correction = Plot {
            x: Axis::linear("coverage wanted").between(0.0, 1.0),
            y: Axis::linear("credibility to ask the posterior for").between(0.0, 1.0),
            layers,
            ..Plot::default()
        };
        let sheet = Sheet {
            title: self.title.clone(),
            subtitle: remarks(&self.remarks),
            per_row: 2,
            panel_width: 300.0,
            row_heights: vec![300.0],
            columns: Columns::Separate,
            plots: vec![coverage, correction],
        };
        let description = "Coverage of highest-density regions as stated and as corrected by held-out simulations, and the correction";
        Ok(Figure::new(&self.title, description.to_owned(), sheet.draw(&Fonts::embedded()?)?))
    }
}

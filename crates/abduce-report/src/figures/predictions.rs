//! Posterior against truth on the test set.

use crate::draw::font::Fonts;
use crate::error::{FigureError, some};
use crate::figure::Figure;
use crate::figures::{Remark, remarks};
use crate::plot::{Axis, Errors, Layer, Plot, Tone};
use crate::sheet::{Columns, Sheet};

/// One parameter over all test pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Parameter, in the notation of [`crate::Label`].
    pub label: String,
    /// True values.
    pub truth: Vec<f64>,
    /// Posterior means or medians.
    pub centre: Vec<f64>,
    /// 1σ errors, symmetric or from the 16 % and 84 % quantiles.
    pub error: Errors,
    /// Numbers beside the label: R², normalised RMSE.
    pub remarks: Vec<Remark>,
}

/// Truth against posterior, one square panel per parameter, with the line of perfect predictions.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// Title.
    pub title: String,
    /// What the centre is: `posterior mean`.
    pub centre: String,
    /// The parameters.
    pub parameters: Vec<Prediction>,
}

impl Predictions {
    /// Draws the figure.
    pub fn figure(&self) -> Result<Figure, FigureError> {
        some("parameters", &self.parameters)?;
        let plots = self.parameters.iter().map(|parameter| Plot {
            header: parameter.label.clone(),
            remark: remarks(&parameter.remarks),
            x: Axis::linear("true value"),
            y: Axis::linear(self.centre.clone()),
            layers: vec![
                Layer::Points {
                    name: None,
                    x: parameter.truth.clone(),
                    y: parameter.centre.clone(),
                    x_error: None,
                    y_error: Some(parameter.error.clone()),
                    tone: Tone::Series(0),
                },
                Layer::Identity { name: None },
            ],
        });
        let sheet = Sheet {
            title: self.title.clone(),
            subtitle: "bars: 68 % of the posterior  ·  dashed: perfect prediction".to_owned(),
            per_row: 3,
            panel_width: 230.0,
            row_heights: vec![230.0],
            columns: Columns::Separate,
            plots: plots.collect(),
        };
        let description = format!("{} against true value for {} parameter(s)", self.centre, self.parameters.len());
        Ok(Figure::new(&self.title, description, sheet.draw(&Fonts::embedded()?)?))
    }
}

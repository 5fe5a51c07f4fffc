//! Held-out log-probabilities.

use crate::draw::{Dash, font::Fonts};
use crate::error::{FigureError, finite};
use crate::figure::Figure;
use crate::figures::{Remark, remarks};
use crate::plot::{Axis, Layer, Plot, Tone};
use crate::sheet::{Columns, Sheet};

/// Histogram of log q(θᵢ|xᵢ) over the test pairs, with its mean and the prior's mean as lines.
#[derive(Debug, Clone, PartialEq)]
pub struct LogProbHistogram {
    /// Title.
    pub title: String,
    /// Log-probability of each true parameter vector, in nats.
    pub log_prob: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// The prior's mean log-probability of the same vectors: what ignoring the data would reach.
    pub prior_mean: Option<f64>,
    /// Numbers under the title.
    pub remarks: Vec<Remark>,
}

impl LogProbHistogram {
    /// Draws the figure. The bins run from the 0.5 % quantile up; lower values are counted in the first bin, so that one very improbable
    /// pair does not squeeze the rest.
    pub fn figure(&self) -> Result<Figure, FigureError> {
        finite("log_prob", &self.log_prob)?;
        finite("mean", &[self.mean])?;
        let mut sorted = self.log_prob.clone();
        sorted.sort_by(f64::total_cmp);
        let lowest = sorted[sorted.len() / 200];
        let highest = sorted[sorted.len() - 1];
        // Freedman–Diaconis: 2 IQR n^(-1/3).
        let iqr = sorted[sorted.len() * 3 / 4] - sorted[sorted.len() / 4];
        let span = highest - lowest;
        let width = 2.0 * iqr / (sorted.len() as f64).cbrt();
        let bins = if width > 0.0 && span > 0.0 { (span / width).ceil().clamp(5.0, 60.0) as usize } else { 1 };
        let (low, span) = if span > 0.0 { (lowest, span) } else { (lowest - 0.5, 1.0) };
        let edges: Vec<f64> = (0..=bins).map(|bin| low + span * bin as f64 / bins as f64).collect();
        let mut heights = vec![0.0; bins];
        for value in &sorted {
            heights[(((value - low) / span * bins as f64).max(0.0) as usize).min(bins - 1)] += 1.0;
        }
        let mut layers = vec![
            Layer::Histogram { name: None, edges, heights, tone: Tone::Series(0) },
            Layer::Vertical { name: Some("mean".to_owned()), x: self.mean, tone: Tone::Series(0), dash: Dash::Solid },
        ];
        if let Some(prior) = self.prior_mean {
            finite("prior_mean", &[prior])?;
            layers.push(Layer::Vertical { name: Some("mean of the prior".to_owned()), x: prior, tone: Tone::Truth, dash: Dash::Dashed });
        }
        let plot = Plot { x: Axis::linear(r"\log q(\theta|x)"), y: Axis::linear("pairs"), layers, ..Plot::default() };
        let mut subtitle = remarks(&self.remarks);
        if sorted[0] < lowest {
            subtitle.push_str(if subtitle.is_empty() {
                "first bin: and all lower values"
            } else {
                "  ·  first bin: and all lower values"
            });
        }
        let sheet = Sheet {
            title: self.title.clone(),
            subtitle,
            per_row: 1,
            panel_width: 520.0,
            row_heights: vec![260.0],
            columns: Columns::Separate,
            plots: vec![plot],
        };
        let description = "Histogram of the log-probability of the true parameters of held-out pairs".to_owned();
        Ok(Figure::new(&self.title, description, sheet.draw(&Fonts::embedded()?)?))
    }
}

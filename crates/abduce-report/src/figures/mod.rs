//! The figures, each a struct of plain arrays with a method `figure`.

mod calibration;
mod conformal;
mod corner;
mod density_map;
mod log_prob;
mod pictures;
mod predictions;
mod ranks;
mod ratio;
mod regions;
mod training;
mod xy;

pub use calibration::{Calibration, CalibrationBand, CalibrationCurve, CalibrationKind};
pub use conformal::Conformal;
pub use corner::{Corner, CornerPosterior, CornerView};
pub use density_map::DensityMap;
pub use log_prob::LogProbHistogram;
pub use pictures::Pictures;
pub use predictions::{Prediction, Predictions};
pub use ranks::{EcdfDifference, RankHistogram, RankHistograms};
pub use ratio::{Curve, RatioCurves};
pub use regions::{RegionCalibration, RegionPanel, RegionSeries};
pub use training::{NetHistory, TrainingCurves};
pub use xy::{Shape, Xy};

use crate::ticks::significant;

/// A number that came with the arrays, shown beside them: R², a p-value.
#[derive(Debug, Clone, PartialEq)]
pub struct Remark {
    /// What it is, in the notation of [`crate::Label`].
    pub name: String,
    /// Its value, shown with three significant digits.
    pub value: f64,
}

impl Remark {
    /// A named number.
    pub fn new(name: impl Into<String>, value: f64) -> Self {
        Self { name: name.into(), value }
    }
}

/// Without the zeros that end the decimals: `0.420` as `0.42`, `3.20×10⁻⁹` as `3.2×10⁻⁹`.
fn shortest(number: &str) -> String {
    let (mantissa, power) = number.split_at(number.find('×').unwrap_or(number.len()));
    if !mantissa.contains('.') {
        return number.to_owned();
    }
    format!("{}{power}", mantissa.trim_end_matches('0').trim_end_matches('.'))
}

/// `R² = 0.97  ·  z = 1.02`. Names may be mathematics, so each is wrapped where it asks for it.
fn remarks(remarks: &[Remark]) -> String {
    let one = |remark: &Remark| format!("{} = {}", remark.name, shortest(&significant(remark.value, 3)));
    remarks.iter().map(one).collect::<Vec<_>>().join("  ·  ")
}

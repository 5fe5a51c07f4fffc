//! Plots and the self-contained HTML report, drawn from plain arrays.
//!
//! Nothing is computed here that a reader could quote: ranks, coverage, bands and p-values arrive as arrays and numbers. The exception is
//! what drawing itself needs, histograms and smoothed densities of given samples. Same input, same bytes.
//!
//! Each figure is a struct of arrays; its method `figure` checks them and gives a [`Figure`], which writes itself as SVG or PNG.
//! [`html::Report`] puts figures, tables, warnings and a verdict on one page that requests nothing from anywhere.
//!
//! ```
//! use abduce_report::{NetHistory, TrainingCurves};
//! let net = NetHistory { name: "maf".into(), train: vec![2.0, 1.2, 1.0], validation: vec![2.1, 1.3, 1.4], best_epoch: 1 };
//! let figure = TrainingCurves { title: "Training".into(), loss: r"-\log q(\theta|x)".into(), nets: vec![net] }.figure()?;
//! assert!(figure.svg()?.starts_with("<svg"));
//! assert!(figure.png(2.0)?.starts_with(b"\x89PNG"));
//! # Ok::<(), abduce_report::FigureError>(())
//! ```
//!
//! Start reading at `sheet.rs` (panels under one title) and `figures/corner.rs`.

mod contour;
mod density;
mod draw;
mod error;
mod escape;
mod figure;
mod figures;
pub mod html;
mod label;
mod panel;
mod plot;
mod sheet;
mod ticks;

pub use draw::Dash;
pub use draw::ink::Theme;
pub use error::FigureError;
pub use figure::Figure;
pub use figures::{
    Calibration, CalibrationBand, CalibrationCurve, CalibrationKind, Conformal, Corner, CornerPosterior, CornerView, Curve, DensityMap,
    EcdfDifference, LogProbHistogram, NetHistory, Pictures, Prediction, Predictions, RankHistogram, RankHistograms, RatioCurves,
    RegionCalibration, RegionPanel, RegionSeries, Remark, Shape, TrainingCurves, Xy,
};
pub use label::Label;
pub use plot::{Axis, Errors, Layer, Tone};
pub use ticks::Scale;

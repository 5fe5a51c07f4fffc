//! From results to pictures: the files of a run and the numbers of a validation become figures and one page.
//!
//! | module | gives |
//! |---|---|
//! | [`validation`] | every calibration plot of a [`Validation`](abduce_inference::diagnostics::Validation), as SVG and PNG |
//! | [`posterior`] | corner plots and interval plots of posterior draws |
//! | [`training`] | loss per epoch of each net |
//! | [`predictive`] | the observed data among their replicates |
//! | [`dimension`] | intrinsic dimension against scale, and as a table |
//! | [`comparison`] | our estimates against a reference catalogue's, observed against predicted counts |
//! | [`report`] | `report.html` of a run directory |
//!
//! Nothing that a reader could quote is computed here: numbers come from the diagnostics and the files of the run. Start reading at
//! [`report`].

pub mod comparison;
pub mod compress;
pub mod dimension;
mod error;
pub mod gflownet;
mod labels;
pub mod posterior;
pub mod predictive;
mod regions;
pub mod report;
pub mod run;
pub mod training;
pub mod validation;

#[cfg(test)]
mod tests;

pub use error::PresentError;
pub use labels::axis_label;

use crate::error::Error;
use abduce_data::artefact::write_atomic;
use abduce_report::Figure;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Device pixels per CSS pixel of the PNGs: sharp on screens and in print.
const PNG_SCALE: f64 = 2.0;

/// Writes `folder/stem.svg` and `folder/stem.png`; the folder is made if it isn't there.
fn write_figure(folder: &Path, stem: &str, figure: &Figure) -> Result<[PathBuf; 2], Error> {
    std::fs::create_dir_all(folder).map_err(|source| Error::File { action: "create", path: folder.to_path_buf(), source })?;
    let [svg, png] = ["svg", "png"].map(|extension| folder.join(format!("{stem}.{extension}")));
    let drawn = |source| PresentError::Figure { figure: stem.to_string(), source };
    write_bytes(&svg, figure.svg().map_err(drawn)?.as_bytes())?;
    write_bytes(&png, &figure.png(PNG_SCALE).map_err(drawn)?)?;
    Ok([svg, png])
}

/// Writes one file, SVG or PNG as its name ends.
pub fn write_picture(path: &Path, figure: &Figure) -> Result<(), Error> {
    let drawn = |source| PresentError::Figure { figure: path.display().to_string(), source };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => write_bytes(path, figure.svg().map_err(drawn)?.as_bytes()),
        Some("png") => write_bytes(path, &figure.png(PNG_SCALE).map_err(drawn)?),
        _ => Err(Error::Usage {
            message: format!("{} ends in neither .svg nor .png", path.display()),
            help: "the ending chooses the format of the picture".into(),
        }),
    }
}

/// The file appears complete or not at all.
fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    Ok(write_atomic(path, |out| out.write_all(bytes)).map_err(PresentError::from)?)
}

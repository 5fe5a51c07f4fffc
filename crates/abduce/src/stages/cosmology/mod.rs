//! Simulated universes: particles, haloes, galaxies, summaries, each stage from the files of the one before.

pub mod catalogues;
pub mod output;
pub mod particles;
pub mod pictures;
pub mod suite;
pub mod summary;
pub mod target;

use crate::error::Error;
use abduce_cosmology::files::FileError;
use abduce_cosmology::galaxies::GalaxyError;
use abduce_cosmology::halos::HaloError;
use abduce_cosmology::pm::PmError;
use abduce_cosmology::statistics::StatisticsError;
use std::path::{Path, PathBuf};

/// Bytes as a person reads them.
pub fn bytes(count: u64) -> String {
    let count = count as f64;
    if count < 1e6 {
        format!("{:.0} kB", count / 1e3)
    } else if count < 1e9 {
        format!("{:.0} MB", count / 1e6)
    } else {
        format!("{:.2} GB", count / 1e9)
    }
}

/// The name of a product: `KIND-a0.666667.safetensors`.
pub fn file_name(kind: &str, a: f64) -> String {
    format!("{kind}-a{a:.6}.safetensors")
}

/// The file of another kind beside `path`: `snapshot-a0.5.safetensors` → `halos-a0.5.safetensors`; `to` goes before a name that is not of the kind `from`.
pub fn beside(path: &Path, from: &str, to: &str, extension: &str, folder: Option<&Path>) -> PathBuf {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = match stem.strip_prefix(from).and_then(|rest| rest.strip_prefix('-')) {
        Some(rest) => format!("{to}-{rest}"),
        None => format!("{to}-{stem}"),
    };
    folder.map_or_else(|| path.with_file_name(format!("{stem}.{extension}")), |folder| folder.join(format!("{stem}.{extension}")))
}

fn plain(error: &dyn std::fmt::Display) -> Error {
    Error::Failed { message: error.to_string(), help: None }
}

impl From<PmError> for Error {
    fn from(error: PmError) -> Self {
        match error {
            PmError::Memory { needed_bytes, limit_bytes } => Self::failed(
                format!("the run needs {}, and {} are allowed", bytes(needed_bytes), bytes(limit_bytes)),
                "raise `simulation.memory_gib`, or take fewer particles or a smaller `mesh_factor`",
            ),
            PmError::Cosmology(error) => error.into(),
            error => plain(&error),
        }
    }
}

impl From<HaloError> for Error {
    fn from(error: HaloError) -> Self {
        plain(&error)
    }
}

impl From<GalaxyError> for Error {
    fn from(error: GalaxyError) -> Self {
        plain(&error)
    }
}

impl From<StatisticsError> for Error {
    fn from(error: StatisticsError) -> Self {
        match error {
            StatisticsError::Shell { .. } => {
                Self::failed(error.to_string(), "give a larger `summary.mesh` or a smaller `summary.bispectrum.k_max`")
            }
            error => plain(&error),
        }
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Data(error) => error.into(),
            FileError::Io { action, path, source } => Self::File { action, path, source },
            FileError::Mismatch { .. } => {
                Self::failed(error.to_string(), "give a file that means what is asked for, or make it anew; nothing was converted")
            }
            FileError::Truncated { .. } => Self::failed(error.to_string(), "the copy was broken off: copy or make the file again"),
            error => plain(&error),
        }
    }
}

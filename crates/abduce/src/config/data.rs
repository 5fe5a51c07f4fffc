//! The data file: where θ and x are stored.

use super::infer::here;
use super::{Findings, Section, support};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Stored simulations: θ (n, d) and x (n, …), row by row in pairs. Files are `.npy`, `.npz` or `.csv`; names are joined to `in_dir`.
/// LtU-ILI's data files for StaticNumpyLoader and SBISimulator are read unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-ignored" = support::DATA, "x-unavailable-keys" = support::LOADER_KEYS))]
pub struct DataConfig {
    /// Folder of the files below.
    #[serde(default = "here")]
    #[schemars(extend("x-aliases" = ["data_dir"]))]
    pub in_dir: PathBuf,
    /// The data x, one row per simulation.
    pub x_file: PathBuf,
    /// The parameters θ, one row per simulation.
    #[schemars(extend("x-aliases" = ["param_file"]))]
    pub theta_file: PathBuf,
    /// An observation, or several as rows, to apply the posterior to.
    #[serde(default)]
    pub xobs_file: Option<PathBuf>,
    /// The true or fiducial parameters of `xobs_file`, drawn as truth lines.
    #[serde(default)]
    pub thetafid_file: Option<PathBuf>,
    /// Keep every k-th simulation (row) only.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub thin_data: usize,
    /// Use the first rows only, before thinning; null for all.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub n_data: Option<usize>,
    /// What happens to rows with NaN or infinities.
    #[serde(default)]
    pub nan_rows: NanRows,
    /// Data larger than this many MiB are not loaded: they are read in shuffled blocks through a buffer of this size.
    #[serde(default = "buffer")]
    #[schemars(range(min = 1, max = 1048576))]
    pub buffer_mib: usize,
}

fn one() -> usize {
    1
}

fn buffer() -> usize {
    128
}

/// What happens to rows with NaN or infinities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "treatment of NaN rows"))]
pub enum NanRows {
    /// They are counted, reported and left out.
    #[default]
    Drop,
    /// They end the run.
    Error,
}

impl DataConfig {
    /// The file `name` of this section, joined to `in_dir`.
    pub fn file(&self, name: &std::path::Path) -> PathBuf {
        self.in_dir.join(name)
    }
}

impl Section for DataConfig {
    const KIND: &'static str = "data";

    fn check(&self, findings: &mut Findings) {
        if self.x_file == self.theta_file {
            findings.error("theta_file", "`theta_file` and `x_file` are the same file", "name the file with the parameters");
        }
    }
}

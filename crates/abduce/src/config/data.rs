//! The data file: where θ and x are stored.

use super::infer::here;
use super::simulator::{PriorPlace, SimulatorConfig};
use super::{Findings, Section, support};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Stored simulations: θ (n, d) and x (n, …), row by row in pairs. Files are `.npy`, `.npz`, `.csv`, `.h5` or `.fits` (`sims.h5:/theta` names an array); names are joined to `in_dir`.
/// LtU-ILI's data files for StaticNumpyLoader and SBISimulator are read unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-unavailable-keys" = support::LOADER_KEYS))]
pub struct DataConfig {
    /// Folder of the files below.
    #[serde(default = "here")]
    #[schemars(extend("x-aliases" = ["data_dir"]))]
    pub in_dir: PathBuf,
    /// The data x, one row per simulation. With `num_simulations` the file need not exist yet, and need not be named.
    #[serde(default)]
    pub x_file: Option<PathBuf>,
    /// The parameters θ, one row per simulation.
    #[serde(default)]
    #[schemars(extend("x-aliases" = ["param_file"]))]
    pub theta_file: Option<PathBuf>,
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
    /// Simulations per round of a sequential engine; the ABC engines have their own in `train_args`, others use what is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub num_simulations: Option<usize>,
    /// Whether each round rewrites `x_file` and `theta_file` with all simulations so far.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub save_simulated: bool,
    /// What simulates for a sequential engine or for ABC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulator: Option<SimulatorConfig>,
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
        let files = [("x_file", &self.x_file), ("theta_file", &self.theta_file)];
        for (key, _) in files.iter().filter(|(_, file)| file.is_none()) {
            if self.save_simulated {
                let help = format!("add `{key}`, the file to be written");
                findings.error("save_simulated", &format!("`save_simulated` needs to know `{key}`"), &help);
            } else if self.num_simulations.is_none() && self.simulator.is_none() {
                // As the reader says it of a key that is always needed.
                findings.error("", &format!("missing key `{key}`"), "name the files of the stored simulations");
            }
        }
        let simulating = self.num_simulations.is_some() || self.simulator.is_some();
        if simulating && self.x_file.is_some() != self.theta_file.is_some() && !self.save_simulated {
            findings.error("", "one of `x_file` and `theta_file` is named, the other is not", "name both, or none");
        }
        if self.x_file.is_some() && self.x_file == self.theta_file {
            findings.error("theta_file", "`theta_file` and `x_file` are the same file", "name the file with the parameters");
        }
        if self.save_simulated && self.num_simulations.is_none() && self.simulator.is_none() {
            findings.error("save_simulated", "`save_simulated` without simulations to save", "add `num_simulations`");
        }
        if let Some(simulator) = &self.simulator {
            simulator.check_at("simulator.", PriorPlace::InferFile, findings);
        }
    }
}

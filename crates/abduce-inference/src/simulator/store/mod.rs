//! Simulations on disk: a folder that grows, that several processes share, and from which nothing is simulated twice.
//!
//! A [`Store`] holds one [`Series`] per [`SeriesKey`]: simulator, proposal and seed. The rows of a series are numbered by their global index, and
//! a row is a function of key and index, so it does not matter who simulated it, when, or in what order.
//!
//! ```text
//! STORE/3f6c01a2b7e8d954/manifest.json      what the series is a series of
//! STORE/3f6c01a2b7e8d954/*.block            rows, written once, with a checksum
//! ```
//!
//! Nothing is locked. A block appears complete under a name made from its contents ([`abduce_data::block`]), so a killed process loses the rows
//! that it had not written yet and nothing else; two processes that simulate the same item write the same row. A block that is torn (a crash
//! of the machine, a broken copy) is recognised by its checksum and counted, and its items are simulated again.
//!
//! ```
//! use abduce_data::Seed;
//! use abduce_inference::simulator::store::{Fill, SeriesKey, Store};
//! use abduce_inference::simulator::{InProcess, named};
//! use std::num::NonZeroUsize;
//! use std::sync::atomic::AtomicBool;
//!
//! let folder = tempfile::tempdir()?;
//! let simulator = InProcess::new(named("two_moons").unwrap(), NonZeroUsize::MIN);
//! let key = SeriesKey::from_prior(&simulator, Seed(1))?;
//! let mut series = Store::open(folder.path())?.series(&key)?;
//! let stop = AtomicBool::new(false);
//! series.fill(&simulator, &Fill::new(0..100, &stop), &mut |_| {})?;
//! let filled = series.fill(&simulator, &Fill::new(0..150, &stop), &mut |_| {})?;
//! assert_eq!((filled.found, filled.simulated), (100, 50));
//! assert_eq!(series.rows(20..30)?.x.shape(), &[10, 2]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod export;
mod fill;
mod series;

pub use export::StoredRows;
pub use fill::{FailedItems, Fill, Filled, Flush};
pub use series::Series;

use super::rows::{RowSimulator, SimulationError};
use abduce_data::artefact::{sha256, write_shared};
use abduce_data::{DataError, Seed};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The layout described above.
const FORMAT_VERSION: u32 = 1;
const MANIFEST: &str = "manifest.json";

/// What a series is a series of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesKey {
    /// [`RowSimulator::identity`].
    pub simulator: Value,
    /// What θ is drawn from: the prior's description, or whatever identifies a sequential run.
    pub proposal: Value,
    /// Seed of θ and x.
    pub seed: Seed,
    /// Number of parameters d.
    pub parameters: usize,
}

impl SeriesKey {
    /// The key of rows whose θ comes from the simulator's own prior.
    pub fn from_prior(simulator: &dyn RowSimulator, seed: Seed) -> Result<Self, StoreError> {
        let prior = simulator.prior();
        let unwritable = |error: serde_json::Error| DataError::Json { path: PathBuf::from("prior"), reason: error.to_string() };
        let proposal = serde_json::to_value(prior.spec()).map_err(unwritable)?;
        Ok(Self { simulator: simulator.identity(), proposal, seed, parameters: prior.parameters() })
    }

    /// The name of its folder: 16 digits of the SHA-256 of its JSON with sorted keys.
    pub fn folder_name(&self) -> String {
        let mut text = String::new();
        canonical(&json!([self.simulator, self.proposal, self.seed, self.parameters]), &mut text);
        sha256(text.as_bytes())[..16].to_owned()
    }
}

/// JSON with the keys of every object sorted, whatever order the value keeps them in.
fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_str());
            text.push('{');
            for (key, value) in entries {
                _ = write!(text, "{}:", Value::from(key.as_str()));
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => _ = write!(text, "{scalar}"),
    }
}

/// A folder of series.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    format_version: u32,
    key: Value,
}

impl Store {
    /// Opens a store; the folder is made where it does not exist.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(DataError::io(folder, "create the folder"))?;
        Ok(Self { folder: folder.to_path_buf() })
    }

    /// The series of that key, empty where the store has none yet.
    pub fn series(&self, key: &SeriesKey) -> Result<Series, StoreError> {
        let folder = self.folder.join(key.folder_name());
        fs::create_dir_all(&folder).map_err(DataError::io(&folder, "create the folder"))?;
        let path = folder.join(MANIFEST);
        match read_manifest(&path)? {
            Some(found) if found == *key => {}
            // Two keys of one name, or a manifest that somebody changed.
            Some(_) => return Err(StoreError::Foreign { path }),
            None => {
                let unwritable = |error: serde_json::Error| DataError::Json { path: path.clone(), reason: error.to_string() };
                let key = serde_json::to_value(key).map_err(unwritable)?;
                let text = serde_json::to_string_pretty(&Manifest { format_version: FORMAT_VERSION, key }).map_err(unwritable)?;
                write_shared(&path, |out| writeln!(out, "{text}"))?;
            }
        }
        Series::open(folder, key)
    }

    /// The keys of all series, by name of their folders.
    pub fn keys(&self) -> Result<Vec<SeriesKey>, StoreError> {
        let entries = fs::read_dir(&self.folder).map_err(DataError::io(&self.folder, "read"))?;
        let mut manifests: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path().join(MANIFEST))).collect();
        manifests.sort_unstable();
        manifests.iter().filter_map(|path| read_manifest(path).transpose()).collect()
    }
}

fn read_manifest(path: &Path) -> Result<Option<SeriesKey>, StoreError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(DataError::io(path, "read")(error).into()),
    };
    let damaged = |error: serde_json::Error| DataError::Json { path: path.to_path_buf(), reason: error.to_string() };
    let manifest: Manifest = serde_json::from_str(&text).map_err(damaged)?;
    if manifest.format_version > FORMAT_VERSION {
        let path = path.to_path_buf();
        return Err(StoreError::Newer { path, found: manifest.format_version, supported: FORMAT_VERSION });
    }
    Ok(Some(serde_json::from_value(manifest.key).map_err(damaged)?))
}

/// What can be wrong with a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file that cannot be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// No simulation is possible.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// A store of a later layout.
    #[error("{}: written by a newer version: its format is {found}, this program reads up to {supported}", path.display())]
    Newer {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The latest version known.
        supported: u32,
    },
    /// A manifest that describes another series than its folder's name.
    #[error("{}: it describes other simulations than the name of its folder says", path.display())]
    Foreign {
        /// The manifest.
        path: PathBuf,
    },
    /// A block whose rows do not fit to the others.
    #[error("{}: rows of {parameters} parameters and data of shape {shape:?} among rows of {expected_parameters} and {expected:?}", path.display())]
    Block {
        /// The block.
        path: PathBuf,
        /// Its parameters.
        parameters: usize,
        /// Its shape of a datum.
        shape: Vec<usize>,
        /// Parameters of the series.
        expected_parameters: usize,
        /// Shape of a datum of the series.
        expected: Vec<usize>,
    },
    /// A row that was made from another θ.
    #[error("item {index} is stored with another theta: the proposal has changed")]
    Theta {
        /// The item.
        index: u64,
    },
    /// Rows that are wanted and not there.
    #[error("{missing} of {wanted} simulations are not in the store; the first is number {first}")]
    Missing {
        /// How many are not there.
        missing: usize,
        /// How many were wanted.
        wanted: usize,
        /// The first of them.
        first: u64,
    },
}

//! A run directory: everything that one run needs to be resumed, repeated and reported.
//!
//! | file | what | same bytes in a repeated run |
//! |---|---|---|
//! | `manifest.json` | versions, seeds, hashes of configuration and data | yes |
//! | `config.yaml` | the resolved configuration | yes |
//! | `state.json` | the stages that are done | yes |
//! | `provenance.json` | host, paths, times, command line | no |
//! | `timings.json` | seconds per stage | no |
//!
//! Times, hosts, thread numbers and paths belong into the last two and nowhere else.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::artefact::{sha256, sha256_of_file, write_atomic};
use crate::error::{DataError, Result};
use crate::rng::Seed;

/// Version of the layout that this build writes.
pub const FORMAT_VERSION: u32 = 1;
/// What was run.
pub const MANIFEST: &str = "manifest.json";
/// The resolved configuration.
pub const CONFIG: &str = "config.yaml";
/// The stages that are done.
pub const STATE: &str = "state.json";
/// Host, paths, times.
pub const PROVENANCE: &str = "provenance.json";
/// Seconds per stage.
pub const TIMINGS: &str = "timings.json";

const LOCK: &str = ".lock";

/// An open run directory.
///
/// ```
/// use abduce_data::rundir::{Manifest, RunDir};
/// use abduce_data::Seed;
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("run");
///
/// let run = RunDir::create(&path)?;
/// run.write_manifest(&Manifest::new("0.1.0", Seed(1), "avx2", "model: nsf"))?;
/// run.finish_stage("train", "hash of all that training depends on")?;
/// drop(run);
///
/// let run = RunDir::resume(&path)?;
/// assert_eq!(run.manifest()?.seeds["run"], Seed(1));
/// assert!(run.is_stage_done("train", "hash of all that training depends on")?);
/// assert!(!run.is_stage_done("train", "another hash")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// Held while this process may write.
    _lock: Option<File>,
}

/// What a run depends on: two runs with equal manifests end with the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Manifest {
    /// Version of the directory's layout.
    pub format_version: u32,
    /// Version of the program.
    pub program_version: String,
    /// Seeds by purpose; `run` is the one that all others derive from.
    pub seeds: BTreeMap<String, Seed>,
    /// The instruction set of the numeric kernels, whose rounding differs from level to level.
    pub simd_level: String,
    /// SHA-256 of the resolved configuration.
    pub config_sha256: String,
    /// Input files.
    pub data: Vec<DataFile>,
}

/// An input file, known by its content and not by its path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct DataFile {
    /// What it is to the run: `theta`, `x`, `x_obs`.
    pub role: String,
    /// Size.
    pub bytes: u64,
    /// SHA-256 of the content.
    pub sha256: String,
}

impl DataFile {
    /// Measure and hash a file.
    pub fn of(role: &str, path: &Path) -> Result<Self> {
        let bytes = fs::metadata(path).map_err(DataError::io(path, "read"))?.len();
        Ok(Self { role: role.to_owned(), bytes, sha256: sha256_of_file(path)? })
    }
}

impl Manifest {
    /// A manifest without data files; `config` is the text of the resolved configuration.
    pub fn new(program_version: &str, seed: Seed, simd_level: &str, config: &str) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            program_version: program_version.to_owned(),
            seeds: BTreeMap::from([("run".to_owned(), seed)]),
            simd_level: simd_level.to_owned(),
            config_sha256: sha256(config.as_bytes()),
            data: Vec::new(),
        }
    }

    /// An error naming the first difference from the manifest of the run that is to be resumed.
    pub fn check_resumes(&self, saved: &Self) -> Result<()> {
        let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
        let pairs = [
            ("the program's version", text(&saved.program_version), text(&self.program_version)),
            ("the instruction set", text(&saved.simd_level), text(&self.simd_level)),
            ("the seeds", text(&saved.seeds), text(&self.seeds)),
            ("the configuration (SHA-256)", text(&saved.config_sha256), text(&self.config_sha256)),
            ("the data files", text(&saved.data), text(&self.data)),
        ];
        match pairs.into_iter().find(|(_, saved, now)| saved != now) {
            Some((what, saved, now)) => Err(DataError::ResumeMismatch { what, saved, now }),
            None => Ok(()),
        }
    }
}

impl RunDir {
    /// Whether a folder holds a run.
    pub fn is_run(path: &Path) -> bool {
        path.join(MANIFEST).is_file()
    }

    /// Make a new run, in a new folder or in one that holds no run yet.
    pub fn create(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).map_err(DataError::io(path, "create the folder"))?;
        let run = Self::locked(path)?;
        if Self::is_run(path) { Err(DataError::RunExists { path: path.to_path_buf() }) } else { Ok(run) }
    }

    /// Begin a run anew where there may be one already: its manifest and state are removed, its other files are replaced as the new
    /// run writes them.
    pub fn restart(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).map_err(DataError::io(path, "create the folder"))?;
        let run = Self::locked(path)?;
        for name in [STATE, MANIFEST] {
            let file = path.join(name);
            if file.exists() {
                fs::remove_file(&file).map_err(DataError::io(&file, "remove"))?;
            }
        }
        Ok(run)
    }

    /// Go on with a run that was stopped.
    pub fn resume(path: &Path) -> Result<Self> {
        Self::must_be_run(path)?;
        Self::locked(path)
    }

    /// Open a run for reading, which other processes may do at the same time.
    pub fn open(path: &Path) -> Result<Self> {
        Self::must_be_run(path)?;
        Ok(Self { path: path.to_path_buf(), _lock: None })
    }

    fn must_be_run(path: &Path) -> Result<()> {
        if Self::is_run(path) { Ok(()) } else { Err(DataError::NoRun { path: path.to_path_buf() }) }
    }

    /// The lock is the system's, so it ends with the process however that ends.
    fn locked(path: &Path) -> Result<Self> {
        let file = path.join(LOCK);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&file).map_err(DataError::io(&file, "create"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_path_buf(), _lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => Err(DataError::RunInUse { path: path.to_path_buf() }),
            // Some network file systems know no locks: there it is for the user not to run twice.
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
                Ok(Self { path: path.to_path_buf(), _lock: None })
            }
            Err(TryLockError::Error(source)) => Err(DataError::Io { path: file, action: "lock", source }),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Read the manifest; one of a newer layout is an error that says so.
    pub fn manifest(&self) -> Result<Manifest> {
        #[derive(serde::Deserialize)]
        struct Version {
            format_version: u32,
        }
        let Version { format_version } = self.read_json(MANIFEST)?;
        if format_version > FORMAT_VERSION {
            return Err(DataError::NewerRun { path: self.path.clone(), found: format_version, supported: FORMAT_VERSION });
        }
        self.read_json(MANIFEST)
    }

    /// Write the manifest.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        self.write_json(MANIFEST, manifest)
    }

    /// Write a text file, such as [`CONFIG`].
    pub fn write_text(&self, name: &str, text: &str) -> Result<()> {
        write_atomic(&self.file(name), |out| out.write_all(text.as_bytes()))
    }

    /// Read a text file.
    pub fn read_text(&self, name: &str) -> Result<String> {
        let path = self.file(name);
        fs::read_to_string(&path).map_err(DataError::io(&path, "read"))
    }

    /// Write a JSON file, indented.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(|error| self.bad_json(name, &error))?;
        self.write_text(name, &(text + "\n"))
    }

    /// Read a JSON file.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        serde_json::from_str(&self.read_text(name)?).map_err(|error| self.bad_json(name, &error))
    }

    /// Whether a stage was finished with the same `fingerprint`: a hash of all that it depends on.
    pub fn is_stage_done(&self, stage: &str, fingerprint: &str) -> Result<bool> {
        Ok(self.read_map::<String>(STATE)?.get(stage).is_some_and(|saved| saved == fingerprint))
    }

    /// Note that a stage is finished and all its files are written.
    pub fn finish_stage(&self, stage: &str, fingerprint: &str) -> Result<()> {
        let mut state = self.read_map(STATE)?;
        state.insert(stage.to_owned(), fingerprint.to_owned());
        self.write_json(STATE, &state)
    }

    /// Note how long a stage took; times of several attempts add up.
    pub fn add_timing(&self, stage: &str, seconds: f64) -> Result<()> {
        let mut timings: BTreeMap<String, f64> = self.read_map(TIMINGS)?;
        *timings.entry(stage.to_owned()).or_default() += seconds;
        self.write_json(TIMINGS, &timings)
    }

    fn read_map<T: DeserializeOwned>(&self, name: &str) -> Result<BTreeMap<String, T>> {
        if self.file(name).exists() { self.read_json(name) } else { Ok(BTreeMap::new()) }
    }

    fn bad_json(&self, name: &str, error: &serde_json::Error) -> DataError {
        DataError::Json { path: self.file(name), reason: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest::new("0.1.0", Seed(3), "portable", "model: maf\n")
    }

    #[test]
    fn a_run_is_made_once_and_resumed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs/a");
        let error = RunDir::resume(&path).unwrap_err().to_string();
        assert!(error.ends_with("runs/a: not a run directory (it has no manifest.json)"), "{error}");
        let run = RunDir::create(&path).unwrap();
        run.write_manifest(&manifest()).unwrap();
        run.finish_stage("simulate", "f0").unwrap();
        run.finish_stage("train", "f1").unwrap();
        run.add_timing("train", 1.5).unwrap();
        run.add_timing("train", 1.0).unwrap();
        drop(run);
        assert!(RunDir::create(&path).unwrap_err().to_string().contains("already holds a run"));
        let run = RunDir::resume(&path).unwrap();
        assert_eq!(run.manifest().unwrap(), manifest());
        assert!(run.is_stage_done("simulate", "f0").unwrap() && run.is_stage_done("train", "f1").unwrap());
        assert!(!run.is_stage_done("train", "f0").unwrap() && !run.is_stage_done("validate", "f0").unwrap());
        assert_eq!(run.read_json::<BTreeMap<String, f64>>(TIMINGS).unwrap()["train"], 2.5);
        drop(run);
        let run = RunDir::restart(&path).unwrap();
        assert!(!RunDir::is_run(&path) && !run.is_stage_done("simulate", "f0").unwrap());
    }

    #[test]
    fn two_writers_exclude_each_other_and_readers_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(dir.path()).unwrap();
        run.write_manifest(&manifest()).unwrap();
        assert!(matches!(RunDir::resume(dir.path()), Err(DataError::RunInUse { .. })));
        RunDir::open(dir.path()).unwrap().manifest().unwrap();
        drop(run);
        RunDir::resume(dir.path()).unwrap();
    }

    #[test]
    fn a_newer_layout_and_damaged_json_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(dir.path()).unwrap();
        run.write_text(MANIFEST, r#"{"format_version": 9, "whatever": 1}"#).unwrap();
        let error = run.manifest().unwrap_err().to_string();
        assert!(error.contains("written by a newer version: its format is 9"), "{error}");
        run.write_text(STATE, "{\"train\": ").unwrap();
        let error = run.is_stage_done("train", "").unwrap_err().to_string();
        assert!(error.contains("state.json: damaged JSON: EOF"), "{error}");
    }

    #[test]
    fn a_resumed_run_must_be_the_same_run() {
        assert!(manifest().check_resumes(&manifest()).is_ok());
        let now = Manifest::new("0.1.0", Seed(3), "avx512", "model: maf\n");
        let error = now.check_resumes(&manifest()).unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot resume: the instruction set is now \"avx512\", but the run began with \"portable\"; start a new run or restore it"
        );
        let now = Manifest::new("0.1.0", Seed(3), "portable", "model: nsf\n");
        assert!(now.check_resumes(&manifest()).unwrap_err().to_string().contains("the configuration"));
    }

    #[test]
    fn data_files_are_known_by_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        fs::write(&path, "abc").unwrap();
        let file = DataFile::of("x", &path).unwrap();
        assert_eq!((file.bytes, &file.sha256[..8]), (3, "ba7816bf"));
        assert!(DataFile::of("x", &dir.path().join("no")).is_err());
    }
}

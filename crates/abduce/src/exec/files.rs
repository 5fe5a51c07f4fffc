//! The shard folder: `.shards` in the output folder of a sharded command.
//!
//! | file | what |
//! |---|---|
//! | `plan.json` | the plan |
//! | `00017.safetensors` | shard 17, complete |
//! | `00017.part.safetensors` | its first items, where a worker was stopped |
//! | `00017.error.json` | why it failed, until it succeeds |
//! | `merged.json` | the shards are in the output; who made them |
//! | `log/`, `slurm/` | what workers said; the submitted scripts and job numbers |

use crate::error::Error;
use crate::stages::inputs::make_folder;
use abduce_data::ModelFile;
use abduce_data::artefact::write_atomic;
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Name of the folder.
pub const FOLDER: &str = ".shards";

/// The shard folder of an output folder.
#[derive(Clone, Debug)]
pub struct ShardFolder {
    folder: PathBuf,
}

/// Why a shard failed: `00017.error.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardFailure {
    /// The shard.
    pub shard: usize,
    /// The first item of the shard that is not done.
    pub item: usize,
    /// The kind of error: `usage`, `failed`, `file`.
    pub kind: String,
    /// What was wrong.
    pub message: String,
    /// Where it ran.
    pub host: String,
    /// Attempts that have failed so far.
    pub attempt: u64,
}

/// Who made a shard, for `merged.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Maker {
    /// The machine, or the Slurm node.
    pub host: String,
    /// Its processor.
    pub cpu: String,
    /// Instruction set of the kernels.
    pub simd: String,
    /// Threads.
    pub threads: usize,
    /// How often Slurm started the task again.
    pub restarts: u64,
    /// Seconds of the last attempt.
    pub seconds: f64,
}

/// Metadata of a shard's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardHead {
    /// `shard`.
    pub kind: String,
    /// The plan's.
    pub config_sha256: String,
    /// First item.
    pub first: usize,
    /// Item behind the last.
    pub end: usize,
    /// Items without a result, such as failed simulations; increasing.
    pub failed: Vec<usize>,
    /// Who made it.
    pub maker: Maker,
}

/// Kind of the container.
pub const KIND: &str = "shard";

/// What the files say about a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardState {
    /// Complete.
    Done,
    /// Begun: so many items are there.
    Partial,
    /// The last attempt failed.
    Failed(ShardFailure),
    /// Nothing is there.
    Missing,
}

impl ShardFolder {
    /// That of `output`.
    pub fn of(output: &Path) -> Self {
        Self { folder: output.join(FOLDER) }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Makes it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make(&self) -> Result<(), Error> {
        make_folder(&self.folder)
    }

    /// Removes it with all that is in it.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self) -> Result<(), Error> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(Error::File { action: "remove", path: self.folder.clone(), source }),
            _ => Ok(()),
        }
    }

    /// The plan.
    pub fn plan(&self) -> PathBuf {
        self.folder.join("plan.json")
    }

    /// A complete shard.
    pub fn shard(&self, shard: usize) -> PathBuf {
        self.folder.join(format!("{shard:05}.safetensors"))
    }

    /// The beginning of a shard.
    pub fn part(&self, shard: usize) -> PathBuf {
        self.folder.join(format!("{shard:05}.part.safetensors"))
    }

    /// A shard's error.
    pub fn error(&self, shard: usize) -> PathBuf {
        self.folder.join(format!("{shard:05}.error.json"))
    }

    /// The mark of a finished merge.
    pub fn merged(&self) -> PathBuf {
        self.folder.join("merged.json")
    }

    /// What the worker of a shard said, when the local executor ran it.
    pub fn log(&self, shard: usize) -> PathBuf {
        self.folder.join("log").join(format!("{shard:05}.log"))
    }

    /// Scripts, logs and job numbers of Slurm.
    pub fn slurm(&self) -> PathBuf {
        self.folder.join("slurm")
    }

    /// What is there of a shard.
    pub fn state(&self, shard: usize) -> ShardState {
        if self.shard(shard).is_file() {
            return ShardState::Done;
        }
        let error = std::fs::read_to_string(self.error(shard)).ok();
        if let Some(failure) = error.and_then(|text| serde_json::from_str(&text).ok()) {
            return ShardState::Failed(failure);
        }
        if self.part(shard).is_file() { ShardState::Partial } else { ShardState::Missing }
    }

    /// Writes `file` to `target` so that several processes may do so at once: each under a name of its own, and the last rename wins.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn publish(&self, file: &ModelFile, target: &Path) -> Result<(), Error> {
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let temporary = self.folder.join(format!(".{name}.{}-{}.tmp", host(), std::process::id()));
        let renamed = file.save(&temporary).map_err(Error::from).and_then(|()| {
            std::fs::rename(&temporary, target).map_err(|source| Error::File { action: "write", path: target.to_path_buf(), source })
        });
        if renamed.is_err() {
            std::fs::remove_file(&temporary).ok();
        }
        renamed?;
        // The rename must survive a crash; folders that cannot be synced are no failure.
        std::fs::File::open(&self.folder).and_then(|folder| folder.sync_all()).ok();
        Ok(())
    }

    /// Notes that a shard failed, and counts how often.
    ///
    /// # Errors
    /// The note cannot be written.
    pub fn note_failure(&self, shard: usize, item: usize, error: &Error, host: String) -> Result<(), Error> {
        let attempt = match self.state(shard) {
            ShardState::Failed(before) => before.attempt + 1,
            _ => 1,
        };
        let kind = match error {
            Error::Config(_) | Error::Usage { .. } => "usage",
            Error::File { .. } => "file",
            _ => "failed",
        };
        let message = match error {
            Error::File { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        let failure = ShardFailure { shard, item, kind: kind.into(), message, host, attempt };
        let text = crate::session::json(&failure)?;
        Ok(write_atomic(&self.error(shard), |out| out.write_all(text.as_bytes()))?)
    }

    /// Takes away what a complete shard makes pointless.
    pub fn clear_traces(&self, shard: usize) {
        // Only leftovers: whether they go makes no difference to what is done.
        std::fs::remove_file(self.error(shard)).ok();
        std::fs::remove_file(self.part(shard)).ok();
    }

    /// Takes away what killed workers left half-written.
    pub fn sweep(&self) {
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                // Hidden names are those of unfinished work; what cannot be removed does no harm.
                std::fs::remove_file(entry.path()).or_else(|_| std::fs::remove_dir_all(entry.path())).ok();
            }
        }
    }

    /// Reads a shard's file; one that belongs to another plan or does not hold the items from `first` on is an error.
    ///
    /// # Errors
    /// It cannot be read, or is not what it should be.
    pub fn read(&self, path: &Path, config_sha256: &str, first: usize) -> Result<(ShardHead, ModelFile), Error> {
        let file = ModelFile::load(path)?;
        let wrong = |what: String| {
            Error::failed(format!("{}: {what}", path.display()), "remove the file and submit again: its items are done anew")
        };
        let head: ShardHead = serde_json::from_value(file.metadata.clone()).map_err(|error| wrong(format!("not a shard: {error}")))?;
        if head.kind != KIND || head.config_sha256 != config_sha256 {
            return Err(wrong("it belongs to another plan".into()));
        }
        if head.first != first || head.end < first {
            return Err(wrong(format!("it holds the items {} to {}, expected from {first} on", head.first, head.end)));
        }
        Ok((head, file))
    }

    /// Reads the beginning of a shard that an earlier attempt left, if any.
    ///
    /// # Errors
    /// There is one, but it cannot be used.
    pub fn read_part(&self, shard: usize, config_sha256: &str, first: usize) -> Result<Option<(ShardHead, ModelFile)>, Error> {
        let path = self.part(shard);
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            _ => self.read(&path, config_sha256, first).map(Some),
        }
    }
}

/// This machine's name.
pub fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "host".to_string() } else { name.trim().replace('/', "_") }
}

/// This machine's processor, where the system tells.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_string()));
    model.unwrap_or_else(|| std::env::consts::ARCH.to_string())
}

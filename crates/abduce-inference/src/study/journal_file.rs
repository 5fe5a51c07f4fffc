//! The journal: one file with a JSON object per line, shared by processes on one machine or on many.
//!
//! Lines are appended under a [lock](super::lock), each in one write and synced. A line that was torn by a crash is closed by the next one
//! and skipped by all readers.

use super::StudyError;
use super::journal::{FORMAT_VERSION, StudyState};
use super::lock::{Broken, Lock, STALE};
use super::log::Log;
use super::record::Record;
use super::storage::Patience;
use abduce_data::artefact::write_atomic;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A record in a file.
pub type JournalFile = Record<FileLog>;

/// The lines of a journal as one process sees them.
#[derive(Debug)]
pub struct FileLog {
    path: PathBuf,
    owner: String,
    stale_lock: Duration,
    held: Option<Lock>,
    /// Bytes that were read.
    read: u64,
    broken_locks: u64,
}

/// `journal.snapshot.json`: the state of the first bytes of the journal.
#[derive(Serialize, Deserialize)]
struct Snapshot<S> {
    v: u32,
    offset: u64,
    state: S,
}

impl JournalFile {
    /// The journal at `path`, which is made where there is none. `owner` names this user of it among all others: host, process, thread.
    ///
    /// # Errors
    /// It cannot be read, or is of a newer version.
    pub fn open(path: &Path, owner: &str, patience: Patience) -> Result<Self, StudyError> {
        let log = FileLog { path: path.to_path_buf(), owner: owner.to_owned(), stale_lock: STALE, held: None, read: 0, broken_locks: 0 };
        Self::new(log, patience)
    }

    /// The same, but a lock counts as that of a dead process after `stale`.
    pub fn with_stale_lock(mut self, stale: Duration) -> Self {
        self.log.stale_lock = stale;
        self
    }

    /// Locks of dead processes that were in the way.
    pub fn broken_locks(&self) -> u64 {
        self.log.broken_locks
    }
}

impl FileLog {
    fn snapshot_path(&self) -> PathBuf {
        self.path.with_extension("snapshot.json")
    }
}

impl Log for FileLog {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn lock(&mut self) -> Result<(), StudyError> {
        let (lock, broken) = Lock::acquire(&self.path.with_extension("lock"), &self.owner, self.stale_lock)?;
        self.broken_locks += u64::from(broken == Broken::One);
        self.held = Some(lock);
        Ok(())
    }

    fn unlock(&mut self) {
        self.held = None;
    }

    /// An unfinished last line waits.
    fn read_new(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<(), StudyError> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StudyError::io(&self.path, "read")(error)),
        };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.read)).and_then(|_| file.read_to_end(&mut bytes)).map_err(StudyError::io(&self.path, "read"))?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        bytes[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).for_each(take);
        self.read += whole as u64;
        Ok(())
    }

    fn append(&mut self, line: &[u8]) -> Result<(), StudyError> {
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(&self.path).map_err(StudyError::io(&self.path, "write"))?;
        let written = (|| {
            let length = file.seek(SeekFrom::End(0))?;
            let mut last = [b'\n'];
            if length > 0 {
                file.seek(SeekFrom::Start(length - 1))?;
                file.read_exact(&mut last)?;
            }
            // Somebody may have died in the middle of a line.
            let torn: &[u8] = if last == [b'\n'] { b"" } else { b"\n" };
            file.write_all(&[torn, line, b"\n"].concat())?;
            file.sync_data()
        })();
        written.map_err(StudyError::io(&self.path, "write"))
    }

    /// A snapshot that cannot be used costs time and nothing else.
    fn load_snapshot(&mut self) -> Option<StudyState> {
        let length = fs::metadata(&self.path).map_or(0, |found| found.len());
        let bytes = fs::read(self.snapshot_path()).ok()?;
        let snapshot: Snapshot<StudyState> = serde_json::from_slice(&bytes).ok()?;
        let usable = snapshot.v == FORMAT_VERSION && snapshot.offset <= length;
        usable.then(|| {
            self.read = snapshot.offset;
            snapshot.state
        })
    }

    /// Without it the next process replays all lines: no reason to stop.
    fn save_snapshot(&mut self, state: &StudyState) {
        let snapshot = Snapshot { v: FORMAT_VERSION, offset: self.read, state };
        if let Ok(bytes) = serde_json::to_vec(&snapshot) {
            write_atomic(&self.snapshot_path(), |out| out.write_all(&bytes)).ok();
        }
    }
}

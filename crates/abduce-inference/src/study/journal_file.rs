//! The journal: one file with a JSON object per line, shared by processes on one machine or on many.
//!
//! Lines are appended under a [lock](super::lock), each in one write and synced, and the order of lines decides every race. A line that was
//! torn by a crash is closed by the next one and skipped by all readers.

use super::StudyError;
use super::journal::{FORMAT_VERSION, Operation, Outcome, StudyHeader, StudyState, TrialState};
use super::lock::{Broken, Lock, STALE};
use super::storage::{Claim, Patience, Propose, Storage};
use abduce_data::artefact::write_atomic;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The state is written to the snapshot after every so many trials, so that a new process need not replay all lines.
pub const SNAPSHOT_EVERY: usize = 100;

/// A journal as one process sees it.
#[derive(Debug)]
pub struct JournalFile {
    path: PathBuf,
    owner: String,
    patience: Patience,
    stale_lock: Duration,
    state: StudyState,
    /// Bytes that are in `state`.
    read: u64,
    /// Per running trial: its lines when it last had a new one, and when that was seen.
    signs: BTreeMap<usize, (u64, Instant)>,
    broken_locks: u64,
}

/// `journal.snapshot.json`: the state of the first bytes of the journal.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    v: u32,
    offset: u64,
    state: StudyState,
}

impl JournalFile {
    /// The journal at `path`, which is made where there is none. `owner` names this user of it among all others: host, process, thread.
    ///
    /// # Errors
    /// It cannot be read, or is of a newer version.
    pub fn open(path: &Path, owner: &str, patience: Patience) -> Result<Self, StudyError> {
        let mut journal = Self {
            path: path.to_path_buf(),
            owner: owner.to_owned(),
            patience,
            stale_lock: STALE,
            state: StudyState::default(),
            read: 0,
            signs: BTreeMap::new(),
            broken_locks: 0,
        };
        journal.load_snapshot();
        journal.catch_up()?;
        Ok(journal)
    }

    /// The same, but a lock counts as that of a dead process after `stale`.
    pub fn with_stale_lock(self, stale: Duration) -> Self {
        Self { stale_lock: stale, ..self }
    }

    /// Locks of dead processes that were in the way.
    pub fn broken_locks(&self) -> u64 {
        self.broken_locks
    }

    fn snapshot_path(&self) -> PathBuf {
        self.path.with_extension("snapshot.json")
    }

    /// A snapshot that cannot be used costs time and nothing else.
    fn load_snapshot(&mut self) {
        let length = fs::metadata(&self.path).map_or(0, |found| found.len());
        let snapshot = fs::read(self.snapshot_path()).ok().and_then(|bytes| serde_json::from_slice::<Snapshot>(&bytes).ok());
        if let Some(Snapshot { v: FORMAT_VERSION, offset, state }) = snapshot.filter(|snapshot| snapshot.offset <= length) {
            (self.state, self.read) = (state, offset);
        }
    }

    /// Takes in the lines that are new; an unfinished last line waits.
    fn catch_up(&mut self) -> Result<(), StudyError> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StudyError::io(&self.path, "read")(error)),
        };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.read)).and_then(|_| file.read_to_end(&mut bytes)).map_err(StudyError::io(&self.path, "read"))?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        for line in bytes[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(operation) => self.state.apply(operation),
                Err(_) => self.state.unreadable += 1,
            }
        }
        self.read += whole as u64;
        if let Some(header) = &self.state.header
            && header.v > FORMAT_VERSION
        {
            return Err(StudyError::Newer { path: self.path.clone(), found: header.v, supported: FORMAT_VERSION });
        }
        let now = Instant::now();
        for (&trial, record) in &self.state.trials {
            if record.state != TrialState::Running {
                self.signs.remove(&trial);
            } else if self.signs.get(&trial).is_none_or(|(lines, _)| *lines != record.lines) {
                self.signs.insert(trial, (record.lines, now));
            }
        }
        Ok(())
    }

    fn lock(&mut self) -> Result<Lock, StudyError> {
        let (lock, broken) = Lock::acquire(&self.path.with_extension("lock"), &self.owner, self.stale_lock)?;
        self.broken_locks += u64::from(broken == Broken::One);
        Ok(lock)
    }

    /// Appends a line in one write. The caller holds the lock.
    fn append(&mut self, operation: &Operation) -> Result<(), StudyError> {
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(&self.path).map_err(StudyError::io(&self.path, "write"))?;
        let write = StudyError::io(&self.path, "write");
        let mut line = serde_json::to_vec(operation)?;
        line.push(b'\n');
        let written = (|| {
            let length = file.seek(SeekFrom::End(0))?;
            let mut last = [b'\n'];
            if length > 0 {
                file.seek(SeekFrom::Start(length - 1))?;
                file.read_exact(&mut last)?;
            }
            if last != [b'\n'] {
                // Somebody died in the middle of a line.
                line.insert(0, b'\n');
            }
            file.write_all(&line)?;
            file.sync_data()
        })();
        written.map_err(write)?;
        self.catch_up()
    }

    /// Says something about a claim, and whether it still held.
    fn say(&mut self, claim: &Claim, operation: &Operation) -> Result<bool, StudyError> {
        let _lock = self.lock()?;
        self.catch_up()?;
        if !self.state.is_owned(claim.trial, &claim.worker, claim.attempt) {
            return Ok(false);
        }
        self.append(operation)?;
        Ok(true)
    }

    /// A trial that waits for a worker: released, or without a sign of life for too long.
    fn waiting(&self) -> Option<usize> {
        let gone = |trial: &usize| self.signs.get(trial).is_some_and(|(_, seen)| seen.elapsed() > self.patience.interval * 2);
        let waits = |(trial, record): &(&usize, &super::journal::TrialRecord)| match record.state {
            TrialState::Running => gone(trial),
            TrialState::Ended(Outcome::Released) => true,
            TrialState::Ended(_) => false,
        };
        self.state.trials.iter().find(waits).map(|(&trial, _)| trial)
    }

    fn write_snapshot(&self) -> Result<(), StudyError> {
        let snapshot = Snapshot { v: FORMAT_VERSION, offset: self.read, state: self.state.clone() };
        let bytes = serde_json::to_vec(&snapshot)?;
        // Without it the next process replays all lines: no reason to stop.
        write_atomic(&self.snapshot_path(), |out| out.write_all(&bytes)).ok();
        Ok(())
    }
}

impl Storage for JournalFile {
    fn begin(&mut self, header: &StudyHeader) -> Result<(), StudyError> {
        let _lock = self.lock()?;
        self.catch_up()?;
        if self.state.header.is_none() {
            self.append(&Operation::Study(header.clone()))?;
        }
        let mismatch = |what, saved: &str, now: &str| StudyError::Mismatch {
            path: self.path.clone(),
            what,
            saved: saved.to_owned(),
            now: now.to_owned(),
        };
        match &self.state.header {
            Some(saved) if saved.name != header.name => Err(mismatch("the name of the study", &saved.name, &header.name)),
            Some(saved) if saved.config_hash != header.config_hash => {
                Err(mismatch("what its scores depend on (SHA-256)", &saved.config_hash, &header.config_hash))
            }
            _ => Ok(()),
        }
    }

    fn refresh(&mut self) -> Result<&StudyState, StudyError> {
        self.catch_up()?;
        Ok(&self.state)
    }

    fn claim(&mut self, worker: &str, budget: usize, propose: &mut Propose<'_>) -> Result<Option<Claim>, StudyError> {
        let _lock = self.lock()?;
        self.catch_up()?;
        while let Some(trial) = self.waiting() {
            let record = &self.state.trials[&trial];
            if record.attempt >= self.patience.max_attempts && record.state == TrialState::Running {
                let error = format!("no sign of life from {} in attempt {}", record.worker, record.attempt);
                let (worker, attempt) = (record.worker.clone(), record.attempt);
                self.append(&Operation::End { trial, worker, attempt, outcome: Outcome::Failed { error } })?;
                continue;
            }
            let (params, attempt) = (record.params.clone(), record.attempt + 1);
            let claim = Claim { trial, params, worker: worker.to_owned(), attempt };
            self.append(&claimed(&claim))?;
            return Ok(Some(claim));
        }
        let trial = (0..).find(|number| !self.state.trials.contains_key(number)).unwrap_or(budget);
        if trial >= budget {
            return Ok(None);
        }
        let claim = Claim { trial, params: propose(&self.state, trial), worker: worker.to_owned(), attempt: 1 };
        self.append(&claimed(&claim))?;
        if trial > 0 && trial % SNAPSHOT_EVERY == 0 {
            self.write_snapshot()?;
        }
        // Append, then look who won: a lock that was broken under us may have let another one in.
        Ok(self.state.is_owned(trial, worker, 1).then_some(claim))
    }

    fn step(&mut self, claim: &Claim, step: usize, value: f64) -> Result<bool, StudyError> {
        if !value.is_finite() {
            return self.beat(claim);
        }
        let Claim { trial, worker, attempt, .. } = claim.clone();
        self.say(claim, &Operation::Step { trial, worker, attempt, step, value })
    }

    fn beat(&mut self, claim: &Claim) -> Result<bool, StudyError> {
        let Claim { trial, worker, attempt, .. } = claim.clone();
        self.say(claim, &Operation::Beat { trial, worker, attempt, time: unix_time() })
    }

    fn end(&mut self, claim: &Claim, outcome: Outcome) -> Result<bool, StudyError> {
        let Claim { trial, worker, attempt, .. } = claim.clone();
        self.say(claim, &Operation::End { trial, worker, attempt, outcome })
    }
}

fn claimed(claim: &Claim) -> Operation {
    let Claim { trial, params, worker, attempt } = claim.clone();
    Operation::Trial { trial, params, worker, attempt, time: unix_time() }
}

fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

//! A study's record as one process sees it, wherever its lines are kept.
//!
//! Lines are appended under the log's lock, and their order decides every race.

use super::StudyError;
use super::journal::{FORMAT_VERSION, Operation, Outcome, StudyHeader, StudyState, TrialRecord, TrialState};
use super::log::Log;
use super::storage::{Claim, Patience, Propose, Storage};
use std::collections::BTreeMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The state is kept as a snapshot after every so many trials, so that a new process need not replay all lines.
pub const SNAPSHOT_EVERY: usize = 100;

/// The record in a log.
#[derive(Debug)]
pub struct Record<L> {
    pub(super) log: L,
    patience: Patience,
    state: StudyState,
    /// Per running trial: its lines when it last had a new one, and when that was seen. Clocks of machines differ; this is the reader's.
    signs: BTreeMap<usize, (u64, Instant)>,
}

impl<L: Log> Record<L> {
    /// What `log` holds so far.
    ///
    /// # Errors
    /// It cannot be read, or is of a newer version.
    pub fn new(mut log: L, patience: Patience) -> Result<Self, StudyError> {
        let state = log.load_snapshot().unwrap_or_default();
        let mut record = Self { log, patience, state, signs: BTreeMap::new() };
        record.catch_up()?;
        Ok(record)
    }

    /// Takes in the lines that are new.
    fn catch_up(&mut self) -> Result<(), StudyError> {
        let state = &mut self.state;
        self.log.read_new(&mut |line| match serde_json::from_slice(line) {
            Ok(operation) => state.apply(operation),
            Err(_) => state.unreadable += 1,
        })?;
        if let Some(header) = &self.state.header
            && header.v > FORMAT_VERSION
        {
            return Err(StudyError::Newer { place: self.log.place(), found: header.v, supported: FORMAT_VERSION });
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

    /// Does `work` with the newest state and nobody else appending.
    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, StudyError>) -> Result<T, StudyError> {
        self.log.lock()?;
        let done = self.catch_up().and_then(|()| work(self));
        self.log.unlock();
        done
    }

    /// The caller holds the lock.
    fn append(&mut self, operation: &Operation) -> Result<(), StudyError> {
        self.log.append(&serde_json::to_vec(operation)?)?;
        self.catch_up()
    }

    /// Says something about a claim, and whether it still held.
    fn say(&mut self, claim: &Claim, operation: &Operation) -> Result<bool, StudyError> {
        self.locked(|record| {
            let owned = record.state.is_owned(claim.trial, &claim.worker, claim.attempt);
            if owned {
                record.append(operation)?;
            }
            Ok(owned)
        })
    }

    /// A trial that waits for a worker: released, or without a sign of life for too long.
    fn waiting(&self) -> Option<usize> {
        let gone = |trial: &usize| self.signs.get(trial).is_some_and(|(_, seen)| seen.elapsed() > self.patience.interval * 2);
        let waits = |(trial, record): &(&usize, &TrialRecord)| match record.state {
            TrialState::Running => gone(trial),
            TrialState::Ended(Outcome::Released) => true,
            TrialState::Ended(_) => false,
        };
        self.state.trials.iter().find(waits).map(|(&trial, _)| trial)
    }

    /// A claim, under the lock.
    fn claim_next(&mut self, worker: &str, budget: usize, propose: &mut Propose<'_>) -> Result<Option<Claim>, StudyError> {
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
            self.log.save_snapshot(&self.state);
        }
        // Append, then look who won: a lock that was broken under us may have let another one in.
        Ok(self.state.is_owned(trial, worker, 1).then_some(claim))
    }
}

impl<L: Log> Storage for Record<L> {
    fn begin(&mut self, header: &StudyHeader) -> Result<(), StudyError> {
        self.locked(|record| match record.state.header {
            None => record.append(&Operation::Study(header.clone())),
            Some(_) => Ok(()),
        })?;
        let mismatch = |what, saved: &str, now: &str| StudyError::Mismatch {
            place: self.log.place(),
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
        self.locked(|record| record.claim_next(worker, budget, propose))
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

//! The record of a study as a list of operations, and the state that they replay to.

use super::sampler::Observation;
use super::space::Params;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of operations that this build writes; it reads all up to it.
pub(super) const FORMAT_VERSION: u32 = 1;

/// What a study is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyHeader {
    /// Version of the record.
    pub v: u32,
    /// Its name.
    pub name: String,
    /// A hash of everything that scores depend on: configuration, data, space, sampler, seed.
    pub config_hash: String,
}

impl StudyHeader {
    /// Of this version.
    pub fn new(name: &str, config_hash: &str) -> Self {
        Self { v: FORMAT_VERSION, name: name.to_owned(), config_hash: config_hash.to_owned() }
    }
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Outcome {
    /// By itself.
    Complete {
        /// Its score.
        value: f64,
    },
    /// Given up.
    Pruned {
        /// Its score so far.
        value: f64,
    },
    /// Without a score.
    Failed {
        /// Why.
        error: String,
    },
    /// Not ended: its worker was stopped, and another may go on at once.
    Released,
}

/// One line of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Operation {
    /// The study; the first such line holds.
    Study(StudyHeader),
    /// A claim: the first line of a (trial, attempt) holds.
    Trial {
        /// Number.
        trial: usize,
        /// Values.
        params: Params,
        /// Who.
        worker: String,
        /// From 1 on.
        attempt: u32,
        /// Unix time, for people.
        time: u64,
    },
    /// A score on the way.
    Step {
        /// Number.
        trial: usize,
        /// Who.
        worker: String,
        /// Which attempt.
        attempt: u32,
        /// Epoch, from 1.
        step: usize,
        /// Score.
        value: f64,
    },
    /// A sign of life.
    Beat {
        /// Number.
        trial: usize,
        /// Who.
        worker: String,
        /// Which attempt.
        attempt: u32,
        /// Unix time, for people.
        time: u64,
    },
    /// The end of an attempt.
    End {
        /// Number.
        trial: usize,
        /// Who.
        worker: String,
        /// Which attempt.
        attempt: u32,
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
    },
}

/// Where a trial is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum TrialState {
    /// Somebody works on it.
    Running,
    /// It ended, or waits for somebody to go on.
    Ended(Outcome),
}

/// A trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Values.
    pub params: Params,
    /// Who claimed it last.
    pub worker: String,
    /// Attempts so far.
    pub attempt: u32,
    /// Where it is.
    pub state: TrialState,
    /// (epoch, score), epochs increasing.
    pub steps: Vec<(usize, f64)>,
    /// Lines that hold so far: when this has not changed for long, the worker is gone.
    pub lines: u64,
}

impl TrialRecord {
    /// The score of a trial that ended by itself or was given up.
    pub fn value(&self) -> Option<f64> {
        match self.state {
            TrialState::Ended(Outcome::Complete { value } | Outcome::Pruned { value }) => Some(value),
            _ => None,
        }
    }

    /// Whether it ended by itself.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, TrialState::Ended(Outcome::Complete { .. }))
    }

    /// Whether nobody works on it and nobody has to.
    pub fn is_over(&self) -> bool {
        !matches!(self.state, TrialState::Running | TrialState::Ended(Outcome::Released))
    }
}

/// What the record says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StudyState {
    /// The study.
    pub header: Option<StudyHeader>,
    /// Trials by number.
    pub trials: BTreeMap<usize, TrialRecord>,
    /// Lines that no longer counted: claims that came second, words of workers that had lost their trial.
    pub fenced: u64,
    /// Lines that could not be read: torn writes.
    pub unreadable: u64,
}

impl StudyState {
    /// Takes one more line.
    pub fn apply(&mut self, operation: Operation) {
        if !self.holds(operation) {
            self.fenced += 1;
        }
    }

    fn holds(&mut self, operation: Operation) -> bool {
        match operation {
            Operation::Study(header) => {
                let first = self.header.is_none();
                self.header.get_or_insert(header);
                first
            }
            Operation::Trial { trial, params, worker, attempt, .. } => match self.trials.get_mut(&trial) {
                None if attempt == 1 => {
                    let record = TrialRecord { params, worker, attempt, state: TrialState::Running, steps: Vec::new(), lines: 1 };
                    self.trials.insert(trial, record);
                    true
                }
                // The next attempt goes on with the same values and from the steps that there are.
                Some(record) if attempt == record.attempt + 1 && !record.is_over() => {
                    (record.worker, record.attempt, record.state) = (worker, attempt, TrialState::Running);
                    record.lines += 1;
                    true
                }
                _ => false,
            },
            Operation::Step { trial, worker, attempt, step, value } => self.own(trial, &worker, attempt).is_some_and(|record| {
                match record.steps.binary_search_by_key(&step, |(at, _)| *at) {
                    Ok(at) => record.steps[at].1 = value,
                    Err(at) => record.steps.insert(at, (step, value)),
                }
                true
            }),
            Operation::Beat { trial, worker, attempt, .. } => self.own(trial, &worker, attempt).is_some(),
            Operation::End { trial, worker, attempt, outcome } => self.own(trial, &worker, attempt).is_some_and(|record| {
                record.state = TrialState::Ended(outcome);
                true
            }),
        }
    }

    /// The trial, if this attempt of this worker is the one that counts.
    fn own(&mut self, trial: usize, worker: &str, attempt: u32) -> Option<&mut TrialRecord> {
        let record = self.trials.get_mut(&trial)?;
        let owned = record.worker == worker && record.attempt == attempt && record.state == TrialState::Running;
        owned.then(|| {
            record.lines += 1;
            record
        })
    }

    /// Whether the trial still belongs to this attempt.
    pub fn is_owned(&self, trial: usize, worker: &str, attempt: u32) -> bool {
        self.trials
            .get(&trial)
            .is_some_and(|record| record.worker == worker && record.attempt == attempt && record.state == TrialState::Running)
    }

    /// What a sampler sees when it proposes trial number `trial`: the earlier and later ones that are over, and those that are not with the
    /// worst score of all. Empty until one has a score.
    pub fn observations(&self, trial: usize) -> Vec<Observation> {
        let others = || self.trials.iter().filter(|(number, _)| **number != trial).map(|(_, record)| record);
        let worst = others().filter_map(TrialRecord::value).fold(f64::INFINITY, f64::min);
        if worst == f64::INFINITY {
            return Vec::new();
        }
        others().map(|record| Observation { params: record.params.clone(), score: record.value().unwrap_or(worst) }).collect()
    }

    /// Trials that ended by themselves, best first; of equal scores the earlier one.
    pub fn ranking(&self) -> Vec<usize> {
        let complete = self.trials.iter().filter(|(_, record)| record.is_complete());
        let mut ranked: Vec<(usize, f64)> = complete.filter_map(|(&number, record)| Some((number, record.value()?))).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked.into_iter().map(|(number, _)| number).collect()
    }
}

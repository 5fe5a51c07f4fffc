//! What processes that work on one study share.

use super::StudyError;
use super::journal::{Outcome, StudyHeader, StudyState};
use super::space::Params;
use std::time::Duration;

/// A trial that a worker has claimed.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Its number.
    pub trial: usize,
    /// Its values.
    pub params: Params,
    /// Who claimed it.
    pub worker: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
}

/// When a silent worker counts as gone, and how often a trial is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Time between two signs of life. A trial without any for twice as long, by the clock of the one who waits, is taken over.
    pub interval: Duration,
    /// Attempts after which a trial fails.
    pub max_attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { interval: Duration::from_secs(60), max_attempts: 3 }
    }
}

/// A record of a study. Every process has its own; all of them see the same trials, each of which has one owner at a time.
pub trait Storage {
    /// Names the study, or finds it named.
    ///
    /// # Errors
    /// It is another study ([`StudyError::Mismatch`]), or the record cannot be used.
    fn begin(&mut self, header: &StudyHeader) -> Result<(), StudyError>;

    /// What the record says now.
    ///
    /// # Errors
    /// It cannot be read.
    fn refresh(&mut self) -> Result<&StudyState, StudyError>;

    /// Claims a trial for `worker`: one that was released or whose worker is gone, else the next number below `budget`, with the values that
    /// `propose` gives for it. `None` when there is nothing to claim, which may change while others are running.
    ///
    /// # Errors
    /// The record cannot be read or written.
    fn claim(&mut self, worker: &str, budget: usize, propose: &mut Propose<'_>) -> Result<Option<Claim>, StudyError>;

    /// Reports a score on the way, and says whether the trial is still ours. Scores that are not finite are not kept.
    ///
    /// # Errors
    /// The record cannot be written.
    fn step(&mut self, claim: &Claim, step: usize, value: f64) -> Result<bool, StudyError>;

    /// Gives a sign of life, and says whether the trial is still ours.
    ///
    /// # Errors
    /// The record cannot be written.
    fn beat(&mut self, claim: &Claim) -> Result<bool, StudyError>;

    /// Ends a trial. False where it was no longer ours: then the result does not count.
    ///
    /// # Errors
    /// The record cannot be written.
    fn end(&mut self, claim: &Claim, outcome: Outcome) -> Result<bool, StudyError>;
}

/// Proposes the values of a trial number.
pub type Propose<'a> = dyn FnMut(&StudyState, usize) -> Params + 'a;

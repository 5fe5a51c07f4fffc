//! What both forms of exchange have in common: tasks, how an exchange breaks off, and the clock that is watched meanwhile.

use super::answer::Datum;
use crate::simulator::rows::{Failure, FailureKind};
use std::time::{Duration, Instant};

/// One item for a worker.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) position: usize,
    pub(super) index: u64,
    /// Below 2^53.
    pub(super) seed: u64,
    pub(super) theta: Vec<f32>,
}

/// The answer to a task: a datum, or the simulator's word that there is none.
pub(super) type Answered = Result<Datum, String>;

/// Why an exchange broke off; what was answered before stands.
#[derive(Debug)]
pub(super) enum Break {
    /// Nothing more is to be done.
    Halt(Halt),
    /// The worker did what it should not.
    Broken(FailureKind, String),
}

/// Why all work ends.
#[derive(Debug)]
pub(super) enum Halt {
    /// On request.
    Stopped,
    /// No worker can be started.
    Start(std::io::Error),
    /// A file of an exchange cannot be written.
    Data(abduce_data::DataError),
    /// The first simulations have all failed.
    NoneWorked(usize, Box<Failure>),
}

impl From<Halt> for Break {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

/// How often the wish to stop is looked for.
const STOP_INTERVAL: Duration = Duration::from_millis(20);

/// The time left for an answer.
pub(super) struct Clock<'a> {
    deadline: Option<Instant>,
    limit: Option<Duration>,
    stopping: &'a dyn Fn() -> bool,
}

impl<'a> Clock<'a> {
    /// Allows `limit` for each answer and `extra` more for the first; no limit where there is none.
    pub(super) fn start(limit: Option<Duration>, extra: Duration, stopping: &'a dyn Fn() -> bool) -> Self {
        Self { deadline: limit.map(|limit| Instant::now() + limit + extra), limit, stopping }
    }

    /// An answer came: the next one has the whole time.
    pub(super) fn progress(&mut self) {
        self.deadline = self.limit.map(|limit| Instant::now() + limit);
    }

    /// How long to wait before asking again; an error when the time is up or the work is to stop.
    pub(super) fn slice(&self) -> Result<Duration, Break> {
        if (self.stopping)() {
            return Err(Halt::Stopped.into());
        }
        let Some(deadline) = self.deadline else { return Ok(STOP_INTERVAL) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let seconds = self.limit.unwrap_or_default().as_secs_f64();
            return Err(Break::Broken(FailureKind::TimedOut, format!("no answer within {seconds} s")));
        }
        Ok(left.min(STOP_INTERVAL))
    }
}

//! Hyper-parameter studies: what to try next, what to give up, and a record that many processes share.
//!
//! A [`Space`] says what may vary. A [`Sampler`] proposes the values of trial k as a function of (seed, k, trials so far); [`Halving`] says
//! after an epoch whether a trial is worth going on with; a [`Storage`] keeps the record, of which the file journal ([`JournalFile`]) is one
//! form and a PostgreSQL database (feature `postgres`) another. [`importance()`] tells how much of the score's variance each hyper-parameter explains. Scores are maximised.
//!
//! ```
//! use abduce_data::Seed;
//! use abduce_inference::study::{Dimension, Domain, Observation, Sampler, Scale, Space};
//!
//! let rate = Domain::Float { low: 1e-5, high: 1e-1, scale: Scale::Log };
//! let space = Space::new(vec![Dimension::new("learning_rate", rate)])?;
//! let mut seen = Vec::new();
//! for trial in 0..20 {
//!     let params = Sampler::default().propose(&space, Seed(1), trial, &seen);
//!     let rate = params["learning_rate"].as_f64().unwrap_or(f64::NAN);
//!     seen.push(Observation { params, score: -(rate.log10() + 3.0).powi(2) });
//! }
//! assert!(seen.iter().any(|trial| trial.score > -0.1));
//! # Ok::<(), abduce_inference::study::StudyError>(())
//! ```

mod forest;
mod halving;
mod importance;
mod journal;
mod journal_file;
mod lock;
mod log;
mod parzen;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(all(test, feature = "postgres"))]
mod postgres_tests;
mod record;
mod sampler;
mod space;
mod storage;

#[cfg(test)]
mod tests;

pub use halving::{Halving, Steps, Verdict};
pub use importance::{Importance, importance};
pub use journal::{Operation, Outcome, StudyHeader, StudyState, TrialRecord, TrialState};
pub use journal_file::{FileLog, JournalFile};
pub use log::Log;
#[cfg(feature = "postgres")]
pub use postgres::{DatabaseError, PostgresLog, PostgresRecord};
pub use record::{Record, SNAPSHOT_EVERY};
pub use sampler::{Grouping, Observation, Sampler, Tpe};
pub use space::{Condition, Dimension, Domain, Params, Scale, Space};
pub use storage::{Claim, Patience, Propose, Storage};

use std::path::PathBuf;

/// What can go wrong in a study.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// A dimension that nothing can be drawn from.
    #[error("{dimension}: {reason}")]
    Space {
        /// Its name.
        dimension: String,
        /// What is wrong.
        reason: String,
    },
    /// The record belongs to another study.
    #[error("{place}: {what} was {saved}, now it is {now}")]
    Mismatch {
        /// The record.
        place: String,
        /// What differs.
        what: &'static str,
        /// Its value in the record.
        saved: String,
        /// Its value now.
        now: String,
    },
    /// A record of a later version.
    #[error("{place}: written by a newer version: its format is {found}, this program reads up to {supported}")]
    Newer {
        /// The record.
        place: String,
        /// Its version.
        found: u32,
        /// The latest version known.
        supported: u32,
    },
    /// A file that cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The lock of the record could not be had.
    #[error("{}: held by another process for {seconds:.0} s", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
        /// For how long it was waited.
        seconds: f64,
    },
    /// A database that cannot be reached, read or written.
    #[cfg(feature = "postgres")]
    #[error("{place}: {source}")]
    Database {
        /// Server and database.
        place: String,
        /// Why.
        source: DatabaseError,
    },
    /// A line that cannot be written.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl StudyError {
    fn io(path: &std::path::Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

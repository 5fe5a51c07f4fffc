//! Where the lines of a record are kept: the one thing that storages differ in.

use super::StudyError;
use super::journal::StudyState;

/// Lines in an order that all users agree on, and a lock that one of them holds at a time.
pub trait Log {
    /// What the record is called in messages.
    fn place(&self) -> String;

    /// Waits until this user alone may append.
    ///
    /// # Errors
    /// The lock cannot be had.
    fn lock(&mut self) -> Result<(), StudyError>;

    /// Gives the lock back. Whoever dies gives it back too, sooner or later.
    fn unlock(&mut self);

    /// The whole lines that are new since the last call, in order, each handed to `take` without its end.
    ///
    /// # Errors
    /// They cannot be read.
    fn read_new(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<(), StudyError>;

    /// Appends a line, durably. The caller holds the lock.
    ///
    /// # Errors
    /// It cannot be written.
    fn append(&mut self, line: &[u8]) -> Result<(), StudyError>;

    /// The state of a first part of the lines, which are then not read again; `None` where all are to be read.
    fn load_snapshot(&mut self) -> Option<StudyState> {
        None
    }

    /// Keeps the state of the lines read so far, for whoever begins later: a matter of speed alone.
    fn save_snapshot(&mut self, _state: &StudyState) {}
}

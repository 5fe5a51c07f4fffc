//! What every command is given: where it was started, what it computes with, and whom it talks to.

use crate::error::Error;
use abduce_inference::diagnostics::{Severity, Warning};
use abduce_kernels::Simd;
use abduce_nn::Compute;
use serde::Serialize;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One call of the program.
#[derive(Clone, Debug)]
pub struct Session {
    /// The working directory.
    pub working: PathBuf,
    /// Instruction set and threads.
    pub compute: Compute,
    /// Where remarks go.
    pub console: Console,
    /// Set when the user asks to stop.
    pub stop: Arc<AtomicBool>,
}

impl Session {
    /// A session in `working` with `threads` threads, all cores where `None`.
    pub fn new(working: PathBuf, simd: Simd, threads: Option<usize>, console: Console) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let threads = abduce_kernels::Threads::new(threads.unwrap_or_else(cores));
        Self { working, compute: Compute { simd, threads }, console, stop: Arc::default() }
    }

    /// Whether the user asked to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// A path as written on the command line.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.working.join(path)
    }
}

/// Standard error: what is said besides the data.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    /// How much is said.
    pub talk: Talk,
    /// Whether somebody watches.
    pub audience: Audience,
}

/// How much is said on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// Warnings and errors.
    Quiet,
    /// Also what is being done, and progress.
    Normal,
}

/// Who reads standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// A terminal: bars that move.
    Terminal,
    /// A file or a pipe: a line now and then.
    File,
}

impl Console {
    /// The process's own standard error.
    pub fn new(talk: Talk) -> Self {
        let audience = if std::io::stderr().is_terminal() { Audience::Terminal } else { Audience::File };
        Self { talk, audience }
    }

    /// Something that is good to know.
    pub fn note(&self, text: impl std::fmt::Display) {
        if self.talk == Talk::Normal {
            self.line(&text);
        }
    }

    /// Something done otherwise than asked, or with a doubt.
    pub fn warn(&self, warning: &Warning) {
        let word = match warning.severity {
            Severity::Info if self.talk == Talk::Quiet => return,
            Severity::Info => "note",
            Severity::Warning => "warning",
            Severity::Error => "problem",
        };
        self.line(&format_args!("{word}: {}", warning.text));
        if !warning.hint.is_empty() {
            self.line(&format_args!("  hint: {}", warning.hint));
        }
    }

    /// A line whatever the volume. When standard error is gone there is nobody to tell.
    pub fn line(&self, text: &dyn std::fmt::Display) {
        writeln!(std::io::stderr().lock(), "{text}").ok();
    }
}

/// A warning.
pub fn warning(text: impl Into<String>, hint: impl Into<String>) -> Warning {
    Warning { severity: Severity::Warning, text: text.into(), hint: hint.into() }
}

/// Writes data to standard output.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|source| Error::File { action: "write", path: PathBuf::from("standard output"), source })
}

/// A value as indented JSON with a newline at its end.
pub fn json(value: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n").map_err(|error| Error::Failed { message: format!("cannot write JSON: {error}"), help: None })
}

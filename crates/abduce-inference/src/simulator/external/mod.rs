//! Simulators of the user's: any program, in processes of its own.
//!
//! Two forms of exchange:
//!
//! - **Lines of JSON.** The program stays and answers each line on standard input with a line on standard output:
//!   `{"id": 17, "theta": [0.1, 2.0], "seed": 123}` with `{"id": 17, "x": [1.0, 2.0]}`, or `{"id": 17, "error": "…"}` where this θ has no
//!   datum. x may be nested (an image), and hold `null` or `NaN` where a value is missing. Everything else goes to standard error.
//! - **Files.** The program runs once for each simulation, or for a batch; `{theta}`, `{x}`, `{seed}`, `{id}`, `{dir}` and `{seeds}` in its
//!   arguments are filled in. It reads θ (d,) from an npy file and writes a datum to another; for a batch θ is (n, d), the seeds (n,), x (n, …).
//!
//! **Rows depend on (θ, seed, index) alone**, as far as the program depends on what it is given: an item's seed is a number below 2^53
//! (exact in any JSON reader) derived from the run's seed and the item's index, θ is what is stored (single precision).
//!
//! **What goes wrong costs one item.** A worker that dies, hangs, answers nonsense or too much is killed with all that it has started, and a
//! fresh one takes over. Blame is exact: items that were open together are tried again one by one, and an attempt counts only where the item was
//! alone on a fresh worker (or ran out of time alone), since an earlier item may have left a used one in ruins. An item that has failed
//! `retries` + 1 times is a [`Failure`](super::Failure). An answer `error`, or a datum of another shape, is final.
//!
//! Memory is bounded by the limit on an answer times the number of workers, whatever a program writes.

mod answer;
mod exchange;
mod files;
mod pool;
mod process;
mod worker;

use super::rows::{Completed, Ending, Request, RowSimulator, SimulationError, check_theta};
use crate::prior::Prior;
use abduce_data::ParameterInfo;
use abduce_data::artefact::sha256_of_file;
use files::Scratch;
use serde_json::{Value, json};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use worker::Worker;

/// A program and how it is run.
#[derive(Clone, Debug)]
pub struct ProgramSpec {
    /// Program and arguments; no shell is involved.
    pub command: Vec<String>,
    /// Working directory of the program. A program named with a slash is looked for from here.
    pub folder: PathBuf,
    /// Where the files of an exchange are put, in a folder that is removed afterwards; not used by lines of JSON.
    pub scratch: PathBuf,
    /// How θ gets there and x back.
    pub exchange: Exchange,
    /// Processes at once.
    pub workers: NonZeroUsize,
    /// Simulations per exchange: lines sent ahead of the answers, or rows of a file.
    pub batch: NonZeroUsize,
    /// Longest time for one answer; none for no limit.
    pub timeout: Option<Duration>,
    /// Additional time for the first answer of a worker, which includes its start.
    pub start_allowance: Duration,
    /// How often an item is tried again.
    pub retries: u32,
    /// Largest answer in bytes.
    pub max_answer_bytes: usize,
    /// What the user calls this version of the program; part of its identity.
    pub version: String,
    /// Shape of one datum; the first simulation tells it where it is not given.
    pub data_shape: Option<Vec<usize>>,
}

impl ProgramSpec {
    /// A command with lines of JSON: one worker, one simulation at a time, no time-out but half a minute for the start, one retry, 64 MiB.
    pub fn json_lines(command: &[&str]) -> Self {
        Self {
            command: command.iter().map(ToString::to_string).collect(),
            folder: PathBuf::from("."),
            scratch: PathBuf::from("."),
            exchange: Exchange::JsonLines,
            workers: NonZeroUsize::MIN,
            batch: NonZeroUsize::MIN,
            timeout: None,
            start_allowance: Duration::from_secs(30),
            retries: 1,
            max_answer_bytes: 64 << 20,
            version: String::new(),
            data_shape: None,
        }
    }
}

/// How a program is given θ and gives x back; see the [module documentation](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exchange {
    /// Lines of JSON over standard input and output.
    JsonLines,
    /// An npy file in, an npy file out, one process per exchange.
    NpyFiles,
}

impl Exchange {
    const fn name(self) -> &'static str {
        match self {
            Self::JsonLines => "json_lines",
            Self::NpyFiles => "npy_files",
        }
    }
}

/// Items that may fail before the first success, where only a success can tell the shape of a datum.
pub const MOST_FAILURES_AT_FIRST: usize = 10;

/// A program as a [`RowSimulator`]. Its workers stay between calls and end with it.
pub struct ExternalProgram {
    spec: ProgramSpec,
    prior: Prior,
    parameters: Vec<ParameterInfo>,
    /// Hashes of the files that the command names, by argument.
    files: Vec<(String, String)>,
    scratch: Option<Scratch>,
    shape: OnceLock<Vec<usize>>,
    idle: Mutex<Vec<Worker>>,
}

impl ExternalProgram {
    /// Checks the description. `prior` is what θ is drawn from where it is not given; `parameters` names its columns.
    pub fn new(spec: ProgramSpec, prior: Prior, parameters: Vec<ParameterInfo>) -> Result<Self, SimulationError> {
        check(&spec, &prior, &parameters).map_err(SimulationError::Program)?;
        let mut files = Vec::new();
        for part in &spec.command {
            let path = spec.folder.join(part);
            if path.is_file() {
                files.push((part.clone(), sha256_of_file(&path)?));
            }
        }
        let shape = OnceLock::new();
        if let Some(known) = &spec.data_shape {
            // Just made, so empty.
            shape.set(known.clone()).ok();
        }
        let scratch = match spec.exchange {
            Exchange::JsonLines => None,
            Exchange::NpyFiles => Some(Scratch::new(&spec.scratch)?),
        };
        Ok(Self { spec, prior, parameters, files, scratch, shape, idle: Mutex::new(Vec::new()) })
    }

    /// What it was made from.
    pub fn spec(&self) -> &ProgramSpec {
        &self.spec
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Worker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RowSimulator for ExternalProgram {
    /// Command, exchange and version, and the contents of every file that the command names (looked up from its folder): a changed script
    /// is another simulator. What it reads besides is for `version` to tell.
    fn identity(&self) -> Value {
        json!({
            "command": self.spec.command,
            "exchange": self.spec.exchange.name(),
            "files": self.files,
            "version": self.spec.version,
        })
    }

    fn parameters(&self) -> Vec<ParameterInfo> {
        self.parameters.clone()
    }

    fn prior(&self) -> &Prior {
        &self.prior
    }

    fn data_shape(&self) -> Option<Vec<usize>> {
        self.shape.get().cloned()
    }

    fn run(&self, request: &Request<'_>, each: &mut dyn FnMut(Completed<'_>) -> ControlFlow<()>) -> Result<Ending, SimulationError> {
        check_theta(request, self.prior.parameters())?;
        if let Some(found) = request.data_shape {
            let expected = self.shape.get_or_init(|| found.to_vec());
            if expected != found {
                return Err(SimulationError::Shape { found: found.to_vec(), expected: expected.clone() });
            }
        }
        pool::run(self, request, each)
    }
}

fn check(spec: &ProgramSpec, prior: &Prior, parameters: &[ParameterInfo]) -> Result<(), String> {
    if spec.command.first().is_none_or(String::is_empty) {
        return Err("the command is empty".into());
    }
    if parameters.len() != prior.parameters() {
        return Err(format!("{} parameters are named, the prior has {}", parameters.len(), prior.parameters()));
    }
    if spec.data_shape.as_ref().is_some_and(|shape| shape.is_empty() || shape.contains(&0)) {
        return Err("a datum without values: every axis of its shape must be at least 1".into());
    }
    if spec.max_answer_bytes == 0 {
        return Err("no answer fits into 0 bytes".into());
    }
    if spec.exchange == Exchange::NpyFiles {
        let (missing, surplus) = placeholders(&spec.command, spec.batch);
        if let Some(name) = missing {
            return Err(format!("the command does not say where `{name}` goes"));
        }
        if let Some(name) = surplus {
            return Err(format!("`{name}` belongs to a single simulation, but a batch holds {}", spec.batch));
        }
    }
    Ok(())
}

/// The placeholder that a command with files lacks, and one that has no meaning for its batch.
pub fn placeholders(command: &[String], batch: NonZeroUsize) -> (Option<&'static str>, Option<&'static str>) {
    let has = |name: &str| command.iter().any(|part| part.contains(name));
    // Both files are found in `{dir}` too.
    let missing = ["{theta}", "{x}"].into_iter().find(|name| !has(name) && !has("{dir}"));
    let surplus = ["{seed}", "{id}"].into_iter().find(|name| batch.get() > 1 && has(name));
    (missing, surplus)
}

/// The command in its folder. A relative program with a slash is meant from there, which the system leaves open.
fn command(parts: &[String], folder: &Path) -> Command {
    let program = &parts[0];
    let mut command = if program.contains('/') { Command::new(folder.join(program)) } else { Command::new(program) };
    command.args(&parts[1..]).current_dir(folder);
    command
}

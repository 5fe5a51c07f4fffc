//! Pairs (θ, x) from a simulator: a built-in task, or a program of the user's; kept in a store or not.

use super::inputs::{make_folder, write_array};
use crate::config::{PathRules, SimulatorConfig};
use crate::error::Error;
use crate::progress::duration;
use crate::session::{Session, json, warning};
use abduce_data::artefact::write_atomic;
use abduce_data::{Array, ParameterInfo, Seed};
use abduce_inference::diagnostics::Warning;
use abduce_inference::prior::Prior;
use abduce_inference::simulator::external::{ExternalProgram, ProgramSpec};
use abduce_inference::simulator::store::{FailedItems, Fill, SeriesKey, Store};
use abduce_inference::simulator::{
    self, Ending, Failure, FailureKind, InProcess, Progress, RowSimulator, Simulator, Theta, simulate_rows_watched, simulate_table,
};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time between two lines on how far the simulations are.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// MiB in bytes.
const MIB: usize = 1 << 20;

/// The built-in simulator of that name, or what there is in its place.
pub fn simulator(task: &str) -> Result<Box<dyn Simulator>, Error> {
    simulator::named(task).ok_or_else(|| Error::Usage {
        message: format!("there is no built-in task `{task}`"),
        help: format!("the tasks are {}; a file with a `command` ends in .yaml", simulator::names().join(", ")),
    })
}

/// A simulator as configured, ready to run. Files of exchanges are put below `scratch`.
pub fn rows_of(session: &Session, config: &SimulatorConfig, paths: &PathRules, scratch: &Path) -> Result<Box<dyn RowSimulator>, Error> {
    if let Some(task) = &config.task {
        return Ok(Box::new(InProcess::new(simulator(task)?, threads(session))));
    }
    let spec = ProgramSpec {
        command: config.command.clone(),
        folder: paths.folder().to_path_buf(),
        scratch: scratch.to_path_buf(),
        exchange: config.exchange.into(),
        workers: config.workers.and_then(NonZeroUsize::new).unwrap_or_else(|| threads(session)),
        batch: NonZeroUsize::new(config.batch).unwrap_or(NonZeroUsize::MIN),
        timeout: config.timeout_s.map(Duration::from_secs_f64),
        start_allowance: Duration::from_secs_f64(config.start_s),
        retries: config.retries,
        max_answer_bytes: config.max_answer_mib * MIB,
        version: config.version.clone(),
        data_shape: config.x_shape.clone(),
    };
    let prior = prior(config)?;
    let parameters = parameters(config, prior.parameters());
    Ok(Box::new(ExternalProgram::new(spec, prior, parameters)?))
}

/// Names of the parameters of a simulator: the task's own, those of the file, or numbers.
pub fn parameter_names(config: &SimulatorConfig) -> Result<Vec<ParameterInfo>, Error> {
    match &config.task {
        Some(task) => Ok(simulator(task)?.parameters()),
        None => Ok(parameters(config, prior(config)?.parameters())),
    }
}

fn parameters(config: &SimulatorConfig, count: usize) -> Vec<ParameterInfo> {
    if config.parameters.is_empty() { ParameterInfo::numbered(count) } else { config.parameters.iter().map(ParameterInfo::from).collect() }
}

fn prior(config: &SimulatorConfig) -> Result<Prior, Error> {
    let spec = config.prior().ok_or_else(|| Error::failed("there is no prior to simulate from", "add `prior` beside `command`"))?;
    Prior::new(spec).map_err(|error| Error::failed(error.to_string(), "see `abduce explain prior`"))
}

fn threads(session: &Session) -> NonZeroUsize {
    NonZeroUsize::new(session.compute.threads.count()).unwrap_or(NonZeroUsize::MIN)
}

/// Files of a simulated set.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// θ (n, d).
    pub theta: PathBuf,
    /// x (n, …), NaN in the rows that failed.
    pub x: PathBuf,
    /// Rows in the files: those before the first one that was not reached.
    pub rows: usize,
    /// Shape of a row of x.
    pub x_shape: Vec<usize>,
    /// What is worth saying.
    pub warnings: Vec<Warning>,
}

/// Writes `rows` simulations of a built-in task to `folder/theta{suffix}.npy` and `folder/x{suffix}.npy`.
pub fn simulate(
    session: &Session,
    simulator: &dyn Simulator,
    rows: usize,
    seed: Seed,
    (folder, suffix): (&Path, &str),
) -> Result<Simulated, Error> {
    make_folder(folder)?;
    let table = simulate_table(simulator, rows, seed, threads(session));
    let [theta, x] = files(folder, suffix);
    let x_shape = simulator.data_shape();
    write_array(&theta, &Array::new(vec![rows, simulator.prior().parameters()], table.theta)?)?;
    write_array(&x, &Array::new(std::iter::once(rows).chain(x_shape.iter().copied()).collect(), table.x)?)?;
    Ok(Simulated { theta, x, rows, x_shape, warnings: failed_rows(&table.failed, rows).into_iter().collect() })
}

/// What to say about simulations that failed, given their indices.
pub fn failed_rows(failed: &[usize], rows: usize) -> Option<Warning> {
    let first = failed.first()?;
    Some(warning(
        format!("{} of {rows} simulations failed; the first is row {first}", failed.len()),
        "their rows of x are NaN; training leaves them out",
    ))
}

/// What is wanted of [`simulate_items`].
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Items 0 to n.
    pub rows: usize,
    /// Of the series.
    pub seed: Seed,
    /// Where simulations are kept and found again; none for memory alone.
    pub store: Option<&'a Path>,
    /// What happens to stored failures.
    pub failed: FailedItems,
    /// Folder of the files.
    pub folder: &'a Path,
    /// Behind `theta`, `x` and `failures`.
    pub suffix: &'a str,
}

/// Writes simulations of any simulator, and `failures{suffix}.json` beside them. Where the user stops the work, the files hold the rows before the
/// first one that was not reached; the store holds all that were.
pub fn simulate_items(session: &Session, simulator: &dyn RowSimulator, wanted: &Wanted<'_>) -> Result<Simulated, Error> {
    make_folder(wanted.folder)?;
    let [theta, x] = files(wanted.folder, wanted.suffix);
    let mut watch = Watch::new(session);
    let mut warnings = Vec::new();
    let (rows, failures, x_shape) = match wanted.store {
        None => {
            let made =
                simulate_rows_watched(simulator, Theta::Prior, 0, wanted.rows, wanted.seed, &session.stop, &mut |at| watch.show(at))?;
            let rows = made.leading();
            let whole = rows == wanted.rows;
            let part = |array: Array| if whole { array } else { array.select_rows(0..rows) };
            write_array(&theta, &part(made.theta))?;
            let x_shape = made.x.row_shape().to_vec();
            write_array(&x, &part(made.x))?;
            (rows, made.failures, x_shape)
        }
        Some(store) => {
            let mut series = Store::open(store)?.series(&SeriesKey::from_prior(simulator, wanted.seed)?)?;
            if series.torn() > 0 {
                warnings.push(warning(
                    format!("{} files in {} are damaged and count for nothing", series.torn(), series.folder().display()),
                    "what they held is simulated again; they may be removed",
                ));
            }
            let fill = Fill { failed: wanted.failed, ..Fill::new(0..wanted.rows as u64, &session.stop) };
            let filled = series.fill(simulator, &fill, &mut |at| watch.show(at))?;
            if filled.found > 0 {
                session.console.note(format_args!("{} of {} simulations were in the store", filled.found.min(wanted.rows), wanted.rows));
            }
            let rows = if filled.ending == Ending::Complete { wanted.rows as u64 } else { series.leading().min(wanted.rows as u64) };
            series.export(0..rows, &theta, &x)?;
            let x_shape = series.data_shape().map(<[usize]>::to_vec).or_else(|| simulator.data_shape()).unwrap_or_default();
            (rows as usize, series.failures(0..rows), x_shape)
        }
    };
    let failures: Vec<Failure> = failures.into_iter().filter(|failure| failure.id < rows as u64).collect();
    let list = wanted.folder.join(format!("failures{}.json", wanted.suffix));
    let text = json(&failures)?;
    write_atomic(&list, |out| out.write_all(text.as_bytes()))?;
    warnings.extend(failure_warning(&failures, rows, &list));
    Ok(Simulated { theta, x, rows, x_shape, warnings })
}

fn files(folder: &Path, suffix: &str) -> [PathBuf; 2] {
    ["theta", "x"].map(|name| folder.join(format!("{name}{suffix}.npy")))
}

/// `3 of 100 simulations failed: 2 crashed, 1 timed out; number 17: exit status: 1; it said: …`
fn failure_warning(failures: &[Failure], rows: usize, list: &Path) -> Option<Warning> {
    let first = failures.first()?;
    let mut counts: BTreeMap<FailureKind, usize> = BTreeMap::new();
    failures.iter().for_each(|failure| *counts.entry(failure.kind).or_default() += 1);
    let counts: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {}", kind.words())).collect();
    Some(warning(
        format!("{} of {rows} simulations failed: {}; number {}: {}", failures.len(), counts.join(", "), first.id, first.message),
        format!("their rows of x are NaN, and training leaves them out; all of them are listed in {}", list.display()),
    ))
}

/// Says now and then how far the simulations are.
struct Watch<'a> {
    session: &'a Session,
    begun: Instant,
    last_line: Instant,
}

impl<'a> Watch<'a> {
    fn new(session: &'a Session) -> Self {
        let now = Instant::now();
        Self { session, begun: now, last_line: now }
    }

    fn show(&mut self, at: Progress) {
        if self.last_line.elapsed() < LINE_INTERVAL {
            return;
        }
        self.last_line = Instant::now();
        let elapsed = self.begun.elapsed().as_secs_f64();
        let left = elapsed / at.simulated.max(1) as f64 * at.wanted.saturating_sub(at.simulated) as f64;
        let failed = if at.failed > 0 { format!(", {} failed", at.failed) } else { String::new() };
        let (now, rest) = (duration(elapsed), duration(left));
        self.session.console.note(format_args!("{} of {} simulations{failed}  {now}  about {rest} left", at.simulated, at.wanted));
    }
}

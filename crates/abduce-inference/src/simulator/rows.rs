//! Many simulations at once, whatever the simulator is: the interface that training sets, stores and sequential engines share.
//!
//! An **item** is one simulation; its global index decides its random numbers, so rows depend on (θ, seed, index) alone and not on the number
//! of workers, the order of completion, or how the work was cut. A simulation that fails is a row of NaN and a [`Failure`]; it never ends
//! the others.

use crate::prior::Prior;
use abduce_data::{Array, DataError, ParameterInfo, RowSet, Seed};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// A simulator that works through many items: a built-in one on several threads ([`InProcess`](super::InProcess)), or a program of the user's
/// on several processes ([`ExternalProgram`](super::external::ExternalProgram)).
pub trait RowSimulator: Send + Sync {
    /// Everything that decides the rows besides θ, seed and index: name or command, version, options. Two simulators of equal identity
    /// give equal rows.
    fn identity(&self) -> serde_json::Value;

    /// Names, units and labels of the parameters.
    fn parameters(&self) -> Vec<ParameterInfo>;

    /// What θ is drawn from under [`Theta::Prior`].
    fn prior(&self) -> &Prior;

    /// Shape of one datum; none while no simulation has told it.
    fn data_shape(&self) -> Option<Vec<usize>>;

    /// Simulates the items of a request and hands each to `each`, on the calling thread, in the order of completion. `each` may end the work.
    fn run(&self, request: &Request<'_>, each: &mut dyn FnMut(Completed<'_>) -> ControlFlow<()>) -> Result<Ending, SimulationError>;
}

/// What is to be simulated.
pub struct Request<'a> {
    /// Global indices of the items.
    pub indices: &'a [u64],
    /// Their parameters.
    pub theta: Theta<'a>,
    /// The seed of all random numbers.
    pub seed: Seed,
    /// The shape of a datum where it is known from elsewhere, such as earlier simulations on disk.
    pub data_shape: Option<&'a [usize]>,
    /// Set when the work is to end early. Simulations in other processes are then abandoned.
    pub stop: &'a AtomicBool,
    /// Asked just before an item is begun: true where it need not be simulated any more.
    pub skip: &'a (dyn Fn(u64) -> bool + Sync),
}

impl<'a> Request<'a> {
    /// All items, with nothing known from elsewhere.
    pub fn new(indices: &'a [u64], theta: Theta<'a>, seed: Seed, stop: &'a AtomicBool) -> Self {
        Self { indices, theta, seed, data_shape: None, stop, skip: &|_| false }
    }
}

/// Where θ comes from.
#[derive(Clone, Copy, Debug)]
pub enum Theta<'a> {
    /// The simulator's own prior, with the item's own stream.
    Prior,
    /// Given, (n, d) row-major: row k belongs to the k-th index of the request.
    Given(&'a [f32]),
}

/// One item that is done.
#[derive(Clone, Copy, Debug)]
pub struct Completed<'a> {
    /// Its place in the request.
    pub position: usize,
    /// Its global index.
    pub index: u64,
    /// Its θ.
    pub theta: &'a [f32],
    /// The datum, row-major, or why there is none. A datum may hold NaN where values are missing; that is no failure.
    pub x: Result<&'a [f32], &'a Failure>,
}

/// How the work ended that did not break off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every item was done or skipped.
    Complete,
    /// On request, before the end.
    Stopped,
}

/// A simulation without a datum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Global index of the item.
    pub id: u64,
    /// What happened.
    pub kind: FailureKind,
    /// The simulator's own words, or what was seen.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// Why a simulation has no datum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The simulator said that it has none for this θ.
    Reported,
    /// The datum has another shape than the others.
    WrongShape,
    /// It took longer than allowed.
    TimedOut,
    /// The process ended.
    Crashed,
    /// The answer cannot be understood.
    Unreadable,
    /// The answer is larger than allowed.
    TooLarge,
}

impl FailureKind {
    /// In words, after a number: `3 timed out`.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Reported => "refused by the simulator",
            Self::WrongShape => "of another shape",
            Self::TimedOut => "timed out",
            Self::Crashed => "crashed",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too large",
        }
    }
}

/// Why no simulation is possible at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// A description of a program that cannot be right.
    #[error("simulator: {0}")]
    Program(String),
    /// The program does not start.
    #[error("cannot start `{program}` in {}: {source}", folder.display())]
    Start {
        /// The program's name, as given.
        program: String,
        /// The working directory.
        folder: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file of an exchange cannot be written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// No simulation tells what a datum looks like.
    #[error("none of the first {tried} simulations worked; number {}: {}", first.id, first.message)]
    NoneWorked {
        /// Number of items tried.
        tried: usize,
        /// The first failure.
        first: Box<Failure>,
    },
    /// θ of another width than the simulator's.
    #[error("{found} values of theta do not make {rows} rows of {parameters} parameters")]
    Theta {
        /// Values given.
        found: usize,
        /// Items asked for.
        rows: usize,
        /// Parameters of the simulator.
        parameters: usize,
    },
    /// Data of another shape than the simulator's.
    #[error("earlier simulations have data of shape {found:?}, this simulator makes shape {expected:?}")]
    Shape {
        /// Of the earlier ones.
        found: Vec<usize>,
        /// Of this simulator.
        expected: Vec<usize>,
    },
}

/// Refuses a request whose θ has another width than the simulator's.
pub(super) fn check_theta(request: &Request<'_>, parameters: usize) -> Result<(), SimulationError> {
    match request.theta {
        Theta::Given(theta) if theta.len() != request.indices.len() * parameters => {
            Err(SimulationError::Theta { found: theta.len(), rows: request.indices.len(), parameters })
        }
        _ => Ok(()),
    }
}

/// Rows in memory.
#[derive(Clone, Debug)]
pub struct Rows {
    /// θ (n, d).
    pub theta: Array,
    /// x (n, …), NaN throughout a row that failed or was not reached.
    pub x: Array,
    /// Failures by increasing id.
    pub failures: Vec<Failure>,
    /// The rows that were reached, failures included: all of them unless the work was stopped.
    pub done: RowSet,
}

impl Rows {
    /// Number of rows before the first one that was not reached.
    pub fn leading(&self) -> usize {
        (0..self.done.universe()).find(|&row| !self.done.contains(row)).unwrap_or(self.done.universe())
    }
}

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Items that were simulated.
    pub simulated: usize,
    /// Items that were to be simulated.
    pub wanted: usize,
    /// Failures among the simulated.
    pub failed: usize,
}

/// Simulates `count` items, the first of which has the global index `first`, into memory.
///
/// ```
/// use abduce_data::Seed;
/// use abduce_inference::simulator::{InProcess, Theta, named, simulate_rows};
/// use std::num::NonZeroUsize;
/// use std::sync::atomic::AtomicBool;
///
/// let simulator = InProcess::new(named("two_moons").unwrap(), NonZeroUsize::MIN);
/// let theta = [0.1f32, 0.2, -0.3, 0.4];
/// let rows = simulate_rows(&simulator, Theta::Given(&theta), 0, 2, Seed(1), &AtomicBool::new(false))?;
/// assert_eq!((rows.theta.data(), rows.x.shape()), (&theta[..], &[2, 2][..]));
/// # Ok::<(), abduce_inference::simulator::SimulationError>(())
/// ```
pub fn simulate_rows(
    simulator: &dyn RowSimulator,
    theta: Theta<'_>,
    first: u64,
    count: usize,
    seed: Seed,
    stop: &AtomicBool,
) -> Result<Rows, SimulationError> {
    simulate_rows_watched(simulator, theta, first, count, seed, stop, &mut |_| {})
}

/// As [`simulate_rows`]; `progress` is told after each item.
pub fn simulate_rows_watched(
    simulator: &dyn RowSimulator,
    theta: Theta<'_>,
    first: u64,
    count: usize,
    seed: Seed,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Rows, SimulationError> {
    let d = simulator.prior().parameters();
    let indices: Vec<u64> = (first..).take(count).collect();
    let mut theta_rows = vec![f32::NAN; count * d];
    let mut done = RowSet::none(count);
    let (mut failures, mut values, mut features) = (Vec::new(), Vec::new(), None::<usize>);
    simulator.run(&Request::new(&indices, theta, seed, stop), &mut |item| {
        theta_rows[item.position * d..][..d].copy_from_slice(item.theta);
        done.insert(item.position);
        match item.x {
            Ok(x) => {
                // The first datum tells how much memory the others need.
                let m = *features.get_or_insert(x.len());
                values.resize(count * m, f32::NAN);
                values[item.position * m..][..m].copy_from_slice(x);
            }
            Err(failure) => failures.push(failure.clone()),
        }
        progress(Progress { simulated: done.len(), wanted: count, failed: failures.len() });
        ControlFlow::Continue(())
    })?;
    failures.sort_by_key(|failure: &Failure| failure.id);
    let shape = simulator.data_shape().unwrap_or_else(|| vec![features.unwrap_or(1)]);
    values.resize(count * shape.iter().product::<usize>(), f32::NAN);
    let x = Array::new(std::iter::once(count).chain(shape).collect(), values)?;
    Ok(Rows { theta: Array::new(vec![count, d], theta_rows)?, x, failures, done })
}

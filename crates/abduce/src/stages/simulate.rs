//! Pairs (θ, x) from a built-in simulator.

use super::inputs::{make_folder, write_array};
use crate::error::Error;
use crate::session::{Session, warning};
use abduce_data::{Array, Seed};
use abduce_inference::diagnostics::Warning;
use abduce_inference::simulator::{self, Simulator, simulate_table};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// The built-in simulator of that name, or what there is in its place.
pub fn simulator(task: &str) -> Result<Box<dyn Simulator>, Error> {
    simulator::named(task).ok_or_else(|| Error::Usage {
        message: format!("there is no built-in task `{task}`"),
        help: format!("the tasks are {}", simulator::names().join(", ")),
    })
}

/// Files of a simulated set.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// θ (n, d).
    pub theta: PathBuf,
    /// x (n, …), NaN in the rows that failed.
    pub x: PathBuf,
    /// What is worth saying.
    pub warnings: Vec<Warning>,
}

/// Writes `rows` simulations to `folder/theta{suffix}.npy` and `folder/x{suffix}.npy`.
pub fn simulate(
    session: &Session,
    simulator: &dyn Simulator,
    rows: usize,
    seed: Seed,
    (folder, suffix): (&Path, &str),
) -> Result<Simulated, Error> {
    make_folder(folder)?;
    let threads = NonZeroUsize::new(session.compute.threads.count()).unwrap_or(NonZeroUsize::MIN);
    let table = simulate_table(simulator, rows, seed, threads);
    let (theta, x) = (folder.join(format!("theta{suffix}.npy")), folder.join(format!("x{suffix}.npy")));
    write_array(&theta, &Array::new(vec![rows, simulator.prior().parameters()], table.theta)?)?;
    write_array(&x, &Array::new(std::iter::once(rows).chain(simulator.data_shape()).collect(), table.x)?)?;
    Ok(Simulated { theta, x, warnings: failed_rows(&table.failed, rows).into_iter().collect() })
}

/// What to say about simulations that failed, given their indices.
pub fn failed_rows(failed: &[usize], rows: usize) -> Option<Warning> {
    let first = failed.first()?;
    Some(warning(
        format!("{} of {rows} simulations failed; the first is row {first}", failed.len()),
        "their rows of x are NaN; training leaves them out",
    ))
}

//! Simulators: the built-in ones, and a callable of the user's.

use crate::work::{Call, Event, Watch};
use crate::{arrays, error, work};
use abduce::stages::simulate::simulator;
use abduce_data::{Array, ParameterInfo, Seed};
use abduce_inference::prior::Prior;
use abduce_inference::simulator::{Completed, Ending, Failure, FailureKind, Request, RowSimulator, SimulationError, Theta, simulate_table};
use numpy::PyArrayDyn;
use pyo3::prelude::*;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

/// Two arrays.
type Pairs<'py> = (Bound<'py, PyArrayDyn<f32>>, Bound<'py, PyArrayDyn<f32>>);

/// θ (n, d) and x (n, …) of a built-in task, the rows of `abduce simulate`.
#[pyfunction]
#[pyo3(signature = (task, n, seed=0, threads=None))]
pub(crate) fn simulate<'py>(py: Python<'py>, task: &str, n: usize, seed: u64, threads: Option<usize>) -> PyResult<Pairs<'py>> {
    let session = work::passing(threads)?;
    let simulator = simulator(task).map_err(error::of)?;
    let threads = NonZeroUsize::new(session.compute.threads.count()).unwrap_or(NonZeroUsize::MIN);
    let table = py.detach(|| simulate_table(simulator.as_ref(), n, Seed(seed), threads));
    let shape: Vec<usize> = std::iter::once(n).chain(simulator.data_shape()).collect();
    Ok((arrays::array(py, &[n, simulator.prior().parameters()], table.theta)?, arrays::array(py, &shape, table.x)?))
}

/// A callable θ (n, d) → x (n, …) of the user's, which is called on the thread that waits for the work. A failed row is NaN in every value; what the
/// callable raises ends the work.
pub(crate) struct Callable {
    calls: Mutex<Sender<Event>>,
    prior: Prior,
    shape: Vec<usize>,
}

impl Callable {
    pub(crate) fn new(watch: &Watch, prior: Prior, shape: Vec<usize>) -> Self {
        Self { calls: Mutex::new(watch.sender()), prior, shape }
    }

    fn call(&self, theta: Vec<f64>, rows: usize) -> Result<Array, SimulationError> {
        let (reply, answer) = channel();
        // Nobody listens, or answers, once the callable has raised; its own words are what the user sees.
        let raised = || SimulationError::Program("the simulator raised".into());
        let call = Event::Call(Call { theta, rows, reply });
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).send(call).map_err(|_| raised())?;
        let found = answer.recv().map_err(|_| raised())?;
        if found.rows() != rows || found.row_shape() != self.shape {
            let expected: Vec<usize> = std::iter::once(rows).chain(self.shape.iter().copied()).collect();
            return Err(SimulationError::Program(format!(
                "the simulator gave an array of shape {:?}, expected {expected:?}",
                found.shape()
            )));
        }
        Ok(found)
    }
}

impl RowSimulator for Callable {
    /// Code has no name that could be relied on: a run is gone on with if its configuration is the same.
    fn identity(&self) -> serde_json::Value {
        serde_json::json!({"simulator": "a Python callable"})
    }

    fn parameters(&self) -> Vec<ParameterInfo> {
        ParameterInfo::numbered(self.prior.parameters())
    }

    fn prior(&self) -> &Prior {
        &self.prior
    }

    fn data_shape(&self) -> Option<Vec<usize>> {
        Some(self.shape.clone())
    }

    fn run(&self, request: &Request<'_>, each: &mut dyn FnMut(Completed<'_>) -> ControlFlow<()>) -> Result<Ending, SimulationError> {
        let d = self.prior.parameters();
        if request.stop.load(Ordering::Relaxed) {
            return Ok(Ending::Stopped);
        }
        let open: Vec<usize> = (0..request.indices.len()).filter(|&position| !(request.skip)(request.indices[position])).collect();
        let mut exact = vec![0.0f64; open.len() * d];
        for (row, &position) in exact.chunks_exact_mut(d).zip(&open) {
            match request.theta {
                Theta::Prior => self.prior.sample(&mut request.seed.stream("simulate", request.indices[position]), row),
                Theta::Given(theta) => row.iter_mut().zip(&theta[position * d..]).for_each(|(exact, &given)| *exact = f64::from(given)),
            }
        }
        let theta: Vec<f32> = exact.iter().map(|&value| value as f32).collect();
        let x = self.call(exact, open.len())?;
        for ((&position, theta), row) in open.iter().zip(theta.chunks_exact(d)).zip(0..) {
            let (index, x) = (request.indices[position], x.row(row));
            let failure = Failure { id: index, kind: FailureKind::Reported, message: "the simulator raised".into(), attempts: 1 };
            let x = if x.iter().all(|value| value.is_nan()) { Err(&failure) } else { Ok(x) };
            if each(Completed { position, index, theta, x }).is_break() {
                return Ok(Ending::Stopped);
            }
        }
        Ok(Ending::Complete)
    }
}

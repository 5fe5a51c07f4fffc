//! Simulators: the built-in ones, and a callable of the user's.

use crate::{arrays, error, work};
use abduce::stages::simulate::simulator;
use abduce_data::{Array, ParameterInfo, Seed};
use abduce_inference::prior::Prior;
use abduce_inference::simulator::{Completed, Ending, Failure, FailureKind, Request, RowSimulator, SimulationError, Theta, simulate_table};
use numpy::{PyArrayDyn, PyArrayMethods as _};
use pyo3::prelude::*;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

/// Two arrays.
type Pairs<'py> = (Bound<'py, PyArrayDyn<f32>>, Bound<'py, PyArrayDyn<f32>>);

/// θ (n, d) and x (n, …) of a built-in task, the rows of `abduce simulate`.
#[pyfunction]
#[pyo3(signature = (task, n, seed=0, threads=None))]
pub(crate) fn simulate<'py>(py: Python<'py>, task: &str, n: usize, seed: u64, threads: Option<usize>) -> PyResult<Pairs<'py>> {
    let session = work::session(threads)?;
    let simulator = simulator(task).map_err(error::of)?;
    let threads = NonZeroUsize::new(session.compute.threads.count()).unwrap_or(NonZeroUsize::MIN);
    let table = py.detach(|| simulate_table(simulator.as_ref(), n, Seed(seed), threads));
    let shape: Vec<usize> = std::iter::once(n).chain(simulator.data_shape()).collect();
    Ok((arrays::array(py, &[n, simulator.prior().parameters()], table.theta)?, arrays::array(py, &shape, table.x)?))
}

/// A callable θ (n, d) → x (n, …): a failed row is NaN in every value. What the callable raises ends the run.
pub(crate) struct Callable {
    function: Py<PyAny>,
    prior: Prior,
    shape: Vec<usize>,
    raised: Mutex<Option<PyErr>>,
}

impl Callable {
    pub(crate) fn new(function: Py<PyAny>, prior: Prior, shape: Vec<usize>) -> Self {
        Self { function, prior, shape, raised: Mutex::new(None) }
    }

    /// The exception of the callable, once.
    pub(crate) fn raised(&self) -> Option<PyErr> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn call(&self, theta: Vec<f64>, rows: usize) -> PyResult<Array> {
        Python::attach(|py| {
            let theta = arrays::array(py, &[rows, self.prior.parameters()], theta)?;
            let x = self.function.bind(py).call1((theta,))?;
            let x: Bound<'_, PyArrayDyn<f32>> = x.extract().map_err(|_| error::shape("the simulator must give an array of float32"))?;
            let found = arrays::owned(&x.readonly())?;
            if found.rows() != rows || found.row_shape() != self.shape {
                let (rows, shape) = (rows, &self.shape);
                return Err(error::shape(format!(
                    "the simulator gave an array of shape {:?} for {rows} rows of data {shape:?}",
                    found.shape()
                )));
            }
            Ok(found)
        })
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
        let x = self.call(exact, open.len()).map_err(|raised| {
            let message = raised.to_string();
            *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(raised);
            SimulationError::Program(message)
        })?;
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

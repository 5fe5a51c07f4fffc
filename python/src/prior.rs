//! Priors.

use crate::{arrays, error};
use abduce_data::Seed;
use abduce_inference::prior::{Prior as Inner, PriorSpec};
use numpy::{PyArrayDyn, PyReadonlyArrayDyn, PyUntypedArrayMethods as _};
use pyo3::prelude::*;

/// p(θ): `Prior('{"uniform": {"low": [0, 0], "high": [1, 2]}}')`, in the form of the YAML files.
#[pyclass(frozen, module = "abduce._native")]
pub(crate) struct Prior {
    inner: Inner,
}

#[pymethods]
impl Prior {
    #[new]
    fn new(spec: &str) -> PyResult<Self> {
        let spec: PriorSpec = serde_json::from_str(spec).map_err(|error| error::ConfigError::new_err(format!("prior: {error}")))?;
        let inner = Inner::new(spec).map_err(|error| error::ConfigError::new_err(format!("prior: {error}")))?;
        Ok(Self { inner })
    }

    /// The specification as JSON.
    #[getter]
    fn spec(&self) -> PyResult<String> {
        serde_json::to_string(self.inner.spec()).map_err(|error| error::ConfigError::new_err(error.to_string()))
    }

    /// Number of parameters.
    #[getter]
    fn dimension(&self) -> usize {
        self.inner.parameters()
    }

    /// Bounds of every parameter, (d, 2).
    #[getter]
    fn support<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
        let bounds = self.inner.support().iter().flat_map(|interval| [interval.low, interval.high]).collect();
        arrays::array(py, &[self.inner.parameters(), 2], bounds)
    }

    /// n draws, (n, d): draw i depends on the seed and i alone.
    fn sample<'py>(&self, py: Python<'py>, n: usize, seed: u64) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
        let d = self.inner.parameters();
        let mut theta = vec![0.0; n * d];
        py.detach(|| {
            for (i, row) in theta.chunks_exact_mut(d).enumerate() {
                self.inner.sample(&mut Seed(seed).stream("prior", i as u64), row);
            }
        });
        arrays::array(py, &[n, d], theta)
    }

    /// log p(θ) of rows of θ (n, d), -∞ outside the support.
    fn log_prob<'py>(&self, py: Python<'py>, theta: PyReadonlyArrayDyn<'py, f64>) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
        let d = self.inner.parameters();
        let rows = theta.as_slice().map_err(|_| error::shape("theta is not C-contiguous"))?;
        if theta.shape().last() != Some(&d) {
            return Err(error::shape(format!("theta has shape {:?}, the prior has {d} parameters", theta.shape())));
        }
        let log_prob: Vec<f64> = py.detach(|| rows.chunks_exact(d).map(|row| self.inner.log_prob(row)).collect());
        arrays::array(py, &theta.shape()[..theta.shape().len() - 1], log_prob)
    }
}

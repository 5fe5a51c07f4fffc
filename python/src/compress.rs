//! Ordered compression.

use crate::posterior::bytes_of;
use crate::work::Listeners;
use crate::{arrays, error, work};
use abduce::commands::compress::training;
use abduce::present::compress::write;
use abduce::stages::compress::{load, train};
use abduce_bottleneck::{BottleneckError, Compressor as Inner};
use abduce_data::Array;
use numpy::{PyArrayDyn, PyReadonlyArrayDyn, PyUntypedArrayMethods as _};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::PathBuf;

/// An encoder and a decoder that serve every width.
#[pyclass(frozen, module = "abduce._native")]
pub(crate) struct Compressor {
    inner: Inner,
}

impl From<Inner> for Compressor {
    fn from(inner: Inner) -> Self {
        Self { inner }
    }
}

fn of_model(error: BottleneckError) -> PyErr {
    match error {
        BottleneckError::Width { .. } | BottleneckError::Rows { .. } | BottleneckError::Size { .. } => error::shape(error.to_string()),
        BottleneckError::Target { .. } => error::NumericsError::new_err(error.to_string()),
        BottleneckError::Unavailable { .. } => error::ConfigError::new_err(error.to_string()),
        other => error::of(other),
    }
}

#[pymethods]
impl Compressor {
    /// Writes a `.safetensors` file.
    fn save(&self, path: PathBuf) -> PyResult<()> {
        self.inner.save(&path).map_err(of_model)
    }

    /// The file's content.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        bytes_of(py, |path| self.save(path))
    }

    /// Latents K.
    #[getter]
    fn latents(&self) -> usize {
        self.inner.latents()
    }

    /// Shape of a row of data.
    #[getter]
    fn shape(&self) -> Vec<usize> {
        self.inner.shape.clone()
    }

    /// Shape of what is decoded.
    #[getter]
    fn target_shape(&self) -> Vec<usize> {
        self.inner.target_shape.clone()
    }

    /// Name of the head.
    #[getter]
    fn head(&self) -> &'static str {
        self.inner.model.spec().head.name()
    }

    /// How it was trained and what was measured, as JSON.
    #[getter]
    fn summary(&self) -> PyResult<String> {
        serde_json::to_string(&self.inner.summary).map_err(|error| error::NumericsError::new_err(error.to_string()))
    }

    /// The first `width` latents of rows, (n, width).
    #[pyo3(signature = (x, width, threads=None))]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArrayDyn<'py, f32>,
        width: usize,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let session = work::passing(threads)?;
        let x = self.rows(&x, &self.inner.shape)?;
        let codes =
            work::run(py, &session, Listeners::default(), |_| Ok(self.inner.encode(&session.compute, &x, width)))?.map_err(of_model)?;
        let shape = codes.shape().to_vec();
        arrays::array(py, &shape, codes.into_data())
    }

    /// Rows that codes (n, k) stand for, by the first `width` latents.
    #[pyo3(signature = (codes, width, threads=None))]
    fn decode<'py>(
        &self,
        py: Python<'py>,
        codes: PyReadonlyArrayDyn<'py, f32>,
        width: usize,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let session = work::passing(threads)?;
        if codes.shape().len() != 2 {
            return Err(error::shape(format!("codes have shape {:?}, expected (n, k)", codes.shape())));
        }
        let codes = arrays::owned(&codes)?;
        let rows =
            work::run(py, &session, Listeners::default(), |_| Ok(self.inner.decode(&session.compute, &codes, width)))?.map_err(of_model)?;
        let shape = rows.shape().to_vec();
        arrays::array(py, &shape, rows.into_data())
    }

    /// The loss of every row at each of `widths`, (n, widths); `target` where it is not the data.
    #[pyo3(signature = (x, widths, target=None, threads=None))]
    fn losses<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArrayDyn<'py, f32>,
        widths: Vec<usize>,
        target: Option<PyReadonlyArrayDyn<'py, f32>>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let session = work::passing(threads)?;
        if let Some(width) = widths.iter().find(|&&width| width > self.inner.latents()) {
            return Err(error::shape(format!("width {width} of a code of {} latents", self.inner.latents())));
        }
        let x = self.rows(&x, &self.inner.shape)?;
        let target = target.map(|target| self.rows(&target, &self.inner.target_shape)).transpose()?;
        let found =
            work::run(py, &session, Listeners::default(), |_| Ok(self.inner.losses(&session.compute, &x, target.as_ref(), &widths)))?;
        arrays::array(py, &[x.rows(), widths.len()], found.map_err(of_model)?)
    }

    /// The first `width` latents alone.
    fn truncate(&self, width: usize) -> PyResult<Self> {
        self.inner.truncate(width).map(Self::from).map_err(of_model)
    }
}

impl Compressor {
    /// Rows of the shape `row`; an array of exactly that shape is one.
    fn rows(&self, given: &PyReadonlyArrayDyn<'_, f32>, row: &[usize]) -> PyResult<Array> {
        let array = arrays::owned(given)?;
        let shape = array.shape().to_vec();
        let rows = if shape == row {
            1
        } else if (shape.len() == row.len() + 1 && shape[1..] == *row) || (row == [1] && shape.len() == 1) {
            shape[0]
        } else {
            return Err(error::shape(format!(
                "rows have shape {:?}, the model knows rows of shape {row:?}",
                shape.get(1..).unwrap_or_default()
            )));
        };
        let shape = std::iter::once(rows).chain(row.iter().copied()).collect();
        Array::new(shape, array.into_data()).map_err(|error| error::shape(error.to_string()))
    }
}

/// Trains as `abduce compress train` with these words does; gives the model, which stands in the folder with its losses.
#[pyfunction]
#[pyo3(signature = (words, threads=None))]
pub(crate) fn train_compressor(py: Python<'_>, words: Vec<String>, threads: Option<usize>) -> PyResult<Compressor> {
    let session = work::session(threads)?;
    let request = training(&session, &words).map_err(error::of)?;
    work::run(py, &session, Listeners::default(), |_| Ok(Compressor::from(load(&train(&session, &request)?)?)))
}

/// Writes `report.html` in the folder of a training, about the rows in a file; gives its path.
#[pyfunction]
#[pyo3(signature = (folder, data, columns=None, threads=None))]
pub(crate) fn report_compressor(
    py: Python<'_>,
    folder: PathBuf,
    data: PathBuf,
    columns: Option<PathBuf>,
    threads: Option<usize>,
) -> PyResult<PathBuf> {
    let session = work::passing(threads)?;
    work::run(py, &session, Listeners::default(), |_| write(&session, &folder, &data, columns.as_deref()))
}

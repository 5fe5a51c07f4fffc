//! Posteriors.

use crate::abc::AbcPosterior;
use crate::compress::Compressor;
use crate::work::Listeners;
use crate::{arrays, error, work};
use abduce::config::{SampleMethod, SampleParams};
use abduce::error::Error;
use abduce::stages::draw::{Drawing, Wish, draw};
use abduce_data::{Array, ModelFile, Seed};
use abduce_inference::posterior::{Kind, Posterior as Inner};
use numpy::{PyArrayDyn, PyReadonlyArrayDyn, PyUntypedArrayMethods as _};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::PathBuf;
use std::sync::Arc;

/// A trained posterior: one network or an ensemble.
#[pyclass(frozen, module = "abduce._native")]
pub(crate) struct Posterior {
    pub(crate) inner: Arc<Inner>,
}

/// Values of θ that are scored or drawn before anybody could press Ctrl-C: no thread is started for them.
const QUICK: usize = 4096;

impl From<Inner> for Posterior {
    fn from(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }
}

#[pymethods]
impl Posterior {
    /// Writes such a file.
    fn save(&self, path: PathBuf) -> PyResult<()> {
        self.inner.save(&path).map_err(error::of_posterior)
    }

    /// The file's content.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        bytes_of(py, |path| self.save(path))
    }

    /// Number of parameters.
    #[getter]
    fn dimension(&self) -> usize {
        self.inner.dimension()
    }

    /// Shape of one datum.
    #[getter]
    fn x_shape(&self) -> Vec<usize> {
        self.inner.x_shape.clone()
    }

    /// `NPE`, `NLE` or `NRE`: what the networks give.
    #[getter]
    fn kind(&self) -> &'static str {
        match self.inner.kind() {
            Kind::Npe => "NPE",
            Kind::Nle => "NLE",
            Kind::Nre => "NRE",
        }
    }

    /// Whether `log_prob` integrates to one.
    #[getter]
    fn normalised(&self) -> bool {
        self.inner.is_normalised()
    }

    /// Prefix of its files.
    #[getter]
    fn name(&self) -> &str {
        &self.inner.name
    }

    /// Weights of the networks.
    #[getter]
    fn weights(&self) -> Vec<f64> {
        self.inner.weights.clone()
    }

    /// Their signatures.
    #[getter]
    fn signatures(&self) -> Vec<String> {
        self.inner.members.iter().map(|member| member.signature.clone()).collect()
    }

    /// Their families: `maf`, `nsf`, ….
    #[getter]
    fn families(&self) -> Vec<&'static str> {
        self.inner.members.iter().map(|member| member.network.family()).collect()
    }

    /// Names, units and labels of the parameters.
    #[getter]
    fn parameters(&self) -> Vec<arrays::Parameter> {
        self.inner.parameters.iter().map(arrays::parameter).collect()
    }

    /// The prior's specification as JSON.
    #[getter]
    fn prior_spec(&self) -> PyResult<String> {
        serde_json::to_string(self.inner.prior.spec()).map_err(|error| error::ConfigError::new_err(error.to_string()))
    }

    /// The network `k` alone.
    fn member(&self, k: usize) -> PyResult<Self> {
        if k >= self.inner.members.len() {
            return Err(pyo3::exceptions::PyIndexError::new_err(format!("there are {} networks", self.inner.members.len())));
        }
        Ok(self.inner.member(k).into())
    }

    /// The posterior given the first `width` summaries of an ordered embedding.
    fn at_width(&self, width: usize) -> PyResult<Self> {
        let cut = self.inner.at_width(width).map(Self::from);
        cut.ok_or_else(|| {
            error::ConfigError::new_err(format!("there are no {width} ordered summaries: train with an IOB embedding that has so many"))
        })
    }

    /// `draws` draws for each observation in `x` (m · trials, …): (m, draws, d), and what is known of the chains as JSON.
    #[pyo3(signature = (x, draws, seed, method=None, params="{}", trials=1, threads=None))]
    fn sample<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArrayDyn<'py, f32>,
        draws: usize,
        seed: u64,
        method: Option<&str>,
        params: &str,
        trials: usize,
        threads: Option<usize>,
    ) -> PyResult<(Bound<'py, PyArrayDyn<f32>>, String)> {
        let session = work::passing(threads)?;
        let x = self.observations(&x)?;
        let params: SampleParams =
            serde_json::from_str(params).map_err(|error| error::ConfigError::new_err(format!("sample_params: {error}")))?;
        let method = method.map(method_of).transpose()?;
        let drawing = Drawing::choose(&session, &self.inner, method, &params, Wish::Asked).map_err(sampling)?;
        let work = || draw(&session, &self.inner, &x, trials, draws, &drawing, Seed(seed));
        let values = x.rows().saturating_mul(draws).saturating_mul(self.inner.dimension());
        let drawn = if drawing == Drawing::Direct && values <= QUICK {
            py.detach(work)
        } else {
            work::run(py, &session, Listeners::default(), |_| Ok(work()))?
        };
        let drawn = drawn.map_err(sampling)?;
        let report = serde_json::to_string(&drawn.quality).map_err(|error| error::NumericsError::new_err(error.to_string()))?;
        let shape = drawn.samples.shape().to_vec();
        Ok((arrays::array(py, &shape, drawn.samples.into_data())?, report))
    }

    /// log q(θ|x) of rows of θ (n, d) and x (m, …), paired; one row of either goes with all of the other.
    #[pyo3(signature = (theta, x, threads=None))]
    fn log_prob<'py>(
        &self,
        py: Python<'py>,
        theta: PyReadonlyArrayDyn<'py, f32>,
        x: PyReadonlyArrayDyn<'py, f32>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
        let (theta, x) = (arrays::values(&theta)?, arrays::values(&x)?);
        let found = if theta.len() <= QUICK {
            let compute = work::compute(threads);
            py.detach(|| self.inner.log_prob_paired(&compute, theta, x))
        } else {
            let session = work::passing(threads)?;
            work::run(py, &session, Listeners::default(), |_| Ok(self.inner.log_prob_paired(&session.compute, theta, x)))?
        };
        let found = found.map_err(error::of_posterior)?;
        let n = found.len();
        arrays::array(py, &[n], found)
    }

    /// The maximum of the posterior of each observation, (m, d), and its log-density.
    #[pyo3(signature = (x, seed, threads=None))]
    fn map<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArrayDyn<'py, f32>,
        seed: u64,
        threads: Option<usize>,
    ) -> PyResult<(Bound<'py, PyArrayDyn<f64>>, Vec<f64>)> {
        let session = work::passing(threads)?;
        let x = arrays::values(&x)?;
        let found = work::run(py, &session, Listeners::default(), |_| Ok(self.inner.map(&session.compute, x, 1, Seed(seed))))?
            .map_err(error::of_chains)?;
        let log_prob = found.iter().map(|estimate| estimate.log_prob).collect();
        let theta: Vec<f64> = found.iter().flat_map(|estimate| estimate.theta.iter().copied()).collect();
        Ok((arrays::array(py, &[found.len(), self.inner.dimension()], theta)?, log_prob))
    }
}

impl Posterior {
    /// x as rows of the posterior's data; an array of exactly one datum's shape is one observation.
    fn observations(&self, x: &PyReadonlyArrayDyn<'_, f32>) -> PyResult<Array> {
        let (values, datum) = (arrays::values(x)?, self.inner.x_len());
        if values.is_empty() || !values.len().is_multiple_of(datum) {
            return Err(error::shape(format!("x has shape {:?}, this posterior wants data of shape {:?}", x.shape(), self.inner.x_shape)));
        }
        let shape = std::iter::once(values.len() / datum).chain(self.inner.x_shape.iter().copied()).collect();
        Array::new(shape, values.to_vec()).map_err(|error| error::shape(error.to_string()))
    }
}

/// What `load` finds in a file.
#[derive(IntoPyObject)]
#[expect(clippy::large_enum_variant, reason = "one per file, and turned into an object at once")]
pub(crate) enum Model {
    Networks(Posterior),
    Sample(AbcPosterior),
    Code(Compressor),
}

/// A model of any kind from its `.safetensors` file: parsed and checked, nothing in it is executed.
#[pyfunction]
pub(crate) fn load(path: PathBuf) -> PyResult<Model> {
    let file = ModelFile::load(&path).map_err(error::of)?;
    if abduce_bottleneck::Compressor::is_in(&file) {
        return abduce::stages::compress::load(&path).map(|code| Model::Code(code.into())).map_err(error::of);
    }
    Ok(match abduce::stages::model::Model::load(&path).map_err(error::of)? {
        abduce::stages::model::Model::Networks(posterior) => Model::Networks((*posterior).into()),
        abduce::stages::model::Model::Sample(abc) => Model::Sample((*abc).into()),
    })
}

/// A model from the content of its file.
#[pyfunction]
pub(crate) fn from_bytes(bytes: &[u8]) -> PyResult<Model> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, bytes)?;
    load(path)
}

/// What `save` writes.
pub(crate) fn bytes_of<'py>(py: Python<'py>, save: impl FnOnce(PathBuf) -> PyResult<()>) -> PyResult<Bound<'py, PyBytes>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model.safetensors");
    save(path.clone())?;
    Ok(PyBytes::new(py, &std::fs::read(path)?))
}

/// What keeps draws from being made.
fn sampling(error: Error) -> PyErr {
    match error {
        Error::Failed { .. } => error::SamplerError::new_err(error::text(&error)),
        other => error::of(other),
    }
}

/// A method by our name or one of sbi's.
fn method_of(name: &str) -> PyResult<SampleMethod> {
    SampleMethod::named(name).ok_or_else(|| error::ConfigError::new_err(format!("there is no sampling method `{name}`")))
}

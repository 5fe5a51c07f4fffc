//! Posteriors without networks: the sample of ABC, for one observation.

use crate::posterior::bytes_of;
use crate::simulation::Callable;
use crate::training::{Folder, Inputs, infer_of, prior_of};
use crate::work::Listeners;
use crate::{arrays, error, work};
use abduce::config;
use abduce::error::Error;
use abduce::pipeline::VERSION;
use abduce::present::run::AbcSummary;
use abduce::session::Session;
use abduce::stages::abc::{AbcInputs, AbcSource, train_stage};
use abduce::stages::model::Model;
use abduce::stages::run::{open, write_provenance};
use abduce_data::rundir::{CONFIG, DataFile, Manifest};
use abduce_data::{Seed, npy};
use abduce_inference::abc::AbcPosterior as Inner;
use numpy::{PyArrayDyn, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::{Path, PathBuf};

/// Accepted parameters with their weights.
#[pyclass(frozen, module = "abduce._native")]
pub(crate) struct AbcPosterior {
    inner: Inner,
}

impl From<Inner> for AbcPosterior {
    fn from(inner: Inner) -> Self {
        Self { inner }
    }
}

#[pymethods]
impl AbcPosterior {
    /// Writes a `.safetensors` file.
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

    /// The observation (data, …).
    #[getter]
    fn x_obs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let shape: Vec<usize> = std::iter::once(self.inner.trials()).chain(self.inner.x_shape.iter().copied()).collect();
        arrays::array(py, &shape, self.inner.x_obs.clone())
    }

    /// Prefix of its files.
    #[getter]
    fn name(&self) -> &str {
        &self.inner.name
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

    /// Accepted parameters (n, d).
    #[getter]
    fn theta<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
        arrays::array(py, &[self.inner.sample.weights.len(), self.inner.dimension()], self.inner.sample.theta.clone())
    }

    /// Their weights, which sum to 1.
    #[getter]
    fn weights<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
        arrays::array(py, &[self.inner.sample.weights.len()], self.inner.sample.weights.clone())
    }

    /// Distances of their simulations from the observation.
    #[getter]
    fn distances<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
        arrays::array(py, &[self.inner.sample.distances.len()], self.inner.sample.distances.clone())
    }

    /// What ABC came to, `abc.json`.
    #[getter]
    fn summary(&self) -> PyResult<String> {
        serde_json::to_string(&AbcSummary::of(&self.inner)).map_err(|error| error::NumericsError::new_err(error.to_string()))
    }

    /// `draws` draws (draws, d): of the kernels, or the accepted parameters resampled.
    fn sample<'py>(&self, py: Python<'py>, draws: usize, seed: u64) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let drawn = py.detach(|| self.inner.draw(draws, Seed(seed))).map_err(error::of)?;
        arrays::array(py, &[draws, self.inner.dimension()], drawn)
    }

    /// ln of the density of the kernels at rows of θ (n, d).
    fn log_prob<'py>(&self, py: Python<'py>, theta: PyReadonlyArrayDyn<'py, f64>) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
        let d = self.inner.dimension();
        let rows = theta.as_slice().map_err(|_| error::shape("theta is not C-contiguous"))?;
        if !rows.len().is_multiple_of(d) {
            return Err(error::shape(format!("theta has {} values, which are no rows of {d} parameters", rows.len())));
        }
        let density = self.inner.density().map_err(error::of)?;
        let density = density.ok_or_else(|| error::SamplerError::new_err("an ABC sample has no density: train with `kde=True`"))?;
        let found: Vec<f64> = py.detach(|| rows.chunks_exact(d).map(|row| density.log_prob(row)).collect());
        arrays::array(py, &[found.len()], found)
    }
}

/// Accepts simulations for one observation: those of `simulate`, a callable θ (n, d) → x (n, …), or the pairs `theta` and `x`. The run directory is that
/// of the program.
#[pyfunction]
#[pyo3(signature = (config, x_obs, simulate=None, pairs=None, folder=None, threads=None))]
pub(crate) fn train_abc<'py>(
    py: Python<'py>,
    config: &str,
    x_obs: PyReadonlyArrayDyn<'py, f32>,
    simulate: Option<Bound<'py, PyAny>>,
    pairs: Option<(PyReadonlyArrayDyn<'py, f32>, PyReadonlyArrayDyn<'py, f32>)>,
    folder: Option<PathBuf>,
    threads: Option<usize>,
) -> PyResult<AbcPosterior> {
    let (infer, _) = infer_of(config)?;
    let session = work::session(threads)?;
    let folder = Folder::new(folder)?;
    let x_obs = arrays::owned(&x_obs)?;
    let prior = prior_of(&infer)?;
    let pairs = pairs.map(|(theta, x)| Inputs::new(&theta, &x)).transpose()?;
    let listeners = Listeners { progress: None, simulate: simulate.as_ref() };
    let simulating = simulate.is_some();
    work::run(py, &session, listeners, |watch| {
        std::fs::create_dir_all(folder.path()).map_err(|source| Error::File {
            action: "make",
            path: folder.path().to_path_buf(),
            source,
        })?;
        let file = folder.path().join("x_obs.npy");
        npy::write(&file, &x_obs)?;
        let stored = pairs.map(|pairs| pairs.write(folder.path())).transpose()?;
        let simulator = simulating.then(|| Callable::new(watch, prior, x_obs.row_shape().to_vec()));
        let source = match (&simulator, &stored) {
            (Some(simulator), _) => AbcSource::Simulator(simulator),
            (None, Some(stored)) => AbcSource::Stored(stored),
            (None, None) => return Err(Error::failed("there are no simulations", "give a simulator, or theta and x")),
        };
        let inputs = AbcInputs { infer: &infer, parameters: None, source, x_obs: &file, simulations: None, keep: None };
        let path = accept(&session, &folder, &inputs, &file)?;
        match Model::load(&path)? {
            Model::Sample(abc) => Ok(AbcPosterior::from(*abc)),
            Model::Networks(_) => Err(Error::failed(format!("{}: networks in place of a sample", path.display()), "choose another folder")),
        }
    })
}

fn accept(session: &Session, folder: &Folder, inputs: &AbcInputs<'_>, x_obs: &Path) -> Result<PathBuf, Error> {
    let text = config::to_yaml(inputs.infer)?;
    let mut manifest = Manifest::new(VERSION, Seed(inputs.infer.seed), session.compute.simd.name(), &text);
    manifest.data = vec![DataFile::of("x_obs", x_obs)?];
    let mut files = vec![x_obs.to_path_buf()];
    if let AbcSource::Stored(stored) = inputs.source {
        manifest.data.extend(stored.hashes()?);
        files.extend([stored.theta.clone(), stored.x.clone()]);
    }
    let run = open(folder.path(), &manifest, folder.existing())?;
    run.write_text(CONFIG, &text)?;
    write_provenance(session, &run, &files)?;
    train_stage(session, &run, inputs)
}

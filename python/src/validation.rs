//! Validation, and pictures.

use crate::posterior::Posterior;
use crate::work::Listeners;
use crate::{arrays, error, work};
use abduce::config::{self, ValConfig};
use abduce::present::posterior::corner as draw_corner;
use abduce::present::run::{CURVES, METRICS};
use abduce::present::validation::{Plot, figure};
use abduce::session::warning;
use abduce::stages::validate::{Test, validate as run_validation};
use abduce_data::{PairSource, Seed};
use abduce_inference::diagnostics::{Curves, Metrics, Validation};
use abduce_inference::prior::Interval;
use abduce_report::Figure;
use numpy::PyReadonlyArrayDyn;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::PathBuf;

/// Judges a posterior on pairs that it has not seen: metrics and curves as JSON, and warnings. Plots go to `folder`, where one is given.
#[pyfunction]
#[pyo3(signature = (posterior, theta, x, config="{}", seed=0, folder=None, threads=None))]
pub(crate) fn validate(
    py: Python<'_>,
    posterior: &Posterior,
    theta: PyReadonlyArrayDyn<'_, f32>,
    x: PyReadonlyArrayDyn<'_, f32>,
    config: &str,
    seed: u64,
    folder: Option<PathBuf>,
    threads: Option<usize>,
) -> PyResult<(String, String, Vec<String>)> {
    let config = config::parse::<ValConfig>("the configuration", config, &[]).map_err(error::of)?.config;
    let session = work::passing(threads)?;
    let source = PairSource::from_arrays(arrays::owned(&theta)?, arrays::owned(&x)?).map_err(|error| error::shape(error.to_string()))?;
    let passing = tempfile::tempdir()?;
    let folder = folder.unwrap_or_else(|| passing.path().to_path_buf());
    let test = Test {
        posterior: &posterior.inner,
        source: &source,
        config: &config,
        observation: None,
        gates: config.gates.clone(),
        seed: Seed(seed),
        measured: Vec::new(),
    };
    let tested = work::run(py, &session, Listeners::default(), |_| run_validation(&session, &test, &folder))?;
    let net = if config.ensemble_mode { "" } else { "net0_" };
    let read = |name: &str| std::fs::read_to_string(folder.join(format!("{net}{name}")));
    let warnings = tested.warnings.iter().map(|warning| format!("{} ({})", warning.text, warning.hint)).collect();
    Ok((read(METRICS)?, read(CURVES)?, warnings))
}

/// A figure as SVG text and PNG bytes.
pub(crate) type Picture<'py> = (String, Bound<'py, PyBytes>);

/// Pixels per point of a PNG.
const SCALE: f64 = 2.0;

pub(crate) fn picture<'py>(py: Python<'py>, figure: &Figure) -> PyResult<Picture<'py>> {
    let of = |error: abduce_report::FigureError| error::NumericsError::new_err(error.to_string());
    Ok((figure.svg().map_err(of)?, PyBytes::new(py, &figure.png(SCALE).map_err(of)?)))
}

/// A corner plot of named draws (n, d) of parameters with these limits.
#[pyfunction]
#[pyo3(signature = (parameters, limits, draws, truth=None, title=""))]
pub(crate) fn corner<'py>(
    py: Python<'py>,
    parameters: Vec<arrays::Parameter>,
    limits: Vec<(f64, f64)>,
    draws: Vec<(String, PyReadonlyArrayDyn<'py, f32>)>,
    truth: Option<Vec<f64>>,
    title: &str,
) -> PyResult<Picture<'py>> {
    let values = draws.iter().map(|(name, draws)| Ok((name.as_str(), arrays::values(draws)?))).collect::<PyResult<Vec<_>>>()?;
    let limits: Vec<Interval> = limits.into_iter().map(|(low, high)| Interval { low, high }).collect();
    let drawn = draw_corner(title, &arrays::parameters(parameters), &limits, &values, truth.as_deref());
    picture(py, &drawn.map_err(error::of)?)
}

/// A figure of a validation, by LtU-ILI's name of it (`plot_coverage`, `ranks_histogram`, …); none where there are no numbers for it.
#[pyfunction]
pub(crate) fn validation_figure<'py>(
    py: Python<'py>,
    parameters: Vec<arrays::Parameter>,
    metrics: &str,
    curves: &str,
    name: &str,
) -> PyResult<Option<Picture<'py>>> {
    let damaged = |error: serde_json::Error| error::ConfigError::new_err(format!("no validation: {error}"));
    let metrics: Metrics = serde_json::from_str(metrics).map_err(damaged)?;
    let curves: Curves = serde_json::from_str(curves).map_err(damaged)?;
    let plot = Plot::ALL.into_iter().find(|plot| plot.stem() == name).ok_or_else(|| {
        let names: Vec<&str> = Plot::ALL.iter().map(|plot| plot.stem()).collect();
        error::ConfigError::new_err(format!("there is no figure `{name}`; there are {}", names.join(", ")))
    })?;
    let drawn = figure(plot, &Validation { metrics, curves }, &arrays::parameters(parameters)).map_err(error::of)?;
    drawn.map(|figure| picture(py, &figure)).transpose()
}

/// Writes `report.html` of a run directory and gives its path.
#[pyfunction]
pub(crate) fn report(run: PathBuf) -> PyResult<PathBuf> {
    if !abduce_data::RunDir::is_run(&run) {
        return Err(error::of(abduce::error::Error::Usage {
            message: warning(format!("{} is no run directory", run.display()), "").text,
            help: "give the folder that a training has written".into(),
        }));
    }
    abduce::present::report::write(&run).map_err(error::of)
}

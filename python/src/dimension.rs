//! The intrinsic dimension of points, or of a bottleneck's loss curves.

use crate::validation::{Picture, picture};
use crate::work::Listeners;
use crate::{arrays, error, work};
use abduce::commands::dimension::{LossName, MethodName, methods};
use abduce::present::dimension::{bottleneck_figure, bottleneck_table, figure, table};
use abduce::stages::dimension::{of_losses, of_points};
use abduce_data::Seed;
use abduce_dimension::CombinedSettings;
use abduce_dimension::bottleneck::{EffectSettings, LossCurves};
use abduce_report::{Figure, FigureError};
use numpy::PyReadonlyArrayDyn;
use pyo3::prelude::*;
use serde::Serialize;

/// The report as JSON, as a table, and its picture.
type Found<'py> = (String, String, Picture<'py>);

fn found<'py, R: Serialize>(py: Python<'py>, report: &R, table: String, figure: Result<Figure, FigureError>) -> PyResult<Found<'py>> {
    let numbers = |error: String| error::NumericsError::new_err(error);
    let json = serde_json::to_string(report).map_err(|error| numbers(error.to_string()))?;
    Ok((json, table, picture(py, &figure.map_err(|error| numbers(error.to_string()))?)?))
}

/// Asks points (n, …) by the methods named, of which the first is the answer.
#[pyfunction]
#[pyo3(signature = (points, names, references=300, max_points=10_000, seed=0, threads=None))]
pub(crate) fn dimension<'py>(
    py: Python<'py>,
    points: PyReadonlyArrayDyn<'py, f64>,
    names: Vec<String>,
    references: usize,
    max_points: usize,
    seed: u64,
    threads: Option<usize>,
) -> PyResult<Found<'py>> {
    let session = work::passing(threads)?;
    let unknown = |name: &String| {
        error::ConfigError::new_err(format!("there is no method `{name}` for points; there are {}", MethodName::of_points()))
    };
    let names = names
        .iter()
        .map(|name| MethodName::named(name).filter(|&m| m != MethodName::Iob).ok_or_else(|| unknown(name)))
        .collect::<PyResult<Vec<_>>>()?;
    let settings = CombinedSettings { references, max_points, seed: Seed(seed) };
    let points = arrays::owned(&points)?;
    let report = work::run(py, &session, Listeners::default(), |_| of_points(&session, points, &methods(&names), settings))?;
    found(py, &report, table(&report), figure(&report))
}

/// Reads it off loss curves (trainings, widths, rows).
#[pyfunction]
#[pyo3(signature = (losses, widths, loss="variance", tolerance=None, effective_points=1000.0, seed=0, threads=None))]
pub(crate) fn dimension_of_losses<'py>(
    py: Python<'py>,
    losses: PyReadonlyArrayDyn<'py, f64>,
    widths: Vec<usize>,
    loss: &str,
    tolerance: Option<f64>,
    effective_points: f64,
    seed: u64,
    threads: Option<usize>,
) -> PyResult<Found<'py>> {
    let session = work::passing(threads)?;
    let curves = LossCurves::new(widths, &arrays::owned(&losses)?).map_err(|error| error::shape(error.to_string()))?;
    let scale =
        LossName::named(loss).ok_or_else(|| error::ConfigError::new_err(format!("loss is `variance` or `nats`, not `{loss}`")))?.scale();
    let settings = EffectSettings { seed: Seed(seed), ..EffectSettings::default() };
    let report =
        work::run(py, &session, Listeners::default(), |_| of_losses(&session, &curves, scale, tolerance, effective_points, settings))?;
    found(py, &report, bottleneck_table(&report), bottleneck_figure(&report))
}

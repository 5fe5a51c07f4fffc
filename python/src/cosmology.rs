//! Linear theory, particle-mesh runs, groups and spectra, over arrays.

use crate::{arrays, error, work};
use abduce::config::{self, UniverseConfig};
use abduce::error::Error;
use abduce::stages::cosmology::particles::{Watch, linear_power as spectrum, simulate as run, table_path};
use abduce_cosmology::background::Radiation;
use abduce_cosmology::fft::MeshFft;
use abduce_cosmology::growth::Growth;
use abduce_cosmology::halos::{FriendsOfFriends, friends_of_friends as find_groups};
use abduce_cosmology::mesh::{Grid, Scheme, Weights};
use abduce_cosmology::statistics::{
    Binning, BispectrumPlan, Interlacing, Modes, PowerOptions, StatisticsError, Triangle, modes_of_points, power_spectrum as measure,
};
use abduce_data::Seed;
use abduce_kernels::Threads;
use numpy::{PyArrayDyn, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::atomic::Ordering;

type Array<'py, T> = Bound<'py, PyArrayDyn<T>>;

fn universe(text: &str) -> PyResult<config::Loaded<UniverseConfig>> {
    config::parse::<UniverseConfig>("the arguments", text, &[]).map_err(|problem| error::of(Error::from(problem)))
}

fn vectors(array: &PyReadonlyArrayDyn<'_, f32>) -> PyResult<Vec<[f32; 3]>> {
    let owned = arrays::owned(array)?;
    match owned.shape() {
        [_, 3] => Ok(owned.into_data().as_chunks::<3>().0.to_vec()),
        shape => Err(error::shape(format!("positions have the shape {shape:?}, expected (n, 3)"))),
    }
}

fn number_error(error: impl std::fmt::Display) -> PyErr {
    pyo3::exceptions::PyValueError::new_err(error.to_string())
}

/// P(k) [(Mpc/h)³] at wave numbers [h/Mpc] and a scale factor.
#[pyfunction]
pub(crate) fn linear_power<'py>(
    py: Python<'py>,
    universe_json: &str,
    k: Vec<f64>,
    a: f64,
    threads: Option<usize>,
) -> PyResult<Array<'py, f64>> {
    let loaded = universe(universe_json)?;
    let threads = work::compute(threads).threads;
    let cosmology = loaded.config.cosmology.cosmology().check().map_err(number_error)?;
    let table = table_path(&loaded.config.simulation, &loaded.paths);
    let values = py.detach(|| -> Result<Vec<f64>, Error> {
        let power = spectrum(&loaded.config.simulation, &cosmology, table.as_deref(), &threads)?;
        let growth = Growth::new(&cosmology, Radiation::Neglected)?.at(a).d1.powi(2);
        Ok(k.iter().map(|&k| growth * power.at(k)).collect())
    });
    let values = values.map_err(error::of)?;
    arrays::array(py, &[values.len()], values)
}

/// D, f = d ln D/d ln a and the second-order D2 and f2 at scale factors, (n, 4).
#[pyfunction]
pub(crate) fn growth<'py>(py: Python<'py>, universe_json: &str, a: Vec<f64>) -> PyResult<Array<'py, f64>> {
    let cosmology = universe(universe_json)?.config.cosmology.cosmology().check().map_err(number_error)?;
    let growth = Growth::new(&cosmology, Radiation::Neglected).map_err(number_error)?;
    let values: Vec<f64> = a.iter().map(|&a| growth.at(a)).flat_map(|g| [g.d1, g.f1, g.d2, g.f2]).collect();
    arrays::array(py, &[a.len(), 4], values)
}

/// Snapshots of a particle-mesh run: scale factor, positions [Mpc/h], velocities [km/s].
type Snapshots<'py> = Vec<(f64, Array<'py, f32>, Array<'py, f32>)>;

/// Runs a universe's simulation.
#[pyfunction]
pub(crate) fn simulate_universe<'py>(py: Python<'py>, universe_json: &str, threads: Option<usize>) -> PyResult<Snapshots<'py>> {
    let loaded = universe(universe_json)?;
    let config = &loaded.config;
    let session = work::session(threads)?;
    let table = table_path(&config.simulation, &loaded.paths);
    let stop = session.stop.clone();
    let found = py.detach(|| -> Result<Option<Vec<_>>, Error> {
        let threads = &session.compute.threads;
        let power = spectrum(&config.simulation, &config.cosmology.cosmology().check()?, table.as_deref(), threads)?;
        // Ctrl-C is looked for between two steps.
        let stopping = || stop.load(Ordering::Relaxed) || Python::attach(|py| py.check_signals().is_err());
        let outputs = config.outputs();
        let particles = (config.simulation.particles as u64).pow(3);
        let watch = Watch { console: None, is_stopping: &stopping, held: 24 * particles * (outputs.len() as u64 - 1) };
        let mut kept = Vec::new();
        let done = run(config, &power, Seed(config.simulation.seed), &outputs, threads, &watch, |snapshot| {
            kept.push(snapshot);
            Ok(())
        })?;
        Ok(done.then_some(kept))
    });
    let Some(found) = found.map_err(error::of)? else {
        return Err(pyo3::exceptions::PyKeyboardInterrupt::new_err("the simulation was stopped"));
    };
    let one = |snapshot: abduce_cosmology::pm::Snapshot| {
        let shape = [snapshot.positions.len(), 3];
        let positions = arrays::array(py, &shape, snapshot.positions.into_flattened())?;
        Ok((snapshot.a, positions, arrays::array(py, &shape, snapshot.velocities.into_flattened())?))
    };
    found.into_iter().map(one).collect()
}

/// Labels (n) of friends of friends, and members and starts of the groups that are kept.
#[pyfunction]
pub(crate) fn friends_of_friends<'py>(
    py: Python<'py>,
    positions: PyReadonlyArrayDyn<'py, f32>,
    box_size: f64,
    linking: f64,
    min_particles: usize,
    threads: Option<usize>,
) -> PyResult<(Array<'py, u32>, Array<'py, u32>, Vec<usize>)> {
    let points = vectors(&positions)?;
    let threads = work::compute(threads).threads;
    let options = FriendsOfFriends { linking, min_particles };
    let groups = py.detach(|| find_groups(&points, box_size, &options, &threads)).map_err(number_error)?;
    let (labels, members) = (groups.labels.len(), groups.members.len());
    Ok((arrays::array(py, &[labels], groups.labels)?, arrays::array(py, &[members], groups.members)?, groups.starts))
}

fn modes(points: &[[f32; 3]], grid: Grid, threads: &Threads) -> Result<Modes, StatisticsError> {
    let fft = MeshFft::<f32>::new([grid.cells(); 3])?;
    modes_of_points(points, Weights::Equal, grid, Scheme::Tsc, Interlacing::On, &fft, threads)
}

/// Multipoles of the power spectrum of points, by bins of `width` [h/Mpc] from it.
#[pyfunction]
pub(crate) fn power_spectrum<'py>(
    py: Python<'py>,
    positions: PyReadonlyArrayDyn<'py, f32>,
    box_size: f64,
    mesh: usize,
    width: Option<f64>,
    line_of_sight: usize,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyDict>> {
    let points = vectors(&positions)?;
    let threads = work::compute(threads).threads;
    let grid = Grid::new(mesh, box_size).map_err(number_error)?;
    let binning = width.map_or_else(Binning::default, |width| Binning::in_h_per_mpc(width, width, grid));
    let options = PowerOptions { binning, line_of_sight, ..PowerOptions::along_z() };
    let found = py.detach(|| measure(&modes(&points, grid, &threads)?, &options, &threads)).map_err(number_error)?;
    let out = PyDict::new(py);
    let n = found.k_h_per_mpc.len();
    for (name, values) in [("k", found.k_h_per_mpc), ("modes", found.modes), ("p0", found.p0), ("p2", found.p2), ("p4", found.p4)] {
        out.set_item(name, arrays::array(py, &[n], values)?)?;
    }
    out.set_item("shot_noise", found.shot_noise)?;
    Ok(out)
}

/// Bispectrum of points over all triangles of shells of `width` up to `k_max` [h/Mpc].
#[pyfunction]
pub(crate) fn bispectrum<'py>(
    py: Python<'py>,
    positions: PyReadonlyArrayDyn<'py, f32>,
    box_size: f64,
    mesh: usize,
    width: f64,
    k_max: f64,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyDict>> {
    let points = vectors(&positions)?;
    if !(width > 0.0 && k_max >= width && k_max.is_finite()) {
        return Err(number_error(format!("shells of {width} h/Mpc up to {k_max}: expected 0 < width <= k_max")));
    }
    let threads = work::compute(threads).threads;
    let grid = Grid::new(mesh, box_size).map_err(number_error)?;
    let found = py.detach(|| {
        let plan = BispectrumPlan::new(grid, Triangle::all(width, k_max), 0.5 * width, None, &threads)?;
        plan.measure(&modes(&points, grid, &threads)?, &threads)
    });
    let found = found.map_err(number_error)?;
    let out = PyDict::new(py);
    let n = found.triangles.len();
    let sides = found.triangles.iter().flat_map(|triangle| triangle.sides_h_per_mpc).collect();
    out.set_item("k123", arrays::array(py, &[n, 3], sides)?)?;
    let (free, reduced) = (found.b0_without_shot_noise(), found.reduced());
    for (name, values) in [("b0", found.b0), ("b0_without_shot_noise", free), ("q", reduced), ("counts", found.counts)] {
        out.set_item(name, arrays::array(py, &[n], values)?)?;
    }
    out.set_item("shot_noise", found.shot_noise)?;
    Ok(out)
}

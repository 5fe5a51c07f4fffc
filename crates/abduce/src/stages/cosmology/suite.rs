//! One universe of a suite: parameters, simulation, tracers, summary.

use super::catalogues;
use super::particles::{Watch, describe, linear_power, simulate};
use super::summary::{Estimators, SummaryColumn};
use crate::config::{DesignConfig, RangeConfig, TracerConfig, UniverseConfig};
use crate::error::Error;
use abduce_cosmology::design::{Interval, design};
use abduce_cosmology::files::SnapshotFile;
use abduce_data::Seed;
use abduce_kernels::Threads;
use std::path::Path;

/// Parameters of all universes, row by row, in f32: what is stored is what is simulated.
///
/// # Errors
/// More parameters than a Sobol sequence has dimensions.
pub fn parameters(config: &DesignConfig, threads: &Threads) -> Result<Vec<f32>, Error> {
    let interval = |range: &RangeConfig| Interval { name: range.name.clone(), low: range.low, high: range.high };
    let intervals: Vec<Interval> = config.vary.iter().map(interval).collect();
    let points = design(config.placement.into(), config.n, &intervals, Seed(config.seed), threads)?;
    Ok(points.into_iter().map(|value| value as f32).collect())
}

/// The configuration of universe `index`: its parameters `theta`, its own seed, and the last redshift alone.
pub fn universe(config: &UniverseConfig, design: &DesignConfig, index: usize, theta: &[f32]) -> UniverseConfig {
    let mut one = config.clone();
    for (range, value) in design.vary.iter().zip(theta) {
        if let Some(parameter) = one.parameter(&range.name) {
            *parameter = f64::from(*value);
        }
    }
    one.simulation.seed = Seed(design.seed).derive("suite", index as u64).0;
    let last = config.simulation.redshifts.iter().copied().fold(f64::INFINITY, f64::min);
    one.simulation.redshifts = vec![last];
    one
}

/// Summaries of a universe, and what their columns are.
pub type Measurement = (Vec<f32>, Vec<SummaryColumn>);

/// Simulates universe `index` and measures it. `None` where it was told to stop.
///
/// # Errors
/// The universe cannot be simulated or measured.
pub fn item(
    config: &UniverseConfig,
    design: &DesignConfig,
    (index, theta): (usize, &[f32]),
    (estimators, table): (&Estimators, Option<&Path>),
    threads: &Threads,
    is_stopping: &dyn Fn() -> bool,
) -> Result<Option<Measurement>, Error> {
    let one = universe(config, design, index, theta);
    let power = linear_power(&one.simulation, &one.cosmology.cosmology(), table, threads)?;
    let mut kept = None;
    let watch = Watch { console: None, is_stopping, held: 0 };
    let seed = Seed(one.simulation.seed);
    let done = simulate(&one, &power, seed, &one.outputs(), threads, &watch, |snapshot| {
        kept = Some(snapshot);
        Ok(())
    })?;
    let Some(snapshot) = kept.filter(|_| done) else { return Ok(None) };
    let file = SnapshotFile { description: describe(&one, snapshot.a)?, snapshot };
    let measured = match one.summary.tracer {
        TracerConfig::Matter => estimators.measure(&file.snapshot.positions, &file.snapshot.velocities, &file.description, threads)?,
        TracerConfig::Halos => {
            let halos = catalogues::halos(&file, &one.halos, threads)?;
            estimators.measure(&halos.catalogue.positions, &halos.catalogue.velocities, &halos.description, threads)?
        }
        TracerConfig::Galaxies => {
            let halos = catalogues::halos(&file, &one.halos, threads)?;
            let found = catalogues::galaxies(&halos, &one.galaxies, seed, threads)?;
            estimators.measure(&found.galaxies.positions, &found.galaxies.velocities, &found.description, threads)?
        }
    };
    Ok(Some(estimators.vector(&measured)))
}

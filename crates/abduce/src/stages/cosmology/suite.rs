//! One universe of a suite: parameters, simulation, tracers, summary.

use super::catalogues;
use super::particles::{Watch, describe, linear_power, simulate};
use super::summary::{Estimators, SummaryColumn};
use crate::config::{DesignConfig, TracerConfig, UniverseConfig};
use crate::error::Error;
use abduce_cosmology::files::SnapshotFile;
use abduce_data::Seed;
use abduce_kernels::Threads;
use std::path::Path;

/// Parameters of universe `index`: uniform in their ranges, from a stream of its own, so that a longer suite begins with the shorter one.
pub fn parameters(design: &DesignConfig, index: usize) -> Vec<f64> {
    let mut rng = Seed(design.seed).stream("design", index as u64);
    design.vary.iter().map(|range| range.low + (range.high - range.low) * rng.uniform()).collect()
}

/// The configuration of universe `index`: its parameters, its own seed, and the last redshift alone.
pub fn universe(config: &UniverseConfig, design: &DesignConfig, index: usize) -> UniverseConfig {
    let mut one = config.clone();
    for (range, value) in design.vary.iter().zip(parameters(design, index)) {
        if let Some(parameter) = one.parameter(&range.name) {
            // θ is stored in f32: what is simulated is what is stored.
            *parameter = f64::from(value as f32);
        }
    }
    one.simulation.seed = Seed(design.seed).derive("suite", index as u64).0;
    let last = config.simulation.redshifts.iter().copied().fold(f64::INFINITY, f64::min);
    one.simulation.redshifts = vec![last];
    one
}

/// Simulates universe `index` and measures it. `None` where it was told to stop.
///
/// # Errors
/// The universe cannot be simulated or measured.
pub fn item(
    config: &UniverseConfig,
    design: &DesignConfig,
    index: usize,
    (estimators, table): (&Estimators, Option<&Path>),
    threads: &Threads,
    is_stopping: &dyn Fn() -> bool,
) -> Result<Option<(Vec<f32>, Vec<SummaryColumn>)>, Error> {
    let one = universe(config, design, index);
    let power = linear_power(&one.simulation, &one.cosmology.cosmology(), table, threads)?;
    let mut kept = None;
    let watch = Watch { console: None, is_stopping };
    let seed = Seed(one.simulation.seed);
    let done = simulate(&one, &power, seed, &one.outputs(), threads, &watch, |snapshot| {
        kept = Some(snapshot);
        Ok(())
    })?;
    let Some(snapshot) = kept.filter(|_| done) else { return Ok(None) };
    let file = SnapshotFile { description: describe(&one, snapshot.a)?, snapshot };
    let measured = match one.summary.tracer {
        TracerConfig::Matter => {
            estimators.measure(&file.snapshot.positions, &file.snapshot.velocities, &file.description, threads)?
        }
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

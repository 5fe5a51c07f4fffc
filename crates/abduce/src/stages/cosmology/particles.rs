//! Particles: initial conditions and the particle-mesh run.

use super::bytes;
use crate::config::{AmplitudeConfig, PathRules, SimulationConfig, TransferConfig, UniverseConfig};
use crate::error::Error;
use crate::progress::duration;
use crate::session::Console;
use abduce_cosmology::Cosmology;
use abduce_cosmology::background::Radiation;
use abduce_cosmology::files::{Description, Kind};
use abduce_cosmology::growth::Growth;
use abduce_cosmology::initial::{Amplitudes, Derivative, LinearField, ModeCut, Order, Phases, WhiteNoise};
use abduce_cosmology::pm::{Estimate, Forecast, LatticeStart, PmOptions, Progress, Schedule, Snapshot, Softening, Solver, Stepping};
use abduce_cosmology::power::{LinearPower, read_table};
use abduce_data::Seed;
use abduce_kernels::Threads;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time between two lines of progress.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Whom a run tells how far it is.
pub struct Watch<'a> {
    /// Where it is said; nowhere for the many small runs of a suite.
    pub console: Option<&'a Console>,
    /// Whether to stop.
    pub is_stopping: &'a dyn Fn() -> bool,
    /// Bytes that whoever is given the snapshots holds beside the run, to write them.
    pub held: u64,
}

/// The linear power spectrum today.
///
/// # Errors
/// Parameters out of range; a table that cannot be read.
pub fn linear_power(
    config: &SimulationConfig,
    cosmology: &Cosmology,
    table: Option<&Path>,
    threads: &Threads,
) -> Result<LinearPower, Error> {
    use abduce_cosmology::power::Oscillations;
    match config.transfer {
        TransferConfig::EisensteinHu => Ok(LinearPower::eisenstein_hu(cosmology, Oscillations::Wiggles)?),
        TransferConfig::Boltzmann => Ok(LinearPower::boltzmann(cosmology, threads)?),
        TransferConfig::Table => {
            let path = table.ok_or_else(|| Error::failed("`transfer: table` needs a table", "add `table: FILE`"))?;
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|source| Error::File { action: "read", path: path.to_path_buf(), source })?;
            let (k, p) = read_table(&text)?;
            let power = LinearPower::from_table(&k, &p)?;
            match cosmology.amplitude {
                abduce_cosmology::Amplitude::Sigma8(sigma8) => Ok(power.with_sigma8(sigma8)?),
                abduce_cosmology::Amplitude::PrimordialCurvature(_) => Ok(power),
            }
        }
    }
}

/// The table's place, where there is one.
pub fn table_path(config: &SimulationConfig, paths: &PathRules) -> Option<std::path::PathBuf> {
    config.table.as_ref().map(|table| paths.folder().join(table))
}

/// How gravity is solved.
pub fn options(config: &SimulationConfig) -> PmOptions {
    PmOptions {
        mesh_factor: config.mesh_factor,
        kernel: config.kernel,
        softening: Softening::None,
        stepping: config.stepping,
        short_range: config.short_range,
    }
}

/// What a snapshot of this run says about itself.
///
/// # Errors
/// The settings cannot be written as JSON.
pub fn describe(config: &UniverseConfig, a: f64) -> Result<Description, Error> {
    let cosmology = config.cosmology.cosmology();
    let s = &config.simulation;
    let mass = cosmology.particle_mass_msun_h(s.particles, s.box_size);
    let mut description = Description::new(Kind::Snapshot, cosmology, a, s.box_size, mass);
    let settings = serde_json::to_value(s).map_err(|error| Error::Failed { message: error.to_string(), help: None })?;
    description.made_by = serde_json::json!({ "simulation": settings });
    Ok(description)
}

/// Runs a simulation through all redshifts of `config`; `keep` is given each snapshot. Returns whether the end was reached.
///
/// # Errors
/// Whatever keeps the run from going on, or `keep` from keeping.
pub fn simulate(
    config: &UniverseConfig,
    power: &LinearPower,
    seed: Seed,
    outputs: &[f64],
    threads: &Threads,
    watch: &Watch<'_>,
    keep: impl FnMut(Snapshot) -> Result<(), Error>,
) -> Result<bool, Error> {
    let s = &config.simulation;
    let cosmology = config.cosmology.cosmology();
    let growth = Growth::new(&cosmology, Radiation::Neglected)?;
    let options = options(s);
    let estimate = Estimate::new(s.particles, &options, threads.count());
    let estimate = Estimate { peak: estimate.peak + watch.held, ..estimate };
    estimate.check((s.memory_gib * f64::from(1 << 30)) as u64)?;
    let last = outputs.last().copied().unwrap_or(1.0);
    let schedule = Schedule::spaced(s.start, last, s.steps, s.spacing, outputs)?;
    if let Some(console) = watch.console {
        console.note(format_args!(
            "{}³ particles of {:.2e} Msun/h in {} Mpc/h, mesh {}³{}, {} steps; about {} of memory",
            s.particles,
            cosmology.particle_mass_msun_h(s.particles, s.box_size),
            s.box_size,
            s.particles * s.mesh_factor,
            if s.short_range.is_some() { " and pairs" } else { "" },
            schedule.steps(),
            bytes(estimate.peak)
        ));
    }
    let begun = Instant::now();
    let (amplitudes, phases) = match s.amplitudes {
        AmplitudeConfig::Gaussian => (Amplitudes::Rayleigh, Phases::Original),
        AmplitudeConfig::Fixed => (Amplitudes::Fixed, Phases::Original),
        AmplitudeConfig::FixedInverted => (Amplitudes::Fixed, Phases::Inverted),
    };
    let noise = WhiteNoise { seed, amplitudes, phases };
    let field = LinearField::<f32>::draw(power, s.particles, s.box_size, &noise, ModeCut::Cube, threads)?;
    let perturbation = field.perturbation(Order::Second, Derivative::Spectral, threads)?;
    drop(field);
    let start = perturbation.at(&growth, s.start, threads)?;
    let fields = (s.stepping == Stepping::Cola).then_some(perturbation);
    let lattice = LatticeStart {
        per_side: s.particles,
        box_size_mpc_h: s.box_size,
        displacements: &start.displacements,
        momenta: &start.momenta,
        perturbation: fields.as_ref().map(|fields| [&fields.first[..], &fields.second[..]]),
    };
    let stops = schedule.clone();
    let mut solver = Solver::new(&lattice, &growth, schedule, &options, threads)?;
    drop(fields);
    drop(start);
    if let Some(console) = watch.console {
        console.note(format_args!("initial conditions at a = {}: {}", s.start, duration(begun.elapsed().as_secs_f64())));
    }
    let spacing = s.box_size / s.particles as f64;
    let forecast = watch.console.map(|_| Forecast::new(&stops, outputs, &options, spacing, &growth, power));
    let mut stepping = Instant::now();
    let mut last_line = Instant::now();
    // Times of the first steps, and what of them went to pairs.
    let mut first = [(Duration::ZERO, Duration::ZERO); 3];
    let mut before = (Duration::ZERO, Duration::ZERO);
    let progress = |at: Progress| {
        let Progress { done, steps, on_pairs } = at;
        if let Some(console) = watch.console {
            let elapsed = stepping.elapsed();
            if (1..=first.len()).contains(&done) {
                first[done - 1] = (elapsed - before.0, on_pairs - before.1);
            }
            before = (elapsed, on_pairs);
            if done == 0 {
                (stepping, before.0) = (Instant::now(), Duration::ZERO);
            } else if let Some(forecast) = forecast.as_ref().filter(|_| done == first.len() && steps > done) {
                console.note(format_args!("about {} for {steps} steps", duration(forecast.duration(first).as_secs_f64())));
            } else if last_line.elapsed() >= LINE_INTERVAL || done == steps {
                let elapsed = elapsed.as_secs_f64();
                let left = elapsed / done as f64 * (steps - done) as f64;
                console.note(format_args!("step {done} of {steps}, {}, {} left", duration(elapsed), duration(left)));
                last_line = Instant::now();
            }
        }
        if (watch.is_stopping)() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    solver.run(outputs, threads, progress, keep)
}

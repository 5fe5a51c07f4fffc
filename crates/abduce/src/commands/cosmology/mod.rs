//! `abduce cosmology …`: linear theory and designs of simulations.

pub mod design;
pub mod growth;
pub mod power;
pub mod universe;

use super::ComputeArgs;
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::{Session, print};
use crate::stages::inputs::make_parent;
use abduce_cosmology::{Amplitude, Cosmology};
use abduce_data::artefact::write_atomic;
use std::io::Write as _;
use std::path::Path;

/// Linear theory, designs, and simulated universes: particles, haloes, galaxies and what is measured in them.
#[derive(Clone, Debug, clap::Args)]
pub struct CosmologyArgs {
    /// What to compute.
    #[command(subcommand)]
    pub command: CosmologyCommand,
}

/// What to compute.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum CosmologyCommand {
    /// The linear matter power spectrum.
    Power(power::PowerArgs),
    /// Expansion, distances and growth.
    Growth(growth::GrowthArgs),
    /// Points in parameter space for a set of simulations.
    Design(design::DesignArgs),
    /// Simulate particles from a linear power spectrum and keep them at some redshifts.
    Simulate(universe::SimulateArgs),
    /// Find haloes in snapshots.
    Halos(universe::StageArgs),
    /// Place galaxies in haloes.
    Galaxies(universe::StageArgs),
    /// Measure power spectra and bispectra of snapshots, haloes or galaxies, and draw them.
    Summary(universe::StageArgs),
    /// Simulate and measure many universes: the training set of an inference.
    Suite(universe::SuiteCommand),
}

impl CosmologyArgs {
    /// Threads and talk.
    pub fn compute(&self) -> ComputeArgs {
        match &self.command {
            CosmologyCommand::Power(args) => args.compute,
            CosmologyCommand::Growth(args) => args.compute,
            CosmologyCommand::Design(args) => args.compute,
            CosmologyCommand::Simulate(args) => args.compute,
            CosmologyCommand::Halos(args) | CosmologyCommand::Galaxies(args) | CosmologyCommand::Summary(args) => args.compute,
            CosmologyCommand::Suite(args) => args.suite.compute,
        }
    }
}

/// Runs the command.
pub fn run(session: &Session, args: &CosmologyArgs) -> Result<Ending, Error> {
    match &args.command {
        CosmologyCommand::Power(args) => power::run(session, args),
        CosmologyCommand::Growth(args) => growth::run(session, args),
        CosmologyCommand::Design(args) => design::run(session, args),
        CosmologyCommand::Simulate(args) => universe::run_simulation(session, args),
        CosmologyCommand::Halos(args) => universe::run_halos(session, args),
        CosmologyCommand::Galaxies(args) => universe::run_galaxies(session, args),
        CosmologyCommand::Summary(args) => universe::run_summary(session, args),
        CosmologyCommand::Suite(args) => universe::run_suite(session, args),
    }
}

/// The model; defaults are those of the fiducial Quijote simulations.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct ModelArgs {
    /// Matter density today over the critical density.
    #[arg(long, default_value_t = Cosmology::QUIJOTE.omega_m, allow_negative_numbers = true)]
    pub omega_m: f64,
    /// Baryon density today over the critical density.
    #[arg(long, default_value_t = Cosmology::QUIJOTE.omega_b, allow_negative_numbers = true)]
    pub omega_b: f64,
    /// Hubble constant over 100 km/s/Mpc.
    #[arg(long, default_value_t = Cosmology::QUIJOTE.h, allow_negative_numbers = true)]
    pub h: f64,
    /// Slope of the primordial spectrum.
    #[arg(long, default_value_t = Cosmology::QUIJOTE.n_s, allow_negative_numbers = true)]
    pub n_s: f64,
    /// Amplitude: root mean square of the linear density today in spheres of 8 Mpc/h; 0.834 where no amplitude is given.
    #[arg(long, conflicts_with = "a_s", allow_negative_numbers = true)]
    pub sigma8: Option<f64>,
    /// Amplitude of the primordial curvature at 0.05/Mpc, instead of sigma8.
    #[arg(long, allow_negative_numbers = true)]
    pub a_s: Option<f64>,
    /// Equation of state of dark energy today.
    #[arg(long, default_value_t = -1.0, allow_negative_numbers = true)]
    pub w0: f64,
    /// Its change with the scale factor: w = w0 + wa (1 - a).
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub wa: f64,
}

impl ModelArgs {
    /// The model.
    ///
    /// # Errors
    /// A parameter out of range.
    pub fn cosmology(&self) -> Result<Cosmology, Error> {
        let amplitude = match (self.a_s, self.sigma8) {
            (Some(a_s), _) => Amplitude::PrimordialCurvature(a_s),
            (None, Some(sigma8)) => Amplitude::Sigma8(sigma8),
            (None, None) => Cosmology::QUIJOTE.amplitude,
        };
        let model = Cosmology {
            omega_m: self.omega_m,
            omega_b: self.omega_b,
            h: self.h,
            n_s: self.n_s,
            amplitude,
            w0: self.w0,
            wa: self.wa,
            ..Cosmology::QUIJOTE
        };
        Ok(model.check()?)
    }
}

/// The scale factor at a redshift between 0 and `most`.
fn scale_factor(z: f64, most: f64) -> Result<f64, Error> {
    if (0.0..=most).contains(&z) {
        return Ok(1.0 / (1.0 + z));
    }
    Err(Error::Usage { message: format!("z = {z} is outside [0, {most}]"), help: "give a redshift in this range with --z".into() })
}

/// `points` values from `low` to `high` at equal ratios.
fn geometric(low: f64, high: f64, points: usize) -> Vec<f64> {
    let step = (high / low).ln() / (points.max(2) - 1) as f64;
    (0..points).map(|i| if i + 1 == points && points > 1 { high } else { low * (step * i as f64).exp() }).collect()
}

/// A CSV table into a file, or to standard output.
fn write_csv(session: &Session, out: Option<&Path>, header: &str, rows: &[f64]) -> Result<(), Error> {
    let columns = header.split(',').count();
    let mut text = format!("{header}\n");
    for row in rows.chunks_exact(columns) {
        let cells: Vec<String> = row.iter().map(|value| format!("{value:.9e}")).collect();
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    let Some(out) = out else { return print(&text) };
    let path = session.path(out);
    make_parent(&path)?;
    Ok(write_atomic(&path, |file| file.write_all(text.as_bytes()))?)
}

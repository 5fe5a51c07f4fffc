//! `abduce cosmology simulate | halos | galaxies | summary | suite`: simulated universes, stage by stage, and suites of them.

use crate::commands::submit::{Sharded, SubmitArgs};
use crate::commands::{ComputeArgs, notices};
use crate::config::{self, Loaded, UniverseConfig};
use crate::error::Error;
use crate::exec::slurm::SlurmOptions;
use crate::exec::work::suite::SuiteWork;
use crate::pipeline::Ending;
use crate::present::write_picture;
use crate::session::{Session, json};
use crate::stages::cosmology::particles::{Watch, describe, linear_power, simulate, table_path};
use crate::stages::cosmology::summary::Estimators;
use crate::stages::cosmology::{beside, catalogues, file_name, pictures};
use crate::stages::inputs::make_folder;
use abduce_cosmology::files::{Description, GalaxyFile, HaloFile, Kind, SnapshotFile, container::Container};
use abduce_data::Seed;
use abduce_data::artefact::write_atomic;
use serde_json::json;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Options of `simulate`.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateArgs {
    /// The universe; `abduce explain universe` lists its keys.
    #[arg(value_name = "FILE.yaml")]
    pub file: PathBuf,
    /// Folder for snapshot-aX.safetensors, one per redshift.
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
    /// Change a key of the file: --set cosmology.omega_m=0.3.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Options of a stage that reads the files of the one before.
#[derive(Clone, Debug, clap::Args)]
pub struct StageArgs {
    /// Files of the stage before.
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<PathBuf>,
    /// The universe, for the section of this stage; the defaults without.
    #[arg(short, long, value_name = "FILE.yaml")]
    pub config: Option<PathBuf>,
    /// Folder of the results; that of each input by default.
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Change a key: --set halos.linking=0.168.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Which universes, and where they go.
#[derive(Clone, Debug, clap::Args)]
pub struct SuiteArgs {
    /// The universe, with a `design` of what varies.
    #[arg(value_name = "FILE.yaml")]
    pub file: PathBuf,
    /// Folder for theta.npy, x.npy, suite.json, and data.yaml and infer.yaml for `abduce train`.
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
    /// Change a key of the file: --set design.n=2000.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Options of `suite`: in processes on this machine unless a Slurm array is asked for; `abduce submit suite` is the same the other way round.
#[derive(Clone, Debug, clap::Args)]
pub struct SuiteCommand {
    /// The suite.
    #[command(flatten)]
    pub suite: SuiteArgs,
    /// Pieces that the suite is cut into; four per process by default.
    #[arg(long, value_name = "S")]
    pub shards: Option<NonZeroUsize>,
    /// Processes at once; one per core, or 16 tasks with --slurm.
    #[arg(long, value_name = "P")]
    pub parallel: Option<NonZeroUsize>,
    /// As a Slurm array in place of processes on this machine.
    #[arg(long)]
    pub slurm: bool,
    /// With --slurm: wait for the end of the jobs.
    #[arg(long, requires = "slurm")]
    pub wait: bool,
    /// What the jobs ask for.
    #[command(flatten)]
    pub options: SlurmOptions,
}

/// Runs `simulate`.
pub fn run_simulation(session: &Session, args: &SimulateArgs) -> Result<Ending, Error> {
    let loaded = load(session, &args.file, &args.set)?;
    let config = &loaded.config;
    let folder = session.path(&args.out);
    make_folder(&folder)?;
    let threads = &session.compute.threads;
    let table = table_path(&config.simulation, &loaded.paths);
    let power = linear_power(&config.simulation, &config.cosmology.cosmology(), table.as_deref(), threads)?;
    let stopping = || session.is_stopping();
    let watch = Watch { console: Some(&session.console), is_stopping: &stopping };
    let seed = Seed(config.simulation.seed);
    let done = simulate(config, &power, seed, &config.outputs(), threads, &watch, |snapshot| {
        let path = folder.join(file_name("snapshot", snapshot.a));
        let file = SnapshotFile { description: describe(config, snapshot.a)?, snapshot };
        file.save(&path)?;
        pictures::slice(&path.with_extension("png"), &file, None, threads)?;
        session.console.note(format_args!("z = {:.3}: {}", 1.0 / file.description.a - 1.0, path.display()));
        Ok(())
    })?;
    if !done {
        return Err(Error::Unfinished {
            message: "stopped; the snapshots before that are complete".into(),
            help: "the same command begins anew and gives the same files".into(),
        });
    }
    Ok(Ending::Done)
}

/// Runs `halos`.
pub fn run_halos(session: &Session, args: &StageArgs) -> Result<Ending, Error> {
    each(session, args, halos)
}

/// Runs `galaxies`.
pub fn run_galaxies(session: &Session, args: &StageArgs) -> Result<Ending, Error> {
    each(session, args, galaxies)
}

/// Runs `summary`.
pub fn run_summary(session: &Session, args: &StageArgs) -> Result<Ending, Error> {
    each(session, args, summary)
}

/// Runs `suite`.
pub fn run_suite(session: &Session, args: &SuiteCommand) -> Result<Ending, Error> {
    let submit = SubmitArgs {
        shards: args.shards,
        parallel: args.parallel,
        wait: args.wait,
        local: !args.slurm,
        plan: false,
        slurm: args.options.clone(),
        command: Sharded::Suite(args.suite.clone()),
    };
    crate::commands::submit::run(session, &submit)
}

/// The work of a suite as it is cut into shards, the number of universes, and the folder of its output.
///
/// # Errors
/// The file cannot be used, has no design, or asks for what cannot be measured.
pub fn suite_work(session: &Session, args: &SuiteArgs) -> Result<(SuiteWork, usize, PathBuf), Error> {
    let loaded = load(session, &args.file, &args.set)?;
    let universe = loaded.config;
    let design = universe.design.clone().ok_or_else(|| Error::Usage {
        message: format!("{} has no section `design`", args.file.display()),
        help: "say what varies: `design: {n: 500, vary: [{name: omega_m, low: 0.1, high: 0.5}]}`".into(),
    })?;
    let s = &universe.simulation;
    // What no universe could be measured with is found before anything is planned.
    Estimators::new(&universe.summary, s.box_size, s.particles, &session.compute.threads)?;
    let table = table_path(s, &loaded.paths);
    let n = design.n;
    Ok((SuiteWork { universe, design, table }, n, session.path(&args.out)))
}

fn load(session: &Session, file: &Path, set: &[String]) -> Result<Loaded<UniverseConfig>, Error> {
    let loaded = config::load::<UniverseConfig>(file, set, &session.working)?;
    notices(&session.console, &loaded);
    Ok(loaded)
}

/// Settings of a stage and where its result goes.
struct Stage<'a> {
    session: &'a Session,
    config: UniverseConfig,
    paths: config::PathRules,
    out: Option<PathBuf>,
}

fn each(session: &Session, args: &StageArgs, one: impl Fn(&Stage<'_>, &Path) -> Result<PathBuf, Error>) -> Result<Ending, Error> {
    let (config, paths) = match &args.config {
        Some(file) => {
            let loaded = load(session, file, &args.set)?;
            (loaded.config, loaded.paths)
        }
        None => {
            let loaded = config::parse::<UniverseConfig>("the defaults", "{}", &args.set)?;
            (loaded.config, loaded.paths)
        }
    };
    let out = args.out.as_ref().map(|out| session.path(out));
    out.as_deref().map(make_folder).transpose()?;
    let stage = Stage { session, config, paths, out };
    for input in &args.inputs {
        if session.is_stopping() {
            return Err(Error::Unfinished {
                message: format!("stopped before {}", input.display()),
                help: "what was written is complete; the same command goes through all inputs again".into(),
            });
        }
        let path = one(&stage, &session.path(input))?;
        session.console.note(format_args!("{} → {}", input.display(), path.display()));
    }
    Ok(Ending::Done)
}

fn halos(stage: &Stage<'_>, input: &Path) -> Result<PathBuf, Error> {
    let threads = &stage.session.compute.threads;
    let file = SnapshotFile::load(input)?;
    let found = catalogues::halos(&file, &stage.config.halos, threads)?;
    let path = beside(input, "snapshot", "halos", "safetensors", stage.out.as_deref());
    found.save(&path)?;
    pictures::slice(&path.with_extension("png"), &file, Some(&found), threads)?;
    let c = &found.catalogue;
    let heaviest = c.masses_msun_h.first().copied().unwrap_or(0.0);
    let definition = catalogues::definition(&stage.config.halos);
    stage.session.console.note(format_args!("{} haloes ({definition}), the heaviest of {heaviest:.3e} Msun/h", c.len()));
    Ok(path)
}

fn galaxies(stage: &Stage<'_>, input: &Path) -> Result<PathBuf, Error> {
    let file = match stage.config_asks_for_definition() {
        Some(definition) => HaloFile::load_as(input, definition)?,
        None => HaloFile::load(input)?,
    };
    let seed = Seed(stage.config.simulation.seed);
    let found = catalogues::galaxies(&file, &stage.config.galaxies, seed, &stage.session.compute.threads)?;
    let path = beside(input, "halos", "galaxies", "safetensors", stage.out.as_deref());
    found.save(&path)?;
    let (n, satellites) = (found.galaxies.positions.len(), found.galaxies.satellites.iter().filter(|&&s| s == 1).count());
    stage.session.console.note(format_args!("{n} galaxies, {satellites} of them satellites"));
    Ok(path)
}

impl Stage<'_> {
    /// The definition of mass that the file of this call asks for, where it says anything about haloes.
    fn config_asks_for_definition(&self) -> Option<abduce_cosmology::halos::HaloDefinition> {
        (self.config.halos != config::HaloConfig::default()).then(|| catalogues::definition(&self.config.halos))
    }
}

fn summary(stage: &Stage<'_>, input: &Path) -> Result<PathBuf, Error> {
    let description: Description = Container::open(input)?.document()?;
    let (positions, velocities, description) = match description.kind {
        Kind::Snapshot => {
            let file = SnapshotFile::load(input)?;
            (file.snapshot.positions, file.snapshot.velocities, file.description)
        }
        Kind::Halos => {
            let file = HaloFile::load(input)?;
            (file.catalogue.positions, file.catalogue.velocities, file.description)
        }
        Kind::Galaxies => {
            let file = GalaxyFile::load(input)?;
            (file.galaxies.positions, file.galaxies.velocities, file.description)
        }
    };
    let threads = &stage.session.compute.threads;
    let default_mesh = ((positions.len() as f64).cbrt().round() as usize).clamp(32, 512).next_multiple_of(2);
    let estimators = Estimators::new(&stage.config.summary, description.box_size_mpc_h, default_mesh, threads)?;
    let measured = estimators.measure(&positions, &velocities, &description, threads)?;
    let (vector, columns) = estimators.vector(&measured);
    let path = beside(input, "", "summary", "json", stage.out.as_deref());
    let text = json(&json!({
        "of": description, "settings": stage.config.summary, "measured": measured, "columns": columns, "vector": vector,
    }))?;
    write_atomic(&path, |out| out.write_all(text.as_bytes()))?;
    let table = table_path(&stage.config.simulation, &stage.paths);
    let power = linear_power(&stage.config.simulation, &description.cosmology, table.as_deref(), threads)?;
    let figure = pictures::power(positions.len(), &description, stage.config.summary.space, &measured, &power)?;
    for extension in ["png", "svg"] {
        write_picture(&path.with_extension(extension), &figure)?;
    }
    Ok(path)
}

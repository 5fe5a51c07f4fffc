//! `abduce cosmology simulate | halos | galaxies | summary | suite`: simulated universes, stage by stage, and suites of them.

use crate::commands::submit::{Sharded, SubmitArgs};
use crate::commands::{ComputeArgs, notices};
use crate::config::{self, Loaded, SpaceConfig, UniverseConfig};
use crate::error::Error;
use crate::exec::slurm::SlurmOptions;
use crate::exec::work::suite::SuiteWork;
use crate::pipeline::Ending;
use crate::present::write_picture;
use crate::session::{Session, json};
use crate::stages::cosmology::output::{self, Kept};
use crate::stages::cosmology::particles::{Watch, describe, linear_power, simulate, table_path};
use crate::stages::cosmology::summary::{Estimators, Measured};
use crate::stages::cosmology::target::{Target, no_format};
use crate::stages::cosmology::{catalogues, file_name, pictures};
use abduce_cosmology::files::{Assumed, Description, GalaxyFile, HaloFile, Kind, SnapshotFile, foreign};
use abduce_cosmology::halos::HaloDefinition;
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
    /// Folder for snapshot-aX.safetensors, one per redshift; or FILE.h5 for ltu-cmass' nbody.h5, FILE.hdf5 for GADGET's snapshots.
    #[arg(short, long, value_name = "DIR|FILE")]
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
    /// Files of the stage before, or of others: GADGET (binary, HDF5), BigFile, ltu-cmass, Rockstar, Quijote's groups, FITS; told apart by their contents.
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<PathBuf>,
    /// The universe, for the section of this stage; the defaults without.
    #[arg(short, long, value_name = "FILE.yaml")]
    pub config: Option<PathBuf>,
    /// Folder of the results; that of each input by default. Or FILE.h5 in ltu-cmass' layout with one group per scale factor, FILE.fits for one catalogue.
    #[arg(short, long, value_name = "DIR|FILE")]
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
    let target = Target::new(Some(session.path(&args.out)))?;
    target.check(Kind::Snapshot)?;
    let threads = &session.compute.threads;
    let table = table_path(&config.simulation, &loaded.paths);
    let power = linear_power(&config.simulation, &config.cosmology.cosmology(), table.as_deref(), threads)?;
    let stopping = || session.is_stopping();
    let outputs = config.outputs();
    let held = output::snapshot_bytes(&target, config.simulation.particles, outputs.len());
    let watch = Watch { console: Some(&session.console), is_stopping: &stopping, held };
    let seed = Seed(config.simulation.seed);
    let (mut index, mut kept) = (0, Kept::default());
    let done = simulate(config, &power, seed, &outputs, threads, &watch, |snapshot| {
        let a = snapshot.a;
        let path = match &target {
            Target::Folder(Some(folder)) => folder.join(file_name("snapshot", a)),
            target => target.file(Path::new(""), ("", ""), "", a, false),
        };
        let file = SnapshotFile { description: describe(config, a)?, snapshot };
        pictures::slice(&target.picture(&path, a), &file, None, threads)?;
        let path = output::snapshot(&target, &path, file, (index, outputs.len()), &mut kept, threads)?;
        session.console.note(format_args!("z = {:.3}: {}", 1.0 / a - 1.0, path.display()));
        index += 1;
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
    let mut kept = Kept::default();
    each(session, args, |stage, input| halos(stage, input, &mut kept))
}

/// Runs `galaxies`.
pub fn run_galaxies(session: &Session, args: &StageArgs) -> Result<Ending, Error> {
    let mut kept = Kept::default();
    each(session, args, |stage, input| galaxies(stage, input, &mut kept))
}

/// Runs `summary`.
pub fn run_summary(session: &Session, args: &StageArgs) -> Result<Ending, Error> {
    let mut kept = Vec::new();
    each(session, args, |stage, input| summary(stage, input, &mut kept))
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
    target: Target,
}

impl Stage<'_> {
    /// What files of others are taken to mean where they don't say it.
    fn assumed(&self) -> Assumed {
        Assumed {
            cosmology: self.config.cosmology.cosmology(),
            box_size_mpc_h: self.config.simulation.box_size,
            mass_definition: catalogues::definition(&self.config.halos),
        }
    }

    /// The definition of mass that the file of this call asks for, where it says anything about haloes.
    fn config_asks_for_definition(&self) -> Option<HaloDefinition> {
        (self.config.halos != config::HaloConfig::default()).then(|| catalogues::definition(&self.config.halos))
    }
}

fn each(
    session: &Session,
    args: &StageArgs,
    mut one: impl FnMut(&Stage<'_>, &Path) -> Result<Vec<PathBuf>, Error>,
) -> Result<Ending, Error> {
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
    let target = Target::new(args.out.as_ref().map(|out| session.path(out)))?;
    let stage = Stage { session, config, paths, target };
    for input in &args.inputs {
        if session.is_stopping() {
            return Err(Error::Unfinished {
                message: format!("stopped before {}", input.display()),
                help: "what was written is complete; the same command goes through all inputs again".into(),
            });
        }
        for path in one(&stage, &session.path(input))? {
            session.console.note(format_args!("{} → {}", input.display(), path.display()));
        }
    }
    Ok(Ending::Done)
}

fn halos(stage: &Stage<'_>, input: &Path, kept: &mut Kept<HaloFile>) -> Result<Vec<PathBuf>, Error> {
    stage.target.check(Kind::Halos)?;
    let threads = &stage.session.compute.threads;
    let definition = catalogues::definition(&stage.config.halos);
    if let Target::Cmass(file) = &stage.target
        && definition != HaloDefinition::M200C
    {
        // Said before haloes are looked for.
        return Err(Error::Usage {
            message: format!("masses in {} mean M200c, and these would be {definition}", file.display()),
            help: "add --set halos.finder=m200c, or give a folder or FILE.fits".into(),
        });
    }
    let files = foreign::load_snapshots(input, &stage.assumed())?;
    let several = files.len() > 1;
    let mut paths = Vec::new();
    for file in files {
        let found = catalogues::halos(&file, &stage.config.halos, threads)?;
        let a = file.description.a;
        let path = stage.target.file(input, ("snapshot", "halos"), "safetensors", a, several);
        output::halos(&stage.target, &path, &found, kept)?;
        pictures::slice(&stage.target.picture(&path, a), &file, Some(&found), threads)?;
        let c = &found.catalogue;
        let heaviest = c.masses_msun_h.first().copied().unwrap_or(0.0);
        stage.session.console.note(format_args!("{} haloes ({definition}), the heaviest of {heaviest:.3e} Msun/h", c.len()));
        paths.push(path);
    }
    Ok(paths)
}

fn galaxies(stage: &Stage<'_>, input: &Path, kept: &mut Kept<GalaxyFile>) -> Result<Vec<PathBuf>, Error> {
    stage.target.check(Kind::Galaxies)?;
    let files = foreign::load_halos(input, &stage.assumed())?;
    let several = files.len() > 1;
    let seed = Seed(stage.config.simulation.seed);
    let mut paths = Vec::new();
    for file in files {
        if let Some(definition) = stage.config_asks_for_definition() {
            output::check_definition(input, &file, definition)?;
        }
        let hod = &stage.config.galaxies;
        let found = catalogues::galaxies(&file, hod, seed, &stage.session.compute.threads)?;
        let path = stage.target.file(input, ("halos", "galaxies"), "safetensors", file.description.a, several);
        output::galaxies(&stage.target, &path, &found, hod, kept)?;
        let (n, satellites) = (found.galaxies.positions.len(), found.galaxies.satellites.iter().filter(|&&s| s == 1).count());
        stage.session.console.note(format_args!("{n} galaxies, {satellites} of them satellites"));
        paths.push(path);
    }
    Ok(paths)
}

/// Tracers of a file: positions, velocities, and what they are.
type Tracers = (Vec<[f32; 3]>, Vec<[f32; 3]>, Description);

fn tracers(stage: &Stage<'_>, input: &Path) -> Result<Vec<Tracers>, Error> {
    let assumed = stage.assumed();
    Ok(match foreign::kind_of(input)? {
        Kind::Snapshot => {
            let one = |file: SnapshotFile| (file.snapshot.positions, file.snapshot.velocities, file.description);
            foreign::load_snapshots(input, &assumed)?.into_iter().map(one).collect()
        }
        Kind::Halos => {
            let one = |file: HaloFile| (file.catalogue.positions, file.catalogue.velocities, file.description);
            foreign::load_halos(input, &assumed)?.into_iter().map(one).collect()
        }
        Kind::Galaxies => {
            let one = |file: GalaxyFile| (file.galaxies.positions, file.galaxies.velocities, file.description);
            foreign::load_galaxies(input, &assumed)?.into_iter().map(one).collect()
        }
    })
}

fn summary(stage: &Stage<'_>, input: &Path, kept: &mut Vec<Summarised>) -> Result<Vec<PathBuf>, Error> {
    if let Target::Fits(file) | Target::Gadget(file) = &stage.target {
        return Err(no_format(file, "summaries", "a folder, or FILE.h5 (ltu-cmass)"));
    }
    let threads = &stage.session.compute.threads;
    let files = tracers(stage, input)?;
    let several = files.len() > 1;
    let mut paths = Vec::new();
    for (positions, velocities, description) in files {
        let default_mesh = ((positions.len() as f64).cbrt().round() as usize).clamp(32, 512).next_multiple_of(2);
        let estimators = Estimators::new(&stage.config.summary, description.box_size_mpc_h, default_mesh, threads)?;
        let measured = estimators.measure(&positions, &velocities, &description, threads)?;
        let (vector, columns) = estimators.vector(&measured);
        let path = stage.target.file(input, ("", "summary"), "json", description.a, several);
        let table = table_path(&stage.config.simulation, &stage.paths);
        let power = linear_power(&stage.config.simulation, &description.cosmology, table.as_deref(), threads)?;
        let figure = pictures::power(positions.len(), &description, stage.config.summary.space, &measured, &power)?;
        let picture = stage.target.picture(&path, description.a);
        if let Target::Cmass(_) = stage.target {
            kept.push(Summarised { description, tracers: positions.len(), measured, space: stage.config.summary.space });
            write_diagnostics(&path, kept)?;
        } else {
            let text = json(&json!({
                "of": description, "settings": stage.config.summary, "measured": measured, "columns": columns, "vector": vector,
            }))?;
            write_atomic(&path, |out| out.write_all(text.as_bytes()))?;
        }
        for extension in ["png", "svg"] {
            write_picture(&picture.with_extension(extension), &figure)?;
        }
        paths.push(path);
    }
    Ok(paths)
}

/// What goes into a `diag` file.
struct Summarised {
    description: Description,
    tracers: usize,
    measured: Measured,
    space: SpaceConfig,
}

#[cfg(feature = "hdf5")]
fn write_diagnostics(path: &Path, kept: &[Summarised]) -> Result<(), Error> {
    use abduce_cosmology::files::cmass;
    let one = |s: &Summarised| cmass::Summary {
        description: s.description.clone(),
        tracers: s.tracers,
        space: match s.space {
            SpaceConfig::Real => cmass::Space::Real,
            SpaceConfig::Redshift => cmass::Space::Redshift,
        },
        power: s.measured.power.clone(),
        bispectrum: s.measured.bispectrum.clone(),
    };
    Ok(cmass::write_summaries(path, &kept.iter().map(one).collect::<Vec<_>>())?)
}

/// Not reached: such a target is refused where it is made.
#[cfg(not(feature = "hdf5"))]
fn write_diagnostics(path: &Path, kept: &[Summarised]) -> Result<(), Error> {
    let named = kept.iter().map(|s| (&s.description, s.tracers, &s.measured, s.space)).count();
    Err(no_format(path, &format!("{named} summaries"), "a folder: this program was built without HDF5"))
}

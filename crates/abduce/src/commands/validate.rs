//! `abduce validate RUN`: is the posterior right?

use super::{ComputeArgs, load_found, load_model, notices};
use crate::config::{self, DataConfig, PathRules, ValConfig};
use crate::error::Error;
use crate::pipeline::{Ending, VERSION, judge};
use crate::present::run::VALIDATION;
use crate::session::{Session, json, print};
use crate::stages::inputs::{Observation, PairFiles, observation};
use crate::stages::measure::Measured;
use crate::stages::run::{Stage, fingerprint, perform};
use crate::stages::validate::{Test, Tested, validate};
use abduce_data::artefact::sha256;
use abduce_data::{PairSource, RunDir, Seed};
use abduce_inference::diagnostics::{Gate, Metrics};
use abduce_inference::posterior::Posterior;
use serde_json::json;
use std::path::PathBuf;

/// Test a posterior on simulations that it has not seen: metrics.json and plots.
#[derive(Clone, Debug, clap::Args)]
pub struct ValidateArgs {
    /// The run directory; `posterior_file` of the metrics file by default.
    pub run: Option<PathBuf>,
    /// Test pairs: LtU-ILI's data file; `data` of the metrics file by default.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// What to compute and draw: LtU-ILI's val file; everything by default.
    #[arg(long, value_name = "VAL.yaml")]
    pub metrics: Option<PathBuf>,
    /// A condition that must hold, or the exit status is 3.
    #[arg(long, value_parser = gate)]
    pub gate: Vec<Gate>,
    /// Folder for metrics and plots; RUN/validation by default.
    #[arg(short, long)]
    pub out: Option<PathBuf>,
    /// Seed of the draws; `seed` of the metrics file, or the run's, by default.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Change a key of the metrics file: --set n_data=500.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print metrics.json.
    #[arg(long)]
    pub json: bool,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

fn gate(name: &str) -> Result<Gate, String> {
    name.parse().map_err(|error: abduce_inference::diagnostics::DiagnosticsError| error.to_string())
}

/// SHA-256 of a network's weights.
fn sha256_of_values(values: &[f32]) -> String {
    sha256(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}

/// A validation, read and checked.
#[derive(Debug)]
pub struct Prepared {
    /// What to compute and draw.
    pub config: ValConfig,
    /// Where metrics and plots go.
    pub folder: PathBuf,
    /// A hash of everything that the draws depend on.
    pub fingerprint: String,
    posterior: Posterior,
    pairs: PairFiles,
    source: PairSource,
    observation: Option<Observation>,
    /// The run that the posterior belongs to.
    run: Option<PathBuf>,
    /// Conditions that must hold.
    pub gates: Vec<Gate>,
    seed: Seed,
}

impl Prepared {
    /// What the command means.
    ///
    /// # Errors
    /// A file is not as it should be.
    pub fn new(session: &Session, args: &ValidateArgs) -> Result<Self, Error> {
        let usage = |message: &str, help: &str| Error::Usage { message: message.into(), help: help.into() };
        let (config, val_paths) = match &args.metrics {
            Some(file) => {
                let loaded = config::load::<ValConfig>(file, &args.set, &session.working)?;
                notices(&session.console, &loaded);
                (loaded.config, loaded.paths)
            }
            None => {
                let loaded = config::parse::<ValConfig>("--set", "{}", &args.set)?;
                (loaded.config, PathRules::new(&session.working, std::path::Path::new("")))
            }
        };
        let model = match (&args.run, &config.posterior_file) {
            (Some(run), _) => load_model(session, run)?,
            (None, Some(file)) => load_found(val_paths.posterior(&config.out_dir, file))?,
            (None, None) => {
                return Err(usage("there is no posterior to validate", "give RUN, or --metrics with a file that names `posterior_file`"));
            }
        };
        let posterior = model.networks("validate a posterior on other data")?;
        let (data, paths) = match (&args.data, &config.data) {
            (Some(file), _) => {
                let loaded = config::load::<DataConfig>(file, &[], &session.working)?;
                notices(&session.console, &loaded);
                (loaded.config, loaded.paths)
            }
            (None, Some(data)) => (data.clone(), val_paths),
            (None, None) => return Err(usage("there are no test pairs", "give --data with a data file")),
        };
        let run = args.run.as_ref().map(|run| session.path(run)).filter(|run| RunDir::is_run(run));
        let folder = match (&args.out, &run) {
            (Some(out), _) => session.path(out),
            (None, Some(run)) => run.join(VALIDATION),
            (None, None) => session.path(&config.out_dir),
        };
        let mut gates = config.gates.clone();
        gates.extend(args.gate.iter().filter(|gate| !config.gates.contains(gate)));
        let run_seed =
            run.as_ref().map(|run| RunDir::open(run)?.manifest()).transpose()?.and_then(|manifest| manifest.seeds.get("run").copied());
        let seed = args.seed.or(config.seed).map(Seed).or(run_seed).unwrap_or(Seed(0));
        let pairs = PairFiles::new(&data, &paths)?;
        let source = pairs.open()?;
        let observation = observation(&data, &paths, &posterior)?;
        let networks: Vec<String> = posterior.members.iter().map(|member| sha256_of_values(&member.params)).collect();
        let fingerprint =
            fingerprint(&json!([VERSION, session.compute.simd.name(), networks, posterior.weights, pairs.hashes()?, seed, config,]))?;
        Ok(Self { config, folder, fingerprint, posterior, pairs, source, observation, run, gates, seed })
    }

    /// The test, with what has been drawn and scored elsewhere.
    pub fn test(&self, measured: Vec<Measured>) -> Test<'_> {
        Test {
            posterior: &self.posterior,
            source: &self.source,
            config: &self.config,
            observation: self.observation.clone(),
            gates: self.gates.clone(),
            seed: self.seed,
            measured,
        }
    }

    /// Metrics and plots.
    ///
    /// # Errors
    /// A sampler that can't deliver, or files.
    pub fn validate(&self, session: &Session, measured: Vec<Measured>) -> Result<Vec<Metrics>, Error> {
        let test = self.test(measured);
        let mut metrics: Vec<Metrics> = Vec::new();
        let mut work = || {
            let Tested { metrics: found, warnings } = validate(session, &test, &self.folder)?;
            metrics = found;
            Ok(warnings)
        };
        match self.run.as_ref().filter(|run| self.folder == run.join(VALIDATION)) {
            // The run keeps the warnings for its report. Whatever was done before: it was asked for now.
            Some(run) => {
                let run = RunDir::resume(run)?;
                let fingerprint = fingerprint(&json!([VERSION, "abduce validate", self.pairs.hashes()?, self.seed, self.gates]))?;
                perform(session, &run, &Stage { name: "validate", fingerprint: &fingerprint, outputs: &[] }, work)?;
            }
            None => work()?.iter().for_each(|warning| session.console.warn(warning)),
        }
        session.console.note(format_args!("metrics and plots in {}", self.folder.display()));
        Ok(metrics)
    }
}

/// Runs the command.
pub fn run(session: &Session, args: &ValidateArgs) -> Result<Ending, Error> {
    let prepared = Prepared::new(session, args)?;
    let metrics = prepared.validate(session, Vec::new())?;
    if args.json {
        let text = if let [only] = metrics.as_slice() { json(only)? } else { json(&metrics)? };
        print(&text)?;
    }
    Ok(judge(session, &metrics, &prepared.gates))
}

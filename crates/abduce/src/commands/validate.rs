//! `abduce validate RUN`: is the posterior right?

use super::{ComputeArgs, load_found, load_model, notices};
use crate::config::{self, DataConfig, PathRules, ValConfig};
use crate::error::Error;
use crate::pipeline::{Ending, VERSION, judge};
use crate::present::run::VALIDATION;
use crate::session::{Session, json, print};
use crate::stages::inputs::{PairFiles, observation};
use crate::stages::run::{Stage, fingerprint, perform};
use crate::stages::validate::{Test, Tested, validate};
use abduce_data::{RunDir, Seed};
use abduce_inference::diagnostics::{Gate, Metrics};
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

/// Runs the command.
pub fn run(session: &Session, args: &ValidateArgs) -> Result<Ending, Error> {
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
    let test = Test { posterior: &posterior, source: &source, config: &config, observation, gates: gates.clone(), seed };
    let mut metrics: Vec<Metrics> = Vec::new();
    let mut work = || {
        let Tested { metrics: found, warnings } = validate(session, &test, &folder)?;
        metrics = found;
        Ok(warnings)
    };
    match run.filter(|run| folder == run.join(VALIDATION)) {
        // The run keeps the warnings for its report. Whatever was done before: it was asked for now.
        Some(run) => {
            let run = RunDir::resume(&run)?;
            let fingerprint = fingerprint(&json!([VERSION, "abduce validate", pairs.hashes()?, seed, gates]))?;
            perform(session, &run, &Stage { name: "validate", fingerprint: &fingerprint, outputs: &[] }, work)?;
        }
        None => work()?.iter().for_each(|warning| session.console.warn(warning)),
    }
    if args.json {
        let text = if let [only] = metrics.as_slice() { json(only)? } else { json(&metrics)? };
        print(&text)?;
    }
    session.console.note(format_args!("metrics and plots in {}", folder.display()));
    Ok(judge(session, &metrics, &gates))
}

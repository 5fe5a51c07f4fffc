//! `abduce predict RUN`: would the model, with parameters of the posterior, give data like those observed?

use super::{ComputeArgs, load_model, model_observations, notices};
use crate::config::{self, PathRules, PipelineConfig, SampleMethod, SampleParams, SimulatorConfig};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::{Session, print, warning};
use crate::stages::draw::{Drawing, Wish, draw};
use crate::stages::model::Model;
use crate::stages::predict::{PREDICTIVE, Prediction, predict};
use crate::stages::simulate::{self, rows_of};
use abduce_data::rundir::CONFIG;
use abduce_data::{Array, Seed};
use std::path::{Path, PathBuf};

/// Simulate data with draws of the posterior and compare them with the observed ones: a p-value for each value, and for all together.
#[derive(Clone, Debug, clap::Args)]
pub struct PredictArgs {
    /// The run directory, or its posterior.safetensors.
    pub run: PathBuf,
    /// Observations (n_obs, …); of an ABC run its own by default.
    #[arg(long)]
    pub x: Option<PathBuf>,
    /// The simulator: a built-in task, or a YAML file with a `command`; the task of the run's pipeline by default.
    #[arg(long, value_name = "TASK|FILE")]
    pub simulator: Option<String>,
    /// Draws, and replicates, per observation.
    #[arg(short, default_value_t = 500, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    pub n: u32,
    /// Seed of draws and simulations.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// How to draw, as in `abduce sample`.
    #[arg(long)]
    pub method: Option<SampleMethod>,
    /// Independent data of each observation, one after the other in the rows of the file.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub trials: u32,
    /// Folder for predictive.json, the replicates and pictures; RUN/predictive by default.
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// p-values below this are worth a warning: by chance one observation in a hundred or fewer, since posterior predictive p-values are conservative.
const SMALL_P: f64 = 0.01;

/// Runs the command; the path of `predictive.json` goes to standard output.
pub fn run(session: &Session, args: &PredictArgs) -> Result<Ending, Error> {
    let model = load_model(session, &args.run)?;
    let x = model_observations(session, &model, args.x.as_deref())?;
    let (config, paths) = simulator(session, args)?;
    let run = session.path(&args.run);
    let folder = match (&args.out, run.is_dir()) {
        (Some(out), _) => session.path(out),
        (None, true) => run.join("predictive"),
        (None, false) => {
            let help = "give -o a folder".to_string();
            return Err(Error::Usage { message: "a posterior outside a run directory has no place for results".into(), help });
        }
    };
    let seed = Seed(args.seed);
    let (draws, d) = (args.n as usize, model.parameters().len());
    let (samples, trials) = match &model {
        Model::Networks(posterior) => {
            let drawing = Drawing::choose(session, posterior, args.method, &SampleParams::default(), Wish::Asked)?;
            let trials = args.trials as usize;
            let drawn = draw(session, posterior, &x, trials, draws, &drawing, seed.derive("draws", 0))?;
            drawn.quality.warning().iter().for_each(|found| session.console.warn(found));
            (drawn.samples, trials)
        }
        Model::Sample(abc) => (Array::new(vec![1, draws, d], abc.draw(draws, seed.derive("draws", 0))?)?, abc.trials()),
    };
    // A program's own prior draws nothing here: its parameters are given.
    let mut config = config;
    if config.task.is_none() && config.prior.is_none() {
        config.prior = Some(model.prior().spec().clone());
    }
    let simulator = rows_of(session, &config, &paths, &folder)?;
    if simulator.prior().parameters() != d {
        return Err(Error::failed(
            format!("the simulator {} has {} parameters, the posterior {d}", config.name(), simulator.prior().parameters()),
            "predict with the simulator that the posterior was trained on",
        ));
    }
    let what = Prediction { simulator: simulator.as_ref(), x: &x, trials, samples: &samples, seed: seed.derive("predict", 0) };
    let found = predict(session, &what, &folder)?;
    for summary in &found {
        let features = summary.features.iter().filter(|feature| feature.adjusted_p < SMALL_P).count();
        session.console.note(format_args!(
            "observation {}: p = {:.3} (Mahalanobis), {:.3} (median distance), {features} of {} values beyond chance",
            summary.observation,
            summary.mahalanobis_p,
            summary.median_distance_p,
            summary.features.len()
        ));
        if summary.mahalanobis_p < SMALL_P || features > 0 {
            session.console.warn(&warning(
                format!("observation {} is unlike data that the model gives with parameters of its own posterior", summary.observation),
                "the model does not explain it, or the posterior is wrong there",
            ));
        }
    }
    print(&format!("{}\n", folder.join(PREDICTIVE).display()))?;
    Ok(Ending::Done)
}

/// The simulator that is named, or the run's.
fn simulator(session: &Session, args: &PredictArgs) -> Result<(SimulatorConfig, PathRules), Error> {
    let task = |task: &str| SimulatorConfig { task: Some(task.to_string()), ..SimulatorConfig::default() };
    let here = PathRules::new(&session.working, Path::new(""));
    if let Some(named) = &args.simulator {
        let file = Path::new(named);
        if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            let loaded = config::load::<SimulatorConfig>(file, &[], &session.working)?;
            notices(&session.console, &loaded);
            return Ok((loaded.config, loaded.paths));
        }
        simulate::simulator(named)?;
        return Ok((task(named), here));
    }
    let text = std::fs::read_to_string(session.path(&args.run).join(CONFIG)).unwrap_or_default();
    let pipeline = config::parse::<PipelineConfig>(CONFIG, &text, &[]).ok();
    let own = pipeline.and_then(|loaded| loaded.config.simulate?.simulator.task);
    own.map(|own| (task(&own), here)).ok_or_else(|| Error::Usage {
        message: "the run does not say which simulator it was trained on".into(),
        help: "give --simulator a built-in task, or a YAML file with a `command`".into(),
    })
}

//! `abduce models MODEL`: which simulator made the data.

use super::ComputeArgs;
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::{Session, json, print};
use crate::stages::estimate::{LearnArgs, learn_models, rows_for};
use crate::stages::inputs::{make_parent, read_array};
use abduce_data::Seed;
use abduce_inference::estimate::ModelComparison;
use serde_json::json as value;
use std::path::PathBuf;

/// Compare simulators: probabilities and Bayes factors of the models that may have made an observation, by a classifier of their simulations.
///
/// With --data the classifier is trained and written to MODEL, and what it does on simulations held out is printed as JSON; with --x the models of
/// observations are printed.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "work", required = true, multiple = true, args = ["data", "x"])]
pub struct ModelsArgs {
    /// The classifier's file, NAME.safetensors.
    pub model: PathBuf,
    /// Train on simulated data, one NAME=X.npy per model: x (n, …) drawn with the parameters of that model's prior.
    #[arg(long, value_name = "NAME=X.npy", num_args = 1..)]
    pub data: Vec<String>,
    /// How the network learns.
    #[command(flatten)]
    pub learn: LearnArgs,
    /// Observations (n_obs, …).
    #[arg(long)]
    pub x: Option<PathBuf>,
    /// Prior probabilities of the models, in their order; equal by default.
    #[arg(long, value_delimiter = ',')]
    pub prior: Vec<f64>,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Runs the command.
pub fn run(session: &Session, args: &ModelsArgs) -> Result<Ending, Error> {
    let path = session.path(&args.model);
    let comparison = if args.data.is_empty() {
        ModelComparison::load(&path)?
    } else {
        let (mut names, mut data) = (Vec::new(), Vec::new());
        for entry in &args.data {
            let (name, file) =
                entry.split_once('=').filter(|(name, file)| !name.is_empty() && !file.is_empty()).ok_or_else(|| Error::Usage {
                    message: format!("`--data {entry}` names no model and its data"),
                    help: "write --data NAME=X.npy for each model".into(),
                })?;
            names.push(name.to_string());
            data.push(read_array(&session.path(file.as_ref()), "x")?);
        }
        let (comparison, test, doubt) = learn_models(session, &names, &data, &args.learn.config(), Seed(args.learn.seed))?;
        make_parent(&path)?;
        comparison.save(&path)?;
        print(&json(&test)?)?;
        doubt.iter().for_each(|warning| session.console.warn(warning));
        comparison
    };
    if let Some(x) = &args.x {
        let x = rows_for(&session.path(x), &comparison.x_shape)?;
        let prior = if args.prior.is_empty() { vec![1.0; comparison.models.len()] } else { args.prior.clone() };
        let found = comparison.compare(&session.compute, x.data(), &prior)?;
        print(&json(&value!({"models": comparison.models, "observations": found}))?)?;
    }
    Ok(Ending::Done)
}

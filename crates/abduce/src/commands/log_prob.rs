//! `abduce log-prob RUN`: the posterior density at given parameters.

use super::{ComputeArgs, load_model, model_observations};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::Session;
use crate::stages::inputs::{theta_rows, write_array};
use crate::stages::model::Model;
use abduce_data::Array;
use std::path::PathBuf;

/// Score parameters: log q(theta | x), normalised over the prior's support; of a likelihood or ratio, its logarithm plus the log-prior; of an ABC run
/// with `kde` the log-density of its kernels.
#[derive(Clone, Debug, clap::Args)]
pub struct LogProbArgs {
    /// The run directory, or its posterior.safetensors.
    pub run: PathBuf,
    /// Parameters (n, d).
    #[arg(long)]
    pub theta: PathBuf,
    /// Data (n, …), paired with theta row by row; one row of either goes with all rows of the other. An ABC run has its own.
    #[arg(long)]
    pub x: Option<PathBuf>,
    /// File for the log-probabilities, (n,) float64, in nats.
    #[arg(short, long, value_name = "LP.npy")]
    pub out: PathBuf,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Runs the command.
pub fn run(session: &Session, args: &LogProbArgs) -> Result<Ending, Error> {
    let model = load_model(session, &args.run)?;
    let theta = theta_rows(&session.path(&args.theta), model.parameters().len())?;
    let x = model_observations(session, &model, args.x.as_deref())?;
    let values = match &model {
        Model::Networks(posterior) => {
            if !posterior.is_normalised() {
                let note = "normalised: false; these are log-likelihood (or log-ratio) plus log-prior, known up to a function of x";
                session.console.note(note);
            }
            posterior.log_prob_paired(&session.compute, theta.data(), x.data())?
        }
        Model::Sample(abc) => {
            let density = abc.density()?.ok_or_else(|| {
                Error::failed("the accepted parameters of ABC have no density", "train with `kde: true`, which smooths them by kernels")
            })?;
            theta
                .data()
                .chunks_exact(abc.dimension())
                .map(|row| density.log_prob(&row.iter().copied().map(f64::from).collect::<Vec<_>>()))
                .collect()
        }
    };
    let outside = values.iter().filter(|value| **value == f64::NEG_INFINITY).count();
    if outside > 0 {
        session.console.note(format_args!("{outside} of {} rows of theta lie outside the prior: -inf", values.len()));
    }
    write_array(&session.path(&args.out), &Array::new(vec![values.len()], values)?)?;
    Ok(Ending::Done)
}

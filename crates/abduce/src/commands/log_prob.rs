//! `abduce log-prob RUN`: the posterior density at given parameters.

use super::{ComputeArgs, load_posterior};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::Session;
use crate::stages::inputs::{observations, parameters, write_array};
use abduce_data::Array;
use std::path::PathBuf;

/// Score parameters: log q(theta | x), normalised over the prior's support; of a likelihood or ratio, its logarithm plus the log-prior.
#[derive(Clone, Debug, clap::Args)]
pub struct LogProbArgs {
    /// The run directory, or its posterior.safetensors.
    pub run: PathBuf,
    /// Parameters (n, d).
    #[arg(long)]
    pub theta: PathBuf,
    /// Data (n, …), paired with theta row by row; one row of either goes with all rows of the other.
    #[arg(long)]
    pub x: PathBuf,
    /// File for the log-probabilities, (n,) float64, in nats.
    #[arg(short, long, value_name = "LP.npy")]
    pub out: PathBuf,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Runs the command.
pub fn run(session: &Session, args: &LogProbArgs) -> Result<Ending, Error> {
    let posterior = load_posterior(session, &args.run)?;
    let theta = parameters(&session.path(&args.theta), &posterior)?;
    let x = observations(&session.path(&args.x), &posterior)?;
    let values = posterior.log_prob_paired(&session.compute, theta.data(), x.data())?;
    if !posterior.is_normalised() {
        session.console.note("normalised: false; these are log-likelihood (or log-ratio) plus log-prior, known up to a function of x");
    }
    let outside = values.iter().filter(|value| **value == f64::NEG_INFINITY).count();
    if outside > 0 {
        session.console.note(format_args!("{outside} of {} rows of theta lie outside the prior: -inf", values.len()));
    }
    write_array(&session.path(&args.out), &Array::new(vec![values.len()], values)?)?;
    Ok(Ending::Done)
}

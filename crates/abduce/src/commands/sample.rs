//! `abduce sample RUN`: draws of the posterior for observations.

use super::{ComputeArgs, load_posterior};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::{Session, json, print};
use crate::stages::inputs::{observations, write_array};
use crate::stages::{export, sample};
use abduce_data::Seed;
use std::path::PathBuf;

/// Draw from the posterior of observations.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "outputs", required = true, multiple = true, args = ["out", "map", "getdist", "arviz"])]
pub struct SampleArgs {
    /// The run directory, or its posterior.safetensors.
    pub run: PathBuf,
    /// Observations (n_obs, …); a file of exactly one datum's shape is one observation.
    #[arg(long)]
    pub x: PathBuf,
    /// Draws per observation.
    #[arg(short, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub n: u32,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// How to draw.
    #[arg(long, default_value = "direct")]
    pub method: String,
    /// File for the draws, (n_obs, n, d) float32.
    #[arg(short, long, value_name = "SAMPLES.npy")]
    pub out: Option<PathBuf>,
    /// Print the most probable parameters of each observation as JSON.
    #[arg(long)]
    pub map: bool,
    /// Chains for getdist: PREFIX_1.txt (weight, -log q, parameters), PREFIX.paramnames, PREFIX.ranges.
    #[arg(long, value_name = "PREFIX")]
    pub getdist: Option<PathBuf>,
    /// Chains for ArviZ: arrays (chain, draw) by parameter, for arviz.from_dict.
    #[arg(long, value_name = "CHAINS.npz")]
    pub arviz: Option<PathBuf>,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Samplers of the design that this version does not have.
const LATER: [&str; 5] = ["slice", "emcee", "nuts", "vi", "importance"];

/// Runs the command.
pub fn run(session: &Session, args: &SampleArgs) -> Result<Ending, Error> {
    if args.method != "direct" {
        let message = if LATER.contains(&args.method.as_str()) {
            format!("the method `{}` is not available in this version", args.method)
        } else {
            format!("there is no method `{}`", args.method)
        };
        return Err(Error::Usage { message, help: "`--method direct` draws exactly and independently from an NPE posterior".into() });
    }
    let posterior = load_posterior(session, &args.run)?;
    let x = observations(&session.path(&args.x), &posterior)?;
    let novelties = posterior.novelties(x.data())?;
    sample::novelty_warnings(&novelties, x.rows()).iter().for_each(|warning| session.console.warn(warning));
    let seed = Seed(args.seed);
    if args.out.is_some() || args.getdist.is_some() || args.arviz.is_some() {
        let samples = sample::sample(session, &posterior, &x, args.n as usize, seed)?;
        if let Some(out) = &args.out {
            write_array(&session.path(out), &samples)?;
        }
        if let Some(prefix) = &args.getdist {
            export::getdist(&session.path(prefix), &posterior, &session.compute, &x, &samples)?;
        }
        if let Some(path) = &args.arviz {
            export::arviz(&session.path(path), &posterior, &samples)?;
        }
        session.console.note(format_args!("{} draws for each of {} observations", args.n, x.rows()));
    }
    if args.map {
        print(&json(&sample::maxima(session, &posterior, &x, seed.derive("map", 0))?)?)?;
    }
    Ok(Ending::Done)
}

//! `abduce evidence RUN`: how probable observations are under the model of a likelihood or ratio.

use super::{ComputeArgs, load_model};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::{Session, json, print, warning};
use crate::stages::draw::{Drawing, K_HAT, draw};
use crate::stages::inputs::{observations, read_array};
use abduce_data::{Array, Seed};
use abduce_inference::posterior::{Evidence, Kind};
use abduce_inference::sampler::{HarmonicEvidence, HarmonicOptions};
use serde::Serialize;
use std::path::PathBuf;

/// The evidence ln p(x) of observations in nats, from a likelihood (of a ratio: ln p(x) minus what it was trained relative to), in two ways: importance
/// sampling with a proposal fitted to posterior draws, and the learnt harmonic mean of the draws.
#[derive(Clone, Debug, clap::Args)]
pub struct EvidenceArgs {
    /// The run directory, or its posterior.safetensors: a likelihood or ratio (engines NLE, NRE).
    pub run: PathBuf,
    /// Observations (n_obs, …).
    #[arg(long)]
    pub x: PathBuf,
    /// Independent data of each observation, one after the other in the rows of the file.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub trials: u32,
    /// Posterior draws (n_obs, n, d) that there are already; by default they are drawn by slice sampling.
    #[arg(long, value_name = "SAMPLES.npy")]
    pub samples: Option<PathBuf>,
    /// Draws per observation.
    #[arg(short, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(200..))]
    pub n: u32,
    /// Variance of the base of the learnt density in place of 1: smaller where the tails of the posterior are hard to learn.
    #[arg(long, default_value_t = 0.8)]
    pub temperature: f64,
    /// Seed.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

#[derive(Serialize)]
struct Found {
    importance: Evidence,
    harmonic: HarmonicEvidence,
}

/// Runs the command; the evidences go to standard output as JSON.
pub fn run(session: &Session, args: &EvidenceArgs) -> Result<Ending, Error> {
    let posterior = load_model(session, &args.run)?.networks("find evidences of other data")?;
    if posterior.kind() == Kind::Npe {
        return Err(Error::failed(
            "these networks give a density of the parameters, which is normalised: it holds no evidence",
            "train a likelihood (engine NLE), weigh the density by one (`abduce sample --method importance`), or compare simulators (`abduce models`)",
        ));
    }
    let (x, trials, seed) = (observations(&session.path(&args.x), &posterior)?, args.trials as usize, Seed(args.seed));
    let samples = match &args.samples {
        Some(path) => {
            let samples: Array = read_array(&session.path(path), "samples")?;
            let rows = x.rows() / trials;
            if samples.shape().len() != 3 || samples.rows() != rows || samples.shape()[2] != posterior.dimension() {
                return Err(Error::failed(
                    format!("the draws have shape {:?}, expected ({rows}, n, {})", samples.shape(), posterior.dimension()),
                    "give what `abduce sample RUN --x X -o SAMPLES.npy` wrote",
                ));
            }
            samples
        }
        None => {
            let drawn = draw(session, &posterior, &x, trials, args.n as usize, &Drawing::of(&posterior), seed)?;
            drawn.quality.warning().iter().for_each(|warning| session.console.warn(warning));
            drawn.samples
        }
    };
    let importance = posterior.log_evidence(&session.compute, x.data(), trials, samples.data(), seed.derive("evidence", 0))?;
    let options = HarmonicOptions { temperature: args.temperature, ..HarmonicOptions::default() };
    let harmonic = posterior.harmonic_evidence(&session.compute, x.data(), trials, samples.data(), &options, seed.derive("harmonic", 0))?;
    let found: Vec<Found> = importance.into_iter().zip(harmonic).map(|(importance, harmonic)| Found { importance, harmonic }).collect();
    let apart = |f: &&Found| {
        let difference = (f.importance.log_evidence - f.harmonic.log_evidence).abs();
        difference > 0.1 + 5.0 * f.importance.error.hypot(f.harmonic.log_evidence_error) || f.importance.k_hat.min(f.harmonic.k_hat) > K_HAT
    };
    let doubtful = found.iter().filter(apart).count();
    if doubtful > 0 {
        session.console.warn(&warning(
            format!("the two estimates of {doubtful} of {} evidences disagree, or neither can be trusted", found.len()),
            "take more draws (-n), or a lower --temperature",
        ));
    }
    print(&json(&found)?)?;
    Ok(Ending::Done)
}

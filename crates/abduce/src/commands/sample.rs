//! `abduce sample RUN`: draws of the posterior for observations.

use super::{ComputeArgs, load_posterior};
use crate::config::{SampleMethod, SampleParams, VariationalDist, VariationalDivergence};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::{Session, json, print};
use crate::stages::draw::{Drawing, Draws, Wish, draw};
use crate::stages::inputs::{observations, write_array};
use crate::stages::refine::{ImportanceArgs, PROPOSALS, Source, refine};
use crate::stages::{export, sample};
use abduce_data::artefact::write_atomic;
use abduce_data::{Array, Seed};
use abduce_inference::posterior::Posterior;
use std::io::Write as _;
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
    /// How to draw; by default exactly from a posterior density, by slice sampling from a likelihood or ratio.
    #[arg(long)]
    pub method: Option<SampleMethod>,
    /// Chains per observation.
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    pub num_chains: Option<i64>,
    /// Steps of each chain that adapt the sampler and are thrown away.
    #[arg(long)]
    pub burn_in: Option<usize>,
    /// Of the steps after that, each so many-th is kept.
    #[arg(long)]
    pub thin: Option<usize>,
    /// Independent data of each observation, one after the other in the rows of the file (likelihoods and ratios).
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub trials: u32,
    /// Family that `--method vi` fits to the posterior of each observation.
    #[arg(long, value_name = "FAMILY")]
    pub dist: Option<VariationalDist>,
    /// What `--method vi` minimises.
    #[arg(long)]
    pub divergence: Option<VariationalDivergence>,
    /// Most steps of `--method vi`.
    #[arg(long)]
    pub max_num_iters: Option<usize>,
    /// What `--method importance` and weights need.
    #[command(flatten)]
    pub importance: ImportanceArgs,
    /// File for what is known about the draws of each observation: R-hat, effective draws and acceptance of chains; Pareto k, effective draws and
    /// evidence of `vi` and `importance`.
    #[arg(long, value_name = "CONVERGENCE.json")]
    pub convergence: Option<PathBuf>,
    /// Parameters to keep, in this order: the draws are then those of the marginal posterior.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub parameters: Vec<String>,
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

/// Runs the command.
pub fn run(session: &Session, args: &SampleArgs) -> Result<Ending, Error> {
    let posterior = load_posterior(session, &args.run)?;
    let x = observations(&session.path(&args.x), &posterior)?;
    let novelties = posterior.novelties(x.data())?;
    sample::novelty_warnings(&novelties, x.rows()).iter().for_each(|warning| session.console.warn(warning));
    let seed = Seed(args.seed);
    args.importance.check(args.method)?;
    if args.out.is_some() || args.getdist.is_some() || args.arviz.is_some() {
        let params = SampleParams {
            num_chains: args.num_chains.unwrap_or(-1),
            burn_in: args.burn_in,
            thin: args.thin,
            dist: args.dist,
            divergence: args.divergence,
            max_num_iters: args.max_num_iters,
            ..SampleParams::default()
        };
        let (drawn, method) = if args.method == Some(SampleMethod::Importance) {
            (refined(session, &posterior, &x, args, seed)?, "importance")
        } else {
            let drawing = Drawing::choose(session, &posterior, args.method, &params, Wish::Asked)?;
            (draw(session, &posterior, &x, args.trials as usize, args.n as usize, &drawing, seed)?, drawing.name())
        };
        let observations = drawn.samples.rows();
        drawn.quality.note(method).iter().for_each(|note| session.console.note(note));
        drawn.quality.warning().iter().for_each(|warning| session.console.warn(warning));
        if let Some(path) = &args.convergence {
            let text = json(&drawn.quality)?;
            write_atomic(&session.path(path), |out| out.write_all(text.as_bytes()))?;
        }
        if let Some(prefix) = &args.getdist {
            export::getdist(&session.path(prefix), &posterior, &session.compute, (&x, args.trials as usize), &drawn.samples)?;
        }
        if let Some(path) = &args.arviz {
            export::arviz(&session.path(path), &posterior, &drawn.samples)?;
        }
        if let Some(out) = &args.out {
            write_array(&session.path(out), &marginal(drawn.samples, &posterior, &args.parameters)?)?;
        }
        session.console.note(format_args!("{} draws for each of {observations} observations", args.n));
    }
    if args.map {
        print(&json(&sample::maxima(session, &posterior, &x, seed.derive("map", 0))?)?)?;
    }
    Ok(Ending::Done)
}

/// Draws chosen by importance weights.
fn refined(session: &Session, posterior: &Posterior, x: &Array, args: &SampleArgs, seed: Seed) -> Result<Draws, Error> {
    if args.trials > 1 {
        return Err(Error::Usage {
            message: "`--method importance` takes one datum per observation: its proposals come from a density given a single one".into(),
            help: "leave --trials away, or use Markov chains".into(),
        });
    }
    let proposal = args.importance.proposal.as_deref().map(|run| load_posterior(session, run)).transpose()?;
    let source = match (&args.importance.likelihood, &proposal) {
        (Some(name), _) => Source::Task(name),
        (None, Some(proposal)) => Source::Proposal(proposal),
        (None, None) => return Err(ImportanceArgs::nothing_to_weigh_by()),
    };
    let weighted = args.importance.weighted.as_ref().map(|path| session.path(path));
    let proposals = args.importance.proposals.map_or(PROPOSALS * args.n as usize, |n| n as usize);
    refine(session, posterior, &source, x, (proposals, args.n as usize), weighted.as_deref(), seed)
}

/// The columns of these parameters.
fn marginal(samples: Array, posterior: &Posterior, names: &[String]) -> Result<Array, Error> {
    if names.is_empty() {
        return Ok(samples);
    }
    let known: Vec<&str> = posterior.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    let column = |name: &String| {
        let missing = || Error::Usage {
            message: format!("there is no parameter `{name}`"),
            help: format!("the parameters are {}", known.join(", ")),
        };
        known.iter().position(|known| known == name).ok_or_else(missing)
    };
    let columns = names.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let shape = [&samples.shape()[..2], &[columns.len()]].concat();
    let values = samples.data().chunks_exact(known.len()).flat_map(|row| columns.iter().map(|&j| row[j])).collect();
    Ok(Array::new(shape, values)?)
}

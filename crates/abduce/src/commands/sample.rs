//! `abduce sample RUN`: draws of the posterior for observations.

use super::{ComputeArgs, load_model, model_observations};
use crate::config::{SampleMethod, SampleParams, VariationalDist, VariationalDivergence};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::{Session, json, print};
use crate::stages::draw::{Drawing, Draws, Wish, chain_options, draw, draw_conditional};
use crate::stages::export::{self, Columns};
use crate::stages::inputs::write_array;
use crate::stages::model::Model;
use crate::stages::refine::{ImportanceArgs, PROPOSALS, Source, refine};
use crate::stages::{regions, sample};
use abduce_data::artefact::write_atomic;
use abduce_data::{Array, ParameterInfo, Seed};
use abduce_inference::abc::AbcPosterior;
use abduce_inference::posterior::Posterior;
use std::io::Write as _;
use std::path::PathBuf;

/// Draw from the posterior of observations.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "outputs", required = true, multiple = true, args = ["out", "map", "getdist", "arviz", "calibrated"])]
pub struct SampleArgs {
    /// The run directory, or its posterior.safetensors.
    pub run: PathBuf,
    /// Observations (n_obs, …); a file of exactly one datum's shape is one observation. An ABC run has one of its own.
    #[arg(long)]
    pub x: Option<PathBuf>,
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
    /// How often chains may double their length while they have not converged: R-hat of 1.01 or more, or fewer than 400 effective draws. 3 by default.
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=20))]
    pub extensions: Option<u32>,
    /// Independent data of each observation, one after the other in the rows of the file (likelihoods, ratios and NPSE).
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
    /// Hold a parameter at a value, and draw the others given it: --given omega_m=0.3. By chains on the exact conditional density.
    #[arg(long, value_name = "NAME=VALUE", value_parser = condition)]
    pub given: Vec<(String, f64)>,
    /// Print the regions of each observation that cover the truth this often, as JSON: --calibrated 0.68,0.95. They are the highest-density regions,
    /// corrected by what a validation has learnt (its metric `conformal`).
    #[arg(long, value_delimiter = ',', value_name = "COVERAGES", value_parser = coverage)]
    pub calibrated: Vec<f64>,
    /// The conformal.json to correct with; RUN/validation/conformal.json by default.
    #[arg(long, requires = "calibrated", value_name = "FILE")]
    pub conformal: Option<PathBuf>,
    /// File for which draws lie inside the regions, (n_obs, coverages, n) of 0 and 1.
    #[arg(long, requires = "calibrated", value_name = "INSIDE.npy")]
    pub inside: Option<PathBuf>,
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

fn condition(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("expected NAME=VALUE, found `{text}`"))?;
    let value = value.trim().parse().map_err(|_| format!("`{value}` is not a number"))?;
    Ok((name.trim().to_string(), value))
}

fn coverage(text: &str) -> Result<f64, String> {
    let value: f64 = text.trim().parse().map_err(|_| format!("`{text}` is not a number"))?;
    if value > 0.0 && value < 1.0 { Ok(value) } else { Err(format!("a coverage lies between 0 and 1, found {value}")) }
}

/// Runs the command.
pub fn run(session: &Session, args: &SampleArgs) -> Result<Ending, Error> {
    args.importance.check(args.method)?;
    let model = load_model(session, &args.run)?;
    let x = model_observations(session, &model, args.x.as_deref())?;
    match &model {
        Model::Networks(posterior) => of_networks(session, args, posterior, &x)?,
        Model::Sample(abc) => of_abc(session, args, abc)?,
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
    let proposal =
        args.importance.proposal.as_deref().map(|run| load_model(session, run)?.networks("propose draws for other data")).transpose()?;
    let source = match (&args.importance.likelihood, &proposal) {
        (Some(name), _) => Source::Task(name),
        (None, Some(proposal)) => Source::Proposal(proposal),
        (None, None) => return Err(ImportanceArgs::nothing_to_weigh_by()),
    };
    let weighted = args.importance.weighted.as_ref().map(|path| session.path(path));
    let proposals = args.importance.proposals.map_or(PROPOSALS * args.n as usize, |n| n as usize);
    refine(session, posterior, &source, x, (proposals, args.n as usize), weighted.as_deref(), seed)
}

/// Draws, regions and maxima of networks.
fn of_networks(session: &Session, args: &SampleArgs, posterior: &Posterior, x: &Array) -> Result<(), Error> {
    let novelties = posterior.novelties(x.data())?;
    sample::novelty_warnings(&novelties, x.rows()).iter().for_each(|warning| session.console.warn(warning));
    let (seed, trials) = (Seed(args.seed), args.trials as usize);
    let calibration = calibration(session, args)?;
    if !args.given.is_empty() && args.map {
        return Err(usage("--map is the maximum of the joint posterior, which --given does not change", "leave one of the two out"));
    }
    if args.out.is_some() || args.getdist.is_some() || args.arviz.is_some() || calibration.is_some() {
        let drawn = draws(session, args, posterior, x, trials, seed)?;
        if let Some(path) = &args.convergence {
            let text = json(&drawn.quality)?;
            write_atomic(&session.path(path), |out| out.write_all(text.as_bytes()))?;
        }
        let columns = Columns { parameters: &posterior.parameters, support: posterior.prior.support() };
        if let Some(prefix) = &args.getdist {
            let size = trials * x.row_len();
            export::getdist(&session.path(prefix), columns, &drawn.samples, |observation, theta| {
                Ok(posterior.log_prob_of_trials(&session.compute, theta, &x.data()[observation * size..][..size])?)
            })?;
        }
        if let Some(path) = &args.arviz {
            export::arviz(&session.path(path), columns, &drawn.samples)?;
        }
        if let Some(calibration) = &calibration {
            let found = regions::calibrated(session, posterior, x, &drawn, calibration, &args.calibrated)?;
            if let Some(path) = &args.inside {
                write_array(&session.path(path), &found.inside)?;
            }
            print(&json(&found.regions)?)?;
        }
        finish(session, args, drawn.samples, &posterior.parameters)?;
    }
    if args.map {
        print(&json(&sample::maxima(session, posterior, x, trials, seed.derive("map", 0))?)?)?;
    }
    Ok(())
}

fn usage(message: &str, help: &str) -> Error {
    Error::Usage { message: message.into(), help: help.into() }
}

/// What corrects the regions, where they are asked for.
fn calibration(session: &Session, args: &SampleArgs) -> Result<Option<abduce_inference::diagnostics::ConformalCalibration>, Error> {
    if args.calibrated.is_empty() {
        return Ok(None);
    }
    if args.trials > 1 || !args.given.is_empty() {
        let help = "leave --trials and --given out";
        return Err(usage("the correction of regions was learnt for the posterior of single data", help));
    }
    let found = regions::calibration(&session.path(&args.run), args.conformal.as_ref().map(|file| session.path(file)))?;
    if found.draws() > args.n as usize {
        return Err(usage(
            &format!("the correction was learnt with {} draws for each observation, and {} are asked for", found.draws(), args.n),
            &format!("give -n {} or more", found.draws()),
        ));
    }
    Ok(Some(found))
}

/// Draws by the method asked for, and a word on their convergence.
fn draws(session: &Session, args: &SampleArgs, posterior: &Posterior, x: &Array, trials: usize, seed: Seed) -> Result<Draws, Error> {
    let params = SampleParams {
        num_chains: args.num_chains.unwrap_or(-1),
        burn_in: args.burn_in,
        thin: args.thin,
        extensions: args.extensions.map(|n| n as usize),
        dist: args.dist,
        divergence: args.divergence,
        max_num_iters: args.max_num_iters,
        ..SampleParams::default()
    };
    let (drawn, method) = if args.given.is_empty() && args.method == Some(SampleMethod::Importance) {
        (refined(session, posterior, x, args, seed)?, "importance")
    } else if args.given.is_empty() {
        let drawing = Drawing::choose(session, posterior, args.method, &params, Wish::Asked)?;
        (draw(session, posterior, x, trials, args.n as usize, &drawing, seed)?, drawing.name())
    } else {
        if matches!(args.method, Some(SampleMethod::Direct | SampleMethod::Vi | SampleMethod::Importance)) {
            return Err(usage(
                "a conditional posterior is known up to a constant and drawn from by chains",
                "use slice, emcee, hmc or nuts",
            ));
        }
        let names = args.given.iter().map(|(name, _)| column(&posterior.parameters, name));
        let given: Vec<(usize, f64)> = names.zip(&args.given).map(|(j, (_, value))| Ok((j?, *value))).collect::<Result<_, Error>>()?;
        let free = posterior.dimension().saturating_sub(given.len()).max(1);
        let options = chain_options(free, args.method.unwrap_or(SampleMethod::Slice), &params);
        let drawn = draw_conditional(session, posterior, (x, trials), &given, args.n as usize, &options, seed)?;
        (drawn, Drawing::Chains(options).name())
    };
    drawn.quality.note(method).iter().for_each(|note| session.console.note(note));
    drawn.quality.warning().iter().for_each(|warning| session.console.warn(warning));
    Ok(drawn)
}

/// Draws of an ABC sample: its parameters, resampled, or the smooth density.
fn of_abc(session: &Session, args: &SampleArgs, abc: &AbcPosterior) -> Result<(), Error> {
    let params = [
        ("--method", args.method.is_some()),
        ("--num-chains", args.num_chains.is_some()),
        ("--burn-in", args.burn_in.is_some()),
        ("--thin", args.thin.is_some()),
        ("--extensions", args.extensions.is_some()),
        ("--trials", args.trials > 1),
        ("--convergence", args.convergence.is_some()),
        ("--given", !args.given.is_empty()),
        ("--calibrated", !args.calibrated.is_empty()),
        ("--map", args.map),
    ];
    if let Some((option, _)) = params.iter().find(|(_, given)| *given) {
        return Err(usage(&format!("{option} needs networks, and this run holds the sample of ABC"), &format!("leave {option} out")));
    }
    let draws = args.n as usize;
    let samples = Array::new(vec![1, draws, abc.dimension()], abc.draw(draws, Seed(args.seed))?)?;
    let effective = abc.sample.effective_size();
    if abc.bandwidth.is_none() && draws as f64 > effective {
        session.console.note(format_args!(
            "{} accepted parameters, worth {effective:.0} independent draws, are repeated; `kde: true` in training smooths them",
            abc.sample.weights.len()
        ));
    }
    let columns = Columns { parameters: &abc.parameters, support: abc.prior.support() };
    if let Some(prefix) = &args.getdist {
        let density = abc.density()?;
        // Without kernels the draws have no density; getdist needs none.
        export::getdist(&session.path(prefix), columns, &samples, |_, theta| {
            let wide = |row: &[f32]| row.iter().copied().map(f64::from).collect::<Vec<f64>>();
            Ok(theta.chunks_exact(abc.dimension()).map(|row| density.as_ref().map_or(0.0, |d| d.log_prob(&wide(row)))).collect())
        })?;
    }
    if let Some(path) = &args.arviz {
        export::arviz(&session.path(path), columns, &samples)?;
    }
    finish(session, args, samples, &abc.parameters)
}

/// Writes the draws.
fn finish(session: &Session, args: &SampleArgs, samples: Array, parameters: &[ParameterInfo]) -> Result<(), Error> {
    let observations = samples.rows();
    if let Some(out) = &args.out {
        write_array(&session.path(out), &marginal(samples, parameters, &args.parameters)?)?;
    }
    session.console.note(format_args!("{} draws for each of {observations} observations", args.n));
    Ok(())
}

/// The index of a parameter.
fn column(parameters: &[ParameterInfo], name: &str) -> Result<usize, Error> {
    let known: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    known.iter().position(|known| *known == name).ok_or_else(|| Error::Usage {
        message: format!("there is no parameter `{name}`"),
        help: format!("the parameters are {}", known.join(", ")),
    })
}

/// The columns of these parameters.
fn marginal(samples: Array, parameters: &[ParameterInfo], names: &[String]) -> Result<Array, Error> {
    if names.is_empty() {
        return Ok(samples);
    }
    let columns = names.iter().map(|name| column(parameters, name)).collect::<Result<Vec<_>, _>>()?;
    let shape = [&samples.shape()[..2], &[columns.len()]].concat();
    let values = samples.data().chunks_exact(parameters.len()).flat_map(|row| columns.iter().map(|&j| row[j])).collect();
    Ok(Array::new(shape, values)?)
}

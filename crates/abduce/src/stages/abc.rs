//! Training without nets: parameters whose simulations come close to one observation.

use super::inputs::{PairFiles, observation_rows};
use super::run::{Stage, fingerprint, stage};
use super::train::{build_prior, parameter_names, posterior_path};
use crate::config::{Engine, InferConfig, KdeBandwidth};
use crate::error::Error;
use crate::pipeline::VERSION;
use crate::present::run::{ABC, AbcSummary};
use crate::session::{Session, warning};
use abduce_data::rundir::DataFile;
use abduce_data::{Array, PairSource, ParameterInfo, RunDir, Seed, pair_files};
use abduce_inference::abc::{
    AbcPosterior, Accept, Adjustment, Bandwidth, Decay, KernelDensity, Leftover, RejectionAbc, SimulationTable, SmcAbc, Summaries,
    rejection_abc, rejection_abc_of_table, smc_abc,
};
use abduce_inference::diagnostics::{Severity, Warning};
use abduce_inference::prior::Prior;
use abduce_inference::simulator::{RowSimulator, Theta, simulate_rows};
use serde_json::json;
use std::path::{Path, PathBuf};

/// What ABC needs.
pub struct AbcInputs<'a> {
    /// Prior, engine, options.
    pub infer: &'a InferConfig,
    /// Names of the parameters where the configuration gives none.
    pub parameters: Option<Vec<ParameterInfo>>,
    /// Where simulations come from.
    pub source: AbcSource<'a>,
    /// The file of the observation.
    pub x_obs: &'a Path,
    /// How many simulations where `train_args` does not say.
    pub simulations: Option<usize>,
    /// Files for the parameters and data of all simulations, where they are to be kept.
    pub keep: Option<[PathBuf; 2]>,
}

/// Where simulations come from.
pub enum AbcSource<'a> {
    /// Made as they are needed.
    Simulator(&'a dyn RowSimulator),
    /// There already.
    Stored(&'a PairFiles),
}

/// Effective numbers of draws below this are few for intervals.
const FEW_DRAWS: f64 = 100.0;

/// The stage `train` of an ABC engine, skipped where it was done before; gives the path of the posterior.
///
/// # Errors
/// The observation does not fit, the simulator fails, or nothing is accepted.
pub fn train_stage(session: &Session, run: &RunDir, inputs: &AbcInputs<'_>) -> Result<PathBuf, Error> {
    let source = match inputs.source {
        AbcSource::Simulator(simulator) => json!(simulator.identity()),
        AbcSource::Stored(files) => json!([files.hashes()?, files.thin, files.first, files.nan_rows]),
    };
    let x_obs = DataFile::of("x_obs", inputs.x_obs)?;
    let depends = fingerprint(&json!([VERSION, inputs.infer, x_obs, source, inputs.simulations]))?;
    let output = posterior_path(run, inputs.infer);
    let outputs = [output.clone()];
    stage(session, run, &Stage { name: "train", fingerprint: &depends, outputs: &outputs }, || accept(session, run, inputs))?;
    Ok(output)
}

fn accept(session: &Session, run: &RunDir, inputs: &AbcInputs<'_>) -> Result<Vec<Warning>, Error> {
    let infer = inputs.infer;
    let config = &infer.train_args.abc;
    let trials = config.num_iid_samples.unwrap_or(1);
    let prior = build_prior(&infer.prior, "prior")?;
    let stored = match inputs.source {
        AbcSource::Stored(files) => Some(files.open()?),
        AbcSource::Simulator(_) => None,
    };
    let shape = match (&inputs.source, &stored) {
        (AbcSource::Simulator(simulator), _) => simulator.data_shape(),
        (_, stored) => stored.as_ref().map(|source| source.x_shape().to_vec()),
    };
    let x_obs = observation_rows(inputs.x_obs, shape.as_deref(), trials, "ABC compares simulations with one observation")?;
    if let Some(at) = x_obs.data().iter().position(|v| !v.is_finite()) {
        return Err(Error::failed(
            format!("{}: value {at} of the observation is {}", inputs.x_obs.display(), x_obs.data()[at]),
            "no distance to it can be measured",
        ));
    }
    let wide: Vec<f64> = x_obs.data().iter().map(|&v| f64::from(v)).collect();
    let found = match infer.model.engine {
        Engine::Smcabc => populations(session, inputs, &prior, &wide)?,
        _ => closest(session, inputs, &prior, stored.as_ref(), &wide)?,
    };
    if session.is_stopping() {
        return Err(Error::Interrupted { run: run.path().to_path_buf() });
    }
    let Found { sample, course, theta, x } = found;
    if let Some([theta_file, x_file]) = inputs.keep.as_ref().filter(|_| !theta.is_empty()) {
        let rows = theta.len() / prior.parameters();
        let x_shape = std::iter::once(rows).chain(x_obs.row_shape().iter().copied()).collect();
        pair_files::write(theta_file, x_file, &Array::new(vec![rows, prior.parameters()], theta)?, &Array::new(x_shape, x)?)?;
    }
    let bandwidth = match config.kde {
        Some(true) => Some(KernelDensity::new(&sample, prior.support(), bandwidth(infer))?.bandwidth()),
        _ => None,
    };
    let posterior = AbcPosterior {
        name: infer.model.name.clone(),
        parameters: parameter_names(infer, inputs.parameters.as_deref(), prior.parameters()),
        x_shape: x_obs.row_shape().to_vec(),
        x_obs: x_obs.into_data(),
        prior,
        sample,
        course,
        bandwidth,
    };
    posterior.save(&posterior_path(run, infer))?;
    let summary = AbcSummary::of(&posterior);
    run.write_json(ABC, &summary)?;
    session.console.note(format_args!(
        "accepted {} of {} parameters ({:.3} %) within a distance of {:.4}; {:.0} effective draws",
        summary.accepted,
        summary.simulations,
        100.0 * summary.acceptance,
        summary.epsilon,
        summary.effective_draws
    ));
    Ok(warnings(&posterior, &summary))
}

/// A sample, how it came about, and all simulations where they are to be kept.
struct Found {
    sample: abduce_inference::abc::AbcSample,
    course: Vec<abduce_inference::abc::Population>,
    theta: Vec<f32>,
    x: Vec<f32>,
}

fn summaries(infer: &InferConfig) -> Summaries {
    let config = &infer.train_args.abc;
    if config.sass != Some(true) {
        return Summaries::Data;
    }
    Summaries::SemiAutomatic { fraction: config.sass_fraction.unwrap_or(0.25), degree: config.sass_expansion_degree.unwrap_or(1) }
}

fn adjustment(infer: &InferConfig) -> Adjustment {
    let config = &infer.train_args.abc;
    match (config.lra, config.lra_with_weights) {
        (Some(true), Some(true)) => Adjustment::LinearWeighted,
        (Some(true), _) => Adjustment::Linear,
        _ => Adjustment::None,
    }
}

fn bandwidth(infer: &InferConfig) -> Bandwidth {
    let width = infer.train_args.abc.kde_kwargs.as_ref().and_then(crate::config::KdeConfig::width);
    match width.unwrap_or(KdeBandwidth::CrossValidated) {
        KdeBandwidth::CrossValidated => Bandwidth::CrossValidated,
        KdeBandwidth::Scott => Bandwidth::Scott,
        KdeBandwidth::Silverman => Bandwidth::Silverman,
        KdeBandwidth::Factor(h) => Bandwidth::Factor(h),
    }
}

fn simulations(inputs: &AbcInputs<'_>) -> Result<usize, Error> {
    let engine = if inputs.infer.model.engine == Engine::Smcabc { "SMCABC" } else { "MCABC" };
    inputs.infer.train_args.abc.num_simulations.or(inputs.simulations).ok_or_else(|| {
        Error::failed(format!("engine {engine} needs to know how many simulations it may make"), "add `num_simulations` to train_args")
    })
}

/// Runs `work` with a simulator that keeps what it makes where that is wanted.
fn with_simulator<T>(
    session: &Session,
    inputs: &AbcInputs<'_>,
    simulator: &dyn RowSimulator,
    work: impl FnOnce(&mut abduce_inference::simulator::Simulate<'_>) -> Result<T, abduce_inference::abc::AbcError>,
) -> Result<(T, Vec<f32>, Vec<f32>), Error> {
    let (mut all_theta, mut all_x) = (Vec::new(), Vec::new());
    let seed = Seed(inputs.infer.seed).derive("abc simulations", 0);
    let d = simulator.prior().parameters();
    let mut simulate = |theta: &[f32], first: usize| {
        let rows = theta.len() / d;
        let made = simulate_rows(simulator, Theta::Given(theta), first as u64, rows, seed, &session.stop);
        let x = made.map(|made| made.x.into_data()).map_err(|error| error.to_string())?;
        if session.is_stopping() {
            return Err("stopped".to_string());
        }
        if inputs.keep.is_some() {
            all_theta.extend_from_slice(theta);
            all_x.extend_from_slice(&x);
        }
        Ok(x)
    };
    let result = work(&mut simulate);
    if session.is_stopping() {
        let help = "ABC keeps nothing before its end: the same command begins anew";
        return Err(Error::Unfinished { message: "stopped while simulating".into(), help: help.into() });
    }
    Ok((result?, all_theta, all_x))
}

/// MCABC.
fn closest(session: &Session, inputs: &AbcInputs<'_>, prior: &Prior, stored: Option<&PairSource>, x_obs: &[f64]) -> Result<Found, Error> {
    let (infer, config) = (inputs.infer, &inputs.infer.train_args.abc);
    let simulations = match stored {
        Some(source) => config.num_simulations.unwrap_or_else(|| source.rows()),
        None => simulations(inputs)?,
    };
    let options = RejectionAbc {
        simulations,
        // The check of the file has asked for exactly one.
        accept: config.eps.map_or_else(|| Accept::Quantile(config.quantile.unwrap_or(1.0)), Accept::Within),
        summaries: summaries(infer),
        adjustment: adjustment(infer),
        trials: config.num_iid_samples.unwrap_or(1),
    };
    let seed = Seed(infer.seed).derive("abc", 0);
    match (&inputs.source, stored) {
        (AbcSource::Simulator(simulator), _) => {
            if infer.proposal.is_some() {
                let help = "leave `proposal` out: it describes stored simulations";
                return Err(Error::failed("ABC with a simulator draws its parameters from the prior", help));
            }
            session.console.note(format_args!("{simulations} simulations from the prior for one observation"));
            let (sample, theta, x) =
                with_simulator(session, inputs, *simulator, |simulate| rejection_abc(prior, x_obs, &options, simulate, seed))?;
            Ok(Found { sample, course: Vec::new(), theta, x })
        }
        (AbcSource::Stored(_), Some(source)) => {
            if source.theta_len() != prior.parameters() {
                return Err(Error::failed(
                    format!("theta has {} columns, the prior {} parameters", source.theta_len(), prior.parameters()),
                    "the prior needs one entry per column of theta",
                ));
            }
            let proposal = infer.proposal.as_ref().map(|spec| build_prior(spec, "proposal")).transpose()?;
            session.console.note(format_args!("the closest of {simulations} stored simulations for one observation"));
            // Rows that are not finite count as failures, not as missing.
            let rows: Vec<usize> = (0..source.rows().min(simulations)).collect();
            let (theta, x) = source.select(&rows)?;
            let table = SimulationTable { theta: theta.data(), x: x.data(), proposal: proposal.as_ref() };
            let sample = rejection_abc_of_table(prior, x_obs, &options, &table)?;
            Ok(Found { sample, course: Vec::new(), theta: Vec::new(), x: Vec::new() })
        }
        (AbcSource::Stored(_), None) => Err(Error::failed("there are no simulations", "name `x_file` and `theta_file` in the data file")),
    }
}

/// SMCABC.
fn populations(session: &Session, inputs: &AbcInputs<'_>, prior: &Prior, x_obs: &[f64]) -> Result<Found, Error> {
    let (infer, config) = (inputs.infer, &inputs.infer.train_args.abc);
    let AbcSource::Simulator(simulator) = inputs.source else {
        return Err(Error::failed(
            "engine SMCABC simulates where the last population is, and the data file names no simulator",
            "add `simulator: {task: …}` or `simulator: {command: […]}`, or use MCABC on stored simulations",
        ));
    };
    // The check of the file has asked for all three.
    let needed = (config.num_particles, config.num_initial_pop, config.epsilon_decay);
    let (Some(particles), Some(initial), Some(decay)) = needed else {
        return Err(Error::failed("engine SMCABC lacks an option", "give num_particles, num_initial_pop and epsilon_decay"));
    };
    let options = SmcAbc {
        particles,
        initial,
        simulations: simulations(inputs)?,
        leftover: if config.use_last_pop_samples == Some(false) { Leftover::Discard } else { Leftover::Fill },
        decay: if config.distance_based_decay == Some(true) { Decay::Quantile(decay) } else { Decay::Factor(decay) },
        kernel_variance_scale: config.kernel_variance_scale.unwrap_or(1.0),
        ess_min: config.ess_min,
        summaries: summaries(infer),
        adjustment: adjustment(infer),
        trials: config.num_iid_samples.unwrap_or(1),
    };
    session.console.note(format_args!("populations of {particles} within {} simulations for one observation", options.simulations));
    let seed = Seed(infer.seed).derive("abc", 0);
    let ((sample, course), theta, x) =
        with_simulator(session, inputs, simulator, |simulate| smc_abc(prior, x_obs, &options, simulate, seed))?;
    Ok(Found { sample, course, theta, x })
}

fn warnings(posterior: &AbcPosterior, summary: &AbcSummary) -> Vec<Warning> {
    let mut found = Vec::new();
    if summary.failed > 0 {
        found.push(warning(
            format!("{} of {} simulations failed or hold NaN, and were left out", summary.failed, summary.simulations),
            "if simulations fail for some parameters only, the posterior is that given that the simulation works",
        ));
    }
    if summary.effective_draws < FEW_DRAWS {
        found.push(warning(
            format!("the accepted parameters are worth {:.0} independent draws", summary.effective_draws),
            "simulate more, or accept a larger part and correct it with `lra: true`",
        ));
    }
    // Two simulations from the prior are √(2 F) apart, F values of one datum with variance 1 each.
    let values = posterior.x_obs.len() / posterior.trials();
    if posterior.trials() == 1 && summary.epsilon > (values as f64).sqrt() {
        found.push(warning(
            format!(
                "accepted simulations are up to {:.2} from the observation, and simulations from the prior are about {:.2} from each other",
                summary.epsilon,
                (2.0 * values as f64).sqrt()
            ),
            "such a sample is close to the prior, or the observation lies outside the simulations: `sass: true` reduces many data to few",
        ));
    }
    if summary.populations.len() == 1 {
        found.push(Warning {
            severity: Severity::Info,
            text: "the simulations sufficed for the first population alone, which is rejection ABC".into(),
            hint: "give more `num_simulations`, or a smaller `num_initial_pop`".into(),
        });
    }
    found
}

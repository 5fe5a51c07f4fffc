//! Validation: is the posterior right on pairs that it has not seen?

use super::calibrate::{self, CONFORMAL};
use super::draw::{Drawing, Draws, K_HAT, Wish, draw};
use super::inputs::{Observation, dropped_rows, make_folder, write_array};
use super::measure::{Measured, blocks, measure};
use super::train::prefix;
use crate::config::{CoverageConfig, CoveragePlot, DrawsConfig, MetricConfig, SinglePosteriorConfig, ValConfig};
use crate::error::Error;
use crate::present::posterior::write_corner;
use crate::present::run::{CURVES, METRICS, SAMPLING};
use crate::present::validation::{PlotSelection, write_plots};
use crate::session::{Session, json, warning};
use abduce_data::artefact::write_atomic;
use abduce_data::{Array, PairSource, ParameterInfo, Seed};
use abduce_inference::diagnostics::{
    self, Gate, GateMetrics, Metrics, PriorSpread, Validation, ValidationInputs, ValidationOptions, Warning,
};
use abduce_inference::posterior::Posterior;
use abduce_inference::prior::Prior;
use std::io::Write as _;
use std::path::Path;

/// Draws of the prior that its variance is taken from.
const PRIOR_DRAWS: usize = 10_000;

/// What to validate.
#[derive(Debug)]
pub struct Test<'a> {
    /// The posterior.
    pub posterior: &'a Posterior,
    /// Test pairs.
    pub source: &'a PairSource,
    /// What to compute and draw.
    pub config: &'a ValConfig,
    /// Observation of the corner plot and its true parameters, where given.
    pub observation: Option<Observation>,
    /// Gates that must hold.
    pub gates: Vec<Gate>,
    /// Seed of draws and random references.
    pub seed: Seed,
    /// What has been drawn and scored elsewhere, for each posterior that is tested; empty: all of it is done here.
    pub measured: Vec<Measured>,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Tested {
    /// Numbers of the ensemble, or of each net where the ensemble is not tested as one.
    pub metrics: Vec<Metrics>,
    /// What is worth saying.
    pub warnings: Vec<Warning>,
}

/// Test pairs in memory: finite rows, as many as asked for.
#[derive(Debug)]
pub struct Pairs {
    /// θ (n, d).
    pub theta: Array,
    /// x (n, …).
    pub x: Array,
}

impl Test<'_> {
    /// The pairs that are tested.
    ///
    /// # Errors
    /// They are not those of the posterior, or can't be read.
    pub fn pairs(&self) -> Result<Pairs, Error> {
        let (d, posterior) = (self.source.theta_len(), self.posterior);
        if d != posterior.dimension() || self.source.x_shape() != posterior.x_shape {
            return Err(Error::failed(
                format!(
                    "the test pairs have {d} parameters and data of shape {:?}, the posterior has {} and {:?}",
                    self.source.x_shape(),
                    posterior.dimension(),
                    posterior.x_shape
                ),
                "test with simulations of the kind that the posterior was trained on",
            ));
        }
        let rows: Vec<usize> = self.source.kept().iter().take(self.config.n_data.unwrap_or(usize::MAX)).collect();
        let (theta, x) = self.source.select(&rows)?;
        Ok(Pairs { theta, x })
    }

    /// The posteriors that are tested: the ensemble, or its nets one by one, with the labels of the validation file.
    ///
    /// # Errors
    /// Labels that don't fit.
    pub fn posteriors(&self) -> Result<Vec<Posterior>, Error> {
        let labelled = labelled(self.posterior, self.config)?;
        Ok(if self.config.ensemble_mode { vec![labelled] } else { (0..labelled.members.len()).map(|k| labelled.member(k)).collect() })
    }

    /// How the pairs' posteriors are drawn from: as the coverage metric with the most draws says.
    pub fn draws(&self) -> DrawsConfig {
        coverage(self.config).map(|c| c.draws.clone()).max_by_key(|draws| draws.num_samples).unwrap_or_default()
    }
}

/// The coverage metrics.
fn coverage(config: &ValConfig) -> impl Iterator<Item = &CoverageConfig> {
    config.metrics.values().filter_map(|metric| match metric {
        MetricConfig::PosteriorCoverage(coverage) => Some(coverage),
        _ => None,
    })
}

/// Computes all metrics and writes numbers, arrays and plots into `folder`.
pub fn validate(session: &Session, test: &Test<'_>, folder: &Path) -> Result<Tested, Error> {
    make_folder(folder)?;
    let pairs = test.pairs()?;
    let (n, d, x_len) = (pairs.theta.rows(), test.source.theta_len(), test.source.x_len());
    session.console.note(format_args!("validating on {n} pairs with {d} parameters and {x_len} numbers each"));
    let mut tested = Tested { metrics: Vec::new(), warnings: dropped_rows(test.source).into_iter().collect() };
    for (k, posterior) in test.posteriors()?.iter().enumerate() {
        // Repeated nets share a signature; their numbers keep them apart.
        let net = if test.config.ensemble_mode { String::new() } else { format!("net{k}_") };
        let measured = test.measured.get(k).cloned();
        one(session, test, posterior, &pairs, measured, (folder, &net), &mut tested)?;
    }
    Ok(tested)
}

/// The posterior with the labels of the validation file.
fn labelled(posterior: &Posterior, config: &ValConfig) -> Result<Posterior, Error> {
    let mut posterior = posterior.clone();
    if let Some(labels) = &config.labels {
        if labels.len() != posterior.dimension() {
            return Err(Error::failed(
                format!("`labels` names {} parameters, the posterior has {}", labels.len(), posterior.dimension()),
                "give one label per parameter, in the order of the columns of theta",
            ));
        }
        for (parameter, label) in posterior.parameters.iter_mut().zip(labels) {
            parameter.label = Some(label.trim_matches('$').to_string());
        }
    }
    Ok(posterior)
}

/// Everything for one posterior.
fn one(
    session: &Session,
    test: &Test<'_>,
    posterior: &Posterior,
    pairs: &Pairs,
    measured: Option<Measured>,
    (folder, net): (&Path, &str),
    tested: &mut Tested,
) -> Result<(), Error> {
    // LtU-ILI's prefix of pictures and arrays: the name and every signature.
    let signatures = posterior.members.iter().map(|member| prefix(&member.signature));
    let stem = format!("{}{net}{}", prefix(&posterior.name), signatures.collect::<String>());
    let metrics = &test.config.metrics;
    let plots: Vec<CoveragePlot> = coverage(test.config).flat_map(|c| c.plot_list.iter().copied()).collect();
    let measured = match measured {
        Some(measured) => measured,
        None => {
            let mut all = Measured::default();
            for block in blocks(pairs.theta.rows()) {
                all.append(measure(session, posterior, (&pairs.theta, &pairs.x), &test.draws(), block, test.seed)?);
            }
            all
        }
    };
    let (validation, said) = judge(session, test, posterior, pairs, &measured, &folder.join(format!("{net}{CONFORMAL}")))?;
    tested.warnings.extend(said);
    write_plots(folder, &validation, &posterior.parameters, &PlotSelection::of(&stem, &plots))?;
    if plots.contains(&CoveragePlot::Logprob) {
        let values: Vec<f64> = validation.curves.log_prob.iter().map(|q| q.unwrap_or(f64::NEG_INFINITY)).collect();
        write_array(&folder.join(format!("{stem}true_logprobs.npy")), &Array::new(vec![values.len()], values)?)?;
    }
    for metric in metrics.values() {
        match metric {
            // Done with the measurement.
            MetricConfig::PosteriorCoverage(_)
            | MetricConfig::Regions(_)
            | MetricConfig::Conformal(_)
            | MetricConfig::LocalC2st(_)
            | MetricConfig::DataAveragedC2st(_) => {}
            MetricConfig::PosteriorSamples(config) => {
                let drawn = drawn(session, posterior, &pairs.x, &config.draws, test.seed.derive("posterior_samples", 0))?;
                write_array(&folder.join(format!("{stem}posterior_samples.npy")), &draws_first(&drawn.samples)?)?;
            }
            MetricConfig::SinglePosterior(config) => single(session, test, posterior, pairs, (folder, &stem), config)?,
        }
    }
    if let Some(note) = measured.quality.note("draws") {
        session.console.note(note);
        let text = json(&measured.quality)?;
        write_atomic(&folder.join(format!("{net}{SAMPLING}")), |out| out.write_all(text.as_bytes()))?;
    }
    for (name, text) in [(METRICS, json(&validation.metrics)?), (CURVES, json(&validation.curves)?)] {
        write_atomic(&folder.join(format!("{net}{name}")), |out| out.write_all(text.as_bytes()))?;
    }
    tested.warnings.extend(diagnostics::findings(&validation.metrics));
    tested.metrics.push(validation.metrics);
    Ok(())
}

/// Draws as a metric asks for them.
fn drawn(session: &Session, posterior: &Posterior, x: &Array, config: &DrawsConfig, seed: Seed) -> Result<Draws, Error> {
    let drawing = Drawing::choose(session, posterior, config.sample_method, &config.sample_params, Wish::Written)?;
    draw(session, posterior, x, 1, config.num_samples, &drawing, seed)
}

/// All metrics of what was measured.
fn judge(
    session: &Session,
    test: &Test<'_>,
    posterior: &Posterior,
    pairs: &Pairs,
    measured: &Measured,
    conformal: &Path,
) -> Result<(Validation, Vec<Warning>), Error> {
    let n = pairs.x.rows();
    let mut said: Vec<Warning> = measured.quality.warning().into_iter().collect();
    if measured.doubtful > 0 {
        said.push(warning(
            format!("the normalisation of {} of {n} posteriors is uncertain (Pareto k above {K_HAT})", measured.doubtful),
            "the held-out log-probability is to be taken with a grain of salt; ranks and coverage don't depend on it",
        ));
    }
    let samples: Vec<f64> = measured.samples.iter().map(|&v| f64::from(v)).collect();
    let (theta, x) = (pairs.theta.to_f64(), pairs.x.to_f64());
    let prior = &posterior.prior;
    let names: Vec<String> = posterior.parameters.iter().map(|p: &ParameterInfo| p.name.clone()).collect();
    let inputs = ValidationInputs {
        parameters: &names,
        theta: theta.data(),
        samples: &samples,
        log_prob_theta: &measured.log_prob_theta,
        log_prob_samples: Some(&measured.log_prob_samples),
        prior_log_prob: &prior_log_prob(prior, &pairs.theta),
        prior: PriorSpread::Draws(&prior_draws(prior, test.seed)),
        x: Some(x.data()),
    };
    let options =
        ValidationOptions { required_gates: test.gates.clone(), regions: calibrate::regions(test.config), ..ValidationOptions::default() };
    let mut validation = diagnostics::validate(&inputs, test.seed, &options)?;
    said.extend(calibrate::complete(session, test, posterior, &inputs, &mut validation.metrics, conformal)?);
    // Rows of the files that could not be used at all count as left out too.
    validation.metrics.n_excluded += test.source.nan_report().rows;
    Ok((validation, said))
}

/// log p(θ) per row; a bound rounded to single precision counts as inside.
fn prior_log_prob(prior: &Prior, theta: &Array) -> Vec<f64> {
    let row = |row: usize| {
        let inside = |(&value, support): (&f32, &abduce_inference::prior::Interval)| {
            if support.contains_rounded(value) { support.clamp_inside(f64::from(value)) } else { f64::from(value) }
        };
        let theta: Vec<f64> = theta.row(row).iter().zip(prior.support()).map(inside).collect();
        prior.log_prob(&theta)
    };
    (0..theta.rows()).map(row).collect()
}

fn prior_draws(prior: &Prior, seed: Seed) -> Vec<f64> {
    let mut rng = seed.stream("validate.prior", 0);
    let mut draws = vec![0.0; PRIOR_DRAWS * prior.parameters()];
    draws.chunks_exact_mut(prior.parameters()).for_each(|theta| prior.sample(&mut rng, theta));
    draws
}

/// (n_obs, n, d) as (n, n_obs, d), LtU-ILI's order.
fn draws_first(samples: &Array) -> Result<Array, Error> {
    let [observations, draws, d] = samples.shape() else { return Ok(samples.clone()) };
    let at = |draw: usize, observation: usize| &samples.row(observation)[draw * d..(draw + 1) * d];
    let values = (0..*draws).flat_map(|draw| (0..*observations).flat_map(move |observation| at(draw, observation).iter().copied()));
    Ok(Array::new(vec![*draws, *observations, *d], values.collect())?)
}

/// A corner plot of the observation given, or of a random test pair.
fn single(
    session: &Session,
    test: &Test<'_>,
    posterior: &Posterior,
    pairs: &Pairs,
    (folder, stem): (&Path, &str),
    config: &SinglePosteriorConfig,
) -> Result<(), Error> {
    let seed = config.seed.map_or(test.seed, Seed);
    let (x, truth) = match &test.observation {
        Some((x, truth)) => (x.select_rows([0]), truth.clone()),
        None => {
            let row = seed.stream("single_posterior", 0).below(pairs.x.rows());
            (pairs.x.select_rows([row]), Some(pairs.theta.row(row).iter().copied().map(f64::from).collect()))
        }
    };
    let samples = drawn(session, posterior, &x, &config.draws, seed.derive("single_posterior", 0))?.samples;
    let name = if posterior.name.is_empty() { "posterior" } else { &posterior.name };
    let plot = format!("{stem}plot_single_posterior");
    write_corner(folder, &plot, &posterior.parameters, posterior.prior.support(), &[(name, samples.data())], truth.as_deref())?;
    if config.save_samples {
        write_array(&folder.join(format!("{stem}single_samples.npy")), &draws_first(&samples)?)?;
    }
    Ok(())
}

/// The gates asked for, as they came out; one that could not be evaluated has not passed.
pub fn gates<'a>(metrics: &'a [Metrics], asked: &[Gate]) -> Vec<(Gate, Option<&'a GateMetrics>)> {
    metrics.iter().flat_map(|metrics| asked.iter().map(|&gate| (gate, metrics.gates.get(gate.name())))).collect()
}

//! The parts of a validation beyond calibration on average: regions, corrected regions, and the observations at hand.

use super::draw::{Drawing, draw};
use super::validate::Test;
use crate::config::{LocalC2stConfig, MetricConfig, ValConfig};
use crate::error::Error;
use crate::session::{Session, json, warning};
use abduce_data::artefact::write_atomic;
use abduce_inference::diagnostics::{
    self, ConformalCalibration, ConformalScore, LocalC2stInputs, LocalC2stMetrics, LocalC2stOptions, MIN_REFERENCE, Metrics, Pairs,
    RegionOptions, ValidationInputs, ValidationOptions, Warning,
};
use abduce_inference::posterior::Posterior;
use std::io::Write as _;
use std::path::Path;

/// The saved [`ConformalCalibration`], in the folder of the validation.
pub const CONFORMAL: &str = "conformal.json";

/// The regions that the validation file asks for; of several entries the last one.
pub fn regions(config: &ValConfig) -> RegionOptions {
    let mut asked = config.metrics.values().rev().filter_map(|metric| match metric {
        MetricConfig::Regions(regions) => Some(RegionOptions { bins: regions.bins, features: regions.features.clone() }),
        _ => None,
    });
    asked.next().unwrap_or_default()
}

/// Adds what the validation file asks for to `metrics`, and writes the corrected regions to `file`; gives what is worth saying.
pub fn complete(
    session: &Session,
    test: &Test<'_>,
    posterior: &Posterior,
    inputs: &ValidationInputs<'_>,
    metrics: &mut Metrics,
    file: &Path,
) -> Result<Vec<Warning>, Error> {
    let pairs = Pairs::new(*inputs, ValidationOptions::default().max_excluded_fraction)?;
    let mut warnings = Vec::new();
    for metric in test.config.metrics.values() {
        match metric {
            MetricConfig::Conformal(config) => conformal(&pairs, config.score, test, file)?,
            MetricConfig::LocalC2st(config) => metrics.local_c2st = Some(local(session, test, posterior, &pairs, config)?),
            MetricConfig::DataAveragedC2st(_) => {
                let compute = &session.compute;
                let found = diagnostics::data_averaged_c2st(&pairs, test.seed, compute.simd, &compute.threads)?;
                if let Some((averaged, found)) = metrics.data_averaged.as_mut().zip(found) {
                    averaged.c2st = Some(found.score);
                }
            }
            _ => {}
        }
    }
    if let Some((x, _)) = &test.observation {
        let reference = pairs_x(&pairs)?;
        let simulations = pairs.len();
        if simulations < MIN_REFERENCE {
            warnings.push(warning(
                format!("{simulations} test pairs are too few to say whether the observations are unlike the simulations"),
                format!("give {MIN_REFERENCE} test pairs or more"),
            ));
        } else {
            let found = diagnostics::misspecification(&reference, x.to_f64().data(), posterior.x_len(), test.seed)?;
            metrics.misspecification = Some((&found).into());
        }
    }
    Ok(warnings)
}

/// Features of the usable pairs (n, F).
fn pairs_x(pairs: &Pairs<'_>) -> Result<Vec<f64>, Error> {
    let rows = (0..pairs.len()).map(|i| pairs.x(i)).collect::<Option<Vec<_>>>();
    Ok(rows.ok_or_else(|| Error::failed("the test pairs hold no data", "give test pairs with x"))?.concat())
}

fn conformal(pairs: &Pairs<'_>, score: ConformalScore, test: &Test<'_>, file: &Path) -> Result<(), Error> {
    let truths: Vec<f64> = (0..pairs.len()).map(|i| pairs.log_prob_theta(i)).collect();
    let draws: Vec<f64> = (0..pairs.len()).filter_map(|i| pairs.log_prob_samples(i)).flatten().copied().collect();
    let text = json(&ConformalCalibration::fit(&truths, &draws, score, test.seed)?)?;
    Ok(write_atomic(file, |out| out.write_all(text.as_bytes()))?)
}

fn local(
    session: &Session,
    test: &Test<'_>,
    posterior: &Posterior,
    pairs: &Pairs<'_>,
    config: &LocalC2stConfig,
) -> Result<Vec<LocalC2stMetrics>, Error> {
    let Some((x, _)) = &test.observation else {
        return Err(Error::failed("`local_c2st` tests an observation, and there is none", "name it as `xobs_file` in the data file"));
    };
    let x = x.select_rows(0..x.rows().min(config.n_observations));
    session.console.note(format_args!("L-C2ST: {} classifiers on {} pairs", config.permutations + 1, pairs.len()));
    let draws = draw(session, posterior, &x, 1, config.num_samples, &Drawing::of(posterior), test.seed.derive("local_c2st", 0))?.samples;
    let (d, x, draws) = (pairs.parameters(), x.to_f64(), draws.to_f64());
    let inputs = LocalC2stInputs {
        parameters: d,
        theta: &(0..pairs.len()).flat_map(|i| pairs.theta(i)).copied().collect::<Vec<_>>(),
        draws: &(0..pairs.len()).flat_map(|i| &pairs.samples(i)[..d]).copied().collect::<Vec<_>>(),
        x: &pairs_x(pairs)?,
        observations: x.data(),
        observation_draws: draws.data(),
    };
    let options = LocalC2stOptions { permutations: config.permutations, ..LocalC2stOptions::default() };
    let compute = &session.compute;
    let found = diagnostics::local_c2st(&inputs, &options, test.seed, compute.simd, &compute.threads)?;
    Ok(found.iter().enumerate().map(|(row, test)| LocalC2stMetrics::new(row, test)).collect())
}

//! Posterior predictive checks: data simulated with draws of the posterior, against those observed.

use super::inputs::{make_folder, write_array};
use crate::error::Error;
use crate::present::posterior::quantile;
use crate::present::predictive::{FeatureSummary, PredictiveSummary, write_replicates};
use crate::session::{Session, json};
use abduce_data::artefact::write_atomic;
use abduce_data::{Array, Seed};
use abduce_inference::diagnostics::uniformity::holm;
use abduce_inference::diagnostics::{DiagnosticsError, predictive_check};
use abduce_inference::simulator::{RowSimulator, Theta, simulate_rows};
use std::io::Write as _;
use std::path::Path;

/// The checks of all observations, in the folder of the command.
pub const PREDICTIVE: &str = "predictive.json";
/// Replicates (n_obs, n, trials, …), NaN where the simulation failed.
const REPLICATES: &str = "x_rep.npy";
/// Parameters of the replicates (n_obs, n, d).
const PARAMETERS: &str = "theta.npy";
/// Observations that get a picture.
const MAX_PICTURES: usize = 10;

/// What to predict.
pub struct Prediction<'a> {
    /// The simulator.
    pub simulator: &'a dyn RowSimulator,
    /// Observations (n_obs · trials, …).
    pub x: &'a Array,
    /// Independent data of each.
    pub trials: usize,
    /// Draws of the posterior of each (n_obs, n, d).
    pub samples: &'a Array,
    /// Seed of the simulations.
    pub seed: Seed,
}

/// Simulates a replicate of each observation for each draw, checks, and writes numbers, arrays and pictures into `folder`.
///
/// # Errors
/// The simulator fails or makes data of another shape, or too many replicates fail.
pub fn predict(session: &Session, what: &Prediction<'_>, folder: &Path) -> Result<Vec<PredictiveSummary>, Error> {
    let Prediction { simulator, x, trials, samples, seed } = *what;
    let d = simulator.prior().parameters();
    let draws = samples.row_len() / d;
    let theta: Vec<f32> = samples.data().chunks_exact(d).flat_map(|row| std::iter::repeat_n(row, trials).flatten().copied()).collect();
    let rows = samples.rows() * draws * trials;
    session.console.note(format_args!("simulating {rows} data of {} observations", samples.rows()));
    let made = simulate_rows(simulator, Theta::Given(&theta), 0, rows, seed, &session.stop)?;
    if made.done.len() < rows {
        let message = format!("stopped; {} of {rows} predicted data were simulated", made.done.len());
        return Err(Error::Unfinished { message, help: "the same command simulates them again".into() });
    }
    if made.x.row_shape() != x.row_shape() {
        return Err(Error::failed(
            format!("the simulator makes data of shape {:?}, the observations have {:?}", made.x.row_shape(), x.row_shape()),
            "predict with the simulator that the posterior was trained on",
        ));
    }
    let width = trials * x.row_len();
    let mut found = Vec::new();
    for (observation, x_rep) in made.x.data().chunks_exact(draws * width).enumerate() {
        let observed = &x.data()[observation * width..(observation + 1) * width];
        found.push(check(observation, observed, x_rep, seed.derive("check", observation as u64))?);
    }
    make_folder(folder)?;
    let x_shape: Vec<usize> = [&[samples.rows(), draws, trials][..], x.row_shape()].concat();
    write_array(&folder.join(REPLICATES), &Array::new(x_shape, made.x.into_data())?)?;
    write_array(&folder.join(PARAMETERS), samples)?;
    let text = json(&found)?;
    write_atomic(&folder.join(PREDICTIVE), |out| out.write_all(text.as_bytes()))?;
    for summary in found.iter().take(MAX_PICTURES) {
        write_replicates(folder, summary)?;
    }
    Ok(found)
}

fn check(observation: usize, observed: &[f32], x_rep: &[f32], seed: Seed) -> Result<PredictiveSummary, Error> {
    let width = observed.len();
    let usable: Vec<f64> =
        x_rep.chunks_exact(width).filter(|row| row.iter().all(|v| v.is_finite())).flatten().map(|&v| f64::from(v)).collect();
    let replicates = usable.len() / width;
    let failed = x_rep.len() / width - replicates;
    let x_o: Vec<f64> = observed.iter().map(|&v| f64::from(v)).collect();
    let found = predictive_check(&usable, &x_o, seed).map_err(|error| match error {
        DiagnosticsError::TooFewDraws { found, needed, .. } => Error::failed(
            format!("observation {observation}: {found} replicates are usable, {failed} failed; at least {needed} are needed"),
            "ask for more draws with -n, or look at the simulator",
        ),
        other => other.into(),
    })?;
    let adjusted = holm(&found.features.iter().map(|feature| feature.p).collect::<Vec<_>>());
    let feature = |j: usize| {
        let mut values: Vec<f64> = usable.iter().skip(j).step_by(width).copied().collect();
        values.sort_by(f64::total_cmp);
        FeatureSummary {
            feature: j,
            observed: x_o[j],
            quantiles: [0.025, 0.16, 0.5, 0.84, 0.975].map(|p| quantile(&values, p)),
            p: found.features[j].p,
            adjusted_p: adjusted[j],
        }
    };
    Ok(PredictiveSummary {
        observation,
        replicates,
        failed,
        mahalanobis_p: found.mahalanobis_p,
        mahalanobis: found.mahalanobis,
        median_distance_p: found.median_distance_p,
        median_distance: found.median_distance,
        features: (0..width).map(feature).collect(),
    })
}

//! Novelty and maxima of a posterior for observations.

use crate::error::Error;
use crate::session::{Session, warning};
use abduce_data::{Array, Seed};
use abduce_inference::diagnostics::Warning;
use abduce_inference::posterior::{Novelty, Posterior};
use serde::Serialize;
use std::collections::BTreeMap;

/// Observations named one by one.
const MAX_NAMED: usize = 5;

/// What to say about observations outside the simulations.
pub fn novelty_warnings(novelties: &[Novelty], observations: usize) -> Vec<Warning> {
    let hint = "the posterior extrapolates there: do not trust it without simulations like this observation";
    let one = |novelty: &Novelty| {
        warning(
            format!(
                "observation {} lies outside the simulations: feature {} by {:.1} standard deviations ({} features outside)",
                novelty.row, novelty.feature, novelty.distance, novelty.features_outside
            ),
            hint,
        )
    };
    let mut found: Vec<Warning> = novelties.iter().take(MAX_NAMED).map(one).collect();
    if novelties.len() > MAX_NAMED {
        found.push(warning(
            format!("{} of {observations} observations lie outside the simulations, the first {MAX_NAMED} are named", novelties.len()),
            hint,
        ));
    }
    found
}

/// The most probable parameters of one observation.
#[derive(Clone, Debug, Serialize)]
pub struct Maximum {
    /// Row of the observation.
    pub observation: usize,
    /// Parameters by name.
    pub theta: BTreeMap<String, f64>,
    /// log q(θ | x) there, in nats; of a likelihood or ratio its logarithm plus the log-prior.
    pub log_prob: f64,
    /// Of 16 climbs, those that ended there. Few: there may be a higher maximum.
    pub climbs_agreeing: usize,
}

/// MAP estimates of observations (n_obs · trials, …).
pub fn maxima(session: &Session, posterior: &Posterior, x: &Array, trials: usize, seed: Seed) -> Result<Vec<Maximum>, Error> {
    let found = posterior.map(&session.compute, x.data(), trials, seed)?;
    let names = || posterior.parameters.iter().map(|parameter| parameter.name.clone());
    let maximum = |(observation, map): (usize, abduce_inference::posterior::MapEstimate)| Maximum {
        observation,
        theta: names().zip(map.theta).collect(),
        log_prob: map.log_prob,
        climbs_agreeing: map.agreeing,
    };
    Ok(found.into_iter().enumerate().map(maximum).collect())
}

//! Where the next round simulates.

use super::{SequentialError, SequentialTask, Strategy};
use crate::posterior::Posterior;
use abduce_data::Seed;
use abduce_nn::Compute;

/// Draws of q(θ | x_o) that fix the threshold of a cut prior: the 1e-4 quantile is then the 20th smallest.
const THRESHOLD_DRAWS: usize = 200_000;
/// Draws from the prior at once, and at most for each one that is wanted.
const BATCH: usize = 16_384;
const MOST_TRIES: usize = 100_000;

/// θ (simulations, d) of a round.
pub(super) fn propose(
    task: &SequentialTask<'_>,
    last: Option<&Posterior>,
    compute: &Compute,
    round: usize,
    seed: Seed,
) -> Result<Vec<f32>, SequentialError> {
    let Some(last) = last else { return Ok(from_prior(task, task.simulations, seed)) };
    match task.strategy {
        Strategy::Atomic { .. } => Ok(last.sample(compute, task.x_obs, task.simulations, seed)?),
        Strategy::Truncated { cut } => from_cut_prior(task, last, compute, cut, seed),
        Strategy::Likelihood | Strategy::Ratio(_) => {
            let drawn = last.sample_chains(compute, task.x_obs, 1, task.simulations, &task.chains, seed);
            drawn.map(|drawn| drawn.theta).map_err(|source| SequentialError::Proposal { round: round + 1, source })
        }
    }
}

fn from_prior(task: &SequentialTask<'_>, n: usize, seed: Seed) -> Vec<f32> {
    let d = task.prior.parameters();
    let (mut row, mut theta) = (vec![0.0; d], Vec::with_capacity(n * d));
    for i in 0..n {
        task.prior.sample(&mut seed.stream("prior", i as u64), &mut row);
        theta.extend(row.iter().map(|&t| t as f32));
    }
    theta
}

/// p̃(θ) ∝ p(θ) 1[q(θ | x_o) > τ], τ the `cut` quantile of q over its own draws: exact, by rejection from the prior.
fn from_cut_prior(
    task: &SequentialTask<'_>,
    last: &Posterior,
    compute: &Compute,
    cut: f64,
    seed: Seed,
) -> Result<Vec<f32>, SequentialError> {
    if !(0.0..1.0).contains(&cut) {
        return Err(SequentialError::Option { what: "the mass that is cut off", value: cut, expected: "0 ≤ cut < 1" });
    }
    let (d, wanted) = (task.prior.parameters(), task.simulations);
    let draws = last.sample(compute, task.x_obs, THRESHOLD_DRAWS, seed.derive("threshold", 0))?;
    let mut scores = last.log_prob(compute, &draws, task.x_obs, |_| 0)?;
    let (_, &mut threshold, _) = scores.select_nth_unstable_by((cut * THRESHOLD_DRAWS as f64) as usize, f64::total_cmp);
    let mut theta = Vec::with_capacity(wanted * d);
    let mut tried = 0;
    while theta.len() < wanted * d {
        if tried >= wanted.saturating_mul(MOST_TRIES) {
            return Err(SequentialError::Acceptance { tried, accepted: theta.len() / d, wanted });
        }
        let batch = from_prior(task, BATCH, seed.derive("candidates", (tried / BATCH) as u64));
        let scores = last.log_prob(compute, &batch, task.x_obs, |_| 0)?;
        let inside = batch.chunks_exact(d).zip(scores).filter(|(_, score)| *score > threshold);
        let missing = wanted - theta.len() / d;
        inside.take(missing).for_each(|(row, _)| theta.extend_from_slice(row));
        tried += BATCH;
    }
    Ok(theta)
}

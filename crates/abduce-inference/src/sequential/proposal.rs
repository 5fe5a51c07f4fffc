//! Where the next round simulates.

use super::{FirstRound, SequentialError, SequentialTask, Strategy};
use crate::posterior::{ChainOptions, GaussianProposal, Posterior};
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
) -> Result<Proposed, SequentialError> {
    let Some(last) = last else { return Ok(Proposed::plain(from_prior(task, task.simulations, seed))) };
    match task.strategy {
        Strategy::Atomic { .. } | Strategy::Weighted => Ok(Proposed::plain(last.sample(compute, task.x_obs, task.simulations, seed)?)),
        Strategy::Truncated { cut } => from_cut_prior(task, last, compute, cut, seed).map(Proposed::plain),
        Strategy::Likelihood | Strategy::Ratio(_) => by_chains(task, last, compute, task.simulations, round, seed).map(Proposed::plain),
        Strategy::Corrected => from_gaussian(task, last, compute, round, seed),
    }
}

/// Parameters of a round.
pub(super) struct Proposed {
    /// θ (n, d).
    pub(super) theta: Vec<f32>,
    /// The Gaussian over u that they are drawn from, where that is one that the posterior is to be corrected for.
    pub(super) gaussian: Option<GaussianProposal>,
}

impl Proposed {
    const fn plain(theta: Vec<f32>) -> Self {
        Self { theta, gaussian: None }
    }
}

fn by_chains(
    task: &SequentialTask<'_>,
    last: &Posterior,
    compute: &Compute,
    draws: usize,
    round: usize,
    seed: Seed,
) -> Result<Vec<f32>, SequentialError> {
    // Where to simulate next need not be known exactly: chains are as long as asked for.
    let chains = ChainOptions { extensions: 0, ..task.chains };
    let drawn = last.sample_chains(compute, task.x_obs, 1, draws, &chains, seed);
    drawn.map(|drawn| drawn.theta).map_err(|source| SequentialError::Proposal { round: round + 1, source })
}

/// Draws whose moments make a Gaussian.
const MOMENT_DRAWS: usize = 2000;
/// How much wider than the posterior's the Gaussian's covariance is: the quotient of densities then has its tails where there are simulations.
const WIDENED: f64 = 2.0;

/// u ~ N(m, C) with the posterior's mean and twice its covariance.
fn from_gaussian(
    task: &SequentialTask<'_>,
    last: &Posterior,
    compute: &Compute,
    round: usize,
    seed: Seed,
) -> Result<Proposed, SequentialError> {
    let (d, own) = (task.prior.parameters(), seed.derive("moments", 0));
    let draws = if last.is_normalised() {
        last.sample(compute, task.x_obs, MOMENT_DRAWS, own)?
    } else {
        by_chains(task, last, compute, MOMENT_DRAWS, round, own)?
    };
    let mut point = vec![0.0; d];
    let mut u = vec![0.0; draws.len()];
    for (theta, u) in draws.chunks_exact(d).zip(u.chunks_exact_mut(d)) {
        point.iter_mut().zip(theta).for_each(|(a, &b)| *a = f64::from(b));
        last.transform.unconstrained_from_theta(&point, u);
    }
    let gaussian = GaussianProposal::of_draws(&u, d, WIDENED).map_err(|parameter| SequentialError::Flat { round: round + 1, parameter })?;
    let mut rng = seed.stream("gaussian", 0);
    let mut theta = Vec::with_capacity(task.simulations * d);
    let mut u = vec![0.0; d];
    for _ in 0..task.simulations {
        u.iter_mut().for_each(|e| *e = rng.normal());
        gaussian.place(&mut u);
        last.transform.theta_from_unconstrained(&u, &mut point);
        theta.extend(point.iter().map(|&t| t as f32));
    }
    Ok(Proposed { theta, gaussian: Some(gaussian) })
}

/// p(θ)/p̃(θ) of pooled simulations, p̃ being the mixture of what all rounds were drawn from (the balance heuristic of Veach & Guibas 1995): with the
/// prior's round among them no weight exceeds the number of rounds.
///
/// `earlier` are the posteriors of the rounds before this one.
pub(super) fn pooled_weights(
    task: &SequentialTask<'_>,
    earlier: &[Posterior],
    theta: &[f32],
    compute: &Compute,
) -> Result<Vec<f64>, SequentialError> {
    let d = task.prior.parameters();
    let mut point = vec![0.0; d];
    let inside = |theta: &[f32], point: &mut [f64]| {
        point.iter_mut().zip(theta).zip(task.prior.support()).for_each(|((p, &t), s)| *p = s.clamp_inside(f64::from(t)));
    };
    let log_prior: Vec<f64> = theta
        .chunks_exact(d)
        .map(|row| {
            inside(row, &mut point);
            task.prior.log_prob(&point)
        })
        .collect();
    // p̃/p, up to the number of rounds.
    let mut relative = vec![f64::from(u8::from(task.first_round == FirstRound::Kept)); log_prior.len()];
    for posterior in earlier {
        let log_prob = posterior.log_prob(compute, theta, task.x_obs, |_| 0)?;
        relative.iter_mut().zip(log_prob.iter().zip(&log_prior)).for_each(|(sum, (q, p))| *sum += (q - p).exp());
    }
    Ok(relative.into_iter().map(|sum| if sum > 0.0 { sum.recip() } else { 0.0 }).collect())
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

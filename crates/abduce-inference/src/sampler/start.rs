//! Where chains start: points chosen among draws of a proposal.

use super::error::{SamplerError, require};
use super::proposal::{Candidates, Proposal};
use super::target::{Counted, Target};
use abduce_data::Seed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How starts are chosen among the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// With probability ∝ π/q, without replacement (sbi's `sir`, `resample`): nearly draws of π already.
    Resample,
    /// Those of highest π: near its modes.
    Best,
}

/// Options of [`starts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StartOptions {
    /// Starts per target: the schedule's `num_chains` (20).
    pub num_chains: usize,
    /// Batches of candidates per target (10; the sbibm benchmark uses 100).
    pub num_batches: usize,
    /// Candidates per batch (1000).
    pub batch_size: usize,
    /// How they are chosen.
    pub choice: Choice,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self { num_chains: 20, num_batches: 10, batch_size: 1000, choice: Choice::Resample }
    }
}

/// Starts for all chains of all targets, (targets, num_chains, d), by sequential importance resampling: candidates come in batches, and only the
/// ones that are ahead are remembered.
///
/// Candidate i with weight w_i = π_i/q_i gets the key log w_i + G_i, G_i standard Gumbel; the largest keys are then draws without replacement with
/// probabilities ∝ w (Efraimidis & Spirakis 2006; Kool et al. 2019, arXiv:1903.06059). Starts of a target are in random order for
/// `Choice::Resample` and best first for `Choice::Best`.
///
/// # Errors
/// Fewer than `num_chains` candidates of positive density; options out of range.
pub fn starts(target: &dyn Target, proposal: &dyn Proposal, options: &StartOptions, seed: Seed) -> Result<Vec<f64>, SamplerError> {
    let StartOptions { num_chains, num_batches, batch_size, choice } = *options;
    require(num_chains > 0, "num_chains", num_chains as f64, "at least 1")?;
    require(num_batches > 0, "num_batches", num_batches as f64, "at least 1")?;
    require(batch_size > 0, "batch_size", batch_size as f64, "at least 1")?;
    let (targets, d) = (target.count(), target.dimension());
    let all: Vec<usize> = (0..targets).collect();
    let mut density = Counted::new(target);
    let mut candidates = Candidates::new(target, batch_size);
    let mut rngs: Vec<_> = all.iter().map(|&t| seed.stream("sampler.start", target.stream(t))).collect();
    // Keys of the remembered candidates, largest first, and their points.
    let mut keys = vec![f64::NEG_INFINITY; targets * num_chains];
    let mut points = vec![0.0; targets * num_chains * d];
    let mut usable = vec![0usize; targets];
    for batch in 0..num_batches {
        candidates.fill(&mut density, proposal, &all, seed.derive("sampler.start.batch", batch as u64));
        for t in 0..targets {
            let keys = &mut keys[t * num_chains..(t + 1) * num_chains];
            let points = &mut points[t * num_chains * d..(t + 1) * num_chains * d];
            let scores = &candidates.log_density[t * batch_size..(t + 1) * batch_size];
            for ((point, log_weight), &score) in candidates.weighted(t).zip(scores) {
                if log_weight == f64::NEG_INFINITY {
                    continue;
                }
                usable[t] += 1;
                let key = match choice {
                    Choice::Resample => log_weight - libm::log(rngs[t].exponential()),
                    Choice::Best => score,
                };
                let place = keys.partition_point(|&k| k >= key);
                if place < num_chains {
                    keys[place..].rotate_right(1);
                    keys[place] = key;
                    points[place * d..].rotate_right(d);
                    points[place * d..(place + 1) * d].copy_from_slice(point);
                }
            }
        }
    }
    if let Some(t) = usable.iter().position(|&n| n < num_chains) {
        let candidates = num_batches * batch_size;
        return Err(SamplerError::TooFewStarts { target: t, candidates, usable: usable[t], wanted: num_chains });
    }
    if choice == Choice::Resample {
        for (points, rng) in points.chunks_exact_mut(num_chains * d).zip(&mut rngs) {
            for last in (1..num_chains).rev() {
                let other = rng.below(last + 1);
                (0..d).for_each(|j| points.swap(last * d + j, other * d + j));
            }
        }
    }
    Ok(points)
}

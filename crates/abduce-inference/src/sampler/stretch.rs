//! Affine-invariant stretch moves (Goodman & Weare 2010, Commun. Appl. Math. Comput. Sci. 5, 65; emcee: Foreman-Mackey et al. 2013,
//! arXiv:1202.3665).

use super::chains::{Chains, Run, Schedule};
use super::error::{SamplerError, require};
use super::target::Target;
use crate::prior::cholesky::Cholesky;
use abduce_data::Seed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of [`stretch`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StretchOptions {
    /// Scale of the stretch, above 1 (emcee: 2): z ∈ [1/a, a].
    pub a: f64,
}

impl Default for StretchOptions {
    fn default() -> Self {
        Self { a: 2.0 }
    }
}

/// Walkers of each target in two halves; a walker x_k of one half moves along the line through a random walker x_j of the other:
/// y = x_j + z (x_k − x_j), z ~ g(z) ∝ 1/√z on [1/a, a], accepted with probability min(1, z^{d−1} π(y)/π(x_k)).
///
/// `starts` is (targets, num_chains, d). One step moves every walker once, with two calls of the density. The walkers of a target depend
/// on each other, so R̂ over walkers finds an ensemble that hasn't settled less surely than over independent chains; the move weakens
/// in many dimensions (Huijser et al. 2015, arXiv:1509.02230, advise against it above about 50).
///
/// # Errors
/// An odd number of walkers or fewer than 2d; starts outside the support or in a plane; options out of range.
pub fn stretch(
    target: &dyn Target,
    starts: &[f64],
    schedule: &Schedule,
    options: &StretchOptions,
    seed: Seed,
) -> Result<Chains, SamplerError> {
    let (d, walkers) = (target.dimension(), schedule.num_chains);
    require(options.a > 1.0 && options.a.is_finite(), "a", options.a, "above 1")?;
    if walkers < (2 * d).max(4) || walkers % 2 == 1 {
        return Err(SamplerError::Walkers { num_chains: walkers, dimension: d });
    }
    let mut run = Run::new(target, starts, schedule)?;
    for (t, starts) in starts.chunks_exact(walkers * d).enumerate() {
        if let Err(parameter) = Cholesky::factor(&covariance(starts, d), d) {
            return Err(SamplerError::FlatStarts { target: t, parameter });
        }
    }
    let mut rngs = run.streams(target, "sampler.stretch", seed);
    let (half, rows) = (walkers / 2, run.targets * walkers / 2);
    let mut position = starts.to_vec();
    let mut log_density = run.start_log_density.clone();
    let of: Vec<usize> = (0..rows).map(|r| r / half).collect();
    let mut proposal = vec![0.0; rows * d];
    let (mut value, mut log_factor) = (vec![0.0; rows], vec![0.0; rows]);
    let mut accepted = vec![0u64; run.targets];
    let (root_low, root_high) = (1.0 / options.a.sqrt(), options.a.sqrt());
    // Row r of half h is this walker.
    let walker_of = |r: usize, h: usize| r / half * walkers + h * half + r % half;
    for done in 1..=schedule.steps() {
        for h in 0..2 {
            for r in 0..rows {
                let k = walker_of(r, h);
                let rng = &mut rngs[k];
                let j = walker_of(r / half * half + rng.below(half), 1 - h);
                // √z is uniform on [1/√a, √a].
                let root = root_low + (root_high - root_low) * rng.uniform();
                let z = root * root;
                log_factor[r] = (d - 1) as f64 * libm::log(z);
                let (x_k, x_j) = (&position[k * d..(k + 1) * d], &position[j * d..(j + 1) * d]);
                for ((y, &x_k), &x_j) in proposal[r * d..(r + 1) * d].iter_mut().zip(x_k).zip(x_j) {
                    *y = x_j + z * (x_k - x_j);
                }
            }
            run.density.log_density(&proposal, &of, &mut value);
            for r in 0..rows {
                let k = walker_of(r, h);
                let accept = -rngs[k].exponential() < log_factor[r] + value[r] - log_density[k];
                if accept {
                    position[k * d..(k + 1) * d].copy_from_slice(&proposal[r * d..(r + 1) * d]);
                    log_density[k] = value[r];
                    accepted[of[r]] += u64::from(done > schedule.warmup_steps);
                }
            }
        }
        for (k, point) in position.chunks_exact(d).enumerate() {
            run.keep(k, done, point, log_density[k]);
        }
    }
    let moves = (walkers * schedule.thin * schedule.draws) as f64;
    Ok(run.finish(|t| (Some(accepted[t] as f64 / moves), 0)))
}

/// Covariance of the rows of `points` (n, d) with divisor n.
fn covariance(points: &[f64], d: usize) -> Vec<f64> {
    let n = (points.len() / d) as f64;
    let mut mean = vec![0.0; d];
    points.chunks_exact(d).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, x)| *m += x / n));
    let mut covariance = vec![0.0; d * d];
    for row in points.chunks_exact(d) {
        for i in 0..d {
            for j in 0..d {
                covariance[i * d + j] += (row[i] - mean[i]) * (row[j] - mean[j]) / n;
            }
        }
    }
    covariance
}

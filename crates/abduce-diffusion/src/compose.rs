//! One posterior from several independent observations of the same θ, by adding their scores.

use crate::field::{Field, POINTS, Points, Wanted};
use crate::ode::{SolveError, demand_finite};
use crate::schedule::Marginal;
use abduce_data::Seed;
use abduce_kernels::Threads;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Annealed Langevin sampling through the schedule's noise levels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Langevin {
    /// Noise levels of the grid.
    pub levels: usize,
    /// Langevin steps at each level.
    pub steps: usize,
    /// Size of a step in units of σ²/n for n observations, the smallest variance that the composed law can have at a level.
    pub step_size: f64,
}

impl Default for Langevin {
    /// 400 levels of 5 steps of 0.3 σ²/n.
    fn default() -> Self {
        Self { levels: 400, steps: 5, step_size: 0.3 }
    }
}

/// ∇log of the prior, or of the prior with noise, at θ and a level: `(θ, level, out)`.
pub type PriorScore<'a> = dyn Fn(&[f64], &Marginal, &mut [f64]) + Sync + 'a;

/// Draws from p(θ | x_1, …, x_n) ∝ p(θ)^{1-n} Π p(θ | x_i) (Geffner et al. 2022, arXiv:2209.14249): (count, d) values of θ.
///
/// At noise level t the score is (1 - n) ∇log p̃_t(θ) + Σ_i s(θ, t | x_i) with any p̃_t that approaches p as the noise shrinks. That is no noised
/// posterior, so no reverse equation is solved: the laws are a sequence that ends at the posterior, followed by Langevin steps
/// θ += δ/2 s + √δ z. Draws are approximate: the error falls with `levels` times `steps`.
///
/// `prior_score(θ, level, out)` writes ∇log p̃_t at the level's m and σ, in the coordinates of the field: the score of the prior with the same noise,
/// or that of the prior itself times m²/(m² + σ²), which is the paper's factor 1 - t for any schedule. (The first is the better choice where the
/// prior has edges: there its own score is steep and points outwards after the factor 1 - n.) `observations` are the field's numbers of
/// x_1, …, x_n.
///
/// # Errors
/// There is no observation, or states stop being finite.
pub fn sample_composed<F: Field>(
    field: &F,
    threads: &Threads,
    observations: Range<usize>,
    count: usize,
    prior_score: &PriorScore<'_>,
    method: &Langevin,
    seed: Seed,
) -> Result<Vec<f64>, SolveError> {
    if observations.is_empty() {
        return Err(SolveError::NoObservation);
    }
    let (d, schedule, n) = (field.features(), field.schedule(), observations.len() as f64);
    let grid = schedule.grid(method.levels);
    let mut out = vec![0.0; count * d];
    let mut blocks: Vec<_> = out.chunks_mut(POINTS * d).collect();
    threads.for_each(&mut blocks, |b, theta| {
        let rows = theta.len() / d;
        let mut work = field.work(Wanted::Value);
        let mut streams: Vec<_> = (0..rows).map(|r| seed.stream("composed draw", (b * POINTS + r) as u64)).collect();
        let (mut y, mut f, mut score, mut prior) = (vec![0.0; rows * d], vec![0.0; rows * d], vec![0.0; rows * d], vec![0.0; d]);
        let (mut times, mut places) = (vec![0.0; rows], vec![0; rows]);
        let start = schedule.marginal(grid[0]);
        for (row, rng) in theta.chunks_exact_mut(d).zip(&mut streams) {
            row.fill_with(|| start.total / n.sqrt() * rng.normal());
        }
        for &t in &grid {
            let at = schedule.marginal(t);
            times.fill(t);
            let size = method.step_size * at.std * at.std / n;
            for _ in 0..method.steps {
                y.iter_mut().zip(theta.iter()).for_each(|(y, theta)| *y = theta / at.total);
                score.fill(0.0);
                for i in observations.clone() {
                    places.fill(i);
                    field.evaluate(&mut work, Points { y: &y, times: &times, observations: &places }, &mut f, &mut []);
                    for k in 0..score.len() {
                        score[k] -= at.reflect(y[k], f[k]).1 / at.std;
                    }
                }
                for ((row, score), rng) in theta.chunks_exact_mut(d).zip(score.chunks_exact(d)).zip(&mut streams) {
                    prior_score(row, &at, &mut prior);
                    for k in 0..d {
                        let slope = score[k] + (1.0 - n) * prior[k];
                        row[k] += 0.5 * size * slope + size.sqrt() * rng.normal();
                    }
                }
            }
        }
        let end = schedule.marginal(schedule.times().0);
        theta.iter_mut().for_each(|v| *v /= end.mean);
    });
    demand_finite(&out, d)?;
    Ok(out)
}

//! The reverse stochastic equation, with optional Langevin correction.

use crate::field::{Field, POINTS, Points, Wanted};
use crate::ode::{SolveError, demand_finite};
use abduce_data::Rng;
use abduce_kernels::Threads;
use serde::{Deserialize, Serialize};

/// Sampling by dθ = [f θ - g² s] dt + g dw̄ backward in time, on the schedule's fixed grid.
///
/// Each Euler-Maruyama step freezes the network's estimate of θ over the step and integrates the linear rest exactly, so that the grid's
/// noise levels are exact ("ancestral sampling": Song et al. 2021, arXiv:2011.13456, appendix F; the DDPM step for VP; Song et al. 2020,
/// arXiv:2010.02502, eq. 12 and 16 with η = 1). With c = σ_s² m_t/(σ_t² m_s) for the step from t to s: θ_s = m_s θ̂ + c (θ_t - m_t θ̂) + √(σ_s² - c² σ_t²) z.
/// The error is of first order in the step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReverseSde {
    /// Steps of the grid.
    pub steps: usize,
    /// Langevin steps after each of them (the corrector of Song et al. 2021, algorithms 4 and 5).
    pub corrections: usize,
    /// Size of the Langevin steps: δ = 2 (`signal_to_noise` σ)². Song et al. divide norms of noise and score averaged over a batch; their
    /// expected ratio for a sharp posterior, σ, keeps the rows independent of each other.
    pub signal_to_noise: f64,
}

impl Default for ReverseSde {
    /// 500 steps without correction.
    fn default() -> Self {
        Self { steps: 500, corrections: 0, signal_to_noise: 0.16 }
    }
}

/// Takes the rows of `state` (rows, d), scaled states y at the largest time, to the smallest, in place. `stream(row)` is the row's own
/// noise.
///
/// # Errors
/// [`SolveError::Rows`] where states stop being finite.
pub fn solve<F: Field>(
    field: &F,
    threads: &Threads,
    state: &mut [f64],
    observation_of: impl Fn(usize) -> usize + Sync,
    method: &ReverseSde,
    stream: impl Fn(usize) -> Rng + Sync,
) -> Result<(), SolveError> {
    let d = field.features();
    let schedule = field.schedule();
    let grid = schedule.grid(method.steps);
    let mut blocks: Vec<_> = state.chunks_mut(POINTS * d).collect();
    threads.for_each(&mut blocks, |b, state| {
        let n = state.len() / d;
        let mut work = field.work(Wanted::Value);
        let mut streams: Vec<Rng> = (0..n).map(|r| stream(b * POINTS + r)).collect();
        let observations: Vec<usize> = (0..n).map(|r| observation_of(b * POINTS + r)).collect();
        let (mut times, mut f) = (vec![0.0; n], vec![0.0; n * d]);
        let mut evaluate = |t: f64, y: &[f64], f: &mut [f64]| {
            times.fill(t);
            field.evaluate(&mut work, Points { y, times: &times, observations: &observations }, f, &mut []);
        };
        for step in grid.windows(2) {
            let (from, to) = (schedule.marginal(step[0]), schedule.marginal(step[1]));
            // m_t/m_s is finite for the straight path too, whose m_t is 0 at the start.
            let keep = to.std * to.std * (from.mean / to.mean) / from.std;
            let spread = ((to.std - keep) * (to.std + keep)).max(0.0).sqrt();
            evaluate(step[0], state, &mut f);
            for (r, rng) in streams.iter_mut().enumerate() {
                for i in r * d..(r + 1) * d {
                    let (denoised, noise) = from.reflect(state[i], f[i]);
                    state[i] = (to.mean * denoised + keep * noise + spread * rng.normal()) / to.total;
                }
            }
            for _ in 0..method.corrections {
                evaluate(step[1], state, &mut f);
                let size = 2.0 * (method.signal_to_noise * to.std).powi(2);
                for (r, rng) in streams.iter_mut().enumerate() {
                    for i in r * d..(r + 1) * d {
                        let score = -to.reflect(state[i], f[i]).1 / to.std;
                        state[i] += (size * score + (2.0 * size).sqrt() * rng.normal()) / to.total;
                    }
                }
            }
        }
    });
    demand_finite(state, d)
}

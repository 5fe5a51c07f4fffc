//! Variational inference: the Gaussian that is nearest to each target.

use super::error::{SamplerError, require};
use super::gaussian::{Covariance, Gaussians, HeavyTailed};
use super::importance::importance;
use super::target::{Counted, Target};
use abduce_data::Seed;

/// Options of [`fit_reverse`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReverseOptions {
    /// Draws per target and step, an even number (sbi: 256).
    pub n_particles: usize,
    /// Largest length of a step, in units of q's own standard deviations (0.1); it falls to a hundredth of itself along a cosine.
    pub learning_rate: f64,
    /// Steps (500).
    pub max_num_iters: usize,
    /// Which covariances are allowed; a start for independent coordinates has none.
    pub covariance: Covariance,
}

impl Default for ReverseOptions {
    fn default() -> Self {
        Self { n_particles: 256, learning_rate: 0.1, max_num_iters: 500, covariance: Covariance::Full }
    }
}

/// Options of [`fit_forward`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardOptions {
    /// Draws per target and round (4000).
    pub draws: usize,
    /// Rounds (5).
    pub rounds: usize,
    /// Which covariances are allowed.
    pub covariance: Covariance,
}

impl Default for ForwardOptions {
    fn default() -> Self {
        Self { draws: 4000, rounds: 5, covariance: Covariance::Full }
    }
}

fn check(target: &dyn Target, start: &Gaussians) -> Result<(), SamplerError> {
    let expected = target.count() * target.dimension();
    if start.mean().len() != expected || start.dimension() != target.dimension() {
        return Err(SamplerError::Shape { what: "Gaussians' means (targets, d)", found: start.mean().len(), expected });
    }
    Ok(())
}

/// Minimises KL(q ‖ π) over Gaussians q = N(m, L Lᵀ) by the reparameterisation θ = m + Lε.
///
/// With h = Lᵀ∇log π(θ) + ε, the path derivative of log π − log q (Roeder, Wu & Duvenaud 2017, arXiv:1703.09194: no noise is left where q = π), steps are
/// m ← m + ρ L ⟨h⟩ and L ← L (1 + ρ tril ⟨h εᵀ⟩), ⟨⟩ a mean over draws and the diagonal taken as an exponential: gradients in q's own coordinates, so a target's
/// units and correlations don't matter. Draws come in pairs ±ε.
///
/// The result is narrower than a π with heavy tails and covers one of several modes. [`importance`] with q as the proposal judges it: k̂ above 0.7 says
/// that it misses something. All targets step together, one batched gradient per step.
///
/// # Errors
/// Shapes and options; a target whose draws all fall outside the support at some step.
pub fn fit_reverse(target: &dyn Target, start: &Gaussians, options: &ReverseOptions, seed: Seed) -> Result<Gaussians, SamplerError> {
    let ReverseOptions { n_particles: n, learning_rate, max_num_iters: steps, covariance } = *options;
    require(n >= 2 && n.is_multiple_of(2), "n_particles", n as f64, "an even number")?;
    require(learning_rate > 0.0 && learning_rate < 1.0, "learning_rate", learning_rate, "between 0 and 1")?;
    require(steps > 0, "max_num_iters", steps as f64, "at least 1")?;
    check(target, start)?;
    let (targets, d) = (target.count(), target.dimension());
    let rows = targets * n;
    let mut q = start.clone();
    if covariance == Covariance::Diagonal {
        q.make_diagonal();
    }
    let mut density = Counted::new(target);
    let of: Vec<usize> = (0..rows).map(|r| r / n).collect();
    let mut rngs: Vec<_> = (0..targets).map(|t| seed.stream("sampler.variational", target.stream(t))).collect();
    let (mut noise, mut points) = (vec![0.0; rows * d], vec![0.0; rows * d]);
    let (mut values, mut gradients) = (vec![0.0; rows], vec![0.0; rows * d]);
    let (mut h, mut shift, mut turn) = (vec![0.0; d], vec![0.0; d], vec![0.0; d * d]);
    for step in 0..steps {
        let cosine = 0.5 * (1.0 + libm::cos(std::f64::consts::PI * step as f64 / steps as f64));
        let rate = learning_rate * (0.01 + 0.99 * cosine);
        for r in 0..rows {
            let own = r * d..(r + 1) * d;
            for i in own.clone() {
                noise[i] = if r % 2 == 1 { -noise[i - d] } else { rngs[of[r]].normal() };
            }
            q.place(of[r], &noise[own.clone()], &mut points[own]);
        }
        density.log_density_gradient(&points, &of, &mut values, &mut gradients);
        for t in 0..targets {
            shift.fill(0.0);
            turn.fill(0.0);
            let mut inside = 0.0;
            for r in (t * n..(t + 1) * n).filter(|&r| values[r] > f64::NEG_INFINITY) {
                inside += 1.0;
                let (g, e) = (&gradients[r * d..(r + 1) * d], &noise[r * d..(r + 1) * d]);
                q.pull_back(t, g, &mut h);
                for i in 0..d {
                    h[i] += e[i];
                    shift[i] += h[i];
                    let first = if covariance == Covariance::Diagonal { i } else { 0 };
                    turn[i * d + first..=i * d + i].iter_mut().zip(&e[first..]).for_each(|(o, e)| *o += h[i] * e);
                }
            }
            if inside == 0.0 {
                return Err(SamplerError::Optimiser { target: t, what: "every draw of q is outside the support", steps: step });
            }
            // Far from π gradients say where it is, not how far: no step is longer than the rate.
            let limited = |v: &[f64]| rate / inside / (v.iter().map(|x| x * x).sum::<f64>().sqrt() / inside).max(1.0);
            let (by_shift, by_turn) = (limited(&shift), limited(&turn));
            shift.iter_mut().for_each(|x| *x *= by_shift);
            turn.iter_mut().for_each(|x| *x *= by_turn);
            q.step(t, &shift, &turn);
        }
    }
    Ok(q)
}

/// Minimises KL(π ‖ q) over Gaussians: q takes the mean and covariance of π, estimated with Pareto-smoothed importance weights of draws of the
/// round before (adaptive importance sampling; Cappé et al. 2008, arXiv:0710.4242). Draws have the tails of Student's t with five degrees of freedom, so
/// that a target with tails heavier than Gaussian keeps its weights in bounds.
///
/// The start should cover π; the result covers all modes that it found. Judge it with [`importance`].
///
/// # Errors
/// Shapes and options; a target for which no draw has a positive weight, or whose weights rest on too few draws for a covariance.
pub fn fit_forward(target: &dyn Target, start: &Gaussians, options: &ForwardOptions, seed: Seed) -> Result<Gaussians, SamplerError> {
    require(options.rounds > 0, "rounds", options.rounds as f64, "at least 1")?;
    check(target, start)?;
    let mut q = start.clone();
    for round in 0..options.rounds {
        let weighted = importance(
            target,
            &HeavyTailed { gaussians: &q, target },
            options.draws,
            seed.derive("sampler.variational.round", round as u64),
        )?;
        for t in 0..target.count() {
            let rows = t * options.draws..(t + 1) * options.draws;
            let d = q.dimension();
            if q.set_moments(t, &weighted.points[rows.start * d..rows.end * d], &weighted.weights[rows]).is_err() {
                let report = &weighted.report[t];
                return Err(SamplerError::Unreliable { target: t, k_hat: report.k_hat, limit: 0.7, ess: report.ess, draws: options.draws });
            }
        }
        if options.covariance == Covariance::Diagonal {
            q.make_diagonal();
        }
    }
    Ok(q)
}

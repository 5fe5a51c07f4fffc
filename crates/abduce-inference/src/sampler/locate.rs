//! Where each target lies: mean and covariance by adaptive importance sampling with tempered weights.

use super::error::{SamplerError, require};
use super::gaussian::{Gaussians, HeavyTailed};
use super::proposal::{Candidates, Proposal};
use super::target::{Counted, Target};
use abduce_data::Seed;

/// Weighted points of each target and the Gaussian that has their moments.
#[derive(Clone, Debug)]
pub struct Located {
    /// N(m_t, Σ_t) of the weighted points.
    pub gaussians: Gaussians,
    /// Points per target S.
    pub draws: usize,
    /// (targets, S, d).
    pub points: Vec<f64>,
    /// Of sum 1 for each target, (targets, S).
    pub weights: Vec<f64>,
    /// Power β of the weights π/q that gave them, per target; below 1 the target's mass lies where few points are.
    pub power: Vec<f64>,
}

/// Rounds after the first: each shrinks a volume by about the share of points that stay effective, a factor of twenty.
const ROUNDS: usize = 40;

/// Draws `draws` candidates for each target, weights them by (π/q)^β, moves the proposal to their mean and covariance, with the tails of Student's t of
/// five degrees of freedom, and goes on so until β = 1, for at most 41 rounds (population Monte Carlo; Cappé et al. 2008, arXiv:0710.4242).
///
/// β ≤ 1 is the largest power that leaves max(200, 20 d) effective points, at most a quarter of them: so a proposal far wider than the target moves
/// towards it without collapsing onto the one best point. Each target stops on its own.
///
/// # Errors
/// Fewer than 100 draws; a target for which no candidate has a positive weight, or whose points lie in a plane.
pub fn locate(target: &dyn Target, candidates: &dyn Proposal, draws: usize, seed: Seed) -> Result<Located, SamplerError> {
    require(draws >= 100, "draws", draws as f64, "at least 100")?;
    let (targets, d) = (target.count(), target.dimension());
    let wanted = (20.0 * d as f64).max(200.0).min(0.25 * draws as f64);
    let mut found = Located {
        gaussians: Gaussians::diagonal(d, &vec![0.0; targets * d], &vec![1.0; targets * d])?,
        draws,
        points: vec![0.0; targets * draws * d],
        weights: vec![0.0; targets * draws],
        power: vec![0.0; targets],
    };
    let mut density = Counted::new(target);
    let mut batch = Candidates::new(target, draws);
    let mut pending: Vec<usize> = (0..targets).collect();
    for round in 0..=ROUNDS {
        let seed = seed.derive("sampler.locate", round as u64);
        if round == 0 {
            batch.fill(&mut density, candidates, &pending, seed);
        } else {
            batch.fill(&mut density, &HeavyTailed { gaussians: &found.gaussians, target }, &pending, seed);
        }
        for (place, &t) in pending.iter().enumerate() {
            let weights = &mut found.weights[t * draws..(t + 1) * draws];
            let points = &mut found.points[t * draws * d..(t + 1) * draws * d];
            for (((point, log_weight), kept), weight) in batch.weighted(place).zip(points.chunks_exact_mut(d)).zip(&mut *weights) {
                kept.copy_from_slice(point);
                *weight = log_weight;
            }
            found.power[t] = temper(weights, wanted).ok_or(SamplerError::NoWeight { target: t, draws })?;
            found.gaussians.set_moments(t, points, weights).map_err(|_| SamplerError::Optimiser {
                target: t,
                what: "all points of positive weight lie in a plane",
                steps: round,
            })?;
        }
        pending.retain(|&t| found.power[t] < 1.0);
        if pending.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// Turns log-weights into w^β/Σ w^β with the largest β ≤ 1 that leaves `wanted` effective ones, and returns β; `None` where all weights are zero.
fn temper(weights: &mut [f64], wanted: f64) -> Option<f64> {
    let top = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return None;
    }
    let effective = |power: f64| {
        let (sum, squares) = weights.iter().fold((0.0, 0.0), |(sum, squares), w| {
            let w = libm::exp(power * (w - top));
            (sum + w, squares + w * w)
        });
        sum * sum / squares
    };
    let mut power = 1.0;
    if effective(1.0) < wanted {
        // Effective numbers fall as β grows.
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..40 {
            power = 0.5 * (low + high);
            if effective(power) < wanted { high = power } else { low = power }
        }
        power = low;
    }
    let mut total = 0.0;
    for w in weights.iter_mut() {
        *w = if *w == f64::NEG_INFINITY { 0.0 } else { libm::exp(power * (*w - top)) };
        total += *w;
    }
    weights.iter_mut().for_each(|w| *w /= total);
    Some(power)
}

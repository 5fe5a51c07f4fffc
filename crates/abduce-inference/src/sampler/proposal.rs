//! Where candidates come from: a density that can be drawn from, for each target.

use super::target::Target;
use abduce_data::{Rng, Seed};

/// Densities q_0 … q_{m−1} on ℝ^d, one per target, that can be drawn from and scored: priors, trained posteriors, fits.
pub trait Proposal: Sync {
    /// `draws` points for each of the listed targets, (targets, draws, d), and log q of each, (targets, draws), in nats. q must be normalised
    /// where an evidence is wanted; elsewhere a constant is free.
    ///
    /// A target's draws follow from `seed` and the target's own number, not from which others are listed.
    fn draw(&self, targets: &[usize], draws: usize, seed: Seed, points: &mut [f64], log_density: &mut [f64]);
}

/// A proposal made from a function that draws one point: `f(target, rng, point) -> log q(point)`.
#[derive(Clone, Debug)]
pub struct PointProposal<F> {
    dimension: usize,
    draw: F,
}

impl<F: Fn(usize, &mut Rng, &mut [f64]) -> f64 + Sync> PointProposal<F> {
    /// `draw` writes a point of this dimension and returns its log-density.
    pub const fn new(dimension: usize, draw: F) -> Self {
        Self { dimension, draw }
    }
}

impl<F: Fn(usize, &mut Rng, &mut [f64]) -> f64 + Sync> Proposal for PointProposal<F> {
    fn draw(&self, targets: &[usize], draws: usize, seed: Seed, points: &mut [f64], log_density: &mut [f64]) {
        let rows = points.chunks_exact_mut(draws * self.dimension).zip(log_density.chunks_exact_mut(draws));
        for (&target, (points, log_density)) in targets.iter().zip(rows) {
            let mut rng = seed.stream("sampler.proposal", target as u64);
            for (point, log_density) in points.chunks_exact_mut(self.dimension).zip(log_density) {
                *log_density = (self.draw)(target, &mut rng, point);
            }
        }
    }
}

/// Buffers of one batch of candidates of several targets.
pub(super) struct Candidates {
    dimension: usize,
    pub(super) draws: usize,
    /// (targets, draws, d).
    pub(super) points: Vec<f64>,
    /// (targets, draws).
    pub(super) log_proposal: Vec<f64>,
    pub(super) log_density: Vec<f64>,
    of: Vec<usize>,
}

impl Candidates {
    pub(super) fn new(target: &dyn Target, draws: usize) -> Self {
        let rows = target.count() * draws;
        Self {
            dimension: target.dimension(),
            draws,
            points: vec![0.0; rows * target.dimension()],
            log_proposal: vec![0.0; rows],
            log_density: vec![0.0; rows],
            of: vec![0; rows],
        }
    }

    /// Draws a batch for these targets and scores it; the buffers then begin with theirs.
    pub(super) fn fill(&mut self, density: &mut super::target::Counted<'_>, proposal: &dyn Proposal, targets: &[usize], seed: Seed) {
        let rows = targets.len() * self.draws;
        let points = &mut self.points[..rows * self.dimension];
        proposal.draw(targets, self.draws, seed, points, &mut self.log_proposal[..rows]);
        self.of[..rows].chunks_exact_mut(self.draws).zip(targets).for_each(|(of, &t)| of.fill(t));
        density.log_density(points, &self.of[..rows], &mut self.log_density[..rows]);
    }

    /// (point, log π − log q) of each candidate of the target in this place. A candidate that the proposal scores as impossible has no
    /// weight.
    pub(super) fn weighted(&self, place: usize) -> impl Iterator<Item = (&[f64], f64)> {
        let (rows, d) = (place * self.draws..(place + 1) * self.draws, self.dimension);
        self.points[rows.start * d..rows.end * d].chunks_exact(d).zip(&self.log_density[rows.clone()]).zip(&self.log_proposal[rows]).map(
            |((point, &log_density), &log_proposal)| {
                let log_weight = log_density - log_proposal;
                (point, if log_weight.is_nan() || log_weight == f64::INFINITY { f64::NEG_INFINITY } else { log_weight })
            },
        )
    }
}

//! Draws of a posterior by Markov chains, for all observations at once.

use super::grown::run;
use super::{Posterior, PosteriorError, PosteriorTarget};
use crate::sampler::{Convergence, Method, Proposal, SamplerError, SliceOptions, Target};
use abduce_data::Seed;
use abduce_nn::Compute;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How chains are run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChainOptions {
    /// The sampler.
    pub method: Method,
    /// Chains per observation. `None`: 5 to 20, each of some 200 draws: shorter ones can't show that they have converged, and more of them make
    /// larger batches.
    pub num_chains: Option<usize>,
    /// Steps that adapt the sampler and are thrown away: half of them a pilot that shows the posterior's correlations, half with those taken out.
    pub warmup_steps: usize,
    /// Of the steps after that, each so many-th is kept.
    pub thin: usize,
    /// Draws from the prior, in thousands, among which the starts of each observation are chosen.
    pub start_batches: usize,
    /// How often the chains of an observation may double their length while they have not converged ([`Convergence::has_converged`]). 0: never.
    pub extensions: usize,
}

impl Default for ChainOptions {
    /// Slice sampling, 100 steps of warm-up, each fourth step kept, chains of up to eight times the length asked for.
    fn default() -> Self {
        Self {
            method: Method::Slice(SliceOptions::default()),
            num_chains: None,
            warmup_steps: 100,
            thin: 4,
            start_batches: 10,
            extensions: 3,
        }
    }
}

/// Draws and how far they can be trusted.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainDraws {
    /// θ (observations, draws, d), spread evenly over the chains. Neighbouring draws come from different chains.
    pub theta: Vec<f32>,
    /// What is known about the chains of each observation, at their whole length, with parameters on the scale of z.
    pub report: Vec<Convergence>,
}

/// Why chains failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The observations don't fit the posterior.
    #[error(transparent)]
    Posterior(#[from] PosteriorError),
    /// The sampler could not deliver.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
}

/// Observations are taken together while their chains fit into this many numbers.
const MOST_NUMBERS: usize = 1 << 25;

impl Target for PosteriorTarget<'_> {
    fn dimension(&self) -> usize {
        Self::dimension(self)
    }

    fn count(&self) -> usize {
        Self::count(self)
    }

    fn stream(&self, target: usize) -> u64 {
        (self.first() + target) as u64
    }

    fn log_density(&self, points: &[f64], of: &[usize], out: &mut [f64]) {
        self.evaluate(points, of, out, None);
    }

    fn log_density_gradient(&self, points: &[f64], of: &[usize], out: &mut [f64], gradient: &mut [f64]) {
        self.evaluate(points, of, out, Some(gradient));
    }
}

/// The prior on the scale of z, from which starts are chosen.
pub(super) struct PriorProposal<'a> {
    pub(super) posterior: &'a Posterior,
    pub(super) first: usize,
}

impl Proposal for PriorProposal<'_> {
    fn draw(&self, targets: &[usize], draws: usize, seed: Seed, points: &mut [f64], log_density: &mut [f64]) {
        let d = self.posterior.dimension();
        let rows = points.chunks_exact_mut(draws * d).zip(log_density.chunks_exact_mut(draws));
        for (&target, (points, log_density)) in targets.iter().zip(rows) {
            let own = seed.derive("observation", (self.first + target) as u64);
            points.copy_from_slice(&self.posterior.prior_draws(draws, own));
            self.posterior.log_prior_of_rows(points, log_density);
        }
    }
}

impl Posterior {
    /// `draws` draws for each observation, `trials` independent data of which stand one after the other in the rows of `x`.
    ///
    /// Chains run on the unconstrained scale, so no draw leaves the prior's support. The same seed gives the same draws for any number of
    /// threads, and an observation's draws do not depend on the others. Observations whose chains have not converged go on, as far as
    /// [`ChainOptions::extensions`] lets them; whether they have is in the report.
    ///
    /// # Errors
    /// Observations that don't fit, or a sampler that can't deliver, with the numbers that show it.
    pub fn sample_chains(
        &self,
        compute: &Compute,
        x: &[f32],
        trials: usize,
        draws: usize,
        options: &ChainOptions,
        seed: Seed,
    ) -> Result<ChainDraws, ChainError> {
        let (d, datum) = (self.dimension(), self.x_len() * trials.max(1));
        let together = options.together(draws, d);
        let mut found = ChainDraws { theta: Vec::with_capacity(x.len() / datum.max(1) * draws * d), report: Vec::new() };
        for (block, x) in x.chunks(together * datum.max(1)).enumerate() {
            let first = block * together;
            let target = self.target(compute, x, trials)?.numbered_from(first);
            let (mut z, report) = run(&target, &PriorProposal { posterior: self, first }, draws, options, seed)?;
            self.constrain(compute, &mut z);
            found.theta.append(&mut z);
            found.report.extend(report);
        }
        Ok(found)
    }
}

impl ChainOptions {
    pub(super) fn num_chains(&self, draws: usize) -> usize {
        self.num_chains.unwrap_or_else(|| (draws / 200).clamp(5, 20))
    }

    /// Observations whose chains of dimension `d` are run together.
    pub(super) fn together(&self, draws: usize, d: usize) -> usize {
        let num_chains = self.num_chains(draws);
        (MOST_NUMBERS / (draws.div_ceil(num_chains.max(1)) * num_chains * d).max(1)).max(1)
    }
}

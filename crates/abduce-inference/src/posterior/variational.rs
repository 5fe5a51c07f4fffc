//! Draws of a variational approximation that is fitted anew to each observation.

use super::chains::PriorProposal;
use super::{ChainError, Posterior};
use crate::sampler::{
    Covariance, Divergence, FlowFitError, FlowOptions, ForwardOptions, Proposal, ReverseOptions, WeightReport, fit_flows, fit_forward,
    fit_reverse, importance, locate,
};
use abduce_data::Seed;
use abduce_density::{DensitySpec, SplineSpec};
use abduce_nn::Compute;
use serde::{Deserialize, Serialize};

/// What is fitted to each posterior, on the scale of z, the standardised unconstrained parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum VariationalFamily {
    /// A flow.
    Flow(DensitySpec),
    /// A Gaussian.
    Gaussian(Covariance),
}

impl VariationalFamily {
    /// A flow of a size that suits one posterior, by the name that LtU-ILI and sbi give it: maf, nsf, naf, unaf, nice, sospf, gf; or gaussian,
    /// gaussian_diag.
    pub fn named(name: &str) -> Option<Self> {
        let hidden = vec![32, 32];
        Some(Self::Flow(match name {
            "maf" => DensitySpec::Maf { transforms: 5, hidden },
            "nsf" => DensitySpec::Nsf { transforms: 3, hidden: 32, blocks: 1, spline: SplineSpec { bins: 8, bound: 5.0 } },
            "naf" => DensitySpec::Naf { transforms: 2, hidden, signal: 16 },
            "unaf" => DensitySpec::Unaf { transforms: 2, hidden, signal: 16, bound: 8.0 },
            "nice" => DensitySpec::Nice { transforms: 6, hidden },
            "sospf" => DensitySpec::Sospf { transforms: 3, hidden, polynomials: 3, degree: 4, bound: 8.0 },
            "gf" => DensitySpec::Gf { transforms: 4, hidden, components: 8 },
            "gaussian" => return Some(Self::Gaussian(Covariance::Full)),
            "gaussian_diag" => return Some(Self::Gaussian(Covariance::Diagonal)),
            _ => return None,
        }))
    }
}

/// How an approximation is fitted. The numbers of flows are those of [`FlowOptions`]; a Gaussian knows better steps than Adam's and uses `n_particles` and
/// `learning_rate` (in units of its own width) alone.
#[derive(Clone, Debug, PartialEq)]
pub struct VariationalOptions {
    /// The family.
    pub family: VariationalFamily,
    /// What is minimised.
    pub divergence: Divergence,
    /// Draws per observation and step (256).
    pub n_particles: usize,
    /// Learning rate. `None`: 1e-3 of a flow, 0.1 of a Gaussian.
    pub learning_rate: Option<f64>,
    /// Factor of the learning rate from step to step (0.999).
    pub gamma: f64,
    /// Most steps (2000).
    pub max_num_iters: usize,
    /// Fewest steps (10).
    pub min_num_iters: usize,
    /// Gradients with a larger Euclidean norm are scaled down to it (10).
    pub clip_value: f64,
    /// Maximum-likelihood steps before the first step (100).
    pub warm_up_rounds: usize,
}

impl Default for VariationalOptions {
    fn default() -> Self {
        let maf = DensitySpec::Maf { transforms: 5, hidden: vec![32, 32] };
        let flow = FlowOptions::new(maf, Divergence::Reverse);
        Self {
            family: VariationalFamily::Flow(flow.density),
            divergence: flow.divergence,
            n_particles: flow.n_particles,
            learning_rate: None,
            gamma: flow.gamma,
            max_num_iters: flow.max_num_iters,
            min_num_iters: flow.min_num_iters,
            clip_value: flow.clip_value,
            warm_up_rounds: flow.warm_up_rounds,
        }
    }
}

/// How good one fit is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitReport {
    /// Steps made; of a Gaussian the most that were allowed.
    pub steps: usize,
    /// E_q[log π - log q] of the final fit, a lower bound of the log-evidence, in nats.
    pub elbo: f64,
    /// Draws that the fit was judged by.
    pub draws: usize,
    /// What the weights π/q of these draws are worth.
    #[serde(flatten)]
    pub weights: WeightReport,
}

/// Draws and how far they can be trusted.
#[derive(Clone, Debug, PartialEq)]
pub struct VariationalDraws {
    /// θ (observations, draws, d), independent draws of the fit.
    pub theta: Vec<f32>,
    /// Per observation.
    pub report: Vec<FitReport>,
}

/// Why a fit failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VariationalError {
    /// The observations don't fit the posterior, or the target can't be located.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The fit.
    #[error(transparent)]
    Fit(#[from] FlowFitError),
}

/// Prior draws among which each posterior is looked for, and draws of each round that closes in on it.
const CANDIDATES: usize = 4000;
/// Fewest draws that a fit is judged by.
const JUDGED: usize = 2000;
/// Observations whose fits go together: enough for large batches.
const TOGETHER: usize = 32;
/// Draws of one round of a forward Gaussian fit, in units of `n_particles`.
const PER_ROUND: usize = 16;

impl Posterior {
    /// `draws` draws for each observation, `trials` independent data of which stand one after the other in the rows of `x`, from a distribution that is
    /// fitted to the observation's posterior: an approximation, whose quality is in the report. k̂ above 0.7 says that it misses something.
    ///
    /// The posterior is first located by importance sampling that starts from the prior (see [`locate`]). The same seed gives the same draws for any
    /// number of threads, and an observation's draws do not depend on the others.
    ///
    /// # Errors
    /// Observations that don't fit, options out of range, or a posterior that can't be found.
    pub fn sample_variational(
        &self,
        compute: &Compute,
        x: &[f32],
        trials: usize,
        draws: usize,
        options: &VariationalOptions,
        seed: Seed,
    ) -> Result<VariationalDraws, VariationalError> {
        let (d, datum) = (self.dimension(), self.x_len() * trials.max(1));
        let judged = draws.max(JUDGED);
        let mut found = VariationalDraws { theta: Vec::with_capacity(x.len() / datum * draws * d), report: Vec::new() };
        for (block, x) in x.chunks(TOGETHER * datum).enumerate() {
            let first = block * TOGETHER;
            let target = self.target(compute, x, trials).map_err(ChainError::from)?.numbered_from(first);
            let proposal = PriorProposal { posterior: self, first };
            let located = locate(&target, &proposal, CANDIDATES, seed.derive("locate", 0)).map_err(ChainError::from)?;
            let fit_seed = seed.derive("fit", 0);
            let (fits, steps): (Box<dyn Proposal>, Vec<usize>) = match &options.family {
                VariationalFamily::Flow(density) => {
                    let defaults = FlowOptions::new(density.clone(), options.divergence);
                    let options = FlowOptions {
                        n_particles: options.n_particles,
                        learning_rate: options.learning_rate.unwrap_or(defaults.learning_rate),
                        gamma: options.gamma,
                        max_num_iters: options.max_num_iters,
                        min_num_iters: options.min_num_iters,
                        clip_value: options.clip_value,
                        warm_up_rounds: options.warm_up_rounds,
                        ..defaults
                    };
                    let fits = fit_flows(&target, &located, &options, compute, fit_seed)?;
                    let steps = fits.steps.clone();
                    (Box::new(fits), steps)
                }
                VariationalFamily::Gaussian(covariance) => {
                    let (start, covariance) = (&located.gaussians, *covariance);
                    let (fits, steps) = match options.divergence {
                        Divergence::Reverse => {
                            let defaults = ReverseOptions::default();
                            let own = ReverseOptions {
                                n_particles: options.n_particles.next_multiple_of(2),
                                learning_rate: options.learning_rate.unwrap_or(defaults.learning_rate),
                                max_num_iters: options.max_num_iters.min(defaults.max_num_iters),
                                covariance,
                            };
                            (fit_reverse(&target, start, &own, fit_seed), own.max_num_iters)
                        }
                        Divergence::Forward => {
                            let own = ForwardOptions { draws: PER_ROUND * options.n_particles, covariance, ..ForwardOptions::default() };
                            (fit_forward(&target, start, &own, fit_seed), own.rounds)
                        }
                    };
                    (Box::new(fits.map_err(ChainError::from)?), vec![steps; target.count()])
                }
            };
            let numbered = Numbered { fits: fits.as_ref(), first };
            let weighted = importance(&target, &numbered, judged, seed.derive("draws", 0)).map_err(ChainError::from)?;
            let constant = self.target_constant(trials);
            for (t, report) in weighted.report.iter().enumerate() {
                let inside = weighted.log_weights[t * judged..(t + 1) * judged].iter().filter(|w| **w > f64::NEG_INFINITY);
                let elbo = inside.clone().sum::<f64>() / inside.count() as f64 + constant;
                let weights = WeightReport { log_evidence: report.log_evidence + constant, ..*report };
                found.report.push(FitReport { steps: steps[t], elbo, draws: judged, weights });
                let own = &weighted.points[t * judged * d..(t * judged + draws) * d];
                let mut z: Vec<f32> = own.iter().map(|&v| v as f32).collect();
                self.constrain(compute, &mut z);
                found.theta.extend_from_slice(&z);
            }
        }
        Ok(found)
    }
}

/// Fits of the observations from number `first` on: each block of observations draws with a seed of its own.
struct Numbered<'a> {
    fits: &'a dyn Proposal,
    first: usize,
}

impl Proposal for Numbered<'_> {
    fn draw(&self, targets: &[usize], draws: usize, seed: Seed, points: &mut [f64], log_density: &mut [f64]) {
        self.fits.draw(targets, draws, seed.derive("observations", self.first as u64), points, log_density);
    }
}

//! A trained posterior q(θ | x): density, draws, MAP.
//!
//! Members know z, the standardised unconstrained parameters, so no draw can leave the prior's support. There are three kinds ([`Kind`]):
//!
//! * densities of z, log q(θ | x) = log Σ_k w_k q_k(z | x) + log|∂z/∂u| - log|∂θ/∂u|, normalised over the support by construction;
//! * likelihoods, log Σ_k w_k q_k(x | z) + log p(θ), the joint density of x and θ;
//! * ratios, log Σ_k w_k r_k(x, z) + log p(θ), normalised where the ratios are exact.

mod chains;
mod composed;
mod conditional;
mod corrected;
mod evidence;
mod file;
mod grown;
mod map;
mod network;
mod novelty;
mod refine;
mod target;
mod variational;
mod whitened;

pub use chains::{ChainDraws, ChainError, ChainOptions};
pub use corrected::{CorrectedArchitecture, CorrectedDensity, GaussianProposal};
pub use evidence::Evidence;
pub use map::MapEstimate;
pub use network::{Kind, Network, NetworkArchitecture, NetworkError};
pub use novelty::{FeatureRange, Novelty};
pub use refine::{LogLikelihood, Refined, Refinement};
pub use target::PosteriorTarget;
pub use variational::{FitReport, VariationalDraws, VariationalError, VariationalFamily, VariationalOptions};

use crate::prior::{Prior, UnconstrainedTransform};
use abduce_data::{ParameterInfo, Seed, Standardiser};
use abduce_density::Indexed;
use abduce_diffusion::{NoiseSchedule, Sampler, SolveError};
use abduce_nn::Compute;

/// One network of an ensemble.
#[derive(Clone, Debug)]
pub struct Member {
    /// What it has learnt.
    pub network: Network,
    /// Its flat parameters.
    pub params: Vec<f32>,
    /// A word that tells it from the others in file names; may be empty.
    pub signature: String,
}

/// A trained posterior: members, their weights, and everything between the user's numbers and the networks'.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// Name of the run, a prefix of file names; may be empty.
    pub name: String,
    /// The prior.
    pub prior: Prior,
    /// Names, units and labels of the parameters.
    pub parameters: Vec<ParameterInfo>,
    /// Shape of one datum.
    pub x_shape: Vec<usize>,
    /// θ ↔ u.
    pub transform: UnconstrainedTransform,
    /// u → z.
    pub theta_scale: Standardiser,
    /// x → network input.
    pub x_scale: Standardiser,
    /// Range of each feature of the training data, standardised.
    pub x_range: FeatureRange,
    /// The networks.
    pub members: Vec<Member>,
    /// Their weights; sum 1.
    pub weights: Vec<f64>,
}

/// Why a posterior can't answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PosteriorError {
    /// A table has rows of another length than the posterior knows.
    #[error("{what} has {found} values per row, this posterior wants {expected}")]
    Width {
        /// `theta` or `x`.
        what: &'static str,
        /// Values per row found.
        found: usize,
        /// Values per row expected.
        expected: usize,
    },
    /// θ and x have different numbers of rows and neither is one.
    #[error("theta has {theta} rows and x has {x}: expected equal numbers, or one row of either")]
    Pairing {
        /// Rows of theta.
        theta: usize,
        /// Rows of x.
        x: usize,
    },
    /// A datum holds NaN or an infinite value.
    #[error("x, row {row}: feature {feature} is {value}; an observation must be finite")]
    NotFinite {
        /// Row.
        row: usize,
        /// Feature.
        feature: usize,
        /// The value.
        value: f32,
    },
    /// A correction for a proposal, of something else than a density of θ.
    #[error("only densities of the parameters are corrected for a Gaussian proposal")]
    NotADensity,
    /// The model's file holds something else than promised.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The rows of x don't divide into observations.
    #[error("{rows} rows of x don't divide into observations of {trials} data each")]
    Trials {
        /// Rows of x.
        rows: usize,
        /// Data of each observation.
        trials: usize,
    },
    /// Several data for a network that was trained on single ones.
    #[error(
        "{trials} independent data per observation, but the networks give p(theta | x) of a single x: train a likelihood or ratio (engine NLE, NRE), or draw directly from a score model (NPSE)"
    )]
    OneDatum {
        /// Data of each observation.
        trials: usize,
    },
    /// A value that a parameter can't have, in a condition.
    #[error("parameter {parameter} can't be {value}: the prior's support is ({low}, {high})")]
    Condition {
        /// Index of the parameter.
        parameter: usize,
        /// The value.
        value: f64,
        /// Lower end of its support.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// A condition that leaves nothing to draw, or fixes nothing, or fixes something twice, or a parameter that there is not.
    #[error(
        "of {parameters} parameters, {fixed} different ones are fixed by {given} conditions: expected as many as conditions, at least one, and one left"
    )]
    Conditions {
        /// Conditions.
        given: usize,
        /// Parameters that they fix.
        fixed: usize,
        /// Parameters in all.
        parameters: usize,
    },
    /// The flow of a vector field could not be solved.
    #[error(transparent)]
    Flow(#[from] SolveError),
    /// Draws of an unnormalised posterior were asked for without a sampler.
    #[error("the networks give {0}, which can't be drawn from directly: a sampler is needed")]
    NeedsSampler(&'static str),
    /// Files.
    #[error(transparent)]
    Data(#[from] abduce_data::DataError),
}

/// Rows that a thread maps at once.
const BLOCK_ROWS: usize = 256;

impl Posterior {
    /// What the networks give.
    pub fn kind(&self) -> Kind {
        // There is at least one member, and all are of one kind: training and loading see to that.
        self.members.first().map_or(Kind::Npe, |member| member.network.kind())
    }

    /// Whether [`Posterior::log_prob`] integrates to one over the prior's support.
    pub fn is_normalised(&self) -> bool {
        self.kind() == Kind::Npe
    }

    /// Whether a density is the solution of a differential equation, some hundred times as costly as that of a flow of layers.
    pub fn integrates_densities(&self) -> bool {
        self.members.iter().any(|member| matches!(member.network, Network::Field(_)))
    }

    /// Dimension of θ.
    pub fn dimension(&self) -> usize {
        self.parameters.len()
    }

    /// Values per datum.
    pub fn x_len(&self) -> usize {
        self.x_shape.iter().product()
    }

    /// The member `k` alone, as a posterior.
    pub fn member(&self, k: usize) -> Self {
        Self { members: vec![self.members[k].clone()], weights: vec![1.0], ..self.clone() }
    }

    /// Standardised rows of x.
    fn network_input(&self, x: &[f32]) -> Result<Vec<f32>, PosteriorError> {
        let width = self.x_len();
        if x.is_empty() || !x.len().is_multiple_of(width) {
            return Err(PosteriorError::Width { what: "x", found: x.len(), expected: width });
        }
        if let Some(at) = x.iter().position(|v| !v.is_finite()) {
            return Err(PosteriorError::NotFinite { row: at / width, feature: at % width, value: x[at] });
        }
        let mut rows = x.to_vec();
        self.x_scale.forward(&mut rows)?;
        Ok(rows)
    }

    /// z of θ rows, and per row log|∂z/∂θ|, or -∞ where θ lies outside the prior's support.
    fn unconstrained(&self, compute: &Compute, theta: &[f32]) -> Result<(Vec<f32>, Vec<f64>), PosteriorError> {
        let d = self.dimension();
        if theta.is_empty() || !theta.len().is_multiple_of(d) {
            return Err(PosteriorError::Width { what: "theta", found: theta.len(), expected: d });
        }
        let (mut z, mut log_det) = (vec![0.0f32; theta.len()], vec![f64::NEG_INFINITY; theta.len() / d]);
        let parts = theta.chunks(BLOCK_ROWS * d).zip(z.chunks_mut(BLOCK_ROWS * d)).zip(log_det.chunks_mut(BLOCK_ROWS));
        let mut blocks: Vec<_> = parts.collect();
        compute.threads.for_each(&mut blocks, |_, ((theta, z), log_det)| {
            let (mut row, mut u) = (vec![0.0; d], vec![0.0; d]);
            for ((theta, z), log_det) in theta.chunks_exact(d).zip(z.chunks_exact_mut(d)).zip(log_det.iter_mut()) {
                u.fill(0.0);
                if theta.iter().zip(self.prior.support()).all(|(&t, s)| s.contains_rounded(t)) {
                    row.iter_mut().zip(theta).for_each(|(r, &t)| *r = f64::from(t));
                    *log_det = self.theta_scale.log_abs_det() - self.transform.unconstrained_with_log_abs_det(&row, &mut u);
                }
                let scales = self.theta_scale.mean().iter().zip(self.theta_scale.std());
                z.iter_mut().zip(&u).zip(scales).for_each(|((z, u), (m, s))| *z = ((u - m) / s) as f32);
            }
        });
        Ok((z, log_det))
    }

    /// The posterior given the first `width` summaries of ordered embeddings; `None` where a member's embedding is not ordered or has fewer.
    pub fn at_width(&self, width: usize) -> Option<Self> {
        let mut cut = self.clone();
        for member in &mut cut.members {
            let Network::Posterior(estimator) = &member.network else { return None };
            member.network = Network::Posterior(estimator.at_width(width)?);
        }
        Some(cut)
    }

    /// log q(θ_r | x_{row_of(r)}) in nats, for rows of `theta` (n, d) and `x` (m, …): exact, normalised over the prior's support, -∞
    /// outside it. Of a likelihood or ratio, log L + log p(θ): see [`Posterior::is_normalised`].
    ///
    /// # Errors
    /// Shapes that don't fit, or a datum that is not finite.
    pub fn log_prob(
        &self,
        compute: &Compute,
        theta: &[f32],
        x: &[f32],
        row_of: impl Fn(usize) -> usize + Sync,
    ) -> Result<Vec<f64>, PosteriorError> {
        let (z, log_det) = self.unconstrained(compute, theta)?;
        let x = self.network_input(x)?;
        let levels = self.ratio_levels(compute, &x)?;
        let rows = log_det.len();
        let scores = self.member_scores(compute, rows, Indexed { table: &z, row: |r| r }, Indexed { table: &x, row: &row_of })?;
        let mixed = |r: usize| self.mix(|k| f64::from(scores[k][r]) - levels[k][row_of(r)]);
        if self.is_normalised() {
            return Ok((0..rows).map(|r| log_det[r] + mixed(r)).collect());
        }
        // The likelihood is that of the data as given.
        let constant = if self.kind() == Kind::Nle { self.x_scale.log_abs_det() } else { 0.0 };
        let d = self.dimension();
        let mut point = vec![0.0; d];
        let log_posterior = |(r, theta): (usize, &[f32])| {
            if log_det[r] == f64::NEG_INFINITY {
                return f64::NEG_INFINITY;
            }
            self.inside(theta, &mut point);
            mixed(r) + constant + self.prior.log_prob(&point)
        };
        Ok(theta.chunks_exact(d).enumerate().map(log_posterior).collect())
    }

    /// ln p(θ_r | x_1, x_2, …) of the independent data in the rows of `x`, for rows of `theta` (n, d), up to a constant where there are several:
    /// Σ_j ln L(x_j | θ) + ln p(θ), and of a score model Σ_j ln q(θ | x_j) − (n − 1) ln p(θ).
    ///
    /// # Errors
    /// As [`Posterior::log_prob`], and several data where [`Posterior::composes`] is false.
    pub fn log_prob_of_trials(&self, compute: &Compute, theta: &[f32], x: &[f32]) -> Result<Vec<f64>, PosteriorError> {
        let trials = x.len() / self.x_len();
        if trials > 1 && !self.composes() {
            return Err(PosteriorError::OneDatum { trials });
        }
        let mut total = self.log_prob(compute, theta, &x[..self.x_len().min(x.len())], |_| 0)?;
        let mut point = vec![0.0; self.dimension()];
        for datum in x.chunks(self.x_len()).skip(1) {
            let scores = self.log_prob(compute, theta, datum, |_| 0)?;
            for ((total, score), theta) in total.iter_mut().zip(scores).zip(theta.chunks_exact(self.dimension())) {
                self.inside(theta, &mut point);
                *total += score - self.prior.log_prob(&point);
            }
        }
        Ok(total)
    }

    /// Whether several independent data of one θ can be put together: likelihoods, ratios, and scores. (Not flow matching: the Langevin steps of
    /// [`Posterior::sample_composed`] lag behind a signal that its schedule lets grow to the end.)
    pub fn composes(&self) -> bool {
        self.members.iter().all(|member| match &member.network {
            Network::Posterior(_) => false,
            Network::Field(field) => !matches!(field.architecture().schedule, NoiseSchedule::FlowMatching { .. }),
            Network::Likelihood(_) | Network::Ratio(_) | Network::Corrected(_) => true,
        })
    }

    /// θ in double precision, a bound that was rounded to single precision moved inside.
    fn inside(&self, theta: &[f32], point: &mut [f64]) {
        point.iter_mut().zip(theta).zip(self.prior.support()).for_each(|((p, &t), s)| *p = s.clamp_inside(f64::from(t)));
    }

    /// As [`Posterior::log_prob`], row by row; one row of either side pairs with all rows of the other.
    ///
    /// # Errors
    /// As [`Posterior::log_prob`], and numbers of rows that don't pair.
    pub fn log_prob_paired(&self, compute: &Compute, theta: &[f32], x: &[f32]) -> Result<Vec<f64>, PosteriorError> {
        let (n, m) = (theta.len() / self.dimension(), x.len() / self.x_len());
        match (n, m) {
            (_, 1) => self.log_prob(compute, theta, x, |_| 0),
            (1, _) => self.log_prob(compute, &theta.repeat(m), x, |r| r),
            _ if n == m => self.log_prob(compute, theta, x, |r| r),
            _ => Err(PosteriorError::Pairing { theta: n, x: m }),
        }
    }

    /// Scores of every member that has a weight.
    fn member_scores(
        &self,
        compute: &Compute,
        rows: usize,
        z: Indexed<'_, impl Fn(usize) -> usize + Sync>,
        x: Indexed<'_, impl Fn(usize) -> usize + Sync>,
    ) -> Result<Vec<Vec<f32>>, PosteriorError> {
        let score = |(member, &weight): (&Member, &f64)| {
            if weight == 0.0 {
                return Ok(Vec::new());
            }
            let (z, x) = (Indexed { table: z.table, row: &z.row }, Indexed { table: x.table, row: &x.row });
            member.network.score(compute, &member.params, rows, z, x)
        };
        self.members.iter().zip(&self.weights).map(score).collect()
    }

    /// log Σ_k w_k exp(score_k).
    fn mix(&self, score: impl Fn(usize) -> f64) -> f64 {
        if self.members.len() == 1 {
            return score(0);
        }
        let terms = || (0..self.members.len()).filter(|&k| self.weights[k] > 0.0).map(|k| self.weights[k].ln() + score(k));
        let top = terms().fold(f64::NEG_INFINITY, f64::max);
        if top.is_finite() { top + terms().map(|t| (t - top).exp()).sum::<f64>().ln() } else { top }
    }

    /// `draws` draws for each row of `x` (m, …): (m, draws, d).
    ///
    /// For each draw a member is chosen by its weight, so any part of the draws is a sample of the whole mixture. The same seed
    /// gives the same draws for any number of threads, and an observation's draws do not depend on the others.
    ///
    /// # Errors
    /// Shapes that don't fit, a datum that is not finite, or networks that are no densities of θ: those are drawn from by a sampler on
    /// [`Posterior::target`].
    pub fn sample(&self, compute: &Compute, x: &[f32], draws: usize, seed: Seed) -> Result<Vec<f32>, PosteriorError> {
        let (d, rows) = (self.dimension(), self.network_input(x)?);
        let observations = x.len() / self.x_len();
        let choices: Vec<Vec<usize>> = (0..observations)
            .map(|i| {
                let mut rng = seed.stream("member", i as u64);
                (0..draws).map(|_| if self.members.len() > 1 { self.choose(rng.uniform()) } else { 0 }).collect()
            })
            .collect();
        let mut out = vec![0.0f32; observations * draws * d];
        for (k, member) in self.members.iter().enumerate() {
            let counts: Vec<usize> = choices.iter().map(|c| c.iter().filter(|&&m| m == k).count()).collect();
            let z = match &member.network {
                Network::Posterior(estimator) => estimator.sample(compute, &member.params, &rows, &counts, seed.derive("net", k as u64)),
                Network::Field(field) => {
                    field.sample(compute, &member.params, &rows, &counts, &Sampler::default(), seed.derive("net", k as u64))?
                }
                Network::Likelihood(_) => return Err(PosteriorError::NeedsSampler("a likelihood")),
                Network::Ratio(_) | Network::Corrected(_) => return Err(PosteriorError::NeedsSampler("a ratio")),
            };
            let mut next = z.chunks_exact(d);
            for (out, _) in out.chunks_exact_mut(d).zip(choices.iter().flatten()).filter(|(_, m)| **m == k) {
                if let Some(z) = next.next() {
                    out.copy_from_slice(z);
                }
            }
        }
        self.constrain(compute, &mut out);
        Ok(out)
    }

    /// z → θ in place.
    fn constrain(&self, compute: &Compute, rows: &mut [f32]) {
        let d = self.dimension();
        let mut blocks: Vec<&mut [f32]> = rows.chunks_mut(BLOCK_ROWS * d).collect();
        compute.threads.for_each(&mut blocks, |_, block| {
            let mut column = [0.0; BLOCK_ROWS];
            let column = &mut column[..block.len() / d];
            for j in 0..d {
                let (mean, std) = (self.theta_scale.mean()[j], self.theta_scale.std()[j]);
                column.iter_mut().zip(block.iter().skip(j).step_by(d)).for_each(|(u, &z)| *u = f64::from(z) * std + mean);
                self.transform.parameters[j].theta_from_unconstrained_all(compute.simd, column);
                block.iter_mut().skip(j).step_by(d).zip(&*column).for_each(|(theta, &value)| *theta = value as f32);
            }
        });
    }

    fn choose(&self, u: f64) -> usize {
        let mut rest = u;
        for (k, w) in self.weights.iter().enumerate() {
            if rest < *w {
                return k;
            }
            rest -= w;
        }
        // Rounding: the last member that has any weight.
        self.weights.iter().rposition(|w| *w > 0.0).unwrap_or(0)
    }
}

//! The posterior of given observations as a function of z, for samplers.

use super::{Kind, Posterior, PosteriorError};
use crate::prior::special::log_mean_exp;
use abduce_data::Seed;
use abduce_density::Indexed;
use abduce_nn::Compute;
use std::sync::{Mutex, PoisonError};

/// ln π_i(z) up to a constant for each observation i, on z ∈ ℝ^d, the standardised unconstrained parameters.
///
/// ln q(z | x_i) of a density; ln p(z) + Σ_j ln L(x_ij | z) of a likelihood or ratio, where the x_ij are the independent data of one
/// observation and the mixture of an ensemble is taken per datum, as the likelihood of the mixture demands.
#[derive(Debug)]
pub struct PosteriorTarget<'a> {
    posterior: &'a Posterior,
    compute: &'a Compute,
    /// Network input (observations · data of each, …).
    x: Vec<f32>,
    /// Independent data of each observation.
    trials: usize,
    /// Number of the first observation among all that are drawn for.
    first: usize,
    /// For each member and row of `x`, what is taken off its score.
    levels: Vec<Vec<f64>>,
    /// Of one call, kept for the next: samplers make one at a time.
    scratch: Mutex<Scratch>,
}

#[derive(Debug, Default)]
struct Scratch {
    /// The points in single precision.
    z: Vec<f32>,
    prior: PriorScratch,
}

/// One point of the prior (d each).
#[derive(Debug, Default)]
struct PriorScratch {
    u: Vec<f64>,
    theta: Vec<f64>,
    slope: Vec<f64>,
}

impl PriorScratch {
    fn resize(&mut self, d: usize) {
        [&mut self.u, &mut self.theta, &mut self.slope].into_iter().for_each(|values| values.resize(d, 0.0));
    }
}

/// Prior draws that set the level of each ratio network.
const LEVEL_DRAWS: usize = 512;
/// Points that a thread takes at once.
const BLOCK_ROWS: usize = 64;

impl Posterior {
    /// The posterior of every observation, each of `trials` independent data that stand one after the other in the rows of `x`.
    ///
    /// # Errors
    /// Shapes that don't fit, a datum that is not finite, or several data for a network that takes one.
    pub fn target<'a>(&'a self, compute: &'a Compute, x: &[f32], trials: usize) -> Result<PosteriorTarget<'a>, PosteriorError> {
        let x = self.network_input(x)?;
        let rows = x.len() / self.x_len();
        if trials == 0 || !rows.is_multiple_of(trials) {
            return Err(PosteriorError::Trials { rows, trials });
        }
        if trials > 1 && self.kind() == Kind::Npe {
            return Err(PosteriorError::OneDatum { trials });
        }
        let levels = self.ratio_levels(compute, &x)?;
        Ok(PosteriorTarget { posterior: self, compute, x, trials, first: 0, levels, scratch: Mutex::default() })
    }

    /// What is taken off the score of member k at network input row i before members are mixed: a ratio network may be off by a function of
    /// x, which E_prior[r] = 1 fixes. (A mean over prior draws of a fixed stream; the same constant for all θ, so it moves no draw of a
    /// single network, for which it is left out.)
    pub(super) fn ratio_levels(&self, compute: &Compute, x: &[f32]) -> Result<Vec<Vec<f64>>, PosteriorError> {
        let (d, rows) = (self.dimension(), x.len() / self.x_len());
        if self.kind() != Kind::Nre || self.members.len() == 1 {
            return Ok(vec![vec![0.0; rows]; self.members.len()]);
        }
        let z = self.prior_draws(LEVEL_DRAWS, Seed(0).derive("ratio levels", 0));
        let z: Vec<f32> = z.iter().map(|&v| v as f32).collect();
        let pairs = rows * LEVEL_DRAWS;
        let level = |member: &super::Member| {
            let (z, x) = (Indexed { table: &z, row: |r: usize| r % LEVEL_DRAWS }, Indexed { table: x, row: |r: usize| r / LEVEL_DRAWS });
            let scores = member.network.score(compute, &member.params, pairs, z, x)?;
            Ok(scores.chunks_exact(LEVEL_DRAWS).map(|scores| log_mean_exp(scores.iter().map(|&s| f64::from(s)))).collect())
        };
        debug_assert_eq!(z.len(), LEVEL_DRAWS * d);
        self.members.iter().map(level).collect()
    }

    /// z of `n` draws from the prior.
    pub(crate) fn prior_draws(&self, n: usize, seed: Seed) -> Vec<f64> {
        let d = self.dimension();
        let mut rng = seed.stream("prior", 0);
        let (mut theta, mut z) = (vec![0.0; d], vec![0.0; n * d]);
        for row in z.chunks_exact_mut(d) {
            self.prior.sample(&mut rng, &mut theta);
            self.transform.unconstrained_from_theta(&theta, row);
            let scales = self.theta_scale.mean().iter().zip(self.theta_scale.std());
            row.iter_mut().zip(scales).for_each(|(z, (m, s))| *z = (*z - m) / s);
        }
        z
    }

    /// ln p(z) of each row of `points` (n, d), up to a constant.
    pub(super) fn log_prior_of_rows(&self, points: &[f64], out: &mut [f64]) {
        let d = self.dimension();
        let mut scratch = PriorScratch::default();
        scratch.resize(d);
        points.chunks_exact(d).zip(out).for_each(|(point, out)| *out = self.log_prior_of_z(point, &mut scratch, None));
    }

    /// ∂ ln p(z)/∂z of one point.
    pub(super) fn prior_score_of_z(&self, z: &[f64], out: &mut [f64]) {
        let mut scratch = PriorScratch::default();
        scratch.resize(z.len());
        out.fill(0.0);
        self.log_prior_of_z(z, &mut scratch, Some(out));
    }

    /// ln p(z) of one point, up to the constant Jacobian of the standardisation; its gradient is added to `gradient`.
    ///
    /// With θ(u), u = z s + m: ∂ ln p/∂z = s (∂ ln p(θ)/∂θ · dθ/du + ∂ ln|dθ/du|/∂u).
    fn log_prior_of_z(&self, z: &[f64], scratch: &mut PriorScratch, gradient: Option<&mut [f64]>) -> f64 {
        let PriorScratch { u, theta, slope } = scratch;
        let scales = self.theta_scale.mean().iter().zip(self.theta_scale.std());
        u.iter_mut().zip(z).zip(scales).for_each(|((u, z), (m, s))| *u = z * s + m);
        let Some(gradient) = gradient else {
            let log_det = self.transform.theta_with_log_abs_det(u, theta);
            return self.prior.log_prob(theta) + log_det;
        };
        self.transform.theta_from_unconstrained(u, theta);
        self.prior.log_prob_gradient(theta, slope);
        let mut log_det = 0.0;
        for (j, bijection) in self.transform.parameters.iter().enumerate() {
            let (log_derivative, bend) = bijection.log_derivative_and_slope(u[j]);
            log_det += log_derivative;
            gradient[j] += self.theta_scale.std()[j] * (slope[j] * bijection.sign() * libm::exp(log_derivative) + bend);
        }
        self.prior.log_prob(theta) + log_det
    }
}

impl PosteriorTarget<'_> {
    /// The same observations as a part of more, the first being number `first`: draws depend on the number.
    pub fn numbered_from(self, first: usize) -> Self {
        Self { first, ..self }
    }

    /// Number of the first observation.
    pub(super) const fn first(&self) -> usize {
        self.first
    }

    /// Where it is from.
    pub(super) const fn posterior(&self) -> &Posterior {
        self.posterior
    }

    /// Dimension of z.
    pub fn dimension(&self) -> usize {
        self.posterior.dimension()
    }

    /// Number of observations.
    pub fn count(&self) -> usize {
        self.x.len() / self.posterior.x_len() / self.trials
    }

    /// ln π of point r for observation `of[r]`, and, where it is wanted, the gradient by z (n, d).
    pub fn evaluate(&self, points: &[f64], of: &[usize], out: &mut [f64], mut gradient: Option<&mut [f64]>) {
        let (posterior, d, trials) = (self.posterior, self.dimension(), self.trials);
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let Scratch { z, prior } = &mut *scratch;
        z.clear();
        z.extend(points.iter().map(|&v| v as f32));
        let pairs = of.len() * trials;
        let z_row = |r: usize| r / trials;
        let x_row = |r: usize| of[r / trials] * trials + r % trials;
        let (scores, gradients): (Vec<Vec<f32>>, Vec<Vec<f32>>) = posterior
            .members
            .iter()
            .map(|member| {
                let (z, x) = (Indexed { table: z, row: z_row }, Indexed { table: &self.x, row: x_row });
                let found = match gradient {
                    Some(_) => member.network.gradient(self.compute, &member.params, pairs, z, x),
                    None => member.network.score(self.compute, &member.params, pairs, z, x).map(|scores| (scores, Vec::new())),
                };
                // What can't be computed is no number, which samplers count and report.
                found.unwrap_or_else(|_| (vec![f32::NAN; pairs], vec![f32::NAN; gradient.as_ref().map_or(0, |_| pairs * d)]))
            })
            .unzip();
        let score = |k: usize, pair: usize| f64::from(scores[k][pair]) - self.levels[k][x_row(pair)];
        for (r, out) in out.iter_mut().enumerate() {
            *out = (r * trials..(r + 1) * trials).map(|pair| posterior.mix(|k| score(k, pair))).sum();
        }
        if let Some(gradient) = &mut gradient {
            gradient.fill(0.0);
            for pair in 0..pairs {
                let own = &mut gradient[z_row(pair) * d..][..d];
                if let [only] = gradients.as_slice() {
                    own.iter_mut().zip(&only[pair * d..]).for_each(|(g, &v)| *g += f64::from(v));
                    continue;
                }
                let mixed = posterior.mix(|k| score(k, pair));
                for k in (0..scores.len()).filter(|&k| posterior.weights[k] > 0.0) {
                    let share = posterior.weights[k] * (score(k, pair) - mixed).exp();
                    own.iter_mut().zip(&gradients[k][pair * d..]).for_each(|(g, &v)| *g += share * f64::from(v));
                }
            }
        }
        if posterior.kind() != Kind::Npe {
            self.add_prior(points, out, gradient, prior);
        }
    }

    /// Few points are done at once, without a word to the other threads.
    fn add_prior(&self, points: &[f64], out: &mut [f64], gradient: Option<&mut [f64]>, scratch: &mut PriorScratch) {
        let d = self.dimension();
        if out.len() <= BLOCK_ROWS {
            return self.add_prior_to_block(points, out, gradient, scratch);
        }
        let gradients: Vec<Option<&mut [f64]>> = match gradient {
            Some(gradient) => gradient.chunks_mut(BLOCK_ROWS * d).map(Some).collect(),
            None => std::iter::repeat_with(|| None).take(out.len().div_ceil(BLOCK_ROWS)).collect(),
        };
        let mut blocks: Vec<_> = points.chunks(BLOCK_ROWS * d).zip(out.chunks_mut(BLOCK_ROWS)).zip(gradients).collect();
        self.compute.threads.for_each(&mut blocks, |_, ((points, out), gradient)| {
            self.add_prior_to_block(points, out, gradient.as_deref_mut(), &mut PriorScratch::default());
        });
    }

    fn add_prior_to_block(&self, points: &[f64], out: &mut [f64], mut gradient: Option<&mut [f64]>, scratch: &mut PriorScratch) {
        let d = self.dimension();
        scratch.resize(d);
        for (r, (point, out)) in points.chunks_exact(d).zip(out).enumerate() {
            let own = gradient.as_deref_mut().map(|gradient| &mut gradient[r * d..(r + 1) * d]);
            *out += self.posterior.log_prior_of_z(point, scratch, own);
        }
    }
}

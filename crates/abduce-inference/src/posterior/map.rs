//! The most probable parameters.

use super::chains::PriorProposal;
use super::{ChainError, Kind, Posterior, PosteriorTarget};
use crate::prior::Bijection;
use crate::sampler::{Choice, MaximumOptions, StartOptions, Target, maximise, starts};
use abduce_data::Seed;
use abduce_nn::Compute;
use std::sync::{Mutex, PoisonError};

/// A maximum of the posterior density of θ.
#[derive(Clone, Debug, PartialEq)]
pub struct MapEstimate {
    /// θ (d).
    pub theta: Vec<f64>,
    /// [`Posterior::log_prob_of_trials`] there: log q(θ | x), or log-likelihood plus log-prior.
    pub log_prob: f64,
    /// Of 16 climbs, those that ended within 0.01 nats of it. Few: there may be a higher maximum.
    pub agreeing: usize,
}

/// Draws of a density among which the starts are chosen.
const CANDIDATES: usize = 1000;
/// Batches of a thousand draws of the prior among which they are chosen for likelihoods and ratios.
const BATCHES: usize = 10;
const STARTS: usize = 16;
/// Nats that a climb ends for: in single precision a log-density of ten is known to 1e-6, and of a Gaussian this is 0.005 standard deviations.
const TOLERANCE: f64 = 1e-5;
/// Evaluations of a climb: networks with kinks take hundreds.
const EVALUATIONS: usize = 2000;

/// The density of θ as a function of z: ln π(z) − ln|∂θ/∂z|. (A maximum of a density depends on its coordinates.)
///
/// A network's density of z is blunt over some hundredths of an interval, while ∂θ/∂z bends sharply there: their ratio rises to a spike at the bound, which is
/// a fault of both. So of a density of θ the Jacobian is that of [`EDGE`] from the bound all the way to it. (Of likelihoods and ratios it cancels.)
///
/// A bound of the prior is a finite z, the image of the last number inside in single precision. Beyond it everything is as there: else a network that rises
/// towards a bound, of which θ has no more to tell, would be climbed for ever.
struct DensityOfTheta<'a> {
    target: PosteriorTarget<'a>,
    /// z of the ends of the support.
    ends: Vec<[f64; 2]>,
    /// u between which the Jacobian is taken as it is.
    bends: Vec<[f64; 2]>,
    /// Points of one call, kept for the next: climbs make one at a time.
    inside: Mutex<Vec<f64>>,
}

impl<'a> DensityOfTheta<'a> {
    fn new(target: PosteriorTarget<'a>) -> Self {
        let posterior = target.posterior();
        let image = |j: usize, inner: f32| {
            let u = posterior.transform.parameters[j].unconstrained_from_theta(f64::from(inner));
            (u - posterior.theta_scale.mean()[j]) / posterior.theta_scale.std()[j]
        };
        let ends = posterior.prior.support().iter().enumerate().map(|(j, support)| {
            let (low, high) = support.interior_f32();
            // An angle has no ends: beyond its interval it begins again.
            let turns = matches!(posterior.transform.parameters[j], Bijection::Periodic { .. });
            let end = |bound: f64, inner: f32| (bound.is_finite() && !turns).then(|| image(j, inner));
            let found = [end(support.low, low), end(support.high, high)];
            // A parameter below an upper bound alone falls as u rises.
            let falls = posterior.transform.parameters[j].sign() < 0.0;
            let [low, high] = if falls { [found[1], found[0]] } else { found };
            [low.unwrap_or(-FARTHEST), high.unwrap_or(FARTHEST)]
        });
        let bends = posterior.prior.support().iter().zip(&posterior.transform.parameters).map(|(support, bijection)| {
            let edge = EDGE * (support.high - support.low);
            if posterior.kind() != Kind::Npe || !edge.is_finite() || matches!(bijection, Bijection::Periodic { .. }) {
                return [f64::NEG_INFINITY, f64::INFINITY];
            }
            [support.low + edge, support.high - edge].map(|theta| bijection.unconstrained_from_theta(theta))
        });
        Self { ends: ends.collect(), bends: bends.collect(), target, inside: Mutex::default() }
    }

    fn evaluate(&self, points: &[f64], of: &[usize], out: &mut [f64], mut gradient: Option<&mut [f64]>) {
        let d = self.ends.len();
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.clear();
        inside.extend(points.iter().enumerate().map(|(i, z)| z.clamp(self.ends[i % d][0], self.ends[i % d][1])));
        self.target.evaluate(&inside, of, out, gradient.as_deref_mut());
        let posterior = self.target.posterior();
        let (mean, std) = (posterior.theta_scale.mean(), posterior.theta_scale.std());
        for (r, point) in inside.chunks_exact(d).enumerate() {
            for (j, bijection) in posterior.transform.parameters.iter().enumerate() {
                let u = point[j] * std[j] + mean[j];
                let bent = u.clamp(self.bends[j][0], self.bends[j][1]);
                let (log_derivative, slope) = bijection.log_derivative_and_slope(bent);
                let slope = if bent == u { slope } else { 0.0 };
                out[r] -= log_derivative;
                if let Some(gradient) = gradient.as_deref_mut() {
                    let own = &mut gradient[r * d + j];
                    *own = if point[j] == points[r * d + j] { *own - slope * std[j] } else { 0.0 };
                }
            }
        }
    }
}

/// Part of an interval next to its bounds where the Jacobian of a density of θ is not trusted.
const EDGE: f64 = 0.02;
/// No z beyond this, 10⁶ standard deviations of the prior, is worth a climb.
const FARTHEST: f64 = 1e6;

impl Target for DensityOfTheta<'_> {
    fn dimension(&self) -> usize {
        self.target.dimension()
    }

    fn count(&self) -> usize {
        self.target.count()
    }

    fn stream(&self, target: usize) -> u64 {
        Target::stream(&self.target, target)
    }

    fn log_density(&self, points: &[f64], of: &[usize], out: &mut [f64]) {
        self.evaluate(points, of, out, None);
    }

    fn log_density_gradient(&self, points: &[f64], of: &[usize], out: &mut [f64], gradient: &mut [f64]) {
        self.evaluate(points, of, out, Some(gradient));
    }
}

impl Posterior {
    /// The highest density of θ that climbs from the best of many draws reach, for each observation, `trials` independent data of which stand one
    /// after the other in the rows of `x`: draws of the posterior itself where it is a density of θ, of the prior where it is likelihood or
    /// ratio times prior.
    ///
    /// The climb is made in z, the standardised unconstrained parameters; the density is that of θ.
    ///
    /// # Errors
    /// Shapes that don't fit, a datum that is not finite, several data for a network that takes one, or a density without a maximum in reach.
    pub fn map(&self, compute: &Compute, x: &[f32], trials: usize, seed: Seed) -> Result<Vec<MapEstimate>, ChainError> {
        let (d, datum) = (self.dimension(), self.x_len() * trials.max(1));
        let target = DensityOfTheta::new(self.target(compute, x, trials)?);
        let points = match self.kind() {
            Kind::Npe => self.best_of_own_draws(compute, x, seed)?,
            Kind::Nle | Kind::Nre => {
                let options = StartOptions { num_chains: STARTS, num_batches: BATCHES, choice: Choice::Best, ..StartOptions::default() };
                starts(&target, &PriorProposal { posterior: self, first: 0 }, &options, seed)?
            }
        };
        let options = MaximumOptions { num_starts: STARTS, tolerance: TOLERANCE, max_evaluations: EVALUATIONS };
        let found = maximise(&target, &points, &options)?;
        let maximum = |(maximum, x): (crate::sampler::Maximum, &[f32])| {
            let mut theta: Vec<f32> = maximum.point.iter().map(|&z| z as f32).collect();
            self.constrain(compute, &mut theta);
            let log_prob = self.log_prob_of_trials(compute, &theta, x)?[0];
            Ok(MapEstimate { theta: theta.into_iter().map(f64::from).collect(), log_prob, agreeing: maximum.agreeing })
        };
        debug_assert_eq!(points.len(), x.len() / datum * STARTS * d);
        found.into_iter().zip(x.chunks_exact(datum)).map(maximum).collect()
    }

    /// z of the draws with the highest density, (observations, starts, d).
    fn best_of_own_draws(&self, compute: &Compute, x: &[f32], seed: Seed) -> Result<Vec<f64>, ChainError> {
        let (width, d) = (self.x_len(), self.dimension());
        let all = self.sample(compute, x, CANDIDATES, seed)?;
        let mut points = Vec::with_capacity(x.len() / width * STARTS * d);
        for (x, draws) in x.chunks_exact(width).zip(all.chunks_exact(CANDIDATES * d)) {
            let scores = self.log_prob(compute, draws, x, |_| 0)?;
            let mut order: Vec<usize> = (0..CANDIDATES).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
            let best: Vec<f32> = order[..STARTS].iter().flat_map(|&i| draws[i * d..(i + 1) * d].iter().copied()).collect();
            let (z, _) = self.unconstrained(compute, &best)?;
            points.extend(z.into_iter().map(f64::from));
        }
        Ok(points)
    }
}

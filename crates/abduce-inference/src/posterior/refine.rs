//! Draws of a posterior density made exact by the weights of a likelihood.

use super::{ChainError, Kind, Posterior, PosteriorError};
use crate::prior::Prior;
use crate::sampler::{SamplerError, WeightReport, judge};
use abduce_data::Seed;
use abduce_nn::Compute;

/// ln p(x | θ) of one datum: a known likelihood.
pub type LogLikelihood<'a> = dyn Fn(&[f64], &[f64]) -> f64 + Sync + 'a;

/// What the weighted draws are to follow.
#[derive(Clone, Copy)]
pub enum Refinement<'a> {
    /// The posterior of other networks, known up to a constant: a likelihood's or a ratio's.
    Networks(&'a Posterior),
    /// p(θ) L(x | θ) of a known likelihood.
    Likelihood {
        /// p(θ).
        prior: &'a Prior,
        /// ln L.
        log_likelihood: &'a LogLikelihood<'a>,
    },
}

/// Weighted draws.
#[derive(Clone, Debug, PartialEq)]
pub struct Refined {
    /// θ of the proposals (observations, proposals, d).
    pub proposals: Vec<f32>,
    /// Their log-weights as they came, ln p(θ) + ln L(x | θ) - ln q(θ | x), (observations, proposals), in nats.
    pub log_weights: Vec<f64>,
    /// θ (observations, draws, d), chosen among the proposals by the Pareto-smoothed weights, with replacement.
    pub theta: Vec<f32>,
    /// Per observation; `log_evidence` is ln ∫ L p dθ.
    pub report: Vec<WeightReport>,
}

impl Posterior {
    /// Neural importance sampling (Dax et al. 2023, arXiv:2210.05686): draws `proposals` θ ~ q(θ | x) from this posterior for each row of `x`, weighs them by
    /// p(θ) L(x | θ)/q(θ | x), and chooses `draws` of them by their weights.
    ///
    /// Weights make up for what q gets wrong where it has draws at all; k̂ and the effective number say how much of it that was, and k̂ above 0.7 that
    /// the weights can't be trusted.
    ///
    /// # Errors
    /// Networks that can't be drawn from directly or don't have the target's parameters and data; data that don't fit; an observation for which no
    /// proposal has a weight; fewer than 25 proposals.
    pub fn refine(
        &self,
        compute: &Compute,
        target: Refinement<'_>,
        x: &[f32],
        (proposals, draws): (usize, usize),
        seed: Seed,
    ) -> Result<Refined, ChainError> {
        let d = self.dimension();
        if self.kind() != Kind::Npe {
            return Err(PosteriorError::NeedsSampler(if self.kind() == Kind::Nle { "a likelihood" } else { "a ratio" }).into());
        }
        if proposals < 25 {
            return Err(SamplerError::Option { option: "proposals", value: proposals as f64, expected: "at least 25" }.into());
        }
        let theta = self.sample(compute, x, proposals, seed.derive("proposals", 0))?;
        let log_q = self.log_prob(compute, &theta, x, |row| row / proposals)?;
        let log_target = match target {
            Refinement::Networks(posterior) => {
                if posterior.dimension() != d {
                    return Err(PosteriorError::Width { what: "theta", found: d, expected: posterior.dimension() }.into());
                }
                posterior.log_prob(compute, &theta, x, |row| row / proposals)?
            }
            Refinement::Likelihood { prior, log_likelihood } => {
                if prior.parameters() != d {
                    return Err(PosteriorError::Width { what: "theta", found: d, expected: prior.parameters() }.into());
                }
                let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
                let mut values = vec![0.0; log_q.len()];
                let mut blocks: Vec<_> =
                    theta.chunks(proposals * d).zip(values.chunks_mut(proposals)).zip(wide.chunks(self.x_len())).collect();
                compute.threads.for_each(&mut blocks, |_, ((theta, values), x)| {
                    let mut point = vec![0.0; d];
                    for (theta, value) in theta.chunks_exact(d).zip(values.iter_mut()) {
                        let inside = point.iter_mut().zip(theta).zip(prior.support());
                        // A bound that was rounded to single precision counts as inside.
                        inside
                            .for_each(|((p, &t), s)| *p = if s.contains_rounded(t) { s.clamp_inside(f64::from(t)) } else { f64::from(t) });
                        let log_prior = prior.log_prob(&point);
                        *value = if log_prior == f64::NEG_INFINITY { log_prior } else { log_prior + log_likelihood(&point, x) };
                    }
                });
                values
            }
        };
        let mut found = Refined { log_weights: Vec::with_capacity(log_q.len()), theta: Vec::new(), report: Vec::new(), proposals: theta };
        for (observation, (log_target, log_q)) in log_target.chunks_exact(proposals).zip(log_q.chunks_exact(proposals)).enumerate() {
            let mut non_finite = 0;
            let mut weights: Vec<f64> = log_target
                .iter()
                .zip(log_q)
                .map(|(target, q)| {
                    let weight = target - q;
                    if weight.is_nan() || weight == f64::INFINITY {
                        non_finite += 1;
                        return f64::NEG_INFINITY;
                    }
                    weight
                })
                .collect();
            found.log_weights.extend_from_slice(&weights);
            let report = judge(&mut weights, non_finite).ok_or(SamplerError::NoWeight { target: observation, draws: proposals })?;
            found.report.push(report);
            let mut total = 0.0;
            let cumulative: Vec<f64> = weights
                .iter()
                .map(|w| {
                    total += w;
                    total
                })
                .collect();
            let own = &found.proposals[observation * proposals * d..(observation + 1) * proposals * d];
            let mut rng = seed.stream("resample", observation as u64);
            for _ in 0..draws {
                let u = total * rng.uniform();
                let chosen = cumulative.partition_point(|&c| c <= u).min(proposals - 1);
                found.theta.extend_from_slice(&own[chosen * d..(chosen + 1) * d]);
            }
        }
        Ok(found)
    }
}

//! Sequential Monte Carlo ABC.

use super::adjustment::{Adjustment, adjust};
use super::distance::{Summaries, Summariser, distances, prior_rows, scales};
use super::{AbcError, AbcSample, simulated};
use crate::prior::cholesky::Cholesky;
use crate::prior::{Prior, UnconstrainedTransform};
use crate::simulator::Simulate;
use abduce_data::{Rng, Seed};

/// How the accepted distance shrinks from one population to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// By this factor.
    Factor(f64),
    /// To this quantile of the population's distances.
    Quantile(f64),
}

/// Options of [`smc_abc`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmcAbc {
    /// Particles of a population.
    pub particles: usize,
    /// Prior simulations that the first population is the closest of.
    pub initial: usize,
    /// Simulations in all; a population that can't be completed within them is left out.
    pub simulations: usize,
    /// How the distance shrinks.
    pub decay: Decay,
    /// Kernel covariance over the weighted covariance of the population, on the unconstrained scale; 2 is optimal for a Gaussian kernel.
    pub kernel_variance_scale: f64,
    /// What the distance is measured on.
    pub summaries: Summaries,
    /// What happens to the last population's parameters.
    pub adjustment: Adjustment,
}

/// What one population came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Population {
    /// The accepted distance.
    pub epsilon: f64,
    /// Simulations it took.
    pub simulations: usize,
    /// Effective number of particles.
    pub effective_size: f64,
}

/// Particles that are tried at once.
const BATCH: usize = 1024;

/// Closes in on the observation over populations of particles: θ* is a particle of the last population moved by a Gaussian kernel, kept if its
/// simulation is within ε, with the weight p(θ*)/Σ_j w_j K(θ* | θ_j) (Beaumont et al. 2009, algorithm 3.1). Kernels act on the unconstrained
/// scale, so no particle leaves the prior's support. Gives the last complete population and the course of all.
///
/// # Errors
/// Options out of range, too few simulations for the first population, or a simulator that fails.
pub fn smc_abc(
    prior: &Prior,
    x_obs: &[f64],
    options: &SmcAbc,
    simulate: &mut Simulate<'_>,
    seed: Seed,
) -> Result<(AbcSample, Vec<Population>), AbcError> {
    check(options)?;
    let (d, width) = (prior.parameters(), x_obs.len());
    let pilot = options.summaries.pilot(options.initial)?;
    let summariser = Summariser::fit(options.summaries, prior, pilot, width, simulate, seed.derive("pilot", 0))?;
    let observed = summariser.of_rows(x_obs, width);
    let theta = prior_rows(prior, options.initial, seed, 0);
    let (theta, x) = simulated(simulate, &theta, d, pilot, width)?;
    let usable = theta.len() / d;
    let mut failed = options.initial - usable;
    if usable < options.particles {
        return Err(AbcError::TooFew { usable, failed, needed: options.particles, purpose: "the first population" });
    }
    let transform = prior.transform();
    let summaries = summariser.of_rows(&x, width);
    let scales = scales(&summaries, observed.len());
    let all = distances(&summaries, &observed, &scales);
    let mut order: Vec<usize> = (0..usable).collect();
    order.sort_by(|&a, &b| all[a].total_cmp(&all[b]));
    order.truncate(options.particles);
    let mut now = Particles::empty(d, observed.len());
    for &i in &order {
        now.push(&theta[i * d..(i + 1) * d], &summaries[i * observed.len()..(i + 1) * observed.len()], all[i], 1.0, &transform);
    }
    now.normalise();
    let mut epsilon = all[order[order.len() - 1]];
    let mut spent = pilot + options.initial;
    let mut course = vec![Population { epsilon, simulations: spent, effective_size: now.effective_size() }];
    loop {
        let next_epsilon = match options.decay {
            Decay::Factor(factor) => epsilon * factor,
            Decay::Quantile(q) => quantile(&now.distances, q),
        };
        if !(f64::MIN_POSITIVE..epsilon).contains(&next_epsilon) {
            break;
        }
        let kernel = Kernel::new(&now, options.kernel_variance_scale);
        let mut next = Particles::empty(d, observed.len());
        let begun = spent;
        let population = course.len() as u64;
        while next.weights.len() < options.particles && spent < options.simulations {
            let batch = BATCH.min(options.simulations - spent);
            let mut rng = seed.derive("population", population).stream("move", (spent - begun) as u64);
            let moved: Vec<f32> = (0..batch).flat_map(|_| kernel.propose(&now, &transform, &mut rng)).collect();
            let (theta, x) = simulated(simulate, &moved, d, spent, width)?;
            failed += batch - theta.len() / d;
            spent += batch;
            let summaries = summariser.of_rows(&x, width);
            let rows = theta.chunks_exact(d).zip(summaries.chunks_exact(observed.len())).zip(distances(&summaries, &observed, &scales));
            for ((theta, summary), distance) in rows {
                if distance <= next_epsilon && next.weights.len() < options.particles {
                    let mut u = vec![0.0; d];
                    let log_det = transform.unconstrained_with_log_abs_det(theta, &mut u);
                    let weight = (prior.log_prob(theta) + log_det - kernel.log_mixture(&now, &u)).exp();
                    next.push(theta, summary, distance, weight, &transform);
                }
            }
        }
        if next.weights.len() < options.particles || !next.normalise() {
            break;
        }
        (now, epsilon) = (next, next_epsilon);
        course.push(Population { epsilon, simulations: spent - begun, effective_size: now.effective_size() });
    }
    let mut sample = AbcSample { theta: now.theta, weights: now.weights, distances: now.distances, epsilon, simulations: spent, failed };
    if options.adjustment == Adjustment::Linear {
        adjust(&mut sample, &now.summaries, &observed, &scales, prior)?;
    }
    Ok((sample, course))
}

fn check(options: &SmcAbc) -> Result<(), AbcError> {
    let wrong = |option, value, expected| Err(AbcError::Option { option, value, expected });
    match options.decay {
        Decay::Factor(f) if !(f64::MIN_POSITIVE..1.0).contains(&f) => return wrong("epsilon_decay", f, "between 0 and 1"),
        Decay::Quantile(q) if !(f64::MIN_POSITIVE..1.0).contains(&q) => return wrong("epsilon_decay", q, "between 0 and 1"),
        _ => {}
    }
    if options.particles < 2 {
        return wrong("num_particles", options.particles as f64, "at least 2");
    }
    if options.kernel_variance_scale.is_nan() || options.kernel_variance_scale <= 0.0 {
        return wrong("kernel_variance_scale", options.kernel_variance_scale, "greater than 0");
    }
    Ok(())
}

fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((q * values.len() as f64) as usize).min(values.len() - 1)]
}

/// A weighted population.
struct Particles {
    d: usize,
    width: usize,
    theta: Vec<f64>,
    u: Vec<f64>,
    summaries: Vec<f64>,
    distances: Vec<f64>,
    weights: Vec<f64>,
}

impl Particles {
    const fn empty(d: usize, width: usize) -> Self {
        Self { d, width, theta: Vec::new(), u: Vec::new(), summaries: Vec::new(), distances: Vec::new(), weights: Vec::new() }
    }

    fn push(&mut self, theta: &[f64], summaries: &[f64], distance: f64, weight: f64, transform: &UnconstrainedTransform) {
        debug_assert_eq!(summaries.len(), self.width);
        let start = self.u.len();
        self.u.resize(start + self.d, 0.0);
        transform.unconstrained_from_theta(theta, &mut self.u[start..]);
        self.theta.extend_from_slice(theta);
        self.summaries.extend_from_slice(summaries);
        self.distances.push(distance);
        self.weights.push(weight);
    }

    /// Whether the weights have a finite, positive sum; they are divided by it.
    fn normalise(&mut self) -> bool {
        let sum: f64 = self.weights.iter().sum();
        self.weights.iter_mut().for_each(|w| *w /= sum);
        sum.is_finite() && sum > 0.0
    }

    fn effective_size(&self) -> f64 {
        1.0 / self.weights.iter().map(|w| w * w).sum::<f64>()
    }
}

/// The Gaussian kernel of a population.
struct Kernel {
    factor: Cholesky,
    cumulative: Vec<f64>,
}

impl Kernel {
    fn new(particles: &Particles, scale: f64) -> Self {
        let d = particles.d;
        let rows = || particles.u.chunks_exact(d).zip(&particles.weights);
        let mut mean = vec![0.0; d];
        rows().for_each(|(u, w)| mean.iter_mut().zip(u).for_each(|(m, u)| *m += w * u));
        let mut covariance = vec![0.0; d * d];
        for (u, w) in rows() {
            for a in 0..d {
                (0..d).for_each(|b| covariance[a * d + b] += scale * w * (u[a] - mean[a]) * (u[b] - mean[b]));
            }
        }
        // Particles that have fallen together leave a kernel of their spread in each coordinate alone, or next to none.
        let factor = Cholesky::factor(&covariance, d).unwrap_or_else(|_| {
            let mut lower = vec![0.0; d * d];
            (0..d).for_each(|a| lower[a * d + a] = covariance[a * d + a].sqrt().max(1e-12));
            Cholesky::from_lower(lower, d)
        });
        let mut sum = 0.0;
        let cumulative = particles.weights.iter().map(|w| {
            sum += w;
            sum
        });
        Self { factor, cumulative: cumulative.collect() }
    }

    /// A particle, moved.
    fn propose(&self, particles: &Particles, transform: &UnconstrainedTransform, rng: &mut Rng) -> Vec<f32> {
        let d = particles.d;
        let at = rng.uniform();
        let chosen = self.cumulative.partition_point(|&c| c <= at).min(particles.weights.len() - 1);
        let noise: Vec<f64> = (0..d).map(|_| rng.normal()).collect();
        let u: Vec<f64> = (0..d).map(|i| particles.u[chosen * d + i] + self.factor.apply_row(i, &noise)).collect();
        let mut theta = vec![0.0; d];
        transform.theta_from_unconstrained(&u, &mut theta);
        theta.iter().map(|&t| t as f32).collect()
    }

    /// ln Σ_j w_j N(u | u_j, Σ), up to the constant (2π)^{-d/2}.
    fn log_mixture(&self, particles: &Particles, u: &[f64]) -> f64 {
        let mut offset = vec![0.0; u.len()];
        let terms: Vec<f64> = particles
            .u
            .chunks_exact(particles.d)
            .zip(&particles.weights)
            .map(|(centre, w)| {
                offset.iter_mut().zip(u).zip(centre).for_each(|((o, u), c)| *o = u - c);
                self.factor.solve_lower(&mut offset);
                w.ln() - 0.5 * offset.iter().map(|o| o * o).sum::<f64>()
            })
            .collect();
        let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + terms.iter().map(|t| (t - top).exp()).sum::<f64>().ln() - self.factor.log_det_lower()
    }
}

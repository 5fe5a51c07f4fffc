//! Sequential Monte Carlo ABC.

use super::adjustment::{self, Adjustment, adjust};
use super::distance::Distance;
use super::particles::{Kernel, Particles};
use super::rejection::check_trials;
use super::summary::{Simulated, Summaries, Summariser, prior_rows};
use super::{AbcError, AbcSample};
use crate::prior::Prior;
use crate::simulator::Simulate;
use abduce_data::Seed;

/// How the accepted distance shrinks from one population to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// By this factor.
    Factor(f64),
    /// To this quantile of the population's distances.
    Quantile(f64),
}

/// What happens to a population that the simulations don't suffice for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Leftover {
    /// Its place is filled with particles of the one before, resampled by weight: a mixture of the two samples in the proportion of the accepted
    /// particles. ε is then the largest distance among all.
    #[default]
    Fill,
    /// It is left out.
    Discard,
}

/// Options of [`smc_abc`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmcAbc {
    /// Particles of a population.
    pub particles: usize,
    /// Prior simulations that the first population is the closest of.
    pub initial: usize,
    /// Parameters simulated in all.
    pub simulations: usize,
    /// What happens to the population that they don't suffice for.
    pub leftover: Leftover,
    /// How the distance shrinks.
    pub decay: Decay,
    /// Kernel covariance over the weighted covariance of the population, on the unconstrained scale; 2 is optimal for a Gaussian kernel.
    pub kernel_variance_scale: f64,
    /// A population is resampled where its effective share of particles is below this; none: never.
    pub ess_min: Option<f64>,
    /// What the distance is measured on.
    pub summaries: Summaries,
    /// What happens to the last population's parameters.
    pub adjustment: Adjustment,
    /// Independent data of the observation; so many are simulated with each parameter.
    pub trials: usize,
}

/// What one population came to.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Population {
    /// The accepted distance.
    pub epsilon: f64,
    /// Parameters simulated for it.
    pub simulations: usize,
    /// Effective number of particles.
    pub effective_size: f64,
}

/// Particles that are tried at once.
const BATCH: usize = 1024;

/// Closes in on the observation over populations of particles: θ* is a particle of the last population moved by a Gaussian kernel, kept if its
/// simulation is within ε, with the weight p(θ*)/Σ_j w_j K(θ* | θ_j) (Beaumont et al. 2009, algorithm 3.1). Kernels act on the unconstrained
/// scale, so no particle leaves the prior's support. Gives the last population and the course of all. It ends when the simulations are used up, or ε
/// can't shrink any more.
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
    let (d, width) = (prior.parameters(), x_obs.len() / options.trials);
    let size = (width, options.trials);
    let pilot = options.summaries.pilot(options.initial)?;
    let summariser = if pilot == 0 {
        Summariser::Data
    } else {
        let theta = prior_rows(prior, pilot, seed.derive("pilot", 0), 0);
        Summariser::fit(options.summaries, &Simulated::new(simulate, &theta, d, 0, size)?, width, d)?
    };
    let first = Simulated::new(simulate, &prior_rows(prior, options.initial, seed, 0), d, pilot, size)?;
    let (usable, mut failed) = (first.rows(d), first.failed);
    if usable < options.particles {
        return Err(AbcError::TooFew { usable, failed, needed: options.particles, purpose: "the first population" });
    }
    let transform = prior.transform();
    let summaries = summariser.of_rows(&first.x, width);
    let distance = Distance::new(summariser.of_rows(x_obs, width), &summaries, summariser.width(width));
    let observed = distance.observed.len();
    let all = distance.of_rows(&summaries);
    let mut order: Vec<usize> = (0..usable).collect();
    order.sort_by(|&a, &b| all[a].total_cmp(&all[b]));
    order.truncate(options.particles);
    let mut now = Particles::empty(d, observed);
    for &i in &order {
        now.push(&first.theta[i * d..(i + 1) * d], &summaries[i * observed..(i + 1) * observed], all[i], 1.0, &transform);
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
        let population = course.len() as u64;
        let own = seed.derive("population", population);
        if options.ess_min.is_some_and(|share| now.effective_size() < share * now.len() as f64) {
            now = now.resampled(now.len(), &mut own.stream("resample", 0));
        }
        let kernel = Kernel::new(&now, options.kernel_variance_scale);
        let mut next = Particles::empty(d, observed);
        let begun = spent;
        while next.len() < options.particles && spent < options.simulations {
            let batch = BATCH.min(options.simulations - spent);
            let mut rng = own.stream("move", (spent - begun) as u64);
            let moved: Vec<f32> = (0..batch).flat_map(|_| kernel.propose(&now, &transform, &mut rng)).collect();
            let made = Simulated::new(simulate, &moved, d, spent, size)?;
            failed += made.failed;
            spent += batch;
            let summaries = summariser.of_rows(&made.x, width);
            let rows = made.theta.chunks_exact(d).zip(summaries.chunks_exact(observed)).zip(distance.of_rows(&summaries));
            for ((theta, summary), distance) in rows {
                if distance <= next_epsilon && next.len() < options.particles {
                    let mut u = vec![0.0; d];
                    let log_det = transform.unconstrained_with_log_abs_det(theta, &mut u);
                    let weight = (prior.log_prob(theta) + log_det - kernel.log_mixture(&now, &u)).exp();
                    next.push(theta, summary, distance, weight, &transform);
                }
            }
        }
        let accepted = next.len();
        if accepted == 0 || !next.normalise() {
            break;
        }
        if accepted < options.particles {
            if options.leftover == Leftover::Fill {
                let share = accepted as f64 / options.particles as f64;
                next.weights.iter_mut().for_each(|w| *w *= share);
                let missing = options.particles - accepted;
                let others = now.resampled(missing, &mut own.stream("fill", 0));
                (0..missing).for_each(|i| next.copy(&others, i, (1.0 - share) / missing as f64));
                epsilon = next.distances.iter().copied().fold(next_epsilon, f64::max);
                now = next;
                course.push(Population { epsilon, simulations: spent - begun, effective_size: now.effective_size() });
            }
            break;
        }
        (now, epsilon) = (next, next_epsilon);
        course.push(Population { epsilon, simulations: spent - begun, effective_size: now.effective_size() });
    }
    let mut sample = AbcSample { theta: now.theta, weights: now.weights, distances: now.distances, epsilon, simulations: spent, failed };
    let kernel = match options.adjustment {
        Adjustment::None => None,
        Adjustment::Linear => Some(adjustment::Kernel::FitOnly),
        Adjustment::LinearWeighted => Some(adjustment::Kernel::Absent),
    };
    if let Some(kernel) = kernel {
        adjust(&mut sample, &now.summaries, &distance, kernel, prior)?;
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
    if let Some(share) = options.ess_min.filter(|share| !(0.0..=1.0).contains(share)) {
        return wrong("ess_min", share, "a share of the particles, 0 to 1");
    }
    if options.kernel_variance_scale.is_nan() || options.kernel_variance_scale <= 0.0 {
        return wrong("kernel_variance_scale", options.kernel_variance_scale, "greater than 0");
    }
    check_trials(options.trials, options.summaries, options.adjustment)
}

fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((q * values.len() as f64) as usize).min(values.len() - 1)]
}

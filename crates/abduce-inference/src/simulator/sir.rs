//! SIR epidemic (benchmark of Lueckmann et al. 2021, arXiv:2101.04653).

use super::dormand_prince::{Tolerance, integrate};
use super::{Outcome, Simulator, built_in_prior};
use crate::prior::{LocationScale, Prior, PriorSpec};
use abduce_data::{ParameterInfo, Rng};

/// People in the population and people tested on each day of observation.
const POPULATION: f64 = 1e6;
const TESTED: u64 = 1000;
const OBSERVATIONS: usize = 10;
const DAYS_BETWEEN: f64 = 17.0;

/// Contact rate β ~ LogN(ln 0.4, 0.5), recovery rate γ ~ LogN(ln 0.125, 0.2), per day. With N = 10⁶ and (S, I) = (N − 1, 1) on day 0,
/// S' = −β S I/N and I' = β S I/N − γ I; on days 0, 17, …, 153, x ~ Binomial(1000, I/N).
///
/// Integrated by the pair of Dormand and Prince to relative 1e-6; where that fails (rates so large that the step vanishes) the simulation fails.
#[derive(Clone, Debug)]
pub struct Sir {
    prior: Prior,
}

impl Sir {
    /// The task as published.
    pub fn new() -> Self {
        let arguments = LocationScale { loc: [libm::log(0.4), libm::log(0.125)].into(), scale: [0.5, 0.2].into() };
        Self { prior: built_in_prior(PriorSpec::LogNormal(arguments)) }
    }
}

impl Default for Sir {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator for Sir {
    fn name(&self) -> &'static str {
        "sir"
    }

    fn parameters(&self) -> Vec<ParameterInfo> {
        [("beta", r"\beta"), ("gamma", r"\gamma")]
            .map(|(name, label)| ParameterInfo { unit: Some("1/day".into()), label: Some(label.into()), ..ParameterInfo::named(name) })
            .into()
    }

    fn data_shape(&self) -> Vec<usize> {
        vec![OBSERVATIONS]
    }

    fn prior(&self) -> &Prior {
        &self.prior
    }

    fn simulate(&self, theta: &[f64], rng: &mut Rng, x: &mut [f32]) -> Outcome {
        let Some(infected) = infected_fractions(theta) else { return Outcome::Failed };
        for (x, fraction) in x.iter_mut().zip(infected) {
            *x = rng.binomial(TESTED, fraction) as f32;
        }
        Outcome::Done
    }

    fn log_likelihood(&self, theta: &[f64], x: &[f64]) -> Option<f64> {
        Some(log_likelihood(theta, x))
    }
}

/// I/N in [0, 1] on the days of observation.
fn infected_fractions(theta: &[f64]) -> Option<[f64; OBSERVATIONS]> {
    let (beta, gamma) = (theta[0], theta[1]);
    // In fractions of the population.
    let mut state = [1.0 - 1.0 / POPULATION, 1.0 / POPULATION];
    let mut infected = [0.0; OBSERVATIONS];
    let rates = |[susceptible, infected]: [f64; 2]| {
        let new = beta * susceptible * infected;
        [-new, new - gamma * infected]
    };
    // Absolute tolerance: a thousandth of a person.
    let tolerance = Tolerance { relative: 1e-6, absolute: 1e-3 / POPULATION };
    for (k, out) in infected.iter_mut().enumerate() {
        if k > 0 {
            state = integrate(rates, state, DAYS_BETWEEN, tolerance)?;
        }
        *out = state[1].clamp(0.0, 1.0);
    }
    Some(infected)
}

/// ln p(x | θ), the sum of ten binomial terms; −∞ where the integration fails.
pub fn log_likelihood(theta: &[f64], x: &[f64]) -> f64 {
    let Some(infected) = infected_fractions(theta) else { return f64::NEG_INFINITY };
    let n = TESTED as f64;
    infected
        .into_iter()
        .zip(x)
        .map(|(p, &k)| {
            let log_choose = libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0);
            let hits = if k > 0.0 { k * libm::log(p) } else { 0.0 };
            let misses = if k < n { (n - k) * libm::log1p(-p) } else { 0.0 };
            log_choose + hits + misses
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S + I − (γ/β) ln S is conserved by the equations (Kermack & McKendrick 1927).
    #[test]
    fn the_orbit_keeps_its_invariant() {
        for theta in [[0.4, 0.125], [1.5, 0.1], [0.1, 0.2]] {
            let (beta, gamma) = (theta[0], theta[1]);
            let start = [1.0 - 1.0 / POPULATION, 1.0 / POPULATION];
            let rates = |[s, i]: [f64; 2]| [-beta * s * i, beta * s * i - gamma * i];
            let end = integrate(rates, start, 160.0, Tolerance { relative: 1e-6, absolute: 1e-9 }).unwrap();
            let invariant = |[s, i]: [f64; 2]| s + i - gamma / beta * s.ln();
            // 160 days are some 50 steps, each with a local error of 1e-6 of the state at most.
            assert!((invariant(end) - invariant(start)).abs() < 2e-5, "{theta:?}: {end:?}");
        }
    }

    #[test]
    fn absurd_rates_fail_and_say_so() {
        let mut x = [0.0; OBSERVATIONS];
        let mut rng = abduce_data::Seed(0).stream("sir", 0);
        assert_eq!(Sir::new().simulate(&[f64::INFINITY, 0.1], &mut rng, &mut x), Outcome::Failed);
        assert_eq!(Sir::new().simulate(&[1e30, 1e30], &mut rng, &mut x), Outcome::Failed);
    }
}

//! Samplers, densities and composition on Gaussian posteriors, whose exact field is linear.

use abduce_data::Seed;
use abduce_diffusion::compose::{PriorScore, sample_composed};
use abduce_diffusion::estimator::{draw, log_density};
use abduce_diffusion::field::{Field, Points, Wanted};
use abduce_diffusion::schedule::Marginal;
use abduce_diffusion::{Langevin, NoiseSchedule, ReverseSde, Sampler, Tolerance};
use abduce_nn::Compute;

/// The posteriors N(μ_i, R diag(s²) Rᵀ) of a few observations, with R a rotation.
///
/// In the eigenbasis, E[θ | θ_t] = μ + m s²/(m² s² + σ²) (θ_t - m μ), so F = (σ m (s² - 1) y + σ v μ)/(m² s² + σ²).
struct Gaussian {
    schedule: NoiseSchedule,
    means: Vec<[f64; 2]>,
    deviations: [f64; 2],
    /// Sine and cosine of the rotation.
    turn: (f64, f64),
}

impl Gaussian {
    fn new(schedule: NoiseSchedule) -> Self {
        Self { schedule, means: vec![[0.4, -0.3], [-0.2, 0.6]], deviations: [0.15, 0.6], turn: 0.5f64.sin_cos() }
    }

    /// θ in the eigenbasis, or back with the opposite sign.
    fn rotate(&self, [a, b]: [f64; 2], sign: f64) -> [f64; 2] {
        let (sin, cos) = (sign * self.turn.0, self.turn.1);
        [cos * a + sin * b, -sin * a + cos * b]
    }

    /// Mean and standard deviation of y at a time, along one axis.
    fn law_of_y(&self, at: &Marginal, mean: f64, deviation: f64) -> (f64, f64) {
        (at.cos * mean, (at.mean * deviation).hypot(at.std) / at.total)
    }

    /// Mean and deviation, along one axis, of what the exact probability flow makes of y ~ N(0, 1) at the largest time: (y - mean)/deviation is
    /// conserved. Differs from the posterior by what the start lacks.
    fn pushed(&self, mean: f64, deviation: f64) -> (f64, f64) {
        let (low, high) = self.schedule.times();
        let (start, end) = (self.schedule.marginal(high), self.schedule.marginal(low));
        let ((m1, s1), (m0, s0)) = (self.law_of_y(&start, mean, deviation), self.law_of_y(&end, mean, deviation));
        ((m0 - s0 / s1 * m1) / end.cos, s0 / s1 / end.cos)
    }
}

impl Field for Gaussian {
    type Work = ();

    fn features(&self) -> usize {
        2
    }

    fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }

    fn work(&self, _: Wanted) {}

    fn evaluate(&self, (): &mut (), points: Points<'_>, f: &mut [f64], divergence: &mut [f64]) {
        let mut at = self.schedule.marginal(points.times[0]);
        for (r, &t) in points.times.iter().enumerate() {
            if r > 0 && t != points.times[r - 1] {
                at = self.schedule.marginal(t);
            }
            let y = self.rotate([points.y[2 * r], points.y[2 * r + 1]], 1.0);
            let mean = self.rotate(self.means[points.observations[r]], 1.0);
            let (mut out, mut trace) = ([0.0; 2], 0.0);
            for k in 0..2 {
                let square = self.deviations[k].powi(2);
                let scale = at.std / (at.mean * at.mean * square + at.std * at.std);
                out[k] = scale * (at.mean * (square - 1.0) * y[k] + at.total * mean[k]);
                trace += scale * at.mean * (square - 1.0);
            }
            f[2 * r..2 * r + 2].copy_from_slice(&self.rotate(out, -1.0));
            if let Some(divergence) = divergence.get_mut(r) {
                *divergence = trace;
            }
        }
    }
}

const SCHEDULES: [NoiseSchedule; 5] =
    [NoiseSchedule::flow_matching(), NoiseSchedule::ve(), NoiseSchedule::vp(), NoiseSchedule::sub_vp(), NoiseSchedule::edm()];
const FINE: Tolerance = Tolerance { relative: 1e-8, absolute: 1e-8 };

/// Means and (co)variances in the eigenbasis of a set of draws.
fn moments(field: &Gaussian, theta: &[f64]) -> ([f64; 2], [f64; 3]) {
    let rows: Vec<[f64; 2]> = theta.chunks_exact(2).map(|row| field.rotate([row[0], row[1]], 1.0)).collect();
    let n = rows.len() as f64;
    let mean = [0, 1].map(|k| rows.iter().map(|r| r[k]).sum::<f64>() / n);
    let second = |i: usize, j: usize| rows.iter().map(|r| (r[i] - mean[i]) * (r[j] - mean[j])).sum::<f64>() / n;
    (mean, [second(0, 0), second(1, 1), second(0, 1)])
}

/// The density by the exact trace is that of the exact flow, for both observations and out to five deviations.
#[test]
fn log_densities_are_exact_for_every_schedule() {
    for schedule in SCHEDULES {
        let field = Gaussian::new(schedule);
        let theta: Vec<f64> = (0..40).flat_map(|i| [f64::from(i % 8) * 0.4 - 1.4, f64::from(i / 8) * 0.6 - 1.2]).collect();
        let got = log_density(&field, &Compute::with_threads(1), &theta, |r| r % 2, FINE).unwrap();
        for (r, (row, got)) in theta.chunks_exact(2).zip(&got).enumerate() {
            let (value, mean) = (field.rotate([row[0], row[1]], 1.0), field.rotate(field.means[r % 2], 1.0));
            let want: f64 = (0..2)
                .map(|k| {
                    let (mean, deviation) = field.pushed(mean[k], field.deviations[k]);
                    -0.5 * ((value[k] - mean) / deviation).powi(2) - deviation.ln() - 0.5 * std::f64::consts::TAU.ln()
                })
                .sum();
            // The state errs by some 1e-7, the density by that times a score of up to 60.
            assert!((got - want).abs() < 2e-5, "{schedule:?} row {r}: {got} instead of {want}");
        }
    }
}

/// 8000 draws: means within 4.5 standard errors s/√n, variances within 4.5 √(2/n) = 7.1 % of s².
#[test]
fn the_probability_flow_draws_the_exact_push_forward() {
    let n = 8000;
    for schedule in SCHEDULES {
        let field = Gaussian::new(schedule);
        let draws: Vec<(usize, usize)> = (0..n).map(|k| (1, k)).collect();
        let theta = draw(&field, &Compute::with_threads(2), &draws, &Sampler::default(), Seed(7)).unwrap();
        let (mean, [v0, v1, covariance]) = moments(&field, &theta);
        let centre = field.rotate(field.means[1], 1.0);
        for (k, variance) in [v0, v1].into_iter().enumerate() {
            let (want, deviation) = field.pushed(centre[k], field.deviations[k]);
            assert!((mean[k] - want).abs() < 4.5 * deviation / f64::from(n as u32).sqrt(), "{schedule:?}: {} instead of {want}", mean[k]);
            assert!((variance / deviation.powi(2) - 1.0).abs() < 0.071, "{schedule:?}: {variance}");
            // What the start lacks is small against the posterior's width.
            assert!((want - centre[k]).abs() < 0.2 * deviation && (deviation / field.deviations[k] - 1.0).abs() < 0.02);
        }
        assert!(covariance.abs() < 4.5 * 0.15 * 0.6 / f64::from(n as u32).sqrt());
    }
}

/// The reverse equation forgets its start, so draws have the posterior's own moments, up to the first order of the step: the bias of
/// the variance at 400 steps is a few per cent for VE, whose noise falls by eleven e-folds. 4000 draws: 4.5 standard errors are 0.071 s and
/// 10 % of the variance.
#[test]
fn the_reverse_equation_draws_the_posterior_with_and_without_correction() {
    let n = 4000;
    for schedule in SCHEDULES {
        for corrections in [0, 1] {
            let field = Gaussian::new(schedule);
            let draws: Vec<(usize, usize)> = (0..n).map(|k| (0, k)).collect();
            let method = ReverseSde { steps: 400, corrections, ..ReverseSde::default() };
            let theta = draw(&field, &Compute::with_threads(2), &draws, &Sampler::Sde(method), Seed(8)).unwrap();
            let (mean, [v0, v1, _]) = moments(&field, &theta);
            let centre = field.rotate(field.means[0], 1.0);
            for (k, variance) in [v0, v1].into_iter().enumerate() {
                let deviation = field.deviations[k];
                let what = format!("{schedule:?}, {corrections} corrections, axis {k}");
                assert!((mean[k] - centre[k]).abs() < (0.071 + 0.02) * deviation, "{what}: {} instead of {}", mean[k], centre[k]);
                assert!((variance / deviation.powi(2) - 1.0).abs() < 0.1 + 0.05, "{what}: {}", variance / deviation.powi(2));
            }
        }
    }
}

/// Halving the step halves the bias of the variance, which 10⁵ draws resolve to 0.5 %.
#[test]
fn the_reverse_equation_is_of_first_order() {
    let field = Gaussian::new(NoiseSchedule::edm());
    let draws: Vec<(usize, usize)> = (0..100_000).map(|k| (0, k)).collect();
    let bias = |steps: usize| {
        let method = ReverseSde { steps, ..ReverseSde::default() };
        let theta = draw(&field, &Compute::with_threads(2), &draws, &Sampler::Sde(method), Seed(9)).unwrap();
        moments(&field, &theta).1[1] / field.deviations[1].powi(2) - 1.0
    };
    let (coarse, fine) = (bias(10), bias(20));
    assert!(coarse.abs() > 0.05 && (0.3..0.7).contains(&(fine / coarse)), "{coarse} {fine}");
}

/// Prior N(0, 1), likelihood x_i ~ N(θ, s²): the posterior of each observation and that of all of them are known.
struct Conjugate {
    schedule: NoiseSchedule,
    x: Vec<f64>,
    noise: f64,
}

impl Field for Conjugate {
    type Work = ();

    fn features(&self) -> usize {
        1
    }

    fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }

    fn work(&self, _: Wanted) {}

    fn evaluate(&self, (): &mut (), points: Points<'_>, f: &mut [f64], _: &mut [f64]) {
        let square = self.noise.powi(2) / (1.0 + self.noise.powi(2));
        // All at one time: the composition's steps.
        let at = self.schedule.marginal(points.times[0]);
        for r in 0..f.len() {
            let mean = self.x[points.observations[r]] / (1.0 + self.noise.powi(2));
            let scale = at.std / (at.mean * at.mean * square + at.std * at.std);
            f[r] = scale * (at.mean * (square - 1.0) * points.y[r] + at.total * mean);
        }
    }
}

/// 1000 draws: the mean within 4.5 s/√n = 0.14 s, the variance within 20 %, both with 5 % more for the steps and the finite number of
/// levels. Without the prior's factor the variance would be 0.6 of the exact one.
#[test]
fn scores_of_independent_observations_compose() {
    let x = vec![0.9, 0.3, 0.7, 1.1, -0.1];
    let n = x.len();
    for schedule in [NoiseSchedule::ve(), NoiseSchedule::vp()] {
        let field = Conjugate { schedule, x: x.clone(), noise: 1.0 };
        // The paper's factor, and the noised prior N(0, m² + σ²): two ways to the same posterior.
        let damped = |theta: &[f64], at: &Marginal, out: &mut [f64]| out[0] = -at.cos * at.cos * theta[0];
        let noised = |theta: &[f64], at: &Marginal, out: &mut [f64]| out[0] = -theta[0] / (at.total * at.total);
        for prior in [&damped as &PriorScore<'_>, &noised] {
            let theta =
                sample_composed(&field, &Compute::with_threads(2).threads, 0..n, 1000, prior, &Langevin::default(), Seed(3)).unwrap();
            let precision = 1.0 + n as f64;
            let want = x.iter().sum::<f64>() / precision;
            let mean = theta.iter().sum::<f64>() / 1000.0;
            let variance = theta.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / 1000.0;
            assert!((mean - want).abs() * precision.sqrt() < 0.19, "{schedule:?}: {mean} instead of {want}");
            assert!((variance * precision - 1.0).abs() < 0.25, "{schedule:?}: {} of the exact variance", variance * precision);
        }
    }
}

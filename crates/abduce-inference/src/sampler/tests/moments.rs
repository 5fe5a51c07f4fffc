//! Chains against known moments: |z| < 3 for every mean and variance, z = error/MCSE with the MCSE from the chains' own effective size, and R̂ < 1.01.
//!
//! Seeds are fixed, so a passing test passes for ever; a sampler with a bias of a few standard errors fails whatever the seed.

use super::*;
use crate::prior::{Bijection, UnconstrainedTransform};
use crate::sampler::convergence::mean_and_mcse;

/// A functional of a point and its expectation.
type Expectation = (&'static str, fn(&[f64]) -> f64, f64);

/// Largest |z| over the targets' `expected` functionals; asserts R̂ of each functional's chains along the way.
fn judge(name: &str, chains: &Chains, expected: &[Expectation], limit: f64) {
    for t in 0..chains.targets {
        for &(what, f, expectation) in expected {
            let values: Vec<f64> = chains.of_target(t).chunks_exact(chains.dimension).map(f).collect();
            let (mean, error) = mean_and_mcse(&values, chains.chains);
            let z = (mean - expectation) / error;
            assert!(z.abs() < limit, "{name}, target {t}: {what} = {mean:.4} ± {error:.4}, expected {expectation:.4} (z = {z:.2})");
        }
        let (parameter, r_hat) = chains.report[t].worst();
        assert!(r_hat < 1.01, "{name}, target {t}: R-hat {r_hat:.4} of parameter {parameter}");
    }
}

/// Means and variances of all coordinates.
fn judge_moments(name: &str, chains: &Chains, mean: impl Fn(usize, usize) -> f64, variance: impl Fn(usize) -> f64, limit: f64) {
    for t in 0..chains.targets {
        for j in 0..chains.dimension {
            let m = mean(t, j);
            let draws = chains.parameter(t, j);
            let squares: Vec<f64> = draws.iter().map(|x| (x - m).powi(2)).collect();
            for (what, values, expectation) in [("mean", &draws, m), ("variance", &squares, variance(j))] {
                let (found, error) = mean_and_mcse(values, chains.chains);
                let z = (found - expectation) / error;
                assert!(
                    z.abs() < limit,
                    "{name}, target {t}: {what} of x{j} = {found:.4} ± {error:.4}, expected {expectation:.4} (z = {z:.2})"
                );
            }
        }
        let (parameter, r_hat) = chains.report[t].worst();
        assert!(r_hat < 1.01, "{name}, target {t}: R-hat {r_hat:.4} of parameter {parameter}");
    }
}

/// Trajectories forget most; sweeps and stretch moves cost little and forget little.
fn thinning(method: &Method) -> usize {
    match method {
        Method::Slice(_) => 3,
        Method::Stretch(_) => 20,
        Method::Hmc(_) | Method::Nuts(_) => 2,
    }
}

/// A stationary autoregression in 20 coordinates with correlation ρ between neighbours and scales from 0.01 to 100, around 3 scales times
/// the target's number.
fn correlated(rho: f64, count: usize) -> Analytic {
    Analytic::new(20, count, move |t, x, g| {
        let z = |j: usize| x[j] / scale(j) - 3.0 * t as f64;
        let conditional = 1.0 - rho * rho;
        let mut value = -0.5 * z(0) * z(0);
        g.fill(0.0);
        g[0] -= z(0) / scale(0);
        for j in 1..20 {
            let rest = z(j) - rho * z(j - 1);
            value -= 0.5 * rest * rest / conditional;
            g[j] -= rest / conditional / scale(j);
            g[j - 1] += rho * rest / conditional / scale(j - 1);
        }
        value
    })
}

fn scale(j: usize) -> f64 {
    100f64.powf(j as f64 / 9.5 - 1.0)
}

/// 40 comparisons a target: the largest |z| of 240 normal ones exceeds 3.5 with a probability of 11 %, 3 with 48 %.
#[test]
fn a_correlated_gaussian_in_twenty_dimensions() {
    // Slice moves along coordinates: neighbours correlated by 0.9 take it about 20 sweeps to forget; the others don't mind.
    for (name, rho, method, schedule) in [
        ("slice", 0.5, Method::Slice(SliceOptions::default()), Schedule { num_chains: 10, warmup_steps: 100, thin: 2, draws: 400 }),
        (
            "stretch",
            0.9,
            Method::Stretch(StretchOptions::default()),
            Schedule { num_chains: 40, warmup_steps: 5000, thin: 40, draws: 1500 },
        ),
        ("hmc", 0.9, Method::Hmc(HmcOptions::default()), Schedule { num_chains: 10, warmup_steps: 200, thin: 3, draws: 1500 }),
        ("nuts", 0.9, Method::Nuts(NutsOptions::default()), Schedule { num_chains: 10, warmup_steps: 200, thin: 1, draws: 1000 }),
    ] {
        // Affine invariance makes one target tell as much as two.
        let target = correlated(rho, if name == "stretch" { 1 } else { 2 });
        let scales: Vec<f64> = (0..20).map(scale).collect();
        let starts = scattered(&target, schedule.num_chains, &[0.0; 20], &scales);
        let chains = method.sample(&target, &starts, &schedule, Seed(1)).unwrap();
        judge_moments(name, &chains, |t, j| 3.0 * t as f64 * scale(j), |j| scale(j).powi(2), 3.5);
    }
}

/// A mixture 0.3 N(−m, 0.8²) + 0.7 N(m, 0.5²) along the diagonal of `d` dimensions, 3.2 from mode to mode, m = 1.6/√d: mean 0.4 m, variance
/// 0.3 (0.64 + (1.4 m)²) + 0.7 (0.25 + (0.6 m)²).
fn bimodal(d: usize) -> Analytic {
    let m = 1.6 / (d as f64).sqrt();
    Analytic::new(d, 2, move |_, x, g| {
        let (mut low, mut high) = (vec![0.0; d], vec![0.0; d]);
        let a = libm::log(0.3) - d as f64 * libm::log(0.8) + x.iter().zip(&mut low).map(|(&x, g)| normal(x, -m, 0.8, g)).sum::<f64>();
        let b = libm::log(0.7) - d as f64 * libm::log(0.5) + x.iter().zip(&mut high).map(|(&x, g)| normal(x, m, 0.5, g)).sum::<f64>();
        let top = a.max(b);
        let value = top + libm::log(libm::exp(a - top) + libm::exp(b - top));
        for ((g, low), high) in g.iter_mut().zip(low).zip(high) {
            *g = libm::exp(a - value) * low + libm::exp(b - value) * high;
        }
        value
    })
}

#[test]
fn two_modes_get_their_shares() {
    for (d, draws) in [(1, 1500), (2, 1500)] {
        for method in all_methods() {
            let target = bimodal(d);
            let m = 1.6 / (d as f64).sqrt();
            let variance = 0.3 * (0.64 + (1.4 * m).powi(2)) + 0.7 * (0.25 + (0.6 * m).powi(2));
            let schedule = Schedule { num_chains: 20, warmup_steps: 150, thin: 3 * thinning(&method), draws };
            let starts = scattered(&target, 20, &vec![0.8; d], &vec![2.0; d]);
            let chains = method.sample(&target, &starts, &schedule, Seed(2)).unwrap();
            judge_moments(&format!("{method:?} in {d}-D"), &chains, |_, _| 0.4 * m, |_| variance, 3.0);
        }
    }
}

/// x ~ N(0, 1), y = x²/2 + N(0, 0.5²): a banana with E y = 1/2, Var y = 1/2 + 1/4, E xy = 0, E x²y = 3/2.
#[test]
fn a_banana() {
    let target = Analytic::new(2, 2, |_, x, g| {
        let mut along = 0.0;
        let mut across = 0.0;
        let value = normal(x[0], 0.0, 1.0, &mut along) + normal(x[1], 0.5 * x[0] * x[0], 0.5, &mut across);
        g[0] = along - x[0] * across;
        g[1] = across;
        value
    });
    let expected: [Expectation; 5] = [
        ("E x", |x| x[0], 0.0),
        ("Var x", |x| x[0] * x[0], 1.0),
        ("E y", |x| x[1], 0.5),
        ("Var y", |x| (x[1] - 0.5).powi(2), 0.75),
        ("E x²y", |x| x[0] * x[0] * x[1], 1.5),
    ];
    for method in all_methods() {
        // Steps that suit the middle are unstable in the arms.
        let method = match method {
            Method::Hmc(options) => Method::Hmc(HmcOptions { target_accept: 0.95, ..options }),
            Method::Nuts(options) => Method::Nuts(NutsOptions { target_accept: 0.95, ..options }),
            other => other,
        };
        let schedule = Schedule { num_chains: 20, warmup_steps: 200, thin: 2 * thinning(&method), draws: 1000 };
        let starts = scattered(&target, 20, &[0.0, 1.0], &[1.5, 2.0]);
        let chains = method.sample(&target, &starts, &schedule, Seed(3)).unwrap();
        judge(&format!("{method:?}"), &chains, &expected, 3.0);
    }
}

/// θ₀ ~ Beta(2, 5) on (−1, 3), θ₁ ~ Exp(2) above 1, θ₂ ~ Gamma(3, 1) mirrored below 4, on the unconstrained scale.
#[test]
fn bounded_parameters_through_their_transform() {
    let over_theta = Analytic::new(3, 2, |_, x, g| {
        let (t, e, m) = ((x[0] + 1.0) / 4.0, x[1] - 1.0, 4.0 - x[2]);
        if !(t > 0.0 && t < 1.0 && e > 0.0 && m > 0.0) {
            return f64::NEG_INFINITY;
        }
        g[0] = (1.0 / t - 4.0 / (1.0 - t)) / 4.0;
        g[1] = -2.0;
        g[2] = 1.0 - 2.0 / m;
        libm::log(t) + 4.0 * libm::log1p(-t) - 2.0 * e + 2.0 * libm::log(m) - m
    });
    let transform = UnconstrainedTransform {
        parameters: vec![Bijection::Bounded { low: -1.0, high: 3.0 }, Bijection::LogAbove { low: 1.0 }, Bijection::LogBelow { high: 4.0 }],
    };
    let target = Unconstrained::new(&over_theta, &transform);
    for method in all_methods() {
        let schedule = Schedule { num_chains: 20, warmup_steps: 150, thin: thinning(&method), draws: 1000 };
        let starts = scattered(&target, 20, &[-0.4, -0.5, 1.0], &[0.5, 1.0, 1.0]);
        let mut chains = method.sample(&target, &starts, &schedule, Seed(4)).unwrap();
        target.constrain(&mut chains.draws);
        // Beta: mean 2/7 of 4 minus 1, variance 10/(49 · 8) · 16.
        let (mean, variance) = ([8.0 / 7.0 - 1.0, 1.5, 1.0], [160.0 / 392.0, 0.25, 3.0]);
        judge_moments(&format!("{method:?}"), &chains, |_, j| mean[j], |j| variance[j], 3.0);
    }
}

/// Student's t with ten degrees of freedom in three coordinates: variance 10/8; its square has a variance, so the MCSE exists.
#[test]
fn heavy_tails() {
    let target = Analytic::new(3, 2, |_, x, g| {
        x.iter()
            .zip(g)
            .map(|(&x, g)| {
                *g = -11.0 * x / (10.0 + x * x);
                -5.5 * libm::log1p(x * x / 10.0)
            })
            .sum()
    });
    for method in all_methods() {
        let schedule = Schedule { num_chains: 20, warmup_steps: 150, thin: thinning(&method), draws: 1000 };
        let starts = scattered(&target, 20, &[0.0; 3], &[2.0; 3]);
        let chains = method.sample(&target, &starts, &schedule, Seed(5)).unwrap();
        judge_moments(&format!("{method:?}"), &chains, |_, _| 0.0, |_| 1.25, 3.0);
    }
}

/// Neal's funnel: v ~ N(0, σ²), x_i ~ N(0, e^v). Judged by v and by x_i e^{−v/2}, which is standard normal; x itself has no useful moments.
fn funnel(sigma: f64, count: usize) -> Analytic {
    Analytic::new(3, count, move |_, x, g| {
        let v = x[0];
        let precision = libm::exp(-v);
        g[0] = 0.0;
        let mut value = normal(v, 0.0, sigma, &mut g[0]);
        for i in 1..3 {
            value -= 0.5 * (v + x[i] * x[i] * precision);
            g[0] -= 0.5 * (1.0 - x[i] * x[i] * precision);
            g[i] = -x[i] * precision;
        }
        value
    })
}

/// Slice sampling delivers the full funnel (σ = 3). No single step size of HMC or NUTS serves both its mouth and its neck: at σ = 3 they
/// are asked only to say so (below); at σ = 1, with small steps, they have to be right. Stretch moves are asked for σ = 1 too.
#[test]
fn the_funnel() {
    let expected = |sigma: f64| -> [Expectation; 4] {
        [
            ("E v", |x| x[0], 0.0),
            ("Var v", |x| x[0] * x[0], sigma * sigma),
            ("E x1 e^{-v/2}", |x| x[1] * libm::exp(-0.5 * x[0]), 0.0),
            ("Var x2 e^{-v/2}", |x| x[2] * x[2] * libm::exp(-x[0]), 1.0),
        ]
    };
    for (name, sigma, method, schedule) in [
        ("slice", 3.0, Method::Slice(SliceOptions::default()), Schedule { num_chains: 20, warmup_steps: 300, thin: 10, draws: 2000 }),
        ("stretch", 1.0, Method::Stretch(StretchOptions::default()), Schedule { num_chains: 20, warmup_steps: 500, thin: 10, draws: 2000 }),
        (
            "hmc",
            1.0,
            Method::Hmc(HmcOptions { target_accept: 0.95, ..HmcOptions::default() }),
            Schedule { num_chains: 20, warmup_steps: 200, thin: 1, draws: 1500 },
        ),
        (
            "nuts",
            1.0,
            Method::Nuts(NutsOptions { target_accept: 0.95, ..NutsOptions::default() }),
            Schedule { num_chains: 20, warmup_steps: 200, thin: 1, draws: 1500 },
        ),
    ] {
        let target = funnel(sigma, 1);
        let starts = scattered(&target, 20, &[0.0; 3], &[1.0; 3]);
        let chains = method.sample(&target, &starts, &schedule, Seed(6)).unwrap();
        judge(name, &chains, &expected(sigma), 3.0);
    }
}

#[test]
fn nuts_does_not_vouch_for_the_full_funnel() {
    let target = funnel(3.0, 1);
    let starts = scattered(&target, 20, &[0.0; 3], &[1.0; 3]);
    let schedule = Schedule { num_chains: 20, warmup_steps: 200, thin: 1, draws: 300 };
    let chains = nuts(&target, &starts, &schedule, &NutsOptions::default(), Seed(7)).unwrap();
    assert!(matches!(chains.require(1.01, 400.0), Err(SamplerError::NotConverged { .. })), "{:?}", chains.report[0]);
    // A Gaussian is no trouble.
    let target = shifted_normals(3, 1);
    let chains = nuts(&target, &starts, &schedule, &NutsOptions::default(), Seed(7)).unwrap();
    assert_eq!(chains.report[0].divergences, 0);
    let acceptance = chains.report[0].acceptance_rate.unwrap();
    assert!((0.75..0.95).contains(&acceptance), "a harmonic mean of 0.8 was wanted: {acceptance}");
}

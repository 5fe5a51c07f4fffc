//! Flows fitted to targets with known moments and evidences.

use super::*;
use crate::prior::special::HALF_LN_TAU;
use abduce_density::{DensitySpec, SplineSpec};
use abduce_nn::Compute;

fn maf() -> DensitySpec {
    DensitySpec::Maf { transforms: 3, hidden: vec![16, 16] }
}

fn nsf() -> DensitySpec {
    DensitySpec::Nsf { transforms: 2, hidden: 16, blocks: 1, spline: SplineSpec { bins: 8, bound: 5.0 } }
}

/// N(centre, spread²) in each coordinate, as candidates.
fn candidates(d: usize, centre: f64, spread: f64) -> PointProposal<impl Fn(usize, &mut abduce_data::Rng, &mut [f64]) -> f64 + Sync> {
    PointProposal::new(d, move |_, rng: &mut abduce_data::Rng, point: &mut [f64]| {
        point.iter_mut().for_each(|x| *x = centre + spread * rng.normal());
        point.iter().map(|x| -0.5 * ((x - centre) / spread).powi(2) - libm::log(spread) - HALF_LN_TAU).sum()
    })
}

/// Mean and variance of coordinate `j` of a fit's draws, the same with their weights, and what the weights are worth.
fn judged(target: &dyn Target, fits: &FlowFits, t: usize, j: usize) -> ([f64; 2], [f64; 2], WeightReport) {
    let weighted = importance(target, fits, N, Seed(99)).unwrap();
    let d = target.dimension();
    let own = &weighted.points[t * N * d..(t + 1) * N * d];
    let values = || own.iter().skip(j).step_by(d);
    let moments = |weights: &[f64]| {
        let mean = values().zip(weights).map(|(x, w)| w * x).sum::<f64>();
        [mean, values().zip(weights).map(|(x, w)| w * (x - mean).powi(2)).sum::<f64>()]
    };
    (moments(&[1.0 / N as f64; N]), moments(&weighted.weights[t * N..(t + 1) * N]), weighted.report[t])
}

/// Draws that fits are judged by.
const N: usize = 20_000;

/// Good weights: their tail is light, or they hardly vary.
fn good(report: &WeightReport) -> bool {
    report.k_hat < 0.7 || report.ess > 0.99 * N as f64
}

/// Candidates 10⁴ times wider than the target in 5 dimensions: (10⁻⁴)⁵ of them fall where it is.
#[test]
fn a_target_is_located_in_a_wide_prior() {
    let target = Analytic::new(5, 2, |t, x, g| {
        g.fill(0.0);
        x.iter().zip(g).map(|(&x, g)| normal(x, 3.0 + t as f64, 1e-3, g)).sum()
    });
    let found = locate(&target, &candidates(5, 0.0, 10.0), 4000, Seed(1)).unwrap();
    for t in 0..2 {
        assert_eq!(found.power[t], 1.0, "{:?}", found.power);
        for j in 0..5 {
            let variance = found.gaussians.covariance(t)[6 * j];
            // 200 effective draws at the least: standard errors 0.07 of the mean in units of the width, 0.1 of the variance.
            assert!((found.gaussians.mean()[5 * t + j] - 3.0 - t as f64).abs() < 4e-4, "{:?}", found.gaussians);
            assert!((variance / 1e-6 - 1.0).abs() < 0.4, "{variance}");
        }
    }
    let nowhere = Analytic::new(1, 1, |_, _, _| f64::NEG_INFINITY);
    let error = locate(&nowhere, &candidates(1, 0.0, 1.0), 400, Seed(1)).unwrap_err();
    assert_eq!(error, SamplerError::NoWeight { target: 0, draws: 400 });
}

/// A banana: x₀ ~ N(0, 1), x₁ | x₀ ~ N(x₀²/2, ¼): E x₁ = ½, Var x₁ = ¼ + ½ = ¾, evidence 1. An affine autoregressive flow holds it but for the
/// network's fit of x²/2.
#[test]
fn a_banana_is_found_by_the_reverse_divergence() {
    let target = Analytic::new(2, 2, |t, x, g| {
        let shift = 4.0 * t as f64;
        let (u, v) = (x[0] - shift, x[1]);
        let rest = (v - 0.5 * u * u) / 0.25;
        (g[0], g[1]) = (-u + rest * u, -rest);
        -0.5 * u * u - 0.5 * rest * (v - 0.5 * u * u) - 2.0 * HALF_LN_TAU + libm::log(2.0)
    });
    let located = locate(&target, &candidates(2, 2.0, 4.0), 2000, Seed(2)).unwrap();
    let options = FlowOptions { n_particles: 64, learning_rate: 3e-3, max_num_iters: 1200, ..FlowOptions::new(maf(), Divergence::Reverse) };
    let fits = fit_flows(&target, &located, &options, &Compute::with_threads(1), Seed(3)).unwrap();
    for t in 0..2 {
        let (plain, weighted, report) = judged(&target, &fits, t, 1);
        assert!(good(&report) && report.ess > 0.9 * N as f64 && report.log_evidence.abs() < 0.02, "{report:?}");
        // |E_q f - E_π f| ≤ sd_q(f) sd(w), by Cauchy and Schwarz, plus the scatter of the draws, 0.006.
        let bound = (plain[1] * (N as f64 / report.ess - 1.0)).sqrt() + 0.02;
        assert!((plain[0] - 0.5).abs() < bound, "{plain:?} {report:?}");
        // 20 000 draws: standard errors 0.006 of the mean and 0.02 of the variance, whose tail is that of a χ².
        assert!((weighted[0] - 0.5).abs() < 0.03 && (weighted[1] - 0.75).abs() < 0.08, "{weighted:?}");
        assert!(fits.elbo[t] < 0.01 && fits.elbo[t] > -0.05, "{:?}", fits.elbo);
    }
}

/// The logarithm of a Gamma(3) variate, ln π = 3u - e^u, which no Gaussian is: mean ψ(3) = 0.922784, variance ψ'(3) = 0.394934, evidence Γ(3) = 2.
#[test]
fn both_divergences_find_what_the_family_holds() {
    let target = Analytic::new(1, 1, |_, x, g| {
        let e = libm::exp(x[0]);
        g[0] = 3.0 - e;
        3.0 * x[0] - e
    });
    let located = locate(&target, &candidates(1, 0.0, 2.0), 1000, Seed(4)).unwrap();
    for divergence in [Divergence::Reverse, Divergence::Forward] {
        let options = FlowOptions { n_particles: 128, learning_rate: 3e-3, max_num_iters: 800, ..FlowOptions::new(nsf(), divergence) };
        let fits = fit_flows(&target, &located, &options, &Compute::with_threads(1), Seed(5)).unwrap();
        let ([mean, variance], _, report) = judged(&target, &fits, 0, 0);
        assert!((mean - 0.922_784).abs() < 0.03 && (variance - 0.394_934).abs() < 0.04, "{divergence:?}: {mean} {variance}");
        assert!(good(&report) && (report.log_evidence - 2f64.ln()).abs() < 0.02, "{divergence:?}: {report:?}");
        assert!((fits.elbo[0] - 2f64.ln()).abs() < 0.03, "{divergence:?}: {:?}", fits.elbo);
    }
}

/// Two modes eight standard deviations apart, three quarters of the mass in the right one. The forward divergence holds both; a Gaussian by the
/// reverse one sits on one of them, and its weights say so.
#[test]
fn modes_are_covered_or_missed_with_a_warning() {
    let target = Analytic::new(1, 1, |_, x, g| {
        let (mut left, mut right) = ([0.0], [0.0]);
        let a = normal(x[0], -4.0, 1.0, &mut left[0]) + 0.25f64.ln();
        let b = normal(x[0], 4.0, 1.0, &mut right[0]) + 0.75f64.ln();
        let top = a.max(b);
        let sum = top + libm::log(libm::exp(a - top) + libm::exp(b - top));
        g[0] = left[0] * libm::exp(a - sum) + right[0] * libm::exp(b - sum);
        sum - HALF_LN_TAU
    });
    let located = locate(&target, &candidates(1, 0.0, 5.0), 2000, Seed(6)).unwrap();
    let options = FlowOptions { n_particles: 128, learning_rate: 3e-3, max_num_iters: 800, ..FlowOptions::new(nsf(), Divergence::Forward) };
    let fits = fit_flows(&target, &located, &options, &Compute::with_threads(1), Seed(7)).unwrap();
    let ([mean, _], _, report) = judged(&target, &fits, 0, 0);
    // Mean 2: each per cent of mass on the wrong side moves it by 0.08.
    assert!((mean - 2.0).abs() < 0.25 && good(&report) && report.log_evidence.abs() < 0.05, "{mean} {report:?}");
    let start = Gaussians::diagonal(1, &[3.0], &[1.0]).unwrap();
    let one = fit_reverse(&target, &start, &ReverseOptions::default(), Seed(8)).unwrap();
    assert!((one.mean()[0] - 4.0).abs() < 0.05, "{one:?}");
    // Every draw of it has the weight 3/4: what it doesn't see it can't miss. Draws from a wider proposal show the rest.
    let seen = importance(&target, &one, 4000, Seed(9)).unwrap().report[0].log_evidence;
    assert!((seen - 0.75f64.ln()).abs() < 0.02, "{seen}");
}

/// Each target's fit is its own: alone, beside others, on any number of threads.
#[test]
fn fits_do_not_depend_on_threads_or_neighbours() {
    let run = |count: usize, threads: usize| {
        let target = Analytic::new(2, count, |t, x, g| {
            g.fill(0.0);
            x.iter().zip(g).map(|(&x, g)| normal(x, t as f64, 0.5, g)).sum()
        });
        let located = locate(&target, &candidates(2, 0.0, 3.0), 400, Seed(1)).unwrap();
        let options = FlowOptions { n_particles: 32, max_num_iters: 10, warm_up_rounds: 5, ..FlowOptions::new(maf(), Divergence::Reverse) };
        let fits = fit_flows(&target, &located, &options, &Compute::with_threads(threads), Seed(2)).unwrap();
        importance(&target, &fits, 50, Seed(3)).unwrap()
    };
    let (alone, three, threaded) = (run(1, 1), run(3, 1), run(3, 3));
    assert_eq!(three, threaded);
    assert_eq!(alone.points, three.points[..100]);
}

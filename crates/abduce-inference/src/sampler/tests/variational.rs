//! Gaussian fits against the optima known in closed form.

use super::*;
use crate::prior::special::HALF_LN_TAU;

/// N(μ_t, Σ) with scales 100 and 0.1, correlation 0.8, normalised.
fn tilted() -> Analytic {
    Analytic::new(2, 3, |t, x, g| {
        let (u, v) = (x[0] / 100.0 - 5.0 * t as f64, x[1] / 0.1 + 2.0);
        let rest = 1.0 - 0.64;
        g[0] = -(u - 0.8 * v) / rest / 100.0;
        g[1] = -(v - 0.8 * u) / rest / 0.1;
        -0.5 * (u * u - 1.6 * u * v + v * v) / rest - 2.0 * HALF_LN_TAU - libm::log(10.0) - 0.5 * libm::log(rest)
    })
}

/// The gradient has no noise left at the optimum, so a Gaussian is found as far as the falling rate carries; the evidence of a normalised density is then 1
/// with weights that don't vary.
#[test]
fn a_gaussian_is_found_whatever_its_scales() {
    let target = tilted();
    let start = Gaussians::diagonal(2, &[0.0; 6], &[30.0, 1.0, 30.0, 1.0, 30.0, 1.0]).unwrap();
    let q = fit_reverse(&target, &start, &ReverseOptions { n_particles: 32, ..ReverseOptions::default() }, Seed(1)).unwrap();
    for t in 0..3 {
        let (mean, covariance) = (&q.mean()[2 * t..2 * t + 2], q.covariance(t));
        assert!((mean[0] / 100.0 - 5.0 * t as f64).abs() < 1e-4 && (mean[1] + 0.2).abs() < 1e-5, "{mean:?}");
        for (found, expected) in covariance.iter().zip([1e4, 8.0, 8.0, 0.01]) {
            assert!((found / expected - 1.0).abs() < 1e-3, "{covariance:?}");
        }
    }
    let weighted = importance(&target, &q, 100, Seed(2)).unwrap();
    assert!(weighted.report.iter().all(|r| r.log_evidence.abs() < 1e-3 && r.ess > 99.0), "{:?}", weighted.report);
}

/// The logarithm of a Gamma(a) variate, log π = a u − e^u: KL(q‖π) is least at s² = 1/a, m = ln a − 1/(2a); KL(π‖q) at the mean ψ(a) and variance
/// ψ'(a). For a = 3: ψ = 0.922784, ψ' = 0.394934.
#[test]
fn both_divergences_have_their_own_optimum() {
    let target = Analytic::new(1, 2, |_, x, g| {
        let e = libm::exp(x[0]);
        g[0] = 3.0 - e;
        3.0 * x[0] - e
    });
    let start = Gaussians::diagonal(1, &[-1.0, 2.0], &[2.0, 1.0]).unwrap();
    let reverse = fit_reverse(&target, &start, &ReverseOptions::default(), Seed(3)).unwrap();
    let forward = fit_forward(&target, &start, &ForwardOptions { draws: 20_000, rounds: 4, ..ForwardOptions::default() }, Seed(4)).unwrap();
    for t in 0..2 {
        // What noise is left averages over the last steps: 256 draws, rates of 10⁻³ to 10⁻².
        let (mean, variance) = (reverse.mean()[t], reverse.covariance(t)[0]);
        assert!((mean - (3f64.ln() - 1.0 / 6.0)).abs() < 0.01 && (variance * 3.0 - 1.0).abs() < 0.03, "{mean} {variance}");
        // 20 000 weighted draws: standard errors 0.0045 and 0.005, times 4.
        let (mean, variance) = (forward.mean()[t], forward.covariance(t)[0]);
        assert!((mean - 0.922_784).abs() < 0.018 && (variance - 0.394_934).abs() < 0.02, "{mean} {variance}");
    }
    // The one that covers the target serves as a proposal: ∫ e^{3u − e^u} du = Γ(3) = 2. The left tail e^{3u} is heavier than any Gaussian's, so the
    // weights have no variance to speak of; twice the spread of ten thousand draws with ESS near 9000 is 0.02.
    let weighted = importance(&target, &forward, 10_000, Seed(5)).unwrap();
    assert!((weighted.report[0].log_evidence - 2f64.ln()).abs() < 0.02, "{:?}", weighted.report[0]);
}

/// Of a Gaussian with correlation ρ, KL(q‖π) over independent coordinates is least at the variances 1/(Σ⁻¹)_ii = (1 - ρ²) σ_i², KL(π‖q) at σ_i².
#[test]
fn independent_coordinates_have_the_variances_of_their_divergence() {
    let (target, covariance) = (tilted(), Covariance::Diagonal);
    let start = Gaussians::diagonal(2, &[0.0, -0.2, 500.0, -0.2, 1000.0, -0.2], &[100.0, 0.1, 100.0, 0.1, 100.0, 0.1]).unwrap();
    let q = fit_reverse(&target, &start, &ReverseOptions { n_particles: 64, covariance, ..ReverseOptions::default() }, Seed(6)).unwrap();
    let p = fit_forward(&target, &start, &ForwardOptions { draws: 20_000, covariance, ..ForwardOptions::default() }, Seed(7)).unwrap();
    for t in 0..3 {
        let (reverse, forward) = (q.covariance(t), p.covariance(t));
        assert_eq!((reverse[1], forward[1]), (0.0, 0.0));
        // Noise of the last steps, rates 10⁻³ to 10⁻² and 64 draws; and 20 000 weighted draws with some 5000 effective ones, standard error 0.02.
        assert!((reverse[0] / 3600.0 - 1.0).abs() < 0.03 && (reverse[3] / 0.0036 - 1.0).abs() < 0.03, "{reverse:?}");
        assert!((forward[0] / 1e4 - 1.0).abs() < 0.08 && (forward[3] / 0.01 - 1.0).abs() < 0.08, "{forward:?}");
    }
}

#[test]
fn fits_that_can_not_succeed_say_so() {
    let nowhere = Analytic::new(1, 1, |_, _, _| f64::NEG_INFINITY);
    let start = Gaussians::diagonal(1, &[0.0], &[1.0]).unwrap();
    let error = fit_reverse(&nowhere, &start, &ReverseOptions::default(), Seed(0)).unwrap_err();
    assert!(matches!(error, SamplerError::Optimiser { target: 0, steps: 0, .. }), "{error}");
    let error = fit_forward(&nowhere, &start, &ForwardOptions::default(), Seed(0)).unwrap_err();
    assert_eq!(error, SamplerError::NoWeight { target: 0, draws: 4000 });
    let wrong = Gaussians::diagonal(2, &[0.0; 2], &[1.0; 2]).unwrap();
    assert!(matches!(fit_reverse(&nowhere, &wrong, &ReverseOptions::default(), Seed(0)), Err(SamplerError::Shape { .. })));
    assert!(Gaussians::diagonal(1, &[0.0], &[0.0]).is_err());
}

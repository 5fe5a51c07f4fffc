//! Starts, rejection, importance weights and maxima against exact values.

use super::*;
use crate::prior::special::HALF_LN_TAU;

/// N(0, s²), normalised.
fn wide(d: usize, s: f64) -> impl Proposal {
    PointProposal::new(d, move |_, rng, point| {
        point
            .iter_mut()
            .map(|x| {
                let z = rng.normal();
                *x = s * z;
                -0.5 * z * z - s.ln() - HALF_LN_TAU
            })
            .sum()
    })
}

/// 500 starts without replacement out of 50 000 weighted candidates are nearly draws of N(t, 1): standard errors 1/√500 and √(2/500).
#[test]
fn resampled_starts_follow_the_target() {
    let target = shifted_normals(1, 2);
    let options = StartOptions { num_chains: 500, num_batches: 50, ..StartOptions::default() };
    let found = starts(&target, &wide(1, 3.0), &options, Seed(1)).unwrap();
    for (t, found) in found.chunks_exact(500).enumerate() {
        let mean = found.iter().sum::<f64>() / 500.0;
        let variance = found.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 499.0;
        assert!((mean - t as f64).abs() < 3.0 / 500f64.sqrt(), "{mean}");
        assert!((variance - 1.0).abs() < 3.0 * (2.0f64 / 500.0).sqrt(), "{variance}");
        let mut distinct = found.to_vec();
        distinct.sort_by(f64::total_cmp);
        distinct.dedup();
        assert_eq!(distinct.len(), 500);
    }
}

#[test]
fn best_starts_come_in_order_and_too_few_are_refused() {
    let target = shifted_normals(2, 2);
    let options = StartOptions { num_chains: 5, choice: Choice::Best, ..StartOptions::default() };
    let found = starts(&target, &wide(2, 2.0), &options, Seed(2)).unwrap();
    for (t, found) in found.chunks_exact(10).enumerate() {
        let distances: Vec<f64> = found.chunks_exact(2).map(|x| (x[0] - t as f64).hypot(x[1] - t as f64)).collect();
        assert!(distances.is_sorted(), "{distances:?}");
        // 10 000 candidates of density at least 0.03 there: a disc of radius 0.2 holds 40 of them.
        assert!(distances[4] < 0.2, "{distances:?}");
    }
    let rare = Analytic::new(1, 1, |_, x, _| if x[0] > 6.0 { 0.0 } else { f64::NEG_INFINITY });
    let error = starts(&rare, &wide(1, 1.5), &StartOptions::default(), Seed(3)).unwrap_err();
    assert!(matches!(error, SamplerError::TooFewStarts { target: 0, candidates: 10_000, usable, wanted: 20 } if usable < 20), "{error}");
}

/// N(0, 1) from N(0, 2²) with M = 2: half of the candidates are accepted; draws are independent.
#[test]
fn rejection_with_the_right_bound_is_exact() {
    let target = Analytic::new(1, 2, |_, x, _| -0.5 * x[0] * x[0] - HALF_LN_TAU);
    let bounds = [2f64.ln(); 2];
    for bound in [Bound::Known(&bounds), Bound::Estimated { candidates: 10_000, margin: 0.0 }] {
        let options = RejectionOptions { num_samples: 20_000, bound, ..RejectionOptions::default() };
        let found = rejection(&target, &wide(1, 2.0), &options, Seed(4)).unwrap();
        for t in 0..2 {
            let draws = &found.draws[t * 20_000..(t + 1) * 20_000];
            let mean = draws.iter().sum::<f64>() / 2e4;
            let variance = draws.iter().map(|x| x * x).sum::<f64>() / 2e4;
            assert!(mean.abs() < 3.0 / 2e4f64.sqrt() && (variance - 1.0).abs() < 3.0 * (2.0f64 / 2e4).sqrt(), "{mean} {variance}");
            // 40 000 candidates: the rate's standard error is 0.0025.
            assert!((found.acceptance_rate[t] - 0.5).abs() < 0.0075, "{}", found.acceptance_rate[t]);
        }
    }
}

#[test]
fn rejection_ends_with_numbers_where_it_can_not_deliver() {
    let target = Analytic::new(1, 1, |_, x, _| if x[0] > 3.5 { 0.0 } else { f64::NEG_INFINITY });
    let options = RejectionOptions { bound: Bound::Known(&[10.0]), max_proposals: 20_000, ..RejectionOptions::default() };
    let error = rejection(&target, &wide(1, 1.0), &options, Seed(5)).unwrap_err();
    let SamplerError::RejectionCap { accepted, wanted: 1000, proposed: 20_000, rate, .. } = error else { panic!("{error}") };
    assert!((rate - accepted as f64 / 20_000.0).abs() < 1e-12 && rate < 1e-3);
    // No candidate ever inside: the estimated bound stays −∞ and the cap still ends it.
    let target = Analytic::new(1, 1, |_, _, _| f64::NEG_INFINITY);
    let options = RejectionOptions { max_proposals: 20_000, ..RejectionOptions::default() };
    let error = rejection(&target, &wide(1, 1.0), &options, Seed(5)).unwrap_err();
    assert!(matches!(error, SamplerError::RejectionCap { accepted: 0, .. }), "{error}");
    let target = Analytic::new(1, 1, |_, x, _| -0.5 * x[0] * x[0] - HALF_LN_TAU);
    let options = RejectionOptions { bound: Bound::Known(&[0.5]), ..RejectionOptions::default() };
    let error = rejection(&target, &wide(1, 2.0), &options, Seed(6)).unwrap_err();
    assert!(
        matches!(error, SamplerError::RejectionBound { log_ratio, log_bound: 0.5, .. } if (log_ratio - 2f64.ln()).abs() < 0.01),
        "{error}"
    );
}

/// Prior N(0, 2²), likelihood N(x_t; θ, 1): the evidence is N(x_t; 0, 5) and the posterior N(0.8 x_t, 0.8). Forty observations: the errors of log
/// evidence over their stated standard errors have mean square 1 ± √(2/40), bound at 3 of them.
#[test]
fn importance_weights_give_posterior_and_evidence() {
    let datum = |t: usize| -2.0 + 0.1 * t as f64;
    let target = Analytic::new(1, 40, move |t, x, _| {
        let z = x[0] / 2.0;
        -0.5 * z * z - 2f64.ln() - 0.5 * (x[0] - datum(t)).powi(2) - 2.0 * HALF_LN_TAU
    });
    let found = importance(&target, &wide(1, 2.0), 4000, Seed(7)).unwrap();
    found.require(0.7).unwrap();
    let mut chi2 = 0.0;
    for (t, report) in found.report.iter().enumerate() {
        let exact = -0.5 * datum(t).powi(2) / 5.0 - 0.5 * 5f64.ln() - HALF_LN_TAU;
        chi2 += ((report.log_evidence - exact) / report.log_evidence_error).powi(2);
        let weights = &found.weights[t * 4000..(t + 1) * 4000];
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let mean: f64 = weights.iter().zip(&found.points[t * 4000..]).map(|(w, x)| w * x).sum();
        // The posterior mean's standard error with this effective size, times 4.
        assert!((mean - 0.8 * datum(t)).abs() < 4.0 * (0.8 / report.ess).sqrt(), "{mean}, {report:?}");
        assert!(report.k_hat < 0.5 && report.ess > 1000.0, "{report:?}");
    }
    assert!((chi2 / 40.0 - 1.0).abs() < 3.0 * (2.0f64 / 40.0).sqrt(), "{}", chi2 / 40.0);

    let resampled = found.resample(2000, Seed(8));
    for t in [0, 39] {
        let mean = resampled[t * 2000..(t + 1) * 2000].iter().sum::<f64>() / 2000.0;
        assert!((mean - 0.8 * datum(t)).abs() < 4.0 * (0.8 / 2000.0 + 0.8 / found.report[t].ess).sqrt());
    }
}

/// A proposal N(0, s²) narrower than N(0, 1): w ∝ exp(z²(1 − s²)/2), so P(w > c) ~ c^{−1/(1 − s²)} and k = 1 − s² = 0.84 for s = 0.4.
#[test]
fn a_proposal_that_is_too_narrow_is_refused() {
    let target = shifted_normals(1, 1);
    let found = importance(&target, &wide(1, 0.4), 20_000, Seed(9)).unwrap();
    let error = found.require(0.7).unwrap_err();
    assert!(matches!(error, SamplerError::Unreliable { target: 0, k_hat, .. } if k_hat > 0.7 && k_hat < 1.0), "{error}");
    let nothing = Analytic::new(1, 1, |_, _, _| f64::NAN);
    let error = importance(&nothing, &wide(1, 1.0), 100, Seed(9)).unwrap_err();
    assert_eq!(error, SamplerError::NoWeight { target: 0, draws: 100 });
}

/// Rosenbrock's valley with its top at (1, 1), scales 10³ and 10⁻³ apart, and a mixture whose higher mode few starts find.
#[test]
fn maxima_are_found_and_counted() {
    let valley = Analytic::new(2, 2, |t, x, g| {
        let scale = if t == 0 { 1.0 } else { 1e3 };
        let (a, b) = (x[0] * scale, x[1] / scale);
        let (u, v) = (1.0 - a, b - a * a);
        g[0] = (2.0 * u + 400.0 * a * v) * scale;
        g[1] = -200.0 * v / scale;
        -u * u - 100.0 * v * v
    });
    let starts: Vec<f64> =
        [1.0, 1e3].iter().flat_map(|s| [[-1.2, 1.0], [0.0, 0.0], [2.0, 1.0]].into_iter().flat_map(move |[a, b]| [a / s, b * s])).collect();
    let options = MaximumOptions { num_starts: 3, ..MaximumOptions::default() };
    let found = maximise(&valley, &starts, &options).unwrap();
    for (found, scale) in found.iter().zip([1.0, 1e3]) {
        assert!((found.point[0] * scale - 1.0).abs() < 1e-3 && (found.point[1] / scale - 1.0).abs() < 2e-3, "{found:?}");
        assert!(found.log_density > -1e-6 && found.promised <= 1e-8 && found.agreeing == 3, "{found:?}");
    }
    // Peaks of height −ln(5) at 8 and −ln(5/4) at 0.
    let peaks = Analytic::new(1, 1, |_, x, g| {
        let (a, b) = (0.8 * libm::exp(-0.5 * x[0] * x[0]), 0.2 * libm::exp(-0.5 * (x[0] - 8.0).powi(2)));
        g[0] = (-x[0] * a - (x[0] - 8.0) * b) / (a + b);
        libm::log(a + b)
    });
    let found = maximise(&peaks, &[7.0, 9.0, 8.5, 1.0], &MaximumOptions { num_starts: 4, ..options }).unwrap();
    assert!(found[0].point[0].abs() < 1e-4 && found[0].agreeing == 1, "{found:?}");
    assert!((found[0].log_density - 0.8f64.ln()).abs() < 1e-8);
    let error = maximise(&valley, &starts, &MaximumOptions { max_evaluations: 3, ..options }).unwrap_err();
    assert!(matches!(error, SamplerError::Optimiser { target: 0, steps: 3, .. }), "{error}");
}

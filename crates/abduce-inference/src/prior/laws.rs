//! Laws that every prior obeys, on one list of priors: normalised, draws that follow the density, moments, support, and its own JSON.

use super::special::integrate;
use super::*;
use abduce_data::Seed;
use std::f64::consts::PI;

/// Priors of one parameter: every family, at ordinary and at awkward arguments.
pub(super) fn one_parameter() -> Vec<(&'static str, Prior)> {
    [
        r#"{"uniform": {"low": -1, "high": [0.1]}}"#,
        r#"{"normal": {"loc": 0.3, "scale": 2}}"#,
        r#"{"log_normal": {"loc": -0.9, "scale": 0.5}}"#,
        r#"{"truncated_normal": {"loc": 0, "scale": 1, "low": -0.5, "high": 2}}"#,
        r#"{"truncated_normal": {"loc": 0, "scale": 1, "low": 6, "high": "inf"}}"#,
        r#"{"truncated_normal": {"loc": 1, "scale": 0.2, "low": "-inf", "high": 0.5}}"#,
        r#"{"beta": {"concentration1": 2, "concentration0": 3.5}}"#,
        r#"{"beta": {"concentration1": 0.5, "concentration0": 0.7}}"#,
        r#"{"cauchy": {"loc": -1, "scale": 0.5}}"#,
        r#"{"chi2": {"df": 3}}"#,
        r#"{"exponential": {"rate": 4}}"#,
        r#"{"fisher_snedecor": {"df1": 5, "df2": 7}}"#,
        r#"{"gamma": {"concentration": 0.6, "rate": 2}}"#,
        r#"{"gamma": {"concentration": 9, "rate": 0.1}}"#,
        r#"{"gumbel": {"loc": 1, "scale": 2}}"#,
        r#"{"half_cauchy": {"scale": 0.3}}"#,
        r#"{"half_normal": {"scale": 3}}"#,
        r#"{"laplace": {"loc": 2, "scale": 0.7}}"#,
        r#"{"pareto": {"scale": 1.5, "alpha": 2.5}}"#,
        r#"{"student_t": {"df": 3}}"#,
        r#"{"student_t": {"df": 8, "loc": 1, "scale": 0.1}}"#,
        r#"{"von_mises": {"loc": 3, "concentration": 2}}"#,
        r#"{"von_mises": {"loc": 0.4, "concentration": 300}}"#,
        r#"{"weibull": {"scale": 2, "concentration": 1.7}}"#,
        r#"{"tabulated": {"theta": [0, 1, 3, 4], "density": [0, 2, 1, 1]}}"#,
        r#"{"multivariate_normal": {"loc": 1, "precision_matrix": [[4]]}}"#,
        r#"{"empirical": {"draws": [[0.1], [0.4], [0.5], [0.55], [0.9]], "low": 0, "high": 1}}"#,
    ]
    .map(|text| (text, serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))))
    .into()
}

/// The map on whose scale the laws integrate: logit on intervals, where [`Bijection::Bounded`] would bend within a few hundredths.
fn smooth_scale(prior: &Prior) -> UnconstrainedTransform {
    UnconstrainedTransform { parameters: prior.support().iter().map(Bijection::logit_from_support).collect() }
}

/// u = sinh s covers 36 orders of magnitude evenly enough for one rule to serve light and heavy tails.
const LARGEST_S: f64 = 42.0;

/// p(u) du/ds of a one-parameter prior, at s; nothing where e^u or e^{−u} is out of the range of single precision and θ no longer follows u.
fn density_over_s(prior: &Prior, s: f64) -> f64 {
    let transform = smooth_scale(prior);
    let u = [libm::sinh(s)];
    if transform.parameters[0] != Bijection::Identity && u[0].abs() > 87.0 {
        return 0.0;
    }
    let mut theta = [0.0];
    transform.theta_from_unconstrained(&u, &mut theta);
    libm::exp(prior.log_prob(&theta) + transform.log_abs_det(&u)) * libm::cosh(s)
}

#[test]
fn one_parameter_densities_integrate_to_one() {
    for (text, prior) in one_parameter() {
        let total = integrate(-LARGEST_S, LARGEST_S, 1200, |s| density_over_s(&prior, s));
        // θ within one f32 spacing (2⁻²⁴) of 1 is clamped, which misplaces a mass of about (2⁻²⁴)^0.7 = 9e-6 of Beta(0.5, 0.7).
        assert!((total - 1.0).abs() < 1e-5, "{text}: {total}");
    }
}

/// Kolmogorov-Smirnov on 20 000 draws against the integrated density; the bound 2.23/√n has a false-alarm rate of 1e-4 per prior.
#[test]
fn one_parameter_draws_follow_the_density() {
    let n = 20_000;
    for (text, prior) in one_parameter() {
        let transform = smooth_scale(&prior);
        let mut rng = Seed(1).stream("laws", 0);
        let mut theta = [0.0];
        let mut s: Vec<f64> = (0..n)
            .map(|_| {
                prior.sample(&mut rng, &mut theta);
                assert!(prior.log_prob(&theta).is_finite(), "{text}: drew {theta:?}");
                let mut u = [0.0];
                transform.unconstrained_from_theta(&theta, &mut u);
                libm::asinh(u[0])
            })
            .collect();
        s.sort_by(f64::total_cmp);
        let panels = 8000;
        let width = 2.0 * LARGEST_S / f64::from(panels);
        let mut below = vec![0.0];
        for panel in 0..panels {
            let low = -LARGEST_S + width * f64::from(panel);
            below.push(below[panel as usize] + integrate(low, low + width, 1, |s| density_over_s(&prior, s)));
        }
        let largest = s.iter().enumerate().fold(0.0f64, |largest, (rank, s)| {
            let position = (s + LARGEST_S) / width;
            let panel = (position as usize).min(panels as usize - 1);
            // Linear inside a panel of width 0.01: error below 1e-4 of a probability.
            let cdf = below[panel] + (position - panel as f64) * (below[panel + 1] - below[panel]);
            largest.max((cdf - rank as f64 / f64::from(n)).abs()).max((cdf - (rank as f64 + 1.0) / f64::from(n)).abs())
        });
        assert!(largest < 2.23 / f64::from(n).sqrt() + 1e-4, "{text}: KS distance {largest}");
    }
}

#[test]
fn one_parameter_moments_are_those_of_the_density() {
    for (text, prior) in one_parameter() {
        let expect = |f: &dyn Fn(f64) -> f64| {
            let transform = smooth_scale(&prior);
            integrate(-LARGEST_S, LARGEST_S, 2400, |s| {
                let mut theta = [0.0];
                transform.theta_from_unconstrained(&[libm::sinh(s)], &mut theta);
                density_over_s(&prior, s) * f(theta[0])
            })
        };
        if text.contains("empirical") {
            continue; // Its moments are those of its rows.
        }
        let exists = !text.contains("cauchy");
        assert_eq!(prior.mean()[0].is_some(), exists, "{text}");
        let Some(mean) = prior.mean()[0] else { continue };
        let Some(std) = prior.std()[0] else { panic!("{text}: no standard deviation") };
        let tolerance = 1e-5 * std.max(mean.abs());
        assert!((expect(&|theta| theta) - mean).abs() < tolerance, "{text}: mean {mean}, {}", expect(&|theta| theta));
        let spread = expect(&|theta| (theta - mean) * (theta - mean)).sqrt();
        // The variance of t with 3 and of Pareto with 2.5 degrees converges slowly: the tail beyond the f64-safe range of s is 1e-4 of it.
        assert!((spread / std - 1.0).abs() < 1e-4, "{text}: std {std}, {spread}");
    }
}

pub(super) fn two_parameters() -> Vec<(&'static str, Prior)> {
    [
        r#"{"multivariate_normal": {"loc": [1, -1], "covariance_matrix": [[2, 0.6], [0.6, 0.5]]}}"#,
        r#"{"multivariate_normal": {"loc": 0, "scale_tril": [[1, 0], [-0.5, 2]]}}"#,
        r#"{"low_rank_multivariate_normal": {"loc": [0, 3], "cov_factor": [[1], [2]], "cov_diag": [0.5, 0.2]}}"#,
        r#"{"multivariate_truncated_normal": {"loc": [0, 0], "covariance_matrix": [[1, 0.7], [0.7, 1]], "low": [-1, 0.2], "high": [0.5, "inf"]}}"#,
        r#"{"empirical": {"draws": [[0.1, 1], [0.4, 2], [0.5, 4], [0.7, 3], [0.9, 0.5]], "low": [0, 0], "high": [1, "inf"], "bandwidth": 0.6}}"#,
        r#"{"joint": [{"uniform": {"low": 0, "high": 2}}, {"gumbel": {"loc": 0, "scale": 1}}]}"#,
    ]
    .map(|text| (text, serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))))
    .into()
}

/// Quadrature over u ∈ ℝ² against 40 000 draws: the total is 1, and the means of five bounded functions agree within 5 standard errors
/// (false alarm 6e-7 each).
#[test]
fn two_parameter_densities_integrate_to_one_and_are_drawn_from() {
    let functions: [fn(f64, f64) -> f64; 5] =
        [|a, _| a.tanh(), |_, b| b.tanh(), |a, b| (a - b).sin(), |a, b| (a + b).cos(), |a, b| (2.0 * a * b).sin()];
    for (text, prior) in two_parameters() {
        let transform = smooth_scale(&prior);
        let mut totals = [0.0; 6];
        let mut theta = [0.0; 2];
        // u = 2 sinh s, |s| ≤ 4.2: |u| ≤ 67.
        let panels = 24;
        let rule = abduce_cosmology::quadrature::gauss_legendre();
        let half = 4.2 / f64::from(panels);
        let nodes: Vec<(f64, f64)> = (0..panels)
            .flat_map(|panel| rule.map(|(x, w)| (-4.2 + half * (f64::from(2 * panel + 1) + x), half * w)))
            .map(|(s, w)| (2.0 * s.sinh(), 2.0 * s.cosh() * w))
            .collect();
        for &(a, weight_a) in &nodes {
            for &(b, weight_b) in &nodes {
                transform.theta_from_unconstrained(&[a, b], &mut theta);
                let mass = weight_a * weight_b * (prior.log_prob(&theta) + transform.log_abs_det(&[a, b])).exp();
                totals[5] += mass;
                for (total, f) in totals.iter_mut().zip(functions) {
                    *total += mass * f(a, b);
                }
            }
        }
        // The lattice of the truncated normal is good to 1e-4.
        assert!((totals[5] - 1.0).abs() < 1e-4, "{text}: {}", totals[5]);
        let n = 40_000;
        let mut sums = [(0.0, 0.0); 5];
        let mut rng = Seed(2).stream("laws", 0);
        for _ in 0..n {
            prior.sample(&mut rng, &mut theta);
            let mut u = [0.0; 2];
            transform.unconstrained_from_theta(&theta, &mut u);
            for (sum, f) in sums.iter_mut().zip(functions) {
                let value = f(u[0], u[1]);
                sum.0 += value;
                sum.1 += value * value;
            }
        }
        let n = f64::from(n);
        for ((sum, square), exact) in sums.into_iter().zip(totals) {
            let mean = sum / n;
            let error = ((square / n - mean * mean) / n).sqrt();
            assert!((mean - exact).abs() < 5.0 * error + 1e-4, "{text}: {mean} ± {error} against {exact}");
        }
    }
}

#[test]
fn priors_survive_json_and_stay_in_their_support() {
    for (text, prior) in one_parameter().into_iter().chain(two_parameters()) {
        let again: Prior = serde_json::from_str(&serde_json::to_string(&prior).unwrap()).unwrap();
        assert_eq!(again.spec(), prior.spec(), "{text}");
        let outside: Vec<f64> = prior.support().iter().map(|interval| interval.high.min(1e30).next_up()).collect();
        let bounded = prior.support().iter().any(|interval| interval.high.is_finite());
        assert_eq!(prior.contains(&outside), !bounded, "{text}");
        if bounded {
            assert_eq!(prior.log_prob(&outside), f64::NEG_INFINITY, "{text}");
        }
        let nan = vec![f64::NAN; prior.parameters()];
        assert_eq!(prior.log_prob(&nan), f64::NEG_INFINITY, "{text}");
    }
}

/// Densities at a point, from scipy 1.17 (`logpdf`).
#[test]
fn densities_at_a_point() {
    let known: [(&str, f64, f64); 12] = [
        (r#"{"truncated_normal": {"loc": 0, "scale": 1, "low": 6, "high": "inf"}}"#, 6.1, 1.212830416770),
        (r#"{"beta": {"concentration1": 2, "concentration0": 3.5}}"#, 0.3, 0.661180201099),
        (r#"{"cauchy": {"loc": -1, "scale": 0.5}}"#, 2.0, -4.062500617934),
        (r#"{"chi2": {"df": 3}}"#, 2.0, -1.572364942925),
        (r#"{"fisher_snedecor": {"df1": 5, "df2": 7}}"#, 1.3, -1.086476143224),
        (r#"{"gamma": {"concentration": 9, "rate": 0.1}}"#, 70.0, -4.339906803297),
        (r#"{"gumbel": {"loc": 1, "scale": 2}}"#, 0.2, -1.784971878201),
        (r#"{"laplace": {"loc": 2, "scale": 0.7}}"#, 1.0, -1.765043665193),
        (r#"{"pareto": {"scale": 1.5, "alpha": 2.5}}"#, 2.0, -0.496061629815),
        (r#"{"student_t": {"df": 8, "loc": 1, "scale": 0.1}}"#, 1.2, -0.472116505643),
        (r#"{"von_mises": {"loc": 3, "concentration": 2}}"#, -PI + 0.1, -0.719954277593),
        (r#"{"weibull": {"scale": 2, "concentration": 1.7}}"#, 1.1, -0.942928154194),
    ];
    for (text, theta, expected) in known {
        let prior: Prior = serde_json::from_str(text).unwrap();
        let found = prior.log_prob(&[theta]);
        assert!((found - expected).abs() < 1e-10 * (1.0 + expected.abs()), "{text}: {found} against {expected}");
    }
}

#[test]
fn mistakes_are_named() {
    let error = |text: &str| serde_json::from_str::<Prior>(text).unwrap_err().to_string();
    assert_eq!(
        error(r#"{"Uniform": {"low": [0, 1], "high": [1, 2, 3]}}"#),
        "prior `uniform`: `low` has 2 values where 3 are expected, one per parameter"
    );
    assert_eq!(
        error(r#"{"uniform": {"low": [0, 1], "high": [1, 1]}}"#),
        "prior `uniform`: parameter 1 has low = 1 and high = 1; low must be below high"
    );
    assert_eq!(error(r#"{"normal": {"loc": 0, "scale": -1}}"#), "prior `normal`: `scale`[0] is -1, expected a positive, finite number");
    assert!(error(r#"{"normal": {"loc": 0, "sale": 1}}"#).contains("unknown field `sale`"));
    assert!(error(r#"{"normal": {"loc": "x", "scale": 1}}"#).contains("a number or a list of numbers"));
    assert!(error(r#"{"multivariate_normal": {"loc": 0, "covariance_matrix": [[1, 2], [2, 1]]}}"#).contains("positive definite"));
    assert!(error(r#"{"multivariate_normal": {"loc": 0}}"#).contains("0 were given"));
    assert!(error(r#"{"empirical": {"draws": [[0.5, 1], [0.2, 2], [0.1, 3], [0.3, 0]], "low": [0, 0]}}"#).contains("row 3"));
    assert!(error(r#"{"empirical": {"draws": [[1, 1], [2, 2], [3, 3], [4, 4]]}}"#).contains("linearly dependent (parameter 1)"));
    assert!(error(r#"{"joint": []}"#).contains("no parameters"));
    assert!(error(r#"{"uniform": {"low": 0.1, "high": 0.1000000001}}"#).contains("too short for single precision"));
}

//! Defects of other programs that must not come back, and inputs that go wrong.

use super::super::coverage::ALPHA_STEPS;
use super::super::tarp::{TarpMetric, tarp};
use super::super::{DiagnosticsError, Gate, Metrics, Pairs, PriorSpread, ValidationOptions, findings, validate};
use super::{Defect, LinearGaussian};
use abduce_data::Seed;

fn example(n: usize, defect: Defect) -> LinearGaussian {
    LinearGaussian::new(&[0.5, 0.3], n, 99, defect, Seed(30))
}

/// Requirement 4: with ranks divided by the largest rank seen, an unbiased posterior 5 times too wide was drawn as biased (its median at
/// percentile 0.68).
#[test]
fn requirement_4_a_five_times_too_wide_posterior_is_centred_and_called_too_wide() {
    let validation = example(1000, Defect::Scaled(5.0)).validate(31);
    for parameter in &validation.curves.parameters {
        let mut pit: Vec<f64> = parameter.ranks.iter().map(|r| r.pit).collect();
        pit.sort_by(f64::total_cmp);
        let median = pit[pit.len() / 2];
        assert!((median - 0.5).abs() < 0.03, "median at {median}");
        assert!(parameter.ranks.iter().map(|r| r.rank).max() < Some(99), "this case must not reach the largest rank");
    }
    let found = findings(&validation.metrics);
    assert!(found.iter().any(|w| w.text.starts_with("posterior too wide in theta_0")), "{found:#?}");
    assert!(!found.iter().any(|w| w.text.contains("biased")), "{found:#?}");
}

/// Requirement 15, first half: the bootstrap of tarp 0.1.1 wrote into the caller's arrays.
#[test]
fn requirement_15_inputs_are_unchanged_and_a_second_run_gives_the_same() {
    let data = example(200, Defect::None);
    let before = data.clone();
    let first = data.validate(1);
    assert_eq!(data, before);
    assert_eq!(first, data.validate(1));
}

/// Requirement 15, second half: the histogram of tarp 0.1.1 ran from the smallest to the largest f. Here f is far from 0 and 1.
#[test]
fn requirement_15_the_alpha_grid_is_zero_to_one_whatever_f_is() {
    let data = example(500, Defect::Scaled(5.0));
    let curves = data.validate(1).curves;
    assert_eq!((curves.alpha.len(), curves.alpha[0], curves.alpha[ALPHA_STEPS]), (101, 0.0, 1.0));
    let pairs = Pairs::new(data.inputs(), 0.0).unwrap();
    // References at the truth's posterior mean: the truth is nearer than almost every draw, f stays small.
    let references: Vec<f64> = data.x.chunks(2).flat_map(|x| [x[0] / 1.25, x[1] / 1.09]).collect();
    let test = tarp(&pairs, &references, TarpMetric::ParameterUnits, 100, Seed(1));
    assert!(test.coverage.levels.iter().all(|&f| f < 0.6));
    assert_eq!(test.coverage.ecp[0], 0.0);
    assert_eq!(test.coverage.ecp[60..].iter().copied().fold(1.0, f64::min), 1.0);
    assert!(test.two_sigma.0[20] <= test.one_sigma.0[20] && test.one_sigma.1[20] <= test.two_sigma.1[20]);
}

/// Their bootstrap replaced one pair per iteration. Resampling pairs must give the binomial spread √(α(1 - α)/n) of the curve.
#[test]
fn bootstrap_bands_have_the_binomial_width() {
    let data = example(1000, Defect::None);
    let options = ValidationOptions { bootstrap_resamples: 2000, ..Default::default() };
    let tarp = validate(&data.inputs(), Seed(3), &options).unwrap().curves.tarp;
    for k in [20, 50, 80] {
        let p = tarp.coverage.ecp[k];
        let expected = (p * (1.0 - p) / 1000.0).sqrt();
        let found = 0.5 * (tarp.one_sigma.1[k] - tarp.one_sigma.0[k]);
        // The quantiles of 2000 resamples give the width within about 4 %.
        assert!((found / expected - 1.0).abs() < 0.15, "{found} for {expected}");
    }
}

/// sbi #1832: scaling can hide a bias. In its own units a parameter with a wide range isn't diluted by 7 narrow, well calibrated ones.
#[test]
fn tarp_in_parameter_units_sees_a_bias_that_the_scaled_metric_dilutes() {
    let mut data = LinearGaussian::new(&[0.5; 8], 500, 99, Defect::None, Seed(40));
    for row in data.theta.chunks_mut(8).chain(data.samples.chunks_mut(8)) {
        row[7] *= 1e6;
    }
    for draw in data.samples.chunks_mut(8) {
        draw[7] += 0.35e6;
    }
    let mut variance = [1.0; 8];
    variance[7] = 1e12;
    let mut inputs = data.inputs();
    inputs.prior = PriorSpread::Variance(&variance);
    let p = |tarp_metric| validate(&inputs, Seed(4), &ValidationOptions { tarp_metric, ..Default::default() }).unwrap().metrics.tarp.ks_p;
    let (scaled, units) = (p(TarpMetric::UnitBox), p(TarpMetric::ParameterUnits));
    assert!(units < 1e-3 && units < 0.1 * scaled, "scaled {scaled}, units {units}");
}

/// Scaling a parameter by 1e6 changes no test of the scaled metric (up to rounding in a comparison).
#[test]
fn parameter_units_do_not_matter() {
    let plain = example(500, Defect::Shifted(0.1));
    let mut scaled = plain.clone();
    for row in scaled.theta.chunks_mut(2).chain(scaled.samples.chunks_mut(2)) {
        row[1] *= 1e6;
    }
    let mut inputs = scaled.inputs();
    inputs.prior = PriorSpread::Variance(&[1.0, 1e12]);
    let a = plain.validate(5).metrics;
    let b = validate(&inputs, Seed(5), &ValidationOptions::default()).unwrap().metrics;
    for (a, b) in a.parameters.iter().zip(&b.parameters) {
        assert_eq!((a.sbc_ks_p, a.sbc_chi2_p), (b.sbc_ks_p, b.sbc_chi2_p));
        assert!((a.contraction - b.contraction).abs() < 1e-9 && (a.r2 - b.r2).abs() < 1e-9);
    }
    let tarp_x = |m: &Metrics| m.tarp_x.as_ref().map(|t| t.ks_p).unwrap();
    assert!((a.tarp.ks_p - b.tarp.ks_p).abs() < 0.02 && (tarp_x(&a) - tarp_x(&b)).abs() < 0.02);
}

#[test]
fn pairs_with_nan_are_counted_left_out_and_change_no_other_pair() {
    let clean = example(600, Defect::None);
    let mut broken = clean.clone();
    broken.samples[7 * 99 * 2 + 31] = f64::NAN;
    broken.log_prob_theta[13] = f64::NAN;
    broken.log_prob_samples[20 * 99] = f64::NAN;
    broken.theta[2 * 100] = f64::INFINITY;
    broken.x[2 * 200] = f64::NAN; // a missing feature is no reason to leave a pair out
    let validation = broken.validate(6);
    assert_eq!((validation.metrics.n_pairs, validation.metrics.n_excluded), (596, 4));
    let reference = clean.validate(6);
    for (position, &row) in validation.curves.rows.iter().enumerate() {
        assert_eq!(validation.curves.parameters[0].ranks[position], reference.curves.parameters[0].ranks[row]);
    }
    let found = findings(&validation.metrics);
    assert!(found[0].text.starts_with("4 of 600 test pairs left out"), "{found:#?}");
}

#[test]
fn too_many_nan_pairs_are_an_error_with_the_first_one() {
    let mut data = example(100, Defect::None);
    (30..40).for_each(|i| data.samples[i * 99 * 2] = f64::NAN);
    let error = validate(&data.inputs(), Seed(0), &ValidationOptions::default()).unwrap_err();
    assert_eq!(error, DiagnosticsError::TooManyExcluded { excluded: 10, total: 100, first: 30, array: "samples", allowed: 5 });
}

#[test]
fn a_truth_of_density_zero_makes_the_mean_infinite_and_survives_json() {
    let mut data = example(500, Defect::None);
    data.log_prob_theta[3] = f64::NEG_INFINITY;
    let validation = data.validate(7);
    let log_prob = &validation.metrics.log_prob;
    assert_eq!((log_prob.mean, log_prob.n_zero_density), (None, 1));
    assert!(!validation.metrics.gates["log_prob_beats_prior"].pass);
    assert!(findings(&validation.metrics)[0].text.starts_with("1 true parameters have posterior density zero"));
    let text = serde_json::to_string(&validation).unwrap();
    assert_eq!(serde_json::from_str::<super::Validation>(&text).unwrap(), validation);
}

#[test]
fn coverage_gate_below_500_pairs_is_an_error_when_asked_for_and_absent_otherwise() {
    let data = example(499, Defect::None);
    let options = ValidationOptions { required_gates: vec![Gate::Coverage], ..Default::default() };
    let error = validate(&data.inputs(), Seed(0), &options).unwrap_err();
    assert_eq!(error.to_string(), "gate coverage needs at least 500 test pairs, got 499");
    let metrics = data.validate(0).metrics;
    assert_eq!(metrics.gates.keys().collect::<Vec<_>>(), ["contraction", "log_prob_beats_prior"]);
    assert_eq!("coverage".parse::<Gate>(), Ok(Gate::Coverage));
    assert!("coverge".parse::<Gate>().is_err());
}

#[test]
fn arrays_that_do_not_fit_are_errors() {
    let data = example(50, Defect::None);
    let run = |change: &dyn Fn(&mut super::ValidationInputs<'_>)| {
        let mut inputs = data.inputs();
        change(&mut inputs);
        validate(&inputs, Seed(0), &ValidationOptions::default()).unwrap_err()
    };
    assert!(matches!(run(&|i| i.samples = &[0.0; 3]), DiagnosticsError::Length { array: "samples (n, S, d)", found: 3, .. }));
    assert!(matches!(run(&|i| i.prior_log_prob = &[0.0; 3]), DiagnosticsError::Length { found: 3, .. }));
    assert!(matches!(run(&|i| i.prior = PriorSpread::Variance(&[1.0, 0.0])), DiagnosticsError::PriorVariance { .. }));
    assert!(matches!(run(&|i| i.theta = &[1.0; 100]), DiagnosticsError::ConstantParameter { .. }));
    assert!(matches!(run(&|i| i.samples = &[0.5; 50 * 4 * 2][..]), DiagnosticsError::Length { array: "log_prob_samples (n, S')", .. }));
}

/// 10 prior draws in place of the variance; one parameter; seed 0; no features, no log-probabilities of the draws.
#[test]
fn optional_inputs_may_be_absent() {
    let data = LinearGaussian::new(&[0.5], 100, 50, Defect::None, Seed(0));
    let mut inputs = data.inputs();
    (inputs.x, inputs.log_prob_samples) = (None, None);
    inputs.prior = PriorSpread::Draws(&data.theta);
    let metrics = validate(&inputs, Seed(0), &ValidationOptions::default()).unwrap().metrics;
    assert!(metrics.tarp_x.is_none() && metrics.hpd.is_none());
    assert!((metrics.parameters[0].contraction - 0.8).abs() < 0.1);
}

/// With 300 features of which one matters, random projection and ridge still find the data's pull.
#[test]
fn x_dependent_tarp_catches_the_prior_through_many_features() {
    let data = LinearGaussian::new(&[0.3], 1000, 99, Defect::IgnoresData, Seed(50));
    let x: Vec<f64> = (0..1000)
        .flat_map(|i| {
            let mut rng = Seed(51).stream("features", i as u64);
            let value = data.x[i];
            // 150 noisy copies, 149 of pure noise and a constant
            (0..300)
                .map(move |f| if f == 299 { 1.0 } else { f64::from(u8::from(f < 150)) * value + 2.0 * rng.normal() })
                .collect::<Vec<_>>()
        })
        .collect();
    let mut inputs = data.inputs();
    inputs.x = Some(&x);
    let metrics = validate(&inputs, Seed(9), &ValidationOptions::default()).unwrap().metrics;
    assert!(metrics.tarp_x.as_ref().unwrap().ks_p < 1e-6 && metrics.tarp.ks_p > 0.01, "{metrics:#?}");
}

/// x = θ² + noise: linear prediction of θ is impossible, the nearest neighbour sees |θ|.
#[test]
fn x_dependent_tarp_catches_the_prior_through_a_relation_without_slope() {
    let mut data = LinearGaussian::new(&[0.3], 1000, 99, Defect::IgnoresData, Seed(60));
    data.x.iter_mut().for_each(|x| *x *= *x);
    let metrics = data.validate(1).metrics;
    assert!(metrics.tarp_x.as_ref().unwrap().ks_p < 1e-3, "{metrics:#?}");
}

#[test]
fn metrics_have_the_form_of_the_schema() {
    let metrics = example(500, Defect::None).validate(8).metrics;
    let json = serde_json::to_value(&metrics).unwrap();
    for pointer in [
        "/version",
        "/n_pairs",
        "/n_draws",
        "/seed",
        "/parameters/0/name",
        "/parameters/0/sbc_ks_p",
        "/parameters/0/sbc_chi2_p",
        "/parameters/0/z_mean",
        "/parameters/0/contraction",
        "/parameters/0/rmse",
        "/parameters/0/r2",
        "/tarp/atc",
        "/tarp/ks_p",
        "/hpd/max_abs_error",
        "/log_prob/mean",
        "/log_prob/sem",
        "/gates/coverage/value",
        "/gates/coverage/threshold",
        "/gates/coverage/pass",
    ] {
        assert!(json.pointer(pointer).is_some_and(|v| !v.is_null()), "{pointer} is missing");
    }
    let schema = serde_json::to_value(schemars::schema_for!(Metrics)).unwrap();
    let described = schema["properties"].as_object().unwrap();
    assert!(json.as_object().unwrap().keys().all(|key| described.contains_key(key)));
}

/// Files of the first version lack what was added later.
#[test]
fn earlier_metrics_and_curves_still_load() {
    let data = example(500, Defect::None);
    let prior = super::prior_draws(1000, 2, Seed(1));
    let inputs = super::ValidationInputs { prior: PriorSpread::Draws(&prior), ..data.inputs() };
    let super::Validation { mut metrics, mut curves } = validate(&inputs, Seed(8), &ValidationOptions::default()).unwrap();
    let without = |value: serde_json::Value, keys: &[&str]| {
        let serde_json::Value::Object(mut map) = value else { panic!("an object") };
        keys.iter().for_each(|key| assert!(map.remove(*key).is_some(), "{key} is not written"));
        serde_json::Value::Object(map)
    };
    let added = ["regions", "data_averaged", "conformal", "local_c2st", "misspecification"];
    let early: Metrics = serde_json::from_value(without(serde_json::to_value(&metrics).unwrap(), &added)).unwrap();
    assert!(metrics.regions.is_some() && metrics.data_averaged.is_some() && metrics.conformal.is_some());
    (metrics.regions, metrics.data_averaged, metrics.conformal) = (None, None, None);
    assert_eq!(early, metrics);
    let early: super::super::Curves =
        serde_json::from_value(without(serde_json::to_value(&curves).unwrap(), &["regions", "conformal"])).unwrap();
    (curves.regions, curves.conformal) = (Vec::new(), None);
    assert_eq!(early, curves);
}

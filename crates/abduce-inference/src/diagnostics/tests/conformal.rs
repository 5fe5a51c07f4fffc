//! The conformal guarantee, by simulation, for posteriors that are too narrow, too wide and right.

use super::super::coverage::highest_density_coverage;
use super::super::{ConformalCalibration, ConformalScore, DiagnosticsError, Pairs};
use super::{Defect, LinearGaussian};
use abduce_data::Seed;

const NOISE: [f64; 2] = [0.5, 0.3];
const DRAWS: usize = 99;
const CASES: [Defect; 4] = [Defect::Scaled(0.6), Defect::Scaled(1.7), Defect::None, Defect::Shifted(0.5)];

fn fit(data: &LinearGaussian, score: ConformalScore, seed: u64) -> ConformalCalibration {
    ConformalCalibration::fit(&data.log_prob_theta, &data.log_prob_samples, score, Seed(seed)).unwrap()
}

/// Fraction of truths of `data` inside the corrected regions for `alpha`.
fn coverage(calibration: &ConformalCalibration, data: &LinearGaussian, alpha: f64) -> f64 {
    let pairs = data.log_prob_theta.iter().zip(data.log_prob_samples.chunks_exact(DRAWS));
    let inside = pairs.filter(|(truth, draws)| calibration.apply(draws, alpha).unwrap().contains(**truth)).count();
    inside as f64 / data.log_prob_theta.len() as f64
}

/// 60 calibrations on 149 pairs, each tested on 300 new ones. The mean coverage is k/(n + 1) exactly; its variance is the calibration's
/// α(1 - α)/(n + 2)/60 and the binomial α(1 - α)/18 000. Bounds at 4 standard errors, about 0.013 at 90 %.
#[test]
fn corrected_regions_cover_what_they_promise_whatever_the_posterior() {
    const REPLICATES: u64 = 60;
    let (n, m) = (149, 300);
    let alphas = [0.5, 0.683, 0.9];
    for defect in CASES {
        let mut total = [[0.0; 3]; 2];
        for r in 0..REPLICATES {
            let held_out = LinearGaussian::new(&NOISE, n, DRAWS, defect, Seed(100 + r));
            let new = LinearGaussian::new(&NOISE, m, DRAWS, defect, Seed(900 + r));
            for (sums, score) in total.iter_mut().zip([ConformalScore::LogDensity, ConformalScore::HighestDensityRank]) {
                let calibration = fit(&held_out, score, r);
                sums.iter_mut().zip(alphas).for_each(|(sum, alpha)| *sum += coverage(&calibration, &new, alpha) / REPLICATES as f64);
            }
        }
        let calibration = fit(&LinearGaussian::new(&NOISE, n, DRAWS, defect, Seed(100)), ConformalScore::LogDensity, 0);
        for (k, alpha) in alphas.into_iter().enumerate() {
            let promised = calibration.coverage(alpha);
            assert!(promised >= alpha && promised < alpha + 1.0 / 150.0, "{alpha}: {promised}");
            let variance = promised * (1.0 - promised) * (1.0 / 151.0 + 1.0 / m as f64) / REPLICATES as f64;
            let bound = 4.0 * variance.sqrt();
            let [density, rank] = [total[0][k], total[1][k]];
            assert!((density - promised).abs() < bound, "{defect:?} at {alpha}: {density} for {promised} ± {bound}");
            // The ranks' regions are those of U = 0: they cover more, by one rank of an exact posterior, by many truths beyond all draws of a
            // narrow one.
            assert!(rank > promised - bound, "{defect:?} at {alpha}: {rank} for {promised}");
            if defect == Defect::None {
                assert!(rank < promised + 1.0 / (DRAWS + 1) as f64 + bound, "{alpha}: {rank}");
            }
        }
    }
}

/// Two parameters: the plain region of credibility α of a posterior s times too wide holds 1 - (1 - α)^{s²} of the truths (χ² with 2 degrees
/// of freedom). 4000 pairs: binomial standard error at most 0.008. So the plain regions of a narrow posterior do *not* cover.
#[test]
fn plain_regions_of_a_narrow_posterior_fail() {
    for (defect, s) in [(Defect::Scaled(0.6), 0.6f64), (Defect::None, 1.0), (Defect::Scaled(1.7), 1.7)] {
        let data = LinearGaussian::new(&NOISE, 4000, DRAWS, defect, Seed(5));
        let pairs = Pairs::new(data.inputs(), 0.0).unwrap();
        let ecp = highest_density_coverage(&pairs, Seed(6)).unwrap().ecp;
        for k in [50usize, 90] {
            let exact = 1.0 - (1.0 - k as f64 / 100.0).powf(s * s);
            assert!((ecp[k] - exact).abs() < 0.032, "{defect:?} at {k} %: {} for {exact}", ecp[k]);
            if s < 1.0 {
                assert!(ecp[k] < k as f64 / 100.0 - 0.15);
            }
        }
    }
}

/// The map itself in closed form: α' = 1 - (1 - α)^{1/s²}, and ln(1/(1 - α))/s² - ln 2 nats below the median draw. With n = 4000 a quantile of
/// the levels is known to √(α(1 - α)/n) = 0.0047 in α; one in the density to that times its slope.
#[test]
fn thresholds_are_the_closed_forms() {
    for (defect, s) in [(Defect::Scaled(0.6), 0.6f64), (Defect::None, 1.0), (Defect::Scaled(1.7), 1.7)] {
        let data = LinearGaussian::new(&NOISE, 4000, 199, defect, Seed(7));
        let ranks = fit(&data, ConformalScore::HighestDensityRank, 8);
        let density = fit(&data, ConformalScore::LogDensity, 8);
        let mut before = 0.0;
        for alpha in [0.5f64, 0.68, 0.9] {
            let level = |a: f64| 1.0 - (1.0 - a).powf(1.0 / (s * s));
            let se = (alpha * (1.0 - alpha) / 4000.0).sqrt();
            let found = ranks.threshold(alpha).unwrap();
            assert!(found > level(alpha - 4.0 * se) - 0.005 && found < level(alpha + 4.0 * se) + 0.005, "{defect:?} at {alpha}: {found}");
            assert!(found > before, "the map ascends");
            before = found;
            let nats = |a: f64| (1.0 / (1.0 - a)).ln() / (s * s) - 2f64.ln();
            let found = density.threshold(alpha).unwrap();
            // The median of 199 draws of an exponential variable has a standard deviation of 1/√199 = 0.07, and its upper median a bias of 0.003.
            assert!(found > nats(alpha - 4.0 * se) - 0.02 && found < nats(alpha + 4.0 * se) + 0.02, "{defect:?} at {alpha}: {found}");
        }
    }
}

/// A narrow posterior of which 20 draws at most reach: ranks can't look beyond the draws, densities can.
#[test]
fn beyond_all_draws_the_ranks_give_everything_and_the_densities_a_region() {
    let data = LinearGaussian::new(&NOISE, 500, DRAWS, Defect::Scaled(0.2), Seed(9));
    let draws = &data.log_prob_samples[..DRAWS];
    let by_rank = fit(&data, ConformalScore::HighestDensityRank, 1).apply(draws, 0.9).unwrap();
    assert_eq!((by_rank.log_prob_min, by_rank.credibility), (None, 1.0));
    let by_density = fit(&data, ConformalScore::LogDensity, 1).apply(draws, 0.9).unwrap();
    assert!(by_density.log_prob_min.is_some_and(|least| least < draws.iter().copied().fold(f64::INFINITY, f64::min)));
}

#[test]
fn regions_say_which_draws_are_inside_and_nest() {
    let data = LinearGaussian::new(&NOISE, 300, DRAWS, Defect::Scaled(1.7), Seed(10));
    for score in [ConformalScore::HighestDensityRank, ConformalScore::LogDensity] {
        let calibration = fit(&data, score, 2);
        assert_eq!((calibration.pairs(), calibration.draws(), calibration.score()), (300, DRAWS, score));
        // 150 draws: the first 99 set the region.
        let draws = &data.log_prob_samples[..150];
        let regions: Vec<_> = [0.0, 0.3, 0.68, 0.95, 1.0].iter().map(|&alpha| calibration.apply(draws, alpha).unwrap()).collect();
        for region in &regions {
            assert!(region.inside.iter().zip(draws).all(|(&inside, &q)| inside == region.contains(q)));
            assert_eq!(region.credibility, region.inside.iter().filter(|i| **i).count() as f64 / 150.0);
        }
        for pair in regions.windows(2) {
            assert!(pair[0].inside.iter().zip(&pair[1].inside).all(|(inner, outer)| !inner || *outer), "regions nest");
        }
        assert_eq!((regions[0].credibility, regions[4].credibility), (0.0, 1.0));
        // 1 - 0.32^{1/2.89} = 0.33: a posterior that is too wide covers 68 % with much less.
        assert!((regions[2].credibility - 0.33).abs() < 0.15, "{}", regions[2].credibility);
    }
}

#[test]
fn truths_of_density_zero_count_as_outside_of_everything_finite() {
    let mut data = LinearGaussian::new(&NOISE, 99, DRAWS, Defect::None, Seed(11));
    data.log_prob_theta[..10].fill(f64::NEG_INFINITY);
    let calibration = fit(&data, ConformalScore::LogDensity, 3);
    assert_eq!(calibration.pairs(), 99);
    assert!(calibration.threshold(0.89).unwrap().is_finite());
    assert_eq!(calibration.threshold(0.9), Ok(f64::INFINITY));
    let again: ConformalCalibration = serde_json::from_str(&serde_json::to_string(&calibration).unwrap()).unwrap();
    assert_eq!(again, calibration);
}

#[test]
fn saved_form_is_versioned_and_checked() {
    let calibration = fit(&LinearGaussian::new(&NOISE, 20, 9, Defect::None, Seed(12)), ConformalScore::HighestDensityRank, 4);
    let json = serde_json::to_value(&calibration).unwrap();
    assert_eq!((&json["version"], &json["score"], &json["n_draws"]), (&1.into(), &"highest_density_rank".into(), &9.into()));
    assert_eq!(serde_json::from_value::<ConformalCalibration>(json.clone()).unwrap(), calibration);
    let broken = |key: &str, value: serde_json::Value| {
        let mut json = json.clone();
        json[key] = value;
        serde_json::from_value::<ConformalCalibration>(json).unwrap_err().to_string()
    };
    assert!(broken("version", 2.into()).contains("version 2"));
    assert!(broken("scores", serde_json::json!([0.3, 0.2])).contains("ascend"));
    assert!(broken("n_draws", 0.into()).contains("conformal calibration"));
    assert!(broken("more", 0.into()).contains("unknown field"));
    // The form of version 1, to be read for ever.
    let golden = r#"{"version":1,"score":"log_density","n_draws":3,"n_infinite":1,"scores":[-0.5,0.25,1.5]}"#;
    let golden: ConformalCalibration = serde_json::from_str(golden).unwrap();
    assert_eq!((golden.threshold(0.4), golden.threshold(0.7)), (Ok(0.25), Ok(f64::INFINITY)));
    assert_eq!(golden.apply(&[-1.0, -3.0, -2.0], 0.6).unwrap().inside, [true, true, true]);
    assert_eq!(golden.apply(&[-1.0, -3.0, -2.0], 0.2).unwrap().inside, [true, false, false]);
}

#[test]
fn inputs_that_do_not_fit_are_errors() {
    let fit = |theta: &[f64], draws: &[f64]| ConformalCalibration::fit(theta, draws, ConformalScore::LogDensity, Seed(0));
    assert!(matches!(fit(&[], &[]), Err(DiagnosticsError::Length { .. })));
    assert!(matches!(fit(&[0.0; 2], &[0.0; 5]), Err(DiagnosticsError::Length { found: 5, .. })));
    assert!(matches!(fit(&[0.0, f64::NAN], &[0.0; 4]), Err(DiagnosticsError::NonFinite { row: 1, .. })));
    assert!(matches!(fit(&[0.0; 2], &[0.0, 0.0, 0.0, f64::INFINITY]), Err(DiagnosticsError::NonFinite { row: 1, .. })));
    let calibration = fit(&[0.0; 2], &[0.0; 10]).unwrap();
    assert!(matches!(calibration.apply(&[0.0; 4], 0.5), Err(DiagnosticsError::TooFewDraws { found: 4, needed: 5, .. })));
    assert!(matches!(calibration.apply(&[0.0; 5], 1.5), Err(DiagnosticsError::Option { option: "alpha", .. })));
    assert!(matches!(calibration.threshold(f64::NAN), Err(DiagnosticsError::Option { .. })));
}

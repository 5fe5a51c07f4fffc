//! ABC on models with known posteriors.

use super::*;
use crate::prior::{Prior, PriorSpec};
use abduce_data::Seed;

fn prior(spec: serde_json::Value) -> Prior {
    Prior::new(serde_json::from_value::<PriorSpec>(spec).unwrap()).unwrap()
}

/// x = θ + 0.5 ε in two dimensions; every 50th simulation fails.
fn gaussian(theta: &[f32], first: usize) -> Result<Vec<f32>, String> {
    let mut x = Vec::new();
    for (i, theta) in theta.chunks_exact(2).enumerate() {
        let mut rng = Seed(11).stream("simulate", (first + i) as u64);
        let failed = (first + i) % 50 == 49;
        x.extend(theta.iter().map(|&t| if failed { f32::NAN } else { t + 0.5 * rng.normal() as f32 }));
    }
    Ok(x)
}

const REJECTION: RejectionAbc =
    RejectionAbc { simulations: 0, accept: Accept::Quantile(0.02), summaries: Summaries::Data, adjustment: Adjustment::None, trials: 1 };

const SMC: SmcAbc = SmcAbc {
    particles: 1000,
    initial: 0,
    simulations: 0,
    leftover: Leftover::Fill,
    decay: Decay::Quantile(0.5),
    kernel_variance_scale: 2.0,
    ess_min: None,
    summaries: Summaries::Data,
    adjustment: Adjustment::None,
    trials: 1,
};

fn moments(sample: &AbcSample, j: usize) -> (f64, f64) {
    let rows = || sample.theta.iter().skip(j).step_by(2).zip(&sample.weights);
    let mean: f64 = rows().map(|(t, w)| t * w).sum();
    (mean, rows().map(|(t, w)| w * (t - mean).powi(2)).sum::<f64>().sqrt())
}

/// p(θ) = N(0, 1)², x_o = (1, −0.5): posterior N(0.8 x_o, 0.2), standard deviation 0.447. With some 500 draws the standard errors of mean and
/// standard deviation are 0.02 and 0.014; the regression removes the widening by ε.
#[test]
fn rejection_with_regression_finds_the_gaussian_posterior() {
    let prior = prior(serde_json::json!({"normal": {"loc": [0.0, 0.0], "scale": [1.0, 1.0]}}));
    let mut options = RejectionAbc { simulations: 40_000, accept: Accept::Quantile(0.02), adjustment: Adjustment::Linear, ..REJECTION };
    let mut simulate = gaussian;
    let adjusted = rejection_abc(&prior, &[1.0, -0.5], &options, &mut simulate, Seed(1)).unwrap();
    assert_eq!(adjusted.failed, 800);
    assert_eq!(adjusted.weights.len(), 784);
    for (j, truth) in [(0, 0.8), (1, -0.4)] {
        let (mean, sd) = moments(&adjusted, j);
        assert!((mean - truth).abs() < 0.08 && (sd - 0.447).abs() < 0.05, "{j}: {mean} ± {sd}");
    }
    // A wide quantile shows what the regression is for: without it the sample is nearly the prior.
    options.accept = Accept::Quantile(0.5);
    let corrected = rejection_abc(&prior, &[1.0, -0.5], &options, &mut simulate, Seed(1)).unwrap();
    options.adjustment = Adjustment::None;
    let plain = rejection_abc(&prior, &[1.0, -0.5], &options, &mut simulate, Seed(1)).unwrap();
    assert!((moments(&corrected, 0).1 - 0.447).abs() < 0.05, "{:?}", moments(&corrected, 0));
    assert!(moments(&plain, 0).1 > 0.6, "{:?}", moments(&plain, 0));
}

#[test]
fn semi_automatic_summaries_find_the_informative_direction() {
    // Twenty data of which the mean is sufficient: x_k = θ + ε_k, posterior N(20 mean/21, 1/21).
    let prior = prior(serde_json::json!({"normal": {"loc": [0.0], "scale": [1.0]}}));
    let mut simulate = |theta: &[f32], first: usize| {
        let rows = theta.iter().enumerate();
        Ok(rows
            .flat_map(|(i, &t)| {
                let mut rng = Seed(5).stream("simulate", (first + i) as u64);
                (0..20).map(move |_| t + rng.normal() as f32)
            })
            .collect())
    };
    let x_obs: Vec<f64> = (0..20).map(|k| 0.5 + 0.1 * f64::from(k % 5) - 0.2).collect();
    let options = RejectionAbc {
        simulations: 20_000,
        accept: Accept::Quantile(0.02),
        summaries: Summaries::SemiAutomatic { fraction: 0.25, degree: 1 },
        ..REJECTION
    };
    let sample = rejection_abc(&prior, &x_obs, &options, &mut simulate, Seed(2)).unwrap();
    let mean = sample.theta.iter().zip(&sample.weights).map(|(t, w)| t * w).sum::<f64>();
    let sd = sample.theta.iter().zip(&sample.weights).map(|(t, w)| w * (t - mean).powi(2)).sum::<f64>().sqrt();
    // 300 draws: standard error 0.0126; the regression's coefficients are known to 2 %.
    assert!((mean - 0.5 * 20.0 / 21.0).abs() < 0.06 && (sd - (1.0f64 / 21.0).sqrt()).abs() < 0.05, "{mean} ± {sd}");
}

#[test]
fn populations_close_in_on_the_posterior_inside_the_prior() {
    // A box that cuts the posterior: θ ~ U(−1, 1)², x_o near a corner.
    let prior = prior(serde_json::json!({"uniform": {"low": [-1.0, -1.0], "high": [1.0, 1.0]}}));
    let options = SmcAbc { initial: 4000, simulations: 200_000, ..SMC };
    let (sample, course) = smc_abc(&prior, &[0.9, -0.2], &options, &mut gaussian, Seed(3)).unwrap();
    assert!(course.len() > 4 && course.windows(2).all(|w| w[1].epsilon < w[0].epsilon), "{course:?}");
    assert!(sample.simulations <= 200_000 && sample.theta.iter().all(|t| t.abs() < 1.0));
    // Some 500 effective draws: standard errors 0.018 and 0.013, and ε widens a little.
    assert_truncated(&sample, 0.07, 0.06);
}

/// Truncated normals N(x, 0.25) on (−1, 1) for x_o = (0.9, −0.2), by quadrature, against a sample.
fn assert_truncated(sample: &AbcSample, of_mean: f64, of_sd: f64) {
    for (j, x) in [(0, 0.9), (1, -0.2)] {
        let density = |t: f64| (-0.5 * ((t - x) / 0.5f64).powi(2)).exp();
        let grid: Vec<f64> = (0..4000).map(|i| -1.0 + (f64::from(i) + 0.5) / 2000.0).collect();
        let total: f64 = grid.iter().map(|&t| density(t)).sum();
        let mean = grid.iter().map(|&t| t * density(t)).sum::<f64>() / total;
        let sd = (grid.iter().map(|&t| (t - mean).powi(2) * density(t)).sum::<f64>() / total).sqrt();
        let (found, found_sd) = moments(sample, j);
        assert!((found - mean).abs() < of_mean && (found_sd - sd).abs() < of_sd, "{j}: {found} ± {found_sd}, expected {mean} ± {sd}");
    }
}

/// Every way to run populations ends at the same posterior: resampled when weights degenerate, with either regression, and with a last population
/// that is filled up, whose ε is then that of the particles it was filled with.
#[test]
fn options_of_populations_keep_the_posterior() {
    let prior = prior(serde_json::json!({"uniform": {"low": [-1.0, -1.0], "high": [1.0, 1.0]}}));
    let run = |options: &SmcAbc| smc_abc(&prior, &[0.9, -0.2], options, &mut gaussian, Seed(4)).unwrap();
    let base = SmcAbc { initial: 4000, simulations: 40_000, leftover: Leftover::Discard, ..SMC };
    let (discarded, short) = run(&base);
    for options in [
        SmcAbc { ess_min: Some(0.7), ..base },
        SmcAbc { adjustment: Adjustment::Linear, ..base },
        SmcAbc { adjustment: Adjustment::LinearWeighted, ..base },
    ] {
        assert_truncated(&run(&options).0, 0.09, 0.07);
    }
    let (filled, long) = run(&SmcAbc { leftover: Leftover::Fill, ..base });
    assert_eq!((long.len(), filled.weights.len(), filled.simulations), (short.len() + 1, 1000, 40_000));
    assert_eq!(discarded.simulations, 40_000);
    // Half of the last population's particles are beyond its own ε, none beyond the one before.
    let last = short[short.len() - 1].epsilon;
    assert!(filled.epsilon <= last && filled.distances.iter().all(|d| *d <= filled.epsilon));
    assert!((filled.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    assert_truncated(&filled, 0.09, 0.07);
    // With a demand for more particles than are left, each population is resampled and has equal weights before it is moved.
    let (always, _) = run(&SmcAbc { ess_min: Some(1.0), ..base });
    assert_ne!(always.theta, discarded.theta);
}

/// Ten data x_k ~ N(θ, 1), θ ~ N(0, 1): the posterior is N(10 mean/11, 1/11), whatever their order.
#[test]
fn independent_data_are_compared_as_sets() {
    let prior = prior(serde_json::json!({"normal": {"loc": [0.0], "scale": [1.0]}}));
    let mut simulate = |theta: &[f32], first: usize| {
        Ok(theta.iter().enumerate().map(|(i, &t)| t + Seed(6).stream("simulate", (first + i) as u64).normal() as f32).collect())
    };
    let x_obs: Vec<f64> = (0..10).map(|k| 0.6 + 1.2 * (f64::from(k) - 4.5) / 3.0).collect();
    let options = RejectionAbc { simulations: 20_000, accept: Accept::Quantile(0.01), trials: 10, ..REJECTION };
    let sample = rejection_abc(&prior, &x_obs, &options, &mut simulate, Seed(2)).unwrap();
    let mean = sample.theta.iter().zip(&sample.weights).map(|(t, w)| t * w).sum::<f64>();
    let sd = sample.theta.iter().zip(&sample.weights).map(|(t, w)| w * (t - mean).powi(2)).sum::<f64>().sqrt();
    // 200 draws: standard errors 0.021 and 0.015; the distance does not vanish, which widens by a tenth or so.
    assert!((mean - 0.6 * 10.0 / 11.0).abs() < 0.08 && (sd - (1.0f64 / 11.0).sqrt()).abs() < 0.07, "{mean} ± {sd}");
    let reversed: Vec<f64> = x_obs.iter().rev().copied().collect();
    let again = rejection_abc(&prior, &reversed, &options, &mut simulate, Seed(2)).unwrap();
    assert_eq!(again.theta, sample.theta);
    let refused = RejectionAbc { adjustment: Adjustment::Linear, ..options };
    let error = rejection_abc(&prior, &x_obs, &refused, &mut simulate, Seed(2)).unwrap_err().to_string();
    assert_eq!(error, "the regression adjustment works on one datum per observation, and there are 10");
}

/// A table of simulations gives what simulating gives; simulations from a proposal are weighted back to the prior.
#[test]
fn stored_simulations_serve_as_well() {
    let prior = prior(serde_json::json!({"normal": {"loc": [0.0, 0.0], "scale": [1.0, 1.0]}}));
    let options = RejectionAbc { simulations: 20_000, accept: Accept::Quantile(0.05), adjustment: Adjustment::Linear, ..REJECTION };
    let draws = |prior: &Prior| {
        let mut row = [0.0; 2];
        (0..20_000)
            .flat_map(|i| {
                prior.sample(&mut Seed(8).stream("abc.prior", i), &mut row);
                row.map(|t| t as f32)
            })
            .collect::<Vec<f32>>()
    };
    let theta = draws(&prior);
    let x = gaussian(&theta, 0).unwrap();
    let table = SimulationTable { theta: &theta, x: &x, proposal: None };
    let stored = rejection_abc_of_table(&prior, &[1.0, -0.5], &options, &table).unwrap();
    assert_eq!(stored, rejection_abc(&prior, &[1.0, -0.5], &options, &mut gaussian, Seed(8)).unwrap());
    let proposal =
        Prior::new(serde_json::from_value(serde_json::json!({"normal": {"loc": [0.5, 0.5], "scale": [1.2, 1.2]}})).unwrap()).unwrap();
    let theta = draws(&proposal);
    let x = gaussian(&theta, 0).unwrap();
    let table = SimulationTable { theta: &theta, x: &x, proposal: Some(&proposal) };
    let weighted = rejection_abc_of_table(&prior, &[1.0, -0.5], &options, &table).unwrap();
    for (j, truth) in [(0, 0.8), (1, -0.4)] {
        // Without the weights the mean would be (x/0.25 + 0.5/1.44)/(1/0.25 + 1/1.44): 0.93 and −0.35.
        let (mean, sd) = moments(&weighted, j);
        assert!((mean - truth).abs() < 0.05 && (sd - 0.447).abs() < 0.04, "{j}: {mean} ± {sd}");
    }
    let few = RejectionAbc { simulations: 20_001, ..options };
    let error = rejection_abc_of_table(&prior, &[1.0, -0.5], &few, &table).unwrap_err().to_string();
    assert_eq!(error, "20001 simulations are asked for, and 20000 are stored");
    let narrow =
        Prior::new(serde_json::from_value(serde_json::json!({"uniform": {"low": [-1.0, -1.0], "high": [1.0, 1.0]}})).unwrap()).unwrap();
    let outside = rejection_abc_of_table(&narrow, &[1.0, -0.5], &options, &SimulationTable { proposal: None, ..table });
    assert!(matches!(outside, Err(AbcError::OutsidePrior { .. })));
}

/// The smooth density: integrates to one over the support, is zero outside, has draws that follow it, and cross validation finds a width near the
/// best for a normal sample, Silverman's.
#[test]
fn kernel_densities_are_densities() {
    let mut rng = Seed(1).stream("sample", 0);
    let theta: Vec<f64> = (0..800).map(|_| rng.truncated_normal(-2.0, 2.0) * 0.25).collect();
    let raw: Vec<f64> = theta.iter().map(|t| 1.0 + t.abs()).collect();
    let total: f64 = raw.iter().sum();
    let weights: Vec<f64> = raw.iter().map(|w| w / total).collect();
    let sample = AbcSample { theta, weights, distances: vec![0.0; 800], epsilon: 1.0, simulations: 800, failed: 0 };
    let support = [crate::prior::Interval { low: -1.0, high: 1.0 }];
    let silverman = KernelDensity::new(&sample, &support, Bandwidth::Silverman).unwrap();
    let density = KernelDensity::new(&sample, &support, Bandwidth::CrossValidated).unwrap();
    let ratio = density.bandwidth() / silverman.bandwidth();
    assert!((0.4..1.8).contains(&ratio), "{ratio}");
    let grid: Vec<f64> = (0..4000).map(|i| -1.0 + (f64::from(i) + 0.5) / 2000.0).collect();
    let mass: Vec<f64> = grid.iter().map(|&t| density.log_prob(&[t]).exp() / 2000.0).collect();
    assert!((mass.iter().sum::<f64>() - 1.0).abs() < 1e-3, "{}", mass.iter().sum::<f64>());
    assert_eq!(density.log_prob(&[1.5]), f64::NEG_INFINITY);
    let exact: f64 = grid.iter().zip(&mass).map(|(t, m)| t.abs() * m).sum();
    let mut draw = [0.0];
    let drawn = (0..20_000)
        .map(|_| {
            density.sample(&mut rng, &mut draw);
            draw[0].abs()
        })
        .sum::<f64>()
        / 20_000.0;
    // Standard deviation of |θ| about 0.15: standard error 0.001.
    assert!((drawn - exact).abs() < 0.005, "{drawn} instead of {exact}");
}

/// A file gives the posterior back, to the single precision that it stores, and what is not one is refused.
#[test]
fn files_keep_the_sample() {
    let prior = prior(serde_json::json!({"normal": {"loc": [0.0, 0.0], "scale": [1.0, 1.0]}}));
    let options = SmcAbc { particles: 100, initial: 400, simulations: 2000, ..SMC };
    let (sample, course) = smc_abc(&prior, &[1.0, -0.5], &options, &mut gaussian, Seed(3)).unwrap();
    let posterior = AbcPosterior {
        name: "demo".into(),
        parameters: abduce_data::ParameterInfo::numbered(2),
        x_shape: vec![2],
        x_obs: vec![1.0, -0.5],
        bandwidth: Some(0.4),
        sample,
        course,
        prior,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("posterior.safetensors");
    posterior.save(&path).unwrap();
    let file = abduce_data::ModelFile::load(&path).unwrap();
    assert!(AbcPosterior::is_in(&file));
    let again = AbcPosterior::of_file(&file, &path).unwrap();
    assert_eq!((&again.course, again.sample.epsilon, again.trials()), (&posterior.course, posterior.sample.epsilon, 1));
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6 * (1.0 + a.abs()));
    assert!(close(&again.sample.theta, &posterior.sample.theta) && close(&again.sample.weights, &posterior.sample.weights));
    assert_eq!(again.draw(50, Seed(1)).unwrap().len(), 100);
    let mut broken = file.clone();
    broken.metadata["epsilon"] = serde_json::json!("wide");
    assert!(AbcPosterior::of_file(&broken, &path).is_err());
    broken.metadata["kind"] = serde_json::json!("npe");
    assert!(!AbcPosterior::is_in(&broken));
}

#[test]
fn what_can_not_be_delivered_is_said_with_numbers() {
    let prior = prior(serde_json::json!({"normal": {"loc": [0.0, 0.0], "scale": [1.0, 1.0]}}));
    let options = RejectionAbc { simulations: 100, accept: Accept::Within(1e-9), ..REJECTION };
    let error = rejection_abc(&prior, &[1.0, 0.0], &options, &mut gaussian, Seed(1)).unwrap_err().to_string();
    assert!(error.starts_with("none of 98 simulations lies within 0.000000001 of the observation; the closest is at 0."), "{error}");
    let wrong = RejectionAbc { accept: Accept::Quantile(1.5), ..options };
    let error = rejection_abc(&prior, &[1.0, 0.0], &wrong, &mut gaussian, Seed(1)).unwrap_err().to_string();
    assert_eq!(error, "option quantile = 1.5, expected above 0 and at most 1");
    let mut broken = |_: &[f32], _: usize| Err("no such program".to_string());
    let error = rejection_abc(&prior, &[1.0, 0.0], &options, &mut broken, Seed(1)).unwrap_err().to_string();
    assert_eq!(error, "the simulator failed: no such program");
}

/// Systematic resampling gives each row its share up to one, in random order.
#[test]
fn resampling_respects_the_weights() {
    let sample = AbcSample {
        theta: vec![1.0, 2.0, 3.0],
        weights: vec![0.5, 0.3, 0.2],
        distances: vec![0.0; 3],
        epsilon: 1.0,
        simulations: 3,
        failed: 0,
    };
    let draws = sample.resample(1000, &mut Seed(1).stream("resample", 0));
    for (value, share) in [(1.0, 500), (2.0, 300), (3.0, 200)] {
        assert!(draws.iter().filter(|&&t| t == value).count().abs_diff(share) <= 1);
    }
    let first = draws[..500].iter().filter(|&&t| t == 1.0).count();
    // Hypergeometric: 250 ± 8.
    assert!(first.abs_diff(250) < 40, "{first} of the first half");
}

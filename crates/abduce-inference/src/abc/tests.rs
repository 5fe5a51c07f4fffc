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
    let mut options =
        RejectionAbc { simulations: 40_000, accept: Accept::Quantile(0.02), summaries: Summaries::Data, adjustment: Adjustment::Linear };
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
        adjustment: Adjustment::None,
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
    let options = SmcAbc {
        particles: 1000,
        initial: 4000,
        simulations: 200_000,
        decay: Decay::Quantile(0.5),
        kernel_variance_scale: 2.0,
        summaries: Summaries::Data,
        adjustment: Adjustment::None,
    };
    let (sample, course) = smc_abc(&prior, &[0.9, -0.2], &options, &mut gaussian, Seed(3)).unwrap();
    assert!(course.len() > 4 && course.windows(2).all(|w| w[1].epsilon < w[0].epsilon), "{course:?}");
    assert!(sample.simulations <= 200_000 && sample.theta.iter().all(|t| t.abs() < 1.0));
    // Truncated normals N(x, 0.25) on (−1, 1), by quadrature.
    for (j, x) in [(0, 0.9), (1, -0.2)] {
        let density = |t: f64| (-0.5 * ((t - x) / 0.5f64).powi(2)).exp();
        let grid: Vec<f64> = (0..4000).map(|i| -1.0 + (f64::from(i) + 0.5) / 2000.0).collect();
        let total: f64 = grid.iter().map(|&t| density(t)).sum();
        let mean = grid.iter().map(|&t| t * density(t)).sum::<f64>() / total;
        let sd = (grid.iter().map(|&t| (t - mean).powi(2) * density(t)).sum::<f64>() / total).sqrt();
        let (found, found_sd) = moments(&sample, j);
        // Some 500 effective draws: standard errors 0.018 and 0.013, and ε widens a little.
        assert!((found - mean).abs() < 0.07 && (found_sd - sd).abs() < 0.06, "{j}: {found} ± {found_sd}, expected {mean} ± {sd}");
    }
}

#[test]
fn what_can_not_be_delivered_is_said_with_numbers() {
    let prior = prior(serde_json::json!({"normal": {"loc": [0.0, 0.0], "scale": [1.0, 1.0]}}));
    let options = RejectionAbc { simulations: 100, accept: Accept::Within(1e-9), summaries: Summaries::Data, adjustment: Adjustment::None };
    let error = rejection_abc(&prior, &[1.0, 0.0], &options, &mut gaussian, Seed(1)).unwrap_err().to_string();
    assert!(error.starts_with("none of 98 simulations lies within 0.000000001 of the observation; the closest is at 0."), "{error}");
    let wrong = RejectionAbc { accept: Accept::Quantile(1.5), ..options };
    let error = rejection_abc(&prior, &[1.0, 0.0], &wrong, &mut gaussian, Seed(1)).unwrap_err().to_string();
    assert_eq!(error, "option quantile = 1.5, expected above 0 and at most 1");
    let mut broken = |_: &[f32], _: usize| Err("no such program".to_string());
    let error = rejection_abc(&prior, &[1.0, 0.0], &options, &mut broken, Seed(1)).unwrap_err().to_string();
    assert_eq!(error, "the simulator failed: no such program");
}

/// Systematic resampling gives each row its share up to one.
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
}

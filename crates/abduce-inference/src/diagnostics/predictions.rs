//! How well the posterior predicts the truth: point estimates, z-scores, contraction.

use super::{DiagnosticsError, Pairs};

/// Posterior moments of one parameter against its true values, over the usable pairs.
///
/// The z-scores are z_i = (θ_i - mean_i)/sd_i. For an exact posterior E z = 0 and E z² = 1 (up to the finite number of draws).
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Predictions {
    /// True values.
    pub truth: Vec<f64>,
    /// Posterior means.
    pub mean: Vec<f64>,
    /// Posterior standard deviations (S - 1).
    pub sd: Vec<f64>,
    /// z-scores of the truth.
    pub z: Vec<f64>,
    /// Contraction 1 - Var_post/Var_prior of each pair: 0 when the data say nothing, 1 when they say all.
    pub contraction: Vec<f64>,
    /// Coefficient of determination of the posterior mean, 1 - Σ(θ - mean)²/Σ(θ - θ̄)²; below 0 when worse than a constant.
    pub r2: f64,
    /// Root mean square of θ_i - mean_i, in the parameter's unit.
    pub rmse: f64,
    /// RMSE over the range of the true values.
    pub nrmse: f64,
}

/// Predictions of every parameter (d).
pub fn predictions(pairs: &Pairs<'_>) -> Result<Vec<Predictions>, DiagnosticsError> {
    let prior_variance = pairs.prior_variance()?;
    (0..pairs.parameters()).map(|j| parameter(pairs, j, prior_variance[j])).collect()
}

fn parameter(pairs: &Pairs<'_>, j: usize, prior_variance: f64) -> Result<Predictions, DiagnosticsError> {
    let (n, d) = (pairs.len(), pairs.parameters());
    let truth: Vec<f64> = (0..n).map(|i| pairs.theta(i)[j]).collect();
    let (mut mean, mut sd, mut z, mut contraction) =
        (Vec::with_capacity(n), Vec::with_capacity(n), Vec::with_capacity(n), Vec::with_capacity(n));
    for i in 0..n {
        let (m, variance) = mean_and_variance(pairs.samples(i).iter().skip(j).step_by(d).copied());
        if variance <= 0.0 {
            return Err(DiagnosticsError::CollapsedDraws { name: pairs.name(j).to_owned(), pair: pairs.row(i) });
        }
        mean.push(m);
        sd.push(variance.sqrt());
        z.push((truth[i] - m) / variance.sqrt());
        contraction.push(1.0 - variance / prior_variance);
    }
    let residual: f64 = truth.iter().zip(&mean).map(|(t, m)| (t - m).powi(2)).sum();
    let spread = mean_and_variance(truth.iter().copied()).1 * (n - 1) as f64;
    let rmse = (residual / n as f64).sqrt();
    let (low, high) = truth.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &t| (l.min(t), h.max(t)));
    Ok(Predictions { r2: 1.0 - residual / spread, rmse, nrmse: rmse / (high - low), truth, mean, sd, z, contraction })
}

/// Mean and sample variance (n - 1) by Welford's (1962) update, which doesn't cancel for large means; NaN variance below two values.
pub(super) fn mean_and_variance(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut n, mut mean, mut sum_squares) = (0.0, 0.0, 0.0);
    for v in values {
        n += 1.0;
        let delta = v - mean;
        mean += delta / n;
        sum_squares += delta * (v - mean);
    }
    (mean, if n > 1.0 { sum_squares / (n - 1.0) } else { f64::NAN })
}

/// Mean and standard error of the mean, sd/√n.
pub(super) fn mean_and_sem(values: &[f64]) -> (f64, f64) {
    let (mean, variance) = mean_and_variance(values.iter().copied());
    (mean, (variance / values.len() as f64).sqrt())
}

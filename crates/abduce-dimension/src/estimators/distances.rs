//! Estimators that read distances to the k-th neighbours: MLE, MOM, MADA, CorrInt, MiND_ML.
//!
//! R_1 <= R_2 <= … are the distances of one point to the others.

use super::Estimate;
use crate::cloud::{Cloud, Crew};
use crate::error::{DimensionError, Result};
use crate::neighbours::{Neighbours, pairs_within};
use crate::special::{mean_and_sd, root};

/// How pointwise inverse dimensions become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Bias {
    /// The maximum of the likelihood: divisor K - 1.
    #[default]
    Plain,
    /// Unbiased dimension of each point: divisor K - 2.
    Corrected,
}

/// Levina & Bickel (2004, NIPS 17), combined as MacKay & Ghahramani (2005) propose: d_i = (K-1)/Σ_j ln(R_K/R_j), 1/d = mean of 1/d_i.
///
/// # Errors
/// `Setting` unless 3 <= K <= k of the neighbours.
pub fn mle(neighbours: &Neighbours, k: usize, bias: Bias) -> Result<Estimate> {
    check(neighbours, "MLE neighbours", k, 3)?;
    let divisor = match bias {
        Bias::Plain => k - 1,
        Bias::Corrected => k - 2,
    } as f64;
    let inverse: Vec<f64> = neighbours.rows().map(|r| r[..k].iter().map(|d| (r[k - 1] / d).ln()).sum::<f64>() / divisor).collect();
    let (mean, sd) = mean_and_sd(&inverse);
    Estimate::pointwise("MLE", 1.0 / mean, sd / (mean * mean), inverse.len())
}

/// Method of moments (Amsaleg et al. 2018, *Data Mining and Knowledge Discovery* 32, 1768): d_i = m/(R_K - m), m the mean of R_1 … R_K; mean over the points.
///
/// # Errors
/// As [`mle`], for K >= 2.
pub fn mom(neighbours: &Neighbours, k: usize) -> Result<Estimate> {
    check(neighbours, "MOM neighbours", k, 2)?;
    let each = neighbours.rows().map(|r| {
        let m = r[..k].iter().sum::<f64>() / k as f64;
        m / (r[k - 1] - m)
    });
    mean_of("MOM", each)
}

/// Manifold-adaptive dimension (Farahmand, Szepesvári & Audibert 2007, ICML): d_i = ln 2 / ln(R_K/R_{K/2}); mean over the points.
///
/// # Errors
/// As [`mle`], for K >= 2.
pub fn mada(neighbours: &Neighbours, k: usize) -> Result<Estimate> {
    check(neighbours, "MADA neighbours", k, 2)?;
    let half = k.div_ceil(2);
    mean_of("MADA", neighbours.rows().map(|r| std::f64::consts::LN_2 / (r[k - 1] / r[half - 1]).ln()))
}

/// Correlation dimension (Grassberger & Procaccia 1983) between the median distances ρ_1, ρ_2 to neighbours `k1` and `k2`:
/// d = ln(C(ρ_2)/C(ρ_1))/ln(ρ_2/ρ_1), C(ρ) the share of ordered pairs closer than ρ.
///
/// # Errors
/// `Setting` unless k1 < k2 <= k of the neighbours; `NoAnswer` where both medians are equal.
pub fn correlation(cloud: &Cloud, neighbours: &Neighbours, k1: usize, k2: usize, crew: &Crew) -> Result<Estimate> {
    check(neighbours, "CorrInt k2", k2, k1 + 1)?;
    check(neighbours, "CorrInt k1", k1, 1)?;
    let median = |k: usize| {
        let mut radii: Vec<f64> = neighbours.rows().map(|r| r[k - 1]).collect();
        radii.sort_unstable_by(f64::total_cmp);
        crate::special::quantile(&radii, 0.5)
    };
    let (low, high) = (median(k1), median(k2));
    let [few, many] = pairs_within(cloud, [low, high], crew);
    let dimension = (many as f64 / few as f64).ln() / (high / low).ln();
    Estimate::finite("CorrInt", dimension)
}

/// MiND_ML (Rozza et al. 2012, *Machine Learning* 89, 37) with ρ_i = R_1/R_{k+1} of each point: the maximum over (0, `most`] of
///
/// N ln(k d) + (d-1) Σ ln ρ + (k-1) Σ ln(1-ρ^d), from its score by bracketing; at `most` where the score is positive there.
///
/// # Errors
/// `Setting` unless the neighbours hold k + 1.
pub fn mind_ml(neighbours: &Neighbours, k: usize, most: f64) -> Result<Estimate> {
    check(neighbours, "MiND_ML neighbours", k + 1, 2)?;
    let logs: Vec<f64> = neighbours.rows().map(|r| (r[0] / r[k]).ln()).filter(|l| *l < 0.0).collect();
    let n = logs.len() as f64;
    let sum: f64 = logs.iter().sum();
    let score = |d: f64| {
        // ρ^d ln ρ/(1-ρ^d) = ln ρ/(e^{-d ln ρ} - 1)
        n / d + sum - (k as f64 - 1.0) * logs.iter().map(|l| l / (-d * l).exp_m1()).sum::<f64>()
    };
    let dimension = if score(most) >= 0.0 { most } else { root(1e-8, most, score).unwrap_or(f64::NAN) };
    // Information by differences of the score.
    let step = 1e-4 * dimension;
    let information = (score(dimension - step) - score(dimension + step)) / (2.0 * step);
    let mut estimate = Estimate::finite("MiND_ML", dimension)?;
    estimate.standard_error = (dimension < most && information > 0.0).then(|| information.recip().sqrt());
    Ok(estimate)
}

/// The likelihood of [`mind_ml`] at whole dimensions 1 … `most`: the best of them.
///
/// # Errors
/// As [`mind_ml`].
pub fn mind_ml_integer(neighbours: &Neighbours, k: usize, most: usize) -> Result<Estimate> {
    check(neighbours, "MiND_ML neighbours", k + 1, 2)?;
    let logs: Vec<f64> = neighbours.rows().map(|r| (r[0] / r[k]).ln()).filter(|l| *l < 0.0).collect();
    let n = logs.len() as f64;
    let sum: f64 = logs.iter().sum();
    let log_likelihood = |d: usize| {
        let d = d as f64;
        n * (k as f64 * d).ln() + (d - 1.0) * sum + (k as f64 - 1.0) * logs.iter().map(|l| (-(d * l).exp()).ln_1p()).sum::<f64>()
    };
    let scored: Vec<f64> = (1..=most).map(log_likelihood).collect();
    let best = (0..most).max_by(|&a, &b| scored[a].total_cmp(&scored[b])).map_or(f64::NAN, |i| (i + 1) as f64);
    Estimate::finite("MiND_ML", best)
}

pub(super) fn check(neighbours: &Neighbours, name: &'static str, k: usize, least: usize) -> Result<()> {
    if k < least || k > neighbours.k() {
        let must = format!("from {least} to the {} neighbours found", neighbours.k());
        return Err(DimensionError::Setting { name, value: k as f64, must });
    }
    Ok(())
}

/// Mean over the points that have an answer.
pub(super) fn mean_of(method: &'static str, each: impl Iterator<Item = f64>) -> Result<Estimate> {
    let finite: Vec<f64> = each.filter(|d| d.is_finite()).collect();
    if finite.is_empty() {
        return Err(DimensionError::NoAnswer { method, reason: "no neighbourhood has one; are most distances equal?".into() });
    }
    let (mean, sd) = mean_and_sd(&finite);
    Estimate::pointwise(method, mean, sd, finite.len())
}

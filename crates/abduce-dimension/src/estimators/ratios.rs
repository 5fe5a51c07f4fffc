//! Estimators that read ratios of two distances: TwoNN and its generalisation GRIDE.

use super::{Estimate, distances::check};
use crate::error::{DimensionError, Result};
use crate::neighbours::Neighbours;
use crate::special::{quantile, root_above};

/// How TwoNN reads the distribution of μ = R_2/R_1, which is a Pareto law of exponent d.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TwoNnFit {
    /// Slope through the origin of -ln(1-F) on ln μ.
    #[default]
    Linear,
    /// Maximum likelihood under censoring of the discarded ratios.
    MaximumLikelihood,
}

/// TwoNN (Facco et al. 2017, arXiv:1803.06992): the largest share `discard` of the ratios is left out of the fit.
///
/// # Errors
/// `Setting` unless 0 <= discard < 1 and two neighbours are known.
pub fn two_nn(neighbours: &Neighbours, discard: f64, fit: TwoNnFit) -> Result<Estimate> {
    check(neighbours, "TwoNN neighbours", 2, 2)?;
    if !(0.0..1.0).contains(&discard) {
        return Err(DimensionError::Setting { name: "TwoNN discard", value: discard, must: "in [0, 1)".into() });
    }
    let mut logs: Vec<f64> = neighbours.rows().map(|r| (r[1] / r[0]).ln()).filter(|l| l.is_finite()).collect();
    logs.sort_unstable_by(f64::total_cmp);
    let n = logs.len();
    let kept = (n as f64 * (1.0 - discard)) as usize;
    if kept < 2 {
        return Err(DimensionError::NoAnswer { method: "TwoNN", reason: format!("only {kept} ratios of distances are left") });
    }
    let dimension = match fit {
        TwoNnFit::Linear => {
            let (mut xy, mut xx) = (0.0, 0.0);
            for (i, x) in logs[..kept].iter().enumerate() {
                xy -= x * (-((i + 1) as f64) / n as f64).ln_1p();
                xx += x * x;
            }
            xy / xx
        }
        TwoNnFit::MaximumLikelihood => (kept - 1) as f64 / (logs[..kept].iter().sum::<f64>() + (n - kept) as f64 * logs[kept - 1]),
    };
    let mut estimate = Estimate::finite("TwoNN", dimension)?;
    estimate.standard_error = Some(dimension / (kept as f64).sqrt());
    Ok(estimate)
}

/// GRIDE (Denti et al. 2022, arXiv:2104.13832) with ratios μ = R_{n2}/R_{n1}: the zero of its score
///
/// (N-1)/d + (n2-n1-1) Σ ln μ/(1-μ^{-d}) - (n2-1) Σ ln μ, and the standard error I^{-1/2} of its information
/// I = N/d² + (n2-n1-1) Σ (ln μ / (2 sinh(d ln μ/2)))².
///
/// Ratios of 1 and those beyond 20 (q95 - q50) + q50 are left out, as scikit-dimension does.
///
/// # Errors
/// `Setting` unless n1 < n2 <= k of the neighbours.
pub fn gride(neighbours: &Neighbours, n1: usize, n2: usize) -> Result<Estimate> {
    check(neighbours, "GRIDE n2", n2, n1 + 1)?;
    check(neighbours, "GRIDE n1", n1, 1)?;
    let mut ratios: Vec<f64> = neighbours.rows().map(|r| r[n2 - 1] / r[n1 - 1]).filter(|m| m.is_finite() && *m > 1.0).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    if let Some(bound) = (!ratios.is_empty()).then(|| {
        let middle = quantile(&ratios, 0.5);
        20.0 * (quantile(&ratios, 0.95) - middle) + middle
    }) {
        ratios.retain(|m| *m < bound);
    }
    let logs: Vec<f64> = ratios.iter().map(|m| m.ln()).collect();
    if logs.len() < 2 {
        return Err(DimensionError::NoAnswer { method: "GRIDE", reason: format!("only {} ratios of distances are left", logs.len()) });
    }
    let n = logs.len() as f64;
    let sum: f64 = logs.iter().sum();
    let between = (n2 - n1 - 1) as f64;
    let dimension = if n2 == n1 + 1 {
        (n - 1.0) / (n1 as f64 * sum)
    } else {
        let score = |d: f64| (n - 1.0) / d + between * logs.iter().map(|l| l / -(-d * l).exp_m1()).sum::<f64>() - (n2 - 1) as f64 * sum;
        root_above(1e-8, 1e9, score).unwrap_or(f64::NAN)
    };
    let spread: f64 = logs.iter().map(|l| (l / (2.0 * (0.5 * dimension * l).sinh())).powi(2)).sum();
    let mut estimate = Estimate::finite("GRIDE", dimension)?;
    estimate.standard_error = Some((n / (dimension * dimension) + between * spread).recip().sqrt());
    Ok(estimate)
}

/// GRIDE at n1 = 1, 2, 4, … with n2 = 2 n1, as far as neighbours are known: dimension against the mean distance R_{n2}, in units of the cloud.
///
/// # Errors
/// As [`gride`].
pub fn gride_scales(neighbours: &Neighbours) -> Result<Vec<(f64, Estimate)>> {
    let mut scales = Vec::new();
    let mut n1 = 1;
    while 2 * n1 <= neighbours.k() {
        let radius = neighbours.rows().map(|r| r[2 * n1 - 1]).sum::<f64>() / neighbours.queries() as f64;
        scales.push((radius, gride(neighbours, n1, 2 * n1)?));
        n1 *= 2;
    }
    Ok(scales)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cloud, Crew};
    use abduce_data::{Array, Seed};

    /// On a flat torus the laws of the ratios are exact up to O(1/N): the estimates lie within 3.5 standard errors of the truth. Distances are taken through a
    /// matrix, since the torus has no flat coordinates in so few columns.
    #[test]
    fn estimates_and_their_errors_hold_on_a_flat_torus() {
        let n = 900;
        for d in [1usize, 2, 5] {
            let mut rng = Seed(11).stream("torus", d as u64);
            let x: Vec<f64> = (0..n * d).map(|_| rng.uniform()).collect();
            let distance = |i: usize, j: usize| {
                let gap = |c: usize| {
                    let g = (x[i * d + c] - x[j * d + c]).abs();
                    g.min(1.0 - g)
                };
                (0..d).map(|c| gap(c) * gap(c)).sum::<f64>().sqrt()
            };
            let matrix = Array::new(vec![n, n], (0..n * n).map(|p| distance(p / n, p % n)).collect()).unwrap();
            let near = Neighbours::of_distance_matrix(&matrix, 32).unwrap();
            for (n1, n2) in [(1, 2), (2, 4), (4, 8)] {
                let found = gride(&near, n1, n2).unwrap();
                let pull = (found.dimension - d as f64) / found.standard_error.unwrap();
                // Neighbourhoods overlap: beyond the first ratio the stated error is about half of the true one.
                assert!(pull.abs() < if n1 == 1 { 3.5 } else { 7.0 }, "d = {d}, n1 = {n1}: {found:?}");
            }
            let found = two_nn(&near, 0.1, TwoNnFit::Linear).unwrap();
            assert!((found.dimension - d as f64).abs() < 3.5 * found.standard_error.unwrap(), "{found:?}");
        }
    }

    #[test]
    fn scales_grow_and_wrong_settings_are_told() {
        let mut rng = Seed(2).stream("scales", 0);
        let cloud = Cloud::new(&Array::new(vec![300, 2], (0..600).map(|_| rng.normal()).collect()).unwrap()).unwrap();
        let near = Neighbours::of_all(&cloud, 20, &Crew::with_threads(1)).unwrap();
        let scales = gride_scales(&near).unwrap();
        assert_eq!(scales.len(), 4);
        assert!(scales.windows(2).all(|w| w[0].0 < w[1].0));
        assert!(matches!(gride(&near, 16, 32), Err(DimensionError::Setting { .. })));
        assert!(matches!(two_nn(&near, 1.0, TwoNnFit::Linear), Err(DimensionError::Setting { .. })));
    }
}

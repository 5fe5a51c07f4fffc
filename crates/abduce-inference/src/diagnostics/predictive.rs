//! Posterior predictive checks: would the model, with parameters from the posterior, give data like those observed?

use super::ellipsoid::Ellipsoid;
use super::features::FeatureScale;
use super::mmd::points;
use super::{DiagnosticsError, Rank};
use abduce_data::Seed;

/// Replicated data against the observed ones.
///
/// All p-values are exactly uniform when x_o is one more draw of the law of x_rep: for draws at the true parameters, or of the prior predictive. For the
/// *posterior* predictive they are conservative, since x_o has been used once to find the posterior: of many p-values, fewer than 5 % are
/// below 0.05 (Gelman, Meng and Stern 1996, Statistica Sinica 6, 733). A small one is then all the more telling.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PredictiveCheck {
    /// One entry per feature (F).
    pub features: Vec<FeatureCheck>,
    /// Mahalanobis distance of x_o from mean and covariance of the x_rep, constant features left out; with many features of few replicates the
    /// correlations are shrunk by F/(F + m), and beyond 64 features it's measured in a random projection.
    pub mahalanobis: f64,
    /// Fraction of the m + 1 data, x_o included, that lie as far from the mean of all, by the covariance of all.
    pub mahalanobis_p: f64,
    /// Median over the x_rep of |x_rep - x_o|, in the units of x, the benchmark's median distance (Lueckmann et al. 2021, arXiv:2101.04653).
    pub median_distance: f64,
    /// Fraction of the m + 1 data, x_o included, whose median distance from the others is as large, features scaled to variance 1.
    pub median_distance_p: f64,
}

/// One feature of the observed data among its replicates.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FeatureCheck {
    /// Replicates below the observed value, ties broken at random.
    pub rank: usize,
    /// Two-sided p-value 2 min(u, 1 - u), u = (rank + U)/(m + 1). There are as many as features: adjust them, for example by
    /// [`holm`](super::uniformity::holm).
    pub p: f64,
}

/// Checks one observation `x_o` (F) against replicates `x_rep` (m, F), m ≥ 20, one for each draw of the posterior. Cost O(m² F).
///
/// # Errors
/// Lengths that don't fit, values that are not finite, too few replicates, no feature that varies.
pub fn predictive_check(x_rep: &[f64], x_o: &[f64], seed: Seed) -> Result<PredictiveCheck, DiagnosticsError> {
    let width = x_o.len();
    let m = points("x_rep (m, F)", x_rep, width)?;
    if let Some(row) = x_o.iter().position(|v| !v.is_finite()) {
        return Err(DiagnosticsError::NonFinite { array: "x_o (F)", row });
    }
    if m < MIN_REPLICATES {
        return Err(DiagnosticsError::TooFewDraws { purpose: "a predictive check", found: m, needed: MIN_REPLICATES });
    }
    let mut rng = seed.stream("diagnostics.predictive.ties", 0);
    let mut feature = |j: usize| {
        let values = || x_rep.iter().skip(j).step_by(width);
        let (below, ties) = (values().filter(|&&v| v < x_o[j]).count(), values().filter(|&&v| v == x_o[j]).count());
        let Rank { rank, pit } = Rank::randomised(below, ties, m, &mut rng);
        FeatureCheck { rank, p: 2.0 * pit.min(1.0 - pit) }
    };
    let features = (0..width).map(&mut feature).collect();

    // x_o is the last of the pooled data, which everything below is a symmetric function of.
    let pooled: Vec<&[f64]> = x_rep.chunks_exact(width).chain([x_o]).collect();
    let scale = FeatureScale::fit(&pooled, seed.derive("diagnostics.predictive.features", 0));
    if scale.width() == 0 {
        return Err(DiagnosticsError::NoScale);
    }
    let scaled: Vec<Vec<f64>> = pooled.iter().map(|row| scale.transform(row)).collect();
    let scaled: Vec<&[f64]> = scaled.iter().map(Vec::as_slice).collect();
    let ellipsoid = Ellipsoid::of(&scaled)?;
    let mahalanobis_p = share_as_large(&scaled.iter().map(|row| ellipsoid.distance(row)).collect::<Vec<_>>());
    let medians: Vec<f64> = (0..=m).map(|i| median_distance(&scaled, i)).collect();
    // The distance itself is measured against the replicates alone; a feature that is constant among them says nothing about a distance.
    let replicates = FeatureScale::fit(&pooled[..m], seed.derive("diagnostics.predictive.features", 0));
    let mahalanobis = if replicates.width() == 0 {
        f64::INFINITY
    } else {
        let rows: Vec<Vec<f64>> = pooled[..m].iter().map(|row| replicates.transform(row)).collect();
        Ellipsoid::of(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>())?.distance(&replicates.transform(x_o))
    };
    Ok(PredictiveCheck {
        features,
        mahalanobis,
        mahalanobis_p,
        median_distance: median_distance(&pooled, m),
        median_distance_p: share_as_large(&medians),
    })
}

/// Fewest replicates: the smallest p-value is 1/21.
const MIN_REPLICATES: usize = 20;

/// Fraction of the scores, the last one included, that are at least the last.
fn share_as_large(scores: &[f64]) -> f64 {
    let last = scores.last().copied().unwrap_or(f64::NAN);
    scores.iter().filter(|&&s| s >= last).count() as f64 / scores.len() as f64
}

/// Median distance of row `i` from the others.
fn median_distance(rows: &[&[f64]], i: usize) -> f64 {
    let distance = |row: &[f64]| row.iter().zip(rows[i]).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    let mut distances: Vec<f64> = rows.iter().enumerate().filter(|(k, _)| *k != i).map(|(_, row)| distance(row)).collect();
    let middle = distances.len() / 2;
    let (below, upper, _) = distances.select_nth_unstable_by(middle, f64::total_cmp);
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if (rows.len() - 1).is_multiple_of(2) { 0.5 * (lower + *upper) } else { *upper }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replicates at ±1, ±2 … ±10 and an observation at 0: every number by hand.
    #[test]
    fn numbers_are_their_definitions() {
        let x_rep: Vec<f64> = (1..=10).flat_map(|i| [f64::from(i), -f64::from(i)]).collect();
        let check = predictive_check(&x_rep, &[0.0], Seed(1)).unwrap();
        assert_eq!(check.features[0].rank, 10);
        // u = (10 + U)/21 lies in [10/21, 11/21].
        assert!(check.features[0].p >= 20.0 / 21.0);
        assert!(check.mahalanobis < 1e-12);
        assert_eq!((check.mahalanobis_p, check.median_distance), (1.0, 5.5));
        // Variance 2 Σ i²/19 = 770/19; alone in one dimension nothing is shrunk.
        let far = predictive_check(&x_rep, &[20.0], Seed(1)).unwrap();
        assert!((far.mahalanobis - 20.0 / (770.0f64 / 19.0).sqrt()).abs() < 1e-12);
        assert_eq!((far.features[0].rank, far.mahalanobis_p, far.median_distance_p), (20, 1.0 / 21.0, 1.0 / 21.0));
    }

    /// Each feature is in its range, their relation is not: only the joint distance sees it.
    #[test]
    fn mahalanobis_sees_a_broken_correlation() {
        let mut rng = Seed(2).stream("test", 0);
        let x_rep: Vec<f64> = (0..500)
            .flat_map(|_| {
                let a = rng.normal();
                [a, a + 0.1 * rng.normal(), 3.0]
            })
            .collect();
        let check = predictive_check(&x_rep, &[1.0, -1.0, 3.0], Seed(3)).unwrap();
        assert!(check.features.iter().take(2).all(|f| f.p > 0.1));
        assert_eq!(check.mahalanobis_p, 1.0 / 501.0);
        // About 2/0.1 times 1/√2 across the line, less by the shrinkage of 2/502.
        assert!(check.mahalanobis > 10.0, "{}", check.mahalanobis);
    }

    #[test]
    fn data_that_do_not_fit_are_errors() {
        assert!(matches!(predictive_check(&[0.0; 7], &[0.0; 2], Seed(0)), Err(DiagnosticsError::Length { found: 7, .. })));
        assert!(matches!(predictive_check(&[0.0; 8], &[0.0; 2], Seed(0)), Err(DiagnosticsError::TooFewDraws { found: 4, .. })));
        assert!(matches!(predictive_check(&[0.0; 80], &[0.0; 2], Seed(0)), Err(DiagnosticsError::NoScale)));
        assert!(matches!(predictive_check(&[0.0; 80], &[0.0, f64::NAN], Seed(0)), Err(DiagnosticsError::NonFinite { row: 1, .. })));
    }
}

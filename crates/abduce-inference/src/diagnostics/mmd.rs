//! Maximum mean discrepancy between two samples (Gretton et al. 2012, J. Mach. Learn. Res. 13, 723).

use super::DiagnosticsError;
use abduce_data::Seed;
use libm::exp;

/// Points of the pooled sample that the median distance is taken over.
const MEDIAN_POINTS: usize = 1000;

/// Unbiased squared maximum mean discrepancy of two samples.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Mmd {
    /// The estimate; around zero, and possibly below it, for samples of one law.
    pub mmd2: f64,
    /// Length h of the kernel exp(-|a - b|²/(2h²)): the median distance between pooled points.
    pub bandwidth: f64,
    /// Fraction of relabellings, with the given one counted in, that reach `mmd2`; `None` without permutations.
    pub permutation_p: Option<f64>,
}

/// MMD² between `a` (n, d) and `b` (m, d) with a Gaussian kernel of median bandwidth:
///
/// mean_{i≠j} k(a_i, a_j) + mean_{i≠j} k(b_i, b_j) - 2 mean_{ij} k(a_i, b_j).
///
/// The p-value is exact for exchangeable points at any `permutations` ≥ 1; cost O((n + m)² (d + permutations)). Scale the parameters first
/// where their units differ.
pub fn mmd2(a: &[f64], b: &[f64], d: usize, permutations: usize, seed: Seed) -> Result<Mmd, DiagnosticsError> {
    let (n, m) = (points("a (n, d)", a, d)?, points("b (m, d)", b, d)?);
    let pooled: Vec<f64> = a.iter().chain(b).copied().collect();
    let bandwidth = median_distance(&pooled, d, seed).ok_or(DiagnosticsError::NoScale)?;
    // Column 0 is the given labelling; 1.0 marks a point of `a`.
    let columns = permutations + 1;
    let mut labels = vec![0.0f64; (n + m) * columns];
    for column in 0..columns {
        let mut order: Vec<usize> = (0..n + m).collect();
        if column > 0 {
            seed.stream("diagnostics.mmd.permutation", column as u64).shuffle(&mut order);
        }
        order[..n].iter().for_each(|&i| labels[i * columns + column] = 1.0);
    }

    // Per column: sums of k over ordered pairs within `a` and within `b`, and over mixed pairs, from one pass over the kernel.
    let gamma = 0.5 / (bandwidth * bandwidth);
    let (mut within_a, mut within_b, mut mixed) = (vec![0.0; columns], vec![0.0; columns], vec![0.0; columns]);
    let mut to_a = vec![0.0; columns];
    for (i, p) in pooled.chunks_exact(d).enumerate() {
        to_a.fill(0.0);
        let mut to_all = 0.0;
        for (j, q) in pooled.chunks_exact(d).enumerate() {
            if i != j {
                let k = exp(-gamma * p.iter().zip(q).map(|(p, q)| (p - q).powi(2)).sum::<f64>());
                to_all += k;
                to_a.iter_mut().zip(&labels[j * columns..]).for_each(|(sum, label)| *sum += label * k);
            }
        }
        for column in 0..columns {
            if labels[i * columns + column] == 1.0 {
                within_a[column] += to_a[column];
                mixed[column] += to_all - to_a[column];
            } else {
                within_b[column] += to_all - to_a[column];
            }
        }
    }
    let (nf, mf) = (n as f64, m as f64);
    let statistic = |c: usize| within_a[c] / (nf * (nf - 1.0)) + within_b[c] / (mf * (mf - 1.0)) - 2.0 * mixed[c] / (nf * mf);
    let mmd2 = statistic(0);
    let reached = (0..columns).filter(|&c| statistic(c) >= mmd2).count();
    let permutation_p = (permutations > 0).then(|| reached as f64 / columns as f64);
    Ok(Mmd { mmd2, bandwidth, permutation_p })
}

/// Number of points, at least 2 and all finite.
pub(super) fn points(array: &'static str, values: &[f64], d: usize) -> Result<usize, DiagnosticsError> {
    if d == 0 || !values.len().is_multiple_of(d) {
        return Err(DiagnosticsError::Length { array, found: values.len(), expected: format!("a multiple of {d}") });
    }
    if let Some(index) = values.iter().position(|v| !v.is_finite()) {
        return Err(DiagnosticsError::NonFinite { array, row: index / d });
    }
    let n = values.len() / d;
    if n < 2 { Err(DiagnosticsError::TooFewDraws { purpose: "a comparison of samples", found: n, needed: 2 }) } else { Ok(n) }
}

/// Median distance between [`MEDIAN_POINTS`] random points; `None` when it's zero.
pub(super) fn median_distance(pooled: &[f64], d: usize, seed: Seed) -> Option<f64> {
    let mut order: Vec<usize> = (0..pooled.len() / d).collect();
    seed.stream("diagnostics.mmd.median", 0).shuffle(&mut order);
    order.truncate(MEDIAN_POINTS);
    let point = |i: usize| &pooled[order[i] * d..][..d];
    let mut distances: Vec<f64> = (0..order.len())
        .flat_map(|i| (0..i).map(move |j| (i, j)))
        .map(|(i, j)| point(i).iter().zip(point(j)).map(|(p, q)| (p - q).powi(2)).sum::<f64>().sqrt())
        .collect();
    let middle = distances.len() / 2;
    let median = *distances.select_nth_unstable_by(middle, f64::total_cmp).1;
    (median > 0.0).then_some(median)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normals(n: usize, shift: f64, stream: u64) -> Vec<f64> {
        let mut rng = Seed(4).stream("test", stream);
        (0..n * 2).map(|_| shift + rng.normal()).collect()
    }

    /// Two points against two: the sums written out by hand.
    #[test]
    fn estimate_is_the_formula() {
        let result = mmd2(&[0.0, 1.0], &[2.0, 4.0], 1, 0, Seed(0)).unwrap();
        // Distances 1, 2, 4, 1, 3, 2: the upper median is 2.
        assert_eq!(result.bandwidth, 2.0);
        let k = |distance: f64| (-distance * distance / 8.0).exp();
        let expected = k(1.0) + k(2.0) - 0.5 * (k(2.0) + k(4.0) + k(1.0) + k(3.0));
        assert!((result.mmd2 - expected).abs() < 1e-14);
    }

    /// 200 replicates at 10 %: standard deviation of the rate 0.021.
    #[test]
    fn permutation_p_is_nominal_for_one_law_and_small_for_two() {
        let rejections = (0..200)
            .filter(|&r| mmd2(&normals(30, 0.0, 2 * r), &normals(30, 0.0, 2 * r + 1), 2, 39, Seed(r)).unwrap().permutation_p <= Some(0.1));
        let rate = rejections.count() as f64 / 200.0;
        assert!((rate - 0.1).abs() < 0.065, "{rate}");
        let shifted = mmd2(&normals(200, 0.0, 1), &normals(200, 0.5, 2), 2, 99, Seed(1)).unwrap();
        assert_eq!(shifted.permutation_p, Some(0.01));
    }

    #[test]
    fn non_finite_points_are_an_error() {
        let error = mmd2(&[0.0, f64::NAN], &[1.0, 2.0], 1, 0, Seed(0)).unwrap_err();
        assert_eq!(error, DiagnosticsError::NonFinite { array: "a (n, d)", row: 1 });
        assert_eq!(mmd2(&[1.0; 4], &[1.0; 4], 2, 0, Seed(0)).unwrap_err(), DiagnosticsError::NoScale);
    }
}

//! Tests of uniformity on [0, 1] and the correction for making several of them.

use libm::exp;
use std::f64::consts::PI;

/// Largest distance between the empirical distribution function of `values` and the diagonal of [0, 1] (two-sided, exact).
pub fn ks_distance(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    sorted.iter().enumerate().map(|(i, &u)| (u - i as f64 / n).max((i + 1) as f64 / n - u)).fold(0.0, f64::max)
}

/// Probability of a Kolmogorov-Smirnov distance of at least `distance` among `n` uniform values.
///
/// Kolmogorov's limit law at λ = (√n + 0.12 + 0.11/√n) D (Stephens 1970, J. R. Stat. Soc. B 32, 115); the p-value's error is
/// below 0.002 from n = 20 on.
pub fn ks_p_value(distance: f64, n: usize) -> f64 {
    kolmogorov_p(distance, n as f64)
}

/// The same for an effective number of values.
fn kolmogorov_p(distance: f64, n: f64) -> f64 {
    let root = n.sqrt();
    let lambda = (root + 0.12 + 0.11 / root) * distance;
    if lambda < 0.2 {
        return 1.0; // 1 - p < 1e-12
    }
    // Two forms of the same theta function, each where it converges in a few terms.
    let p = if lambda < 1.18 {
        let term = |k: i32| exp(-f64::from(2 * k - 1).powi(2) * PI * PI / (8.0 * lambda * lambda));
        1.0 - (2.0 * PI).sqrt() / lambda * (1..=4).map(term).sum::<f64>()
    } else {
        let term = |k: i32| if k % 2 == 1 { 1.0 } else { -1.0 } * exp(-2.0 * f64::from(k * k) * lambda * lambda);
        2.0 * (1..=6).map(term).sum::<f64>()
    };
    p.clamp(0.0, 1.0)
}

/// Kolmogorov-Smirnov p-value of `values` against the uniform law on [0, 1].
pub fn ks_uniform_p(values: &[f64]) -> f64 {
    ks_p_value(ks_distance(values), values.len())
}

/// Two-sample Kolmogorov-Smirnov p-value of `a` (n) and `b` (m): the limit law with n m/(n + m) values in place of n. Without ties; 1 where
/// either is empty.
pub fn ks_two_sample_p(a: &[f64], b: &[f64]) -> f64 {
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let (n, m) = (a.len() as f64, b.len() as f64);
    if n * m == 0.0 {
        return 1.0;
    }
    let (mut i, mut j, mut distance) = (0, 0, 0.0f64);
    while i < a.len() && j < b.len() {
        let value = a[i].min(b[j]);
        while i < a.len() && a[i] <= value {
            i += 1;
        }
        while j < b.len() && b[j] <= value {
            j += 1;
        }
        distance = distance.max((i as f64 / n - j as f64 / m).abs());
    }
    kolmogorov_p(distance, n * m / (n + m))
}

/// p-value of Pearson's χ² = Σ (count - expected)²/expected with (bins - 1) degrees of freedom.
pub fn chi2_p(counts: &[usize], expected: &[f64]) -> f64 {
    let statistic: f64 = counts.iter().zip(expected).map(|(&c, e)| (c as f64 - e).powi(2) / e).sum();
    let half_freedom = counts.len().saturating_sub(1) as f64 / 2.0;
    if statistic <= 0.0 || half_freedom == 0.0 {
        return 1.0;
    }
    // The regularised upper gamma function is undefined only outside the domain checked above; a statistic too large for it has p = 0.
    statrs::function::gamma::checked_gamma_ur(half_freedom, statistic / 2.0).unwrap_or(0.0)
}

/// Holm's (1979) adjusted p-values: below α exactly where the step-down test at family-wise level α rejects.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut running: f64 = 0.0;
    for (position, &index) in order.iter().enumerate() {
        running = running.max(((p_values.len() - position) as f64 * p_values[index]).min(1.0));
        adjusted[index] = running;
    }
    adjusted
}

/// Benjamini and Hochberg's (1995) adjusted p-values: calling those at or below α keeps the expected share of false calls below α; where nothing is
/// to be found, the probability of any call.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[b].total_cmp(&p_values[a]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut running: f64 = 1.0;
    for (position, &index) in order.iter().enumerate() {
        let rank = (p_values.len() - position) as f64;
        running = running.min(p_values.len() as f64 / rank * p_values[index]);
        adjusted[index] = running;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Critical values of Kolmogorov's law: λ = 1.35810 at 5 %, 1.62762 at 1 %, 0.82757 at 50 %.
    #[test]
    fn ks_p_value_has_the_tabulated_quantiles() {
        let n = 1_000_000;
        for (lambda, p) in [(1.35810, 0.05), (1.62762, 0.01), (0.82757, 0.5)] {
            let root = f64::from(n).sqrt();
            let found = ks_p_value(lambda / (root + 0.12 + 0.11 / root), n as usize);
            assert!((found - p).abs() < 2e-5, "{lambda}: {found}");
        }
        // The exact 5 % point for n = 20 is D = 0.29408 (Massey 1951 gives 0.294).
        assert!((ks_p_value(0.29408, 20) - 0.05).abs() < 0.002);
    }

    #[test]
    fn both_forms_of_the_ks_law_meet() {
        let (below, above) = (ks_p_value(1.18 - 1e-9, 1_000_000_000_000), ks_p_value(1.18 + 1e-9, 1_000_000_000_000));
        assert!((below - above).abs() < 1e-7, "{below} {above}");
    }

    #[test]
    fn ks_distance_counts_both_sides_of_a_step() {
        assert_eq!(ks_distance(&[0.5]), 0.5);
        assert_eq!(ks_distance(&[0.9, 0.8]), 0.8);
        assert!((ks_distance(&[0.1, 0.2]) - 0.8).abs() < 1e-15);
    }

    /// D = 1/2 for n = m = 1000: λ = (√500 + 0.12 + 0.11/√500)/2 = 11.24, p = 2 exp(-2 λ²); D = 0 for equal samples.
    #[test]
    fn two_sample_distance_is_the_largest_gap() {
        let a: Vec<f64> = (0..1000).map(f64::from).collect();
        let b: Vec<f64> = (0..1000).map(|i| f64::from(i) + 499.5).collect();
        let lambda = 0.5 * (500f64.sqrt() + 0.12 + 0.11 / 500f64.sqrt());
        let expected = 2.0 * (-2.0 * lambda * lambda).exp();
        assert!((ks_two_sample_p(&a, &b) / expected - 1.0).abs() < 1e-9);
        assert_eq!(ks_two_sample_p(&b, &a), ks_two_sample_p(&a, &b));
        assert_eq!(ks_two_sample_p(&a, &a), 1.0);
    }

    /// χ² with 2 degrees of freedom survives x with probability exp(-x/2).
    #[test]
    fn chi2_agrees_with_the_exponential_law() {
        let p = chi2_p(&[30, 40, 50], &[40.0; 3]);
        assert!((p - (-2.5f64).exp()).abs() < 1e-12, "{p}");
        assert_eq!(chi2_p(&[40; 3], &[40.0; 3]), 1.0);
        assert!(chi2_p(&[120_000, 0, 0], &[40_000.0; 3]) < 1e-300);
    }

    #[test]
    fn holm_steps_down_and_stays_monotone() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-15, "{adjusted:?}");
        }
    }

    /// Sorted: 0.005·4/1, 0.01·4/2, 0.03·4/3, 0.04·4/4, each no more than the next.
    #[test]
    fn benjamini_hochberg_steps_up_and_stays_monotone() {
        let adjusted = benjamini_hochberg(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in adjusted.iter().zip([0.02, 0.04, 0.04, 0.02]) {
            assert!((found - expected).abs() < 1e-15, "{adjusted:?}");
        }
        assert_eq!(benjamini_hochberg(&[0.3]), [0.3]);
    }
}

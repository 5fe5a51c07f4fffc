//! Has a set of chains mixed, and how many independent draws is it worth? Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021),
//! Bayesian Analysis 16, 667 (arXiv:1903.08008).
//!
//! All functions take the draws of one parameter, (chains, n), each chain contiguous. A chain is split in halves first, so a single
//! chain that drifts is seen. Draws that never vary give R̂ = ∞ and an effective size of 0.

use statrs::function::erf::erfc_inv;
use std::f64::consts::SQRT_2;

/// Draws of a chain below which no autocorrelation can be estimated.
const MIN_LENGTH: usize = 4;

/// Rank-normalised split R̂: the larger of that of the ranks and that of the ranks of |x − median| (section 4.2 there). Below 1.01 for
/// chains that can't be told apart.
pub fn r_hat(draws: &[f64], chains: usize) -> f64 {
    let (split, chains) = halves(draws, chains);
    let bulk = potential_scale_reduction(&rank_normalised(&split), chains);
    let middle = quantile(&sorted(&split), 0.5);
    let folded: Vec<f64> = split.iter().map(|x| (x - middle).abs()).collect();
    bulk.max(potential_scale_reduction(&rank_normalised(&folded), chains))
}

/// Effective number of draws for the centre of the distribution: that of the rank-normalised, split draws.
pub fn ess_bulk(draws: &[f64], chains: usize) -> f64 {
    let (split, chains) = halves(draws, chains);
    effective_size(&rank_normalised(&split), chains)
}

/// Effective number of draws for the tails: the smaller of those of 1(x ≤ q₅) and 1(x ≤ q₉₅), the 5 % and 95 % quantiles.
pub fn ess_tail(draws: &[f64], chains: usize) -> f64 {
    let (split, chains) = halves(draws, chains);
    let order = sorted(&split);
    [0.05, 0.95]
        .into_iter()
        .map(|p| {
            let limit = quantile(&order, p);
            let below: Vec<f64> = split.iter().map(|&x| f64::from(u8::from(x <= limit))).collect();
            effective_size(&below, chains)
        })
        .fold(f64::INFINITY, f64::min)
}

/// Effective number of draws for the mean of the values themselves (of a function of the draws: pass its values).
pub fn ess_mean(draws: &[f64], chains: usize) -> f64 {
    let (split, chains) = halves(draws, chains);
    effective_size(&split, chains)
}

/// Mean of the draws and its Monte Carlo standard error, sd/√ESS. The values must have a finite variance.
pub fn mean_and_mcse(draws: &[f64], chains: usize) -> (f64, f64) {
    let n = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / n;
    let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / ess_mean(draws, chains)).sqrt())
}

/// Each chain cut into halves: (2 chains, ⌊n/2⌋); the middle draw of an odd length is left out.
fn halves(draws: &[f64], chains: usize) -> (Vec<f64>, usize) {
    let n = draws.len() / chains;
    let half = n / 2;
    let mut split = Vec::with_capacity(2 * half * chains);
    for chain in draws.chunks_exact(n.max(1)) {
        split.extend_from_slice(&chain[..half]);
        split.extend_from_slice(&chain[n - half..]);
    }
    (split, 2 * chains)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// Linear interpolation between order statistics (definition 7 of Hyndman & Fan 1996).
fn quantile(sorted: &[f64], p: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let at = p * (sorted.len() - 1) as f64;
    let low = at.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (at - low as f64) * (sorted[high] - sorted[low])
}

/// z = Φ⁻¹((r − 3/8)/(S + 1/4)) with r the rank among all S values, ties sharing their average rank (equation 14 there).
fn rank_normalised(values: &[f64]) -> Vec<f64> {
    let total = values.len();
    let mut order: Vec<usize> = (0..total).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut z = vec![0.0; total];
    let mut start = 0;
    while start < total {
        let mut end = start + 1;
        while end < total && values[order[end]] == values[order[start]] {
            end += 1;
        }
        // Ranks start + 1 … end.
        let rank = 0.5 * (start + 1 + end) as f64;
        let score = -SQRT_2 * erfc_inv(2.0 * (rank - 0.375) / (total as f64 + 0.25));
        order[start..end].iter().for_each(|&i| z[i] = score);
        start = end;
    }
    z
}

/// Mean within-chain variance W, and the pooled estimate var⁺ = (n − 1)/n W + variance of the chains' means.
fn variances(values: &[f64], chains: usize) -> (f64, f64) {
    let n = values.len() / chains;
    let (mut within, mut sum, mut sum_squares) = (0.0, 0.0, 0.0);
    // Means relative to the first draw, so that an offset costs no digits.
    let origin = values.first().copied().unwrap_or(0.0);
    for chain in values.chunks_exact(n) {
        let mean = chain.iter().map(|x| x - origin).sum::<f64>() / n as f64;
        within += chain.iter().map(|x| (x - origin - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        sum += mean;
        sum_squares += mean * mean;
    }
    let m = chains as f64;
    let within = within / m;
    let between = if chains > 1 { ((sum_squares - sum * sum / m) / (m - 1.0)).max(0.0) } else { 0.0 };
    (within, within * (n - 1) as f64 / n as f64 + between)
}

/// √(var⁺/W).
fn potential_scale_reduction(values: &[f64], chains: usize) -> f64 {
    if values.len() / chains < 2 {
        return f64::INFINITY;
    }
    let (within, pooled) = variances(values, chains);
    if within > 0.0 { (pooled / within).sqrt() } else { f64::INFINITY }
}

/// S/τ with τ = −1 + 2 Σ_k P_k, P_k = ρ_{2k} + ρ_{2k+1} summed while positive and made non-increasing (Geyer 1992), where
/// ρ_t = 1 − (W − mean_m γ_m(t))/var⁺ combines the chains' autocovariances γ_m (equations 10 and 11 there).
///
/// Lags are computed one by one until the sum ends: O(S τ). An estimate above S log₁₀ S is cut to that.
fn effective_size(values: &[f64], chains: usize) -> f64 {
    let n = values.len() / chains;
    if n < MIN_LENGTH / 2 {
        return 0.0;
    }
    let (within, pooled) = variances(values, chains);
    if pooled.is_nan() || pooled <= 0.0 {
        return 0.0;
    }
    let mut centred = values.to_vec();
    for chain in centred.chunks_exact_mut(n) {
        let mean = chain.iter().sum::<f64>() / n as f64;
        chain.iter_mut().for_each(|x| *x -= mean);
    }
    let autocorrelation = |lag: usize| {
        let covariance: f64 = centred.chunks_exact(n).map(|c| c.iter().zip(&c[lag..]).map(|(a, b)| a * b).sum::<f64>()).sum();
        1.0 - (within - covariance / values.len() as f64) / pooled
    };
    let (mut total, mut previous) = (0.0, f64::INFINITY);
    for lag in (0..n - 1).step_by(2) {
        let even = if lag == 0 { 1.0 } else { autocorrelation(lag) };
        let pair = (even + autocorrelation(lag + 1)).min(previous);
        if pair.is_nan() || pair <= 0.0 {
            break;
        }
        total += pair;
        previous = pair;
    }
    let size = values.len() as f64;
    size / (2.0 * total - 1.0).max(1.0 / size.log10())
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    /// Chains (1, 2, 3) and (2, 3, 4): W = 1, means 2 and 3 have variance 1/2, var⁺ = 2/3 + 1/2 = 7/6.
    #[test]
    fn the_scale_reduction_of_two_short_chains_is_that_by_hand() {
        let values = [1.0, 2.0, 3.0, 2.0, 3.0, 4.0];
        let (within, pooled) = variances(&values, 2);
        assert!((within - 1.0).abs() < 1e-15 && (pooled - 7.0 / 6.0).abs() < 1e-15, "{within} {pooled}");
        assert!((potential_scale_reduction(&values, 2) - (7.0f64 / 6.0).sqrt()).abs() < 1e-15);
        // γ(1) = ((−1)(0) + (0)(1))/3 = 0 in both chains: ρ_1 = 1 − 1/(7/6) = 1/7, τ = −1 + 2(8/7) = 9/7; there is no further pair.
        assert!((effective_size(&values, 2) - 6.0 / (9.0 / 7.0)).abs() < 1e-12);
    }

    #[test]
    fn ranks_are_averaged_over_ties_and_symmetric() {
        let z = rank_normalised(&[5.0, 1.0, 5.0, 9.0]);
        // Ranks 2.5, 1, 2.5, 4 of 4: Φ⁻¹(1/2) = 0 and ±Φ⁻¹(0.625/4.25 = 0.147059) = ∓1.049131.
        assert!(z[0].abs() < 1e-12 && z[2].abs() < 1e-12, "{z:?}");
        assert!((z[1] + 1.049_131_397_963_971).abs() < 1e-9 && (z[3] - 1.049_131_397_963_971).abs() < 1e-9, "{z:?}");
    }

    #[test]
    fn halves_leave_out_the_middle() {
        assert_eq!(halves(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], 2), (vec![1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 9.0, 10.0], 4));
    }

    fn autoregressive(phi: f64, chains: usize, n: usize) -> Vec<f64> {
        let mut draws = Vec::with_capacity(chains * n);
        for chain in 0..chains {
            let mut rng = Seed(7).stream("ar1", chain as u64);
            let mut x = rng.normal();
            for _ in 0..n {
                draws.push(x);
                x = phi * x + (1.0 - phi * phi).sqrt() * rng.normal();
            }
        }
        draws
    }

    /// x' = φx + √(1−φ²) ε is worth S(1−φ)/(1+φ) independent draws for its mean. Over 10 seeds the estimate scatters by 2 to 4 % at S = 40 000.
    #[test]
    fn the_effective_size_of_an_autoregression_is_the_known_one() {
        let (chains, n) = (4, 10_000);
        for phi in [0.0, 0.5, 0.9, -0.4] {
            let draws = autoregressive(phi, chains, n);
            let expected = (chains * n) as f64 * (1.0 - phi) / (1.0 + phi);
            for found in [ess_mean(&draws, chains), ess_bulk(&draws, chains)] {
                assert!((found / expected - 1.0).abs() < 0.12, "phi {phi}: {found} against {expected}");
            }
            assert!(r_hat(&draws, chains) < 1.01);
        }
        // The indicator of a tail of independent draws is independent too.
        let tail = ess_tail(&autoregressive(0.0, chains, n), chains);
        assert!((tail / 40_000.0 - 1.0).abs() < 0.12, "{tail}");
    }

    /// For a covariance of chain means of δ²: shifts of ±δ between two halves give R̂² ≈ 1 + 2δ²·(m/(m−1))/2 in ranks; what is asserted is
    /// what each part is for: location, scale, drift.
    #[test]
    fn shifted_widened_drifting_and_frozen_chains_are_seen() {
        let good = autoregressive(0.0, 4, 500);
        assert!(r_hat(&good, 4) < 1.01);
        let shifted: Vec<f64> = good.iter().enumerate().map(|(i, x)| x + f64::from(u8::from(i < 500))).collect();
        assert!(r_hat(&shifted, 4) > 1.05);
        // Same mean, one chain three times as wide: only the folded ranks see it.
        let wide: Vec<f64> = good.iter().enumerate().map(|(i, x)| if i < 500 { 3.0 * x } else { *x }).collect();
        assert!(r_hat(&wide, 4) > 1.05);
        let drifting: Vec<f64> = good.iter().enumerate().map(|(i, x)| x + (i % 500) as f64 / 250.0).collect();
        assert!(r_hat(&drifting, 4) > 1.05);
        assert_eq!((r_hat(&[2.0; 40], 4), ess_bulk(&[2.0; 40], 4)), (f64::INFINITY, 0.0));
        // A Cauchy law has no variance; ranks don't mind.
        let cauchy: Vec<f64> = good.iter().map(|x| x.powi(-3)).collect();
        assert!(r_hat(&cauchy, 4) < 1.01 && ess_bulk(&cauchy, 4) > 1500.0);
    }

    /// Independent standard normals: the mean is within 4 standard errors of 0, and that error is 1/√S to the 6 % scatter of ESS.
    #[test]
    fn the_standard_error_of_independent_draws_is_the_textbook_one() {
        let draws = autoregressive(0.0, 4, 10_000);
        let (mean, error) = mean_and_mcse(&draws, 4);
        assert!((error * 200.0 - 1.0).abs() < 0.06, "{error}");
        assert!(mean.abs() < 4.0 * error);
    }
}

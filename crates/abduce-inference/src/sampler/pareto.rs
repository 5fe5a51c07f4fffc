//! Pareto-smoothed importance weights: Vehtari, Simpson, Gelman, Yao & Gabry (2015, arXiv:1507.02646).

/// Fewest weights in a tail that a Pareto shape can be fitted to.
const MIN_TAIL: usize = 5;

/// Smooths `log_weights` (S) in place and returns k̂, the shape of the generalised Pareto law of their tail.
///
/// The min(S/5, 3√S) largest weights are replaced by expected order statistics of the law fitted to them, no larger than the largest raw
/// weight. k̂ < 0.5: the weights have a variance; k̂ < 0.7: estimates are reliable in practice; above, the proposal misses parts of the target. A tail of
/// equal weights is left as it is and has k̂ = −∞; fewer than 5 positive tail weights give k̂ = ∞.
pub fn pareto_smooth(log_weights: &mut [f64]) -> f64 {
    let total = log_weights.len();
    let size = total as f64;
    let tail = (0.2 * size).min(3.0 * size.sqrt()).ceil() as usize;
    let mut order: Vec<usize> = (0..total).filter(|&i| log_weights[i] > f64::NEG_INFINITY).collect();
    if tail < MIN_TAIL || order.len() <= MIN_TAIL {
        return f64::INFINITY;
    }
    order.sort_by(|&a, &b| log_weights[a].total_cmp(&log_weights[b]));
    let largest = log_weights[order[order.len() - 1]];
    let first = order.len().saturating_sub(tail).max(1);
    let threshold = libm::exp(log_weights[order[first - 1]] - largest);
    let tail = &order[first..];
    let excess: Vec<f64> = tail.iter().map(|&i| libm::exp(log_weights[i] - largest) - threshold).collect();
    // A tail of nothing but ties up to rounding has no shape.
    if excess[excess.len() - 1] <= 8.0 * f64::EPSILON {
        return f64::NEG_INFINITY;
    }
    let positive: Vec<f64> = excess.iter().copied().filter(|&x| x > 0.0).collect();
    if positive.len() < MIN_TAIL {
        return f64::INFINITY;
    }
    let law = GeneralisedPareto::fit(&positive);
    let n = tail.len() as f64;
    for (rank, &i) in tail.iter().enumerate() {
        let smoothed = threshold + law.quantile((rank as f64 + 0.5) / n);
        log_weights[i] = largest + libm::log(smoothed).min(0.0);
    }
    law.shape
}

/// P(X > x) = (1 + k x/σ)^{−1/k}.
#[derive(Clone, Copy, Debug)]
struct GeneralisedPareto {
    /// k.
    shape: f64,
    /// σ.
    scale: f64,
}

impl GeneralisedPareto {
    /// The estimator of Zhang & Stephens (2009, Technometrics 51, 316) for increasing positive `x`: the mean of b = −k/σ over a weakly
    /// informative posterior on a grid, then k = mean ln(1 − b x). k is finally drawn towards 0.5 by the weight of ten observations
    /// (Vehtari et al., appendix C).
    fn fit(x: &[f64]) -> Self {
        let n = x.len() as f64;
        let grid = 30 + n.sqrt() as usize;
        let quartile = x[((n / 4.0 + 0.5).floor() as usize).max(1) - 1];
        let shape_at = |b: f64| x.iter().map(|&x| libm::log1p(-b * x)).sum::<f64>() / n;
        let candidates: Vec<(f64, f64)> = (1..=grid)
            .map(|j| {
                let b = 1.0 / x[x.len() - 1] + (1.0 - (grid as f64 / (j as f64 - 0.5)).sqrt()) / (3.0 * quartile);
                let k = shape_at(b);
                // Profile log-likelihood: n (ln(−b/k) − k − 1).
                (b, n * (libm::log(-b / k) - k - 1.0))
            })
            .filter(|(_, likelihood)| likelihood.is_finite())
            .collect();
        let top = candidates.iter().map(|c| c.1).fold(f64::NEG_INFINITY, f64::max);
        let weight = |likelihood: f64| libm::exp(likelihood - top);
        let total: f64 = candidates.iter().map(|c| weight(c.1)).sum();
        let b = candidates.iter().map(|c| c.0 * weight(c.1)).sum::<f64>() / total;
        let shape = shape_at(b);
        let scale = -shape / b;
        Self { shape: (shape * n + 5.0) / (n + 10.0), scale }
    }

    /// x with P(X ≤ x) = p.
    fn quantile(&self, p: f64) -> f64 {
        let log_survival = libm::log1p(-p);
        if self.shape.abs() < 1e-12 {
            -self.scale * log_survival
        } else {
            self.scale * libm::expm1(-self.shape * log_survival) / self.shape
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    /// Exact quantiles of a generalised Pareto law at the mid-ranks stand for a sample without scatter; what is left is the estimator's bias,
    /// O(1/√n) of the standard error (1 + k)/√n.
    #[test]
    fn a_pareto_sample_has_its_shape_and_scale() {
        let n = 2000;
        for shape in [-0.3, 0.1, 0.5, 0.7, 1.2] {
            let law = GeneralisedPareto { shape, scale: 2.0 };
            let x: Vec<f64> = (0..n).map(|i| law.quantile((i as f64 + 0.5) / n as f64)).collect();
            let found = GeneralisedPareto::fit(&x);
            let tolerance = 1.0 * (1.0 + shape) / f64::from(n).sqrt();
            assert!((found.shape - shape).abs() < tolerance, "{shape}: {found:?}");
            assert!((found.scale - 2.0).abs() < 2.0 * 2.0 * tolerance, "{shape}: {found:?}");
        }
    }

    /// Weights U^{−k}: a Pareto law of shape k, whose tail has that shape too. The tail of 20 000 weights holds 425, so k̂ has a standard error of
    /// (1 + k)/√425 < 0.11; bound at 3 of them.
    #[test]
    fn k_hat_is_the_shape_of_known_tails() {
        for (index, shape) in [0.2, 0.5, 0.9].into_iter().enumerate() {
            let mut rng = Seed(11).stream("pareto", index as u64);
            let mut log_weights: Vec<f64> = (0..20_000).map(|_| shape * rng.exponential()).collect();
            let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let found = pareto_smooth(&mut log_weights);
            assert!((found - shape).abs() < 3.0 * (1.0 + shape) / 425f64.sqrt(), "{shape}: {found}");
            assert!(log_weights.iter().all(|&w| w <= largest));
        }
    }

    #[test]
    fn equal_weights_have_no_tail_and_a_single_one_has_too_much() {
        let mut equal = vec![-3.0; 1000];
        assert_eq!(pareto_smooth(&mut equal), f64::NEG_INFINITY);
        assert_eq!(equal, vec![-3.0; 1000]);
        let mut single = vec![f64::NEG_INFINITY; 1000];
        single[3] = 0.0;
        assert_eq!(pareto_smooth(&mut single), f64::INFINITY);
    }

    /// Smoothing keeps the order of the weights and leaves those below the tail alone.
    #[test]
    fn smoothing_keeps_order_and_bulk() {
        let mut rng = Seed(2).stream("pareto", 9);
        let raw: Vec<f64> = (0..4000).map(|_| 1.5 * rng.normal()).collect();
        let mut smooth = raw.clone();
        pareto_smooth(&mut smooth);
        let mut order: Vec<usize> = (0..raw.len()).collect();
        order.sort_by(|&a, &b| raw[a].total_cmp(&raw[b]));
        assert!(order.windows(2).all(|w| smooth[w[0]] <= smooth[w[1]] + 1e-12));
        let tail = (3.0 * 4000f64.sqrt()).ceil() as usize;
        assert!(order[..4000 - tail].iter().all(|&i| raw[i] == smooth[i]));
        assert!(order[4000 - tail..].iter().any(|&i| raw[i] != smooth[i]));
    }
}

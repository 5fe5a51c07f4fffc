//! Simultaneous confidence bands of the empirical distribution function of uniform values.

use libm::{exp, log};

/// A band that the whole curve of an exact posterior stays in with probability `level`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EcdfBand {
    /// Nominal simultaneous level.
    pub level: f64,
    /// Exact probability of staying inside, `level` or a little more: counts are integers.
    pub coverage: f64,
    /// Lower end at each grid point.
    pub lower: Vec<f64>,
    /// Upper end at each grid point.
    pub upper: Vec<f64>,
}

/// Bands for the empirical distribution function of `n` independent U(0, 1) values at the grid k/`intervals`, k = 0…`intervals`.
///
/// As Säilynoja, Bürkner and Vehtari (2022, arXiv:2103.10522): at each grid point the central binomial interval of one pointwise level
/// 1 - γ, with γ the largest for which the whole curve stays inside with probability `level`. That probability is exact here, no
/// simulation: given the total n, the counts are a Poisson process, so the paths inside are summed by a forward recursion
/// over the grid and divided by P(N = n).
pub fn simultaneous_ecdf_bands(n: usize, intervals: usize, levels: &[f64]) -> Vec<EcdfBand> {
    let cdfs: Vec<BinomialCdf> = (1..intervals).map(|k| BinomialCdf::new(n, k as f64 / intervals as f64)).collect();
    let step = Poisson::new(n as f64 / intervals as f64, n);
    let at_gamma = |gamma: f64| -> (Vec<(usize, usize)>, f64) {
        let bounds: Vec<_> = cdfs.iter().map(|cdf| cdf.interval(gamma)).collect();
        let inside = probability_inside(n, &bounds, &step);
        (bounds, inside)
    };
    let band = |level: f64| {
        // Bonferroni gives the narrow end, a single point the wide end; 16 halvings of the logarithm's range leave 1e-4 relative.
        let (mut low, mut high) = (log((1.0 - level) / intervals as f64), log(1.0 - level));
        for _ in 0..16 {
            let middle = 0.5 * (low + high);
            if at_gamma(exp(middle)).1 >= level { low = middle } else { high = middle }
        }
        let (bounds, coverage) = at_gamma(exp(low));
        let curve = |pick: fn(&(usize, usize)) -> usize| {
            let inner = bounds.iter().map(|b| pick(b) as f64 / n as f64);
            std::iter::once(0.0).chain(inner).chain(std::iter::once(1.0)).collect()
        };
        EcdfBand { level, coverage, lower: curve(|b| b.0), upper: curve(|b| b.1) }
    };
    levels.iter().map(|&level| band(level)).collect()
}

/// Empirical distribution function of `values` at k/`intervals`, k = 0…`intervals`: the fraction at or below.
pub fn ecdf(values: &[f64], intervals: usize) -> Vec<f64> {
    let mut counts = vec![0usize; intervals + 1];
    for &u in values {
        // The smallest grid point at or above u; the two comparisons undo the rounding of the product.
        let mut k = ((u * intervals as f64).ceil().max(0.0) as usize).min(intervals);
        while k > 0 && (k - 1) as f64 / intervals as f64 >= u {
            k -= 1;
        }
        while k < intervals && (k as f64 / intervals as f64) < u {
            k += 1;
        }
        counts[k] += 1;
    }
    let mut total = 0;
    let cumulate = |c: usize| {
        total += c;
        total as f64 / values.len() as f64
    };
    counts.into_iter().map(cumulate).collect()
}

/// Smallest central interval [a, b] of a Binomial(n, p) count with at most `gamma`/2 outside on each side.
pub fn binomial_interval(n: usize, p: f64, gamma: f64) -> (usize, usize) {
    BinomialCdf::new(n, p).interval(gamma)
}

/// Distribution function of a binomial count, kept where it differs from 0 and 1 by more than about 1e-16.
struct BinomialCdf {
    first: usize,
    cdf: Vec<f64>,
}

impl BinomialCdf {
    fn new(n: usize, p: f64) -> Self {
        let (mean, sd) = (n as f64 * p, (n as f64 * p * (1.0 - p)).sqrt());
        // Nine standard deviations and ten counts: the binomial's tails beyond are below 1e-16 even where it is skewed.
        let first = (mean - 9.0 * sd - 10.0).max(0.0) as usize;
        let last = ((mean + 9.0 * sd + 10.0) as usize).min(n);
        let mode = (mean as usize).clamp(first, last);
        // Ratios of neighbours from the mode outwards, normalised at the end: no factorials.
        let mut pmf = vec![0.0; last - first + 1];
        pmf[mode - first] = 1.0;
        let odds = p / (1.0 - p);
        for c in mode..last {
            pmf[c + 1 - first] = pmf[c - first] * odds * (n - c) as f64 / (c + 1) as f64;
        }
        for c in (first..mode).rev() {
            pmf[c - first] = pmf[c + 1 - first] * (c + 1) as f64 / (odds * (n - c) as f64);
        }
        let total: f64 = pmf.iter().sum();
        let mut sum = 0.0;
        for value in &mut pmf {
            sum += *value / total;
            *value = sum;
        }
        Self { first, cdf: pmf }
    }

    fn interval(&self, gamma: f64) -> (usize, usize) {
        let quantile = |q: f64| self.first + self.cdf.partition_point(|&c| c < q).min(self.cdf.len() - 1);
        (quantile(0.5 * gamma), quantile(1.0 - 0.5 * gamma))
    }
}

/// Probabilities of a Poisson count where they are above about 1e-30, the rest being negligible beside the 1/√n of P(N = n).
struct Poisson {
    first: usize,
    pmf: Vec<f64>,
}

impl Poisson {
    fn new(mean: f64, most: usize) -> Self {
        let mut log_factorial = 0.0;
        let (mut first, mut pmf) = (0, Vec::new());
        for k in 0..=most {
            if k > 0 {
                log_factorial += log(k as f64);
            }
            let p = exp(k as f64 * log(mean) - mean - log_factorial);
            if p > 1e-30 {
                if pmf.is_empty() {
                    first = k;
                }
                pmf.push(p);
            } else if k as f64 > mean {
                break;
            }
        }
        Self { first, pmf }
    }

    fn at(&self, k: usize) -> f64 {
        k.checked_sub(self.first).and_then(|k| self.pmf.get(k)).copied().unwrap_or(0.0)
    }
}

/// Probability that the counts at all inner grid points lie within `bounds`, for n uniform values. `step` is the law of one interval.
fn probability_inside(n: usize, bounds: &[(usize, usize)], step: &Poisson) -> f64 {
    let mut from = (0, vec![1.0]);
    for &(low, high) in bounds {
        let mut to = vec![0.0; high - low + 1];
        for (offset, &mass) in from.1.iter().enumerate() {
            // Counts reachable from here that are inside the bounds.
            let start = from.0 + offset + step.first;
            let skip = low.saturating_sub(start);
            let lead = start.saturating_sub(low);
            if lead < to.len() && skip < step.pmf.len() {
                for (t, p) in to[lead..].iter_mut().zip(&step.pmf[skip..]) {
                    *t += mass * p;
                }
            }
        }
        from = (low, to);
    }
    let last: f64 = from.1.iter().enumerate().filter(|(o, _)| from.0 + o <= n).map(|(o, mass)| mass * step.at(n - from.0 - o)).sum();
    last / exp(n as f64 * log(n as f64) - n as f64 - (1..=n).map(|k| log(k as f64)).sum::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    /// 4000 replicates: the standard error of the coverage is at most 0.0074; bounds at 4 of them.
    #[test]
    fn bands_hold_whole_curves_at_their_level() {
        for (n, intervals) in [(50, 100), (500, 50)] {
            let bands = simultaneous_ecdf_bands(n, intervals, &[0.68, 0.90, 0.95]);
            let mut inside = [0u32; 3];
            let replicates = 4000;
            for r in 0..replicates {
                let mut rng = Seed(2).stream("bands", r);
                let values: Vec<f64> = (0..n).map(|_| rng.uniform()).collect();
                let curve = ecdf(&values, intervals);
                for (count, band) in inside.iter_mut().zip(&bands) {
                    let holds = (0..=intervals).all(|k| band.lower[k] <= curve[k] && curve[k] <= band.upper[k]);
                    *count += u32::from(holds);
                }
            }
            for (count, band) in inside.iter().zip(&bands) {
                let found = f64::from(*count) / replicates as f64;
                let se = (band.coverage * (1.0 - band.coverage) / replicates as f64).sqrt();
                assert!((found - band.coverage).abs() < 4.0 * se, "n {n}: found {found}, computed {}", band.coverage);
                assert!(band.coverage >= band.level - 1e-9 && band.coverage < band.level + 0.06, "{} for {}", band.coverage, band.level);
            }
        }
    }

    #[test]
    fn binomial_interval_of_a_fair_coin() {
        // P(X ≤ 39 | 100, 1/2) = 0.0176, P(X ≤ 40) = 0.0284; P(X ≤ 60) = 0.9824.
        assert_eq!(binomial_interval(100, 0.5, 0.05), (40, 60));
        assert_eq!(binomial_interval(3, 0.5, 0.9), (1, 2));
    }

    #[test]
    fn ecdf_counts_values_on_a_grid_point() {
        assert_eq!(ecdf(&[0.0, 0.3, 0.7, 1.0], 10), [0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.5, 0.75, 0.75, 0.75, 1.0]);
    }

    #[test]
    fn large_counts_neither_overflow_nor_vanish() {
        let bands = simultaneous_ecdf_bands(20_000, 100, &[0.95]);
        let half_width = 0.5 * (bands[0].upper[50] - bands[0].lower[50]);
        // Kolmogorov's constant-width band is 1.358/√n = 0.0096; the equal-local-level band is a little wider in the middle.
        assert!((0.0096..0.0125).contains(&half_width), "{half_width}");
    }
}

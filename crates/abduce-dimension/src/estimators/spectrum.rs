//! Rules that read the dimension off the eigenvalues of the covariance: the dimension of the linear span, not of a curved manifold in it.

use crate::error::{DimensionError, Result};
use crate::pca::Pca;
use abduce_data::Seed;
use abduce_kernels::Threads;
use statrs::function::gamma::ln_gamma;

/// When an eigenvalue counts. λ_1 >= λ_2 … >= λ_p of the covariance with divisor N - 1.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum SpectrumRule {
    /// λ > share · λ_1 (Fukunaga & Olsen 1971; usual share 0.05).
    FukunagaOlsen {
        /// The share.
        share: f64,
    },
    /// Fan et al. (2010, arXiv:1002.2050): noise is the mean of the values beyond a cumulative share `noise` (0.95); after it is taken off, the first k with
    /// λ_k/λ_{k+1} > gap (10) or a cumulative share above `signal` (0.8).
    Fan {
        /// Ratio of neighbours that ends the count.
        gap: f64,
        /// Cumulative share that ends the count.
        signal: f64,
        /// Cumulative share beyond which everything is noise.
        noise: f64,
    },
    /// The largest ratio λ_k/λ_{k+1}.
    MaxGap,
    /// The fewest components with this share of the variance.
    Ratio {
        /// The share.
        share: f64,
    },
    /// (Σλ)²/Σλ², not a whole number.
    Participation,
    /// λ above the mean (Kaiser 1960).
    Kaiser,
    /// Leading λ_i/Σλ > (1/p) Σ_{j>=i} 1/j, the mean lengths of a stick broken at random (Frontier 1976); 0 for isotropic data.
    BrokenStick,
    /// The largest evidence of probabilistic PCA by Laplace's method (Minka 2000, *Automatic choice of dimensionality for PCA*, Eq. 30-31).
    Minka,
    /// λ above the edge σ²(1+√(p/N))² of the Marchenko-Pastur law of white noise.
    MarchenkoPastur,
    /// λ above the optimal hard threshold of Gavish & Donoho (2014, arXiv:1305.5870).
    GavishDonoho,
    /// Sequential tests of λ_k against the Tracy-Widom law at 0.5 % (Kritchman & Nadler 2008, *Chemometrics* 94, 19).
    KritchmanNadler,
    /// λ above the 95 % quantile of the same eigenvalue of data whose columns are permuted (Horn 1965; Buja & Eyuboglu 1992).
    Parallel {
        /// Permutations.
        permutations: usize,
        /// Seed of the permutations.
        seed: Seed,
    },
}

/// All rules with their usual settings and names.
pub fn usual_rules(seed: Seed) -> [(&'static str, SpectrumRule); 12] {
    [
        ("FO", SpectrumRule::FukunagaOlsen { share: 0.05 }),
        ("Fan", SpectrumRule::Fan { gap: 10.0, signal: 0.8, noise: 0.95 }),
        ("maxgap", SpectrumRule::MaxGap),
        ("ratio", SpectrumRule::Ratio { share: 0.95 }),
        ("participation", SpectrumRule::Participation),
        ("Kaiser", SpectrumRule::Kaiser),
        ("broken stick", SpectrumRule::BrokenStick),
        ("Minka", SpectrumRule::Minka),
        ("Marchenko-Pastur", SpectrumRule::MarchenkoPastur),
        ("Gavish-Donoho", SpectrumRule::GavishDonoho),
        ("Kritchman-Nadler", SpectrumRule::KritchmanNadler),
        ("parallel", SpectrumRule::Parallel { permutations: 100, seed }),
    ]
}

/// Applies a rule to points as rows of `dims` values whose components are `pca`.
///
/// # Errors
/// `NoAnswer` for Minka's rule with fewer than two components.
pub fn spectrum_dimension(rule: SpectrumRule, dims: usize, values: &[f64], pca: &Pca, threads: &Threads) -> Result<f64> {
    let l = pca.variances();
    let (n, p) = (values.len() / dims, l.len());
    let total: f64 = l.iter().sum();
    let count = |limit: f64| l.iter().filter(|v| **v > limit).count() as f64;
    Ok(match rule {
        SpectrumRule::FukunagaOlsen { share } => count(share * l[0]),
        SpectrumRule::Fan { gap, signal, noise } => fan(l, gap, signal, noise) as f64,
        SpectrumRule::MaxGap => {
            let ratio = |i: usize| l[i] / l[i + 1];
            let best =
                (0..p - 1).fold(None, |best: Option<usize>, i| if best.is_none_or(|b| ratio(i) > ratio(b)) { Some(i) } else { best });
            best.map_or(1, |i| i + 1) as f64
        }
        SpectrumRule::Ratio { share } => components_for(l, share) as f64,
        SpectrumRule::Participation => total * total / l.iter().map(|v| v * v).sum::<f64>(),
        SpectrumRule::Kaiser => count(total / p as f64),
        SpectrumRule::BrokenStick => {
            let length = |i: usize| (i..p).map(|j| 1.0 / (j + 1) as f64).sum::<f64>() / p as f64;
            (0..p).take_while(|&i| l[i] / total > length(i)).count() as f64
        }
        SpectrumRule::Minka => {
            // Axes without variance, but for rounding, would be noise of no strength, whose evidence is infinite.
            let l = &l[..pca.rank(1e-10)];
            let p = l.len();
            if p < 2 {
                return Err(DimensionError::NoAnswer { method: "lPCA (Minka)", reason: "it compares at least two components".into() });
            }
            let evidence: Vec<f64> = (1..p).map(|rank| minka(l, rank, n)).collect();
            (0..p - 1).fold(0, |best, i| if evidence[i] > evidence[best] { i } else { best }) as f64 + 1.0
        }
        SpectrumRule::MarchenkoPastur => {
            let aspect = p as f64 / n as f64;
            count(noise_variance(l, aspect) * (1.0 + aspect.sqrt()).powi(2))
        }
        SpectrumRule::GavishDonoho => {
            let b = (p as f64 / n as f64).min(1.0);
            let lambda2 = 2.0 * (b + 1.0) + 8.0 * b / (b + 1.0 + (b * b + 14.0 * b + 1.0).sqrt());
            count(lambda2 * noise_variance(l, b))
        }
        SpectrumRule::KritchmanNadler => kritchman_nadler(l, n) as f64,
        SpectrumRule::Parallel { permutations, seed } => parallel(dims, values, l, permutations, seed, threads) as f64,
    })
}

fn components_for(l: &[f64], share: f64) -> usize {
    let total: f64 = l.iter().sum();
    let mut sum = 0.0;
    for (i, v) in l.iter().enumerate() {
        sum += v / total;
        if sum > share {
            return i + 1;
        }
    }
    l.len()
}

fn fan(l: &[f64], gap: f64, signal: f64, noise: f64) -> usize {
    let first_noise = components_for(l, noise) - 1;
    let sigma = l[first_noise..].iter().sum::<f64>() / (l.len() - first_noise) as f64;
    let l: Vec<f64> = l.iter().map(|v| v - sigma).collect();
    let total: f64 = l.iter().sum();
    let mut sum = 0.0;
    for i in 0..l.len() {
        sum += l[i] / total;
        if sum > signal || l.get(i + 1).is_some_and(|next| l[i] / next > gap) {
            return i + 1;
        }
    }
    l.len()
}

/// Laplace's approximation of ln p(data | rank) up to a constant, with eigenvalues of the covariance as they come.
fn minka(l: &[f64], rank: usize, n: usize) -> f64 {
    let (d, count) = (l.len(), n as f64);
    let noise = l[rank..].iter().sum::<f64>() / (d - rank) as f64;
    // Prior of the orientation: the inverse volume of the Stiefel manifold.
    let orientation: f64 = (1..=rank)
        .map(|i| {
            let half = 0.5 * (d - i + 1) as f64;
            ln_gamma(half) - half * std::f64::consts::PI.ln()
        })
        .sum::<f64>()
        - rank as f64 * std::f64::consts::LN_2;
    let m = (d * rank - rank * (rank + 1) / 2) as f64;
    let hat = |i: usize| if i < rank { l[i] } else { noise };
    let mut curvature = 0.0;
    for i in 0..rank {
        for j in i + 1..d {
            curvature += ((l[i] - l[j]) * (1.0 / hat(j) - 1.0 / hat(i))).max(1e-300).ln() + count.ln();
        }
    }
    orientation - 0.5 * count * l[..rank].iter().map(|v| v.ln()).sum::<f64>() - 0.5 * count * (d - rank) as f64 * noise.ln()
        + 0.5 * (m + rank as f64) * std::f64::consts::TAU.ln()
        - 0.5 * curvature
        - 0.5 * rank as f64 * count.ln()
}

/// Variance of white noise: the median of the eigenvalues over the median of the Marchenko-Pastur law.
fn noise_variance(l: &[f64], aspect: f64) -> f64 {
    let positive: Vec<f64> = l.iter().copied().filter(|v| *v > 1e-12 * l[0]).rev().collect();
    if positive.is_empty() {
        return 0.0;
    }
    crate::special::quantile(&positive, 0.5) / marchenko_pastur_median(aspect.min(1.0))
}

/// Median of the Marchenko-Pastur law of unit variance, by quadrature in θ with x = 1 + b - 2√b cos θ, whose density is smooth.
fn marchenko_pastur_median(b: f64) -> f64 {
    const STEPS: usize = 20_000;
    let root = b.sqrt();
    let mass = |i: usize| {
        let theta = std::f64::consts::PI * (i as f64 + 0.5) / STEPS as f64;
        let x = 1.0 + b - 2.0 * root * theta.cos();
        2.0 * theta.sin().powi(2) / (x * STEPS as f64)
    };
    let mut sum = 0.0;
    for i in 0..STEPS {
        sum += mass(i);
        if sum >= 0.5 {
            return 1.0 + b - 2.0 * root * (std::f64::consts::PI * (i + 1) as f64 / STEPS as f64).cos();
        }
    }
    1.0
}

/// Quantile 99.5 % of the Tracy-Widom law of real matrices.
const TRACY_WIDOM_995: f64 = 2.4224;

fn kritchman_nadler(l: &[f64], n: usize) -> usize {
    let (p, n) = (l.len(), n as f64);
    for k in 0..p.saturating_sub(1) {
        // Noise from the eigenvalues beyond k, less what the k signals lend it to first order in p/N.
        let rest = (p - k) as f64;
        let mean = l[k..].iter().sum::<f64>() / rest;
        let sigma2 = mean / (1.0 - k as f64 / n).max(0.1);
        let (a, b) = ((n - 0.5).sqrt(), (rest - 0.5).sqrt());
        let (mu, scale) = ((a + b).powi(2) / n, (a + b) / n * (1.0 / a + 1.0 / b).cbrt());
        if l[k] <= sigma2 * (mu + TRACY_WIDOM_995 * scale) {
            return k;
        }
    }
    p
}

fn parallel(dims: usize, values: &[f64], l: &[f64], permutations: usize, seed: Seed, threads: &Threads) -> usize {
    let n = values.len() / dims;
    let mut spectra: Vec<Vec<f64>> = vec![Vec::new(); permutations];
    threads.for_each(&mut spectra, |round, spectrum| {
        let mut rng = seed.stream("parallel-analysis", round as u64);
        let mut shuffled = values.to_vec();
        let mut order: Vec<usize> = (0..n).collect();
        for column in 0..dims {
            rng.shuffle(&mut order);
            for (row, &from) in order.iter().enumerate() {
                shuffled[row * dims + column] = values[from * dims + column];
            }
        }
        *spectrum = Pca::fit(dims, &shuffled, &Threads::single()).variances().to_vec();
    });
    (0..l.len())
        .take_while(|&i| {
            let mut null: Vec<f64> = spectra.iter().filter_map(|s| s.get(i).copied()).collect();
            null.sort_unstable_by(f64::total_cmp);
            !null.is_empty() && l[i] > crate::special::quantile(&null, 0.95)
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three strong factors in 16 columns of white noise, each spread over all columns with signs of a Walsh function: every rule for signals in noise counts three. The median of the Marchenko-Pastur law at b → 0 is 1,
    /// and half of the law lies below it at any b.
    #[test]
    fn signals_in_noise_are_counted() {
        let mut rng = Seed(4).stream("spectrum", 0);
        let (n, dims) = (500, 16);
        let mut values = Vec::new();
        for _ in 0..n {
            let factors = [rng.normal(), rng.normal(), rng.normal()];
            let sign = |bits: usize| if bits.count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
            values.extend((0..dims).map(|j| (0..3).map(|f| factors[f] * sign(j & (1 << f))).sum::<f64>() + rng.normal()));
        }
        let pca = Pca::fit(dims, &values, &Threads::single());
        for (name, rule) in usual_rules(Seed(1)) {
            let found = spectrum_dimension(rule, dims, &values, &pca, &Threads::single()).unwrap();
            if ["maxgap", "Kaiser", "Minka", "Marchenko-Pastur", "Gavish-Donoho", "Kritchman-Nadler", "parallel"].contains(&name) {
                assert_eq!(found, 3.0, "{name}");
            }
        }
        assert!((marchenko_pastur_median(1e-6) - 1.0).abs() < 2e-3);
        // At b = 1 the law of √x is a quarter circle: the median solves θ - sin θ cos θ … = π/4 numerically 0.6528.
        let half: f64 = marchenko_pastur_median(1.0);
        let s = half.sqrt() / 2.0;
        let below = 2.0 / std::f64::consts::PI * (s * (1.0 - s * s).sqrt() + s.asin());
        assert!((below - 0.5).abs() < 1e-3, "{half}");
    }

    #[test]
    fn participation_of_equal_axes_is_their_number() {
        let pca = |values: &[f64]| Pca::fit(3, values, &Threads::single());
        let corners: Vec<f64> = (0..8).flat_map(|i| [(i & 1) as f64, f64::from((i >> 1) & 1), f64::from((i >> 2) & 1)]).collect();
        let found = spectrum_dimension(SpectrumRule::Participation, 3, &corners, &pca(&corners), &Threads::single()).unwrap();
        assert!((found - 3.0).abs() < 1e-12);
    }
}

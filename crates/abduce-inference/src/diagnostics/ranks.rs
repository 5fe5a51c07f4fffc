//! Ranks of the truth among posterior draws: simulation-based calibration (Talts et al. 2018, arXiv:1804.06788).

use super::bands::binomial_interval;
use super::{Pairs, uniformity};
use abduce_data::{Rng, Seed};

/// A rank among S draws and its probability integral transform.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rank {
    /// Number of draws below the value, in 0…S; ties are broken at random.
    pub rank: usize,
    /// (rank + U)/(S + 1) with U ~ U(0, 1): exactly uniform when value and draws are exchangeable.
    pub pit: f64,
}

impl Rank {
    /// The rank of a value with `below` draws under it and `ties` draws equal to it, of `draws`.
    ///
    /// Dividing by S + 1 (the number of possible ranks) and not by the largest rank seen keeps an under-confident posterior centred.
    pub fn randomised(below: usize, ties: usize, draws: usize, rng: &mut Rng) -> Self {
        let rank = below + if ties > 0 { rng.below(ties + 1) } else { 0 };
        Self { rank, pit: (rank as f64 + rng.uniform()) / (draws + 1) as f64 }
    }
}

/// Ranks of the true parameters: `[j][i]` for parameter j and usable pair i.
///
/// r_ij = #{k: s_ikj < θ_ij} + (a uniform share of the ties), in {0…S}. Uniform for an exact posterior, **and for the prior itself**:
/// ranks can't see that a posterior ignores the data.
pub fn sbc_ranks(pairs: &Pairs<'_>, seed: Seed) -> Vec<Vec<Rank>> {
    let d = pairs.parameters();
    let mut ranks = vec![Vec::with_capacity(pairs.len()); d];
    let (mut below, mut ties) = (vec![0; d], vec![0; d]);
    for i in 0..pairs.len() {
        below.fill(0);
        ties.fill(0);
        let theta = pairs.theta(i);
        for draw in pairs.samples(i).chunks_exact(d) {
            for j in 0..d {
                below[j] += usize::from(draw[j] < theta[j]);
                ties[j] += usize::from(draw[j] == theta[j]);
            }
        }
        let mut rng = seed.stream("diagnostics.ranks", pairs.row(i) as u64);
        for j in 0..d {
            ranks[j].push(Rank::randomised(below[j], ties[j], pairs.draws(), &mut rng));
        }
    }
    ranks
}

/// Histogram of ranks on merged bins.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RankHistogram {
    /// Bin edges in rank/(S + 1), from 0 to 1 (B + 1).
    pub edges: Vec<f64>,
    /// Ranks per bin (B).
    pub counts: Vec<usize>,
    /// Expected ranks per bin for an exact posterior (B).
    pub expected: Vec<f64>,
    /// Lower end of the 95 % binomial interval of each count (B), pointwise.
    pub lower: Vec<usize>,
    /// Upper end of it (B).
    pub upper: Vec<usize>,
    /// p-value of χ² with B - 1 degrees of freedom.
    pub chi2_p: f64,
}

/// Merges the S + 1 possible ranks into at most 20 bins of nearly equal width with about 20 expected ranks or more.
///
/// Few bins: χ² with many spends its power on noise, and the smooth defects (shifted, too narrow, too wide) show in few.
pub fn rank_histogram(ranks: &[Rank], draws: usize) -> RankHistogram {
    let (n, possible) = (ranks.len(), draws + 1);
    let bins = (n / 20).clamp(2, 20).min(possible);
    let first_rank = |bin: usize| (bin * possible).div_ceil(bins);
    let mut counts = vec![0; bins];
    for r in ranks {
        counts[r.rank * bins / possible] += 1;
    }
    let edges: Vec<f64> = (0..=bins).map(|b| first_rank(b) as f64 / possible as f64).collect();
    let probability = |b: usize| edges[b + 1] - edges[b];
    let expected: Vec<f64> = (0..bins).map(|b| n as f64 * probability(b)).collect();
    let (lower, upper) = (0..bins).map(|b| binomial_interval(n, probability(b), 0.05)).unzip();
    let chi2_p = uniformity::chi2_p(&counts, &expected);
    RankHistogram { edges, counts, expected, lower, upper, chi2_p }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_bins_hold_every_rank_with_the_right_expectation() {
        for draws in [1, 7, 99, 100, 1000] {
            let ranks: Vec<Rank> = (0..400 * (draws + 1)).map(|i| Rank { rank: i % (draws + 1), pit: 0.0 }).collect();
            let histogram = rank_histogram(&ranks, draws);
            assert_eq!(histogram.counts.iter().sum::<usize>(), ranks.len());
            for (&count, expected) in histogram.counts.iter().zip(&histogram.expected) {
                assert!((count as f64 - expected).abs() < 1e-6, "S = {draws}: {histogram:?}");
            }
            assert!(histogram.chi2_p > 0.999_999);
        }
    }

    /// 3000 values that tie with all of 4 draws: every rank 0…4 has expectation 600, standard deviation 22.
    #[test]
    fn ties_are_shared_out_evenly() {
        let mut rng = Seed(1).stream("test", 0);
        let mut counts = [0i32; 5];
        for _ in 0..3000 {
            counts[Rank::randomised(0, 4, 4, &mut rng).rank] += 1;
        }
        assert!(counts.iter().all(|c| (c - 600).abs() < 99), "{counts:?}");
    }
}

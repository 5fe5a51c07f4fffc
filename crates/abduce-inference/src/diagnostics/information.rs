//! How much each summary of the data tells about the parameters.

use abduce_data::Seed;
use serde::{Deserialize, Serialize};

/// Gains below this many nats don't matter.
const TOLERANCE: f64 = 0.02;
/// Resamplings of the bootstrap.
const RESAMPLINGS: usize = 1000;
/// Rows are bootstrapped in at most so many blocks: with independent rows the means have the same distribution.
const BLOCKS: usize = 1000;

/// The information curve of ordered summaries s_1, s_2, …: I_k = E[ln q(θ | s_1..s_k) − ln p(θ)] in nats, on held-out pairs.
///
/// Each I_k is a lower bound of the mutual information of θ and (s_1..s_k), as tight as the network at that width (Barber and Agakov 2003). For θ from
/// the prior it equals the prior's entropy minus the cross-entropy of the posterior.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InformationCurve {
    /// I_0..I_K.
    pub nats: Vec<f64>,
    /// Their standard errors over the pairs.
    pub standard_errors: Vec<f64>,
    /// I_k − I_(k−1) for k = 1..K, with its paired 95 % bootstrap interval.
    pub gains: Vec<Gain>,
    /// How many summaries matter: the smallest k for which no wider code has a gain I_k' − I_k whose upper 95 % bound reaches `tolerance`.
    pub matter: usize,
    /// 95 % of the resamplings have their smallest k, by the gains themselves instead of their bounds, between these.
    pub matter_interval: [usize; 2],
    /// Nats below which a gain does not matter.
    pub tolerance: f64,
    /// Held-out pairs.
    pub pairs: usize,
}

/// What one more summary adds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// 2.5 % bound.
    pub low: f64,
    /// The mean over the pairs, in nats.
    pub nats: f64,
    /// 97.5 % bound.
    pub high: f64,
}

impl InformationCurve {
    /// From `gains[k][i]` = ln q(θ_i | s_1..s_k) − ln p(θ_i) of held-out pairs and their weights (empty: all 1). Pairs with a value that is not finite at
    /// any width are left out; `None` where fewer than two are left.
    pub fn new(gains: &[Vec<f64>], weights: &[f64], seed: Seed) -> Option<Self> {
        let widths = gains.len();
        let kept: Vec<usize> = (0..gains.first()?.len()).filter(|&i| gains.iter().all(|g| g[i].is_finite())).collect();
        let n = kept.len();
        if n < 2 {
            return None;
        }
        let weight = |i: usize| weights.get(i).copied().unwrap_or(1.0);
        let total: f64 = kept.iter().map(|&i| weight(i)).sum();
        let nats: Vec<f64> = gains.iter().map(|g| kept.iter().map(|&i| weight(i) * g[i]).sum::<f64>() / total).collect();
        let standard_errors = gains.iter().zip(&nats).map(|(g, mean)| {
            let squares: f64 = kept.iter().map(|&i| (weight(i) * (g[i] - mean)).powi(2)).sum();
            (squares * n as f64 / (n - 1) as f64).sqrt() / total
        });
        let standard_errors = standard_errors.collect();

        // Blocks of rows: their weights and weighted sums per width.
        let per_block = n.div_ceil(BLOCKS);
        let blocks: Vec<(f64, Vec<f64>)> = kept
            .chunks(per_block)
            .map(|rows| {
                let sums = gains.iter().map(|g| rows.iter().map(|&i| weight(i) * g[i]).sum()).collect();
                (rows.iter().map(|&i| weight(i)).sum(), sums)
            })
            .collect();
        let mut resampled: Vec<Vec<f64>> = Vec::with_capacity(RESAMPLINGS);
        for index in 0..RESAMPLINGS {
            let mut rng = seed.stream("bootstrap", index as u64);
            let (mut total, mut sums) = (0.0, vec![0.0; widths]);
            for _ in 0..blocks.len() {
                let (weight, block) = &blocks[rng.below(blocks.len())];
                total += weight;
                sums.iter_mut().zip(block).for_each(|(s, b)| *s += b);
            }
            sums.iter_mut().for_each(|s| *s /= total);
            resampled.push(sums);
        }
        let quantiles = |value: &dyn Fn(&[f64]) -> f64| {
            let mut values: Vec<f64> = resampled.iter().map(|curve| value(curve)).collect();
            values.sort_by(f64::total_cmp);
            [values[RESAMPLINGS / 40], values[RESAMPLINGS - 1 - RESAMPLINGS / 40]]
        };
        let gain = |k: usize| {
            let [low, high] = quantiles(&|curve| curve[k] - curve[k - 1]);
            Gain { low, nats: nats[k] - nats[k - 1], high }
        };
        let no_more = |k: usize| (k + 1..widths).all(|wider| quantiles(&|curve| curve[wider] - curve[k])[1] < TOLERANCE);
        let of_curve = |curve: &[f64]| {
            let enough = |k: &usize| curve[k + 1..].iter().all(|wider| wider - curve[*k] < TOLERANCE);
            (0..widths).find(enough).unwrap_or(widths - 1) as f64
        };
        let [low, high] = quantiles(&of_curve);
        Some(Self {
            gains: (1..widths).map(gain).collect(),
            matter: (0..widths).find(|&k| no_more(k)).unwrap_or(widths - 1),
            matter_interval: [low as usize, high as usize],
            tolerance: TOLERANCE,
            pairs: n,
            nats,
            standard_errors,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gains drawn around 0, 1, 1.5, 1.501, 1.501: two summaries matter; the third adds a thousandth of a nat.
    fn curve(pairs: usize) -> InformationCurve {
        let mut rng = Seed(6).stream("gains", 0);
        let mut gains = vec![Vec::new(); 5];
        for _ in 0..pairs {
            let common = rng.normal();
            for (k, mean) in [0.0, 1.0, 1.5, 1.501, 1.501].into_iter().enumerate() {
                // Widths share most of their scatter, which pairing removes.
                gains[k].push(mean + if k == 0 { 0.0 } else { common + 0.05 * rng.normal() });
            }
        }
        InformationCurve::new(&gains, &[], Seed(1)).unwrap()
    }

    #[test]
    fn summaries_that_add_something_are_counted() {
        let curve = curve(4000);
        assert_eq!((curve.matter, curve.matter_interval, curve.pairs), (2, [2, 2], 4000));
        // 1/√4000 = 0.016.
        assert!((curve.standard_errors[1] - 0.0158).abs() < 0.001 && curve.standard_errors[0] == 0.0, "{:?}", curve.standard_errors);
        // The paired gain has a standard error of 0.05 √2/√4000 = 0.0011.
        let second = curve.gains[1];
        assert!((second.nats - 0.5).abs() < 0.005 && second.high - second.low < 0.006, "{second:?}");
        assert!(second.low < second.nats && second.nats < second.high);
    }

    #[test]
    fn few_pairs_leave_it_open() {
        let open = curve(8);
        // The bound of the gain that is truly 0.001 nat can't be told below 0.02 by eight pairs.
        assert!(open.matter >= 2 && open.matter_interval[0] <= open.matter_interval[1]);
        assert!(InformationCurve::new(&[vec![0.0], vec![f64::INFINITY]], &[], Seed(1)).is_none());
        assert!(InformationCurve::new(&[], &[], Seed(1)).is_none());
    }

    /// Weights of 0 and 1 select rows.
    #[test]
    fn weights_count_rows() {
        let gains = [vec![0.0, 0.0, 0.0, 0.0], vec![1.0, 5.0, 2.0, 7.0]];
        let curve = InformationCurve::new(&gains, &[1.0, 0.0, 1.0, 0.0], Seed(1)).unwrap();
        assert_eq!(curve.nats, [0.0, 1.5]);
    }
}

//! Which widths a training step sees.

use abduce_data::Rng;
use serde::{Deserialize, Serialize};

/// How the sum over widths is taken. All are unbiased for Σ_k ρ_k L_k but the last, which changes ρ as training goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Every width of every row: the encoder runs once and the decoder once per width with weight. Exact.
    #[default]
    Sum,
    /// One width per row, independently k ~ ρ: the decoder runs once.
    PerSample,
    /// One width per row, the batch's widths at the quantiles (i + U)/n of ρ, U uniform: each width has its share of every batch to within one row.
    Stratified,
    /// As `PerSample`, over the widths behind those whose last latent has converged: such latents stay open and get no more gradient (Rippel et al.
    /// 2014, section 4). Under steep weights the late latents would otherwise hardly be trained.
    UnitSweep {
        /// A latent has converged when the held-out loss of its width fell by less than this fraction over five epochs.
        tolerance: f64,
    },
}

/// Draws widths k ~ ρ.
#[derive(Clone, Debug)]
pub(crate) struct WidthLaw {
    /// Σ_{j ≤ k} ρ_j.
    cumulative: Vec<f64>,
}

impl WidthLaw {
    /// ρ cut to the widths above `frozen`, normalised again.
    pub(crate) fn above(rho: &[f64], frozen: usize) -> Self {
        let cut = |(k, &w): (usize, &f64)| if frozen > 0 && k <= frozen { 0.0 } else { w };
        let mut total = 0.0;
        let mut cumulative: Vec<f64> = rho
            .iter()
            .enumerate()
            .map(|at| {
                total += cut(at);
                total
            })
            .collect();
        cumulative.iter_mut().for_each(|c| *c /= total);
        Self { cumulative }
    }

    /// The smallest k with Σ_{j ≤ k} ρ_j > u, for u in [0, 1).
    pub(crate) fn quantile(&self, u: f64) -> usize {
        // The last width with weight has the sum over itself, exactly 1.
        self.cumulative.partition_point(|&c| c <= u)
    }

    pub(crate) fn independent(&self, rng: &mut Rng, widths: &mut [f32]) {
        widths.fill_with(|| self.quantile(rng.uniform()) as f32);
    }

    pub(crate) fn stratified(&self, rng: &mut Rng, widths: &mut [f32]) {
        let (n, shift) = (widths.len() as f64, rng.uniform());
        widths.iter_mut().enumerate().for_each(|(i, w)| *w = self.quantile((i as f64 + shift) / n) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Weights;
    use abduce_data::Seed;

    fn counts(widths: &[f32], k: usize) -> Vec<usize> {
        (0..=k).map(|w| widths.iter().filter(|&&v| v == w as f32).count()).collect()
    }

    /// Pearson's χ² of 20 000 draws; with K ≤ 9 degrees of freedom 40 has probability below 1e-5. The largest width is reached.
    #[test]
    fn independent_widths_follow_rho_from_0_to_k() {
        for weights in [Weights::Linear, Weights::Geometric { p: 0.3 }, Weights::LogSpaced] {
            let rho = weights.rho(9, 0).unwrap();
            let mut widths = vec![0.0; 20_000];
            WidthLaw::above(&rho, 0).independent(&mut Seed(3).stream("widths", 0), &mut widths);
            let chi2: f64 = counts(&widths, 9)
                .iter()
                .zip(&rho)
                .map(|(&n, &r)| {
                    if r == 0.0 {
                        assert_eq!(n, 0, "a width without weight");
                        return 0.0;
                    }
                    (n as f64 - 2e4 * r).powi(2) / (2e4 * r)
                })
                .sum();
            assert!(chi2 < 40.0, "{weights:?}: {chi2}");
            assert!(widths.contains(&9.0));
        }
    }

    /// Triangular dropout: with uniform weights and a batch of K + 1 rows every width occurs once.
    #[test]
    fn stratified_widths_have_their_shares_to_within_a_row() {
        let uniform = Weights::Linear.rho(7, 0).unwrap();
        let mut widths = vec![0.0; 8];
        for index in 0..50 {
            WidthLaw::above(&uniform, 0).stratified(&mut Seed(1).stream("widths", index), &mut widths);
            assert_eq!(counts(&widths, 7), [1; 8]);
        }
        let rho = Weights::Geometric { p: 0.4 }.rho(5, 0).unwrap();
        let mut widths = vec![0.0; 100];
        WidthLaw::above(&rho, 0).stratified(&mut Seed(2).stream("widths", 0), &mut widths);
        for (k, n) in counts(&widths, 5).into_iter().enumerate() {
            assert!((n as f64 - 100.0 * rho[k]).abs() <= 1.0, "width {k}: {n}");
        }
    }

    #[test]
    fn frozen_widths_are_not_drawn() {
        let rho = Weights::Linear.rho(4, 0).unwrap();
        let mut widths = vec![0.0; 1000];
        WidthLaw::above(&rho, 2).independent(&mut Seed(5).stream("widths", 0), &mut widths);
        let counts = counts(&widths, 4);
        assert_eq!(counts[..3], [0, 0, 0]);
        assert!(counts[3] > 400 && counts[4] > 400, "{counts:?}");
    }
}

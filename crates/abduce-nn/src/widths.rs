//! Widths of an information-ordered code: how much each counts, and drawing them.

use abduce_data::Rng;
use serde::{Deserialize, Serialize};

/// Weights that are none, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("weights of the widths: {0}")]
pub struct WeightsError(pub String);

/// The weights ρ_k of the widths k = 0..K, normalised to Σ ρ_k = 1. Widths below the number of latents that are always open have none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Weights {
    /// The same for every width, 0 included: the "linear IOB".
    #[default]
    Linear,
    /// ρ_k ∝ p (1 - p)^(k-1) from the first optional latent on, that of nested dropout (Rippel et al. 2014). The width without any optional
    /// latent has no weight, so the model's output there means nothing.
    Geometric {
        /// In (0, 1).
        p: f64,
    },
    /// The same for 1, 2, 4, 8, … optional latents and for all of them, none for the others: that of Matryoshka representations.
    LogSpaced,
    /// As given, for k = 0..K.
    Custom {
        /// K + 1 numbers, none negative.
        rho: Vec<f64>,
    },
}

impl Weights {
    /// ρ_0..ρ_K of a code of `latents` latents, the first `always_open` of which are never closed.
    ///
    /// # Errors
    /// Probabilities out of range, a list of another length, negative or all zero, or weight on a width that can't be.
    pub fn rho(&self, latents: usize, always_open: usize) -> Result<Vec<f64>, WeightsError> {
        let wrong = |reason: String| Err(WeightsError(reason));
        if always_open > latents {
            return wrong(format!("{always_open} of {latents} latents can't be always open"));
        }
        let mut rho = vec![0.0; latents + 1];
        match self {
            Self::Linear => rho[always_open..].fill(1.0),
            Self::Geometric { p } => {
                if !(*p > 0.0 && *p < 1.0) {
                    return wrong(format!("the probability of geometric weights must lie between 0 and 1, not {p}"));
                }
                let first = always_open + 1;
                (first..=latents).for_each(|k| rho[k] = p * (1.0 - p).powi((k - first) as i32));
            }
            Self::LogSpaced => {
                let optional = latents - always_open;
                std::iter::successors(Some(1), |w| Some(2 * w)).take_while(|&w| w < optional).for_each(|w| rho[always_open + w] = 1.0);
                rho[latents] = 1.0;
            }
            Self::Custom { rho: given } => {
                if given.len() != latents + 1 {
                    return wrong(format!("{} numbers are given for the {} widths 0 to {latents}", given.len(), latents + 1));
                }
                if let Some(k) = given.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
                    return wrong(format!("that of width {k} is {}", given[k]));
                }
                if let Some(k) = given[..always_open].iter().position(|&w| w > 0.0) {
                    return wrong(format!("width {k} has one, but {always_open} latents are always open"));
                }
                rho.copy_from_slice(given);
            }
        }
        let total: f64 = rho.iter().sum();
        if total <= 0.0 {
            return wrong("all are zero".to_owned());
        }
        rho.iter_mut().for_each(|w| *w /= total);
        Ok(rho)
    }
}

/// The law k ~ ρ of a random width.
#[derive(Clone, Debug)]
pub struct WidthLaw {
    /// Σ_{j ≤ k} ρ_j.
    cumulative: Vec<f64>,
}

impl WidthLaw {
    /// ρ as normalised weights, cut to the widths above `frozen` where that is not 0, normalised again.
    pub fn above(rho: &[f64], frozen: usize) -> Self {
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
    pub fn quantile(&self, u: f64) -> usize {
        // The last width with weight has the sum over itself, exactly 1.
        self.cumulative.partition_point(|&c| c <= u)
    }

    /// Draws one width per place.
    pub fn independent(&self, rng: &mut Rng, widths: &mut [f32]) {
        widths.fill_with(|| self.quantile(rng.uniform()) as f32);
    }

    /// The quantiles at (i + U)/n, U uniform: each width has its share ρ_k n to within one.
    pub fn stratified(&self, rng: &mut Rng, widths: &mut [f32]) {
        let (n, shift) = (widths.len() as f64, rng.uniform());
        widths.iter_mut().enumerate().for_each(|(i, w)| *w = self.quantile((i as f64 + shift) / n) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[test]
    fn each_kind_is_its_formula() {
        let rho = |w: &Weights, k: usize, open: usize| w.rho(k, open).unwrap();
        assert_eq!(rho(&Weights::Linear, 4, 0), [0.2; 5]);
        assert_eq!(rho(&Weights::Linear, 4, 3), [0.0, 0.0, 0.0, 0.5, 0.5]);
        let geometric = rho(&Weights::Geometric { p: 0.5 }, 4, 0);
        let want = [0.0, 8.0 / 15.0, 4.0 / 15.0, 2.0 / 15.0, 1.0 / 15.0];
        assert!(geometric.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-15), "{geometric:?}");
        let log = rho(&Weights::LogSpaced, 10, 0);
        assert_eq!((0..=10).filter(|&k| log[k] > 0.0).collect::<Vec<_>>(), [1, 2, 4, 8, 10]);
        assert_eq!(rho(&Weights::Custom { rho: vec![0.0, 3.0, 1.0] }, 2, 1), [0.0, 0.75, 0.25]);
    }

    #[test]
    fn what_is_no_weight_is_refused() {
        for weights in [
            Weights::Geometric { p: 1.0 },
            Weights::Custom { rho: vec![1.0] },
            Weights::Custom { rho: vec![0.0; 3] },
            Weights::Custom { rho: vec![1.0, -1.0, 1.0] },
            Weights::Custom { rho: vec![1.0, f64::NAN, 1.0] },
        ] {
            assert!(weights.rho(2, 0).is_err(), "{weights:?}");
        }
        assert!(Weights::Custom { rho: vec![1.0, 1.0, 1.0] }.rho(2, 1).is_err(), "width 0 can't be");
    }
}

//! How much each width counts.

use crate::error::BottleneckError;
use serde::{Deserialize, Serialize};

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
    pub fn rho(&self, latents: usize, always_open: usize) -> Result<Vec<f64>, BottleneckError> {
        let wrong = |reason: String| Err(BottleneckError::Weights(reason));
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

#[cfg(test)]
mod tests {
    use super::*;

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

//! Correction of accepted parameters for the distance of their simulations.

use super::distance::Distance;
use super::regression::fit;
use super::{AbcError, AbcSample};
use crate::prior::Prior;

/// What happens to the accepted parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Adjustment {
    /// Nothing.
    #[default]
    None,
    /// Local linear regression (Beaumont et al. 2002): u_i − βᵀ(s_i − s_o), fitted with the Epanechnikov kernel 1 − (distance/ε)² as weight. u is
    /// the unconstrained scale, so that nothing leaves the prior's support.
    Linear,
    /// The same fitted with the weights of the particles, as the target of sequential Monte Carlo demands.
    LinearWeighted,
}

/// How the kernel of the regression enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    /// It multiplies the sample's weights, with which the regression is fitted: rejection.
    Weights,
    /// It is the regression's weight alone, and the sample's stay: populations.
    FitOnly,
    /// There is none: the regression is fitted with the sample's weights.
    Absent,
}

/// Moves the sample's θ; `summaries` (n, width) belong to its rows.
pub(super) fn adjust(
    sample: &mut AbcSample,
    summaries: &[f64],
    distance: &Distance,
    kernel: Kernel,
    prior: &Prior,
) -> Result<(), AbcError> {
    let (d, width) = (prior.parameters(), distance.observed.len());
    let n = sample.weights.len();
    let needed = width + 2;
    if n < needed {
        return Err(AbcError::TooFew { usable: n, failed: 0, needed, purpose: "the regression adjustment" });
    }
    let mut weights = sample.weights.clone();
    if kernel != Kernel::Absent && sample.epsilon > 0.0 {
        let of_distance = sample.distances.iter().map(|distance| (1.0 - (distance / sample.epsilon).powi(2)).max(0.0));
        let own = if kernel == Kernel::Weights { sample.weights.clone() } else { vec![1.0; n] };
        let kernels: Vec<f64> = of_distance.zip(own).map(|(k, w)| k * w).collect();
        let total: f64 = kernels.iter().sum();
        if kernels.iter().filter(|w| **w > 0.0).count() >= needed {
            weights = kernels.iter().map(|w| w / total).collect();
            if kernel == Kernel::Weights {
                sample.weights.clone_from(&weights);
            }
        }
    }
    let transform = prior.transform();
    let mut u = vec![0.0; n * d];
    for (theta, u) in sample.theta.chunks_exact(d).zip(u.chunks_exact_mut(d)) {
        transform.unconstrained_from_theta(theta, u);
    }
    let scaled = |row: &[f64]| -> Vec<f64> {
        row.iter().zip(&distance.observed).zip(&distance.scales).map(|((s, o), scale)| (s - o) / scale).collect()
    };
    let offsets: Vec<f64> = summaries.chunks_exact(width).flat_map(scaled).collect();
    let singular = AbcError::TooFew { usable: n, failed: 0, needed, purpose: "a regression that is not singular" };
    let coefficients = fit(&offsets, &u, &weights, width, d).ok_or(singular)?;
    for ((theta, u), offset) in sample.theta.chunks_exact_mut(d).zip(u.chunks_exact_mut(d)).zip(offsets.chunks_exact(width)) {
        for (row, &offset) in coefficients[d..].chunks_exact(d).zip(offset) {
            u.iter_mut().zip(row).for_each(|(u, c)| *u -= c * offset);
        }
        transform.theta_from_unconstrained(u, theta);
    }
    Ok(())
}

//! Correction of accepted parameters for the distance of their simulations.

use super::regression::fit;
use super::{AbcError, AbcSample};
use crate::prior::Prior;

/// What happens to the accepted parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Adjustment {
    /// Nothing.
    #[default]
    None,
    /// Local linear regression (Beaumont et al. 2002): u_i − βᵀ(s_i − s_o), weighted by the Epanechnikov kernel 1 − (distance/ε)² where the
    /// sample has equal weights, by its own weights else. u is the unconstrained scale, so that nothing leaves the prior's support.
    Linear,
}

/// Moves the sample's θ; `summaries` (n, width) belong to its rows.
pub(super) fn adjust(sample: &mut AbcSample, summaries: &[f64], observed: &[f64], scales: &[f64], prior: &Prior) -> Result<(), AbcError> {
    let (d, width) = (prior.parameters(), observed.len());
    let n = sample.weights.len();
    let needed = width + 2;
    if n < needed {
        return Err(AbcError::TooFew { usable: n, failed: 0, needed, purpose: "the regression adjustment" });
    }
    let equal = sample.weights.iter().all(|&w| w == sample.weights[0]);
    if equal && sample.epsilon > 0.0 {
        let kernel = |distance: &f64| (1.0 - (distance / sample.epsilon).powi(2)).max(0.0);
        let weights: Vec<f64> = sample.distances.iter().map(kernel).collect();
        let total: f64 = weights.iter().sum();
        if weights.iter().filter(|w| **w > 0.0).count() >= needed {
            sample.weights = weights.iter().map(|w| w / total).collect();
        }
    }
    let transform = prior.transform();
    let mut u = vec![0.0; n * d];
    for (theta, u) in sample.theta.chunks_exact(d).zip(u.chunks_exact_mut(d)) {
        transform.unconstrained_from_theta(theta, u);
    }
    let offsets: Vec<f64> =
        summaries.chunks_exact(width).flat_map(|row| row.iter().zip(observed).zip(scales).map(|((s, o), scale)| (s - o) / scale)).collect();
    let singular = AbcError::TooFew { usable: n, failed: 0, needed, purpose: "a regression that is not singular" };
    let coefficients = fit(&offsets, &u, &sample.weights, width, d).ok_or(singular)?;
    for ((theta, u), offset) in sample.theta.chunks_exact_mut(d).zip(u.chunks_exact_mut(d)).zip(offsets.chunks_exact(width)) {
        for (row, &offset) in coefficients[d..].chunks_exact(d).zip(offset) {
            u.iter_mut().zip(row).for_each(|(u, c)| *u -= c * offset);
        }
        transform.theta_from_unconstrained(u, theta);
    }
    Ok(())
}

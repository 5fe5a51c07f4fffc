//! The data-averaged posterior: ∫ q(θ | x) p(x) dx is the prior when q is exact.

use super::predictions::mean_and_variance;
use super::wasserstein::{SlicedWasserstein, sliced_wasserstein2};
use super::{C2st, DiagnosticsError, Pairs, c2st, uniformity};
use abduce_data::Seed;
use abduce_kernels::{Simd, Threads};

/// Directions of the sliced distance.
const PROJECTIONS: usize = 100;

/// Posterior draws, one per test pair, against draws of the prior.
///
/// One draw per pair, because these are independent draws of the mixture of posteriors and the p-values exact; more of the same pair would not
/// be. A posterior that ignores the data passes, and a too narrow one shows only as far as the mixture gets narrower.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DataAveraged {
    /// One entry per parameter.
    pub parameters: Vec<AveragedParameter>,
    /// Joint distance, in standard deviations of the prior.
    pub sliced_w2: SlicedWasserstein,
}

/// One parameter of the data-averaged posterior.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AveragedParameter {
    /// Two-sample Kolmogorov-Smirnov p-value against the prior's draws.
    pub ks_p: f64,
    /// (mean of the mixture - mean of the prior)/(sd of the prior).
    pub shift: f64,
    /// sd of the mixture over sd of the prior.
    pub sd_ratio: f64,
}

/// Compares the data-averaged posterior with the prior; `None` when the pairs came with the prior's variance instead of draws.
///
/// # Errors
/// Prior draws that are not finite, fewer than 4 of them or without spread.
pub fn data_averaged_posterior(pairs: &Pairs<'_>, seed: Seed) -> Result<Option<DataAveraged>, DiagnosticsError> {
    let Some(prior) = pairs.prior_draws() else { return Ok(None) };
    let d = pairs.parameters();
    let mixture = one_draw_each(pairs, seed);
    let sliced_w2 = sliced_wasserstein2(prior, &mixture, d, PROJECTIONS, seed)?;
    let parameter = |j: usize| {
        let column = |values: &[f64]| values.iter().skip(j).step_by(d).copied().collect::<Vec<f64>>();
        let (a, b) = (column(&mixture), column(prior));
        let [(mean, variance), (prior_mean, prior_variance)] = [&a, &b].map(|v| mean_and_variance(v.iter().copied()));
        AveragedParameter {
            ks_p: uniformity::ks_two_sample_p(&a, &b),
            shift: (mean - prior_mean) / prior_variance.sqrt(),
            sd_ratio: (variance / prior_variance).sqrt(),
        }
    };
    Ok(Some(DataAveraged { parameters: (0..d).map(parameter).collect(), sliced_w2 }))
}

/// C2ST between the data-averaged posterior and as many draws of the prior, [`c2st`]'s protocol with one draw per pair; `None` as
/// for [`data_averaged_posterior`]. The expected score is 0.5 for an exact posterior.
///
/// # Errors
/// Fewer than 500 usable pairs or prior draws.
pub fn data_averaged_c2st(pairs: &Pairs<'_>, seed: Seed, simd: Simd, threads: &Threads) -> Result<Option<C2st>, DiagnosticsError> {
    let Some(prior) = pairs.prior_draws() else { return Ok(None) };
    let d = pairs.parameters();
    let n = pairs.len().min(prior.len() / d);
    let mixture = one_draw_each(pairs, seed);
    c2st(&prior[..n * d], &mixture[..n * d], d, seed.derive("diagnostics.averaged.c2st", 0), simd, threads).map(Some)
}

/// A random draw of each pair (n, d): independent draws of the mixture whatever the order of the draws.
pub(super) fn one_draw_each(pairs: &Pairs<'_>, seed: Seed) -> Vec<f64> {
    let d = pairs.parameters();
    let draw = |i: usize| {
        let chosen = seed.stream("diagnostics.averaged.draw", pairs.row(i) as u64).below(pairs.draws());
        &pairs.samples(i)[chosen * d..][..d]
    };
    (0..pairs.len()).flat_map(draw).copied().collect()
}

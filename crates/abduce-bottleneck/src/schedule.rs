//! Which widths a training step sees.

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

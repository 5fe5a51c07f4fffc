//! What is drawn and scored for test pairs, in blocks that know nothing of each other: where a block is measured makes no difference.

use super::draw::{Drawing, Draws, K_HAT, Quality, Wish, draw};
use crate::config::DrawsConfig;
use crate::error::Error;
use crate::session::Session;
use abduce_data::{Array, Seed};
use abduce_inference::posterior::Posterior;
use std::ops::Range;

/// Test pairs of a block. Chains of so many observations run together.
pub const BLOCK: usize = 64;

/// Draws per pair whose density is computed where that takes an integral: a rank among them is known to 1 %, far below what some hundred pairs tell.
const INTEGRATED_DRAWS: usize = 100;

/// Draws and scores of some test pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// θ (pairs, draws, d).
    pub samples: Vec<f32>,
    /// Normalised log-density of the first draws of each pair: of all, or of a hundred where each takes an integral.
    pub log_prob_samples: Vec<f64>,
    /// That of each pair's θ.
    pub log_prob_theta: Vec<f64>,
    /// What is known about the draws.
    pub quality: Quality,
    /// Pairs whose posterior's normalisation is uncertain.
    pub doubtful: usize,
}

impl Default for Measured {
    fn default() -> Self {
        let (samples, log_prob_samples, log_prob_theta) = (Vec::new(), Vec::new(), Vec::new());
        Self { samples, log_prob_samples, log_prob_theta, quality: Quality::Exact([]), doubtful: 0 }
    }
}

impl Measured {
    /// The pairs of `other` behind these.
    pub fn append(&mut self, other: Self) {
        self.samples.extend(other.samples);
        self.log_prob_samples.extend(other.log_prob_samples);
        self.log_prob_theta.extend(other.log_prob_theta);
        self.quality.append(other.quality);
        self.doubtful += other.doubtful;
    }
}

/// Numbers of blocks that hold `pairs` pairs.
pub fn blocks(pairs: usize) -> Range<usize> {
    0..pairs.div_ceil(BLOCK)
}

/// How many of `draws` draws are scored.
pub fn scored_draws(posterior: &Posterior, draws: usize) -> usize {
    if posterior.integrates_densities() { draws.min(INTEGRATED_DRAWS) } else { draws }
}

/// Measures one block of the pairs in the rows of `theta` and `x`.
///
/// # Errors
/// A sampler that can't deliver, or observations that don't fit.
pub fn measure(
    session: &Session,
    posterior: &Posterior,
    (theta, x): (&Array, &Array),
    config: &DrawsConfig,
    block: usize,
    seed: Seed,
) -> Result<Measured, Error> {
    let rows = block * BLOCK..theta.rows().min((block + 1) * BLOCK);
    let (theta, x) = (theta.select_rows(rows.clone()), x.select_rows(rows));
    let (compute, draws) = (&session.compute, config.num_samples);
    let drawing = Drawing::choose(session, posterior, config.sample_method, &config.sample_params, Wish::Written)?;
    let Draws { samples, quality } = draw(session, posterior, &x, 1, draws, &drawing, seed.derive("validate", block as u64))?;
    let scored = scored_draws(posterior, draws);
    let d = posterior.dimension();
    let first: Vec<f32> = samples.data().chunks_exact(draws * d).flat_map(|own| own[..scored * d].iter().copied()).collect();
    let mut measured = Measured {
        log_prob_samples: posterior.log_prob(compute, &first, x.data(), |row| row / scored)?,
        log_prob_theta: posterior.log_prob(compute, theta.data(), x.data(), |row| row)?,
        quality,
        ..Measured::default()
    };
    if !posterior.is_normalised() {
        let evidence = posterior.log_evidence(compute, x.data(), 1, samples.data(), seed.derive("evidence", block as u64))?;
        measured.log_prob_theta.iter_mut().zip(&evidence).for_each(|(log_prob, evidence)| *log_prob -= evidence.log_evidence);
        let of_samples = measured.log_prob_samples.chunks_exact_mut(scored).zip(&evidence);
        of_samples.for_each(|(all, evidence)| all.iter_mut().for_each(|log_prob| *log_prob -= evidence.log_evidence));
        measured.doubtful = evidence.iter().filter(|evidence| evidence.k_hat > K_HAT).count();
    }
    measured.samples = samples.data().to_vec();
    Ok(measured)
}

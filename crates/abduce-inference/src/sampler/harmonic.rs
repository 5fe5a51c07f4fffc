//! The evidence from posterior draws alone: the learnt harmonic mean.

use super::error::{SamplerError, require};
use super::flows::FlowFitError;
use super::gaussian::Gaussians;
use super::importance::judge;
use abduce_data::Seed;
use abduce_density::{DensitySpec, SplineSpec, VariationalFlow};
use abduce_kernels::{Simd, Threads};
use abduce_nn::adam::{Adam, AdamConfig};

/// Options of [`harmonic_evidence`].
#[derive(Clone, Debug, PartialEq)]
pub struct HarmonicOptions {
    /// The flow that learns where the posterior is (nsf, 2 transforms).
    pub density: DensitySpec,
    /// Variance of the flow's base in place of 1, between 0 and 1 (0.8): the learnt density then lies inside the posterior.
    pub temperature: f64,
    /// Steps of maximum likelihood (600).
    pub steps: usize,
    /// Draws per step (256).
    pub batch: usize,
    /// Learning rate of Adam (3e-3), falling to zero along half a cosine.
    pub learning_rate: f64,
}

impl Default for HarmonicOptions {
    fn default() -> Self {
        let spline = SplineSpec { bins: 8, bound: 4.0 };
        let density = DensitySpec::Nsf { transforms: 2, hidden: 32, blocks: 1, spline };
        Self { density, temperature: 0.8, steps: 600, batch: 256, learning_rate: 3e-3 }
    }
}

/// An evidence by the learnt harmonic mean.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct HarmonicEvidence {
    /// ln ∫ π in nats.
    pub log_evidence: f64,
    /// Its standard error by means over blocks of successive draws, which sees the correlations of chains.
    pub log_evidence_error: f64,
    /// Shape of the tail of φ/π (see [`super::pareto_smooth`]): above 0.5 the variance, and with it the error, means nothing.
    pub k_hat: f64,
    /// Draws that the mean was taken over; as many others trained φ.
    pub draws: usize,
}

/// Blocks that the error is estimated from.
const BLOCKS: usize = 25;

/// ln ∫ π dx from draws x_i of π/∫π (n, d) and ln π(x_i): 1/∫π is the mean of φ(x_i)/π(x_i) for any normalised density φ (Gelfand & Dey 1994, J. R. Stat. Soc.
/// B 56, 501).
///
/// φ is a flow trained on the first half of the draws with its base narrowed by the temperature, which keeps φ/π bounded; the second half gives the
/// mean (McEwen et al. 2021, arXiv:2111.12720; with flows Polanska et al. 2024, arXiv:2405.05969). Draws of several chains should alternate, so that each half holds all
/// chains. The space is ℝ^d: bounded parameters go to the unconstrained scale first.
///
/// # Errors
/// Arrays that don't fit, options out of range, fewer than 200 draws, draws in a plane, or log-densities that are not finite.
pub fn harmonic_evidence(
    draws: &[f64],
    log_density: &[f64],
    options: &HarmonicOptions,
    simd: Simd,
    seed: Seed,
) -> Result<HarmonicEvidence, FlowFitError> {
    let n = log_density.len();
    require(n >= 200, "draws", n as f64, "at least 200")?;
    require(options.temperature > 0.0 && options.temperature <= 1.0, "temperature", options.temperature, "above 0 and at most 1")?;
    require(options.batch > 0, "batch", options.batch as f64, "at least 1")?;
    if draws.is_empty() || !draws.len().is_multiple_of(n) {
        return Err(SamplerError::Shape { what: "draws (n, d)", found: draws.len(), expected: n }.into());
    }
    if let Some(at) = log_density.iter().position(|v| !v.is_finite()) {
        return Err(SamplerError::Start { target: 0, chain: at, log_density: log_density[at], bad: 1, total: n }.into());
    }
    let d = draws.len() / n;
    let half = n / 2;
    let mut place = Gaussians::diagonal(d, &vec![0.0; d], &vec![1.0; d])?;
    place.set_moments(0, &draws[..half * d], &vec![1.0 / half as f64; half]).map_err(|_| SamplerError::Optimiser {
        target: 0,
        what: "the draws lie in a plane",
        steps: 0,
    })?;
    let mut whitened = draws.to_vec();
    whitened.chunks_exact_mut(d).for_each(|row| place.take_back(0, row));
    let whitened: Vec<f32> = whitened.into_iter().map(|v| v as f32).collect();

    let flow = VariationalFlow::new(&options.density, d)?;
    let mut params = flow.layout().initialise(seed.derive("sampler.harmonic", 0));
    let mut adam = Adam::new(AdamConfig::default(), params.len());
    let mut work = flow.work(simd);
    let mut rng = seed.stream("sampler.harmonic", 1);
    let (mut rows, mut log_q) = (vec![0.0f32; options.batch * d], vec![0.0f32; options.batch.max(n - half)]);
    let weights = vec![1.0 / options.batch as f32; options.batch];
    for step in 0..options.steps {
        for row in rows.chunks_exact_mut(d) {
            let at = rng.below(half) * d;
            row.copy_from_slice(&whitened[at..at + d]);
        }
        let norm = work.likelihood_gradient(&params, &rows, &weights, &mut log_q[..options.batch]);
        let cosine = 0.5 * (1.0 + libm::cos(std::f64::consts::PI * step as f64 / options.steps as f64));
        if norm.is_finite() {
            adam.step(simd, &Threads::single(), (options.learning_rate * cosine) as f32, &mut params, work.gradient(), norm);
        }
    }

    let log_phi = &mut log_q[..n - half];
    work.cooled_log_prob(&params, &whitened[half * d..], options.temperature, log_phi);
    let log_det = place.log_det(0);
    let log_ratio: Vec<f64> = log_phi.iter().zip(&log_density[half..]).map(|(phi, pi)| f64::from(*phi) - log_det - pi).collect();
    let top = log_ratio.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let means: Vec<f64> = (0..BLOCKS)
        .map(|b| {
            let own = &log_ratio[b * log_ratio.len() / BLOCKS..(b + 1) * log_ratio.len() / BLOCKS];
            own.iter().map(|r| libm::exp(r - top)).sum::<f64>() / own.len() as f64
        })
        .collect();
    let mean = log_ratio.iter().map(|r| libm::exp(r - top)).sum::<f64>() / log_ratio.len() as f64;
    let centre = means.iter().sum::<f64>() / BLOCKS as f64;
    let variance = means.iter().map(|m| (m - centre).powi(2)).sum::<f64>() / (BLOCKS - 1) as f64;
    let mut tail = log_ratio;
    let k_hat = judge(&mut tail, 0).map_or(f64::INFINITY, |report| report.k_hat);
    Ok(HarmonicEvidence {
        log_evidence: -(top + libm::log(mean)),
        log_evidence_error: (variance / BLOCKS as f64).sqrt() / mean,
        k_hat,
        draws: n - half,
    })
}

//! Adam on the flat parameter vector, with clipping by the global norm.

use abduce_kernels::optimiser::AdamStep;
use abduce_kernels::{Simd, Threads};
use serde::{Deserialize, Serialize};

/// Constants of Adam (Kingma and Ba 2014, arXiv:1412.6980) with decoupled weight decay and clipping.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamConfig {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled weight decay, as a multiple of the learning rate.
    pub weight_decay: f32,
    /// Gradients with a larger Euclidean norm are scaled down to it; infinite: never.
    pub clip_max_norm: f32,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, clip_max_norm: 5.0 }
    }
}

/// The optimiser's state: two moments per parameter and the number of steps taken.
#[derive(Clone, Debug)]
pub struct Adam {
    config: AdamConfig,
    m: Vec<f32>,
    v: Vec<f32>,
    steps: u64,
}

/// Parameters per work item: reduction and update are spread over threads in ranges of this fixed length.
pub(crate) const RANGE: usize = 8192;

impl Adam {
    /// Fresh moments for `parameters` parameters.
    pub fn new(config: AdamConfig, parameters: usize) -> Self {
        Self { config, m: vec![0.0; parameters], v: vec![0.0; parameters], steps: 0 }
    }

    /// Continues from saved moments.
    pub const fn resume(config: AdamConfig, m: Vec<f32>, v: Vec<f32>, steps: u64) -> Self {
        Self { config, m, v, steps }
    }

    /// Goes back to earlier moments.
    ///
    /// # Panics
    /// If their number is another one.
    pub fn restore(&mut self, m: &[f32], v: &[f32], steps: u64) {
        self.m.copy_from_slice(m);
        self.v.copy_from_slice(v);
        self.steps = steps;
    }

    /// First moments, second moments, steps taken.
    pub fn state(&self) -> (&[f32], &[f32], u64) {
        (&self.m, &self.v, self.steps)
    }

    /// One step along `gradient`, whose Euclidean norm is `norm`.
    pub fn step(&mut self, simd: Simd, threads: &Threads, learning_rate: f32, params: &mut [f32], gradient: &[f32], norm: f64) {
        self.steps += 1;
        let c = &self.config;
        // The powers in f64: 0.999ᵗ in f32 drifts over 10⁵ steps.
        let correction = |beta: f32| (1.0 / (1.0 - f64::from(beta).powf(self.steps as f64))) as f32;
        let clip = f64::from(c.clip_max_norm);
        let step = AdamStep {
            learning_rate,
            beta1: c.beta1,
            beta2: c.beta2,
            epsilon: c.epsilon,
            correction1: correction(c.beta1),
            correction2: correction(c.beta2),
            // The small constant is torch's, so that clipped runs compare.
            gradient_scale: if norm > clip { (clip / (norm + 1e-6)) as f32 } else { 1.0 },
            weight_decay: c.weight_decay,
        };
        if params.len() <= 2 * RANGE {
            simd.adam(&step, params, gradient, &mut self.m, &mut self.v);
            return;
        }
        let mut ranges: Vec<_> = params
            .chunks_mut(RANGE)
            .zip(gradient.chunks(RANGE))
            .zip(self.m.chunks_mut(RANGE).zip(self.v.chunks_mut(RANGE)))
            .map(|((p, g), (m, v))| (p, g, m, v))
            .collect();
        threads.for_each(&mut ranges, |_, (p, g, m, v)| simd.adam(&step, p, g, m, v));
    }
}

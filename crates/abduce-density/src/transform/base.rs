//! Distributions of the noise.

use abduce_kernels::elementwise::Update;
use abduce_nn::layer::{Backward, Forward, Layer, pass_on};

/// (z, ladj₁, ladj₂, …) → log q = Σᵢ [-½ zᵢ² - ½ ln 2π] + Σ ladj: a standard normal seen through bijections.
#[derive(Clone, Copy, Debug)]
pub struct NormalBase;

impl Layer for NormalBase {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert!(inputs[1..].iter().all(|&f| f == 1));
        vec![1]
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (inputs, lanes, log_q) = (at.inputs, at.lanes, &mut at.outputs[0]);
        let z = inputs.get(0);
        let features = (z.len() / lanes) as f32;
        at.simd.vectorise(
            #[inline(always)]
            || {
                log_q.fill(-0.5 * features * (std::f32::consts::TAU).ln());
                for row in z.chunks_exact(lanes) {
                    log_q.iter_mut().zip(row).for_each(|(l, z)| *l -= 0.5 * z * z);
                }
                for k in 1..inputs.len() {
                    log_q.iter_mut().zip(inputs.get(k)).for_each(|(l, a)| *l += a);
                }
            },
        );
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (z, lanes, grad) = (at.inputs.get(0), at.lanes, at.grad_outputs.get(0));
        let (first, rest) = at.grad_inputs.split_at_mut(1);
        if let Some(slot) = &mut first[0] {
            if slot.update == Update::Overwrite {
                slot.data.fill(0.0);
            }
            at.simd.vectorise(
                #[inline(always)]
                || {
                    for (out, row) in slot.data.chunks_exact_mut(lanes).zip(z.chunks_exact(lanes)) {
                        for l in 0..lanes {
                            out[l] -= row[l] * grad[l];
                        }
                    }
                },
            );
        }
        for slot in rest.iter_mut().flatten() {
            pass_on(at.simd, grad, &mut slot.data, slot.update);
        }
    }
}

/// (ladj₁, ladj₂, …) → log q = -D ln 2π + Σ ladj: D independent uniform angles seen through bijections of the circle.
#[derive(Clone, Copy, Debug)]
pub struct UniformAngles {
    /// Number of angles D.
    pub features: usize,
}

impl Layer for UniformAngles {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert!(inputs.iter().all(|&f| f == 1));
        vec![1]
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let log_q = &mut at.outputs[0];
        log_q.fill(-(self.features as f32) * std::f32::consts::TAU.ln());
        for k in 0..at.inputs.len() {
            pass_on(at.simd, at.inputs.get(k), log_q, Update::Accumulate);
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        for slot in at.grad_inputs.iter_mut().flatten() {
            pass_on(at.simd, at.grad_outputs.get(0), &mut slot.data, slot.update);
        }
    }
}

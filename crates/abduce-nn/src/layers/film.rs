//! Modulation of features by a context.

use crate::layer::{Backward, Forward, Layer};
use abduce_kernels::elementwise::Update;

/// y_k = x_k (1 + s_k) + b_k, where the second input holds the scales s and then the shifts b (Perez et al. 2017, arXiv:1709.07871).
/// With a second input of zeros it is the identity.
#[derive(Clone, Copy, Debug)]
pub struct Film;

impl Layer for Film {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert_eq!(inputs[1], 2 * inputs[0]);
        vec![inputs[0]]
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (x, (scale, shift)) = (at.inputs.get(0), at.inputs.get(1).split_at(at.inputs.get(0).len()));
        let y = &mut at.outputs[0];
        at.simd.vectorise(
            #[inline(always)]
            || {
                for (((y, x), s), b) in y.iter_mut().zip(x).zip(scale).zip(shift) {
                    *y = x * (1.0 + s) + b;
                }
            },
        );
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (x, grad_y) = (at.inputs.get(0), at.grad_outputs.get(0));
        let scale = &at.inputs.get(1)[..x.len()];
        if let Some(slot) = &mut at.grad_inputs[0] {
            at.simd.vectorise(
                #[inline(always)]
                || write(&mut slot.data, slot.update, |i| grad_y[i] * (1.0 + scale[i])),
            );
        }
        if let Some(slot) = &mut at.grad_inputs[1] {
            let (by_scale, by_shift) = slot.data.split_at_mut(x.len());
            at.simd.vectorise(
                #[inline(always)]
                || {
                    write(by_scale, slot.update, |i| grad_y[i] * x[i]);
                    write(by_shift, slot.update, |i| grad_y[i]);
                },
            );
        }
    }
}

#[inline(always)]
fn write(out: &mut [f32], update: Update, value: impl Fn(usize) -> f32) {
    match update {
        Update::Overwrite => out.iter_mut().enumerate().for_each(|(i, o)| *o = value(i)),
        Update::Accumulate => out.iter_mut().enumerate().for_each(|(i, o)| *o += value(i)),
    }
}

//! Angles as networks should see them.

use abduce_kernels::elementwise::Update;
use abduce_nn::layer::{Backward, Forward, Layer};

/// D angles → their D cosines, then their D sines: functions of these are continuous on the circle.
#[derive(Clone, Copy, Debug)]
pub struct CosSin;

impl Layer for CosSin {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        vec![2 * inputs[0]]
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let x = at.inputs.get(0);
        let (cos, sin) = at.outputs[0].split_at_mut(x.len());
        at.simd.cos_sin(x, cos, sin);
    }

    /// d cos = -sin dx, d sin = cos dx.
    fn backward(&self, at: &mut Backward<'_>) {
        let (cos, sin) = at.outputs.get(0).split_at(at.inputs.get(0).len());
        let (by_cos, by_sin) = at.grad_outputs.get(0).split_at(cos.len());
        if let Some(slot) = &mut at.grad_inputs[0] {
            if slot.update == Update::Overwrite {
                slot.data.fill(0.0);
            }
            at.simd.vectorise(
                #[inline(always)]
                || {
                    for (l, out) in slot.data.iter_mut().enumerate() {
                        *out += cos[l] * by_sin[l] - sin[l] * by_cos[l];
                    }
                },
            );
        }
    }
}

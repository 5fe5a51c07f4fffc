//! The loss of one row as a layer.

use abduce_kernels::elementwise::Update;
use abduce_nn::Layer;
use abduce_nn::layer::{Backward, Forward, GradientSlot};

/// -(w ‖F - F*‖² + b - κ·F₀) for each row.
///
/// Inputs: F (d), F* (d), coefficients (2: w and b); with a control variate also F₀ (d), the field at the noise-free state, and κ (d).
/// Without one there are three inputs and b is still added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldLoss;

impl Layer for FieldLoss {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert!((inputs.len() == 3 || inputs.len() == 5) && inputs[0] == inputs[1] && inputs[2] == 2);
        vec![1]
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (field, target, coefficients, lanes) = (at.inputs.get(0), at.inputs.get(1), at.inputs.get(2), at.lanes);
        let control = (at.inputs.len() == 5).then(|| (at.inputs.get(3), at.inputs.get(4)));
        let (weight, offset) = coefficients.split_at(lanes);
        let out = &mut at.outputs[0];
        at.simd.vectorise(
            #[inline(always)]
            || {
                out.fill(0.0);
                for (f, t) in field.chunks_exact(lanes).zip(target.chunks_exact(lanes)) {
                    for l in 0..lanes {
                        out[l] -= (f[l] - t[l]) * (f[l] - t[l]);
                    }
                }
                for l in 0..lanes {
                    out[l] = weight[l] * out[l] - offset[l];
                }
                if let Some((clean, kappa)) = control {
                    for (f, k) in clean.chunks_exact(lanes).zip(kappa.chunks_exact(lanes)) {
                        for l in 0..lanes {
                            out[l] += f[l] * k[l];
                        }
                    }
                }
            },
        );
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (field, target, lanes) = (at.inputs.get(0), at.inputs.get(1), at.lanes);
        let (weight, grad) = (&at.inputs.get(2)[..lanes], at.grad_outputs.get(0));
        let residual = |i: usize| 2.0 * weight[i % lanes] * (field[i] - target[i]) * grad[i % lanes];
        write(&mut at.grad_inputs[0], |i| -residual(i));
        write(&mut at.grad_inputs[1], residual);
        write(&mut at.grad_inputs[2], |i| {
            let square = |l: usize| (l..field.len()).step_by(lanes).map(|i| (field[i] - target[i]).powi(2)).sum::<f32>();
            if i < lanes { -square(i) * grad[i] } else { -grad[i - lanes] }
        });
        if at.inputs.len() == 5 {
            let (clean, kappa) = (at.inputs.get(3), at.inputs.get(4));
            write(&mut at.grad_inputs[3], |i| kappa[i] * grad[i % lanes]);
            write(&mut at.grad_inputs[4], |i| clean[i] * grad[i % lanes]);
        }
    }
}

fn write(slot: &mut Option<GradientSlot>, value: impl Fn(usize) -> f32) {
    if let Some(slot) = slot {
        for (i, out) in slot.data.iter_mut().enumerate() {
            *out = value(i) + if slot.update == Update::Accumulate { *out } else { 0.0 };
        }
    }
}

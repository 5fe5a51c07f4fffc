//! Where a branch joins its trunk.

use crate::layer::{Backward, Form, Forward, Layer, pass_on, same_form};
use abduce_kernels::elementwise::Update;

/// y = a + b.
#[derive(Clone, Copy, Debug)]
pub struct Add;

impl Layer for Add {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert_eq!(inputs[0], inputs[1]);
        vec![inputs[0]]
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        same_form(inputs)
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (a, b) = (at.inputs.get(0), at.inputs.get(1));
        at.outputs[0].copy_from_slice(a);
        pass_on(at.simd, b, &mut at.outputs[0], Update::Accumulate);
    }

    fn backward(&self, at: &mut Backward<'_>) {
        for slot in at.grad_inputs.iter_mut().flatten() {
            pass_on(at.simd, at.grad_outputs.get(0), &mut slot.data, slot.update);
        }
    }
}

/// y = h + t σ(g): the gated linear unit that lets the context scale a residual branch.
#[derive(Clone, Copy, Debug)]
pub struct GatedAdd;

impl Layer for GatedAdd {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert!(inputs.len() == 3 && inputs.iter().all(|&f| f == inputs[0]));
        vec![inputs[0]]
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        same_form(inputs)
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (h, t, g) = (at.inputs.get(0), at.inputs.get(1), at.inputs.get(2));
        at.simd.gated_add(h, t, g, &mut at.outputs[0]);
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (t, g, grad_y) = (at.inputs.get(1), at.inputs.get(2), at.grad_outputs.get(0));
        if let [h_slot, Some(t_slot), Some(g_slot)] = at.grad_inputs {
            debug_assert!(
                t_slot.update == Update::Overwrite && g_slot.update == Update::Overwrite,
                "branch and gate feed this layer alone"
            );
            at.simd.gated_add_backward(t, g, grad_y, &mut t_slot.data, &mut g_slot.data);
            if let Some(slot) = h_slot {
                pass_on(at.simd, grad_y, &mut slot.data, slot.update);
            }
        }
    }
}

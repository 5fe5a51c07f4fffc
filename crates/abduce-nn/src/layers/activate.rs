//! Element-wise activation functions.

use crate::layer::{Backward, Form, Forward, Layer, same_form};
use abduce_kernels::elementwise::Activation;

/// y = f(x) for every element.
#[derive(Clone, Copy, Debug)]
pub struct Activate(pub Activation);

impl Layer for Activate {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        vec![inputs[0]]
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        same_form(inputs)
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        at.simd.activate(self.0, at.inputs.get(0), &mut at.outputs[0]);
    }

    fn backward(&self, at: &mut Backward<'_>) {
        if let Some(grad_x) = &mut at.grad_inputs[0] {
            at.simd.activate_backward(self.0, at.inputs.get(0), at.grad_outputs.get(0), &mut grad_x.data, grad_x.update);
        }
    }
}

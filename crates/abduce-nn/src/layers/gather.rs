//! A choice of features.

use crate::layer::{Backward, Forward, Layer};
use abduce_kernels::elementwise::Update;

/// Output feature k is input feature `features[k]`: a permutation, a selection, or with repeats.
#[derive(Clone, Debug)]
pub struct Gather {
    /// Indices into the input's features.
    pub features: Vec<usize>,
}

impl Layer for Gather {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert!(self.features.iter().all(|&f| f < inputs[0]));
        vec![self.features.len()]
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (x, lanes) = (at.inputs.get(0), at.lanes);
        for (row, &f) in at.outputs[0].chunks_exact_mut(lanes).zip(&self.features) {
            row.copy_from_slice(&x[f * lanes..(f + 1) * lanes]);
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (grad_y, lanes) = (at.grad_outputs.get(0), at.lanes);
        if let Some(grad_x) = &mut at.grad_inputs[0] {
            if grad_x.update == Update::Overwrite {
                grad_x.data.fill(0.0);
            }
            for (row, &f) in grad_y.chunks_exact(lanes).zip(&self.features) {
                grad_x.data[f * lanes..(f + 1) * lanes].iter_mut().zip(row).for_each(|(d, s)| *d += s);
            }
        }
    }
}

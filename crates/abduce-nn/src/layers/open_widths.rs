//! The mask of an information-ordered bottleneck.

use crate::layer::{Backward, Forward, Layer};
use abduce_kernels::elementwise::Update;

/// What is appended to a masked code.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Nothing: whoever reads the code can't tell a closed latent from one that is zero.
    Nothing,
    /// One more feature, the width divided by this number: for likelihoods, whose spread has to follow the width.
    WidthOver(f32),
}

/// b_k(z)_j = z_j for j ≤ k and 0 behind, with a width k per lane (Ho, Zhao and Wandelt 2023, arXiv:2305.11213): of a code ordered by what it
/// tells, the first k latents. Inputs: z (K, lanes) and k (1, lanes), whole numbers in 0..=K; output: (K, lanes), or (K + 1, lanes) with the
/// width told. The gradient by z_j is that of b_k(z)_j where j ≤ k and 0 elsewhere; k has none.
#[derive(Clone, Copy, Debug)]
pub struct OpenWidths {
    /// What is appended.
    pub told: Told,
}

impl Layer for OpenWidths {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert_eq!(inputs[1], 1);
        vec![inputs[0] + usize::from(self.told != Told::Nothing)]
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (z, k, lanes) = (at.inputs.get(0), at.inputs.get(1), at.lanes);
        let (masked, told) = at.outputs[0].split_at_mut(z.len());
        at.simd.vectorise(
            #[inline(always)]
            || {
                for (j, (out, z)) in masked.chunks_exact_mut(lanes).zip(z.chunks_exact(lanes)).enumerate() {
                    let first = j as f32;
                    for ((out, &z), &k) in out.iter_mut().zip(z).zip(k) {
                        *out = if first < k { z } else { 0.0 };
                    }
                }
            },
        );
        if let Told::WidthOver(unit) = self.told {
            told.iter_mut().zip(k).for_each(|(out, &k)| *out = k / unit);
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (k, grad, lanes) = (at.inputs.get(1), at.grad_outputs.get(0), at.lanes);
        if let Some(slot) = &mut at.grad_inputs[0] {
            let accumulate = slot.update == Update::Accumulate;
            at.simd.vectorise(
                #[inline(always)]
                || {
                    for (j, (out, grad)) in slot.data.chunks_exact_mut(lanes).zip(grad.chunks_exact(lanes)).enumerate() {
                        let first = j as f32;
                        for ((out, &grad), &k) in out.iter_mut().zip(grad).zip(k) {
                            let passed = if first < k { grad } else { 0.0 };
                            *out = if accumulate { *out + passed } else { passed };
                        }
                    }
                },
            );
        }
        if let Some(slot) = &mut at.grad_inputs[1]
            && slot.update == Update::Overwrite
        {
            slot.data.fill(0.0);
        }
    }
}

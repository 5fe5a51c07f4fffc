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
/// tells, the first k latents.
///
/// Inputs: z (K, lanes); where `fixed` > 0 a value x whose first `fixed` features stand before the code and are never closed; k (1, lanes), whole
/// numbers in 0..=K, without which all is open. Output: x₁..x_fixed, b_k(z), and the told width. The gradient by z_j is that of b_k(z)_j where j ≤ k
/// and 0 elsewhere; k has none.
#[derive(Clone, Copy, Debug)]
pub struct OpenWidths {
    /// Features of the second input that stand before the code.
    pub fixed: usize,
    /// What is appended.
    pub told: Told,
}

impl OpenWidths {
    /// Which input holds the widths.
    fn width_input(&self) -> usize {
        1 + usize::from(self.fixed > 0)
    }
}

impl Layer for OpenWidths {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert!(self.fixed == 0 || inputs[1] >= self.fixed);
        debug_assert!(inputs.get(self.width_input()).is_none_or(|&features| features == 1));
        vec![self.fixed + inputs[0] + usize::from(self.told != Told::Nothing)]
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (z, lanes) = (at.inputs.get(0), at.lanes);
        let k = (at.inputs.len() > self.width_input()).then(|| at.inputs.get(self.width_input()));
        let (fixed, rest) = at.outputs[0].split_at_mut(self.fixed * lanes);
        if self.fixed > 0 {
            fixed.copy_from_slice(&at.inputs.get(1)[..self.fixed * lanes]);
        }
        let (open, told) = rest.split_at_mut(z.len());
        match k {
            None => open.copy_from_slice(z),
            Some(k) => at.simd.vectorise(
                #[inline(always)]
                || {
                    for (j, (out, z)) in open.chunks_exact_mut(lanes).zip(z.chunks_exact(lanes)).enumerate() {
                        let first = j as f32;
                        for ((out, &z), &k) in out.iter_mut().zip(z).zip(k) {
                            *out = if first < k { z } else { 0.0 };
                        }
                    }
                },
            ),
        }
        if let Told::WidthOver(unit) = self.told {
            match k {
                None => told.fill((z.len() / lanes) as f32 / unit),
                Some(k) => told.iter_mut().zip(k).for_each(|(out, &k)| *out = k / unit),
            }
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (lanes, width_input) = (at.lanes, self.width_input());
        let k = (at.inputs.len() > width_input).then(|| at.inputs.get(width_input));
        let (by_fixed, by_open) = at.grad_outputs.get(0).split_at(self.fixed * lanes);
        if let Some(slot) = &mut at.grad_inputs[0] {
            let accumulate = slot.update == Update::Accumulate;
            at.simd.vectorise(
                #[inline(always)]
                || {
                    for (j, (out, grad)) in slot.data.chunks_exact_mut(lanes).zip(by_open.chunks_exact(lanes)).enumerate() {
                        let first = j as f32;
                        for (l, (out, &grad)) in out.iter_mut().zip(grad).enumerate() {
                            let passed = if k.is_none_or(|k| first < k[l]) { grad } else { 0.0 };
                            *out = if accumulate { *out + passed } else { passed };
                        }
                    }
                },
            );
        }
        for (input, slot) in at.grad_inputs.iter_mut().enumerate().skip(1) {
            let Some(slot) = slot else { continue };
            if slot.update == Update::Overwrite {
                slot.data.fill(0.0);
            }
            if input < width_input {
                slot.data.iter_mut().zip(by_fixed).for_each(|(to, grad)| *to += grad);
            }
        }
    }
}

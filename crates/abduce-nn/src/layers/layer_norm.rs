//! Normalisation over the features of each row.

use crate::graph::{GraphBuilder, Value};
use crate::layer::{Backward, Forward, Layer};
use crate::params::Init;
use abduce_kernels::LANES;
use abduce_kernels::elementwise::Update;
use std::ops::Range;

/// Added to the variance, as usual: a constant row stays finite.
const EPSILON: f32 = 1e-5;

/// y_k = γ_k (x_k - mean)/√(variance + 1e-5) + β_k with mean and variance over the features of one row (Ba et al. 2016,
/// arXiv:1607.06450); without γ and β where a [`Film`](super::Film) follows.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// γ and β.
    affine: Option<(Range<usize>, Range<usize>)>,
}

impl LayerNorm {
    /// Adds `name.gain` (1 at the start) and `name.shift` (0) of the width of x, and the layer.
    pub fn apply(g: &mut GraphBuilder<'_>, name: &str, x: Value) -> Value {
        let width = g.features(x);
        let affine =
            g.scoped(name, |g| (g.parameter("gain", &[width], Init::Constant(1.0)), g.parameter("shift", &[width], Init::Constant(0.0))));
        g.apply(Self { affine: Some(affine) }, &[x])
    }

    /// The normalisation alone.
    pub fn plain(g: &mut GraphBuilder<'_>, x: Value) -> Value {
        g.apply(Self { affine: None }, &[x])
    }
}

impl Layer for LayerNorm {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        vec![inputs[0]]
    }

    /// Mean and 1/standard deviation.
    fn saved_per_lane(&self) -> usize {
        2
    }

    /// A row of products.
    fn scratch_per_lane(&self) -> usize {
        1
    }

    /// One vector of rows after the other, so that its sums stay in registers.
    fn forward(&self, at: &mut Forward<'_>) {
        let (x, params, per) = (blocks(at.inputs.get(0)), at.params, at.lanes / LANES);
        let scale = 1.0 / (x.len() / per) as f32;
        let (mean, inverse) = at.saved[..2 * at.lanes].as_chunks_mut::<LANES>().0.split_at_mut(per);
        let y = at.outputs[0].as_chunks_mut::<LANES>().0;
        at.simd.vectorise(
            #[inline(always)]
            || {
                for b in 0..per {
                    let (mut sum, mut square) = ([0.0f32; LANES], [0.0f32; LANES]);
                    for row in x[b..].iter().step_by(per) {
                        (0..LANES).for_each(|l| sum[l] += row[l]);
                    }
                    (0..LANES).for_each(|l| sum[l] *= scale);
                    for row in x[b..].iter().step_by(per) {
                        (0..LANES).for_each(|l| square[l] += (row[l] - sum[l]) * (row[l] - sum[l]));
                    }
                    (0..LANES).for_each(|l| square[l] = 1.0 / (square[l] * scale + EPSILON).sqrt());
                    (mean[b], inverse[b]) = (sum, square);
                    for (k, (row, out)) in x[b..].iter().step_by(per).zip(y[b..].iter_mut().step_by(per)).enumerate() {
                        let (gain, shift) = self.affine.as_ref().map_or((1.0, 0.0), |(g, s)| (params[g.start + k], params[s.start + k]));
                        (0..LANES).for_each(|l| out[l] = (row[l] - sum[l]) * square[l] * gain + shift);
                    }
                }
            },
        );
    }

    /// With x̂ the normalised row and ĝ_k = γ_k g_k: dx_k = (ĝ_k - mean ĝ - x̂_k mean(ĝ x̂))/σ; dγ_k = Σ_rows g_k x̂_k; dβ_k = Σ_rows g_k.
    fn backward(&self, at: &mut Backward<'_>) {
        let (lanes, params, per) = (at.lanes, at.params, at.lanes / LANES);
        let (x, grad_y) = (blocks(at.inputs.get(0)), blocks(at.grad_outputs.get(0)));
        let scale = 1.0 / (x.len() / per) as f32;
        let (mean, inverse) = blocks(&at.saved[..2 * lanes]).split_at(per);
        if let (Some(grad), Some((gain, shift))) = (at.grad_params.as_deref_mut(), &self.affine) {
            at.simd.add_row_sums(at.grad_outputs.get(0), lanes, &mut grad[shift.clone()]);
            let product = &mut at.scratch[..lanes];
            for (k, (row, g)) in x.chunks_exact(per).zip(grad_y.chunks_exact(per)).enumerate() {
                at.simd.vectorise(
                    #[inline(always)]
                    || {
                        for (b, out) in product.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                            (0..LANES).for_each(|l| out[l] = g[b][l] * (row[b][l] - mean[b][l]) * inverse[b][l]);
                        }
                    },
                );
                at.simd.add_row_sums(product, lanes, &mut grad[gain.start + k..=gain.start + k]);
            }
        }
        let Some(slot) = &mut at.grad_inputs[0] else { return };
        if slot.update == Update::Overwrite {
            slot.data.fill(0.0);
        }
        let grad_x = slot.data.as_chunks_mut::<LANES>().0;
        let gain = |k: usize| self.affine.as_ref().map_or(1.0, |(g, _)| params[g.start + k]);
        at.simd.vectorise(
            #[inline(always)]
            || {
                for b in 0..per {
                    let (mean, inverse) = (mean[b], inverse[b]);
                    let (mut level, mut tilt) = ([0.0f32; LANES], [0.0f32; LANES]);
                    for (k, (row, g)) in x[b..].iter().step_by(per).zip(grad_y[b..].iter().step_by(per)).enumerate() {
                        let gain = gain(k);
                        for l in 0..LANES {
                            let by_normal = gain * g[l];
                            level[l] += by_normal;
                            tilt[l] += by_normal * (row[l] - mean[l]) * inverse[l];
                        }
                    }
                    for l in 0..LANES {
                        level[l] *= scale;
                        tilt[l] *= scale;
                    }
                    for (k, out) in grad_x[b..].iter_mut().step_by(per).enumerate() {
                        let (row, g, gain) = (&x[k * per + b], &grad_y[k * per + b], gain(k));
                        for l in 0..LANES {
                            let normal = (row[l] - mean[l]) * inverse[l];
                            out[l] += inverse[l] * (gain * g[l] - level[l] - normal * tilt[l]);
                        }
                    }
                }
            },
        );
    }
}

/// A value as vectors of rows: that of feature k and block b of rows is at k·(lanes/16) + b.
fn blocks(value: &[f32]) -> &[[f32; LANES]] {
    value.as_chunks::<LANES>().0
}

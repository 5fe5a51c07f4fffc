//! Normalisation over the features of each row.

use crate::graph::{GraphBuilder, Value};
use crate::layer::{Backward, Forward, Layer};
use crate::params::Init;
use abduce_kernels::elementwise::Update;
use std::ops::Range;

/// Added to the variance, as usual: a constant row stays finite.
const EPSILON: f32 = 1e-5;

/// y_k = γ_k (x_k - mean)/√(variance + 1e-5) + β_k with mean and variance over the features of one row (Ba et al. 2016,
/// arXiv:1607.06450); without γ and β where a modulation follows.
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

    /// Two means of the backward pass, one row of products.
    fn scratch_per_lane(&self) -> usize {
        3
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (x, lanes, params) = (at.inputs.get(0), at.lanes, at.params);
        let count = x.len() / lanes;
        let (mean, rest) = at.saved.split_at_mut(lanes);
        let (inverse, y) = (&mut rest[..lanes], &mut at.outputs[0]);
        at.simd.vectorise(
            #[inline(always)]
            || {
                mean.fill(0.0);
                inverse.fill(0.0);
                for row in x.chunks_exact(lanes) {
                    mean.iter_mut().zip(row).for_each(|(m, x)| *m += x);
                }
                let scale = 1.0 / count as f32;
                mean.iter_mut().for_each(|m| *m *= scale);
                for row in x.chunks_exact(lanes) {
                    inverse.iter_mut().zip(row).zip(&*mean).for_each(|((v, x), m)| *v += (x - m) * (x - m));
                }
                inverse.iter_mut().for_each(|v| *v = 1.0 / (*v * scale + EPSILON).sqrt());
                for (k, (row, out)) in x.chunks_exact(lanes).zip(y.chunks_exact_mut(lanes)).enumerate() {
                    let (gain, shift) = self.affine.as_ref().map_or((1.0, 0.0), |(g, s)| (params[g.start + k], params[s.start + k]));
                    for l in 0..lanes {
                        out[l] = (row[l] - mean[l]) * inverse[l] * gain + shift;
                    }
                }
            },
        );
    }

    /// With x̂ the normalised row and ĝ_k = γ_k g_k: dx_k = (ĝ_k - mean ĝ - x̂_k mean(ĝ x̂))/σ; dγ_k = Σ_rows g_k x̂_k; dβ_k = Σ_rows g_k.
    fn backward(&self, at: &mut Backward<'_>) {
        let (x, grad_y, lanes, params) = (at.inputs.get(0), at.grad_outputs.get(0), at.lanes, at.params);
        let scale = 1.0 / (x.len() / lanes) as f32;
        let (mean, inverse) = (&at.saved[..lanes], &at.saved[lanes..2 * lanes]);
        let (level, rest) = at.scratch.split_at_mut(lanes);
        let (tilt, rest) = rest.split_at_mut(lanes);
        let product = &mut rest[..lanes];
        if let (Some(grad), Some((gain, shift))) = (at.grad_params.as_deref_mut(), &self.affine) {
            at.simd.add_row_sums(grad_y, lanes, &mut grad[shift.clone()]);
            for (k, (row, g)) in x.chunks_exact(lanes).zip(grad_y.chunks_exact(lanes)).enumerate() {
                at.simd.vectorise(
                    #[inline(always)]
                    || {
                        for l in 0..lanes {
                            product[l] = g[l] * (row[l] - mean[l]) * inverse[l];
                        }
                    },
                );
                at.simd.add_row_sums(product, lanes, &mut grad[gain.start + k..=gain.start + k]);
            }
        }
        let Some(slot) = &mut at.grad_inputs[0] else { return };
        let gain = |k: usize| self.affine.as_ref().map_or(1.0, |(g, _)| params[g.start + k]);
        at.simd.vectorise(
            #[inline(always)]
            || {
                level.fill(0.0);
                tilt.fill(0.0);
                for (k, (row, g)) in x.chunks_exact(lanes).zip(grad_y.chunks_exact(lanes)).enumerate() {
                    let gain = gain(k);
                    for l in 0..lanes {
                        let by_normal = gain * g[l];
                        level[l] += by_normal;
                        tilt[l] += by_normal * (row[l] - mean[l]) * inverse[l];
                    }
                }
                for l in 0..lanes {
                    level[l] *= scale;
                    tilt[l] *= scale;
                }
                for (k, out) in slot.data.chunks_exact_mut(lanes).enumerate() {
                    let (row, g, gain) = (&x[k * lanes..(k + 1) * lanes], &grad_y[k * lanes..(k + 1) * lanes], gain(k));
                    if slot.update == Update::Overwrite {
                        out.fill(0.0);
                    }
                    for l in 0..lanes {
                        let normal = (row[l] - mean[l]) * inverse[l];
                        out[l] += inverse[l] * (gain * g[l] - level[l] - normal * tilt[l]);
                    }
                }
            },
        );
    }
}

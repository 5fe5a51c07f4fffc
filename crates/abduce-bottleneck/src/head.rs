//! Scores of outputs against targets: one number per row, minus the loss. Inputs: y, then the decoder's output f.

use abduce_kernels::elementwise::{Activation, Update};
use abduce_nn::layer::{Backward, Forward, Layer};

/// -(1/D) Σ_j (y_j - f_j)².
#[derive(Debug)]
pub(crate) struct SquaredError;

/// -(1/D) Σ_j [softplus(f_j) - y_j f_j].
#[derive(Debug)]
pub(crate) struct BinaryEntropy {
    pub(crate) features: usize,
}

/// f_y - ln Σ_c e^{f_c}; y holds the class.
#[derive(Debug)]
pub(crate) struct ClassEntropy {
    pub(crate) classes: usize,
}

/// -½ Σ_j [(y_j - m_j)² e^{-s_j} + s_j + ln 2π]; f holds the means m and then r, with log-variances s = 15 tanh(r/15): between e⁻¹⁵ and e¹⁵, so that a
/// perfect fit does not diverge.
#[derive(Debug)]
pub(crate) struct GaussianScore {
    pub(crate) features: usize,
}

/// Bound of the log-variances.
pub(crate) const LOG_VARIANCE: f32 = 15.0;
const LN_TAU: f32 = 1.837_877_1;

/// Place of the output's gradient; the decoder's output feeds the score alone, so nobody wrote there before.
fn slot<'a>(at: &'a mut Backward<'_>) -> Option<&'a mut Vec<f32>> {
    let slot = at.grad_inputs[1].as_mut()?;
    debug_assert_eq!(slot.update, Update::Overwrite);
    Some(&mut slot.data)
}

impl Layer for SquaredError {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert_eq!(inputs[0], inputs[1]);
        vec![1]
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (y, f, lanes) = (at.inputs.get(0), at.inputs.get(1), at.lanes);
        let scale = -1.0 / (y.len() / lanes) as f32;
        let score = &mut at.outputs[0];
        at.simd.vectorise(
            #[inline(always)]
            || {
                score.fill(0.0);
                for (y, f) in y.chunks_exact(lanes).zip(f.chunks_exact(lanes)) {
                    for ((s, y), f) in score.iter_mut().zip(y).zip(f) {
                        *s += (y - f) * (y - f);
                    }
                }
                score.iter_mut().for_each(|s| *s *= scale);
            },
        );
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (y, f, g, lanes, simd) = (at.inputs.get(0), at.inputs.get(1), at.grad_outputs.get(0), at.lanes, at.simd);
        let scale = 2.0 / (y.len() / lanes) as f32;
        let Some(out) = slot(at) else { return };
        simd.vectorise(
            #[inline(always)]
            || {
                for ((out, y), f) in out.chunks_exact_mut(lanes).zip(y.chunks_exact(lanes)).zip(f.chunks_exact(lanes)) {
                    for (((out, y), f), g) in out.iter_mut().zip(y).zip(f).zip(g) {
                        *out = scale * g * (y - f);
                    }
                }
            },
        );
    }
}

impl Layer for BinaryEntropy {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert_eq!(inputs, [self.features; 2]);
        vec![1]
    }

    fn scratch_per_lane(&self) -> usize {
        self.features
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (y, f, lanes) = (at.inputs.get(0), at.inputs.get(1), at.lanes);
        let soft = &mut at.scratch[..f.len()];
        at.simd.activate(Activation::Softplus, f, soft);
        let scale = -1.0 / self.features as f32;
        let score = &mut at.outputs[0];
        at.simd.vectorise(
            #[inline(always)]
            || {
                score.fill(0.0);
                for ((y, f), soft) in y.chunks_exact(lanes).zip(f.chunks_exact(lanes)).zip(soft.chunks_exact(lanes)) {
                    for (((s, y), f), soft) in score.iter_mut().zip(y).zip(f).zip(soft) {
                        *s += soft - y * f;
                    }
                }
                score.iter_mut().for_each(|s| *s *= scale);
            },
        );
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (y, f, g, lanes, simd) = (at.inputs.get(0), at.inputs.get(1), at.grad_outputs.get(0), at.lanes, at.simd);
        let scale = 1.0 / self.features as f32;
        let Some(out) = slot(at) else { return };
        simd.activate(Activation::Sigmoid, f, out);
        simd.vectorise(
            #[inline(always)]
            || {
                for (out, y) in out.chunks_exact_mut(lanes).zip(y.chunks_exact(lanes)) {
                    for ((out, y), g) in out.iter_mut().zip(y).zip(g) {
                        *out = scale * g * (y - *out);
                    }
                }
            },
        );
    }
}

impl ClassEntropy {
    /// e^{f - max} into `p`, the sum and the maximum per lane into the two rows behind it.
    fn soften(&self, simd: abduce_kernels::Simd, f: &[f32], lanes: usize, scratch: &mut [f32]) {
        let (p, rest) = scratch.split_at_mut(self.classes * lanes);
        let (sum, top) = rest.split_at_mut(lanes);
        let top = &mut top[..lanes];
        top.copy_from_slice(&f[..lanes]);
        for row in f.chunks_exact(lanes) {
            top.iter_mut().zip(row).for_each(|(t, v)| *t = t.max(*v));
        }
        for (p, row) in p.chunks_exact_mut(lanes).zip(f.chunks_exact(lanes)) {
            p.iter_mut().zip(row).zip(&*top).for_each(|((p, v), t)| *p = v - t);
        }
        // In place: the kernel reads an element before it writes it, but takes two slices, so row by row through the sum's room.
        for p in p.chunks_exact_mut(lanes) {
            simd.exp(p, sum);
            p.copy_from_slice(sum);
        }
        sum.fill(0.0);
        for p in p.chunks_exact(lanes) {
            sum.iter_mut().zip(p).for_each(|(s, p)| *s += p);
        }
    }

    /// The class of a lane; a target beyond the classes was refused when the data were checked.
    fn class(&self, y: f32) -> usize {
        (y as usize).min(self.classes - 1)
    }
}

impl Layer for ClassEntropy {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert_eq!(inputs, [1, self.classes]);
        vec![1]
    }

    fn scratch_per_lane(&self) -> usize {
        self.classes + 2
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (y, f, lanes) = (at.inputs.get(0), at.inputs.get(1), at.lanes);
        self.soften(at.simd, f, lanes, at.scratch);
        let (sum, top) = (&at.scratch[self.classes * lanes..][..lanes], &at.scratch[(self.classes + 1) * lanes..][..lanes]);
        at.simd.ln(sum, &mut at.outputs[0]);
        for (l, score) in at.outputs[0].iter_mut().enumerate() {
            *score = f[self.class(y[l]) * lanes + l] - top[l] - *score;
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (y, f, g, lanes) = (at.inputs.get(0), at.inputs.get(1), at.grad_outputs.get(0), at.lanes);
        self.soften(at.simd, f, lanes, at.scratch);
        let (p, rest) = at.scratch.split_at(self.classes * lanes);
        let Some(slot) = at.grad_inputs[1].as_mut() else { return };
        let out = &mut slot.data;
        for (out, p) in out.chunks_exact_mut(lanes).zip(p.chunks_exact(lanes)) {
            for (((out, p), sum), g) in out.iter_mut().zip(p).zip(rest).zip(g) {
                *out = -g * p / sum;
            }
        }
        for l in 0..lanes {
            out[self.class(y[l]) * lanes + l] += g[l];
        }
    }
}

impl Layer for GaussianScore {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert_eq!(inputs, [self.features, 2 * self.features]);
        vec![1]
    }

    fn scratch_per_lane(&self) -> usize {
        2 * self.features
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (y, f, lanes) = (at.inputs.get(0), at.inputs.get(1), at.lanes);
        let (mean, raw) = f.split_at(y.len());
        let (s, precision) = at.scratch[..2 * y.len()].split_at_mut(y.len());
        self.spread(at.simd, raw, s, precision);
        let score = &mut at.outputs[0];
        at.simd.vectorise(
            #[inline(always)]
            || {
                score.fill(0.0);
                for j in 0..y.len() / lanes {
                    let row = j * lanes..(j + 1) * lanes;
                    for ((((score, y), m), s), w) in
                        score.iter_mut().zip(&y[row.clone()]).zip(&mean[row.clone()]).zip(&s[row.clone()]).zip(&precision[row])
                    {
                        *score -= 0.5 * ((y - m) * (y - m) * w + s + LN_TAU);
                    }
                }
            },
        );
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (y, f, g, lanes) = (at.inputs.get(0), at.inputs.get(1), at.grad_outputs.get(0), at.lanes);
        let (mean, raw) = f.split_at(y.len());
        let (s, precision) = at.scratch[..2 * y.len()].split_at_mut(y.len());
        self.spread(at.simd, raw, s, precision);
        let Some(slot) = at.grad_inputs[1].as_mut() else { return };
        let (by_mean, by_raw) = slot.data.split_at_mut(y.len());
        at.simd.vectorise(
            #[inline(always)]
            || {
                for i in 0..y.len() {
                    let (g, off) = (g[i % lanes], y[i] - mean[i]);
                    by_mean[i] = g * off * precision[i];
                    let slope = 1.0 - (s[i] / LOG_VARIANCE) * (s[i] / LOG_VARIANCE);
                    by_raw[i] = 0.5 * g * slope * (off * off * precision[i] - 1.0);
                }
            },
        );
    }
}

impl GaussianScore {
    /// s = 15 tanh(r/15) and e^{-s}.
    fn spread(&self, simd: abduce_kernels::Simd, raw: &[f32], s: &mut [f32], precision: &mut [f32]) {
        simd.vectorise(
            #[inline(always)]
            || precision.iter_mut().zip(raw).for_each(|(p, r)| *p = r / LOG_VARIANCE),
        );
        simd.activate(Activation::Tanh, precision, s);
        simd.vectorise(
            #[inline(always)]
            || s.iter_mut().for_each(|s| *s *= -LOG_VARIANCE),
        );
        simd.exp(s, precision);
        simd.vectorise(
            #[inline(always)]
            || s.iter_mut().for_each(|s| *s = -*s),
        );
    }
}

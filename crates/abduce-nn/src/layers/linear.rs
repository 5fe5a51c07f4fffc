//! The affine map y = W x + b.

use crate::graph::{GraphBuilder, Value};
use crate::layer::{Backward, Forward, Layer};
use crate::params::Init;
use abduce_kernels::LANES;
use abduce_kernels::elementwise::Update;
use abduce_kernels::gemm::{Into, Left, MatMul};
use std::ops::Range;

/// y (out) = W (out, in) x + b, where x may be several inputs whose features stand one after the other.
///
/// Splitting the columns over inputs replaces a concatenation: nothing is copied, and an input whose gradient nobody wants
/// (the data of a network without embedding) costs nothing in the backward pass.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Range<usize>,
    bias: Option<Range<usize>>,
    in_features: usize,
    out_features: usize,
}

impl Linear {
    /// Adds `name.weight` (out, in) and `name.bias` (out), both from U(-1/√in, 1/√in), and the layer.
    pub fn apply(g: &mut GraphBuilder<'_>, name: &str, inputs: &[Value], out_features: usize) -> Value {
        let in_features: usize = inputs.iter().map(|&v| g.features(v)).sum();
        Self::apply_with(g, name, inputs, out_features, Init::fan_in(in_features), Init::fan_in(in_features), None)
    }

    /// As [`Linear::apply`] with given starts and an optional (out, in) mask of weights that exist.
    pub fn apply_with(
        g: &mut GraphBuilder<'_>,
        name: &str,
        inputs: &[Value],
        out_features: usize,
        weight: Init,
        bias: Init,
        mask: Option<&[f32]>,
    ) -> Value {
        let in_features: usize = inputs.iter().map(|&v| g.features(v)).sum();
        let (weight, bias) = g.scoped(name, |g| {
            let weight = g.parameter("weight", &[out_features, in_features], weight);
            if let Some(mask) = mask {
                g.mask(&weight, mask);
            }
            (weight, g.parameter("bias", &[out_features], bias))
        });
        g.apply(Self { weight, bias: Some(bias), in_features, out_features }, inputs)
    }
}

/// Width of a transposed input: whole vectors.
const fn padded(features: usize) -> usize {
    features.div_ceil(LANES) * LANES
}

impl Layer for Linear {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert_eq!(inputs.iter().sum::<usize>(), self.in_features);
        vec![self.out_features]
    }

    fn scratch_per_lane(&self) -> usize {
        padded(self.in_features)
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let weight = &at.params[self.weight.clone()];
        if at.inputs.is_empty() {
            // Nothing to see: the output is the bias alone.
            let bias = self.bias.as_ref().map_or(&[][..], |b| &at.params[b.clone()]);
            for (i, row) in at.outputs[0].chunks_exact_mut(at.lanes).enumerate() {
                row.fill(bias.get(i).copied().unwrap_or(0.0));
            }
        }
        let mut column = 0;
        for i in 0..at.inputs.len() {
            let x = at.inputs.get(i);
            let features = x.len() / at.lanes;
            let shape = MatMul { rows: self.out_features, cols: at.lanes, depth: features };
            let left = Left { data: &weight[column..], row_stride: self.in_features, depth_stride: 1 };
            let into = match &self.bias {
                _ if i > 0 => Into::Accumulate,
                Some(bias) => Into::Bias(&at.params[bias.clone()]),
                None => Into::Overwrite,
            };
            at.simd.matmul_strided(shape, left, x, at.lanes, &mut at.outputs[0], at.lanes, into);
            column += features;
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let grad_y = at.grad_outputs.get(0);
        let mut column = 0;
        for i in 0..at.inputs.len() {
            let x = at.inputs.get(i);
            let features = x.len() / at.lanes;
            if let Some(grad_x) = &mut at.grad_inputs[i] {
                let weight = &at.params[self.weight.clone()][column..];
                let shape = MatMul { rows: features, cols: at.lanes, depth: self.out_features };
                let left = Left { data: weight, row_stride: 1, depth_stride: self.in_features };
                let into = if grad_x.update == Update::Overwrite { Into::Overwrite } else { Into::Accumulate };
                at.simd.matmul_strided(shape, left, grad_y, at.lanes, &mut grad_x.data, at.lanes, into);
            }
            if let Some(grad) = at.grad_params.as_deref_mut() {
                let width = padded(features);
                at.simd.rows_from_features(x, features, at.lanes, at.scratch, width);
                let shape = MatMul { rows: self.out_features, cols: features, depth: at.rows };
                let left = Left { data: grad_y, row_stride: at.lanes, depth_stride: 1 };
                let grad_weight = &mut grad[self.weight.clone()][column..];
                at.simd.matmul_strided(shape, left, at.scratch, width, grad_weight, self.in_features, Into::Accumulate);
            }
            column += features;
        }
        if let (Some(grad), Some(bias)) = (at.grad_params.as_deref_mut(), &self.bias) {
            at.simd.add_row_sums(grad_y, at.lanes, &mut grad[bias.clone()]);
        }
    }
}

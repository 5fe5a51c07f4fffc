//! Normalisations of tensors, fused with the activation that follows.

use crate::graph::GraphBuilder;
use crate::layer::{Backward, Form, Forward, Layer};
use crate::layers::conv::ShapeError;
use crate::layers::grid::Grid;
use crate::params::Init;
use abduce_kernels::elementwise::Activation;
use abduce_kernels::norm::{Affine, RowNorm};
use std::ops::Range;

/// y = f(γ (x - mean)/√(variance + 1e-5) + β) with mean and variance over all positions and the channels of one group (Wu and He 2018,
/// arXiv:1803.08494). One group is the layer normalisation of an image, as many groups as channels its instance normalisation.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    gain: Range<usize>,
    shift: Range<usize>,
    groups: usize,
    /// Floats of one tensor.
    len: usize,
    activation: Option<Activation>,
}

impl GroupNorm {
    /// Adds `name.gain` (1 at the start) and `name.shift` (0) per channel, and the layer with the activation after it.
    ///
    /// # Errors
    /// The groups don't divide the channels.
    pub fn apply(
        g: &mut GraphBuilder<'_>,
        name: &str,
        x: &Grid,
        groups: usize,
        activation: Option<Activation>,
    ) -> Result<Grid, ShapeError> {
        if groups == 0 || !x.channels.is_multiple_of(groups) {
            return Err(ShapeError::Groups { layer: name.to_owned(), groups, channels: x.channels });
        }
        let (gain, shift) = affine(g, name, x.channels);
        let layer = Self { gain, shift, groups, len: g.features(x.value), activation };
        Ok(x.with(g.apply(layer, &[x.value])))
    }
}

fn affine(g: &mut GraphBuilder<'_>, name: &str, channels: usize) -> (Range<usize>, Range<usize>) {
    g.scoped(name, |g| (g.parameter("gain", &[channels], Init::Constant(1.0)), g.parameter("shift", &[channels], Init::Constant(0.0))))
}

/// The gradient slices of γ and β, which stand next to each other in the layout unless they are shared with an earlier graph.
fn affine_gradient<'a>(grad: &'a mut [f32], gain: &Range<usize>, shift: &Range<usize>) -> (&'a mut [f32], &'a mut [f32]) {
    if gain.end <= shift.start {
        let (a, b) = grad.split_at_mut(shift.start);
        (&mut a[gain.clone()], &mut b[..shift.len()])
    } else {
        let (a, b) = grad.split_at_mut(gain.start);
        (&mut b[..gain.len()], &mut a[shift.clone()])
    }
}

impl Layer for GroupNorm {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        inputs.to_vec()
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert_eq!(inputs, [Form::Rows], "group normalisation takes a tensor");
        Form::Rows
    }

    /// Mean and 1/standard deviation of each group.
    fn saved_per_row(&self) -> usize {
        2 * self.groups
    }

    fn scratch_len(&self) -> usize {
        self.len + 4 * self.gain.len()
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let affine = Affine { gain: &at.params[self.gain.clone()], shift: &at.params[self.shift.clone()], activation: self.activation };
        let rows = at.inputs.get(0).chunks_exact(self.len).zip(at.outputs[0].chunks_exact_mut(self.len));
        for ((x, y), saved) in rows.zip(at.saved.chunks_exact_mut(2 * self.groups)) {
            at.simd.group_norm(x, self.groups, affine, y, saved, at.scratch);
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let affine = Affine { gain: &at.params[self.gain.clone()], shift: &at.params[self.shift.clone()], activation: self.activation };
        let (n, x) = (self.len, at.inputs.get(0));
        let rows = x.chunks_exact(n).zip(at.grad_outputs.get(0).chunks_exact(n)).zip(at.saved.chunks_exact(2 * self.groups));
        for (r, ((x, dy), saved)) in rows.enumerate() {
            let grad_x = at.grad_inputs[0].as_mut().map(|slot| (&mut slot.data[r * n..(r + 1) * n], slot.update));
            let grad_affine = at.grad_params.as_deref_mut().map(|g| affine_gradient(g, &self.gain, &self.shift));
            at.simd.group_norm_backward(x, self.groups, affine, saved, dy, grad_x, grad_affine, at.scratch);
        }
    }
}

/// Normalisation over the channels of every position, as transformers have it, with the activation after it.
#[derive(Clone, Debug)]
pub struct ChannelNorm {
    kind: RowNorm,
    gain: Range<usize>,
    shift: Range<usize>,
    activation: Option<Activation>,
}

impl ChannelNorm {
    /// Layer normalisation (Ba et al. 2016, arXiv:1607.06450): adds `name.gain` (1) and `name.shift` (0).
    pub fn layer(g: &mut GraphBuilder<'_>, name: &str, x: &Grid, activation: Option<Activation>) -> Grid {
        let (gain, shift) = affine(g, name, x.channels);
        x.with(g.apply(Self { kind: RowNorm::Layer, gain, shift, activation }, &[x.value]))
    }

    /// Root-mean-square normalisation (Zhang and Sennrich 2019, arXiv:1910.07467): adds `name.gain` (1).
    pub fn root_mean_square(g: &mut GraphBuilder<'_>, name: &str, x: &Grid, activation: Option<Activation>) -> Grid {
        let gain = g.scoped(name, |g| g.parameter("gain", &[x.channels], Init::Constant(1.0)));
        let shift = gain.end..gain.end;
        x.with(g.apply(Self { kind: RowNorm::RootMeanSquare, gain, shift, activation }, &[x.value]))
    }
}

impl Layer for ChannelNorm {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        inputs.to_vec()
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert_eq!(inputs, [Form::Rows], "channel normalisation takes a tensor");
        Form::Rows
    }

    fn scratch_len(&self) -> usize {
        3 * self.gain.len()
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let affine = Affine { gain: &at.params[self.gain.clone()], shift: &at.params[self.shift.clone()], activation: self.activation };
        at.simd.row_norm(self.kind, at.inputs.get(0), affine, &mut at.outputs[0]);
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let affine = Affine { gain: &at.params[self.gain.clone()], shift: &at.params[self.shift.clone()], activation: self.activation };
        let grad_x = at.grad_inputs[0].as_mut().map(|slot| (&mut slot.data[..], slot.update));
        let grad_affine = at.grad_params.as_deref_mut().map(|g| affine_gradient(g, &self.gain, &self.shift));
        at.simd.row_norm_backward(self.kind, at.inputs.get(0), affine, at.grad_outputs.get(0), grad_x, grad_affine, at.scratch);
    }
}

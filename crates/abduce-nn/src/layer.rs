//! The contract of a layer: explicit forward and backward over one chunk of rows.

use abduce_kernels::Simd;
use abduce_kernels::elementwise::Update;

/// One operation of a [`Graph`](crate::Graph).
///
/// Values are feature-major: `features` rows of `lanes` floats, the batch along the contiguous axis. Lanes beyond the chunk's
/// rows are padding: they hold finite numbers of no meaning, and their gradients are zero.
pub trait Layer: Send + Sync + std::fmt::Debug {
    /// Features of each output, given those of the inputs.
    fn output_features(&self, inputs: &[usize]) -> Vec<usize>;

    /// Floats per lane that forward leaves for backward, beside inputs and outputs.
    fn saved_per_lane(&self) -> usize {
        0
    }

    /// Floats per lane of working memory, shared with the other layers.
    fn scratch_per_lane(&self) -> usize {
        0
    }

    /// Computes the outputs.
    fn forward(&self, at: &mut Forward<'_>);

    /// From the outputs' gradients, writes the inputs' gradients and adds to the parameters' gradients.
    fn backward(&self, at: &mut Backward<'_>);
}

/// What a layer sees in its forward pass.
pub struct Forward<'a> {
    /// The instruction set.
    pub simd: Simd,
    /// Padded rows of the chunk.
    pub lanes: usize,
    /// The model's flat parameters.
    pub params: &'a [f32],
    /// Values of the inputs.
    pub inputs: Slots<'a>,
    /// Places for the outputs.
    pub outputs: &'a mut [Vec<f32>],
    /// Kept until backward.
    pub saved: &'a mut [f32],
    /// Working memory, contents arbitrary.
    pub scratch: &'a mut [f32],
}

/// What a layer sees in its backward pass.
pub struct Backward<'a> {
    /// The instruction set.
    pub simd: Simd,
    /// Padded rows of the chunk.
    pub lanes: usize,
    /// Rows that are not padding.
    pub rows: usize,
    /// The model's flat parameters.
    pub params: &'a [f32],
    /// Values of the inputs.
    pub inputs: Slots<'a>,
    /// Values of the outputs.
    pub outputs: Slots<'a>,
    /// Gradients of the outputs.
    pub grad_outputs: Slots<'a>,
    /// Places for the gradients of the inputs, `None` where nobody asks.
    pub grad_inputs: &'a mut [Option<GradientSlot>],
    /// The model's flat gradient, to be added to; `None` when only input gradients are wanted.
    pub grad_params: Option<&'a mut [f32]>,
    /// What forward saved.
    pub saved: &'a [f32],
    /// Working memory, contents arbitrary.
    pub scratch: &'a mut [f32],
}

/// A gradient buffer on loan to a layer.
#[derive(Debug)]
pub struct GradientSlot {
    /// The buffer.
    pub data: Vec<f32>,
    /// Whether the layer is the first to contribute to it.
    pub update: Update,
}

/// Several values chosen from a set of buffers.
#[derive(Clone, Copy)]
pub struct Slots<'a> {
    pub(crate) buffers: &'a [Vec<f32>],
    pub(crate) places: &'a [usize],
}

impl<'a> Slots<'a> {
    /// The i-th value.
    pub fn get(&self, i: usize) -> &'a [f32] {
        &self.buffers[self.places[i]]
    }

    /// Number of values.
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// `destination (=, +=) source`, for layers that pass gradients on.
pub fn pass_on(simd: Simd, source: &[f32], destination: &mut [f32], update: Update) {
    match update {
        Update::Overwrite => destination.copy_from_slice(source),
        Update::Accumulate => simd.vectorise(
            #[inline(always)]
            || destination.iter_mut().zip(source).for_each(|(d, s)| *d += s),
        ),
    }
}

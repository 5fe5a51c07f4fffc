//! The contract of a layer: explicit forward and backward over one chunk of rows.

use abduce_kernels::Simd;
use abduce_kernels::elementwise::Update;

/// How a value lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Feature-major: `features` rows of `lanes` floats, the batch along the contiguous axis. Lanes beyond the chunk's rows are padding: they
    /// hold finite numbers of no meaning, and their gradients are zero.
    Lanes,
    /// Row after row, each of `features` floats in the layer's own order: images, sequences, sets, with channels last. There is no padding.
    Rows,
}

impl Form {
    /// Floats of a value of `features` features over a chunk.
    pub const fn len(self, features: usize, rows: usize, lanes: usize) -> usize {
        match self {
            Self::Lanes => features * lanes,
            Self::Rows => features * rows,
        }
    }
}

/// One operation of a [`Graph`](crate::Graph).
pub trait Layer: Send + Sync + std::fmt::Debug {
    /// Features of each output, given those of the inputs.
    fn output_features(&self, inputs: &[usize]) -> Vec<usize>;

    /// Form of the outputs, given those of the inputs. Unless it says otherwise, a layer takes and gives [`Form::Lanes`].
    ///
    /// # Panics
    /// If the layer can't take an input in its form: a mistake in our own builders.
    fn output_form(&self, inputs: &[Form]) -> Form {
        assert!(inputs.iter().all(|&f| f == Form::Lanes), "{self:?} takes feature-major values; put a `ToLanes` before it");
        Form::Lanes
    }

    /// Whether the layer has parameters. Where it has none and nobody asks for the gradients of its inputs, its backward pass is left out.
    fn has_parameters(&self) -> bool {
        true
    }

    /// Floats per lane that forward leaves for backward, beside inputs and outputs.
    fn saved_per_lane(&self) -> usize {
        0
    }

    /// Floats per row that forward leaves for backward, after those per lane.
    fn saved_per_row(&self) -> usize {
        0
    }

    /// Floats per lane of working memory, shared with the other layers.
    fn scratch_per_lane(&self) -> usize {
        0
    }

    /// Floats of working memory beside those per lane, for any chunk: what one row takes.
    fn scratch_len(&self) -> usize {
        0
    }

    /// Floats of parameters that are brought into another order once per step, before the chunks.
    fn prepared_len(&self) -> usize {
        0
    }

    /// Brings them into that order.
    fn prepare(&self, _simd: Simd, _params: &[f32], _prepared: &mut [f32]) {}

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
    /// Rows that are not padding.
    pub rows: usize,
    /// The model's flat parameters.
    pub params: &'a [f32],
    /// What [`Layer::prepare`] made of them.
    pub prepared: &'a [f32],
    /// The noise of this chunk, for layers that draw while they are trained; `None`: they don't.
    pub noise: Option<Noise>,
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
    /// What [`Layer::prepare`] made of them.
    pub prepared: &'a [f32],
    /// The noise of the forward pass.
    pub noise: Option<Noise>,
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

/// What the random numbers of a training step depend on: row r of a batch draws from the stream r of `seed`, whatever the chunks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    /// One seed per step.
    pub seed: abduce_data::Seed,
    /// The batch's row at the beginning of the chunk.
    pub first_row: usize,
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

/// The form of an element-wise layer's output: that of its inputs.
///
/// # Panics
/// If they differ: a mistake in our own builders.
pub fn same_form(inputs: &[Form]) -> Form {
    assert!(inputs.windows(2).all(|w| w[0] == w[1]), "an element-wise layer got values of different forms");
    inputs.first().copied().unwrap_or(Form::Lanes)
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

//! Convolutions in one to three dimensions, with strides, transposed, with zero or periodic borders; and the linear map of every position.

mod geometry;
mod halo;

use crate::graph::GraphBuilder;
use crate::layer::{Backward, Form, Forward, Layer};
use crate::layers::grid::Grid;
use crate::params::Init;
use abduce_kernels::Simd;
use abduce_kernels::elementwise::Update;
use abduce_kernels::gather::{Gathered, PANEL, Right, Start};
use geometry::{AXES, Axis, Class, Geometry};
use std::ops::Range;

/// What stands beyond the edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Border {
    /// Zeros.
    #[default]
    Zeros,
    /// The other side: the grid is a torus, as simulation boxes are.
    Periodic,
}

/// How far patches reach beyond the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pad {
    /// So far that a stride of 1 keeps the extent, and a stride s gives ⌈n/s⌉.
    Same,
    /// By this many positions on both sides.
    By(usize),
}

/// Which way the map goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A convolution: strides make the grid coarser.
    Down,
    /// Its transpose: strides make the grid finer.
    Up,
}

/// Why a layer does not fit its input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// The kernel is longer than the axis with its border.
    #[error("layer `{layer}`: a kernel of {kernel} does not fit an axis of {extent} with {pad} beyond each edge")]
    KernelTooLong {
        /// The layer.
        layer: String,
        /// Its kernel.
        kernel: usize,
        /// The axis.
        extent: usize,
        /// Its border.
        pad: usize,
    },
    /// A periodic axis is not a multiple of the stride.
    #[error("layer `{layer}`: a periodic axis of {extent} can't be strided by {stride}: it is not a multiple")]
    PeriodicStride {
        /// The layer.
        layer: String,
        /// The axis.
        extent: usize,
        /// The stride.
        stride: usize,
    },
    /// Grids have one to three axes.
    #[error("a grid of {0} axes: one to three are possible")]
    Axes(usize),
    /// A size is zero.
    #[error("layer `{layer}`: {what} is zero")]
    Zero {
        /// The layer.
        layer: String,
        /// What is zero.
        what: &'static str,
    },
    /// Offsets are 32-bit numbers.
    #[error("a tensor of {floats} numbers is too large: offsets are 32-bit numbers")]
    TooLarge {
        /// Its size.
        floats: usize,
    },
    /// Groups of channels are of one size.
    #[error("layer `{layer}`: {groups} groups don't divide {channels} channels")]
    Groups {
        /// The layer.
        layer: String,
        /// Number of groups.
        groups: usize,
        /// Number of channels.
        channels: usize,
    },
    /// Two tensors that are to be joined have different extents.
    #[error("layer `{layer}`: extents {left:?} and {right:?} can't be joined")]
    Join {
        /// The layer.
        layer: String,
        /// The one.
        left: Vec<usize>,
        /// The other.
        right: Vec<usize>,
    },
    /// The data have another size than the network was told.
    #[error("the network takes {shape:?}, which is {expected} values, but a datum has {found}")]
    Input {
        /// What the network takes.
        shape: Vec<usize>,
        /// Its size.
        expected: usize,
        /// Values of a datum.
        found: usize,
    },
    /// A list has another length than the number of layers.
    #[error("`{what}` has {found} entries for {expected} layers")]
    Entries {
        /// The list.
        what: &'static str,
        /// Its length.
        found: usize,
        /// Number of layers.
        expected: usize,
    },
}

/// A convolution to be added to a network: torch's `Conv1d` to `Conv3d` and `ConvTranspose1d` to `ConvTranspose3d`, by the dimension of the input.
///
/// `name.weight` has the shape (kernel…, in, out), transposed (kernel…, out, in): channels last; imports turn torch's order into
/// it. Weight and bias start from U(-1/√fan, 1/√fan) with fan = taps × the channels of the finer side, torch's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    channels: usize,
    kernel: usize,
    stride: usize,
    pad: Pad,
    border: Border,
    direction: Direction,
    output_padding: usize,
    bias: Bias,
}

/// Whether a constant per channel is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// It is.
    Trained,
    /// It is not: a normalisation that follows would take it off again.
    Absent,
}

impl Conv {
    /// `channels` outputs, patches of `kernel` positions along each axis, stride 1, [`Pad::Same`], zeros beyond the edge, with bias.
    pub const fn new(channels: usize, kernel: usize) -> Self {
        Self {
            channels,
            kernel,
            stride: 1,
            pad: Pad::Same,
            border: Border::Zeros,
            direction: Direction::Down,
            output_padding: 0,
            bias: Bias::Trained,
        }
    }

    /// The transpose with a stride: a grid of n becomes one of n · stride with [`Pad::Same`], or (n - 1) · stride + kernel - 2 pad.
    pub const fn transposed(channels: usize, kernel: usize, stride: usize) -> Self {
        let mut conv = Self::new(channels, kernel);
        conv.stride = stride;
        conv.direction = Direction::Up;
        conv
    }

    /// Positions between patches.
    pub const fn stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    /// How far patches reach beyond the edge.
    pub const fn pad(mut self, pad: Pad) -> Self {
        self.pad = pad;
        self
    }

    /// What stands beyond the edge.
    pub const fn border(mut self, border: Border) -> Self {
        self.border = border;
        self
    }

    /// Positions that a transpose with [`Pad::By`] adds at the far end.
    pub const fn output_padding(mut self, positions: usize) -> Self {
        self.output_padding = positions;
        self
    }

    /// Whether there is a bias.
    pub const fn bias(mut self, bias: Bias) -> Self {
        self.bias = bias;
        self
    }

    /// Adds the layer with its parameters `name.weight` and `name.bias`.
    ///
    /// # Errors
    /// The kernel does not fit the extent, or a size is zero or too large.
    pub fn apply(&self, g: &mut GraphBuilder<'_>, name: &str, x: &Grid) -> Result<Grid, ShapeError> {
        let sizes =
            [("the kernel", self.kernel), ("the stride", self.stride), ("the number of channels", self.channels), ("an input", x.channels)];
        if let Some((what, _)) =
            sizes.iter().chain(&x.extent.iter().map(|&n| ("an axis", n)).collect::<Vec<_>>()).find(|(_, size)| *size == 0)
        {
            return Err(ShapeError::Zero { layer: name.to_owned(), what });
        }
        if !(1..=AXES).contains(&x.extent.len()) {
            return Err(ShapeError::Axes(x.extent.len()));
        }
        let mut axes = [Axis::TRIVIAL; AXES];
        for (axis, &n) in axes[AXES - x.extent.len()..].iter_mut().zip(&x.extent) {
            *axis = self.axis(name, n)?;
        }
        let (fine, coarse) = match self.direction {
            Direction::Down => (x.channels, self.channels),
            Direction::Up => (self.channels, x.channels),
        };
        let geometry = Geometry::new(axes, self.border, fine, coarse)?;
        let extent =
            axes[AXES - x.extent.len()..].iter().map(|a| if self.direction == Direction::Down { a.coarse } else { a.fine }).collect();
        let init = || Init::fan_in(geometry.taps() * fine);
        let shape: Vec<usize> = std::iter::repeat_n(self.kernel, x.extent.len()).chain([fine, coarse]).collect();
        let (weight, bias) = g.scoped(name, |g| {
            let weight = g.parameter("weight", &shape, init());
            (weight, (self.bias == Bias::Trained).then(|| g.parameter("bias", &[self.channels], init())))
        });
        let value = g.apply(Convolution { weight, bias, direction: self.direction, geometry }, &[x.value]);
        Ok(Grid { value, extent, channels: self.channels })
    }

    fn axis(&self, name: &str, n: usize) -> Result<Axis, ShapeError> {
        let (kernel, stride) = (self.kernel, self.stride);
        let too_long = |extent, pad| ShapeError::KernelTooLong { layer: name.to_owned(), kernel, extent, pad };
        let (fine, coarse) = match (self.direction, self.pad, self.border) {
            (Direction::Down, _, Border::Periodic) if !n.is_multiple_of(stride) => {
                return Err(ShapeError::PeriodicStride { layer: name.to_owned(), extent: n, stride });
            }
            (Direction::Down, Pad::Same, _) | (Direction::Down, _, Border::Periodic) => (n, n.div_ceil(stride)),
            (Direction::Down, Pad::By(pad), Border::Zeros) => {
                (n, (n + 2 * pad).checked_sub(kernel).ok_or_else(|| too_long(n, pad))? / stride + 1)
            }
            (Direction::Up, Pad::Same, _) | (Direction::Up, _, Border::Periodic) => (n * stride, n),
            (Direction::Up, Pad::By(pad), Border::Zeros) => {
                let covered = (n - 1) * stride + kernel + self.output_padding;
                (covered.checked_sub(2 * pad).filter(|&fine| fine > 0).ok_or_else(|| too_long(n, pad))?, n)
            }
        };
        let pad = match self.pad {
            Pad::By(pad) => pad,
            Pad::Same => (stride * (coarse - 1) + kernel).saturating_sub(fine) / 2,
        };
        Ok(Axis { fine, coarse, kernel, stride, pad })
    }
}

/// The layer: a [`Geometry`] and where its parameters are.
#[derive(Clone, Debug)]
struct Convolution {
    weight: Range<usize>,
    bias: Option<Range<usize>>,
    direction: Direction,
    geometry: Geometry,
}

impl Convolution {
    /// Whether the weights of the way down are packed: a single panel is dense already.
    const fn packs_down(&self) -> bool {
        self.geometry.coarse_channels > PANEL
    }

    const fn down_len(&self) -> usize {
        if self.packs_down() { self.weight.end - self.weight.start } else { 0 }
    }

    fn input_len(&self) -> usize {
        if self.direction == Direction::Down { self.geometry.fine_len() } else { self.geometry.coarse_len() }
    }

    fn output_len(&self) -> usize {
        if self.direction == Direction::Down { self.geometry.coarse_len() } else { self.geometry.fine_len() }
    }

    fn down(&self, simd: Simd, params: &[f32], prepared: &[f32], fine: &[f32], coarse: &mut [f32], start: Start<'_>, scratch: &mut [f32]) {
        let g = &self.geometry;
        let left = Gathered { data: g.fine_halo.wrap(fine, scratch), rows: &g.down.rows, depth: &g.down.depth };
        let right = if self.packs_down() {
            Right::Panels(&prepared[..self.down_len()])
        } else {
            Right::Strided { data: &params[self.weight.clone()], stride: g.coarse_channels }
        };
        simd.gathered_matmul(left, right, g.coarse_channels, coarse, &g.down.targets, start);
    }

    fn up(&self, simd: Simd, prepared: &[f32], coarse: &[f32], fine: &mut [f32], start: Start<'_>, scratch: &mut [f32]) {
        let g = &self.geometry;
        let data = g.coarse_halo.wrap(coarse, scratch);
        let mut weights = &prepared[self.down_len()..];
        for Class { table, .. } in &g.up {
            let (own, rest) = weights.split_at(table.depth.len() * g.fine_channels);
            let left = Gathered { data, rows: &table.rows, depth: &table.depth };
            simd.gathered_matmul(left, Right::Panels(own), g.fine_channels, fine, &table.targets, start);
            weights = rest;
        }
    }
}

impl Layer for Convolution {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert_eq!(inputs, [self.input_len()]);
        vec![self.output_len()]
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert_eq!(inputs, [Form::Rows], "a convolution takes a tensor");
        Form::Rows
    }

    fn scratch_len(&self) -> usize {
        self.geometry.fine_halo.scratch_len().max(self.geometry.coarse_halo.scratch_len())
    }

    fn prepared_len(&self) -> usize {
        let g = &self.geometry;
        self.down_len() + g.up.iter().map(|c| c.table.depth.len()).sum::<usize>() * g.fine_channels
    }

    fn prepare(&self, simd: Simd, params: &[f32], prepared: &mut [f32]) {
        let (g, weight) = (&self.geometry, &params[self.weight.clone()]);
        let (a, b) = (g.fine_channels, g.coarse_channels);
        let (down, mut up) = prepared.split_at_mut(self.down_len());
        if !down.is_empty() {
            simd.pack(weight, g.taps() * a, b, down);
        }
        for class in &g.up {
            let depth = class.table.depth.len();
            let (own, rest) = up.split_at_mut(depth * a);
            for (k, &tap) in class.taps.iter().enumerate() {
                simd.pack_transposed(&weight[tap * a * b..], a, b, k * b, depth, own);
            }
            up = rest;
        }
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let start = self.bias.as_ref().map_or(Start::Zero, |b| Start::Bias(&at.params[b.clone()]));
        let rows = at.inputs.get(0).chunks_exact(self.input_len()).zip(at.outputs[0].chunks_exact_mut(self.output_len()));
        for (x, y) in rows {
            match self.direction {
                Direction::Down => self.down(at.simd, at.params, at.prepared, x, y, start, at.scratch),
                Direction::Up => self.up(at.simd, at.prepared, x, y, start, at.scratch),
            }
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let g = &self.geometry;
        let (simd, grad_y) = (at.simd, at.grad_outputs.get(0));
        if let Some(grad) = at.grad_params.as_deref_mut() {
            if let Some(bias) = &self.bias {
                simd.add_column_sums(grad_y, &mut grad[bias.clone()]);
            }
            let rows = at.inputs.get(0).chunks_exact(self.input_len()).zip(grad_y.chunks_exact(self.output_len()));
            for (x, dy) in rows {
                let (fine, coarse) = if self.direction == Direction::Down { (x, dy) } else { (dy, x) };
                let left = Gathered { data: g.fine_halo.wrap(fine, at.scratch), rows: &g.down.depth, depth: &g.down.rows };
                let right = Right::Strided { data: coarse, stride: g.coarse_channels };
                simd.gathered_matmul(left, right, g.coarse_channels, &mut grad[self.weight.clone()], &g.weights, Start::Destination);
            }
        }
        let Some(slot) = &mut at.grad_inputs[0] else { return };
        let start = if slot.update == Update::Overwrite { Start::Zero } else { Start::Destination };
        for (dy, dx) in grad_y.chunks_exact(self.output_len()).zip(slot.data.chunks_exact_mut(self.input_len())) {
            match self.direction {
                Direction::Down => self.up(simd, at.prepared, dy, dx, start, at.scratch),
                Direction::Up => self.down(simd, at.params, at.prepared, dy, dx, start, at.scratch),
            }
        }
    }
}

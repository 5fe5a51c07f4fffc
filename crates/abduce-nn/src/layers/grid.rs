//! Images, volumes and sequences: values with channels last, and how they meet feature-major ones.

use crate::graph::{GraphBuilder, Value};
use crate::layer::{Backward, Form, Forward, Layer};
use abduce_kernels::Simd;
use abduce_kernels::elementwise::Update;

/// A value in [`Form::Rows`]: each row is a tensor (extent…, channels), channels last. An extent of one axis is a sequence, a signal or a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The value.
    pub value: Value,
    /// Lengths of its axes: one to three.
    pub extent: Vec<usize>,
    /// Channels of each position.
    pub channels: usize,
}

/// Order of the features of a flattened tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// (channels, extent…), as torch and most files have it.
    ChannelsFirst,
    /// (extent…, channels), as it lies in memory here: nothing is moved.
    ChannelsLast,
}

impl Grid {
    /// An input of the network that is a tensor.
    pub fn input(g: &mut GraphBuilder<'_>, extent: &[usize], channels: usize) -> Self {
        let value = g.input_of(Form::Rows, extent.iter().product::<usize>() * channels);
        Self { value, extent: extent.to_vec(), channels }
    }

    /// A feature-major value as a tensor; its features stand in `order`.
    ///
    /// # Panics
    /// If it has another number of features: a mistake in our own builders.
    pub fn from_features(g: &mut GraphBuilder<'_>, x: Value, extent: &[usize], channels: usize, order: Order) -> Self {
        let positions: usize = extent.iter().product();
        assert_eq!(g.features(x), positions * channels, "features of a tensor {extent:?} x {channels}");
        let value = g.apply(ToRows(Shape { positions, channels, order }), &[x]);
        Self { value, extent: extent.to_vec(), channels }
    }

    /// The tensor as a feature-major value whose features stand in `order`: where a convolutional part ends and dense layers begin.
    pub fn to_features(&self, g: &mut GraphBuilder<'_>, order: Order) -> Value {
        g.apply(ToLanes(Shape { positions: self.positions(), channels: self.channels, order }), &[self.value])
    }

    /// Number of positions.
    pub fn positions(&self) -> usize {
        self.extent.iter().product()
    }

    /// The same tensor after an element-wise layer with these further inputs.
    pub fn map(&self, g: &mut GraphBuilder<'_>, layer: impl Layer + 'static, others: &[&Self]) -> Self {
        let inputs: Vec<Value> = [self].into_iter().chain(others.iter().copied()).map(|x| x.value).collect();
        self.with(g.apply(layer, &inputs))
    }

    /// The same shape with another value.
    pub(crate) fn with(&self, value: Value) -> Self {
        Self { value, ..self.clone() }
    }
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    positions: usize,
    channels: usize,
    order: Order,
}

impl Shape {
    const fn len(&self) -> usize {
        self.positions * self.channels
    }

    /// Whether the two orders differ in memory.
    fn moves(&self) -> bool {
        self.order == Order::ChannelsFirst && self.channels > 1 && self.positions > 1
    }

    /// (features, lanes) → (rows, features).
    fn rows(&self, simd: Simd, lanes_value: &[f32], lanes: usize, rows: &mut [f32], scratch: &mut [f32]) {
        let (n, count) = (self.len(), rows.len() / self.len().max(1));
        if !self.moves() {
            simd.transpose(lanes_value, (n, count), lanes, rows, n);
            return;
        }
        simd.transpose(lanes_value, (n, count), lanes, scratch, n);
        for (from, to) in scratch.chunks_exact(n).zip(rows.chunks_exact_mut(n)) {
            simd.transpose(from, (self.channels, self.positions), self.positions, to, self.channels);
        }
    }

    /// (rows, features) → (features, lanes), padding lanes zero.
    fn lanes(&self, simd: Simd, rows: &[f32], lanes: usize, lanes_value: &mut [f32], scratch: &mut [f32]) {
        let (n, count) = (self.len(), rows.len() / self.len().max(1));
        if count < lanes {
            lanes_value.chunks_exact_mut(lanes).for_each(|row| row[count..].fill(0.0));
        }
        if !self.moves() {
            simd.transpose(rows, (count, n), n, lanes_value, lanes);
            return;
        }
        for (from, to) in rows.chunks_exact(n).zip(scratch.chunks_exact_mut(n)) {
            simd.transpose(from, (self.positions, self.channels), self.channels, to, self.positions);
        }
        simd.transpose(scratch, (count, n), n, lanes_value, lanes);
    }
}

/// Writes or adds what `write` computes, through `spare` where it is added.
fn through(simd: Simd, slot: &mut [f32], update: Update, spare: &mut [f32], write: impl FnOnce(&mut [f32])) {
    if update == Update::Overwrite {
        write(slot);
    } else {
        let spare = &mut spare[..slot.len()];
        write(spare);
        crate::layer::pass_on(simd, spare, slot, update);
    }
}

/// Feature-major → tensors.
#[derive(Clone, Copy, Debug)]
struct ToRows(Shape);

impl Layer for ToRows {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        inputs.to_vec()
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert_eq!(inputs, [Form::Lanes], "a tensor is already one");
        Form::Rows
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn scratch_per_lane(&self) -> usize {
        2 * self.0.len()
    }

    fn forward(&self, at: &mut Forward<'_>) {
        self.0.rows(at.simd, at.inputs.get(0), at.lanes, &mut at.outputs[0], at.scratch);
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let Some(slot) = &mut at.grad_inputs[0] else { return };
        let (scratch, spare) = at.scratch.split_at_mut(self.0.len() * at.lanes);
        let (simd, lanes, grad_y) = (at.simd, at.lanes, at.grad_outputs.get(0));
        through(simd, &mut slot.data, slot.update, spare, |to| self.0.lanes(simd, grad_y, lanes, to, scratch));
    }
}

/// Tensors → feature-major.
#[derive(Clone, Copy, Debug)]
struct ToLanes(Shape);

impl Layer for ToLanes {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        inputs.to_vec()
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert_eq!(inputs, [Form::Rows], "a feature-major value is already one");
        Form::Lanes
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn scratch_per_lane(&self) -> usize {
        2 * self.0.len()
    }

    fn forward(&self, at: &mut Forward<'_>) {
        self.0.lanes(at.simd, at.inputs.get(0), at.lanes, &mut at.outputs[0], at.scratch);
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let Some(slot) = &mut at.grad_inputs[0] else { return };
        let (scratch, spare) = at.scratch.split_at_mut(self.0.len() * at.lanes);
        let (simd, lanes, grad_y) = (at.simd, at.lanes, at.grad_outputs.get(0));
        through(simd, &mut slot.data, slot.update, spare, |to| self.0.rows(simd, grad_y, lanes, to, scratch));
    }
}

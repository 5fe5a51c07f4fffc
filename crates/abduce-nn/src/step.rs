//! One batch through a graph: chunks of rows over threads, gradients added up in a fixed order.

use crate::adam::RANGE;
use crate::frame::{Frame, Purpose};
use crate::graph::Graph;
use abduce_kernels::{LANES, Simd, Threads};

pub use crate::graph::CHUNK_ROWS;
use std::ops::Range;
use std::sync::Arc;

/// Most gradient buffers of one step; longer batches give each several chunks.
const MAX_SLOTS: usize = 16;

/// Floats in the gradient buffers of one step, about; but four buffers at least.
const SLOT_FLOATS: usize = 16 << 20;

/// How many rows of which chunk: `rows` rows cut into chunks of at most `chunk_rows` rows, nearly equal and where it can be of whole vectors.
/// Depends on these numbers alone, so results do not depend on the threads.
pub fn chunks_of(rows: usize, chunk_rows: usize) -> impl ExactSizeIterator<Item = Range<usize>> + Clone {
    let unit = LANES.min(chunk_rows);
    let units = rows.div_ceil(unit);
    let count = rows.div_ceil(chunk_rows);
    (0..count).map(move |c| {
        let at = |c: usize| (c * units / count * unit).min(rows);
        at(c)..at(c + 1)
    })
}

/// The chunks of a batch on a graph of feature-major values: [`chunks_of`] with [`CHUNK_ROWS`].
pub fn chunks(rows: usize) -> impl ExactSizeIterator<Item = Range<usize>> + Clone {
    chunks_of(rows, CHUNK_ROWS)
}

/// One worker's part of a step.
#[derive(Debug)]
struct Slot<W> {
    workspace: W,
    gradient: Vec<f32>,
    loss: f64,
}

/// A batch cut into chunks, chunks dealt to workspaces `W` on threads, and the workspaces' gradients added up in a fixed order: the part of a
/// step that does not depend on what runs in a chunk. Nothing is allocated after the first step of a size.
#[derive(Debug)]
pub struct Spread<W> {
    simd: Simd,
    threads: Threads,
    slots: Vec<Slot<W>>,
    gradient: Vec<f32>,
    mask: Option<Vec<f32>>,
    chunk_rows: usize,
    max_slots: usize,
}

impl<W: Send> Spread<W> {
    /// For a model of `parameters` parameters in chunks of at most `chunk_rows` rows; `mask` is the layout's gradient mask.
    pub fn new(parameters: usize, mask: Option<&[f32]>, chunk_rows: usize, simd: Simd, threads: &Threads) -> Self {
        let (threads, mask) = (threads.clone(), mask.map(<[f32]>::to_vec));
        let max_slots = (SLOT_FLOATS / parameters.max(1)).clamp(4, MAX_SLOTS);
        Self { simd, threads, slots: Vec::new(), gradient: vec![0.0; parameters], mask, chunk_rows, max_slots }
    }

    /// The gradient of the last step, over the whole batch.
    pub fn gradient(&self) -> &[f32] {
        &self.gradient
    }

    /// Runs `work(rows, workspace, gradient)` on every chunk of `rows` rows: it adds to the gradient and returns its part of the loss.
    /// Returns the loss and the gradient's norm; `make` makes missing workspaces.
    pub fn run(&mut self, rows: usize, make: impl Fn() -> W, work: impl Fn(Range<usize>, &mut W, &mut [f32]) -> f64 + Sync) -> (f64, f64) {
        let chunks = chunks_of(rows, self.chunk_rows);
        let slots = chunks.len().min(self.max_slots);
        self.provide(slots, make);
        let count = chunks.len();
        self.threads.for_each(&mut self.slots[..slots], |s, slot| {
            slot.gradient.fill(0.0);
            slot.loss = 0.0;
            for range in chunks.clone().skip(s * count / slots).take((s + 1) * count / slots - s * count / slots) {
                slot.loss += work(range, &mut slot.workspace, &mut slot.gradient);
            }
        });
        self.reduce(slots, 1)
    }

    fn provide(&mut self, slots: usize, make: impl Fn() -> W) {
        while self.slots.len() < slots {
            self.slots.push(Slot { workspace: make(), gradient: vec![0.0; self.gradient.len()], loss: 0.0 });
        }
    }

    /// Adds up the gradients of `count` ≤ [`MAX_SLOTS`] slots, every `stride`-th, in their order.
    fn reduce(&mut self, count: usize, stride: usize) -> (f64, f64) {
        let slots = || self.slots.iter().step_by(stride).take(count);
        let loss = slots().map(|s| s.loss).sum();
        let mut parts: [&[f32]; MAX_SLOTS] = [&[]; MAX_SLOTS];
        parts.iter_mut().zip(slots()).for_each(|(part, slot)| *part = &slot.gradient);
        let (simd, mask, parts) = (self.simd, self.mask.as_deref(), &parts[..count]);
        let part_of = |i: usize, total: &mut [f32]| {
            let start = i * RANGE;
            simd.reduce(parts, start, mask.map(|m| &m[start..start + total.len()]), total)
        };
        let squares: f64 = if self.gradient.len() <= 2 * RANGE {
            self.gradient.chunks_mut(RANGE).enumerate().map(|(i, total)| part_of(i, total)).sum()
        } else {
            let mut ranges: Vec<_> = self.gradient.chunks_mut(RANGE).map(|total| (total, 0.0)).collect();
            self.threads.for_each(&mut ranges, |i, (total, squares)| *squares = part_of(i, total));
            ranges.iter().map(|(_, squares)| squares).sum()
        };
        (loss, squares.sqrt())
    }
}

/// The workspace of training steps on one graph. Nothing is allocated inside a step.
#[derive(Debug)]
pub struct Step {
    spread: Spread<Frame>,
    graph: Arc<Graph>,
    prepared: Vec<f32>,
}

impl Step {
    /// A workspace for batches of any size. `mask` is the layout's gradient mask.
    pub fn new(graph: &Arc<Graph>, parameters: usize, mask: Option<&[f32]>, simd: Simd, threads: &Threads) -> Self {
        let spread = Spread::new(parameters, mask, graph.chunk_rows(), simd, threads);
        Self { spread, graph: Arc::clone(graph), prepared: Vec::new() }
    }

    /// The gradient of the last step, over the whole batch.
    pub fn gradient(&self) -> &[f32] {
        self.spread.gradient()
    }

    /// *Fused* schedule, for losses that are sums over rows: each chunk runs forward, `loss`, backward while it is in cache.
    ///
    /// `fill(rows, frame)` writes the inputs of these rows of the batch; `loss(rows, frame)` reads the outputs, writes their
    /// gradients (zero in padding lanes) and returns the chunk's part of the loss. Returns the loss and the gradient's norm.
    pub fn fused(
        &mut self,
        params: &[f32],
        rows: usize,
        fill: impl Fn(Range<usize>, &mut Frame) + Sync,
        loss: impl Fn(Range<usize>, &mut Frame) -> f64 + Sync,
    ) -> (f64, f64) {
        self.graph.prepare(self.spread.simd, &self.spread.threads, params, &mut self.prepared);
        let (simd, graph, prepared) = (self.spread.simd, &self.graph, &self.prepared[..]);
        self.spread.run(
            rows,
            || Frame::new(graph, Purpose::Train, graph.chunk_rows()),
            |range, frame, gradient| {
                frame.begin(range.len());
                fill(range.clone(), frame);
                frame.forward_prepared(simd, params, prepared);
                let part = loss(range, frame);
                frame.backward_prepared(simd, params, prepared, Some(gradient));
                part
            },
        )
    }

    /// *Split* schedule, for losses that couple rows: all chunks forward, then `loss` over the batch, then all chunks backward.
    ///
    /// `loss` gets the frames in the order of [`chunks_of`] with the graph's [`Graph::chunk_rows`], reads their outputs and writes the outputs' gradients.
    pub fn split(
        &mut self,
        params: &[f32],
        rows: usize,
        fill: impl Fn(Range<usize>, &mut Frame) + Sync,
        loss: impl FnOnce(&mut [&mut Frame]) -> f64,
    ) -> (f64, f64) {
        let ranges: Vec<_> = chunks_of(rows, self.spread.chunk_rows).collect();
        let graph = &self.graph;
        self.spread.provide(ranges.len(), || Frame::new(graph, Purpose::Train, graph.chunk_rows()));
        self.graph.prepare(self.spread.simd, &self.spread.threads, params, &mut self.prepared);
        let (simd, prepared) = (self.spread.simd, &self.prepared[..]);
        let max_slots = self.spread.max_slots;
        let slots = &mut self.spread.slots[..ranges.len()];
        self.spread.threads.for_each(slots, |c, slot| {
            slot.workspace.begin(ranges[c].len());
            fill(ranges[c].clone(), &mut slot.workspace);
            slot.workspace.forward_prepared(simd, params, prepared);
        });
        let total = loss(&mut slots.iter_mut().map(|s| &mut s.workspace).collect::<Vec<_>>());
        // Neighbouring chunks share a gradient buffer, so that few are added up in the end.
        let per_group = ranges.len().div_ceil(max_slots);
        let mut groups: Vec<_> = slots.chunks_mut(per_group).collect();
        self.spread.threads.for_each(&mut groups, |_, group| {
            let mut gradient = std::mem::take(&mut group[0].gradient);
            gradient.fill(0.0);
            group.iter_mut().for_each(|slot| slot.workspace.backward_prepared(simd, params, prepared, Some(&mut gradient)));
            group[0].gradient = gradient;
        });
        slots.iter_mut().for_each(|slot| slot.loss = 0.0);
        let (_, norm) = self.spread.reduce(ranges.len().div_ceil(per_group), per_group);
        (total, norm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_the_rows_once_and_are_balanced() {
        for rows in [1, 15, 16, 17, 64, 65, 200, 1000, 4096] {
            for most in [1, 2, 8, 16, 64] {
                let all: Vec<_> = chunks_of(rows, most).collect();
                assert_eq!(all[0].start, 0);
                assert_eq!(all.last().map(|r| r.end), Some(rows));
                assert!(all.windows(2).all(|w| w[0].end == w[1].start));
                assert!(all.iter().all(|r| !r.is_empty() && r.len() <= most), "{rows}: {all:?}");
            }
        }
        assert_eq!(chunks(200).map(|r| r.len()).collect::<Vec<_>>(), [48, 48, 48, 56]);
    }
}

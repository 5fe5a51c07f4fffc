//! One batch through a graph: chunks of rows over threads, gradients added up in a fixed order.

use crate::adam::RANGE;
use crate::frame::{Frame, Purpose};
use crate::graph::Graph;
use abduce_kernels::{LANES, Simd, Threads};
use std::ops::Range;
use std::sync::Arc;

/// Rows that a worker takes through forward and backward at once: small enough that all values of a small flow stay in the
/// second-level cache, large enough that weights are reused (four vectors of sixteen rows fill a tile of the matrix product).
pub const CHUNK_ROWS: usize = 64;

/// Most gradient buffers of one step; longer batches give each several chunks.
const MAX_SLOTS: usize = 16;

/// How many rows of which chunk: `rows` rows cut into chunks of nearly equal numbers of whole vectors. Depends on `rows` alone,
/// so results do not depend on the threads.
pub fn chunks(rows: usize) -> impl ExactSizeIterator<Item = Range<usize>> + Clone {
    let vectors = rows.div_ceil(LANES);
    let count = rows.div_ceil(CHUNK_ROWS);
    (0..count).map(move |c| {
        let at = |c: usize| (c * vectors / count * LANES).min(rows);
        at(c)..at(c + 1)
    })
}

#[derive(Debug)]
struct Slot {
    frame: Frame,
    gradient: Vec<f32>,
    loss: f64,
}

/// The workspace of training steps on one graph. Nothing is allocated inside a step.
#[derive(Debug)]
pub struct Step {
    simd: Simd,
    threads: Threads,
    slots: Vec<Slot>,
    gradient: Vec<f32>,
    mask: Option<Vec<f32>>,
    graph: Arc<Graph>,
}

impl Step {
    /// A workspace for batches of any size. `mask` is the layout's gradient mask.
    pub fn new(graph: &Arc<Graph>, parameters: usize, mask: Option<&[f32]>, simd: Simd, threads: &Threads) -> Self {
        Self {
            simd,
            threads: threads.clone(),
            slots: Vec::new(),
            gradient: vec![0.0; parameters],
            mask: mask.map(<[f32]>::to_vec),
            graph: Arc::clone(graph),
        }
    }

    /// The gradient of the last step, over the whole batch.
    pub fn gradient(&self) -> &[f32] {
        &self.gradient
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
        let chunks = chunks(rows);
        let slots = chunks.len().min(MAX_SLOTS);
        self.provide(slots);
        let (simd, count) = (self.simd, chunks.len());
        self.threads.for_each(&mut self.slots[..slots], |s, slot| {
            slot.gradient.fill(0.0);
            slot.loss = 0.0;
            for range in chunks.clone().skip(s * count / slots).take((s + 1) * count / slots - s * count / slots) {
                slot.frame.begin(range.len());
                fill(range.clone(), &mut slot.frame);
                slot.frame.forward(simd, params);
                slot.loss += loss(range, &mut slot.frame);
                slot.frame.backward(simd, params, Some(&mut slot.gradient));
            }
        });
        self.reduce(slots)
    }

    /// *Split* schedule, for losses that couple rows: all chunks forward, then `loss` over the batch, then all chunks backward.
    ///
    /// `loss` gets the frames in the order of [`chunks`], reads their outputs and writes the outputs' gradients.
    pub fn split(
        &mut self,
        params: &[f32],
        rows: usize,
        fill: impl Fn(Range<usize>, &mut Frame) + Sync,
        loss: impl FnOnce(&mut [&mut Frame]) -> f64,
    ) -> (f64, f64) {
        let ranges: Vec<_> = chunks(rows).collect();
        self.provide(ranges.len());
        let simd = self.simd;
        let slots = &mut self.slots[..ranges.len()];
        self.threads.for_each(slots, |c, slot| {
            slot.frame.begin(ranges[c].len());
            fill(ranges[c].clone(), &mut slot.frame);
            slot.frame.forward(simd, params);
        });
        let total = loss(&mut slots.iter_mut().map(|s| &mut s.frame).collect::<Vec<_>>());
        self.threads.for_each(slots, |_, slot| {
            slot.gradient.fill(0.0);
            slot.loss = 0.0;
            slot.frame.backward(simd, params, Some(&mut slot.gradient));
        });
        let (_, norm) = self.reduce(ranges.len());
        (total, norm)
    }

    fn provide(&mut self, slots: usize) {
        while self.slots.len() < slots {
            self.slots.push(Slot {
                frame: Frame::new(&self.graph, Purpose::Train, CHUNK_ROWS),
                gradient: vec![0.0; self.gradient.len()],
                loss: 0.0,
            });
        }
    }

    fn reduce(&mut self, slots: usize) -> (f64, f64) {
        let loss = self.slots[..slots].iter().map(|s| s.loss).sum();
        let mut parts: [&[f32]; MAX_SLOTS] = [&[]; MAX_SLOTS];
        let squares: f64 = if slots <= MAX_SLOTS {
            for (part, slot) in parts.iter_mut().zip(&self.slots[..slots]) {
                *part = &slot.gradient;
            }
            let (simd, mask) = (self.simd, self.mask.as_deref());
            let parts = &parts[..slots];
            let part_of = |i: usize, total: &mut [f32]| {
                let start = i * RANGE;
                simd.reduce(parts, start, mask.map(|m| &m[start..start + total.len()]), total)
            };
            if self.gradient.len() <= 2 * RANGE {
                self.gradient.chunks_mut(RANGE).enumerate().map(|(i, total)| part_of(i, total)).sum()
            } else {
                let mut ranges: Vec<_> = self.gradient.chunks_mut(RANGE).map(|total| (total, 0.0)).collect();
                self.threads.for_each(&mut ranges, |i, (total, squares)| *squares = part_of(i, total));
                ranges.iter().map(|(_, squares)| squares).sum()
            }
        } else {
            let parts: Vec<&[f32]> = self.slots[..slots].iter().map(|s| s.gradient.as_slice()).collect();
            self.simd.reduce(&parts, 0, self.mask.as_deref(), &mut self.gradient)
        };
        (loss, squares.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_the_rows_once_and_are_balanced() {
        for rows in [1, 15, 16, 17, 64, 65, 200, 1000, 4096] {
            let all: Vec<_> = chunks(rows).collect();
            assert_eq!(all[0].start, 0);
            assert_eq!(all.last().map(|r| r.end), Some(rows));
            assert!(all.windows(2).all(|w| w[0].end == w[1].start));
            assert!(all.iter().all(|r| !r.is_empty() && r.len() <= CHUNK_ROWS), "{rows}: {all:?}");
        }
        assert_eq!(chunks(200).map(|r| r.len()).collect::<Vec<_>>(), [48, 48, 48, 56]);
    }
}

//! Forward passes over many rows.

use crate::frame::{Frame, Purpose};
use crate::graph::Graph;
use abduce_kernels::{Simd, Threads};
use std::ops::Range;
use std::sync::Arc;

/// Where arithmetic runs: an instruction set and a crew of threads.
#[derive(Clone, Debug)]
pub struct Compute {
    /// The instruction set.
    pub simd: Simd,
    /// The threads.
    pub threads: Threads,
}

impl Compute {
    /// The best instruction set with this many threads.
    pub fn with_threads(count: usize) -> Self {
        Self { simd: Simd::best(), threads: Threads::new(count) }
    }

    /// The same instruction set on the calling thread alone.
    pub const fn single(&self) -> Self {
        Self { simd: self.simd, threads: Threads::single() }
    }
}

/// Runs `graph` forward over `out.len() / width` rows in chunks: `fill(rows, frame)` writes the inputs of these rows, `read(rows, frame,
/// part)` copies results into their part of `out` (width per row). Each row's result is independent of chunks and threads.
pub fn evaluate(
    graph: &Arc<Graph>,
    compute: &Compute,
    params: &[f32],
    (out, width): (&mut [f32], usize),
    fill: impl Fn(Range<usize>, &mut Frame) + Sync,
    read: impl Fn(Range<usize>, &Frame, &mut [f32]) + Sync,
) {
    let size = graph.chunk_rows();
    let chunks: Vec<(Range<usize>, &mut [f32])> = {
        let rows = out.len() / width;
        let bounds = (0..rows).step_by(size).map(|a| a..(a + size).min(rows));
        bounds.zip(out.chunks_mut(size * width)).collect()
    };
    let mut prepared = Vec::new();
    graph.prepare(compute.simd, &compute.threads, params, &mut prepared);
    // A few segments per thread, each with one frame: enough to even out, few enough to allocate little.
    let per_segment = chunks.len().div_ceil(4 * compute.threads.count()).max(1);
    let mut chunks = chunks;
    let mut segments: Vec<_> = chunks.chunks_mut(per_segment).collect();
    compute.threads.for_each(&mut segments, |_, segment| {
        let mut frame = Frame::new(graph, Purpose::Evaluate, size);
        for (rows, part) in segment.iter_mut() {
            frame.begin(rows.len());
            fill(rows.clone(), &mut frame);
            frame.forward_prepared(compute.simd, params, &prepared);
            read(rows.clone(), &frame, part);
        }
    });
}

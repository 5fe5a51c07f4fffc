//! Blocked brute force: an f32 product proposes, f64 decides.
//!
//! For queries q and points x, |x|² - 2 q·x orders the points by distance. It is one matrix product: the points of a block are stored
//! column by column with |x|² as one row more, queries as (-2 q, 1). Of each row of the product the values below a limit are picked out.
//! The product's rounding error is at most e = (D + 3) 2^-23 (|q| + max|x|)², so whoever is among the k nearest has a value of at most
//! the k-th smallest plus 2 e: those are kept, and their f64 distances decide.

use super::{Task, closer};
use crate::cloud::Cloud;
use abduce_kernels::Simd;
use abduce_kernels::gemm::{Into, Left, MatMul};

/// Points per block: with 50 columns a block takes 200 kB, and so does the product with 48 queries; both stay in the second-level cache.
const POINTS: usize = 1024;

pub(super) struct Blocks {
    dims: usize,
    rows: usize,
    /// Block after block, each (dims + 1, width).
    values: Vec<f32>,
    longest: f64,
}

/// Scratch of one task.
struct Scratch {
    queries: Vec<f32>,
    product: Vec<f32>,
}

impl Blocks {
    pub(super) fn new(cloud: &Cloud) -> Self {
        let (rows, dims) = (cloud.rows(), cloud.dims());
        let mut values = vec![0.0f32; rows * (dims + 1)];
        let mut longest = 0.0f64;
        for (b, block) in values.chunks_mut(POINTS * (dims + 1)).enumerate() {
            let width = block.len() / (dims + 1);
            for column in 0..width {
                let point = cloud.point(b * POINTS + column);
                for (k, v) in point.iter().enumerate() {
                    block[k * width + column] = *v as f32;
                }
                let square: f64 = point.iter().map(|v| v * v).sum();
                longest = longest.max(square);
                block[dims * width + column] = square as f32;
            }
        }
        Self { dims, rows, values, longest: longest.sqrt() }
    }

    fn error_bound(&self, length: f64) -> f64 {
        (self.dims + 3) as f64 * f64::from(f32::EPSILON) * (length + self.longest).powi(2)
    }

    fn scratch(&self, cloud: &Cloud, queries: &[u32]) -> Scratch {
        let mut left = Vec::with_capacity(queries.len() * (self.dims + 1));
        for &query in queries {
            left.extend(cloud.point(query as usize).iter().map(|v| -2.0 * *v as f32));
            left.push(1.0);
        }
        Scratch { queries: left, product: vec![0.0; queries.len() * POINTS] }
    }

    /// Calls `visit(query number, first point, row of |x|² - 2 q·x)` for every query and block.
    fn products(&self, simd: Simd, queries: usize, scratch: &mut Scratch, mut visit: impl FnMut(usize, u32, &[f32])) {
        let depth = self.dims + 1;
        for (b, block) in self.values.chunks(POINTS * depth).enumerate() {
            let width = block.len() / depth;
            let left = Left { data: &scratch.queries, row_stride: depth, depth_stride: 1 };
            let shape = MatMul { rows: queries, cols: width, depth };
            simd.matmul_strided(shape, left, block, width, &mut scratch.product, POINTS, Into::Overwrite);
            for q in 0..queries {
                visit(q, (b * POINTS) as u32, &scratch.product[q * POINTS..q * POINTS + width]);
            }
        }
    }

    pub(super) fn nearest(&self, cloud: &Cloud, k: usize, simd: Simd, task: &mut Task<'_>) {
        let mut scratch = self.scratch(cloud, task.queries);
        let mut kept: Vec<Kept> = task
            .queries
            .iter()
            .map(|&query| {
                let length = cloud.point(query as usize).iter().map(|v| v * v).sum::<f64>().sqrt();
                Kept { hits: Vec::with_capacity(4 * k + POINTS), limit: f32::INFINITY, slack: 2.0 * self.error_bound(length), trigger: 0 }
            })
            .collect();
        self.products(simd, task.queries.len(), &mut scratch, |q, first, row| {
            let kept = &mut kept[q];
            simd.select_below(row, kept.limit, first, &mut kept.hits);
            if kept.hits.len() > kept.trigger {
                // The query itself is among the hits, so the k nearest others are among the k + 1 nearest.
                kept.tighten(k + 1);
            }
        });
        let mut exact: Vec<(f64, u32)> = Vec::new();
        for (q, kept) in kept.iter_mut().enumerate() {
            kept.tighten(k + 1);
            let query = task.queries[q];
            exact.clear();
            let others = kept.hits.iter().filter(|(_, point)| *point != query);
            exact.extend(others.map(|(_, point)| (cloud.squared_distance(query as usize, *point as usize), *point)));
            exact.select_nth_unstable_by(k - 1, closer);
            exact.truncate(k);
            exact.sort_unstable_by(closer);
            for (slot, (square, point)) in exact.iter().enumerate() {
                task.distances[q * k + slot] = square.sqrt();
                task.indices[q * k + slot] = *point;
            }
        }
    }

    pub(super) fn count_within<const R: usize>(&self, cloud: &Cloud, radii: &[f64; R], simd: Simd, queries: &[u32]) -> [u64; R] {
        let mut scratch = self.scratch(cloud, queries);
        let mut counts = [0; R];
        let mut hits = Vec::with_capacity(POINTS.min(self.rows));
        let squares: Vec<f64> = queries.iter().map(|&q| cloud.point(q as usize).iter().map(|v| v * v).sum()).collect();
        let largest = radii.iter().fold(0.0f64, |m, r| m.max(*r));
        self.products(simd, queries.len(), &mut scratch, |q, first, row| {
            let error = self.error_bound(squares[q].sqrt());
            hits.clear();
            simd.select_below(row, above(largest * largest - squares[q] + error), first, &mut hits);
            for &(value, point) in hits.iter().filter(|(_, point)| *point != queries[q]) {
                let rough = f64::from(value) + squares[q];
                for (count, radius) in counts.iter_mut().zip(radii) {
                    let margin = rough - radius * radius;
                    let within = if margin.abs() > 2.0 * error {
                        margin < 0.0
                    } else {
                        cloud.squared_distance(queries[q] as usize, point as usize).sqrt() < *radius
                    };
                    *count += u64::from(within);
                }
            }
        });
        counts
    }
}

/// Candidates of one query.
struct Kept {
    hits: Vec<(f32, u32)>,
    limit: f32,
    slack: f64,
    trigger: usize,
}

impl Kept {
    /// Keeps what may be among the `count` smallest.
    fn tighten(&mut self, count: usize) {
        if self.hits.len() > count {
            let (_, kth, _) = self.hits.select_nth_unstable_by(count - 1, |a, b| a.0.total_cmp(&b.0));
            self.limit = above(f64::from(kth.0) + self.slack);
            self.hits.retain(|hit| hit.0 < self.limit);
        }
        self.trigger = 2 * self.hits.len() + 32;
    }
}

/// An f32 above `value`.
fn above(value: f64) -> f32 {
    (value as f32).next_up().next_up()
}

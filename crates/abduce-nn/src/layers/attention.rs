//! Scaled dot-product attention between the positions of two tensors.

use crate::graph::GraphBuilder;
use crate::layer::{Backward, Form, Forward, Layer};
use crate::layers::conv::{Conv, ShapeError};
use crate::layers::grid::Grid;
use abduce_kernels::Simd;
use abduce_kernels::elementwise::Update;
use abduce_kernels::gemm::{Into, Left, MatMul};

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// All of them.
    All,
    /// Those at its own position and before: an autoregressive sequence.
    Past,
}

/// o_i = Σ_j softmax_j(q_i · k_j/√d) v_j per head (Vaswani et al. 2017, arXiv:1706.03762, equation 1); inputs q (n, heads · d), k and v (m, heads · d).
///
/// Only the logarithm of each softmax's normalisation is kept for the backward pass, which computes the weights again block by block, so memory
/// grows with n + m.
#[derive(Clone, Debug)]
pub struct Attention {
    heads: usize,
    width: usize,
    queries: usize,
    keys: usize,
    sight: Sight,
}

/// Queries that are taken at once.
const BLOCK: usize = 64;

impl Attention {
    /// Adds multi-head attention with its four linear maps: `name.query`, `name.key`, `name.value` and `name.out`. Self-attention where `x` and `from`
    /// are the same tensor.
    ///
    /// # Errors
    /// The heads don't divide the channels.
    pub fn apply(g: &mut GraphBuilder<'_>, name: &str, x: &Grid, from: &Grid, heads: usize, sight: Sight) -> Result<Grid, ShapeError> {
        let channels = x.channels;
        if heads == 0 || !channels.is_multiple_of(heads) {
            return Err(ShapeError::Groups { layer: name.to_owned(), groups: heads, channels });
        }
        g.scoped(name, |g| {
            let linear = Conv::new(channels, 1);
            let (q, k, v) = (linear.apply(g, "query", x)?, linear.apply(g, "key", from)?, linear.apply(g, "value", from)?);
            let layer = Self { heads, width: channels, queries: x.positions(), keys: from.positions(), sight };
            let out = x.with(g.apply(layer, &[q.value, k.value, v.value]));
            linear.apply(g, "out", &out)
        })
    }

    const fn head(&self) -> usize {
        self.width / self.heads
    }

    /// Scores q kᵀ/√d of a block of queries against all keys, with `transposed` = kᵀ (d, keys).
    fn scores(&self, simd: Simd, q: &[f32], first: usize, count: usize, transposed: &[f32], scores: &mut [f32]) {
        let shape = MatMul { rows: count, cols: self.keys, depth: self.head() };
        let left = Left { data: &q[first * self.width..], row_stride: self.width, depth_stride: 1 };
        simd.matmul_strided(shape, left, transposed, self.keys, scores, self.keys, Into::Overwrite);
        let scale = 1.0 / (self.head() as f32).sqrt();
        for (i, row) in scores[..count * self.keys].chunks_exact_mut(self.keys).enumerate() {
            let seen = self.seen(first + i);
            simd.vectorise(
                #[inline(always)]
                || row.iter_mut().for_each(|s| *s *= scale),
            );
            row[seen..].fill(f32::NEG_INFINITY);
        }
    }

    fn seen(&self, query: usize) -> usize {
        match self.sight {
            Sight::All => self.keys,
            Sight::Past => (query + 1).min(self.keys),
        }
    }
}

/// Largest element, in sixteen strands.
fn largest(simd: Simd, row: &[f32]) -> f32 {
    simd.vectorise(
        #[inline(always)]
        || {
            let mut most = [f32::NEG_INFINITY; 16];
            let (whole, rest) = row.as_chunks::<16>();
            for block in whole {
                (0..16).for_each(|l| most[l] = if block[l] > most[l] { block[l] } else { most[l] });
            }
            most.iter().chain(rest).fold(f32::NEG_INFINITY, |m, &v| if v > m { v } else { m })
        },
    )
}

/// Σ a b, in sixteen strands.
fn dot(simd: Simd, a: &[f32], b: &[f32]) -> f32 {
    simd.vectorise(
        #[inline(always)]
        || {
            let mut sums = [0.0f32; 16];
            let ((whole_a, rest_a), (whole_b, rest_b)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
            for (a, b) in whole_a.iter().zip(whole_b) {
                (0..16).for_each(|l| sums[l] += a[l] * b[l]);
            }
            sums.iter().sum::<f32>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f32>()
        },
    )
}

/// Σ of a row, in sixteen strands.
fn total(simd: Simd, row: &[f32]) -> f32 {
    simd.vectorise(
        #[inline(always)]
        || {
            let mut sums = [0.0f32; 16];
            let (whole, rest) = row.as_chunks::<16>();
            for block in whole {
                (0..16).for_each(|l| sums[l] += block[l]);
            }
            sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
        },
    )
}

impl Layer for Attention {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        vec![inputs[0]]
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert_eq!(inputs, [Form::Rows; 3], "attention takes tensors");
        Form::Rows
    }

    fn has_parameters(&self) -> bool {
        false
    }

    /// The logarithm of Σ_j exp(q_i · k_j/√d) per head and query.
    fn saved_per_row(&self) -> usize {
        self.heads * self.queries
    }

    /// Forward: kᵀ and a block of scores; backward: kᵀ, vᵀ, weights and their gradients.
    fn scratch_len(&self) -> usize {
        2 * self.head() * self.keys + 2 * BLOCK.min(self.queries) * self.keys
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (w, d, n, m, simd) = (self.width, self.head(), self.queries, self.keys, at.simd);
        let (transposed, scores) = at.scratch.split_at_mut(d * m);
        for r in 0..at.rows {
            let (q, k, v) = (&at.inputs.get(0)[r * n * w..], &at.inputs.get(1)[r * m * w..], &at.inputs.get(2)[r * m * w..]);
            let out = &mut at.outputs[0][r * n * w..(r + 1) * n * w];
            for head in 0..self.heads {
                let column = head * d;
                simd.transpose(&k[column..], (m, d), w, transposed, m);
                for first in (0..n).step_by(BLOCK) {
                    let count = (n - first).min(BLOCK);
                    self.scores(simd, &q[column..], first, count, transposed, scores);
                    for (i, row) in scores[..count * m].chunks_exact_mut(m).enumerate() {
                        let seen = self.seen(first + i);
                        let shift = largest(simd, &row[..seen]);
                        simd.vectorise(
                            #[inline(always)]
                            || row[..seen].iter_mut().for_each(|s| *s -= shift),
                        );
                        simd.exp_in_place(&mut row[..seen]);
                        row[seen..].fill(0.0);
                        let sum = total(simd, &row[..seen]);
                        let scale = 1.0 / sum;
                        simd.vectorise(
                            #[inline(always)]
                            || row[..seen].iter_mut().for_each(|s| *s *= scale),
                        );
                        at.saved[(r * self.heads + head) * n + first + i] = shift + sum.ln();
                    }
                    let shape = MatMul { rows: count, cols: d, depth: m };
                    let left = Left { data: scores, row_stride: m, depth_stride: 1 };
                    simd.matmul_strided(shape, left, &v[column..], w, &mut out[first * w + column..], w, Into::Overwrite);
                }
            }
        }
    }

    /// With weights P and g the gradient by o: dV = Pᵀ g, dP = g Vᵀ, dS = P ∘ (dP - rowsum(g ∘ o)), dQ = dS K/√d, dK = dSᵀ Q/√d.
    fn backward(&self, at: &mut Backward<'_>) {
        let (w, d, n, m, simd) = (self.width, self.head(), self.queries, self.keys, at.simd);
        for slot in at.grad_inputs.iter_mut().flatten() {
            if slot.update == Update::Overwrite {
                slot.data.fill(0.0);
            }
        }
        let scale = 1.0 / (d as f32).sqrt();
        let (k_transposed, rest) = at.scratch.split_at_mut(d * m);
        let (v_transposed, rest) = rest.split_at_mut(d * m);
        let (weights, gradients) = rest.split_at_mut(BLOCK.min(n) * m);
        let [by_q, by_k, by_v] = at.grad_inputs else { return };
        for r in 0..at.rows {
            let (q, k, v) = (&at.inputs.get(0)[r * n * w..], &at.inputs.get(1)[r * m * w..], &at.inputs.get(2)[r * m * w..]);
            let (out, grad) = (&at.outputs.get(0)[r * n * w..], &at.grad_outputs.get(0)[r * n * w..]);
            for head in 0..self.heads {
                let column = head * d;
                simd.transpose(&k[column..], (m, d), w, k_transposed, m);
                simd.transpose(&v[column..], (m, d), w, v_transposed, m);
                for first in (0..n).step_by(BLOCK) {
                    let count = (n - first).min(BLOCK);
                    self.scores(simd, &q[column..], first, count, k_transposed, weights);
                    for (i, row) in weights[..count * m].chunks_exact_mut(m).enumerate() {
                        let (seen, log_sum) = (self.seen(first + i), at.saved[(r * self.heads + head) * n + first + i]);
                        simd.vectorise(
                            #[inline(always)]
                            || row[..seen].iter_mut().for_each(|s| *s -= log_sum),
                        );
                        simd.exp_in_place(&mut row[..seen]);
                        row[seen..].fill(0.0);
                    }
                    let own = first * w + column;
                    if let Some(slot) = by_v {
                        let shape = MatMul { rows: m, cols: d, depth: count };
                        let left = Left { data: weights, row_stride: 1, depth_stride: m };
                        simd.matmul_strided(shape, left, &grad[own..], w, &mut slot.data[r * m * w + column..], w, Into::Accumulate);
                    }
                    let shape = MatMul { rows: count, cols: m, depth: d };
                    let left = Left { data: &grad[own..], row_stride: w, depth_stride: 1 };
                    simd.matmul_strided(shape, left, v_transposed, m, gradients, m, Into::Overwrite);
                    for (i, (row, p)) in gradients[..count * m].chunks_exact_mut(m).zip(weights.chunks_exact(m)).enumerate() {
                        let at = (first + i) * w + column;
                        let level = dot(simd, &grad[at..at + d], &out[at..at + d]);
                        simd.vectorise(
                            #[inline(always)]
                            || row.iter_mut().zip(p).for_each(|(g, p)| *g = p * (*g - level) * scale),
                        );
                    }
                    if let Some(slot) = by_q {
                        let shape = MatMul { rows: count, cols: d, depth: m };
                        let left = Left { data: gradients, row_stride: m, depth_stride: 1 };
                        simd.matmul_strided(shape, left, &k[column..], w, &mut slot.data[r * n * w + own..], w, Into::Accumulate);
                    }
                    if let Some(slot) = by_k {
                        let shape = MatMul { rows: m, cols: d, depth: count };
                        let left = Left { data: gradients, row_stride: 1, depth_stride: m };
                        simd.matmul_strided(shape, left, &q[own..], w, &mut slot.data[r * m * w + column..], w, Into::Accumulate);
                    }
                }
            }
        }
    }
}

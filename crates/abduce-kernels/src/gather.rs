//! Matrix products whose left operand is gathered: convolutions in any dimension, with any stride and border, and linear maps of every
//! position of an image or a sequence, without a copy of the patches.
//!
//! A tensor lies with its channels last. Then element (i, k) of the matrix of patches is `data[rows[i] + depth[k]]`: one table of offsets
//! says where the positions are, another where the taps and channels of a patch are. Three products make a convolution:
//!
//! | product | left, gathered | rows | depth | right |
//! |---|---|---|---|---|
//! | y (positions, out) | x | positions | taps · in | W (taps · in, out) |
//! | dx (positions, in) | dy | positions | taps · out | Wᵀ (taps · out, in) |
//! | dW (taps · in, out) | x | taps · in | positions | dy (positions, out) |
//!
//! As in [`gemm`](crate::gemm) a tile of the result stays in registers while single elements of the left operand are broadcast. The depth is cut
//! into blocks so that what a column panel reads of the right operand stays in the cache. Every element of the result is summed in the
//! order of the depth, whatever the tiles, blocks and neighbours are.

use crate::lanes::{LANES, Lanes};
use crate::simd::{Simd, dispatch};
use crate::tile::{for_each_tile, load_row, store_row};

/// The left operand: element (i, k) is `data[rows[i] + depth[k]]`.
#[derive(Clone, Copy, Debug)]
pub struct Gathered<'a> {
    /// The elements.
    pub data: &'a [f32],
    /// Offset of each row.
    pub rows: &'a [u32],
    /// Offset of each step along the depth.
    pub depth: &'a [u32],
}

/// The right operand (depth, cols).
#[derive(Clone, Copy, Debug)]
pub enum Right<'a> {
    /// Row k begins at `k · stride`.
    Strided {
        /// The elements.
        data: &'a [f32],
        /// Distance between rows.
        stride: usize,
    },
    /// Panels of [`PANEL`] columns, one after the other, each dense (the last one narrower): see [`Simd::pack`].
    Panels(&'a [f32]),
}

/// What the product is added to.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Nothing: it replaces the destination.
    Zero,
    /// The destination.
    Destination,
    /// This value per column.
    Bias(&'a [f32]),
}

/// Columns of a packed panel.
pub const PANEL: usize = 64;

/// Steps of the depth that a panel takes at once: 256 rows of 64 columns are 64 KiB.
const BLOCK: usize = 256;

/// Elements of a column panel that stay in the second-level cache. Below, rows are taken in groups, each through the whole depth, so that what they read
/// of the left operand and write stays near too; a longer panel is read once for all rows instead.
const NEAR: usize = 64 * 1024;

/// Rows of a group.
const GROUP: usize = 96;

impl Simd {
    /// Row i of the result is written to `out[targets[i]..targets[i] + cols]`.
    ///
    /// # Panics
    /// If an operand is shorter than its tables and shape demand, there is not one target per row or one bias per column.
    pub fn gathered_matmul(self, left: Gathered<'_>, right: Right<'_>, cols: usize, out: &mut [f32], targets: &[u32], start: Start<'_>) {
        if left.rows.is_empty() || cols == 0 {
            return;
        }
        let largest = |table: &[u32]| table.iter().fold(0, |m, &o| m.max(o)) as usize;
        assert_eq!(left.rows.len(), targets.len(), "gathered_matmul: one target per row");
        assert!(largest(targets) + cols <= out.len(), "gathered_matmul: destination too short");
        if let Start::Bias(bias) = start {
            assert_eq!(bias.len(), cols, "gathered_matmul: one bias per column");
        }
        let depth = left.depth.len();
        if depth > 0 {
            assert!(largest(left.rows) + largest(left.depth) < left.data.len(), "gathered_matmul: left operand too short");
            let fits = match right {
                Right::Strided { data, stride } => data.len() >= (depth - 1) * stride + cols,
                Right::Panels(data) => data.len() >= depth * cols,
            };
            assert!(fits, "gathered_matmul: right operand too short");
        }
        let (left, right, start, out) = (&left, &right, &start, out.as_mut_ptr());
        dispatch!(self, product(left: &Gathered<'_>, right: &Right<'_>, cols: usize, out: *mut f32, targets: &[u32], start: &Start<'_>));
    }

    /// Copies `b (depth, cols)`, dense, into panels.
    ///
    /// # Panics
    /// If a slice is shorter than the shape.
    pub fn pack(self, b: &[f32], depth: usize, cols: usize, panels: &mut [f32]) {
        assert!(b.len() >= depth * cols && panels.len() >= depth * cols, "pack: slice too short");
        if cols == 0 {
            return;
        }
        for (q, panel) in panels[..depth * cols].chunks_mut(PANEL * depth.max(1)).enumerate() {
            let width = (cols - q * PANEL).min(PANEL);
            for (to, from) in panel.chunks_exact_mut(width).zip(b.chunks_exact(cols)) {
                to.copy_from_slice(&from[q * PANEL..q * PANEL + width]);
            }
        }
    }

    /// Writes rows `first..first + cols_of_w` of packed panels from the transpose of `w (cols, width)`, dense: row `first + j` of the packed
    /// matrix (depth, cols) is column j of w.
    ///
    /// # Panics
    /// If a slice is shorter than its shape, or the rows end beyond the depth.
    pub fn pack_transposed(self, w: &[f32], cols: usize, width: usize, first: usize, depth: usize, panels: &mut [f32]) {
        assert!(w.len() >= cols * width && panels.len() >= depth * cols && first + width <= depth, "pack_transposed: slice too short");
        for column in (0..cols).step_by(PANEL) {
            let panel = (cols - column).min(PANEL);
            self.transpose(&w[column * width..], (panel, width), width, &mut panels[column * depth + first * panel..], panel);
        }
    }
}

#[inline(always)]
unsafe fn product<S: Lanes>(left: &Gathered<'_>, right: &Right<'_>, cols: usize, out: *mut f32, targets: &[u32], start: &Start<'_>) {
    let depth = left.depth.len();
    let mut column = 0;
    while column < cols {
        // A tile's columns never cross a packed panel: PANEL is a multiple of every tile width.
        let width = (cols - column).min(S::TILE_VECTORS * LANES);
        let (b, stride) = match right {
            Right::Strided { data, stride } => (data.as_ptr().wrapping_add(column), *stride),
            Right::Panels(data) => {
                let panel = column / PANEL * PANEL;
                (data.as_ptr().wrapping_add(panel * depth + column - panel), (cols - panel).min(PANEL))
            }
        };
        let group = if depth * width <= NEAR { GROUP } else { left.rows.len() };
        for (rows, targets) in left.rows.chunks(group).zip(targets.chunks(group)) {
            let mut done = 0;
            loop {
                let block = (depth - done).min(BLOCK);
                let begin = match start {
                    _ if done > 0 => Begin::Destination,
                    Start::Zero => Begin::Zero,
                    Start::Destination => Begin::Destination,
                    Start::Bias(bias) => Begin::Bias(bias.as_ptr().wrapping_add(column)),
                };
                let part = Part {
                    data: left.data.as_ptr(),
                    depth: &left.depth[done..done + block],
                    b: b.wrapping_add(done * stride),
                    stride,
                    out: out.wrapping_add(column),
                    width,
                    begin,
                };
                // SAFETY: the caller checked that all operands cover their shapes.
                unsafe {
                    for_each_tile!(tile::<S>, width, rows.len(), rows, targets, &part);
                }
                done += block;
                if done == depth {
                    break;
                }
            }
        }
        column += width;
    }
}

#[derive(Clone, Copy)]
enum Begin {
    Zero,
    Destination,
    Bias(*const f32),
}

/// A panel of columns and a block of the depth.
struct Part<'a> {
    data: *const f32,
    depth: &'a [u32],
    b: *const f32,
    stride: usize,
    out: *mut f32,
    width: usize,
    begin: Begin,
}

/// R rows by V vectors of the result, held in registers over a block of the depth.
#[inline(always)]
unsafe fn tile<S: Lanes, const R: usize, const V: usize>(row: usize, rows: &[u32], targets: &[u32], part: &Part<'_>) {
    // SAFETY: offsets stay inside the checked operands; the last vector of a panel is read and written partially.
    unsafe {
        let last = part.width - (V - 1) * LANES;
        let (mut x, mut out) = ([part.data; R], [part.out; R]);
        for r in 0..R {
            x[r] = part.data.add(*rows.get_unchecked(row + r) as usize);
            out[r] = part.out.add(*targets.get_unchecked(row + r) as usize);
        }
        let mut acc = [[S::splat(0.0); V]; R];
        match part.begin {
            Begin::Zero => {}
            Begin::Bias(bias) => {
                acc = [load_row::<S, V>(bias, last); R];
            }
            Begin::Destination => {
                for r in 0..R {
                    acc[r] = load_row::<S, V>(out[r], last);
                }
            }
        }
        let mut b = part.b;
        if last == LANES {
            for &offset in part.depth {
                let right = load_row::<S, V>(b, LANES);
                step::<S, R, V>(&mut acc, &x, offset as usize, &right);
                b = b.wrapping_add(part.stride);
            }
        } else {
            for &offset in part.depth {
                let right = load_row::<S, V>(b, last);
                step::<S, R, V>(&mut acc, &x, offset as usize, &right);
                b = b.wrapping_add(part.stride);
            }
        }
        for r in 0..R {
            store_row::<S, V>(out[r], &acc[r], last);
        }
    }
}

#[inline(always)]
unsafe fn step<S: Lanes, const R: usize, const V: usize>(acc: &mut [[S::V; V]; R], x: &[*const f32; R], offset: usize, b: &[S::V; V]) {
    // SAFETY: every row's offset is inside the left operand.
    unsafe {
        for r in 0..R {
            let left = S::splat(*x[r].add(offset));
            for v in 0..V {
                acc[r][v] = S::fma(left, b[v], acc[r][v]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudo(n: usize, salt: u32) -> Vec<f32> {
        (0..n as u32).map(|i| ((i.wrapping_mul(2_654_435_761).wrapping_add(salt * 40_503) >> 8) % 2001) as f32 / 1000.0 - 1.0).collect()
    }

    /// Sums of up to 600 products of numbers of size 1: f32 rounding stays below 600 · 6e-8 · 600^½ ≈ 1e-3, in practice a tenth of it.
    #[test]
    fn products_match_a_plain_f64_loop_for_all_shapes_layouts_and_levels() {
        for simd in Simd::all() {
            for (rows, cols, depth) in [
                (1, 1, 1),
                (5, 16, 3),
                (8, 32, 300),
                (200, 20, 30),
                (13, 48, 27),
                (6, 64, 600),
                (7, 100, 257),
                (20, 130, 40),
                (3, 7, 0),
                (17, 12, 512),
            ] {
                let data = pseudo(2000, 1);
                let table = |n: usize, salt: usize, below: usize| (0..n).map(|i| (i * salt % below) as u32).collect::<Vec<u32>>();
                let (at, along) = (table(rows, 37, 900), table(depth, 53, 1000));
                let targets: Vec<u32> = (0..rows).map(|i| ((rows - 1 - i) * (cols + 3)) as u32).collect();
                let b = pseudo(depth * cols, 2);
                let mut panels = vec![0.0; depth * cols];
                simd.pack(&b, depth, cols, &mut panels);
                let bias = pseudo(cols, 3);
                let before = pseudo(rows * (cols + 3), 4);
                let left = Gathered { data: &data, rows: &at, depth: &along };
                for right in [Right::Strided { data: &b, stride: cols }, Right::Panels(&panels)] {
                    for start in [Start::Zero, Start::Destination, Start::Bias(&bias)] {
                        let mut out = before.clone();
                        simd.gathered_matmul(left, right, cols, &mut out, &targets, start);
                        for i in 0..rows {
                            for j in 0..cols + 3 {
                                let place = targets[i] as usize + j;
                                if j >= cols {
                                    assert_eq!(out[place], before[place], "wrote beyond the row");
                                    continue;
                                }
                                let sum: f64 =
                                    (0..depth).map(|k| f64::from(data[(at[i] + along[k]) as usize]) * f64::from(b[k * cols + j])).sum();
                                let want = sum
                                    + match start {
                                        Start::Zero => 0.0,
                                        Start::Destination => f64::from(before[place]),
                                        Start::Bias(bias) => f64::from(bias[j]),
                                    };
                                assert!((f64::from(out[place]) - want).abs() < 1e-4, "{rows} {cols} {depth} at {simd}: {}", out[place]);
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn transposed_packing_is_packing_of_the_transpose() {
        for simd in Simd::all() {
            let (cols, width, first, depth) = (130, 20, 7, 40);
            let w = pseudo(cols * width, 5);
            let mut plain = vec![0.0; depth * cols];
            for j in 0..width {
                for c in 0..cols {
                    plain[(first + j) * cols + c] = w[c * width + j];
                }
            }
            let (mut want, mut got) = (vec![0.0; depth * cols], vec![0.0; depth * cols]);
            simd.pack(&plain, depth, cols, &mut want);
            simd.pack_transposed(&w, cols, width, first, depth, &mut got);
            assert_eq!(got, want);
        }
    }

    #[test]
    #[should_panic(expected = "left operand too short")]
    fn tables_beyond_the_operand_are_refused() {
        let left = Gathered { data: &[0.0; 4], rows: &[2], depth: &[0, 2] };
        Simd::portable().gathered_matmul(left, Right::Panels(&[0.0; 2]), 1, &mut [0.0], &[0], Start::Zero);
    }
}

//! Small and medium matrix products in f32.
//!
//! One micro-kernel serves the three products of a linear layer on feature-major values, because its left operand is read
//! by broadcasting single elements with free strides:
//!
//! | product | left (broadcast) | right (vectors) |
//! |---|---|---|
//! | y (out, lanes) = W x | W, row-major | x (in, lanes) |
//! | dx (in, lanes) = Wᵀ dy | W, read transposed | dy (out, lanes) |
//! | dW (out, in) = dy xᵀ | dy | xᵀ (lanes, in), see [`transpose`](crate::transpose) |
//!
//! Accumulation order over the depth is fixed by the shapes alone.

use crate::lanes::{LANES, Lanes};
use crate::simd::{Simd, dispatch};
use crate::tile::{for_each_tile, load_row, store_row};

/// Shape of a product: `(rows, depth) · (depth, cols)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMul {
    /// Rows of the left operand and of the result.
    pub rows: usize,
    /// Columns of the right operand and of the result; contiguous in memory.
    pub cols: usize,
    /// The axis that is summed over.
    pub depth: usize,
}

/// What happens to the destination.
#[derive(Clone, Copy, Debug)]
pub enum Into<'a> {
    /// The product replaces it.
    Overwrite,
    /// The product is added to it.
    Accumulate,
    /// Row `i` becomes the product's row plus `bias[i]`.
    Bias(&'a [f32]),
}

/// The left operand: element (i, k) is `data[i * row_stride + k * depth_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Left<'a> {
    /// The elements.
    pub data: &'a [f32],
    /// Distance between rows.
    pub row_stride: usize,
    /// Distance along the depth.
    pub depth_stride: usize,
}

impl Simd {
    /// `c (rows, cols) = a (rows, depth) · b (depth, cols)`, all dense and row-major.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn matmul(self, shape: MatMul, a: &[f32], b: &[f32], c: &mut [f32], into: Into<'_>) {
        let left = Left { data: a, row_stride: shape.depth, depth_stride: 1 };
        self.matmul_strided(shape, left, b, shape.cols, c, shape.cols, into);
    }

    /// `c (rows, cols) = aᵀ · b` with a stored as `(depth, rows)`, b as `(depth, cols)`, both dense and row-major.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn matmul_transposed_left(self, shape: MatMul, a: &[f32], b: &[f32], c: &mut [f32], into: Into<'_>) {
        let left = Left { data: a, row_stride: 1, depth_stride: shape.rows };
        self.matmul_strided(shape, left, b, shape.cols, c, shape.cols, into);
    }

    /// The general form: `b` has rows of stride `b_stride`, `c` of stride `c_stride`.
    ///
    /// # Panics
    /// If a slice is shorter than its shape and strides demand, or the bias is not one value per row.
    pub fn matmul_strided(self, shape: MatMul, a: Left<'_>, b: &[f32], b_stride: usize, c: &mut [f32], c_stride: usize, into: Into<'_>) {
        let MatMul { rows, cols, depth } = shape;
        if rows == 0 || cols == 0 {
            return;
        }
        assert!(c.len() >= (rows - 1) * c_stride + cols, "matmul: destination too short for {shape:?}");
        if depth > 0 {
            assert!(
                a.data.len() > (rows - 1) * a.row_stride + (depth - 1) * a.depth_stride,
                "matmul: left operand too short for {shape:?}"
            );
            assert!(b.len() >= (depth - 1) * b_stride + cols, "matmul: right operand too short for {shape:?}");
        }
        if let Into::Bias(bias) = into {
            assert_eq!(bias.len(), rows, "matmul: one bias per row");
        }
        let (into, c) = (&into, c.as_mut_ptr());
        let b = b.as_ptr();
        let (shape, left) = (&shape, &a);
        dispatch!(self, product(shape: &MatMul, left: &Left<'_>, b: *const f32, b_stride: usize, c: *mut f32, c_stride: usize, into: &Into<'_>));
    }
}

/// Walks over column panels of up to `TILE_VECTORS` vectors, then over row tiles whose height fills the registers.
#[inline(always)]
unsafe fn product<S: Lanes>(shape: &MatMul, a: &Left<'_>, b: *const f32, b_stride: usize, c: *mut f32, c_stride: usize, into: &Into<'_>) {
    let mut column = 0;
    while column < shape.cols {
        let width = (shape.cols - column).min(S::TILE_VECTORS * LANES);
        let panel = Panel { depth: shape.depth, b: b.wrapping_add(column), b_stride, c: c.wrapping_add(column), c_stride, width };
        // SAFETY: the caller checked that all operands cover their shapes.
        unsafe {
            for_each_tile!(tile::<S>, width, shape.rows, a, &panel, into);
        }
        column += width;
    }
}

struct Panel {
    depth: usize,
    b: *const f32,
    b_stride: usize,
    c: *mut f32,
    c_stride: usize,
    width: usize,
}

/// R rows by V vectors of the result, held in registers over the whole depth.
///
/// Plain loops over small constant counts: they unroll, and no closure stands between the intrinsics and the function that
/// has their instruction set enabled.
#[inline(always)]
unsafe fn tile<S: Lanes, const R: usize, const V: usize>(row: usize, a: &Left<'_>, panel: &Panel, into: &Into<'_>) {
    // SAFETY: addresses stay inside the checked operands; the last vector of a panel is read and written partially.
    unsafe {
        let last = panel.width - (V - 1) * LANES;
        let c = panel.c.add(row * panel.c_stride);
        let mut acc = [[S::splat(0.0); V]; R];
        match into {
            Into::Overwrite => {}
            Into::Bias(bias) => {
                for r in 0..R {
                    acc[r] = [S::splat(*bias.get_unchecked(row + r)); V];
                }
            }
            Into::Accumulate => {
                for r in 0..R {
                    acc[r] = load_row::<S, V>(c.add(r * panel.c_stride), last);
                }
            }
        }
        let (left, row_stride, depth_stride) = (a.data.as_ptr().wrapping_add(row * a.row_stride), a.row_stride, a.depth_stride);
        if last == LANES {
            for k in 0..panel.depth {
                let b = load_row::<S, V>(panel.b.add(k * panel.b_stride), LANES);
                step::<S, R, V>(&mut acc, left.add(k * depth_stride), row_stride, &b);
            }
        } else {
            for k in 0..panel.depth {
                let b = load_row::<S, V>(panel.b.add(k * panel.b_stride), last);
                step::<S, R, V>(&mut acc, left.add(k * depth_stride), row_stride, &b);
            }
        }
        for r in 0..R {
            store_row::<S, V>(c.add(r * panel.c_stride), &acc[r], last);
        }
    }
}

#[inline(always)]
unsafe fn step<S: Lanes, const R: usize, const V: usize>(acc: &mut [[S::V; V]; R], a: *const f32, a_stride: usize, b: &[S::V; V]) {
    // SAFETY: R rows of `a` exist.
    unsafe {
        for r in 0..R {
            let left = S::splat(*a.add(r * a_stride));
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
        (0..n as u32)
            .map(|i| ((i.wrapping_mul(2_654_435_761).wrapping_add(salt.wrapping_mul(40_503)) >> 8) % 2001) as f32 / 1000.0 - 1.0)
            .collect()
    }

    /// Products of numbers of size 1 summed over ≤ 70 terms: f32 rounding stays below 70 · 6e-8 · 70^½ ≈ 4e-5.
    #[test]
    fn products_match_a_plain_f64_loop_for_all_shapes_and_levels() {
        for simd in Simd::all() {
            for rows in [1, 2, 3, 5, 6, 7, 8, 13, 50] {
                for cols in [1, 5, 16, 17, 32, 48, 50, 64, 80, 112] {
                    for depth in [0, 1, 3, 50, 70] {
                        let (a, b) = (pseudo(rows * depth, 1), pseudo(depth * cols, 2));
                        let (start, bias) = (pseudo(rows * cols, 3), pseudo(rows, 4));
                        let at =
                            |i: usize, j: usize| (0..depth).map(|k| f64::from(a[i * depth + k]) * f64::from(b[k * cols + j])).sum::<f64>();
                        let transposed: Vec<f32> = (0..depth * rows).map(|p| a[(p % rows) * depth + p / rows]).collect();
                        let shape = MatMul { rows, cols, depth };
                        let check = |c: &[f32], base: &dyn Fn(usize, usize) -> f32, what: &str| {
                            for i in 0..rows {
                                for j in 0..cols {
                                    let want = at(i, j) + f64::from(base(i, j));
                                    assert!((f64::from(c[i * cols + j]) - want).abs() < 5e-5, "{what} {shape:?} at {simd}");
                                }
                            }
                        };
                        let mut c = start.clone();
                        simd.matmul(shape, &a, &b, &mut c, Into::Overwrite);
                        check(&c, &|_, _| 0.0, "overwrite");
                        let mut c = start.clone();
                        simd.matmul(shape, &a, &b, &mut c, Into::Accumulate);
                        check(&c, &|i, j| start[i * cols + j], "accumulate");
                        let mut c = start.clone();
                        simd.matmul_transposed_left(shape, &transposed, &b, &mut c, Into::Bias(&bias));
                        check(&c, &|i, _| bias[i], "bias, transposed");
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "right operand too short")]
    fn short_operands_are_refused() {
        Simd::portable().matmul(MatMul { rows: 2, cols: 16, depth: 3 }, &[0.0; 6], &[0.0; 47], &mut [0.0; 32], Into::Overwrite);
    }
}

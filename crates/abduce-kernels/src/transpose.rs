//! Between row-major rows and feature-major chunks.

use crate::lanes::{LANES, Lanes};
use crate::simd::{Simd, dispatch};

impl Simd {
    /// `out (lanes, width)` = `x (features, lanes)` transposed; columns from `features` to `width` become zero.
    ///
    /// # Panics
    /// If a slice is shorter than its shape, `lanes` or `width` is not a multiple of 16, or `width < features`.
    pub fn rows_from_features(self, x: &[f32], features: usize, lanes: usize, out: &mut [f32], width: usize) {
        assert!(lanes.is_multiple_of(LANES) && width.is_multiple_of(LANES) && width >= features, "transpose: whole vectors only");
        assert!(x.len() >= features * lanes && out.len() >= lanes * width, "transpose: operand too short");
        dispatch!(self, blocks(x: &[f32], features: usize, lanes: usize, out: &mut [f32], width: usize));
    }

    /// `out (cols, rows)` = `x (rows, cols)` transposed, with distances between rows on both sides.
    ///
    /// # Panics
    /// If a slice is shorter than its shape and stride demand, or a stride is shorter than a row.
    pub fn transpose(self, x: &[f32], (rows, cols): (usize, usize), x_stride: usize, out: &mut [f32], out_stride: usize) {
        if rows == 0 || cols == 0 {
            return;
        }
        assert!(x_stride >= cols && out_stride >= rows, "transpose: rows overlap");
        assert!(x.len() >= (rows - 1) * x_stride + cols && out.len() >= (cols - 1) * out_stride + rows, "transpose: operand too short");
        let (x, out, shape) = (x.as_ptr(), out.as_mut_ptr(), (rows, cols));
        dispatch!(self, strided(x: *const f32, shape: (usize, usize), x_stride: usize, out: *mut f32, out_stride: usize));
    }
}

#[inline(always)]
unsafe fn strided<S: Lanes>(x: *const f32, (rows, cols): (usize, usize), x_stride: usize, out: *mut f32, out_stride: usize) {
    // SAFETY: the caller checked both shapes; edges are read and written partially.
    unsafe {
        for r in (0..rows).step_by(LANES) {
            let height = (rows - r).min(LANES);
            for c in (0..cols).step_by(LANES) {
                let width = (cols - c).min(LANES);
                let mut block = [S::splat(0.0); LANES];
                if height == LANES && width == LANES {
                    for i in 0..LANES {
                        block[i] = S::load(x.add((r + i) * x_stride + c));
                    }
                    S::transpose(&mut block);
                    for i in 0..LANES {
                        S::store(out.add((c + i) * out_stride + r), block[i]);
                    }
                } else {
                    for i in 0..height {
                        block[i] = S::load_first(x.add((r + i) * x_stride + c), width);
                    }
                    S::transpose(&mut block);
                    for i in 0..width {
                        S::store_first(out.add((c + i) * out_stride + r), block[i], height);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn blocks<S: Lanes>(x: &[f32], features: usize, lanes: usize, out: &mut [f32], width: usize) {
    // SAFETY: the caller checked both shapes; features beyond the last are zero vectors.
    unsafe {
        for f in (0..width).step_by(LANES) {
            for l in (0..lanes).step_by(LANES) {
                let mut block = [S::splat(0.0); LANES];
                for i in 0..LANES.min(features.saturating_sub(f)) {
                    block[i] = S::load(x.as_ptr().add((f + i) * lanes + l));
                }
                S::transpose(&mut block);
                for i in 0..LANES {
                    S::store(out.as_mut_ptr().add((l + i) * width + f), block[i]);
                }
            }
        }
    }
}

/// `out (features, lanes)` from `rows (n, features)`; lanes beyond `n` become zero.
///
/// # Panics
/// If a slice is shorter than its shape, or `lanes < n`.
pub fn features_from_rows(rows: &[f32], n: usize, features: usize, out: &mut [f32], lanes: usize) {
    assert!(lanes >= n && rows.len() >= n * features && out.len() >= features * lanes, "transpose: operand too short");
    for feature in 0..features {
        let row = &mut out[feature * lanes..(feature + 1) * lanes];
        for lane in 0..n {
            row[lane] = rows[lane * features + feature];
        }
        row[n..].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_transposes_keep_what_is_beside_them() {
        for simd in Simd::all() {
            for (rows, cols) in [(1, 1), (16, 16), (17, 33), (5, 40), (48, 3)] {
                let (x_stride, out_stride) = (cols + 2, rows + 3);
                let x: Vec<f32> = (0..rows * x_stride).map(|i| i as f32).collect();
                let mut out = vec![-1.0; cols * out_stride];
                simd.transpose(&x, (rows, cols), x_stride, &mut out, out_stride);
                for (i, &value) in out.iter().enumerate() {
                    let (c, r) = (i / out_stride, i % out_stride);
                    assert_eq!(value, if r < rows { x[r * x_stride + c] } else { -1.0 });
                }
            }
        }
    }

    #[test]
    fn transposing_there_and_back_is_the_identity_and_pads_with_zeros() {
        let (n, features, lanes, width) = (19, 5, 32, 16);
        let rows: Vec<f32> = (0..n * features).map(|i| i as f32 + 1.0).collect();
        let mut x = vec![7.0; features * lanes];
        features_from_rows(&rows, n, features, &mut x, lanes);
        let mut back = vec![7.0; lanes * width];
        for simd in Simd::all() {
            back.fill(7.0);
            simd.rows_from_features(&x, features, lanes, &mut back, width);
            for lane in 0..lanes {
                for feature in 0..width {
                    let want = if lane < n && feature < features { rows[lane * features + feature] } else { 0.0 };
                    assert_eq!(back[lane * width + feature], want);
                }
            }
        }
    }
}

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

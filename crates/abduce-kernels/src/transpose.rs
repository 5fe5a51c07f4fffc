//! Between row-major rows and feature-major chunks.

use crate::lanes::LANES;

/// `out (lanes, width)` = `x (features, lanes)` transposed; columns from `features` to `width` become zero.
///
/// Blocks of 16 x 16 keep both sides within a few cache lines.
///
/// # Panics
/// If a slice is shorter than its shape, or `width < features`.
pub fn rows_from_features(x: &[f32], features: usize, lanes: usize, out: &mut [f32], width: usize) {
    assert!(width >= features && x.len() >= features * lanes && out.len() >= lanes * width, "transpose: operand too short");
    for lane_block in (0..lanes).step_by(LANES) {
        let lane_end = (lane_block + LANES).min(lanes);
        for feature_block in (0..width).step_by(LANES) {
            let feature_end = (feature_block + LANES).min(width);
            for lane in lane_block..lane_end {
                let row = &mut out[lane * width + feature_block..lane * width + feature_end];
                for (value, feature) in row.iter_mut().zip(feature_block..) {
                    *value = if feature < features { x[feature * lanes + lane] } else { 0.0 };
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
        rows_from_features(&x, features, lanes, &mut back, width);
        for lane in 0..lanes {
            for feature in 0..width {
                let want = if lane < n && feature < features { rows[lane * features + feature] } else { 0.0 };
                assert_eq!(back[lane * width + feature], want);
            }
        }
    }
}

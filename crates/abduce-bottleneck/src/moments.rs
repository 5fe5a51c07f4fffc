//! Mean and covariance of rows.

use abduce_kernels::Simd;
use abduce_kernels::gemm::{Into, Left, MatMul};

/// Rows whose products are added up in f32 before the f64 sum.
const BLOCK: usize = 256;

/// The first two moments of a table's rows.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    /// Mean of each feature.
    pub(crate) mean: Vec<f64>,
    /// (D, D), over n.
    pub(crate) covariance: Vec<f64>,
}

impl Moments {
    /// Of rows of `features` values, gone through twice; `None` where there are none. Products of blocks of 256 rows are summed in f32, the blocks in f64.
    pub(crate) fn of<'a>(simd: Simd, rows: impl Iterator<Item = &'a [f32]> + Clone, features: usize) -> Option<Self> {
        let (mut mean, mut n) = (vec![0.0; features], 0usize);
        for row in rows.clone() {
            mean.iter_mut().zip(row).for_each(|(m, &v)| *m += f64::from(v));
            n += 1;
        }
        if n == 0 {
            return None;
        }
        mean.iter_mut().for_each(|m| *m /= n as f64);
        let mut covariance = vec![0.0; features * features];
        let (mut centred, mut part) = (Vec::with_capacity(BLOCK * features), vec![0.0f32; features * features]);
        let mut add = |centred: &mut Vec<f32>| {
            let depth = centred.len() / features;
            let shape = MatMul { rows: features, cols: features, depth };
            let left = Left { data: centred, row_stride: 1, depth_stride: features };
            simd.matmul_strided(shape, left, centred, features, &mut part, features, Into::Overwrite);
            covariance.iter_mut().zip(&part).for_each(|(c, &p)| *c += f64::from(p) / n as f64);
            centred.clear();
        };
        for row in rows {
            centred.extend(row.iter().zip(&mean).map(|(&v, m)| (f64::from(v) - m) as f32));
            if centred.len() == BLOCK * features {
                add(&mut centred);
            }
        }
        if !centred.is_empty() {
            add(&mut centred);
        }
        Some(Self { mean, covariance })
    }
}

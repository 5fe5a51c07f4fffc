//! Principal axes.

use crate::error::BottleneckError;
use crate::moments::Moments;
use abduce_dimension::eigen::{self, Eigen};
use abduce_kernels::Simd;

/// Most features: the covariance is a full matrix, and its eigenvectors cost n³.
const MOST_FEATURES: usize = 4096;

/// Mean and principal axes of rows: the affine encoder and decoder of least squared error at every width at once (Eckart and Young 1936).
#[derive(Clone, Debug)]
pub struct PrincipalAxes {
    mean: Vec<f64>,
    /// Unit vectors in rows, (D, D), by falling variance.
    axes: Vec<f64>,
    variances: Vec<f64>,
}

impl PrincipalAxes {
    /// Of the rows of a (n, `features`) table.
    ///
    /// # Errors
    /// No or too many features, or no row.
    pub fn fit(simd: Simd, rows: &[f32], features: usize) -> Result<Self, BottleneckError> {
        if !(1..=MOST_FEATURES).contains(&features) {
            return Err(BottleneckError::Size { what: "the number of features", value: features, low: 1, high: MOST_FEATURES });
        }
        if !rows.len().is_multiple_of(features) {
            return Err(BottleneckError::Width { what: "rows", found: rows.len(), expected: features });
        }
        let Some(Moments { mean, covariance }) = Moments::of(simd, rows.chunks_exact(features), features) else {
            return Err(BottleneckError::Width { what: "rows", found: 0, expected: features });
        };
        let Eigen { values: variances, vectors: axes } = eigen::symmetric(features, &covariance);
        Ok(Self { mean, axes, variances })
    }

    /// Variances along the axes, falling.
    pub fn variances(&self) -> &[f64] {
        &self.variances
    }

    /// Unit vectors in rows, (D, D).
    pub fn axes(&self) -> &[f64] {
        &self.axes
    }

    /// Mean over features of the squared error of each row at each of `widths`: (n, widths). Width 0 is the mean.
    pub fn losses(&self, rows: &[f32], widths: &[usize]) -> Vec<f64> {
        let d = self.mean.len();
        let most = widths.iter().copied().max().unwrap_or(0).min(d);
        let mut left = vec![0.0; most + 1];
        let mut out = Vec::with_capacity(rows.len() / d * widths.len());
        for row in rows.chunks_exact(d) {
            let centred: Vec<f64> = row.iter().zip(&self.mean).map(|(&v, m)| f64::from(v) - m).collect();
            left[0] = centred.iter().map(|c| c * c).sum();
            for (k, axis) in self.axes.chunks_exact(d).take(most).enumerate() {
                let along: f64 = axis.iter().zip(&centred).map(|(a, c)| a * c).sum();
                left[k + 1] = (left[k] - along * along).max(0.0);
            }
            out.extend(widths.iter().map(|&k| left[k.min(d)] / d as f64));
        }
        out
    }

    /// The first `width` coordinates of each row: (n, width).
    pub fn encode(&self, rows: &[f32], width: usize) -> Vec<f64> {
        let d = self.mean.len();
        let mut out = Vec::with_capacity(rows.len() / d * width);
        for row in rows.chunks_exact(d) {
            for axis in self.axes.chunks_exact(d).take(width) {
                out.push(axis.iter().zip(row).zip(&self.mean).map(|((a, &v), m)| a * (f64::from(v) - m)).sum());
            }
        }
        out
    }

    /// The rows that the first `width` coordinates of each of `codes` stand for: (n, D).
    pub fn decode(&self, codes: &[f64], width: usize) -> Vec<f32> {
        let d = self.mean.len();
        let mut out = Vec::with_capacity(codes.len() / width.max(1) * d);
        for code in codes.chunks_exact(width.max(1)) {
            for j in 0..d {
                let along: f64 = code.iter().take(width).enumerate().map(|(k, c)| c * self.axes[k * d + j]).sum();
                out.push((self.mean[j] + along) as f32);
            }
        }
        out
    }
}

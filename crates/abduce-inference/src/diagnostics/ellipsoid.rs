//! Mahalanobis distances from a cloud of points.

use super::DiagnosticsError;
use crate::prior::cholesky::Cholesky;

/// Mean and covariance of points, ready for distances D² = (x - μ)ᵀ Σ⁻¹ (x - μ).
///
/// Σ = (1 - λ) C + λ diag C with C the sample covariance (m - 1) of m points in F dimensions and λ = F/(F + m): the weight of F points of
/// prior knowledge that the features are uncorrelated. It vanishes for many points, and keeps Σ positive definite for few.
pub(super) struct Ellipsoid {
    mean: Vec<f64>,
    factor: Cholesky,
}

impl Ellipsoid {
    /// The ellipsoid of at least two finite points; every dimension must vary.
    pub(super) fn of(points: &[&[f64]]) -> Result<Self, DiagnosticsError> {
        let (m, width) = (points.len() as f64, points.first().map_or(0, |p| p.len()));
        let mean: Vec<f64> = (0..width).map(|j| points.iter().map(|p| p[j]).sum::<f64>() / m).collect();
        let mut covariance = vec![0.0; width * width];
        let mut centred = vec![0.0; width];
        for point in points {
            centred.iter_mut().zip(*point).zip(&mean).for_each(|((c, p), mean)| *c = p - mean);
            for (i, row) in covariance.chunks_exact_mut(width).enumerate() {
                row[..=i].iter_mut().zip(&centred).for_each(|(sum, c)| *sum += centred[i] * c);
            }
        }
        let keep = m / (width as f64 + m);
        for i in 0..width {
            covariance[i * width + i] /= m - 1.0;
            // The factorisation reads the lower triangle alone.
            covariance[i * width..][..i].iter_mut().for_each(|c| *c *= keep / (m - 1.0));
        }
        let factor = Cholesky::factor(&covariance, width).map_err(|dimension| DiagnosticsError::ConstantDimension { dimension })?;
        Ok(Self { mean, factor })
    }

    /// Mahalanobis distance D of a point.
    pub(super) fn distance(&self, point: &[f64]) -> f64 {
        let mut z: Vec<f64> = point.iter().zip(&self.mean).map(|(p, mean)| p - mean).collect();
        self.factor.solve_lower(&mut z);
        z.iter().map(|z| z * z).sum::<f64>().sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Corners of a square and λ = 2/6: C = (4/3) I is diagonal, so shrinkage changes nothing and D² = 3/4 |x|².
    #[test]
    fn uncorrelated_points_have_scaled_euclidean_distances() {
        let corners: [[f64; 2]; 4] = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]];
        let ellipsoid = Ellipsoid::of(&corners.iter().map(<[f64; 2]>::as_slice).collect::<Vec<_>>()).unwrap();
        assert!((ellipsoid.distance(&[2.0, 0.0]) - 3f64.sqrt()).abs() < 1e-12);
    }

    /// Points on the diagonal: C = s² (1 1; 1 1), Σ = s² (1 k; k 1) with k = 1 - λ = m/(m + 2), so across the diagonal D² = 2/(s² (1 - k)).
    #[test]
    fn collinear_points_are_no_error() {
        let points: Vec<[f64; 2]> = (0..5).map(|i| [f64::from(i), f64::from(i)]).collect();
        let ellipsoid = Ellipsoid::of(&points.iter().map(<[f64; 2]>::as_slice).collect::<Vec<_>>()).unwrap();
        let (s2, k) = (2.5, 5.0 / 7.0);
        assert!((ellipsoid.distance(&[3.0, 1.0]).powi(2) - 2.0 / (s2 * (1.0 - k))).abs() < 1e-9);
        assert!((ellipsoid.distance(&[3.0, 3.0]).powi(2) - 2.0 / (s2 * (1.0 + k))).abs() < 1e-9);
    }
}

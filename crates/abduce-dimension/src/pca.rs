//! Principal components.

use crate::eigen;
use abduce_kernels::Threads;

/// Principal axes of points, by decomposition of their covariance (divisor N - 1).
///
/// Where the columns outnumber the points, the N x N matrix of products is decomposed instead; at most min(N - 1, D) axes exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Pca {
    mean: Vec<f64>,
    variances: Vec<f64>,
    axes: Vec<f64>,
}

/// Rows that one task sums over.
const ROWS: usize = 512;

impl Pca {
    /// Axes of `values`, points as rows of `dims` values. One point has no axis.
    ///
    /// # Panics
    /// If `values` is not a whole number of rows.
    pub fn fit(dims: usize, values: &[f64], threads: &Threads) -> Self {
        assert!(dims > 0 && values.len().is_multiple_of(dims), "rows of {dims} values");
        let n = values.len() / dims;
        let mut mean = vec![0.0; dims];
        for point in values.chunks_exact(dims) {
            mean.iter_mut().zip(point).for_each(|(m, v)| *m += v / n as f64);
        }
        let centred: Vec<f64> = values.chunks_exact(dims).flat_map(|point| point.iter().zip(&mean).map(|(v, m)| v - m)).collect();
        let axes_at_most = dims.min(n.saturating_sub(1));
        let divisor = n.saturating_sub(1).max(1) as f64;
        let (mut variances, mut axes) = (Vec::new(), Vec::new());
        if n > dims {
            let eigen = eigen::symmetric(dims, &products(dims, &centred, divisor, threads));
            variances = eigen.values;
            axes = eigen.vectors;
        } else if n > 1 {
            // X Xᵀ u = λ u gives the axis Xᵀ u / √λ.
            let transposed: Vec<f64> = (0..dims * n).map(|p| centred[(p % n) * dims + p / n]).collect();
            let eigen = eigen::symmetric(n, &products(n, &transposed, divisor, threads));
            for (i, &variance) in eigen.values.iter().enumerate().take(axes_at_most) {
                let mut axis = vec![0.0; dims];
                for (point, weight) in centred.chunks_exact(dims).zip(&eigen.vectors[i * n..(i + 1) * n]) {
                    axis.iter_mut().zip(point).for_each(|(a, v)| *a += weight * v);
                }
                let length = axis.iter().map(|a| a * a).sum::<f64>().sqrt();
                if length > 0.0 && variance > 0.0 {
                    axes.extend(axis.iter().map(|a| a / length));
                    variances.push(variance);
                }
            }
        }
        variances.truncate(axes_at_most);
        axes.truncate(axes_at_most * dims);
        // Rounding leaves values of about -ε λ_1 where there is no variance.
        variances.iter_mut().for_each(|v| *v = v.max(0.0));
        Self { mean, variances, axes }
    }

    /// Mean of the points.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Variance along each axis, descending.
    pub fn variances(&self) -> &[f64] {
        &self.variances
    }

    /// Unit axis `i`, in the order of the variances; its sign is arbitrary.
    pub fn axis(&self, i: usize) -> &[f64] {
        let dims = self.mean.len();
        &self.axes[i * dims..(i + 1) * dims]
    }

    /// Number of axes whose variance exceeds `share` of the largest.
    pub fn rank(&self, share: f64) -> usize {
        let largest = self.variances.first().copied().unwrap_or(0.0);
        self.variances.iter().take_while(|v| **v > share * largest).count()
    }

    /// Coordinates of points along the first `count` axes, (N, count).
    ///
    /// # Panics
    /// If `values` is not a whole number of rows or there are fewer axes.
    pub fn project(&self, values: &[f64], count: usize) -> Vec<f64> {
        let dims = self.mean.len();
        assert!(values.len().is_multiple_of(dims) && count <= self.variances.len(), "{count} of {} axes", self.variances.len());
        let mut coordinates = Vec::with_capacity(values.len() / dims * count);
        for point in values.chunks_exact(dims) {
            for i in 0..count {
                coordinates.push(point.iter().zip(&self.mean).zip(self.axis(i)).map(|((v, m), a)| (v - m) * a).sum());
            }
        }
        coordinates
    }

    /// Points from their coordinates along the first `count` axes, (N, D): the mean plus the sum of the axes.
    ///
    /// # Panics
    /// If `coordinates` is not a whole number of rows or there are fewer axes.
    pub fn reconstruct(&self, coordinates: &[f64], count: usize) -> Vec<f64> {
        assert!(count > 0 && coordinates.len().is_multiple_of(count) && count <= self.variances.len(), "{count} axes");
        let mut values = Vec::with_capacity(coordinates.len() / count * self.mean.len());
        for row in coordinates.chunks_exact(count) {
            let start = values.len();
            values.extend_from_slice(&self.mean);
            for (i, c) in row.iter().enumerate() {
                values[start..].iter_mut().zip(self.axis(i)).for_each(|(v, a)| *v += c * a);
            }
        }
        values
    }

    /// Mean squared error per value of reconstructing these points with k = 0, 1, … axes: entry k averages |x - x̂_k|² / D over the points.
    ///
    /// # Panics
    /// If `values` is not a whole number of rows.
    pub fn reconstruction_errors(&self, values: &[f64]) -> Vec<f64> {
        let dims = self.mean.len();
        assert!(values.len().is_multiple_of(dims), "rows of {dims} values");
        let axes = self.variances.len();
        let mut errors = vec![0.0; axes + 1];
        let mut rest = vec![0.0; dims];
        for point in values.chunks_exact(dims) {
            rest.iter_mut().zip(point.iter().zip(&self.mean)).for_each(|(r, (v, m))| *r = v - m);
            errors[0] += rest.iter().map(|r| r * r).sum::<f64>();
            for i in 0..axes {
                let along: f64 = rest.iter().zip(self.axis(i)).map(|(r, a)| r * a).sum();
                rest.iter_mut().zip(self.axis(i)).for_each(|(r, a)| *r -= along * a);
                errors[i + 1] += rest.iter().map(|r| r * r).sum::<f64>();
            }
        }
        errors.iter().map(|e| e / values.len().max(1) as f64).collect()
    }
}

/// Sum over the rows of x xᵀ / divisor, (dims, dims); chunks of rows are summed apart and added in order.
fn products(dims: usize, rows: &[f64], divisor: f64, threads: &Threads) -> Vec<f64> {
    let mut parts: Vec<(&[f64], Vec<f64>)> = rows.chunks(ROWS * dims).map(|part| (part, Vec::new())).collect();
    // A wave of parts at a time bounds the memory to a few matrices.
    let mut total = vec![0.0; dims * dims];
    for wave in parts.chunks_mut(8) {
        threads.for_each(wave, |_, (part, sum)| {
            sum.resize(dims * dims, 0.0);
            for row in part.chunks_exact(dims) {
                for (i, x) in row.iter().enumerate() {
                    sum[i * dims..i * dims + i + 1].iter_mut().zip(row).for_each(|(s, y)| *s += x * y);
                }
            }
        });
        for (_, sum) in wave {
            total.iter_mut().zip(sum.iter()).for_each(|(t, s)| *t += s / divisor);
            *sum = Vec::new();
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    fn points(n: usize, dims: usize) -> Vec<f64> {
        let mut rng = Seed(2).stream("pca", 0);
        (0..n * dims).map(|p| (1.0 + (p % dims) as f64) * rng.normal() + 3.0).collect()
    }

    /// Identities: errors fall by (N-1)/(N D) times the variance of each axis and end at zero; all axes reconstruct exactly. To 1e-10, a few thousand
    /// roundings of numbers of size 100.
    #[test]
    fn errors_are_the_variances_left_and_all_axes_reconstruct() {
        for (n, dims) in [(200, 7), (9, 30)] {
            let x = points(n, dims);
            let pca = Pca::fit(dims, &x, &Threads::new(2));
            let axes = pca.variances().len();
            assert_eq!(axes, dims.min(n - 1));
            let errors = pca.reconstruction_errors(&x);
            for k in 0..=axes {
                let left: f64 = pca.variances()[k..].iter().sum::<f64>() * (n - 1) as f64 / (n * dims) as f64;
                assert!((errors[k] - left).abs() < 1e-10 * errors[0], "k = {k} of {n} x {dims}");
            }
            let back = pca.reconstruct(&pca.project(&x, axes), axes);
            assert!(x.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-10));
        }
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let x = points(3000, 12);
        assert_eq!(Pca::fit(12, &x, &Threads::single()), Pca::fit(12, &x, &Threads::new(3)));
    }
}

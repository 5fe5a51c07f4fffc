//! Expected simplex skewness.

use super::{
    Estimate,
    distances::{check, mean_of},
};
use crate::cloud::{Cloud, Crew};
use crate::error::Result;
use crate::neighbours::Neighbours;
use abduce_kernels::gemm::{Into, MatMul};
use statrs::function::gamma::ln_gamma;

/// ESS (Johnsson, Soneson & Fontes 2015, IEEE TPAMI 37, 196), version a with triangles: with v_i the k neighbours of a point minus their mean, the statistic
///
/// Σ |v_i||v_j||sin θ_ij| / Σ |v_i||v_j| over all pairs is compared with [`expected_skewness`], interpolated linearly between whole dimensions; mean over the points.
///
/// # Errors
/// `Setting` unless 3 <= k <= k of the neighbours.
pub fn ess(cloud: &Cloud, neighbours: &Neighbours, k: usize, crew: &Crew) -> Result<Estimate> {
    check(neighbours, "ESS neighbours", k, 3)?;
    let table: Vec<f64> = (1..=cloud.dims().max(2) + 1).map(expected_skewness).collect();
    let dims = cloud.dims();
    let mut each = vec![0.0; neighbours.queries()];
    let mut tasks: Vec<&mut [f64]> = each.chunks_mut(64).collect();
    crew.threads.for_each(&mut tasks, |task, slots| {
        let (mut rows, mut columns, mut gram) = (vec![0.0f32; k * dims], vec![0.0f32; k * dims], vec![0.0f32; k * k]);
        let mut mean = vec![0.0; dims];
        for (slot, value) in slots.iter_mut().enumerate() {
            let q = 64 * task + slot;
            let points = &neighbours.indices(q)[..k];
            mean.fill(0.0);
            for &point in points {
                mean.iter_mut().zip(cloud.point(point as usize)).for_each(|(m, v)| *m += v / k as f64);
            }
            let scale = neighbours.distances(q)[k - 1];
            for (j, &point) in points.iter().enumerate() {
                for (c, (v, m)) in cloud.point(point as usize).iter().zip(&mean).enumerate() {
                    let v = ((v - m) / scale) as f32;
                    rows[j * dims + c] = v;
                    columns[c * k + j] = v;
                }
            }
            crew.simd.matmul(MatMul { rows: k, cols: k, depth: dims }, &rows, &columns, &mut gram, Into::Overwrite);
            let (mut sines, mut lengths) = (0.0, 0.0);
            for i in 0..k {
                let (mut row_sines, mut row_lengths) = (0.0f32, 0.0f32);
                for j in 0..i {
                    let product = gram[i * k + i] * gram[j * k + j];
                    row_sines += (product - gram[i * k + j] * gram[i * k + j]).max(0.0).sqrt();
                    row_lengths += product.sqrt();
                }
                sines += f64::from(row_sines);
                lengths += f64::from(row_lengths);
            }
            *value = interpolated(&table, sines / lengths);
        }
    });
    mean_of("ESS", each.into_iter())
}

/// Mean of |v||w||sin| over that of |v||w| for vectors uniform in a ball of R^n:
/// [Γ(n/2)/Γ((n+1)/2)] [Γ(n/2)/Γ((n-1)/2)], 0 for n = 1.
pub fn expected_skewness(n: usize) -> f64 {
    if n < 2 {
        return 0.0;
    }
    let n = n as f64;
    (2.0 * ln_gamma(0.5 * n) - ln_gamma(0.5 * (n + 1.0)) - ln_gamma(0.5 * (n - 1.0))).exp()
}

/// The dimension at which the table, from 1 on, has this value; its ends at most.
fn interpolated(table: &[f64], value: f64) -> f64 {
    let above = table.partition_point(|t| *t < value);
    if above == 0 {
        return 1.0;
    }
    if above == table.len() {
        return above as f64;
    }
    above as f64 + (value - table[above - 1]) / (table[above] - table[above - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::{Array, Seed};

    /// E|sin| of the angle between directions of R^2 is 2/π, of R^3 π/4: the lengths are independent of it and cancel.
    #[test]
    fn expected_skewness_is_the_mean_sine() {
        assert!((expected_skewness(2) - 2.0 / std::f64::consts::PI).abs() < 1e-12);
        assert!((expected_skewness(3) - std::f64::consts::PI / 4.0).abs() < 1e-12);
        assert_eq!(interpolated(&[0.0, 0.5, 0.8], 0.65), 2.5);
        assert_eq!((interpolated(&[0.0, 0.5], -1.0), interpolated(&[0.0, 0.5], 0.9)), (1.0, 2.0));
    }

    /// A Gaussian of 20 dimensions, where the reference measured 19.8 with scikit-dimension, and a plane in R^5, exactly 2 but for edges.
    #[test]
    fn known_dimensions_come_out() {
        let crew = Crew::with_threads(2);
        let mut rng = Seed(3).stream("ess", 0);
        let normal = Cloud::new(&Array::new(vec![600, 20], (0..12_000).map(|_| rng.normal()).collect()).unwrap()).unwrap();
        let near = Neighbours::of_all(&normal, 100, &crew).unwrap();
        let found = ess(&normal, &near, 100, &crew).unwrap().dimension;
        assert!((found - 19.8).abs() < 0.5, "{found}");
        let plane = (0..1000).flat_map(|_| {
            let (a, b) = (rng.uniform(), rng.uniform());
            [a, b, a + b, a - b, 2.0 * a]
        });
        let plane = Cloud::new(&Array::new(vec![1000, 5], plane.collect()).unwrap()).unwrap();
        let near = Neighbours::of_all(&plane, 30, &crew).unwrap();
        let found = ess(&plane, &near, 30, &crew).unwrap().dimension;
        assert!((found - 2.0).abs() < 0.1, "{found}");
    }
}

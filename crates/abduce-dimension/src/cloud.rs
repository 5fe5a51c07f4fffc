//! The points whose dimension is asked for, cleaned once for all estimators.

use crate::error::{DimensionError, Result};
use abduce_data::Array;
use abduce_kernels::{Simd, Threads};

/// What an estimate computes with. Results do not depend on the number of threads.
#[derive(Clone, Debug)]
pub struct Crew {
    /// Instruction set.
    pub simd: Simd,
    /// Threads.
    pub threads: Threads,
}

impl Crew {
    /// The best instruction set and this many threads.
    pub fn with_threads(threads: usize) -> Self {
        Self { simd: Simd::best(), threads: Threads::new(threads) }
    }
}

/// N distinct points in R^D, row by row.
///
/// Rows that are not finite, repeated rows and constant columns are gone (a duplicate says nothing about dimension and makes distances
/// of zero). Values are centred and divided by [`Cloud::unit`], a power of two, so that no square overflows; every estimator is invariant
/// under both.
#[derive(Clone, Debug)]
pub struct Cloud {
    dims: usize,
    values: Vec<f64>,
    unit: f64,
    cleaning: Cleaning,
}

/// What was left out of the rows given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Cleaning {
    /// Rows given.
    pub rows: usize,
    /// Columns given.
    pub columns: usize,
    /// Rows with NaN or infinite values.
    pub non_finite_rows: usize,
    /// Rows equal to an earlier one.
    pub duplicate_rows: usize,
    /// Columns that hold one value only.
    pub constant_columns: usize,
}

/// Fewer distinct points than this have no dimension worth naming.
pub const MIN_POINTS: usize = 10;

impl Cloud {
    /// Points from an array (N, …), each row flattened.
    ///
    /// # Errors
    /// `Shape` without rows or columns, `TooFewPoints` below [`MIN_POINTS`] distinct finite rows.
    pub fn new(array: &Array<f64>) -> Result<Self> {
        if array.shape().is_empty() || array.rows() == 0 || array.row_len() == 0 {
            return Err(DimensionError::Shape { shape: array.shape().to_vec() });
        }
        let (given, columns) = (array.rows(), array.row_len());
        let finite: Vec<usize> = (0..given).filter(|&i| array.row(i).iter().all(|v| v.is_finite())).collect();
        let non_finite = given - finite.len();
        let kept = distinct(array, &finite);
        let duplicates = finite.len() - kept.len();
        if kept.len() < MIN_POINTS {
            return Err(DimensionError::TooFewPoints { distinct: kept.len(), needed: MIN_POINTS, given, non_finite, duplicates });
        }
        let first = array.row(kept[0]);
        let varying: Vec<usize> = (0..columns).filter(|&j| kept.iter().any(|&i| array.row(i)[j] != first[j])).collect();
        let cleaning = Cleaning {
            rows: given,
            columns,
            non_finite_rows: non_finite,
            duplicate_rows: duplicates,
            constant_columns: columns - varying.len(),
        };
        // Halves, so that neither the difference of two huge values nor their sum overflows.
        let centre: Vec<f64> = varying
            .iter()
            .map(|&j| {
                let (low, high) =
                    kept.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &i| (l.min(array.row(i)[j]), h.max(array.row(i)[j])));
                0.5 * low + 0.5 * high
            })
            .collect();
        let reach = kept
            .iter()
            .flat_map(|&i| varying.iter().zip(&centre).map(move |(&j, c)| (0.5 * array.row(i)[j] - 0.5 * c).abs()))
            .fold(0.0, f64::max);
        let half_unit = libm::exp2(libm::log2(reach).ceil().clamp(-1020.0, 1020.0));
        let mut values = Vec::with_capacity(kept.len() * varying.len());
        for &i in &kept {
            values.extend(varying.iter().zip(&centre).map(|(&j, c)| (0.5 * array.row(i)[j] - 0.5 * c) / half_unit));
        }
        let mut cloud = Self { dims: varying.len(), values, unit: 2.0 * half_unit, cleaning };
        cloud.centre();
        Ok(cloud)
    }

    /// Points that are known to be finite and distinct, as simulated ones are.
    pub(crate) fn of_simulated(dims: usize, values: Vec<f64>) -> Self {
        let rows = values.len() / dims;
        let cleaning = Cleaning { rows, columns: dims, non_finite_rows: 0, duplicate_rows: 0, constant_columns: 0 };
        let mut cloud = Self { dims, values, unit: 1.0, cleaning };
        cloud.centre();
        cloud
    }

    fn centre(&mut self) {
        let rows = self.rows() as f64;
        let mut mean = vec![0.0; self.dims];
        for point in self.values.chunks_exact(self.dims) {
            mean.iter_mut().zip(point).for_each(|(m, v)| *m += v / rows);
        }
        for point in self.values.chunks_exact_mut(self.dims) {
            point.iter_mut().zip(&mean).for_each(|(v, m)| *v -= m);
        }
    }

    /// Number of points, N.
    pub fn rows(&self) -> usize {
        self.values.len() / self.dims
    }

    /// Columns that vary, D.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Point `i`, in units of [`Cloud::unit`] and relative to the mean.
    pub fn point(&self, i: usize) -> &[f64] {
        &self.values[i * self.dims..(i + 1) * self.dims]
    }

    /// All points, row-major (N, D).
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Length of one unit of the stored values, in the units given.
    pub fn unit(&self) -> f64 {
        self.unit
    }

    /// What was left out.
    pub fn cleaning(&self) -> Cleaning {
        self.cleaning
    }

    /// Squared distance of two points.
    pub fn squared_distance(&self, i: usize, j: usize) -> f64 {
        squared_distance(self.point(i), self.point(j))
    }

    /// The cloud of these of its points.
    pub fn subset(&self, rows: &[usize]) -> Self {
        let values = rows.iter().flat_map(|&i| self.point(i).iter().copied()).collect();
        let mut cloud = Self { values, ..*self };
        cloud.centre();
        cloud
    }
}

/// |a - b|², summed in order.
pub(crate) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The first of each group of equal rows, in the order given; 0 and -0 are equal.
fn distinct(array: &Array<f64>, rows: &[usize]) -> Vec<usize> {
    let order = |a: &usize, b: &usize| {
        let pairs = array.row(*a).iter().zip(array.row(*b));
        pairs.map(|(x, y)| (x + 0.0).total_cmp(&(y + 0.0))).find(|o| o.is_ne()).unwrap_or_else(|| a.cmp(b))
    };
    let mut sorted = rows.to_vec();
    sorted.sort_unstable_by(order);
    sorted.dedup_by(|later, earlier| array.row(*later) == array.row(*earlier));
    sorted.sort_unstable();
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(rows: usize, f: impl Fn(usize, usize) -> f64, columns: usize) -> Array<f64> {
        Array::new(vec![rows, columns], (0..rows * columns).map(|p| f(p / columns, p % columns)).collect()).unwrap()
    }

    #[test]
    fn bad_rows_duplicates_and_constant_columns_are_left_out_and_counted() {
        let given = array(
            15,
            |i, j| match (i, j) {
                (3, 1) => f64::NAN,
                (4, 0) => f64::INFINITY,
                (_, 2) => 7.0,
                (12, _) => {
                    if j == 0 {
                        -0.0
                    } else {
                        0.0
                    }
                }
                (13, _) => 0.0,
                _ => (i * 10 + j) as f64,
            },
            3,
        );
        let cloud = Cloud::new(&given).unwrap();
        let want = Cleaning { rows: 15, columns: 3, non_finite_rows: 2, duplicate_rows: 1, constant_columns: 1 };
        assert_eq!((cloud.cleaning(), cloud.rows(), cloud.dims()), (want, 12, 2));
        // Rows 0 and 1 differ by 10 in both columns.
        assert!((cloud.squared_distance(0, 1).sqrt() * cloud.unit() - 200f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn extreme_values_neither_overflow_nor_vanish() {
        for scale in [1e300, 1e-300, 8e307] {
            let cloud = Cloud::new(&array(20, |i, j| scale * (((i * 7 + j * 3) % 20) as f64 / 10.0 - 1.0), 2)).unwrap();
            let d = cloud.squared_distance(0, 1);
            assert!(d.is_finite() && d > 1e-6, "{scale}: {d}");
        }
    }

    #[test]
    fn too_little_is_an_error_with_its_numbers() {
        let error = Cloud::new(&array(30, |i, _| (i % 3) as f64, 2)).unwrap_err();
        assert_eq!(error, DimensionError::TooFewPoints { distinct: 3, needed: 10, given: 30, non_finite: 0, duplicates: 27 });
        assert!(matches!(Cloud::new(&Array::new(vec![0, 3], vec![]).unwrap()), Err(DimensionError::Shape { .. })));
    }
}

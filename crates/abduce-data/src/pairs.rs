//! Training pairs: row i of theta (N, d) belongs to row i of x (N, …), in memory or left in their npy files.

use std::ops::Range;
use std::path::Path;

use crate::array::Array;
use crate::error::{DataError, Result};
use crate::npy::RowFile;
use crate::rows::RowSet;

/// Simulated pairs (theta, x), and which of them are finite.
///
/// ```
/// use abduce_data::{Array, PairSource};
/// let theta = Array::new(vec![3, 1], vec![0.1f32, 0.2, 0.3])?;
/// let x = Array::new(vec![3, 2], vec![1.0f32, 2.0, f32::NAN, 4.0, 5.0, 6.0])?;
/// let pairs = PairSource::from_arrays(theta, x)?;
/// assert_eq!(pairs.kept().iter().collect::<Vec<_>>(), [0, 2]);
/// assert_eq!((pairs.nan_report().rows, pairs.nan_report().in_x), (1, 1));
/// # Ok::<(), abduce_data::DataError>(())
/// ```
#[derive(Debug)]
pub struct PairSource {
    theta: Rows,
    x: Rows,
    kept: RowSet,
    nan_report: NanReport,
}

/// Rows that were dropped because a value is NaN or infinite (in single precision).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NanReport {
    /// Number of dropped rows.
    pub rows: usize,
    /// The first of them.
    pub first_row: Option<usize>,
    /// Rows where theta is at fault.
    pub in_theta: usize,
    /// Rows where x is at fault (a row may count in both).
    pub in_x: usize,
}

#[derive(Debug)]
enum Rows {
    Memory(Array),
    File(RowFile),
}

/// Bytes of x read at a time when all rows are visited in order.
const CHUNK_BYTES: usize = 1 << 20;

impl PairSource {
    /// Pairs in memory.
    pub fn from_arrays(theta: Array, x: Array) -> Result<Self> {
        Self::new(Rows::Memory(theta), Rows::Memory(x), ["theta", "x"].map(str::to_owned))
    }

    /// Pairs in two npy files. They are loaded if they fit into `memory_bytes` as single-precision numbers and otherwise stay in
    /// their files, to be read where they lie.
    pub fn open(theta: &Path, x: &Path, memory_bytes: usize) -> Result<Self> {
        let names = [theta, x].map(|path| path.display().to_string());
        let (theta, x) = (RowFile::open(theta)?, RowFile::open(x)?);
        let bytes = (theta.rows() as u128 * theta.row_len() as u128 + x.rows() as u128 * x.row_len() as u128) * size_of::<f32>() as u128;
        if bytes <= memory_bytes as u128 {
            Self::new(Rows::Memory(theta.read_all()?), Rows::Memory(x.read_all()?), names)
        } else {
            Self::new(Rows::File(theta), Rows::File(x), names)
        }
    }

    fn new(theta: Rows, x: Rows, [theta_name, x_name]: [String; 2]) -> Result<Self> {
        if theta.rows() != x.rows() {
            return Err(DataError::Lengths { theta: theta_name, theta_rows: theta.rows(), x: x_name, x_rows: x.rows() });
        }
        for (rows, name) in [(&theta, theta_name), (&x, x_name)] {
            if rows.shape().is_empty() || rows.shape().contains(&0) {
                return Err(DataError::Empty { name, shape: rows.shape().to_vec() });
            }
        }
        let count = theta.rows();
        let mut source = Self { theta, x, kept: RowSet::all(count), nan_report: NanReport::default() };
        source.drop_rows_that_are_not_finite()?;
        Ok(source)
    }

    fn drop_rows_that_are_not_finite(&mut self) -> Result<()> {
        let (theta_len, x_len) = (self.theta_len(), self.x_len());
        let (mut kept, mut report) = (RowSet::all(self.rows()), NanReport::default());
        let mut first_in = "";
        self.for_each_chunk(|first_row, theta, x| {
            for (offset, (theta, x)) in theta.chunks_exact(theta_len).zip(x.chunks_exact(x_len)).enumerate() {
                let (bad_theta, bad_x) = (!all_finite(theta), !all_finite(x));
                if bad_theta || bad_x {
                    if report.rows == 0 {
                        report.first_row = Some(first_row + offset);
                        first_in = if bad_theta { "theta" } else { "x" };
                    }
                    report.rows += 1;
                    report.in_theta += usize::from(bad_theta);
                    report.in_x += usize::from(bad_x);
                    kept.remove(first_row + offset);
                }
            }
        })?;
        if kept.is_empty() {
            return Err(DataError::NoFiniteRows { rows: report.rows, first_row: report.first_row.unwrap_or(0), first_in });
        }
        (self.kept, self.nan_report) = (kept, report);
        Ok(())
    }

    /// Rows in the files, dropped ones included: row numbers count these.
    pub fn rows(&self) -> usize {
        self.theta.rows()
    }

    /// The rows whose values are all finite.
    pub fn kept(&self) -> &RowSet {
        &self.kept
    }

    /// What was dropped.
    pub fn nan_report(&self) -> &NanReport {
        &self.nan_report
    }

    /// Parameters per row, d.
    pub fn theta_len(&self) -> usize {
        self.theta.row_len()
    }

    /// Values of x per row.
    pub fn x_len(&self) -> usize {
        self.x.row_len()
    }

    /// Axes of one datum x.
    pub fn x_shape(&self) -> &[usize] {
        &self.x.shape()[1..]
    }

    /// Both arrays, (theta, x), where they are in memory.
    pub fn arrays(&self) -> Option<(&Array, &Array)> {
        match (&self.theta, &self.x) {
            (Rows::Memory(theta), Rows::Memory(x)) => Some((theta, x)),
            _ => None,
        }
    }

    /// Copies of the rows at `indices`, in that order: theta (n, d) and x (n, …). Panics on an index outside 0..rows.
    pub fn select(&self, indices: &[usize]) -> Result<(Array, Array)> {
        Ok((self.theta.select(indices)?, self.x.select(indices)?))
    }

    /// Visit all rows in order, piece by piece: `visit(first_row, theta, x)` with whole rows. Dropped rows are included.
    pub fn for_each_chunk(&self, mut visit: impl FnMut(usize, &[f32], &[f32])) -> Result<()> {
        let chunk_rows = (CHUNK_BYTES / size_of::<f32>() / self.x_len().max(self.theta_len())).max(1);
        let (mut theta, mut x, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        for first_row in (0..self.rows()).step_by(chunk_rows) {
            let range = first_row..(first_row + chunk_rows).min(self.rows());
            visit(first_row, self.theta.range(range.clone(), &mut theta, &mut scratch)?, self.x.range(range, &mut x, &mut scratch)?);
        }
        Ok(())
    }

    /// Append the rows of `range` to `theta` and `x`.
    pub(crate) fn append_range(&self, range: Range<usize>, theta: &mut Vec<f32>, x: &mut Vec<f32>, scratch: &mut Vec<u8>) -> Result<()> {
        self.theta.append_range(range.clone(), theta, scratch)?;
        self.x.append_range(range, x, scratch)
    }
}

impl Rows {
    fn shape(&self) -> &[usize] {
        match self {
            Self::Memory(array) => array.shape(),
            Self::File(file) => &file.header().shape,
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::Memory(array) => array.rows(),
            Self::File(file) => file.rows(),
        }
    }

    fn row_len(&self) -> usize {
        match self {
            Self::Memory(array) => array.row_len(),
            Self::File(file) => file.row_len(),
        }
    }

    fn range<'a>(&'a self, range: Range<usize>, buffer: &'a mut Vec<f32>, scratch: &mut Vec<u8>) -> Result<&'a [f32]> {
        match self {
            Self::Memory(array) => Ok(&array.data()[range.start * array.row_len()..range.end * array.row_len()]),
            Self::File(_) => {
                buffer.clear();
                self.append_range(range, buffer, scratch)?;
                Ok(buffer)
            }
        }
    }

    fn append_range(&self, range: Range<usize>, out: &mut Vec<f32>, scratch: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Memory(array) => out.extend_from_slice(&array.data()[range.start * array.row_len()..range.end * array.row_len()]),
            Self::File(file) => {
                let start = out.len();
                out.resize(start + range.len() * file.row_len(), 0.0);
                file.read_rows(range.start, &mut out[start..], scratch)?;
            }
        }
        Ok(())
    }

    fn select(&self, indices: &[usize]) -> Result<Array> {
        match self {
            Self::Memory(array) => Ok(array.select_rows(indices.iter().copied())),
            Self::File(file) => {
                let (mut data, mut scratch) = (Vec::with_capacity(indices.len() * file.row_len()), Vec::new());
                for &row in indices {
                    self.append_range(row..row + 1, &mut data, &mut scratch)?;
                }
                let mut shape = self.shape().to_vec();
                shape[0] = indices.len();
                Array::new(shape, data)
            }
        }
    }
}

/// Without an early exit, so that the loop vectorises: almost every row is finite.
fn all_finite(values: &[f32]) -> bool {
    values.iter().fold(true, |all, value| all & value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy;

    fn write(dir: &Path, name: &str, shape: &[usize], value: impl Fn(usize) -> f32) -> std::path::PathBuf {
        let path = dir.join(name);
        let count = shape.iter().product();
        npy::write(&path, &Array::new(shape.to_vec(), (0..count).map(value).collect()).unwrap()).unwrap();
        path
    }

    #[test]
    fn different_lengths_name_both_files() {
        let dir = tempfile::tempdir().unwrap();
        let theta = write(dir.path(), "theta.npy", &[5, 2], |i| i as f32);
        let x = write(dir.path(), "x.npy", &[4, 3], |i| i as f32);
        let error = PairSource::open(&theta, &x, 0).unwrap_err().to_string();
        assert!(error.contains("theta.npy has 5 rows but ") && error.contains("x.npy has 4: each row"), "{error}");
    }

    #[test]
    fn missing_and_empty_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let theta = write(dir.path(), "theta.npy", &[0, 2], |i| i as f32);
        let x = write(dir.path(), "x.npy", &[0, 3], |i| i as f32);
        let error = PairSource::open(&theta, &x, 0).unwrap_err().to_string();
        assert!(error.ends_with("theta.npy is empty: its shape is [0, 2]"), "{error}");
        let error = PairSource::open(&theta, &dir.path().join("no.npy"), 0).unwrap_err().to_string();
        assert!(error.contains("no.npy: cannot read: No such file"), "{error}");
    }

    #[test]
    fn rows_that_are_not_finite_are_counted_alike_in_memory_and_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let n = 200_000; // several chunks
        let theta = write(dir.path(), "theta.npy", &[n, 2], |i| if i == 2 * 150_000 + 1 { f32::INFINITY } else { i as f32 });
        let x = write(dir.path(), "x.npy", &[n, 3], |i| if i == 3 * 199_999 || i / 3 == 150_000 { f32::NAN } else { i as f32 });
        for memory_bytes in [0, usize::MAX] {
            let pairs = PairSource::open(&theta, &x, memory_bytes).unwrap();
            assert_eq!(pairs.arrays().is_some(), memory_bytes > 0);
            assert_eq!(*pairs.nan_report(), NanReport { rows: 2, first_row: Some(150_000), in_theta: 1, in_x: 2 });
            assert_eq!((pairs.rows(), pairs.kept().len()), (n, n - 2));
            let (theta, x) = pairs.select(&[7, 199_998]).unwrap();
            assert_eq!((theta.row(0), x.row(1)), (&[14.0, 15.0][..], &[599_994.0, 599_995.0, 599_996.0][..]));
            assert_eq!(x.shape(), &[2, 3]);
        }
    }

    #[test]
    fn only_bad_rows_is_an_error() {
        let theta = Array::new(vec![2], vec![1.0, 2.0]).unwrap();
        let x = Array::new(vec![2], vec![f32::NAN, f32::INFINITY]).unwrap();
        let error = PairSource::from_arrays(theta, x).unwrap_err().to_string();
        assert_eq!(error, "all 2 rows hold NaN or infinite values; the first such value is in x of row 0");
    }
}

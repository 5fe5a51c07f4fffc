//! Row-major arrays: rows along the first axis, everything behind it is one row.

use crate::error::{DataError, Result};

/// A row-major array of shape (rows, …); the trailing axes form one row of [`Array::row_len`] values.
///
/// ```
/// use abduce_data::Array;
/// let images = Array::new(vec![2, 3, 4], vec![0.0f32; 24])?;
/// assert_eq!((images.rows(), images.row_len(), images.row_shape()), (2, 12, &[3, 4][..]));
/// assert_eq!(images.row(1).len(), 12);
/// # Ok::<(), abduce_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Array<T = f32> {
    shape: Vec<usize>,
    data: Vec<T>,
}

impl<T> Array<T> {
    /// An array from its values in row-major order.
    pub fn new(shape: Vec<usize>, data: Vec<T>) -> Result<Self> {
        match element_count(&shape) {
            Some(count) if count == data.len() => Ok(Self { shape, data }),
            _ => Err(DataError::Shape { shape, values: data.len() }),
        }
    }

    /// All axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The axes of one row: all but the first.
    pub fn row_shape(&self) -> &[usize] {
        self.shape.get(1..).unwrap_or(&[])
    }

    /// Length of the first axis (1 for an array without axes).
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Values per row: the product of the trailing axes (1 where there are none).
    pub fn row_len(&self) -> usize {
        self.row_shape().iter().product()
    }

    /// Row `index`. Panics outside 0..rows, as slices do.
    pub fn row(&self, index: usize) -> &[T] {
        &self.data[index * self.row_len()..(index + 1) * self.row_len()]
    }

    /// Row `index` for writing. Panics outside 0..rows.
    pub fn row_mut(&mut self, index: usize) -> &mut [T] {
        let len = self.row_len();
        &mut self.data[index * len..(index + 1) * len]
    }

    /// All values, row-major.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// All values for writing.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The values without the shape.
    pub fn into_data(self) -> Vec<T> {
        self.data
    }

    /// The same values under another shape.
    pub fn reshape(self, shape: Vec<usize>) -> Result<Self> {
        Self::new(shape, self.data)
    }
}

impl<T: Copy> Array<T> {
    /// An array filled with one value.
    pub fn filled(shape: &[usize], value: T) -> Result<Self> {
        let count = element_count(shape).ok_or_else(|| DataError::Shape { shape: shape.to_vec(), values: 0 })?;
        Ok(Self { shape: shape.to_vec(), data: vec![value; count] })
    }

    /// The rows at `indices`, in that order. Panics on an index outside 0..rows.
    pub fn select_rows(&self, indices: impl IntoIterator<Item = usize>) -> Self {
        let mut data = Vec::new();
        let mut rows = 0;
        for index in indices {
            data.extend_from_slice(self.row(index));
            rows += 1;
        }
        let mut shape = vec![rows];
        shape.extend_from_slice(self.row_shape());
        Self { shape, data }
    }
}

impl Array<f32> {
    /// The same values in double precision (exact).
    pub fn to_f64(&self) -> Array<f64> {
        Array { shape: self.shape.clone(), data: self.data.iter().map(|&value| f64::from(value)).collect() }
    }
}

impl Array<f64> {
    /// The same values in single precision, rounded to nearest; beyond ±3.4e38 they become infinite.
    pub fn to_f32(&self) -> Array<f32> {
        Array { shape: self.shape.clone(), data: self.data.iter().map(|&value| value as f32).collect() }
    }
}

/// Number of values of a shape, `None` where the product of its axes overflows (an empty axis does not excuse the others).
pub(crate) fn element_count(shape: &[usize]) -> Option<usize> {
    let count = shape.iter().try_fold(1usize, |count, &axis| count.checked_mul(axis.max(1)))?;
    Some(if shape.contains(&0) { 0 } else { count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_must_hold_the_values() {
        assert!(Array::new(vec![2, 3], vec![0.0f32; 6]).is_ok());
        let error = Array::new(vec![2, 3], vec![0.0f32; 5]).unwrap_err();
        assert_eq!(error.to_string(), "shape [2, 3] does not hold 5 values");
        assert!(Array::new(vec![usize::MAX, 2], vec![0.0f32; 5]).is_err());
        assert!(Array::<f32>::new(vec![0, usize::MAX, 2], vec![]).is_err());
    }

    #[test]
    fn one_axis_means_rows_of_one_value() {
        let a = Array::new(vec![3], vec![1.0, 2.0, 3.0]).unwrap();
        assert_eq!((a.rows(), a.row_len(), a.row(2)), (3, 1, &[3.0][..]));
        assert_eq!(a.select_rows([2, 0]).data(), &[3.0, 1.0]);
    }

    #[test]
    fn rows_without_features_are_empty() {
        let a = Array::<f32>::new(vec![3, 0], vec![]).unwrap();
        assert_eq!((a.rows(), a.row_len()), (3, 0));
        assert!(a.row(2).is_empty());
    }
}

//! Arrays in and out.

use abduce_data::Array;
use numpy::{IntoPyArray as _, PyArrayDyn, PyArrayMethods as _, PyReadonlyArrayDyn, PyUntypedArrayMethods as _};
use pyo3::prelude::*;

/// The values of a C-contiguous array, without a copy.
pub(crate) fn values<'a>(array: &'a PyReadonlyArrayDyn<'_, f32>) -> PyResult<&'a [f32]> {
    array.as_slice().map_err(|_| crate::error::shape("the array is not C-contiguous"))
}

/// A copy that belongs to us.
pub(crate) fn owned(array: &PyReadonlyArrayDyn<'_, f32>) -> PyResult<Array> {
    Array::new(array.shape().to_vec(), values(array)?.to_vec()).map_err(|error| crate::error::shape(error.to_string()))
}

/// Values as an array of `shape`; their number is right by construction.
pub(crate) fn array<'py, T: numpy::Element>(py: Python<'py>, shape: &[usize], values: Vec<T>) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    values.into_pyarray(py).reshape(shape)
}

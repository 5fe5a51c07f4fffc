//! Arrays and names of parameters, in and out.

use abduce_data::{Array, ParameterInfo};
use numpy::{IntoPyArray as _, PyArrayDyn, PyArrayMethods as _, PyReadonlyArrayDyn, PyUntypedArrayMethods as _};
use pyo3::prelude::*;

/// The values of a C-contiguous array, without a copy.
pub(crate) fn values<'a>(array: &'a PyReadonlyArrayDyn<'_, f32>) -> PyResult<&'a [f32]> {
    array.as_slice().map_err(|_| crate::error::shape("the array is not C-contiguous"))
}

/// A copy that belongs to us.
pub(crate) fn owned<T: numpy::Element + Copy>(array: &PyReadonlyArrayDyn<'_, T>) -> PyResult<Array<T>> {
    let values = array.as_slice().map_err(|_| crate::error::shape("the array is not C-contiguous"))?;
    Array::new(array.shape().to_vec(), values.to_vec()).map_err(|error| crate::error::shape(error.to_string()))
}

/// Values as an array of `shape`; their number is right by construction.
pub(crate) fn array<'py, T: numpy::Element>(py: Python<'py>, shape: &[usize], values: Vec<T>) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    values.into_pyarray(py).reshape(shape)
}

/// Name, unit and LaTeX label of a parameter.
pub(crate) type Parameter = (String, Option<String>, Option<String>);

/// For Python.
pub(crate) fn parameter(info: &ParameterInfo) -> Parameter {
    (info.name.clone(), info.unit.clone(), info.label.clone())
}

/// From Python; labels come with dollar signs or without.
pub(crate) fn parameters(given: Vec<Parameter>) -> Vec<ParameterInfo> {
    let plain = |label: String| label.trim_matches('$').to_string();
    given.into_iter().map(|(name, unit, label)| ParameterInfo { name, unit, label: label.map(plain) }).collect()
}

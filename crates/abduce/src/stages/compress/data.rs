//! Rows to compress, from the files that they come in.

use crate::error::Error;
use crate::stages::inputs::read_array;
use abduce_data::table::{Delimiter, Table};
use abduce_data::{Array, idx};
use std::path::Path;

/// An array whose first axis runs over the rows, and the names of its columns where the file has any.
pub fn read(path: &Path) -> Result<(Array, Vec<String>), Error> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
    let table = |delimiter| -> Result<(Array, Vec<String>), Error> {
        let table = Table::read(path, delimiter)?;
        Ok((table.values().to_f32(), table.names().to_vec()))
    };
    let (array, columns) = if ends(&[".csv"]) {
        table(Delimiter::Comma)?
    } else if ends(&[".tsv"]) {
        table(Delimiter::Tab)?
    } else if ends(&[".idx", "ubyte", "ubyte.gz", ".idx.gz"]) {
        (idx::read(path)?, Vec::new())
    } else {
        (read_array(path, "x")?, Vec::new())
    };
    if array.shape().is_empty() || array.rows() < 1 || array.row_len() == 0 {
        return Err(Error::failed(
            format!("{} has shape {:?}, which has no rows", path.display(), array.shape()),
            "expected (n, …): rows along the first axis",
        ));
    }
    // A row of one number has an axis of its own.
    let array = if array.shape().len() == 1 { Array::new(vec![array.rows(), 1], array.into_data())? } else { array };
    Ok((array, columns))
}

/// The same with rows of this shape.
pub fn rows(path: &Path, shape: &[usize]) -> Result<Array, Error> {
    let (array, _) = read(path)?;
    if array.row_shape() == shape {
        return Ok(array);
    }
    if array.shape() == shape {
        return Ok(Array::new([&[1], shape].concat(), array.into_data())?);
    }
    Err(Error::failed(
        format!("{} has rows of shape {:?}, but the model knows rows of shape {shape:?}", path.display(), array.row_shape()),
        "give rows as those that it was trained on",
    ))
}

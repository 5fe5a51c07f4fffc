//! Arrays to files, little-endian, C order, version 1.0.

use std::io::{self, Write};
use std::path::Path;

use super::decode::Element;
use super::header::header_bytes;
use crate::array::Array;
use crate::artefact::write_atomic;
use crate::error::Result;

/// Write a file; it appears under its name complete or not at all.
pub fn write<T: Element>(path: &Path, array: &Array<T>) -> Result<()> {
    write_atomic(path, |out| write_array(out, array))
}

/// Write header and values to any sink.
pub fn write_array<T: Element>(out: &mut impl Write, array: &Array<T>) -> io::Result<()> {
    write_header::<T>(out, array.shape())?;
    write_values(out, array.data())
}

/// Write the header of an array of `shape`, to be followed by its values in row-major order through [`write_values`].
pub fn write_header<T: Element>(out: &mut impl Write, shape: &[usize]) -> io::Result<()> {
    out.write_all(&header_bytes(T::DESCR, shape))
}

/// Write values behind a header: rows may come in any number of pieces.
pub fn write_values<T: Element>(out: &mut impl Write, values: &[T]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for part in values.chunks(1 << 14) {
        bytes.clear();
        part.iter().for_each(|value| value.push_le_bytes(&mut bytes));
        out.write_all(&bytes)?;
    }
    Ok(())
}

//! Writing tables.

use super::header::cards;
use super::{BLOCK, Card};
use crate::artefact::write_atomic;
use crate::error::{DataError, Result};
use std::io::Write as _;
use std::path::Path;

/// Values of a column.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Double precision.
    F64(&'a [f64]),
    /// Integers.
    I32(&'a [i32]),
    /// Bytes.
    U8(&'a [u8]),
}

impl Values<'_> {
    const fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::U8(values) => values.len(),
        }
    }

    const fn form(&self) -> (char, usize) {
        match self {
            Self::F32(_) => ('E', 4),
            Self::F64(_) => ('D', 8),
            Self::I32(_) => ('J', 4),
            Self::U8(_) => ('B', 1),
        }
    }

    fn push(&self, at: usize, bytes: &mut Vec<u8>) {
        match self {
            Self::F32(values) => bytes.extend(values[at].to_be_bytes()),
            Self::F64(values) => bytes.extend(values[at].to_be_bytes()),
            Self::I32(values) => bytes.extend(values[at].to_be_bytes()),
            Self::U8(values) => bytes.push(values[at]),
        }
    }
}

/// A column to be written.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its unit; empty for a pure number.
    pub unit: &'a str,
    /// Values per row.
    pub width: usize,
    /// The values, row by row.
    pub values: Values<'a>,
}

/// Writes a file with one binary table; complete or not at all, and the same contents give the same bytes.
///
/// # Errors
/// Columns of different lengths; keywords, names or numbers that FITS can't say; the file.
pub fn write_table(path: &Path, name: &str, keywords: &[(&str, Card)], columns: &[Output<'_>]) -> Result<()> {
    let wrong = |reason: String| DataError::Fits { path: path.to_path_buf(), reason };
    let rows = columns.first().map_or(0, |column| column.values.len() / column.width.max(1));
    for column in columns {
        if column.width == 0 || column.values.len() != rows * column.width {
            return Err(wrong(format!(
                "the column `{}` has {} values, {rows} rows of {} are expected",
                column.name,
                column.values.len(),
                column.width
            )));
        }
    }
    let row_bytes: usize = columns.iter().map(|column| column.width * column.values.form().1).sum();
    let text = |text: &str| Card::Text(text.into());
    let count = |count: usize| Card::Number(count as f64);
    let mut header = Vec::new();
    for (key, value) in [("SIMPLE", Card::Logical(true)), ("BITPIX", count(8)), ("NAXIS", count(0)), ("EXTEND", Card::Logical(true))] {
        header.extend(cards(key, &value).map_err(wrong)?);
    }
    let primary = blocks(&header);
    header.clear();
    let mut put = |key: &str, value: Card| -> Result<()> {
        header.extend(cards(key, &value).map_err(wrong)?);
        Ok(())
    };
    put("XTENSION", text("BINTABLE"))?;
    for (key, value) in
        [("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", row_bytes), ("NAXIS2", rows), ("PCOUNT", 0), ("GCOUNT", 1), ("TFIELDS", columns.len())]
    {
        put(key, count(value))?;
    }
    for (i, column) in (1..).zip(columns) {
        put(&format!("TTYPE{i}"), text(column.name))?;
        put(&format!("TFORM{i}"), Card::Text(format!("{}{}", column.width, column.values.form().0)))?;
        if !column.unit.is_empty() {
            put(&format!("TUNIT{i}"), text(column.unit))?;
        }
    }
    put("EXTNAME", text(name))?;
    put("LONGSTRN", text("OGIP 1.0"))?;
    for (key, value) in keywords {
        put(key, value.clone())?;
    }
    let header = blocks(&header);
    write_atomic(path, |out| {
        out.write_all(&primary)?;
        out.write_all(&header)?;
        let mut bytes = Vec::with_capacity(row_bytes);
        for row in 0..rows {
            bytes.clear();
            for column in columns {
                for at in row * column.width..(row + 1) * column.width {
                    column.values.push(at, &mut bytes);
                }
            }
            out.write_all(&bytes)?;
        }
        let written = (rows * row_bytes) as u64;
        let padding = written.next_multiple_of(BLOCK) - written;
        out.write_all(&vec![0u8; padding as usize])
    })
}

/// A header with its END, padded.
fn blocks(cards: &[String]) -> Vec<u8> {
    let mut text = cards.concat();
    text.push_str("END");
    while !(text.len() as u64).is_multiple_of(BLOCK) {
        text.push(' ');
    }
    text.into_bytes()
}

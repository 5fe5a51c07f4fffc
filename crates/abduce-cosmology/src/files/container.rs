//! Named f32 arrays with a JSON document: safetensors files, streamed so that a snapshot is never in memory twice.

use super::FileError;
use abduce_data::artefact::write_atomic;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Key of the document within `__metadata__`, whose values are strings.
const KEY: &str = "abduce-cosmology";
/// No honest header is longer.
const MOST_HEADER_BYTES: u64 = 1 << 20;
/// Values converted at a time.
const BLOCK: usize = 1 << 14;

#[derive(Serialize, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// An array to be written: rows of `width` values.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a str,
    /// Values per row; 1 is written without a second axis.
    pub width: usize,
    /// The values, row-major.
    pub values: &'a [f32],
}

impl<'a> Column<'a> {
    /// Vectors.
    pub fn vectors<const D: usize>(name: &'a str, rows: &'a [[f32; D]]) -> Self {
        Self { name, width: D, values: rows.as_flattened() }
    }

    /// Scalars.
    pub const fn scalars(name: &'a str, values: &'a [f32]) -> Self {
        Self { name, width: 1, values }
    }
}

/// Writes `columns` and `document`; the file appears complete or not at all, and the same contents give the same bytes.
///
/// # Errors
/// The document cannot be written as JSON, or the file cannot be written.
pub fn write(path: &Path, document: &impl Serialize, columns: &[Column<'_>]) -> Result<(), FileError> {
    let json = |error: serde_json::Error| FileError::format(path, error.to_string());
    let mut header = serde_json::Map::new();
    let text = serde_json::to_string(document).map_err(json)?;
    header.insert("__metadata__".into(), serde_json::json!({ KEY: text }));
    let mut at = 0;
    for column in columns {
        let rows = column.values.len() / column.width.max(1);
        let shape = if column.width == 1 { vec![rows] } else { vec![rows, column.width] };
        let end = at + 4 * column.values.len() as u64;
        let entry = Entry { dtype: "F32".into(), shape, data_offsets: [at, end] };
        header.insert(column.name.into(), serde_json::to_value(entry).map_err(json)?);
        at = end;
    }
    let mut header = serde_json::to_string(&header).map_err(json)?;
    // Data begin at a multiple of eight.
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    write_atomic(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        let mut bytes = Vec::with_capacity(4 * BLOCK);
        for column in columns {
            for block in column.values.chunks(BLOCK) {
                bytes.clear();
                block.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
                out.write_all(&bytes)?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

/// A file open for reading: its header is checked against its size before anything is allocated.
#[derive(Debug)]
pub struct Container {
    path: PathBuf,
    file: File,
    entries: BTreeMap<String, Entry>,
    data_start: u64,
    document: String,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.dtype, self.shape)
    }
}

impl Container {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be read, is not such a file, is truncated, or claims more than it holds.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let mut file = File::open(path).map_err(FileError::io("read", path))?;
        let size = file.metadata().map_err(FileError::io("read", path))?.len();
        let mut length = [0u8; 8];
        let truncated = |expected: u64| FileError::Truncated { path: path.to_path_buf(), expected, found: size };
        if size < 8 {
            return Err(truncated(8));
        }
        file.read_exact(&mut length).map_err(FileError::io("read", path))?;
        let length = u64::from_le_bytes(length);
        if length > MOST_HEADER_BYTES {
            return Err(FileError::format(path, format!("not a product of `abduce cosmology`: a header of {length} bytes")));
        }
        if size < 8 + length {
            return Err(truncated(8 + length));
        }
        let mut header = vec![0u8; length as usize];
        file.read_exact(&mut header).map_err(FileError::io("read", path))?;
        let wrong = |reason: String| FileError::format(path, format!("not a product of `abduce cosmology`: {reason}"));
        let mut header: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&header).map_err(|error| wrong(error.to_string()))?;
        let document = header.remove("__metadata__").and_then(|mut metadata| match metadata[KEY].take() {
            serde_json::Value::String(text) => Some(text),
            _ => None,
        });
        let document = document.ok_or_else(|| wrong("it has no description".into()))?;
        let mut entries = BTreeMap::new();
        let mut end = 0;
        for (name, value) in header {
            let entry: Entry = serde_json::from_value(value).map_err(|error| wrong(format!("`{name}`: {error}")))?;
            let count = entry.shape.iter().try_fold(1u64, |count, &axis| count.checked_mul(axis as u64));
            let bytes = count.and_then(|count| count.checked_mul(4));
            let [first, last] = entry.data_offsets;
            if entry.dtype != "F32" || last < first || bytes != Some(last - first) {
                return Err(wrong(format!("`{name}` claims {:?} in the bytes {first} to {last}", entry.shape)));
            }
            end = end.max(last);
            entries.insert(name, entry);
        }
        let expected = (8 + length).saturating_add(end);
        if size < expected {
            return Err(truncated(expected));
        }
        Ok(Self { path: path.to_path_buf(), file, entries, data_start: 8 + length, document })
    }

    /// The document.
    ///
    /// # Errors
    /// It has another form.
    pub fn document<T: DeserializeOwned>(&self) -> Result<T, FileError> {
        serde_json::from_str(&self.document).map_err(|error| FileError::format(&self.path, format!("its description: {error}")))
    }

    /// Whether there is an array of this name.
    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Reads an array of rows of `D` values.
    ///
    /// # Errors
    /// It is not there, has another shape, or cannot be read.
    pub fn rows<const D: usize>(&mut self, name: &str) -> Result<Vec<[f32; D]>, FileError> {
        let entry = self.entries.get(name).ok_or_else(|| FileError::format(&self.path, format!("it has no `{name}`")))?;
        let fits = match entry.shape[..] {
            [_] => D == 1,
            [_, width] => width == D,
            _ => false,
        };
        if !fits {
            return Err(FileError::format(&self.path, format!("`{name}` has the shape {:?}, not rows of {D}", entry.shape)));
        }
        let (start, count) = (entry.data_offsets[0], entry.shape[0]);
        let io = || FileError::io("read", &self.path);
        self.file.seek(SeekFrom::Start(self.data_start + start)).map_err(io())?;
        // The header was checked against the size of the file: this is what is there.
        let mut rows = vec![[0.0f32; D]; count];
        let mut bytes = vec![0u8; 4 * BLOCK];
        for block in rows.as_flattened_mut().chunks_mut(BLOCK) {
            let bytes = &mut bytes[..4 * block.len()];
            self.file.read_exact(bytes).map_err(io())?;
            for (value, bytes) in block.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Ok(rows)
    }

    /// Reads an array of scalars.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub fn scalars(&mut self, name: &str) -> Result<Vec<f32>, FileError> {
        Ok(self.rows::<1>(name)?.into_flattened())
    }
}

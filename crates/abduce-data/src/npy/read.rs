//! Whole arrays and ranges of rows from a file.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::decode::Element;
use super::header::{Header, Order, PREAMBLE_BYTES, dictionary_span};
use crate::array::{Array, element_count};
use crate::error::{DataError, NpyProblem, Result};

/// Bytes read at a time: large enough for the disk, small enough to stay in the second-level cache while it is converted.
const CHUNK_BYTES: usize = 1 << 18;

/// Something with bytes at positions: a file, or an archive member in memory.
trait Source {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()>;
}

impl Source for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
}

impl Source for [u8] {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = start.checked_add(buffer.len()).and_then(|end| self.get(start..end));
        buffer.copy_from_slice(bytes.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Read a whole file in the wanted precision.
pub fn read<T: Element>(path: &Path) -> Result<Array<T>> {
    RowFile::open(path)?.read_all()
}

/// Read an array from the bytes of a file; `name` is what errors call it.
pub(crate) fn read_bytes<T: Element>(name: &Path, bytes: &[u8]) -> Result<Array<T>> {
    let npy = |problem| DataError::Npy { path: name.to_path_buf(), problem };
    let header = parse_header(&bytes[..bytes.len().min(PREAMBLE_BYTES)], bytes.len() as u64, |buffer, offset| {
        Source::read_exact_at(bytes, buffer, offset)
    })
    .map_err(DataError::io(name, "read"))?
    .map_err(npy)?;
    Layout { header }.read_all(bytes).map_err(DataError::io(name, "read"))
}

/// An npy file whose rows are read where they lie, without loading the file.
///
/// Reads go by position, so one `RowFile` serves several threads at once.
#[derive(Debug)]
pub struct RowFile {
    file: File,
    path: PathBuf,
    layout: Layout,
}

impl RowFile {
    /// Open a file and check its header against its size.
    pub fn open(path: &Path) -> Result<Self> {
        let io = || DataError::io(path, "read");
        let file = File::open(path).map_err(io())?;
        let file_bytes = file.metadata().map_err(io())?.len();
        let mut preamble = [0u8; PREAMBLE_BYTES];
        let mut filled = 0;
        while filled < preamble.len() {
            match file.read_at(&mut preamble[filled..], filled as u64).map_err(io())? {
                0 => break,
                read => filled += read,
            }
        }
        let header = parse_header(&preamble[..filled], file_bytes, |buffer, offset| Source::read_exact_at(&file, buffer, offset))
            .map_err(io())?
            .map_err(|problem| DataError::Npy { path: path.to_path_buf(), problem })?;
        Ok(Self { file, path: path.to_path_buf(), layout: Layout { header } })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the header says.
    pub fn header(&self) -> &Header {
        &self.layout.header
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.layout.rows()
    }

    /// Values per row.
    pub fn row_len(&self) -> usize {
        self.layout.row_len()
    }

    /// Read the whole file.
    pub fn read_all<T: Element>(&self) -> Result<Array<T>> {
        self.layout.read_all(&self.file).map_err(DataError::io(&self.path, "read"))
    }

    /// Read `out.len() / row_len` rows from `first_row` on. `scratch` is kept by the caller so that repeated reads allocate nothing.
    ///
    /// Panics where `out` is not a whole number of rows or reaches beyond the last one.
    pub fn read_rows<T: Element>(&self, first_row: usize, out: &mut [T], scratch: &mut Vec<u8>) -> Result<()> {
        self.layout.read_rows(&self.file, first_row, out, scratch).map_err(DataError::io(&self.path, "read"))
    }
}

/// The outer error is the system's, the inner one the file's.
fn parse_header(
    start: &[u8],
    file_bytes: u64,
    read_at: impl FnOnce(&mut [u8], u64) -> std::io::Result<()>,
) -> std::io::Result<Result<Header, NpyProblem>> {
    let (offset, length) = match dictionary_span(start) {
        Ok(span) => span,
        Err(problem) => return Ok(Err(problem)),
    };
    if offset + length > file_bytes {
        return Ok(Err(NpyProblem::Header(format!("it claims {length} bytes, the file has {file_bytes}"))));
    }
    // At most 65 536 bytes: `dictionary_span` refuses more.
    let mut dictionary = vec![0u8; length as usize];
    read_at(&mut dictionary, offset)?;
    Ok(Header::parse(&dictionary, offset + length, file_bytes))
}

/// A header that fits its file, and the arithmetic from rows to bytes.
#[derive(Debug)]
struct Layout {
    header: Header,
}

impl Layout {
    fn rows(&self) -> usize {
        self.header.shape.first().copied().unwrap_or(1)
    }

    fn row_shape(&self) -> &[usize] {
        self.header.shape.get(1..).unwrap_or(&[])
    }

    fn row_len(&self) -> usize {
        self.row_shape().iter().product()
    }

    fn read_all<T: Element>(&self, source: &(impl Source + ?Sized)) -> std::io::Result<Array<T>> {
        // The header was checked against the size of the file, so this is at most 8 times what lies on disk; a sparse file can
        // still be larger than memory, which must be an error and not an abort.
        let count = element_count(&self.header.shape).unwrap_or(0);
        let mut data = Vec::new();
        data.try_reserve_exact(count).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        data.resize(count, T::default());
        self.read_rows(source, 0, &mut data, &mut Vec::new())?;
        Array::new(self.header.shape.clone(), data).map_err(std::io::Error::other)
    }

    fn read_rows<T: Element>(
        &self,
        source: &(impl Source + ?Sized),
        first_row: usize,
        out: &mut [T],
        scratch: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let row_len = self.row_len();
        if row_len == 0 || out.is_empty() {
            return Ok(());
        }
        let count = out.len() / row_len;
        assert!(count * row_len == out.len() && first_row + count <= self.rows(), "rows {first_row}+{count} of {}", self.rows());
        match self.header.order {
            Order::C => self.read_run(source, first_row * row_len, out, 1, scratch),
            Order::Fortran => {
                // Value (i, j) of an array with n rows lies at i + n·f(j), f(j) being the column-major number of trailing index j.
                for j in 0..row_len {
                    let start = first_row + self.rows() * self.column_major_from_row_major(j);
                    self.read_run(source, start, &mut out[j..], row_len, scratch)?;
                }
                Ok(())
            }
        }
    }

    /// Read consecutive values of the file from number `start` on into `out[0], out[stride], …` up to its end.
    fn read_run<T: Element>(
        &self,
        source: &(impl Source + ?Sized),
        start: usize,
        out: &mut [T],
        stride: usize,
        scratch: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let dtype = self.header.dtype;
        let mut position = self.header.data_offset + (start * dtype.bytes) as u64;
        for part in out.chunks_mut(CHUNK_BYTES / dtype.bytes * stride) {
            let bytes = part.len().div_ceil(stride) * dtype.bytes;
            if scratch.len() < bytes {
                scratch.resize(bytes, 0);
            }
            source.read_exact_at(&mut scratch[..bytes], position)?;
            dtype.decode(&scratch[..bytes], part, stride);
            position += bytes as u64;
        }
        Ok(())
    }

    fn column_major_from_row_major(&self, index: usize) -> usize {
        let axes = self.row_shape();
        let (mut rest, mut result) = (index, 0);
        for axis in (0..axes.len()).rev() {
            let coordinate = rest % axes[axis];
            rest /= axes[axis];
            result += coordinate * axes[..axis].iter().product::<usize>();
        }
        result
    }
}

//! Reading HDF5 files that may be damaged or hostile.

use super::{Attribute, filters};
use crate::array::{Array, element_count};
use crate::error::{DataError, Result};
use crate::npy::{DType, Element, Kind};
use hdf5_pure::{AttrValue, Datatype, DatatypeByteOrder, FloatingPointLayout, FormatError, Layout};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Bytes converted at a time.
const WINDOW: usize = 1 << 18;
/// What any packed file may unpack to.
const SMALL_ARRAY: u64 = 64 << 20;
/// Beyond that, bytes per packed byte: deflate reaches 1032, and positions and velocities hardly 2.
const MOST_RATIO: u64 = 2048;
/// HDF5's own limit of axes.
const MOST_AXES: usize = 32;
const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";

/// Whether a file begins as HDF5 files do.
pub fn is_hdf5(path: &Path) -> bool {
    let mut start = [0u8; 8];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *SIGNATURE
}

/// A file open for reading. Arrays and groups are named by their paths, `group/name`.
#[derive(Debug)]
pub struct Hdf5File {
    path: PathBuf,
    file: hdf5_pure::File,
    bytes: File,
    size: u64,
}

/// The bytes of a file at positions, for the library; it takes no locks, unlike opening by path.
struct Positions {
    file: File,
    size: u64,
}

impl hdf5_pure::Source for Positions {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), FormatError> {
        self.file.read_exact_at(out, offset).map_err(|error| FormatError::Source(error.to_string()))
    }
}

/// Numbers that arrays of a file can be read as: `f32`, `f64`, or `u64` from integers.
pub trait Hdf5Value: Copy + Default {
    /// Whether values of this type can be had from those of `dtype`.
    fn accepts(dtype: DType) -> bool;
    /// Converts `out.len()` values.
    fn decode(dtype: DType, bytes: &[u8], out: &mut [Self]);
}

impl Hdf5Value for f32 {
    fn accepts(_: DType) -> bool {
        true
    }

    fn decode(dtype: DType, bytes: &[u8], out: &mut [Self]) {
        dtype.decode(bytes, out, 1);
    }
}

impl Hdf5Value for f64 {
    fn accepts(_: DType) -> bool {
        true
    }

    fn decode(dtype: DType, bytes: &[u8], out: &mut [Self]) {
        dtype.decode(bytes, out, 1);
    }
}

impl Hdf5Value for u64 {
    fn accepts(dtype: DType) -> bool {
        dtype.kind != Kind::Float
    }

    fn decode(dtype: DType, bytes: &[u8], out: &mut [Self]) {
        for (slot, item) in out.iter_mut().zip(bytes.chunks_exact(dtype.bytes)) {
            let mut word = [0u8; 8];
            word[..item.len()].copy_from_slice(item);
            if dtype.big_endian {
                word[..item.len()].reverse();
            }
            // A negative identity keeps its bits.
            *slot = Self::from_le_bytes(word);
        }
    }
}

fn dtype_of(datatype: &Datatype) -> Option<DType> {
    let big = |order: &DatatypeByteOrder| match order {
        DatatypeByteOrder::LittleEndian => Some(false),
        DatatypeByteOrder::BigEndian => Some(true),
        DatatypeByteOrder::Vax => None,
    };
    match datatype {
        Datatype::FixedPoint { size: size @ (1 | 2 | 4 | 8), byte_order, layout }
            if layout.bit_offset == 0 && u32::from(layout.bit_precision) == 8 * size =>
        {
            let kind = if layout.signed { Kind::Signed } else { Kind::Unsigned };
            Some(DType { kind, bytes: *size as usize, big_endian: big(byte_order)? })
        }
        Datatype::FloatingPoint { size, byte_order, layout } => {
            let standard = match size {
                4 => FloatingPointLayout::IEEE754_BINARY32,
                8 => FloatingPointLayout::IEEE754_BINARY64,
                _ => return None,
            };
            (*layout == standard).then_some(DType { kind: Kind::Float, bytes: *size as usize, big_endian: big(byte_order)? })
        }
        Datatype::Enumeration { base_type, .. } => match **base_type {
            Datatype::FixedPoint { .. } => dtype_of(base_type),
            _ => None,
        },
        _ => None,
    }
}

impl Hdf5File {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be read or is not an HDF5 file.
    pub fn open(path: &Path) -> Result<Self> {
        let io = || DataError::io(path, "read");
        let bytes = File::open(path).map_err(io())?;
        let size = bytes.metadata().map_err(io())?.len();
        let source = Positions { file: bytes.try_clone().map_err(io())?, size };
        let file = hdf5_pure::File::from_source(source).map_err(|error| wrong(path, error.to_string()))?;
        Ok(Self { path: path.to_path_buf(), file, bytes, size })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn wrong(&self, reason: impl std::fmt::Display) -> DataError {
        wrong(&self.path, reason.to_string())
    }

    fn group(&self, path: &str) -> Result<hdf5_pure::Group> {
        let path = path.trim_matches('/');
        if path.is_empty() { Ok(self.file.root()) } else { self.file.group(path).map_err(|error| self.wrong(format!("`{path}`: {error}"))) }
    }

    /// Names of the groups in a group, sorted; `/` is the file.
    ///
    /// # Errors
    /// No such group, or a damaged one.
    pub fn groups(&self, group: &str) -> Result<Vec<String>> {
        let mut names = self.group(group)?.groups().map_err(|error| self.wrong(error))?;
        names.sort();
        Ok(names)
    }

    /// Names of the arrays in a group, sorted.
    ///
    /// # Errors
    /// No such group, or a damaged one.
    pub fn arrays(&self, group: &str) -> Result<Vec<String>> {
        let mut names = self.group(group)?.datasets().map_err(|error| self.wrong(error))?;
        names.sort();
        Ok(names)
    }

    /// Attributes of a group or an array that are numbers or texts.
    ///
    /// # Errors
    /// No such object, or a damaged one.
    pub fn attributes(&self, object: &str) -> Result<BTreeMap<String, Attribute>> {
        let attributes = match self.group(object) {
            Ok(group) => group.attrs().map_err(|error| self.wrong(error))?,
            Err(_) => self.dataset(object)?.attrs().map_err(|error| self.wrong(error))?,
        };
        Ok(attributes.into_iter().filter_map(|(name, value)| Some((name, read_attribute(&value)?))).collect())
    }

    fn dataset(&self, name: &str) -> Result<hdf5_pure::Dataset> {
        let name = name.trim_matches('/');
        self.file.dataset(name).map_err(|_| {
            let folder = name.rsplit_once('/').map_or("/", |(folder, _)| folder);
            let known = self.arrays(folder).or_else(|_| self.arrays("/")).unwrap_or_default();
            DataError::NpzMember { path: self.path.clone(), name: name.to_owned(), known }
        })
    }

    /// The shape of an array.
    ///
    /// # Errors
    /// No such array, or a damaged one.
    pub fn shape(&self, name: &str) -> Result<Vec<usize>> {
        let shape = self.dataset(name)?.shape().map_err(|error| self.wrong(format!("`{name}`: {error}")))?;
        let fits = |axis: u64| usize::try_from(axis).map_err(|_| self.wrong(format!("`{name}`: an axis of {axis}")));
        shape.into_iter().map(fits).collect()
    }

    /// Reads an array in the wanted precision.
    ///
    /// # Errors
    /// No such array; values that are not numbers; a filter that is not known; anything that contradicts itself or the size of the file.
    pub fn read<T: Element + Hdf5Value>(&self, name: &str) -> Result<Array<T>> {
        let (shape, values) = self.read_values(name)?;
        Array::new(shape, values)
    }

    /// Reads an array of any of the types.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_values<T: Hdf5Value>(&self, name: &str) -> Result<(Vec<usize>, Vec<T>)> {
        let about = |reason: String| self.wrong(format!("`{name}`: {reason}"));
        let library = |error: hdf5_pure::Error| about(error.to_string());
        let dataset = self.dataset(name)?;
        let shape = self.shape(name)?;
        let datatype = dataset.datatype().map_err(library)?;
        let dtype = dtype_of(&datatype).ok_or_else(|| about(format!("values of type {datatype} are not read")))?;
        if !T::accepts(dtype) {
            return Err(about(format!("values of type {datatype} where integers are expected")));
        }
        let count = element_count(&shape).filter(|count| count.checked_mul(8).is_some() && shape.len() <= MOST_AXES);
        let count = count.ok_or_else(|| about(format!("a shape of {shape:?}")))?;
        let bytes = (count * dtype.bytes) as u64;
        let reserve = |count: usize| -> Result<Vec<T>> {
            let mut values = Vec::new();
            values.try_reserve_exact(count).map_err(|_| DataError::io(&self.path, "read")(std::io::ErrorKind::OutOfMemory.into()))?;
            values.resize(count, T::default());
            Ok(values)
        };
        if count == 0 {
            return Ok((shape, Vec::new()));
        }
        let values = match dataset.layout().map_err(library)? {
            Layout::Compact { size } if size == bytes => {
                let raw = dataset.read_raw().map_err(library)?;
                let mut values = reserve(count)?;
                if raw.len() as u64 != bytes {
                    return Err(about(format!("{} bytes where {bytes} are expected", raw.len())));
                }
                T::decode(dtype, &raw, &mut values);
                values
            }
            Layout::Contiguous { address: Some(address), size } if size == bytes => {
                self.inside(name, address, size)?;
                let mut values = reserve(count)?;
                let mut at = address;
                let mut window = vec![0u8; WINDOW.min(count * dtype.bytes)];
                for part in values.chunks_mut(WINDOW / dtype.bytes) {
                    let window = &mut window[..part.len() * dtype.bytes];
                    self.bytes.read_exact_at(window, at).map_err(DataError::io(&self.path, "read"))?;
                    T::decode(dtype, window, part);
                    at += window.len() as u64;
                }
                values
            }
            Layout::Chunked { chunk_shape, .. } => {
                let plan = self.plan(name, &dataset, &shape, &chunk_shape, dtype)?;
                let mut values = reserve(count)?;
                let mut decoded: Vec<T> = vec![T::default(); plan.values];
                for chunk in &plan.chunks {
                    let mut packed = vec![0u8; chunk.storage_size as usize];
                    self.bytes.read_exact_at(&mut packed, chunk.address).map_err(DataError::io(&self.path, "read"))?;
                    let plain = filters::undo(packed, &plan.filters, chunk.filter_mask, dtype.bytes, plan.values * dtype.bytes);
                    T::decode(dtype, &plain.map_err(about)?, &mut decoded);
                    place(&decoded, &plan.edges, &chunk.offset, &shape, &mut values);
                }
                values
            }
            Layout::Contiguous { address: None, .. } => return Err(about("nothing has been written to it".into())),
            layout => return Err(about(format!("stored as {layout} where {bytes} bytes are expected"))),
        };
        Ok((shape, values))
    }

    /// Fails where these bytes are not in the file.
    fn inside(&self, name: &str, address: u64, size: u64) -> Result<()> {
        match address.checked_add(size) {
            Some(end) if end <= self.size => Ok(()),
            _ => {
                Err(self
                    .wrong(format!("`{name}` is truncated or damaged: {size} bytes at {address} are not in a file of {} bytes", self.size)))
            }
        }
    }

    /// Everything that is to be known of a chunked array before a byte of it is read.
    fn plan(&self, name: &str, dataset: &hdf5_pure::Dataset, shape: &[usize], edges: &[u64], dtype: DType) -> Result<Plan> {
        let about = |reason: String| self.wrong(format!("`{name}`: {reason}"));
        let filters: Vec<(u16, Option<String>)> = dataset.filter_pipeline().into_iter().map(|filter| (filter.id, filter.name)).collect();
        filters::check(&filters).map_err(about)?;
        let edges: Option<Vec<usize>> = edges.iter().map(|&edge| usize::try_from(edge).ok().filter(|&edge| edge > 0)).collect();
        let edges = edges.filter(|edges| edges.len() == shape.len());
        let edges = edges.ok_or_else(|| about(format!("chunks of another form than its shape {shape:?}")))?;
        let values = element_count(&edges).filter(|values| values.checked_mul(8).is_some());
        let values = values.ok_or_else(|| about(format!("chunks of shape {edges:?}")))?;
        let chunk_bytes = (values * dtype.bytes) as u64;
        let grid: Vec<usize> = shape.iter().zip(&edges).map(|(axis, edge)| axis.div_ceil(*edge)).collect();
        let expected = element_count(&grid).unwrap_or(usize::MAX);
        // Each place of a chunk takes more than one byte of its index.
        if expected as u64 > self.size {
            return Err(about(format!("{expected} chunks in a file of {} bytes", self.size)));
        }
        let chunks = dataset.chunks().map_err(|error| about(error.to_string()))?;
        let mut seen = vec![false; expected];
        let mut stored = 0u64;
        for chunk in &chunks {
            self.inside(name, chunk.address, chunk.storage_size)?;
            stored = stored.saturating_add(chunk.storage_size);
            let index = chunk.offset.iter().zip(edges.iter().zip(&grid)).try_fold(0usize, |index, (&offset, (&edge, &cells))| {
                let offset = usize::try_from(offset).ok()?;
                (offset % edge == 0 && offset / edge < cells).then(|| index * cells + offset / edge)
            });
            match index.filter(|_| chunk.offset.len() == shape.len()).and_then(|index| seen.get_mut(index)) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(about(format!("a chunk at {:?}, twice or outside the shape {shape:?}", chunk.offset))),
            }
        }
        if chunks.len() != expected {
            return Err(about(format!("truncated: {} of {expected} chunks are there", chunks.len())));
        }
        if stored > self.size {
            return Err(about(format!("chunks of {stored} bytes that overlap in a file of {}", self.size)));
        }
        let total = chunk_bytes.saturating_mul(expected as u64);
        let most = if filters::compresses(&filters) { SMALL_ARRAY.max(stored.saturating_mul(MOST_RATIO)) } else { stored };
        if total > most {
            return Err(about(format!("{stored} packed bytes claim to hold {total}")));
        }
        Ok(Plan { edges, values, filters, chunks })
    }
}

fn wrong(path: &Path, reason: String) -> DataError {
    DataError::Hdf5 { path: path.to_path_buf(), reason }
}

struct Plan {
    edges: Vec<usize>,
    values: usize,
    filters: Vec<(u16, Option<String>)>,
    chunks: Vec<hdf5_pure::Chunk>,
}

/// Copies a chunk to its place, run by run along the last axis; what reaches over the edge of the array is left out.
fn place<T: Copy>(chunk: &[T], edges: &[usize], offset: &[u64], shape: &[usize], out: &mut [T]) {
    let rank = shape.len();
    let Some(last) = rank.checked_sub(1) else {
        out.copy_from_slice(chunk);
        return;
    };
    let run = edges[last].min(shape[last] - offset[last] as usize);
    let rows: usize = edges[..last].iter().product();
    'rows: for row in 0..rows {
        let (mut rest, mut at, mut stride) = (row, 0, shape[last]);
        for axis in (0..last).rev() {
            let coordinate = offset[axis] as usize + rest % edges[axis];
            if coordinate >= shape[axis] {
                continue 'rows;
            }
            at += coordinate * stride;
            stride *= shape[axis];
            rest /= edges[axis];
        }
        at += offset[last] as usize;
        out[at..at + run].copy_from_slice(&chunk[row * edges[last]..][..run]);
    }
}

fn read_attribute(value: &AttrValue) -> Option<Attribute> {
    if let Some(text) = value.as_str() {
        return Some(Attribute::Text(vec![text.to_string()]));
    }
    if let Some(texts) = value.as_strings() {
        return Some(Attribute::Text(texts.to_vec()));
    }
    if let Some(values) = value.to_i64s() {
        return Some(Attribute::Integers(values));
    }
    value.to_f64s().or_else(|| value.to_u64s().map(|values| values.into_iter().map(|value| value as f64).collect())).map(Attribute::Numbers)
}

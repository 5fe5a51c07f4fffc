//! Blocks of simulated rows in a file: item indices, θ and x behind a header, with a checksum over everything.
//!
//! A block is written once, under a name made from its contents, and never changed. So writers need no locks, writing the same rows twice
//! gives the same file, and a file that was torn by a crash of the machine or a broken copy is recognised by its checksum.
//!
//! Layout, little-endian: 8 bytes `ABDROWS1`; length of the header (u64); the header, JSON; n indices (u64); θ, n × d (f32); x, n × m (f32);
//! SHA-256 of all that (32 bytes).

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::array::Array;
use crate::artefact::{hex, write_shared};
use crate::error::{DataError, Result};
use crate::npy;

const MAGIC: &[u8; 8] = b"ABDROWS1";
const CHECKSUM_BYTES: u64 = 32;
/// A header holds a few numbers and a message per failed row.
const MAX_HEADER_BYTES: u64 = 1 << 28;

/// The ending of a block's name.
pub const EXTENSION: &str = "block";

#[derive(Serialize, Deserialize)]
struct Header {
    rows: usize,
    parameters: usize,
    data_shape: Vec<usize>,
    notes: serde_json::Value,
}

/// Rows to be written.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    /// Global indices of the n items.
    pub indices: &'a [u64],
    /// θ (n, d).
    pub theta: &'a Array,
    /// x (n, …).
    pub x: &'a Array,
    /// Whatever else is to be kept with them.
    pub notes: serde_json::Value,
}

/// Writes a block into `folder` and returns its path. The name begins with the first index, so that names sort roughly by item.
///
/// ```
/// use abduce_data::{Array, block};
/// let dir = tempfile::tempdir()?;
/// let theta = Array::new(vec![2, 1], vec![0.1f32, 0.2])?;
/// let x = Array::new(vec![2, 3], vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// let path = block::write(dir.path(), &block::Block { indices: &[7, 9], theta: &theta, x: &x, notes: "round 0".into() })?;
/// let file = block::BlockFile::open(&path)?;
/// assert_eq!((file.indices(), file.data_shape(), file.notes()), (&[7, 9][..], &[3][..], &"round 0".into()));
/// let mut row = [0.0; 3];
/// file.read_x(1, &mut row)?;
/// assert_eq!(row, [4.0, 5.0, 6.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(folder: &Path, block: &Block<'_>) -> Result<PathBuf> {
    for (what, array) in [("theta of a block", block.theta), ("x of a block", block.x)] {
        if array.rows() != block.indices.len() || array.shape().is_empty() {
            return Err(DataError::Width { what, found: array.rows(), expected: block.indices.len() });
        }
    }
    let header = Header {
        rows: block.indices.len(),
        parameters: block.theta.row_len(),
        data_shape: block.x.row_shape().to_vec(),
        notes: block.notes.clone(),
    };
    let unwritable = |error: serde_json::Error| DataError::Json { path: folder.to_path_buf(), reason: error.to_string() };
    let header = serde_json::to_vec(&header).map_err(unwritable)?;
    let write_body = |out: &mut dyn Write| -> io::Result<()> {
        let mut out = out;
        out.write_all(MAGIC)?;
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        for index in block.indices {
            out.write_all(&index.to_le_bytes())?;
        }
        npy::write_values(&mut out, block.theta.data())?;
        npy::write_values(&mut out, block.x.data())
    };
    let mut sum = Sum(Sha256::new());
    write_body(&mut sum).map_err(DataError::io(folder, "write"))?;
    let checksum = sum.0.finalize();
    let first = block.indices.first().copied().unwrap_or(0);
    let path = folder.join(format!("{first:012}-{}.{EXTENSION}", &hex(&checksum)[..16]));
    write_shared(&path, |out| {
        write_body(out)?;
        out.write_all(&checksum)
    })?;
    Ok(path)
}

/// A block whose checksum was found right; its rows stay in the file.
#[derive(Debug)]
pub struct BlockFile {
    path: PathBuf,
    header: Header,
    indices: Vec<u64>,
    theta_offset: u64,
    x_offset: u64,
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows of {} parameters and data of shape {:?}", self.rows, self.parameters, self.data_shape)
    }
}

impl BlockFile {
    /// Reads a block through once and checks it. A file that is torn or foreign is [`DataError::Block`].
    pub fn open(path: &Path) -> Result<Self> {
        let io = || DataError::io(path, "read");
        let damaged = |reason: &str| DataError::Block { path: path.to_path_buf(), reason: reason.to_owned() };
        let file = File::open(path).map_err(io())?;
        let bytes = file.metadata().map_err(io())?.len();
        let prefix = MAGIC.len() as u64 + 8;
        if bytes < prefix + CHECKSUM_BYTES {
            return Err(damaged("it is too short"));
        }
        let mut start = [0u8; 16];
        file.read_exact_at(&mut start, 0).map_err(io())?;
        let (magic, length) = start.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(damaged("it does not begin as one"));
        }
        let length = u64::from_le_bytes(length.try_into().map_err(|_| damaged("it is too short"))?);
        if length > MAX_HEADER_BYTES || length > bytes - prefix - CHECKSUM_BYTES {
            return Err(damaged("its header is longer than the file"));
        }
        // Before anything in it is believed.
        if !checksum_holds(&file, bytes - CHECKSUM_BYTES).map_err(io())? {
            return Err(damaged("its checksum is wrong: it was not written to the end, or was changed"));
        }
        let mut header = vec![0u8; length as usize];
        file.read_exact_at(&mut header, prefix).map_err(io())?;
        let header: Header = serde_json::from_slice(&header).map_err(|error| damaged(&error.to_string()))?;
        let sizes = || {
            let rows = header.rows as u64;
            let features = header.data_shape.iter().try_fold(1u64, |product, &axis| product.checked_mul(axis as u64))?;
            let theta = rows.checked_mul(header.parameters as u64)?.checked_mul(4)?;
            Some((rows.checked_mul(8)?, theta, rows.checked_mul(features)?.checked_mul(4)?))
        };
        let begin = prefix + length;
        let Some((index_bytes, theta_bytes, _)) = sizes().filter(|(indices, theta, x)| {
            let all = [begin, *indices, *theta, *x, CHECKSUM_BYTES].iter().try_fold(0u64, |sum, part| sum.checked_add(*part));
            all == Some(bytes)
        }) else {
            return Err(damaged("header and length do not belong together"));
        };
        let mut raw = vec![0u8; index_bytes as usize];
        file.read_exact_at(&mut raw, begin).map_err(io())?;
        let indices = raw.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let theta_offset = begin + index_bytes;
        Ok(Self { path: path.to_path_buf(), header, indices, theta_offset, x_offset: theta_offset + theta_bytes })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Global indices of its items.
    pub fn indices(&self) -> &[u64] {
        &self.indices
    }

    /// Parameters of a row.
    pub fn parameters(&self) -> usize {
        self.header.parameters
    }

    /// Shape of a datum.
    pub fn data_shape(&self) -> &[usize] {
        &self.header.data_shape
    }

    /// What was kept with the rows.
    pub fn notes(&self) -> &serde_json::Value {
        &self.header.notes
    }

    /// Reads rows of θ from row `first` on into `out`, a whole number of rows.
    pub fn read_theta(&self, first: usize, out: &mut [f32]) -> Result<()> {
        self.read_rows(self.theta_offset, self.header.parameters, first, out)
    }

    /// Reads rows of x from row `first` on into `out`, a whole number of rows.
    pub fn read_x(&self, first: usize, out: &mut [f32]) -> Result<()> {
        self.read_rows(self.x_offset, self.header.data_shape.iter().product(), first, out)
    }

    fn read_rows(&self, offset: u64, width: usize, first: usize, out: &mut [f32]) -> Result<()> {
        if !out.len().is_multiple_of(width.max(1)) || first + out.len() / width.max(1) > self.header.rows {
            return Err(DataError::Width { what: "rows of a block", found: out.len(), expected: width });
        }
        let io = || DataError::io(&self.path, "read");
        let file = File::open(&self.path).map_err(io())?;
        let mut bytes = vec![0u8; out.len() * 4];
        file.read_exact_at(&mut bytes, offset + (first * width * 4) as u64).map_err(io())?;
        out.iter_mut().zip(bytes.as_chunks().0).for_each(|(value, bytes)| *value = f32::from_le_bytes(*bytes));
        Ok(())
    }
}

/// Whether the first `body` bytes have the SHA-256 that stands behind them.
fn checksum_holds(file: &File, body: u64) -> io::Result<bool> {
    let mut sum = Sum(Sha256::new());
    io::copy(&mut io::BufReader::with_capacity(1 << 18, file).take(body), &mut sum)?;
    let mut written = [0u8; CHECKSUM_BYTES as usize];
    file.read_exact_at(&mut written, body)?;
    Ok(sum.0.finalize()[..] == written)
}

/// A checksum that is written to.
struct Sum(Sha256);

impl Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(folder: &Path) -> PathBuf {
        let theta = Array::new(vec![3, 2], vec![0.5f32, -1.0, 2.0, 3.0, f32::MIN_POSITIVE, 1e30]).unwrap();
        let x = Array::new(vec![3, 2, 1], vec![1.0f32, f32::NAN, 3.0, 4.0, 5.0, 6.0]).unwrap();
        write(folder, &Block { indices: &[5, 2, 1 << 40], theta: &theta, x: &x, notes: serde_json::json!({"round": 3}) }).unwrap()
    }

    #[test]
    fn rows_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        assert_eq!(written(dir.path()), path);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let block = BlockFile::open(&path).unwrap();
        assert_eq!((block.indices(), block.parameters(), block.data_shape()), (&[5, 2, 1 << 40][..], 2, &[2, 1][..]));
        let (mut theta, mut x) = ([0.0; 4], [0.0; 2]);
        block.read_theta(1, &mut theta).unwrap();
        block.read_x(0, &mut x).unwrap();
        assert_eq!(theta, [2.0, 3.0, f32::MIN_POSITIVE, 1e30]);
        assert!(x[0] == 1.0 && x[1].is_nan());
        assert!(block.read_x(2, &mut [0.0; 4]).is_err());
        let one = Array::new(vec![1, 1], vec![0.0f32]).unwrap();
        assert!(write(dir.path(), &Block { indices: &[1, 2], theta: &one, x: &one, notes: ().into() }).is_err());
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let whole = std::fs::read(written(dir.path())).unwrap();
        let path = dir.path().join("other.block");
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            matches!(BlockFile::open(&path), Err(DataError::Block { .. }))
        };
        for length in 0..whole.len() {
            assert!(refused(&whole[..length]), "cut at {length}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            assert!(refused(&bytes), "byte {at}");
        }
        assert!(refused(&[whole.clone(), vec![0]].concat()));
    }

    proptest! {
        /// Also behind a checksum that holds, a header that claims too much is refused before anything is allocated for it.
        #[test]
        fn forged_headers_are_refused(rows in any::<u64>(), parameters in any::<u64>(), axes in prop::collection::vec(any::<u64>(), 0..4)) {
            let dir = tempfile::tempdir().unwrap();
            let header = serde_json::json!({"rows": rows, "parameters": parameters, "data_shape": axes, "notes": null}).to_string();
            let mut bytes = MAGIC.to_vec();
            bytes.extend((header.len() as u64).to_le_bytes());
            bytes.extend(header.as_bytes());
            bytes.extend(vec![0; 64]);
            let checksum = Sha256::digest(&bytes);
            bytes.extend(&checksum[..]);
            let path = dir.path().join("forged.block");
            std::fs::write(&path, bytes).unwrap();
            let refused = matches!(BlockFile::open(&path), Err(DataError::Block { .. }));
            prop_assert!(refused);
        }
    }
}

//! NumPy's `.npz` archives: a zip of npy files, stored or deflated.

use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use crate::array::Array;
use crate::artefact::write_atomic;
use crate::error::{DataError, Result};
use crate::npy::{self, Element};

/// An archive open for reading.
///
/// ```
/// use abduce_data::{Array, npz};
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("chains.npz");
/// let theta = Array::new(vec![2, 3], vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// npz::write(&path, &[("theta", &theta)])?;
/// let mut archive = npz::Npz::open(&path)?;
/// assert_eq!(archive.names(), ["theta"]);
/// assert_eq!(archive.read::<f32>("theta")?, theta);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Npz {
    path: PathBuf,
    file_bytes: u64,
    archive: ZipArchive<BufReader<File>>,
}

/// Deflate turns at most 258 bytes into 2 bits, so no honest member is larger than this many times its compressed size.
const MAX_DEFLATE_RATIO: u64 = 1032;

const SUFFIX: &str = ".npy";

impl Npz {
    /// Open an archive and read its table of contents.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(DataError::io(path, "read"))?;
        let file_bytes = file.metadata().map_err(DataError::io(path, "read"))?.len();
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|error| unusable(path, &error))?;
        Ok(Self { path: path.to_path_buf(), file_bytes, archive })
    }

    /// Names of the arrays, sorted.
    pub fn names(&self) -> Vec<String> {
        let member = |name: Result<std::borrow::Cow<'_, str>, _>| Some(name.ok()?.strip_suffix(SUFFIX)?.to_owned());
        let mut names: Vec<String> = self.archive.file_names().filter_map(member).collect();
        names.sort();
        names
    }

    /// Read one array in the wanted precision.
    pub fn read<T: Element>(&mut self, name: &str) -> Result<Array<T>> {
        let known = self.names();
        let Some(index) = self.archive.index_for_name(&format!("{name}{SUFFIX}")) else {
            return Err(DataError::NpzMember { path: self.path.clone(), name: name.to_owned(), known });
        };
        let member = self.archive.by_index(index).map_err(|error| unusable(&self.path, &error))?;
        let (size, packed) = (member.size(), member.compressed_size());
        if packed > self.file_bytes || size > packed.saturating_mul(MAX_DEFLATE_RATIO) {
            let reason = format!("`{name}` claims {size} bytes packed into {packed} of an archive of {}", self.file_bytes);
            return Err(DataError::Npz { path: self.path.clone(), reason });
        }
        // Grows with what is really there, whatever the table of contents claims.
        let mut bytes = Vec::new();
        let label = self.path.join(name);
        member.take(size.saturating_add(1)).read_to_end(&mut bytes).map_err(DataError::io(&label, "unpack"))?;
        npy::read_bytes(&label, &bytes)
    }
}

/// Write arrays under their names, uncompressed as `numpy.savez` does; the file appears complete or not at all.
pub fn write<T: Element>(path: &Path, arrays: &[(&str, &Array<T>)]) -> Result<()> {
    write_atomic(path, |out| {
        let mut archive = ZipWriter::new(out);
        // The zip64 form costs 20 bytes and allows members beyond 4 GB.
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        for (name, array) in arrays {
            archive.start_file(format!("{name}{SUFFIX}"), options)?;
            npy::write_array(&mut archive, array)?;
        }
        archive.finish()?.flush()
    })
}

fn unusable(path: &Path, error: &zip::result::ZipError) -> DataError {
    DataError::Npz { path: path.to_path_buf(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn archive() -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut writer = ZipWriter::new(&mut bytes);
        for (name, method) in [("stored.npy", CompressionMethod::Stored), ("packed.npy", CompressionMethod::Deflated)] {
            writer.start_file(name, SimpleFileOptions::default().compression_method(method)).unwrap();
            npy::write_array(&mut writer, &Array::new(vec![2, 2], vec![1.0f64, 2.0, 3.0, 4.0]).unwrap()).unwrap();
        }
        writer.start_file("readme.txt", SimpleFileOptions::default()).unwrap();
        writer.write_all(b"hello").unwrap();
        writer.finish().unwrap();
        bytes.into_inner()
    }

    fn try_all(bytes: &[u8]) -> Result<Vec<Array<f32>>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        std::fs::write(&path, bytes).unwrap();
        let mut archive = Npz::open(&path)?;
        archive.names().iter().map(|name| archive.read(name)).collect()
    }

    #[test]
    fn stored_and_deflated_members_are_read() {
        let arrays = try_all(&archive()).unwrap();
        assert_eq!(arrays.len(), 2);
        assert!(arrays.iter().all(|array| array.data() == [1.0, 2.0, 3.0, 4.0] && array.shape() == [2, 2]));
    }

    #[test]
    fn a_wrong_name_lists_the_right_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        std::fs::write(&path, archive()).unwrap();
        let error = Npz::open(&path).unwrap().read::<f32>("x").unwrap_err().to_string();
        assert!(error.ends_with("a.npz: no array `x`; it holds packed, stored"), "{error}");
    }

    #[test]
    fn other_files_are_refused() {
        let error = try_all(b"not a zip").unwrap_err().to_string();
        assert!(error.contains("a.npz: not a usable npz archive"), "{error}");
    }

    #[test]
    fn a_member_that_claims_too_much_is_refused_before_it_is_unpacked() {
        let mut bytes = archive();
        // The uncompressed size stands 24 bytes into each entry of the central directory, whose entries begin with PK\x01\x02.
        let entry = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        bytes[entry + 24..entry + 28].copy_from_slice(&0xf000_0000u32.to_le_bytes());
        let error = try_all(&bytes).unwrap_err().to_string();
        assert!(error.contains("`stored` claims 4026531840 bytes packed into"), "{error}");
    }

    proptest! {
        #[test]
        fn mutated_archives_never_panic(edits in prop::collection::vec((0usize..1000, any::<u8>()), 1..6), cut in 0usize..400) {
            let mut bytes = archive();
            for (at, byte) in edits {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            bytes.truncate(bytes.len() - cut.saturating_sub(300));
            try_all(&bytes).ok();
        }
    }
}

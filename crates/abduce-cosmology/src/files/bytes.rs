//! Reading binary files piece by piece, with every size checked against the file first.

use super::FileError;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

/// A file of little-endian numbers, read from front to back.
pub(crate) struct ByteFile {
    path: PathBuf,
    reader: BufReader<File>,
    size: u64,
    at: u64,
}

impl ByteFile {
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        let file = File::open(path).map_err(FileError::io("read", path))?;
        let size = file.metadata().map_err(FileError::io("read", path))?.len();
        Ok(Self { path: path.to_path_buf(), reader: BufReader::with_capacity(1 << 16, file), size, at: 0 })
    }

    pub(crate) fn wrong(&self, reason: impl Into<String>) -> FileError {
        FileError::format(&self.path, reason)
    }

    /// Whether everything has been read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.size
    }

    /// Fails where fewer than `bytes` more are there.
    pub(crate) fn needs(&self, bytes: u64) -> Result<(), FileError> {
        let expected = self.at.saturating_add(bytes);
        if expected > self.size {
            return Err(FileError::Truncated { path: self.path.clone(), expected, found: self.size });
        }
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), FileError> {
        self.needs(bytes.len() as u64)?;
        self.reader.read_exact(bytes).map_err(FileError::io("read", &self.path))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FileError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FileError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FileError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn skip(&mut self, mut bytes: u64) -> Result<(), FileError> {
        self.needs(bytes)?;
        let mut sink = [0u8; 4096];
        while bytes > 0 {
            let some = bytes.min(sink.len() as u64);
            self.fill(&mut sink[..some as usize])?;
            bytes -= some;
        }
        Ok(())
    }

    /// `count` numbers of `N` bytes each; what they claim is checked before anything is allocated.
    pub(crate) fn numbers<const N: usize, T>(&mut self, count: u64, convert: impl Fn([u8; N]) -> T) -> Result<Vec<T>, FileError> {
        let bytes = count.checked_mul(N as u64).ok_or_else(|| self.wrong(format!("{count} numbers in one block")))?;
        self.needs(bytes)?;
        let mut values = Vec::with_capacity(count as usize);
        let mut block = vec![0u8; N * 4096];
        let mut left = count as usize;
        while left > 0 {
            let some = left.min(4096);
            self.fill(&mut block[..some * N])?;
            values.extend(block[..some * N].as_chunks::<N>().0.iter().map(|bytes| convert(*bytes)));
            left -= some;
        }
        Ok(values)
    }

    /// `count` vectors of f32.
    pub(crate) fn vectors(&mut self, count: u64) -> Result<Vec<[f32; 3]>, FileError> {
        self.numbers(count, |bytes: [u8; 12]| {
            let [x, y, z] = [0, 4, 8].map(|i| f32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]));
            [x, y, z]
        })
    }
}

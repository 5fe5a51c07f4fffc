//! The bytes of a database: its file and the files it includes.

use super::token::{PADDING, first_illegal_byte};
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

/// Most bytes that a database may have, all files together. Positions are 32-bit numbers.
pub const MAX_BYTES: u64 = 4_000_000_000;
/// Most files that a database may have.
pub const MAX_FILES: usize = 10_000;

/// Why a file cannot be part of a database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The operating system refused.
    #[error("{}: cannot read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A folder, a pipe, a device.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// What was asked for.
        path: PathBuf,
    },
    /// Too many bytes in all files together, or too many files.
    #[error("{}: the database is larger than {MAX_BYTES} bytes or {MAX_FILES} files", path.display())]
    TooLarge {
        /// The file that went over.
        path: PathBuf,
    },
    /// A byte that is neither printable ASCII nor white space.
    #[error("{}:{line}:{column}: byte 0x{byte:02x} is neither printable ASCII nor white space", path.display())]
    IllegalByte {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The byte.
        byte: u8,
    },
    /// An included file outside the folder of the database.
    #[error("{}: included files must lie in the folder of the database or below it", path.display())]
    Outside {
        /// The name in the inclusion.
        path: PathBuf,
    },
}

/// The files of a database, in the order in which they were met.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
    folder: PathBuf,
    bytes: u64,
}

/// One file, in memory.
#[derive(Clone, Debug)]
struct SourceFile {
    path: PathBuf,
    /// Contents and padding.
    bytes: Vec<u8>,
    length: usize,
}

/// A stretch of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Which file.
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
}

impl Sources {
    /// Reads the main file. Included files are looked for in its folder.
    pub(crate) fn open(path: &Path) -> Result<Self, SourceError> {
        let mut sources = Self { folder: path.parent().map(Path::to_path_buf).unwrap_or_default(), ..Self::default() };
        sources.read(path.to_path_buf())?;
        Ok(sources)
    }

    /// A database given as text, called `name` in messages. It cannot include files.
    pub(crate) fn from_text(name: &str, text: &[u8]) -> Result<Self, SourceError> {
        let mut sources = Self { folder: PathBuf::from("/nonexistent"), ..Self::default() };
        sources.push(PathBuf::from(name), text.to_vec())?;
        Ok(sources)
    }

    /// Reads an included file, unless it is a part already. Says its number where it is new.
    pub(crate) fn include(&mut self, name: &str) -> Result<Option<u32>, SourceError> {
        let relative = Path::new(name);
        if !relative.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir)) {
            return Err(SourceError::Outside { path: relative.to_path_buf() });
        }
        let clean: PathBuf = relative.components().filter(|component| matches!(component, Component::Normal(_))).collect();
        let path = self.folder.join(clean);
        if self.files.iter().any(|file| file.path == path) {
            return Ok(None);
        }
        self.read(path).map(Some)
    }

    fn read(&mut self, path: PathBuf) -> Result<u32, SourceError> {
        let io = |source| SourceError::Io { path: path.clone(), source };
        // Asked before the file is opened: to open a pipe is to wait for its writer.
        let metadata = std::fs::metadata(&path).map_err(io)?;
        if !metadata.is_file() {
            return Err(SourceError::NotAFile { path });
        }
        let room = MAX_BYTES - self.bytes;
        if metadata.len() > room {
            return Err(SourceError::TooLarge { path });
        }
        let file = std::fs::File::open(&path).map_err(io)?;
        let mut bytes = Vec::with_capacity(metadata.len() as usize + PADDING + 1);
        file.take(room + 1).read_to_end(&mut bytes).map_err(io)?;
        self.push(path, bytes)
    }

    fn push(&mut self, path: PathBuf, mut bytes: Vec<u8>) -> Result<u32, SourceError> {
        let length = bytes.len();
        if self.bytes + length as u64 > MAX_BYTES || self.files.len() >= MAX_FILES {
            return Err(SourceError::TooLarge { path });
        }
        if let Some(at) = first_illegal_byte(&bytes) {
            let (line, column) = line_and_column(&bytes, at);
            return Err(SourceError::IllegalByte { path, line, column, byte: bytes[at] });
        }
        bytes.resize(length + PADDING, b'\n');
        self.bytes += length as u64;
        self.files.push(SourceFile { path, bytes, length });
        Ok(self.files.len() as u32 - 1)
    }

    /// The contents of a file and the padding, and the number of bytes without the padding.
    pub(crate) fn padded(&self, file: u32) -> (&[u8], usize) {
        let file = &self.files[file as usize];
        (&file.bytes, file.length)
    }

    /// Takes the bytes of a file out for a while.
    pub(crate) fn take(&mut self, file: u32) -> Vec<u8> {
        std::mem::take(&mut self.files[file as usize].bytes)
    }

    /// Puts them back.
    pub(crate) fn put_back(&mut self, file: u32, bytes: Vec<u8>) {
        self.files[file as usize].bytes = bytes;
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Bytes of all files together.
    pub fn total_bytes(&self) -> u64 {
        self.bytes
    }

    /// Where a file came from.
    pub fn path(&self, file: u32) -> &Path {
        &self.files[file as usize].path
    }

    /// The whole text of a file.
    pub fn text(&self, file: u32) -> &[u8] {
        let file = &self.files[file as usize];
        &file.bytes[..file.length]
    }

    /// The text of a span.
    pub fn slice(&self, span: Span) -> &str {
        let bytes = &self.files[span.file as usize].bytes[span.start as usize..span.end as usize];
        std::str::from_utf8(bytes).unwrap_or("")
    }

    /// Line and column of a byte, counted from 1.
    pub fn line_and_column(&self, file: u32, byte: u32) -> (usize, usize) {
        line_and_column(&self.files[file as usize].bytes, byte as usize)
    }
}

fn line_and_column(bytes: &[u8], at: usize) -> (usize, usize) {
    let before = &bytes[..at.min(bytes.len())];
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = before.len() - before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1) + 1;
    (line, column)
}

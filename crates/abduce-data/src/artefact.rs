//! Files that appear complete or not at all, and their hashes.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use crate::error::{DataError, Result};

/// Write a file under a temporary name in the same folder, sync it, and rename it into place.
///
/// Whatever `write` or the disk does, `path` afterwards holds either the whole new content or what it held before. A path that names
/// a device or pipe (`/dev/stdout`) is written to directly, since there is nothing to rename there. The temporary name is fixed
/// (`.NAME.partial`), so what a killed process leaves behind is replaced by the next one.
///
/// ```
/// use abduce_data::artefact::write_atomic;
/// use std::io::Write as _;
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("summary.json");
/// write_atomic(&path, |out| writeln!(out, "{{}}"))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "{}\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_atomic<T>(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>) -> Result<T> {
    write_through(path, partial_path, write)
}

/// As [`write_atomic`], for a file that several processes may write at the same time, also from several machines: each writes under a temporary
/// name of its own, and the last one to finish is the one whose file stays.
///
/// What a killed process leaves behind ends in `.partial` and stays until somebody removes it.
pub fn write_shared<T>(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>) -> Result<T> {
    write_through(path, |target| Ok(partial_path(target)?.with_extension(format!("{}.partial", unique_name()))), write)
}

/// A name that no other process and no other call uses, on this or another machine: process, time and 64 bits from the system's random source.
pub fn unique_name() -> String {
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    // The standard library's hash maps are keyed by the system's random numbers; this needs no more of them than to be different.
    let random = RandomState::new().build_hasher().finish();
    format!("{}-{nanoseconds:x}-{random:016x}", std::process::id())
}

fn write_through<T>(
    path: &Path,
    partial: impl FnOnce(&Path) -> io::Result<PathBuf>,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>,
) -> Result<T> {
    // A link stays a link: what it points to is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if fs::metadata(&target).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return write_device(&target, write).map_err(DataError::io(path, "write"));
    }
    let partial = partial(&target).map_err(DataError::io(path, "write"))?;
    let result = write_and_rename(&partial, &target, write);
    if result.is_err() {
        fs::remove_file(&partial).ok();
    }
    result.map_err(DataError::io(path, "write"))
}

fn write_device<T>(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>) -> io::Result<T> {
    let mut out = BufWriter::new(OpenOptions::new().write(true).open(path)?);
    let value = write(&mut out)?;
    out.flush()?;
    Ok(value)
}

fn write_and_rename<T>(partial: &Path, target: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>) -> io::Result<T> {
    match fs::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = BufWriter::with_capacity(1 << 16, OpenOptions::new().write(true).create_new(true).open(partial)?);
    let value = write(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(partial, target)?;
    let folder = partial.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The rename itself must survive a crash too; folders that cannot be synced (some network file systems) are no failure.
    File::open(folder).and_then(|folder| folder.sync_all()).ok();
    Ok(value)
}

/// The fixed temporary name.
pub(crate) fn partial_path(target: &Path) -> io::Result<PathBuf> {
    let name = target.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(".partial");
    Ok(target.with_file_name(partial))
}

/// SHA-256 of a file in lower-case hexadecimal, read piece by piece.
pub fn sha256_of_file(path: &Path) -> Result<String> {
    let io = || DataError::io(path, "read");
    let mut file = File::open(path).map_err(io())?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io()(error)),
        }
    }
}

/// SHA-256 of bytes in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomic(&path, |out| out.write_all(b"old")).unwrap();
        let error = write_atomic(&path, |out| -> io::Result<()> {
            out.write_all(&vec![b'n'; 1 << 20])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        })
        .unwrap_err();
        assert!(error.to_string().contains("a.json: cannot write"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["a.json"]);
    }

    #[test]
    fn a_full_disk_is_reported_even_when_it_shows_only_at_the_flush() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            eprintln!("skipped: no /dev/full here");
            return;
        }
        for bytes in [10, 1 << 20] {
            let error = write_atomic(full, |out| out.write_all(&vec![0; bytes])).unwrap_err();
            assert!(matches!(&error, DataError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull), "{error}");
        }
        assert!(full.exists());
    }

    #[test]
    fn leftovers_of_a_killed_process_do_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".a.json.partial"), "half of").unwrap();
        write_atomic(&dir.path().join("a.json"), |out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read(dir.path().join("a.json")).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["a.json"]);
    }

    #[test]
    fn writers_of_one_file_do_not_disturb_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        std::thread::scope(|scope| {
            for writer in 0..8u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..20 {
                        write_shared(path, |out| out.write_all(&[writer; 5000])).unwrap();
                    }
                });
            }
        });
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() == 5000 && bytes.iter().all(|byte| *byte == bytes[0]));
        assert_eq!(names(dir.path()), ["a.json"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = write_atomic(Path::new("/no/such/folder/a.npy"), |_| Ok(())).unwrap_err();
        assert!(error.to_string().starts_with("/no/such/folder/a.npy: cannot write"), "{error}");
    }

    #[test]
    fn links_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write_atomic(&link, |out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    /// FIPS 180-2, appendix B.1.
    #[test]
    fn sha256_of_abc() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        fs::write(&path, "abc").unwrap();
        assert_eq!(sha256_of_file(&path).unwrap(), expected);
    }
}

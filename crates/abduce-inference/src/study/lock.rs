//! A lock that works on network file systems: a file that only one can create.

use super::StudyError;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A lock whose text has not changed for so long belonged to a process that is gone.
pub(super) const STALE: Duration = Duration::from_secs(30);
/// For so long it is tried.
const PATIENCE: Duration = Duration::from_secs(300);
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Held until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    text: String,
}

impl Lock {
    /// Waits for the lock file `path`; `owner` stands in it, and must differ between all who may want it at the same time. A lock that has
    /// not changed for `stale` is broken; returns whether one was.
    pub(super) fn acquire(path: &Path, owner: &str, stale: Duration) -> Result<(Self, Broken), StudyError> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut broken = Broken::None;
        let mut seen: Option<(Vec<u8>, Instant)> = None;
        loop {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            // Owner and time make it a text that no other lock ever had.
            let text = format!("{owner} {}.{:09}\n", now.as_secs(), now.subsec_nanos());
            match fs::OpenOptions::new().write(true).create_new(true).open(path) {
                Ok(mut file) => {
                    let lock = Self { path: path.to_path_buf(), text };
                    file.write_all(lock.text.as_bytes()).map_err(StudyError::io(path, "write"))?;
                    return Ok((lock, broken));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StudyError::io(path, "create")(error)),
            }
            // One that vanishes between the two calls is free again.
            let Ok(content) = fs::read(path) else { continue };
            match &seen {
                Some((before, since)) if *before == content => {
                    if since.elapsed() > stale && break_lock(path, owner, &content)? {
                        broken = Broken::One;
                        seen = None;
                        continue;
                    }
                }
                _ => seen = Some((content, Instant::now())),
            }
            if begun.elapsed() > PATIENCE {
                return Err(StudyError::Locked { path: path.to_path_buf(), seconds: begun.elapsed().as_secs_f64() });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Whether a lock of a process that is gone was in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// No.
    None,
    /// Yes.
    One,
}

/// Takes the lock file away if it still holds `content`: of several who try, one rename succeeds.
fn break_lock(path: &Path, owner: &str, content: &[u8]) -> Result<bool, StudyError> {
    let aside = path.with_extension(format!("broken.{}", owner.replace(['/', ' '], "_")));
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        other => other.map_err(StudyError::io(path, "rename"))?,
    }
    let was = fs::read(&aside).map_err(StudyError::io(&aside, "read"))?;
    let ours = was == content;
    if !ours {
        // It was broken and taken anew between our two looks: that one is alive, and gets it back unless a third has it by now.
        fs::hard_link(&aside, path).ok();
    }
    fs::remove_file(&aside).map_err(StudyError::io(&aside, "remove"))?;
    Ok(ours)
}

impl Drop for Lock {
    fn drop(&mut self) {
        // One that was broken because we were slow is no longer ours to remove.
        if fs::read(&self.path).is_ok_and(|content| content == self.text.as_bytes()) {
            fs::remove_file(&self.path).ok();
        }
    }
}

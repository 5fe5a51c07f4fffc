//! Two npy files that belong together, rewritten so that a reader finds both old or both new, also after a kill between the two.
//!
//! Both are written under temporary names and synced, then x is renamed, then θ. Whoever finds x with more rows than θ, and the new θ complete
//! under its temporary name, finishes the second rename. The set must have grown: that is how old and new are told apart.

use std::fs;
use std::path::Path;

use crate::array::Array;
use crate::artefact::partial_path;
use crate::error::{DataError, Result};
use crate::npy::{self, RowFile};

/// Replaces both files.
///
/// ```
/// use abduce_data::{Array, pair_files};
/// let dir = tempfile::tempdir()?;
/// let (theta, x) = (dir.path().join("theta.npy"), dir.path().join("x.npy"));
/// assert!(pair_files::read(&theta, &x)?.is_none());
/// pair_files::write(&theta, &x, &Array::filled(&[2, 1], 0.5)?, &Array::filled(&[2, 3], 1.0)?)?;
/// assert_eq!(pair_files::read(&theta, &x)?.map(|(theta, x)| (theta.rows(), x.row_len())), Some((2, 3)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(theta_path: &Path, x_path: &Path, theta: &Array, x: &Array) -> Result<()> {
    let (staged_theta, staged_x) = (staged(theta_path)?, staged(x_path)?);
    npy::write(&staged_theta, theta)?;
    npy::write(&staged_x, x)?;
    for (from, to) in [(&staged_x, x_path), (&staged_theta, theta_path)] {
        fs::rename(from, to).map_err(DataError::io(to, "write"))?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // As in `write_atomic`: a folder that cannot be synced is no failure.
        fs::File::open(folder).and_then(|folder| folder.sync_all()).ok();
    }
    Ok(())
}

/// Reads both files; none where neither is there. One without the other, or different numbers of rows, are errors.
pub fn read(theta_path: &Path, x_path: &Path) -> Result<Option<(Array, Array)>> {
    if !theta_path.exists() && !x_path.exists() && !staged(theta_path)?.exists() {
        return Ok(None);
    }
    finish_rename(theta_path, x_path)?;
    if !theta_path.exists() && !x_path.exists() {
        return Ok(None);
    }
    let (theta, x) = (npy::read::<f32>(theta_path)?, npy::read::<f32>(x_path)?);
    if theta.rows() != x.rows() {
        let name = |path: &Path| path.display().to_string();
        return Err(DataError::Lengths { theta: name(theta_path), theta_rows: theta.rows(), x: name(x_path), x_rows: x.rows() });
    }
    Ok(Some((theta, x)))
}

/// After a kill between the two renames.
fn finish_rename(theta_path: &Path, x_path: &Path) -> Result<()> {
    let staged_theta = staged(theta_path)?;
    let rows = |path: &Path| RowFile::open(path).ok().map(|file| file.rows());
    let x_rows = rows(x_path);
    // The temporary x is gone only when it has been renamed.
    let interrupted = !staged(x_path)?.exists() && x_rows.is_some() && rows(&staged_theta) == x_rows && rows(theta_path) != x_rows;
    if interrupted { fs::rename(&staged_theta, theta_path).map_err(DataError::io(theta_path, "write")) } else { Ok(()) }
}

fn staged(path: &Path) -> Result<std::path::PathBuf> {
    let partial = partial_path(path).map_err(DataError::io(path, "write"))?;
    Ok(partial.with_extension("new"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(rows: usize) -> (Array, Array) {
        (Array::filled(&[rows, 2], rows as f32).unwrap(), Array::filled(&[rows, 3], -(rows as f32)).unwrap())
    }

    #[test]
    fn a_kill_at_any_point_leaves_a_pair() {
        let (old, new) = (pair(3), pair(5));
        // What is on disk after 0 to 4 steps: θ staged, x staged, x renamed, θ renamed.
        for steps in 0..=4 {
            let dir = tempfile::tempdir().unwrap();
            let (theta, x) = (dir.path().join("theta.npy"), dir.path().join("x.npy"));
            write(&theta, &x, &old.0, &old.1).unwrap();
            if steps >= 1 {
                npy::write(&staged(&theta).unwrap(), &new.0).unwrap();
            }
            if steps >= 2 {
                npy::write(&staged(&x).unwrap(), &new.1).unwrap();
            }
            if steps >= 3 {
                fs::rename(staged(&x).unwrap(), &x).unwrap();
            }
            if steps >= 4 {
                fs::rename(staged(&theta).unwrap(), &theta).unwrap();
            }
            let expected = if steps < 3 { &old } else { &new };
            assert_eq!(read(&theta, &x).unwrap().as_ref(), Some(expected), "after {steps} steps");
            // And it can be written again.
            write(&theta, &x, &new.0, &new.1).unwrap();
            assert_eq!(read(&theta, &x).unwrap().as_ref(), Some(&new));
        }
    }

    #[test]
    fn one_file_alone_and_other_lengths_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let (theta, x) = (dir.path().join("theta.npy"), dir.path().join("x.npy"));
        npy::write(&theta, &pair(3).0).unwrap();
        assert!(read(&theta, &x).unwrap_err().to_string().contains("x.npy: cannot read"));
        npy::write(&x, &pair(4).1).unwrap();
        assert!(matches!(read(&theta, &x), Err(DataError::Lengths { theta_rows: 3, x_rows: 4, .. })));
    }
}

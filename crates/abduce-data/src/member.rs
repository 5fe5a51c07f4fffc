//! Arrays within files that hold several: `sims.h5:/theta`, `chains.npz:theta`, `halos.fits:MASS`.

use std::path::{Path, PathBuf};

/// Endings of files that hold several arrays.
const ENDINGS: [&str; 5] = [".npz", ".h5", ".hdf5", ".fits", ".fit"];

/// The file, and the array in it where one is named behind a colon.
///
/// ```
/// use abduce_data::member::split;
/// use std::path::Path;
/// assert_eq!(split(Path::new("a/sims.h5:/train/theta")), ("a/sims.h5".into(), Some("/train/theta".into())));
/// assert_eq!(split(Path::new("a:b/sims.h5")), ("a:b/sims.h5".into(), None));
/// ```
pub fn split(path: &Path) -> (PathBuf, Option<String>) {
    let whole = (path.to_path_buf(), None);
    let Some(text) = path.to_str() else { return whole };
    // The first colon behind such an ending: names of arrays may hold others.
    let place = text.match_indices(':').map(|(at, _)| at).find(|&at| {
        let file = text[..at].to_lowercase();
        ENDINGS.iter().any(|ending| file.ends_with(ending))
    });
    match place {
        Some(at) if at + 1 < text.len() => (PathBuf::from(&text[..at]), Some(text[at + 1..].to_string())),
        _ => whole,
    }
}

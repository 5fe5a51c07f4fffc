//! Results of a check, one JSON file per cell.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::path::{Path, PathBuf};

/// The folder of a check.
pub(crate) fn folder(check: &str) -> Result<PathBuf, Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/verify").join(check);
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

/// The cell `name`: read where it was computed before, else computed and written.
pub(crate) fn cell<T: Serialize + DeserializeOwned>(
    folder: &Path,
    name: &str,
    compute: impl FnOnce() -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    let path = folder.join(format!("{name}.json"));
    if path.exists() {
        return Ok(serde_json::from_slice(&std::fs::read(&path)?)?);
    }
    let value = compute()?;
    abduce_data::artefact::write_atomic(&path, |out| serde_json::to_writer_pretty(out, &value).map_err(Into::into))?;
    Ok(value)
}

/// The median.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 { f64::NAN } else { 0.5 * (values[(n - 1) / 2] + values[n / 2]) }
}

//! Reference values that lie outside the repository; a test without them says so and passes.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::path::PathBuf;

/// The folder `part` of the reference values, if it is there.
pub(crate) fn folder(part: &str) -> Option<PathBuf> {
    let mut at = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    while at.pop() {
        let folder = at.join("shared/golden/cosmology").join(part);
        if folder.is_dir() {
            return Some(folder);
        }
    }
    println!("skipped: no reference values for {part}");
    None
}

/// The columns of a CSV file with a header.
pub(crate) fn columns(path: PathBuf) -> std::collections::BTreeMap<String, Vec<f64>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let mut columns: std::collections::BTreeMap<String, Vec<f64>> = names.iter().map(|name| (name.clone(), Vec::new())).collect();
    for record in reader.records() {
        for (name, value) in names.iter().zip(record.unwrap().iter()) {
            columns.get_mut(name).unwrap().push(value.parse().unwrap());
        }
    }
    columns
}

//! Reading the project's golden tables in tests; they are absent from a checkout, and then the tests that need them are skipped.

use crate::cosmology::Cosmology;
use std::path::Path;

/// Rows of a CSV file under the golden folder, header and comments dropped.
pub(crate) fn rows(name: &str) -> Option<Vec<Vec<String>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/cosmology").join(name);
    let Ok(mut reader) = csv::ReaderBuilder::new().comment(Some(b'#')).from_path(&path) else {
        eprintln!("skipped: no golden values at {}", path.display());
        return None;
    };
    Some(reader.records().map(|row| row.unwrap().iter().map(|cell| cell.trim().to_string()).collect()).collect())
}

/// Names and models of the linear tables.
pub(crate) fn cosmologies() -> Option<Vec<(String, Cosmology)>> {
    let rows = rows("linear/cosmologies.csv")?;
    Some(
        rows.into_iter()
            .map(|row| {
                let [m, b, h, n, s] = std::array::from_fn(|i| row[i + 1].parse().unwrap());
                (row[0].clone(), Cosmology::lcdm(m, b, h, n, s))
            })
            .collect(),
    )
}

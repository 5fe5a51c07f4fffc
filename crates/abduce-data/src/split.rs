//! Which rows train and which validate: one split, shared by all networks of an ensemble.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::error::{DataError, Result};
use crate::rng::Seed;
use crate::rows::RowSet;

/// Training and validation rows; they do not overlap and neither is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Rows to train on.
    pub train: RowSet,
    /// Rows to stop early and weigh ensembles by.
    pub validation: RowSet,
}

impl Split {
    /// Draw round(`validation_fraction` · n) of the n `rows` for validation (at least one, and at least one stays to train on).
    ///
    /// Every subset of that size is equally likely: rows are visited in order and each is taken with probability
    /// (still wanted)/(still to come), Knuth's Algorithm S (TAOCP 2, 3.4.2), so nothing but the two bit sets is held.
    ///
    /// ```
    /// use abduce_data::{RowSet, Seed, Split};
    /// let split = Split::by_fraction(&RowSet::all(1000), 0.1, Seed(7))?;
    /// assert_eq!((split.train.len(), split.validation.len()), (900, 100));
    /// # Ok::<(), abduce_data::DataError>(())
    /// ```
    pub fn by_fraction(rows: &RowSet, validation_fraction: f64, seed: Seed) -> Result<Self> {
        if !(validation_fraction > 0.0 && validation_fraction < 1.0) {
            return Err(DataError::Split(format!("the validation fraction must lie between 0 and 1, not {validation_fraction}")));
        }
        if rows.len() < 2 {
            return Err(DataError::Split(format!("{} usable rows are too few to split", rows.len())));
        }
        let mut wanted = ((rows.len() as f64 * validation_fraction).round() as usize).clamp(1, rows.len() - 1);
        let mut split = Self { train: RowSet::none(rows.universe()), validation: RowSet::none(rows.universe()) };
        let mut rng = seed.stream("split", 0);
        for (visited, row) in rows.iter().enumerate() {
            if rng.below(rows.len() - visited) < wanted {
                wanted -= 1;
                split.validation.insert(row);
            } else {
                split.train.insert(row);
            }
        }
        Ok(split)
    }

    /// From a JSON file `{"train": [row, …], "val": [row, …]}`, rows counted from 0; further lists (`"test"`) are allowed.
    ///
    /// Rows that are not in `rows` (dropped because they are not finite) are left out; a row in both lists, one that is listed
    /// twice and one beyond the data are errors.
    pub fn from_file(path: &Path, rows: &RowSet) -> Result<Self> {
        let mut stages = read_stages(path, rows.universe())?;
        let mut take = |name: &str| {
            let stage = stages.remove(name).ok_or_else(|| DataError::Split(format!("{}: the list `{name}` is missing", path.display())))?;
            let mut usable = RowSet::none(rows.universe());
            stage.iter().filter(|&row| rows.contains(row)).for_each(|row| {
                usable.insert(row);
            });
            if usable.is_empty() {
                return Err(DataError::Split(format!("{}: `{name}` has no usable row (of {} listed)", path.display(), stage.len())));
            }
            Ok(usable)
        };
        let split = Self { train: take("train")?, validation: take("val")? };
        if let Some(row) = split.train.iter().find(|&row| split.validation.contains(row)) {
            return Err(DataError::Split(format!("{}: row {row} is in both `train` and `val`", path.display())));
        }
        Ok(split)
    }
}

/// The lists of a split file by name, as sets of the `rows` rows of the data.
pub fn read_stages(path: &Path, rows: usize) -> Result<BTreeMap<String, RowSet>> {
    let file = File::open(path).map_err(DataError::io(path, "read"))?;
    let lists: BTreeMap<String, Vec<u64>> = serde_json::from_reader(BufReader::new(file))
        .map_err(|error| DataError::Split(format!("{}: expected {{\"train\": [row, …], \"val\": [row, …]}}: {error}", path.display())))?;
    lists
        .into_iter()
        .map(|(stage, list)| {
            let mut set = RowSet::none(rows);
            for row in list {
                let Some(index) = usize::try_from(row).ok().filter(|&index| index < rows) else {
                    return Err(DataError::SplitRow { path: path.to_path_buf(), stage, row, rows });
                };
                if !set.insert(index) {
                    return Err(DataError::Split(format!("{}: `{stage}` lists row {row} twice", path.display())));
                }
            }
            Ok((stage, set))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_exact_disjoint_complete_and_seeded() {
        let mut rows = RowSet::all(1003);
        rows.remove(17);
        let split = Split::by_fraction(&rows, 0.1, Seed(1)).unwrap();
        assert_eq!(split.validation.len(), 100);
        assert!(rows.iter().all(|row| split.train.contains(row) != split.validation.contains(row)));
        assert!(!split.train.contains(17) && !split.validation.contains(17));
        assert_eq!(split, Split::by_fraction(&rows, 0.1, Seed(1)).unwrap());
        assert_ne!(split, Split::by_fraction(&rows, 0.1, Seed(2)).unwrap());
    }

    /// 2000 splits of 20 rows, 5 for validation: each row is expected 500 times with standard deviation sqrt(2000 · ¼ · ¾) = 19.4;
    /// a bound of 4.5 of them fails by chance in 1e-4 of all choices of seeds.
    #[test]
    fn every_row_is_equally_likely() {
        let mut counts = [0i32; 20];
        for seed in 0..2000 {
            let split = Split::by_fraction(&RowSet::all(20), 0.25, Seed(seed)).unwrap();
            split.validation.iter().for_each(|row| counts[row] += 1);
        }
        assert!(counts.iter().all(|count| (count - 500).abs() < 88), "{counts:?}");
    }

    #[test]
    fn impossible_fractions_are_errors() {
        for fraction in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(Split::by_fraction(&RowSet::all(10), fraction, Seed(0)).is_err());
        }
        let error = Split::by_fraction(&RowSet::all(1), 0.5, Seed(0)).unwrap_err();
        assert_eq!(error.to_string(), "train/validation split: 1 usable rows are too few to split");
        assert_eq!(Split::by_fraction(&RowSet::all(3), 0.01, Seed(0)).unwrap().validation.len(), 1);
    }

    #[test]
    fn files_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("split.json");
        let mut rows = RowSet::all(6);
        rows.remove(3);
        let try_file = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Split::from_file(&path, &rows).map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
        };
        let split = try_file(r#"{"train": [4, 0, 3], "val": [1, 5], "test": [2]}"#).unwrap();
        assert_eq!((split.train.iter().collect::<Vec<_>>(), split.validation.iter().collect::<Vec<_>>()), (vec![0, 4], vec![1, 5]));
        for (text, message) in [
            (r#"{"train": [0], "val": [6]}"#, "FILE: `val` lists row 6, but the data have 6 rows (0 to 5)"),
            (r#"{"train": [0, 0], "val": [1]}"#, "train/validation split: FILE: `train` lists row 0 twice"),
            (r#"{"train": [0, 1], "val": [1]}"#, "train/validation split: FILE: row 1 is in both `train` and `val`"),
            (r#"{"train": [0, 1]}"#, "train/validation split: FILE: the list `val` is missing"),
            (r#"{"train": [0, 1], "val": [3]}"#, "train/validation split: FILE: `val` has no usable row (of 1 listed)"),
        ] {
            assert_eq!(try_file(text).unwrap_err(), message);
        }
        assert!(try_file(r#"{"train": [-1], "val": [1]}"#).unwrap_err().contains("expected {\"train\""));
        assert!(try_file("[1, 2]").unwrap_err().contains("line 1"));
    }
}

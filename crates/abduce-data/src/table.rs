//! Text tables with a header line: comma-, tab- or space-separated numbers.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

use csv::StringRecord;

use crate::array::Array;
use crate::artefact::write_atomic;
use crate::error::{DataError, Result};

/// Named columns of numbers.
///
/// ```
/// use abduce_data::table::{Delimiter, Table};
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("clusters.csv");
/// std::fs::write(&path, "# two clusters\nname,z,y0_1e4\nACT-CL J0001,0.3,1.2\nACT-CL J0002,0.7,0.8\n")?;
/// let table = Table::read_columns(&path, Delimiter::Comma, &["y0_1e4", "z"])?;
/// assert_eq!(table.column("z")?, [0.3, 0.7]);
/// assert_eq!(table.values().row(0), [1.2, 0.3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    names: Vec<String>,
    values: Array<f64>,
}

/// What stands between two cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiter {
    /// A comma; cells may be quoted (RFC 4180).
    Comma,
    /// A tab; cells may be quoted.
    Tab,
    /// Any number of spaces or tabs.
    Whitespace,
}

impl Table {
    /// Columns and their values, (rows, columns).
    pub fn new(names: Vec<String>, values: Array<f64>) -> Result<Self> {
        if values.row_len() == names.len() {
            Ok(Self { names, values })
        } else {
            Err(DataError::Width { what: "the table", found: values.row_len(), expected: names.len() })
        }
    }

    /// Read a file whose columns are all numeric. Lines that begin with `#` are comments; the first other line names the columns.
    pub fn read(path: &Path, delimiter: Delimiter) -> Result<Self> {
        Self::read_where(path, delimiter, None)
    }

    /// Read the named columns, in the order given; the others may hold anything.
    pub fn read_columns(path: &Path, delimiter: Delimiter, columns: &[&str]) -> Result<Self> {
        Self::read_where(path, delimiter, Some(columns))
    }

    fn read_where(path: &Path, delimiter: Delimiter, columns: Option<&[&str]>) -> Result<Self> {
        let at = |line: u64, column: Option<&str>, reason: String| DataError::Table {
            path: path.to_path_buf(),
            line,
            column: column.map(str::to_owned),
            reason,
        };
        let mut records = records(path, delimiter)?;
        let (line, header) =
            records.next().ok_or_else(|| at(1, None, "the file is empty; expected a line of column names".to_owned()))??;
        if header.iter().all(|name| name.parse::<f64>().is_ok()) {
            return Err(at(line, None, "expected a line of column names, found numbers".to_owned()));
        }
        let known: Vec<String> = header.iter().map(str::to_owned).collect();
        if let Some(twice) = (0..known.len()).find(|&j| known[..j].contains(&known[j])) {
            return Err(at(line, Some(&known[twice]), "the name occurs twice".to_owned()));
        }
        let position = |name: &str| known.iter().position(|known| known == name);
        let wanted: Vec<usize> = match columns {
            None => (0..known.len()).collect(),
            Some(names) => names
                .iter()
                .map(|&name| position(name).ok_or_else(|| DataError::TableColumn { name: name.to_owned(), known: known.clone() }))
                .collect::<Result<_>>()?,
        };
        let (mut values, mut rows) = (Vec::new(), 0);
        for record in records {
            let (line, record) = record?;
            if record.len() != known.len() {
                return Err(at(line, None, format!("{} cells, but the header has {}", record.len(), known.len())));
            }
            for &column in &wanted {
                let cell = &record[column];
                let value = cell.parse().map_err(|_| match cell {
                    "" => at(line, Some(&known[column]), "the cell is empty; write nan for a missing number".to_owned()),
                    _ => at(line, Some(&known[column]), format!("`{cell}` is not a number")),
                })?;
                values.push(value);
            }
            rows += 1;
        }
        let names: Vec<String> = wanted.iter().map(|&column| known[column].clone()).collect();
        Ok(Self { values: Array::new(vec![rows, names.len()], values)?, names })
    }

    /// Write comma-separated values with the fewest digits that read back as the same numbers; the file appears complete or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomic(path, |out| {
            let mut writer = csv::Writer::from_writer(&mut *out);
            writer.write_record(&self.names)?;
            for row in 0..self.values.rows() {
                writer.write_record(self.values.row(row).iter().map(f64::to_string))?;
            }
            writer.flush()?;
            drop(writer);
            out.flush()
        })
    }

    /// Column names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// All values, (rows, columns).
    pub fn values(&self) -> &Array<f64> {
        &self.values
    }

    /// One column.
    pub fn column(&self, name: &str) -> Result<Vec<f64>> {
        let column = self.names.iter().position(|known| known == name);
        let column = column.ok_or_else(|| DataError::TableColumn { name: name.to_owned(), known: self.names.clone() })?;
        Ok((0..self.values.rows()).map(|row| self.values.row(row)[column]).collect())
    }
}

type Records = Box<dyn Iterator<Item = Result<(u64, StringRecord)>>>;

/// The lines of a file that are neither empty nor comments, with their numbers, cut into cells.
fn records(path: &Path, delimiter: Delimiter) -> Result<Records> {
    let file = BufReader::new(File::open(path).map_err(DataError::io(path, "read"))?);
    let path = path.to_path_buf();
    let byte = match delimiter {
        Delimiter::Comma => b',',
        Delimiter::Tab => b'\t',
        Delimiter::Whitespace => {
            return Ok(Box::new(file.lines().zip(1..).filter_map(move |(text, line)| match text {
                Err(source) => Some(Err(DataError::Io { path: path.clone(), action: "read", source })),
                Ok(text) if text.trim().is_empty() || text.starts_with('#') => None,
                Ok(text) => Some(Ok((line, text.split_whitespace().collect::<Vec<_>>().into()))),
            })));
        }
    };
    let reader = csv::ReaderBuilder::new()
        .delimiter(byte)
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .has_headers(false)
        .flexible(true)
        .from_reader(file);
    Ok(Box::new(reader.into_records().map(move |record| match record {
        Ok(record) => Ok((record.position().map_or(0, csv::Position::line), record)),
        Err(error) => {
            let line = error.position().map_or(0, csv::Position::line);
            match error.into_kind() {
                csv::ErrorKind::Io(source) => Err(DataError::Io { path: path.clone(), action: "read", source }),
                kind => Err(DataError::Table { path: path.clone(), line, column: None, reason: format!("{kind:?}") }),
            }
        }
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8], delimiter: Delimiter) -> Result<Table, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        Table::read(&path, delimiter).map_err(|error| error.to_string().replace(&path.display().to_string(), "t.csv"))
    }

    #[test]
    fn the_three_delimiters_read_the_same() {
        let comma = read(b"# note\na,\"b\"\n1,-2.5\n\nnan, 1e-3\n", Delimiter::Comma).unwrap();
        let tab = read(b"a\tb\n1\t-2.5\nnan\t1e-3", Delimiter::Tab).unwrap();
        let space = read(b"# note\n  a   b\n1 \t -2.5\n\nnan 1e-3\n", Delimiter::Whitespace).unwrap();
        for table in [comma, tab, space] {
            assert_eq!(table.names(), ["a", "b"]);
            assert_eq!(table.column("b").unwrap(), [-2.5, 1e-3]);
            assert!(table.values().row(1)[0].is_nan());
        }
    }

    #[test]
    fn errors_name_line_and_column() {
        for (text, message) in [
            ("", "t.csv: line 1: the file is empty; expected a line of column names"),
            ("1,2\n3,4\n", "t.csv: line 1: expected a line of column names, found numbers"),
            ("a,a\n", "t.csv: line 1, column `a`: the name occurs twice"),
            ("# c\na,b\n1,2\n3\n", "t.csv: line 4: 1 cells, but the header has 2"),
            ("a,b\n1,2\n3,high\n", "t.csv: line 3, column `b`: `high` is not a number"),
            ("a,b\n,2\n", "t.csv: line 2, column `a`: the cell is empty; write nan for a missing number"),
        ] {
            assert_eq!(read(text.as_bytes(), Delimiter::Comma).unwrap_err(), message);
        }
        let table = read(b"a,b\n1,2\n", Delimiter::Comma).unwrap();
        assert_eq!(table.column("c").unwrap_err().to_string(), "no column `c`; the table has a, b");
        assert!(read(b"a,b\n1,\xff\n", Delimiter::Comma).unwrap_err().contains("line 2"));
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        let values = Array::new(vec![2, 2], vec![0.1, 1e-300, -1.0 / 3.0, f64::INFINITY]).unwrap();
        let table = Table::new(vec!["a, in Mpc".into(), "b".into()], values).unwrap();
        table.write(&path).unwrap();
        assert_eq!(Table::read(&path, Delimiter::Comma).unwrap(), table);
    }

    proptest! {
        #[test]
        fn random_text_never_panics(text in prop::collection::vec(prop_oneof![Just(b','), Just(b'\n'), Just(b'"'), Just(b'1'), Just(b'#'), any::<u8>()], 0..120)) {
            for delimiter in [Delimiter::Comma, Delimiter::Tab, Delimiter::Whitespace] {
                read(&text, delimiter).ok();
            }
        }
    }
}

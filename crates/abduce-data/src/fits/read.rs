//! Reading tables and images.

use super::{BLOCK, Cards};
use crate::array::{Array, element_count};
use crate::error::{DataError, Result};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// No honest header is longer.
const MOST_HEADER_BLOCKS: u64 = 1024;
/// No honest file has more headers.
const MOST_UNITS: usize = 4096;
/// The standard's own limit.
const MOST_COLUMNS: u64 = 999;
/// Bytes of rows read at a time.
const WINDOW: usize = 1 << 18;

/// Type of the numbers of a column or an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    Logical,
}

impl Number {
    const fn bytes(self) -> usize {
        match self {
            Self::Byte | Self::Logical => 1,
            Self::Short => 2,
            Self::Int | Self::Float => 4,
            Self::Long | Self::Double => 8,
        }
    }

    /// The value, and whether it is an integer that may stand for none.
    fn decode(self, b: &[u8]) -> (f64, Option<i64>) {
        let integer = |value: i64| (value as f64, Some(value));
        match self {
            Self::Byte => integer(i64::from(b[0])),
            Self::Logical => (f64::from(u8::from(b[0] == b'T')), None),
            Self::Short => integer(i64::from(i16::from_be_bytes([b[0], b[1]]))),
            Self::Int => integer(i64::from(i32::from_be_bytes([b[0], b[1], b[2], b[3]]))),
            Self::Long => integer(i64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])),
            Self::Float => (f64::from(f32::from_be_bytes([b[0], b[1], b[2], b[3]])), None),
            Self::Double => (f64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]), None),
        }
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct FitsColumn {
    /// Its name (TTYPE).
    pub name: String,
    /// Its unit (TUNIT), where it has one.
    pub unit: Option<String>,
    /// Numbers per row.
    pub width: usize,
    number: Option<Number>,
    offset: usize,
    scale: f64,
    zero: f64,
    null: Option<i64>,
}

impl FitsColumn {
    /// Whether it holds numbers that can be read.
    pub const fn is_numeric(&self) -> bool {
        self.number.is_some()
    }
}

/// A binary table.
#[derive(Clone, Debug, PartialEq)]
pub struct FitsTable {
    /// Its name (EXTNAME).
    pub name: Option<String>,
    /// Number of rows.
    pub rows: usize,
    /// Its columns in the order of the file.
    pub columns: Vec<FitsColumn>,
    /// All keywords of its header.
    pub cards: Cards,
    row_bytes: usize,
    start: u64,
}

impl FitsTable {
    /// The first column of one of these names, whatever the case of letters.
    pub fn column(&self, names: &[&str]) -> Option<&FitsColumn> {
        names.iter().find_map(|name| self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)))
    }
}

#[derive(Debug)]
struct Image {
    shape: Vec<usize>,
    number: Number,
    scale: f64,
    zero: f64,
    null: Option<i64>,
    start: u64,
}

/// A file open for reading.
#[derive(Debug)]
pub struct FitsFile {
    path: PathBuf,
    file: File,
    tables: Vec<FitsTable>,
    image: Option<Image>,
}

/// Whether a file begins as FITS files do.
pub fn is_fits(path: &Path) -> bool {
    let mut start = [0u8; 10];
    File::open(path).and_then(|file| file.read_exact_at(&mut start, 0)).is_ok() && start == *b"SIMPLE  = "
}

impl FitsFile {
    /// Opens a file and reads all its headers.
    ///
    /// # Errors
    /// It cannot be read, is not such a file, is truncated, or its headers contradict themselves.
    pub fn open(path: &Path) -> Result<Self> {
        let io = || DataError::io(path, "read");
        let wrong = |reason: String| DataError::Fits { path: path.to_path_buf(), reason };
        let file = File::open(path).map_err(io())?;
        let size = file.metadata().map_err(io())?.len();
        if !is_fits(path) {
            return Err(wrong("not a FITS file (it does not start with `SIMPLE  =`)".into()));
        }
        let (mut tables, mut image, mut at, mut units) = (Vec::new(), None, 0u64, 0);
        while at < size {
            let mut cards = Cards::default();
            let mut open = None;
            let first = at;
            loop {
                if at + BLOCK > size || (at - first) / BLOCK >= MOST_HEADER_BLOCKS {
                    // What follows the last unit may be anything (section 3.5), unless it begins as a unit does.
                    if first > 0 && cards.text("XTENSION").is_none() {
                        return Ok(Self { path: path.to_path_buf(), file, tables, image });
                    }
                    return Err(wrong(format!("truncated: a header without an end at {first}, the file has {size} bytes")));
                }
                let mut block = [0u8; BLOCK as usize];
                file.read_exact_at(&mut block, at).map_err(io())?;
                at += BLOCK;
                match cards.parse(&block, &mut open) {
                    Ok(true) => break,
                    Ok(false) => {}
                    // Special records after the last unit.
                    Err(_) if first > 0 && cards.text("XTENSION").is_none() => {
                        return Ok(Self { path: path.to_path_buf(), file, tables, image });
                    }
                    Err(reason) => return Err(wrong(reason)),
                }
            }
            units += 1;
            if units > MOST_UNITS {
                return Err(wrong(format!("more than {MOST_UNITS} headers")));
            }
            let shape = axes(&cards).map_err(wrong)?;
            let bytes = data_bytes(&cards, &shape)
                .ok_or_else(|| wrong(format!("data of shape {shape:?} and type {:?}", cards.number("BITPIX"))))?;
            // The last block of a file may lack its padding.
            if at.checked_add(bytes).is_none_or(|end| end > size) {
                return Err(wrong(format!("truncated: {bytes} bytes of data at {at} are not in a file of {size} bytes")));
            }
            let is_image = first == 0 || cards.text("XTENSION") == Some("IMAGE");
            match cards.text("XTENSION") {
                Some("BINTABLE") => tables.push(table(cards, &shape, at).map_err(wrong)?),
                _ if is_image && image.is_none() && !shape.is_empty() && bytes > 0 => {
                    image = Some(picture(&cards, &shape, at).map_err(wrong)?)
                }
                _ => {}
            }
            at = at.saturating_add(bytes.div_ceil(BLOCK).saturating_mul(BLOCK));
        }
        Ok(Self { path: path.to_path_buf(), file, tables, image })
    }

    /// Its binary tables.
    pub fn tables(&self) -> &[FitsTable] {
        &self.tables
    }

    /// Reads columns of a table, each (rows × width) values row by row; an integer that means "none" becomes NaN, and integers beyond 2⁵³ are rounded.
    ///
    /// # Errors
    /// No such column, or one that holds no numbers; the file.
    pub fn read(&self, table: &FitsTable, names: &[&str]) -> Result<Vec<Vec<f64>>> {
        let known = || table.columns.iter().map(|column| column.name.clone()).collect();
        let mut columns = Vec::new();
        for name in names {
            let missing = || DataError::NpzMember { path: self.path.clone(), name: (*name).to_string(), known: known() };
            let column = table.column(&[name]).ok_or_else(missing)?;
            let number = column
                .number
                .ok_or_else(|| DataError::Fits { path: self.path.clone(), reason: format!("the column `{name}` holds no real numbers") })?;
            columns.push((column, number));
        }
        let mut values: Vec<Vec<f64>> = Vec::new();
        for (column, _) in &columns {
            // Its bytes are in the file, so this is at most eight times of them.
            let mut one = Vec::new();
            let count = table.rows.saturating_mul(column.width);
            one.try_reserve_exact(count).map_err(|_| DataError::io(&self.path, "read")(std::io::ErrorKind::OutOfMemory.into()))?;
            values.push(one);
        }
        let some = (WINDOW / table.row_bytes.max(1)).max(1);
        let mut window = Vec::new();
        let mut row = 0;
        while row < table.rows && table.row_bytes > 0 {
            let rows = some.min(table.rows - row);
            window.resize(rows * table.row_bytes, 0);
            let at = table.start + (row * table.row_bytes) as u64;
            self.file.read_exact_at(&mut window, at).map_err(DataError::io(&self.path, "read"))?;
            for bytes in window.chunks_exact(table.row_bytes) {
                for ((column, number), out) in columns.iter().zip(&mut values) {
                    let cell = &bytes[column.offset..column.offset + column.width * number.bytes()];
                    out.extend(cell.chunks_exact(number.bytes()).map(|b| scaled(*number, b, column.scale, column.zero, column.null)));
                }
            }
            row += rows;
        }
        Ok(values)
    }

    /// All columns of numbers of the first table side by side, (rows, columns); without a table, the first image with the axes in the order of C.
    ///
    /// # Errors
    /// Neither is there; the file.
    pub fn array(&self) -> Result<Array<f64>> {
        if let Some(table) = self.tables.first() {
            let columns: Vec<&FitsColumn> = table.columns.iter().filter(|column| column.is_numeric() && column.width > 0).collect();
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            let values = self.read(table, &names)?;
            let width: usize = columns.iter().map(|column| column.width).sum();
            let mut data = Vec::with_capacity(table.rows * width);
            for row in 0..table.rows {
                for (column, values) in columns.iter().zip(&values) {
                    data.extend_from_slice(&values[row * column.width..(row + 1) * column.width]);
                }
            }
            return Array::new(vec![table.rows, width], data);
        }
        let Some(image) = &self.image else {
            return Err(DataError::Fits { path: self.path.clone(), reason: "it holds neither a table nor an image".into() });
        };
        let count = element_count(&image.shape).unwrap_or(0);
        let mut data = Vec::new();
        data.try_reserve_exact(count).map_err(|_| DataError::io(&self.path, "read")(std::io::ErrorKind::OutOfMemory.into()))?;
        let width = image.number.bytes();
        let mut window = vec![0u8; WINDOW];
        while data.len() < count {
            let some = (WINDOW / width).min(count - data.len());
            let window = &mut window[..some * width];
            self.file.read_exact_at(window, image.start + (data.len() * width) as u64).map_err(DataError::io(&self.path, "read"))?;
            data.extend(window.chunks_exact(width).map(|b| scaled(image.number, b, image.scale, image.zero, image.null)));
        }
        Array::new(image.shape.clone(), data)
    }
}

fn scaled(number: Number, bytes: &[u8], scale: f64, zero: f64, null: Option<i64>) -> f64 {
    match number.decode(bytes) {
        (_, Some(value)) if null == Some(value) => f64::NAN,
        (value, _) => zero + scale * value,
    }
}

/// The axes in the order of the header: the first varies fastest.
fn axes(cards: &Cards) -> Result<Vec<u64>, String> {
    let count = cards.count("NAXIS").filter(|&n| n <= 999).ok_or("a header without NAXIS")?;
    (1..=count).map(|i| cards.count(&format!("NAXIS{i}")).ok_or_else(|| format!("a header without NAXIS{i}"))).collect()
}

/// Bytes of data (section 4.4.1.1): |BITPIX|/8 · GCOUNT · (PCOUNT + Π NAXISn).
fn data_bytes(cards: &Cards, shape: &[u64]) -> Option<u64> {
    let bits = cards.number("BITPIX")?.abs();
    if ![8.0, 16.0, 32.0, 64.0].contains(&bits) {
        return None;
    }
    if shape.is_empty() {
        return Some(0);
    }
    let random_groups = shape[0] == 0 && shape.len() > 1;
    let count = shape[usize::from(random_groups)..].iter().try_fold(1u64, |count, &axis| count.checked_mul(axis))?;
    let parameters = cards.count("PCOUNT").unwrap_or(0);
    let groups = cards.count("GCOUNT").unwrap_or(1);
    count.checked_add(parameters)?.checked_mul(groups)?.checked_mul(bits as u64 / 8)
}

fn null(cards: &Cards, key: &str) -> Option<i64> {
    cards.number(key).filter(|n| n.fract() == 0.0).map(|n| n as i64)
}

fn table(cards: Cards, shape: &[u64], start: u64) -> Result<FitsTable, String> {
    let [row_bytes, rows] = shape[..] else { return Err(format!("a table with the axes {shape:?}")) };
    let fits = |n: u64| usize::try_from(n).map_err(|_| format!("a table with the axes {shape:?}"));
    let (row_bytes, rows) = (fits(row_bytes)?, fits(rows)?);
    let fields = cards.count("TFIELDS").filter(|&n| n <= MOST_COLUMNS).ok_or("a table without TFIELDS")?;
    let (mut columns, mut offset) = (Vec::new(), 0usize);
    for i in 1..=fields {
        let form = cards.text(&format!("TFORM{i}")).ok_or_else(|| format!("a table without TFORM{i}"))?.trim();
        let digits = form.len() - form.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let wrong = || format!("TFORM{i} is `{form}`");
        let repeat: usize = if digits == 0 { 1 } else { form[..digits].parse().map_err(|_| wrong())? };
        let (number, bytes) = match form[digits..].chars().next() {
            Some('L') => (Some(Number::Logical), repeat),
            Some('B') => (Some(Number::Byte), repeat),
            Some('I') => (Some(Number::Short), repeat.saturating_mul(2)),
            Some('J') => (Some(Number::Int), repeat.saturating_mul(4)),
            Some('K') => (Some(Number::Long), repeat.saturating_mul(8)),
            Some('E') => (Some(Number::Float), repeat.saturating_mul(4)),
            Some('D') => (Some(Number::Double), repeat.saturating_mul(8)),
            Some('X') => (None, repeat.div_ceil(8)),
            Some('A') => (None, repeat),
            Some('C' | 'P') => (None, repeat.saturating_mul(8)),
            Some('M' | 'Q') => (None, repeat.saturating_mul(16)),
            _ => return Err(wrong()),
        };
        let text = |key: &str| cards.text(&format!("{key}{i}")).map(|text| text.trim().to_string());
        columns.push(FitsColumn {
            name: text("TTYPE").unwrap_or_else(|| format!("col{i}")),
            unit: text("TUNIT").filter(|unit| !unit.is_empty()),
            width: repeat,
            number,
            offset,
            scale: cards.number(&format!("TSCAL{i}")).unwrap_or(1.0),
            zero: cards.number(&format!("TZERO{i}")).unwrap_or(0.0),
            null: null(&cards, &format!("TNULL{i}")),
        });
        offset = offset.saturating_add(bytes);
    }
    if offset != row_bytes {
        return Err(format!("columns of {offset} bytes in rows of {row_bytes}"));
    }
    Ok(FitsTable { name: cards.text("EXTNAME").map(|name| name.trim().to_string()), rows, columns, cards, row_bytes, start })
}

fn picture(cards: &Cards, shape: &[u64], start: u64) -> Result<Image, String> {
    let number = match cards.number("BITPIX").map(|bits| bits as i64) {
        Some(8) => Number::Byte,
        Some(16) => Number::Short,
        Some(32) => Number::Int,
        Some(64) => Number::Long,
        Some(-32) => Number::Float,
        Some(-64) => Number::Double,
        other => return Err(format!("an image of type {other:?}")),
    };
    let shape: Result<Vec<usize>, _> = shape.iter().rev().map(|&axis| usize::try_from(axis)).collect();
    let shape = shape.map_err(|error| error.to_string())?;
    let (scale, zero) = (cards.number("BSCALE").unwrap_or(1.0), cards.number("BZERO").unwrap_or(0.0));
    Ok(Image { shape, number, scale, zero, null: null(cards, "BLANK"), start })
}

//! The header: a magic number, a version, a length, and a Python dictionary literal with `descr`, `fortran_order` and `shape`.

use crate::array::element_count;
use crate::error::NpyProblem;

/// How the bytes of a file are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Type of one value.
    pub dtype: DType,
    /// Order of the values.
    pub order: Order,
    /// All axes.
    pub shape: Vec<usize>,
    /// Where the values begin, in bytes from the start.
    pub data_offset: u64,
}

/// Type of one value in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DType {
    /// Kind of number.
    pub kind: Kind,
    /// Bytes per value: 1, 2, 4 or 8.
    pub bytes: usize,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
}

/// Kind of number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IEEE 754 binary32 or binary64.
    Float,
    /// Two's complement.
    Signed,
    /// Unsigned integer.
    Unsigned,
    /// One byte, zero or not.
    Bool,
}

/// Order of an array's values in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The last axis varies fastest.
    C,
    /// The first axis varies fastest.
    Fortran,
}

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Magic, version and the longest length field.
pub(super) const PREAMBLE_BYTES: usize = 12;
/// A header of plain numbers takes about 100 bytes; numpy itself refuses more than 10 000 unless told otherwise.
const MAX_HEADER_BYTES: u64 = 1 << 16;
/// numpy's own limit.
const MAX_AXES: usize = 64;

/// Where the dictionary lies: (offset, length) in bytes, from the first bytes of a file.
pub(super) fn dictionary_span(start: &[u8]) -> Result<(u64, u64), NpyProblem> {
    if start.len() < 10 || !start.starts_with(MAGIC) {
        return Err(NpyProblem::Magic);
    }
    let (offset, length) = match (start[6], start[7]) {
        (1, 0) => (10, u64::from(u16::from_le_bytes([start[8], start[9]]))),
        (2 | 3, 0) if start.len() >= PREAMBLE_BYTES => (12, u64::from(u32::from_le_bytes([start[8], start[9], start[10], start[11]]))),
        (2 | 3, 0) => return Err(NpyProblem::Header("the file ends within it".to_owned())),
        (major, minor) => return Err(NpyProblem::Version(major, minor)),
    };
    if length > MAX_HEADER_BYTES {
        return Err(NpyProblem::Header(format!("it claims {length} bytes (limit {MAX_HEADER_BYTES})")));
    }
    Ok((offset, length))
}

impl Header {
    /// Parse the dictionary of a file of `file_bytes` bytes whose values begin at `data_offset`, and check that they are all there.
    pub(super) fn parse(dictionary: &[u8], data_offset: u64, file_bytes: u64) -> Result<Self, NpyProblem> {
        let text = std::str::from_utf8(dictionary).map_err(|_| NpyProblem::Header("it is not text".to_owned()))?;
        let (descr, order, shape) = Literal { rest: text }.dictionary()?;
        let header = Self { dtype: DType::parse(&descr)?, order, shape, data_offset };
        let needed = header.data_bytes()?;
        let found = file_bytes.saturating_sub(data_offset);
        let item_bytes = header.dtype.bytes;
        match found.cmp(&needed) {
            std::cmp::Ordering::Less => Err(NpyProblem::Truncated { shape: header.shape, item_bytes, needed, found }),
            std::cmp::Ordering::Greater => Err(NpyProblem::TooLong { shape: header.shape, needed, found }),
            std::cmp::Ordering::Equal => Ok(header),
        }
    }

    /// Bytes of all values.
    pub(super) fn data_bytes(&self) -> Result<u64, NpyProblem> {
        element_count(&self.shape)
            .and_then(|count| count.checked_mul(self.dtype.bytes))
            // Room for an f64 copy in memory must be addressable too.
            .filter(|bytes| bytes.checked_mul(8).is_some_and(|most| isize::try_from(most).is_ok()))
            .map(|bytes| bytes as u64)
            .ok_or_else(|| NpyProblem::Overflow(format!("{:?}", self.shape)))
    }
}

impl DType {
    /// From numpy's short form, for example `<f4`, `>i8`, `|b1`.
    fn parse(descr: &str) -> Result<Self, NpyProblem> {
        let unsupported = || NpyProblem::Dtype(descr.to_owned());
        let mut letters = descr.chars();
        let big_endian = match letters.next() {
            Some('<' | '|') => false,
            Some('>') => true,
            Some('=') => cfg!(target_endian = "big"),
            _ => return Err(unsupported()),
        };
        let kind = match letters.next() {
            Some('f') => Kind::Float,
            Some('i') => Kind::Signed,
            Some('u') => Kind::Unsigned,
            Some('b') => Kind::Bool,
            Some('O') => return Err(NpyProblem::Objects(descr.to_owned())),
            _ => return Err(unsupported()),
        };
        let bytes: usize = match (kind, letters.as_str()) {
            (Kind::Signed | Kind::Unsigned | Kind::Bool, "1") => 1,
            (Kind::Signed | Kind::Unsigned, "2") => 2,
            (Kind::Float | Kind::Signed | Kind::Unsigned, "4") => 4,
            (Kind::Float | Kind::Signed | Kind::Unsigned, "8") => 8,
            _ => return Err(unsupported()),
        };
        Ok(Self { kind, bytes, big_endian })
    }
}

/// The few Python literals that a header may contain, read from the front of `rest`.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    /// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, keys in any order.
    fn dictionary(mut self) -> Result<(String, Order, Vec<usize>), NpyProblem> {
        let (mut descr, mut order, mut shape) = (None, None, None);
        self.expect('{')?;
        while !self.accept('}') {
            let key = self.string()?;
            self.expect(':')?;
            match key {
                "descr" if self.next() == Some('[') => return Err(NpyProblem::Structured),
                "descr" => descr = Some(self.string()?.to_owned()),
                "fortran_order" => order = Some(self.order()?),
                "shape" => shape = Some(self.shape()?),
                other => return Err(NpyProblem::Header(format!("unknown key `{other}`"))),
            }
            if !self.accept(',') && self.next() != Some('}') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
        if self.next().is_some() {
            return Err(self.unexpected("nothing more"));
        }
        let missing = |key: &str| NpyProblem::Header(format!("key `{key}` is missing"));
        Ok((descr.ok_or_else(|| missing("descr"))?, order.ok_or_else(|| missing("fortran_order"))?, shape.ok_or_else(|| missing("shape"))?))
    }

    fn next(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn accept(&mut self, wanted: char) -> bool {
        let found = self.next() == Some(wanted);
        if found {
            self.rest = &self.rest[wanted.len_utf8()..];
        }
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), NpyProblem> {
        if self.accept(wanted) { Ok(()) } else { Err(self.unexpected(&format!("`{wanted}`"))) }
    }

    fn string(&mut self) -> Result<&'a str, NpyProblem> {
        let Some(quote @ ('\'' | '"')) = self.next() else { return Err(self.unexpected("a quoted text")) };
        let (text, rest) = self.rest[1..].split_once(quote).ok_or_else(|| self.unexpected("a closing quote"))?;
        self.rest = rest;
        Ok(text)
    }

    fn order(&mut self) -> Result<Order, NpyProblem> {
        self.rest = self.rest.trim_start();
        for (word, order) in [("False", Order::C), ("True", Order::Fortran)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(order);
            }
        }
        Err(self.unexpected("True or False"))
    }

    /// `()`, `(3,)`, `(3, 4)`; Python 2 wrote long integers as `3L`.
    fn shape(&mut self) -> Result<Vec<usize>, NpyProblem> {
        let mut shape = Vec::new();
        self.expect('(')?;
        let start = self.rest;
        while !self.accept(')') {
            if self.next() == Some('-') {
                return Err(self.unexpected("an axis of at least 0"));
            }
            let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if digits == 0 {
                return Err(self.unexpected("an integer"));
            }
            let (number, rest) = self.rest.split_at(digits);
            let overflow = || NpyProblem::Overflow(format!("({}", start.split_inclusive(')').next().unwrap_or(start)));
            shape.push(number.parse().map_err(|_| overflow())?);
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            if shape.len() > MAX_AXES {
                return Err(NpyProblem::Header(format!("more than {MAX_AXES} axes")));
            }
            if !self.accept(',') && self.next() != Some(')') {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
        Ok(shape)
    }

    fn unexpected(&self, wanted: &str) -> NpyProblem {
        let found: String = self.rest.chars().take(20).collect();
        NpyProblem::Header(if found.is_empty() { format!("expected {wanted}, it ends") } else { format!("expected {wanted} at {found:?}") })
    }
}

/// The bytes before the values of a C-order array; version 1.0, padded so that the values begin at a multiple of 64 bytes.
pub(super) fn header_bytes(descr: &str, shape: &[usize]) -> Vec<u8> {
    let axes: Vec<String> = shape.iter().map(|axis| axis.to_string()).collect();
    let tuple = match axes.as_slice() {
        [only] => format!("({only},)"),
        all => format!("({})", all.join(", ")),
    };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple}, }}");
    let unpadded = 10 + text.len() + 1;
    text.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[1, 0]);
    // Even 64 axes of 20 digits stay far below the 65 535 bytes that version 1.0 allows.
    bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

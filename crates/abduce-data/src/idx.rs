//! The IDX format of MNIST and its relatives: big-endian arrays of one type, often compressed by gzip.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;

use crate::array::Array;
use crate::error::{DataError, Result};

/// Values of one file; larger ones are taken for damage.
const MOST_VALUES: usize = 1 << 31;

/// Reads an IDX file, through gzip where its name ends in `.gz`. Bytes stay numbers from 0 to 255.
///
/// Layout: two zero bytes, the type (8 unsigned byte, 9 signed byte, 11 i16, 12 i32, 13 f32, 14 f64), the number of axes, the axes as u32, the values; all
/// big-endian (LeCun, Cortes and Burges, the MNIST database).
pub fn read(path: &Path) -> Result<Array> {
    let file = BufReader::new(File::open(path).map_err(DataError::io(path, "read"))?);
    let gzip = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    if gzip { decode(path, GzDecoder::new(file)) } else { decode(path, file) }
}

fn decode(path: &Path, mut from: impl Read) -> Result<Array> {
    let wrong = |reason: String| DataError::Idx { path: path.to_path_buf(), reason };
    let mut header = [0u8; 4];
    from.read_exact(&mut header).map_err(DataError::io(path, "read"))?;
    let [0, 0, kind, axes] = header else {
        return Err(wrong("it does not begin with two zero bytes".to_owned()));
    };
    let size = match kind {
        8 | 9 => 1,
        11 => 2,
        12 | 13 => 4,
        14 => 8,
        _ => return Err(wrong(format!("its type code {kind} is unknown"))),
    };
    if !(1..=8).contains(&axes) {
        return Err(wrong(format!("{axes} axes; expected 1 to 8")));
    }
    let mut shape = Vec::new();
    for _ in 0..axes {
        let mut axis = [0u8; 4];
        from.read_exact(&mut axis).map_err(DataError::io(path, "read"))?;
        shape.push(u32::from_be_bytes(axis) as usize);
    }
    let count = shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis)).filter(|&n| n <= MOST_VALUES);
    let Some(count) = count else { return Err(wrong(format!("its shape {shape:?} is too large"))) };
    // Grown as bytes come, so that a false header allocates nothing.
    let mut bytes = Vec::new();
    from.take((count * size) as u64 + 1).read_to_end(&mut bytes).map_err(DataError::io(path, "read"))?;
    if bytes.len() != count * size {
        let more = if bytes.len() > count * size { "more" } else { "fewer" };
        return Err(wrong(format!("it holds {more} values than its shape {shape:?} has")));
    }
    let data = match kind {
        8 => bytes.iter().map(|&b| f32::from(b)).collect(),
        9 => bytes.iter().map(|&b| f32::from(b as i8)).collect(),
        11 => bytes.as_chunks().0.iter().map(|&b| f32::from(i16::from_be_bytes(b))).collect(),
        12 => bytes.as_chunks().0.iter().map(|&b| i32::from_be_bytes(b) as f32).collect(),
        13 => bytes.as_chunks().0.iter().map(|&b| f32::from_be_bytes(b)).collect(),
        _ => bytes.as_chunks().0.iter().map(|&b| f64::from_be_bytes(b) as f32).collect(),
    };
    Array::new(shape, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_bytes(bytes: &[u8]) -> Result<Array> {
        decode(Path::new("file.idx"), bytes)
    }

    #[test]
    fn every_type_is_read_and_damage_is_named() {
        let bytes = read_bytes(&[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 1, 2, 253, 254, 255]).unwrap();
        assert_eq!((bytes.shape(), bytes.data()), (&[2, 3][..], &[0.0, 1.0, 2.0, 253.0, 254.0, 255.0][..]));
        let float = [&[0, 0, 13, 1, 0, 0, 0, 1][..], &1.5f32.to_be_bytes()].concat();
        assert_eq!(read_bytes(&float).unwrap().data(), [1.5]);
        let short = [&[0, 0, 11, 1, 0, 0, 0, 1][..], &(-3i16).to_be_bytes()].concat();
        assert_eq!(read_bytes(&short).unwrap().data(), [-3.0]);
        for damaged in [&[1, 0, 8, 1, 0, 0, 0, 0][..], &[0, 0, 10, 1, 0, 0, 0, 0], &[0, 0, 8, 0], &[0, 0, 8, 1, 0, 0, 0, 2, 7]] {
            assert!(matches!(read_bytes(damaged), Err(DataError::Idx { .. })), "{damaged:?}");
        }
        // Terabytes promised: refused before anything is allocated.
        assert!(read_bytes(&[0, 0, 14, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]).is_err());
        assert!(matches!(read_bytes(&[0, 0]), Err(DataError::Io { .. })));
    }
}

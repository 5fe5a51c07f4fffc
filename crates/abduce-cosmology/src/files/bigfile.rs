//! BigFile directories, as FastPM, MP-Gadget and nbodykit write them: a block is a folder with a text `header`, raw files and `attr-v2`.

use super::FileError;
use super::bytes::ByteFile;
use std::collections::BTreeMap;
use std::path::Path;

/// A block of numbers: rows of `width` values.
#[derive(Clone, Debug, PartialEq)]
pub struct BigBlock {
    /// Values per row.
    pub width: usize,
    /// The values in f64, row-major; integers beyond 2⁵³ are rounded.
    pub values: Vec<f64>,
}

/// Longer text files are not of a block.
const MOST_TEXT: u64 = 1 << 20;
/// Files per block.
const MOST_FILES: usize = 1 << 20;

fn text(path: &Path) -> Result<String, FileError> {
    let size = std::fs::metadata(path).map_err(FileError::io("read", path))?.len();
    if size > MOST_TEXT {
        return Err(FileError::format(path, format!("{size} bytes of text")));
    }
    std::fs::read_to_string(path).map_err(FileError::io("read", path))
}

/// Reads a block, such as `fastpm_1.0000/1/Position`.
///
/// # Errors
/// A file is missing or truncated; a type other than little-endian integers and floats; a header that makes no sense.
pub fn read_block(folder: &Path) -> Result<BigBlock, FileError> {
    let path = folder.join("header");
    let wrong = |reason: String| FileError::format(&path, reason);
    let header = text(&path)?;
    let mut fields: BTreeMap<&str, &str> = BTreeMap::new();
    let mut rows = Vec::new();
    for line in header.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let (name, value) = (name.trim(), value.trim());
        match u32::from_str_radix(name, 16) {
            Ok(_) if name.len() == 6 => {
                let count = value.split(':').next().unwrap_or("").trim();
                let count: u64 = count.parse().map_err(|_| wrong(format!("`{line}`: no number of rows")))?;
                rows.push((name.to_string(), count));
            }
            _ => {
                fields.insert(name, value);
            }
        }
    }
    let number = |name: &str| -> Result<usize, FileError> {
        let value = fields.get(name).ok_or_else(|| wrong(format!("no `{name}`")))?;
        value.parse().map_err(|_| wrong(format!("`{name}` is `{value}`")))
    };
    let (width, files) = (number("NMEMB")?, number("NFILE")?);
    let dtype = fields.get("DTYPE").copied().unwrap_or("");
    if files != rows.len() || files > MOST_FILES || width == 0 || width > 4096 {
        return Err(wrong(format!("{files} files of rows of {width} values, {} files listed", rows.len())));
    }
    let mut values = Vec::new();
    for (name, count) in rows {
        let mut file = ByteFile::open(&folder.join(&name))?;
        let count = count.checked_mul(width as u64).ok_or_else(|| wrong(format!("{count} rows in one file")))?;
        values.extend(match dtype.trim_start_matches(['<', '=']) {
            "f4" => file.numbers(count, |bytes| f64::from(f32::from_le_bytes(bytes)))?,
            "f8" => file.numbers(count, f64::from_le_bytes)?,
            "i4" => file.numbers(count, |bytes| f64::from(i32::from_le_bytes(bytes)))?,
            "u4" => file.numbers(count, |bytes| f64::from(u32::from_le_bytes(bytes)))?,
            "i8" => file.numbers(count, |bytes| i64::from_le_bytes(bytes) as f64)?,
            "u8" => file.numbers(count, |bytes| u64::from_le_bytes(bytes) as f64)?,
            _ => return Err(wrong(format!("values of type `{dtype}` are not read"))),
        });
    }
    Ok(BigBlock { width, values })
}

/// The numeric attributes of a block: `BoxSize`, `Time`, `OmegaM`, …
///
/// # Errors
/// The file is missing, or a line of it makes no sense.
pub fn read_attributes(folder: &Path) -> Result<BTreeMap<String, Vec<f64>>, FileError> {
    let path = folder.join("attr-v2");
    let mut attributes = BTreeMap::new();
    for line in text(&path)?.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(dtype), Some(count), Some(hex)) = (words.next(), words.next(), words.next(), words.next()) else { continue };
        let wrong = || FileError::format(&path, format!("attribute `{name}` can't be read"));
        let count: usize = count.parse().map_err(|_| wrong())?;
        if !hex.is_ascii() || hex.len() % 2 != 0 {
            return Err(wrong());
        }
        let bytes: Result<Vec<u8>, _> = (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16)).collect();
        let bytes = bytes.map_err(|_| wrong())?;
        let values: Vec<f64> = match dtype.trim_start_matches(['<', '=']) {
            "f8" => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            "f4" => bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            "i4" => bytes.as_chunks().0.iter().map(|b| f64::from(i32::from_le_bytes(*b))).collect(),
            "i8" => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
            "u8" => bytes.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b) as f64).collect(),
            // Text.
            _ => continue,
        };
        if values.len() != count {
            return Err(wrong());
        }
        attributes.insert(name.to_string(), values);
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_several_files_and_their_attributes() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        std::fs::write(folder.join("header"), "DTYPE: <f4\nNMEMB: 3\nNFILE: 2\n000000: 1 : 12 : 34\n000001: 2 : 1 : 2\n").unwrap();
        let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        std::fs::write(folder.join("000000"), bytes(&[1.0, 2.0, 3.0])).unwrap();
        std::fs::write(folder.join("000001"), bytes(&[4.0, 5.0, 6.0, 7.0, 8.0, 9.0])).unwrap();
        let block = read_block(folder).unwrap();
        assert_eq!((block.width, block.values), (3, (1..10).map(f64::from).collect()));
        let hex: String = 500.0f64.to_le_bytes().iter().map(|b| format!("{b:02X}")).collect();
        std::fs::write(folder.join("attr-v2"), format!("BoxSize <f8 1 {hex} #HUMAN [ 500 ]\nName |S1 3 616263 #HUMAN [abc]\n")).unwrap();
        assert_eq!(read_attributes(folder).unwrap()["BoxSize"], [500.0]);

        std::fs::write(folder.join("000001"), bytes(&[4.0])).unwrap();
        assert!(read_block(folder).unwrap_err().to_string().contains("truncated"));
        for header in
            ["", "DTYPE: <f4\nNMEMB: 3\nNFILE: 1\n000000: 18446744073709551615 : 0 : 0\n", "DTYPE: <c8\nNMEMB: 1\nNFILE: 1\n000000: 1\n"]
        {
            std::fs::write(folder.join("header"), header).unwrap();
            assert!(read_block(folder).is_err());
        }
    }
}

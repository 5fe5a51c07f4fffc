//! Undoing the filters that a chunk went through.

use super::blosc;

const DEFLATE: u16 = 1;
const SHUFFLE: u16 = 2;
const FLETCHER32: u16 = 3;
const LZF: u16 = 32000;
const BLOSC: u16 = 32001;

/// Fails where one of these filters (number, name) can't be undone.
pub(super) fn check(filters: &[(u16, Option<String>)]) -> Result<(), String> {
    match filters.iter().find(|(id, _)| ![DEFLATE, SHUFFLE, FLETCHER32, LZF, BLOSC].contains(id)) {
        None => Ok(()),
        Some((id, name)) => {
            let name = name.as_deref().map(|name| format!(" ({})", name.escape_default())).unwrap_or_default();
            Err(format!("values packed by filter {id}{name} are not read (readable: deflate, shuffle, fletcher32, LZF, Blosc)"))
        }
    }
}

/// Whether any of these filters makes values smaller or larger than their plain bytes.
pub(super) fn compresses(filters: &[(u16, Option<String>)]) -> bool {
    filters.iter().any(|(id, _)| [DEFLATE, LZF, BLOSC].contains(id))
}

/// The values of a chunk of `bytes` bytes, values of `width` bytes each; bit i of `skipped` says that filter i was not applied.
pub(super) fn undo(
    mut packed: Vec<u8>,
    filters: &[(u16, Option<String>)],
    skipped: u32,
    width: usize,
    bytes: usize,
) -> Result<Vec<u8>, String> {
    let applied = filters.iter().enumerate().filter(|(i, _)| *i >= 32 || skipped >> i & 1 == 0).map(|(_, (id, _))| *id);
    let applied: Vec<u16> = applied.collect();
    for (place, id) in applied.iter().enumerate().rev() {
        match *id {
            FLETCHER32 => {
                let length = packed.len().checked_sub(4).ok_or("a chunk without its checksum")?;
                let stored = u32::from_le_bytes([packed[length], packed[length + 1], packed[length + 2], packed[length + 3]]);
                packed.truncate(length);
                if fletcher32(&packed) != stored {
                    return Err("a chunk whose checksum is wrong".into());
                }
            }
            SHUFFLE => {
                let mut out = vec![0u8; packed.len()];
                unshuffle(&packed, &mut out, width);
                packed = out;
            }
            id => {
                // A checksum that was taken of the plain values lies behind them.
                let behind = 4 * applied[..place].iter().filter(|&&before| before == FLETCHER32).count();
                let mut out = vec![0u8; bytes + behind];
                match id {
                    DEFLATE => inflate(&packed, &mut out)?,
                    LZF => lzf(&packed, &mut out)?,
                    _ => blosc::unpack(&packed, &mut out)?,
                }
                packed = out;
            }
        }
    }
    if packed.len() == bytes { Ok(packed) } else { Err(format!("a chunk of {} bytes where {bytes} are expected", packed.len())) }
}

/// Undoes HDF5's byte shuffle, and Blosc's: byte j of value i lies at j n + i.
pub(super) fn unshuffle(source: &[u8], out: &mut [u8], width: usize) {
    let values = source.len() / width.max(1);
    for byte in 0..width {
        for (value, &b) in source[byte * values..(byte + 1) * values].iter().enumerate() {
            out[value * width + byte] = b;
        }
    }
    let done = values * width;
    out[done..].copy_from_slice(&source[done..]);
}

/// A zlib stream that fills `out` exactly and ends there.
pub(super) fn inflate(source: &[u8], out: &mut [u8]) -> Result<(), String> {
    let mut state = flate2::Decompress::new(true);
    let status = state.decompress(source, out, flate2::FlushDecompress::Finish).map_err(|error| format!("deflate: {error}"))?;
    if status == flate2::Status::StreamEnd && state.total_out() == out.len() as u64 {
        Ok(())
    } else {
        Err(format!("deflate: {} bytes or a stream without an end where {} bytes are expected", state.total_out(), out.len()))
    }
}

/// LZF (Lehmann; h5py's filter): runs of up to 32 literals, and matches of up to 264 bytes at most 8192 back.
fn lzf(source: &[u8], out: &mut [u8]) -> Result<(), String> {
    let broken = || "damaged LZF data".to_string();
    let mut input = source.iter().copied();
    let mut written = 0;
    while let Some(control) = input.next() {
        let control = usize::from(control);
        let room = out.len() - written;
        if control < 32 {
            if control + 1 > room {
                return Err(broken());
            }
            for slot in &mut out[written..written + control + 1] {
                *slot = input.next().ok_or_else(broken)?;
            }
            written += control + 1;
        } else {
            let mut length = control >> 5;
            if length == 7 {
                length += usize::from(input.next().ok_or_else(broken)?);
            }
            let distance = ((control & 31) << 8) + usize::from(input.next().ok_or_else(broken)?) + 1;
            if distance > written || length + 2 > room {
                return Err(broken());
            }
            for at in written..written + length + 2 {
                out[at] = out[at - distance];
            }
            written += length + 2;
        }
    }
    if written == out.len() { Ok(()) } else { Err(format!("LZF: {written} bytes where {} are expected", out.len())) }
}

/// Fletcher's checksum over big-endian words of 16 bits, as HDF5 computes it (`H5_checksum_fletcher32`).
fn fletcher32(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (0u32, 0u32);
    let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
    // 360 words can't overflow the sums of sums.
    for block in bytes.chunks(720) {
        for word in block.chunks(2) {
            let word = u32::from(word[0]) << 8 | word.get(1).map_or(0, |&b| u32::from(b));
            low += word;
            high += low;
        }
        (low, high) = (fold(low), fold(high));
    }
    fold(high) << 16 | fold(low)
}

//! Frames of Blosc 1 (HDF5's filter 32001), unpacked into a buffer of known size.
//!
//! A frame is a header of 16 bytes, a table of the offsets of its blocks, and the blocks; a block is one stream or, for byte-shuffled values, one per
//! byte of a value (c-blosc, README_CHUNK_FORMAT.rst, format version 2).

/// Version of the format that is read; 1 has the same layout.
const NEWEST_FORMAT: u8 = 2;
const HEADER: usize = 16;
/// blosclz: distances up to this one fit into 13 bits.
const NEAR: usize = 8191;
/// No window of a Zstandard frame needs more than its contents; small contents may still ask for this much.
const SMALL_WINDOW: u64 = 8 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shuffle {
    None,
    Bytes,
    Bits,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let word: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(word)).ok()
}

/// Unpacks `frame` into exactly `out`.
pub(super) fn unpack(frame: &[u8], out: &mut [u8]) -> Result<(), String> {
    let cut = || "a Blosc frame is cut off".to_string();
    let header = frame.get(..HEADER).ok_or_else(cut)?;
    let (version, flags, type_size) = (header[0], header[2], usize::from(header[3]));
    let (bytes, block, packed) = (u32_at(header, 4), u32_at(header, 8), u32_at(header, 12));
    let (Some(bytes), Some(block), Some(packed)) = (bytes, block, packed) else { return Err(cut()) };
    if version == 0 || version > NEWEST_FORMAT {
        return Err(format!("a Blosc frame of format {version}; formats up to {NEWEST_FORMAT} are read"));
    }
    if bytes != out.len() || packed > frame.len() || type_size == 0 {
        return Err(format!("a Blosc frame of {bytes} bytes in {packed} where {} bytes in {} are expected", out.len(), frame.len()));
    }
    if out.is_empty() {
        return Ok(());
    }
    let frame = &frame[..packed];
    if flags & 2 != 0 {
        // Not compressed at all.
        out.copy_from_slice(frame.get(HEADER..HEADER + bytes).ok_or_else(cut)?);
        return Ok(());
    }
    if block == 0 || block > bytes {
        return Err(format!("a Blosc frame of {bytes} bytes with blocks of {block}"));
    }
    let shuffle = match (flags & 1 != 0, flags & 4 != 0) {
        (true, _) if type_size > 1 => Shuffle::Bytes,
        (_, true) => Shuffle::Bits,
        _ => Shuffle::None,
    };
    let (codec, may_split) = (flags >> 5, flags & 16 == 0);
    let mut scratch = vec![0u8; if shuffle == Shuffle::None { 0 } else { block }];
    for (index, out) in out.chunks_mut(block).enumerate() {
        let mut at = u32_at(frame, HEADER + 4 * index).ok_or_else(cut)?;
        let whole = out.len() == block;
        let streams = if may_split && whole { type_size } else { 1 };
        if out.len() % streams != 0 {
            return Err(format!("a block of {} bytes in {streams} streams", out.len()));
        }
        let target = if shuffle == Shuffle::None { &mut out[..] } else { &mut scratch[..out.len()] };
        let stream = target.len() / streams;
        for part in target.chunks_mut(stream) {
            let size = u32_at(frame, at).ok_or_else(cut)?;
            let start = at + 4;
            let source = start.checked_add(size).and_then(|end| frame.get(start..end)).ok_or_else(cut)?;
            if size == part.len() {
                part.copy_from_slice(source);
            } else {
                decode(codec, source, part)?;
            }
            at = start + size;
        }
        match shuffle {
            Shuffle::None => {}
            Shuffle::Bytes => super::filters::unshuffle(&scratch[..out.len()], out, type_size),
            Shuffle::Bits => unshuffle_bits(&scratch[..out.len()], out, type_size),
        }
    }
    Ok(())
}

fn decode(codec: u8, source: &[u8], out: &mut [u8]) -> Result<(), String> {
    let short = |what: &str, found: usize, out: &[u8]| match found == out.len() {
        true => Ok(()),
        false => Err(format!("{what}: {found} bytes where {} are expected", out.len())),
    };
    match codec {
        0 => {
            let found = blosclz(source, out).ok_or("damaged blosclz data")?;
            short("blosclz", found, out)
        }
        1 => {
            let found = lz4_flex::block::decompress_into(source, out).map_err(|error| format!("LZ4: {error}"))?;
            short("LZ4", found, out)
        }
        3 => super::filters::inflate(source, out),
        4 => {
            let mut decoder = ruzstd::decoding::FrameDecoder::new();
            decoder.set_max_window_size(SMALL_WINDOW.max(out.len() as u64));
            let found = decoder.decode_all(source, out).map_err(|error| format!("Zstandard: {error}"))?;
            short("Zstandard", found, out)
        }
        other => Err(format!("Blosc's codec number {other} is not read (readable: blosclz, LZ4, zlib, Zstandard)")),
    }
}

/// Undoes the transposition of bits: bit b of byte j of value i lies in bit i mod 8 of byte i/8 of plane 8 j + b. Where the number of values is no
/// multiple of eight Blosc leaves the block as it is.
fn unshuffle_bits(source: &[u8], out: &mut [u8], type_size: usize) {
    let values = source.len() / type_size;
    if !values.is_multiple_of(8) {
        out.copy_from_slice(source);
        return;
    }
    let plane = values / 8;
    for byte in 0..type_size {
        for group in 0..plane {
            let mut rows = [0u8; 8];
            for (bit, row) in rows.iter_mut().enumerate() {
                *row = source[(8 * byte + bit) * plane + group];
            }
            for (value, column) in transposed(rows).into_iter().enumerate() {
                out[(8 * group + value) * type_size + byte] = column;
            }
        }
    }
    let done = values * type_size;
    out[done..].copy_from_slice(&source[done..]);
}

/// An 8 × 8 matrix of bits, mirrored at its diagonal (Warren, Hacker's Delight, section 7-3): bit i of byte b becomes bit b of byte i.
fn transposed(rows: [u8; 8]) -> [u8; 8] {
    let mut x = u64::from_le_bytes(rows);
    for (shift, mask) in [(7, 0x00aa_00aa_00aa_00aa_u64), (14, 0x0000_cccc_0000_cccc), (28, 0x0000_0000_f0f0_f0f0)] {
        let t = (x ^ (x >> shift)) & mask;
        x ^= t ^ (t << shift);
    }
    x.to_le_bytes()
}

/// blosclz, a byte-oriented LZ77: instructions of literals (top three bits 0) and of matches. Bytes written, or nothing where the data make no sense.
fn blosclz(source: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut input = source.iter().copied();
    let mut written = 0usize;
    let mut control = usize::from(input.next()? & 31);
    loop {
        if control >= 32 {
            let mut length = (control >> 5) - 1;
            let mut distance = (control & 31) << 8;
            if length == 6 {
                loop {
                    let more = usize::from(input.next()?);
                    length += more;
                    if more != 255 {
                        break;
                    }
                }
            }
            let low = usize::from(input.next()?);
            if low == 255 && distance == 31 << 8 {
                let (high, low) = (usize::from(input.next()?), usize::from(input.next()?));
                distance = (high << 8) + low + NEAR;
            } else {
                distance += low;
            }
            let (length, distance) = (length + 3, distance + 1);
            if distance > written || length > out.len() - written {
                return None;
            }
            // May overlap itself: byte by byte.
            for at in written..written + length {
                out[at] = out[at - distance];
            }
            written += length;
        } else {
            let literals = control + 1;
            if literals > out.len() - written {
                return None;
            }
            for slot in &mut out[written..written + literals] {
                *slot = input.next()?;
            }
            written += literals;
        }
        match input.next() {
            Some(next) => control = usize::from(next),
            None => return Some(written),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_bits_twice_is_nothing_and_once_moves_each_bit() {
        for (row, bit) in (0..8).flat_map(|row| (0..8).map(move |bit| (row, bit))) {
            let mut rows = [0u8; 8];
            rows[row] = 1 << bit;
            let mut expected = [0u8; 8];
            expected[bit] = 1 << row;
            assert_eq!(transposed(rows), expected);
        }
        let rows = [1, 2, 3, 200, 5, 77, 255, 128];
        assert_eq!(transposed(transposed(rows)), rows);
    }

    #[test]
    fn blosclz_copies_and_repeats() {
        // Three literals `abc`, then five bytes from three back.
        let mut out = [0u8; 8];
        assert_eq!(blosclz(&[2, b'a', b'b', b'c', (3 << 5), 2], &mut out), Some(8));
        assert_eq!(&out, b"abcabcab");
        // Before the beginning, and beyond the end.
        assert_eq!(blosclz(&[0, b'a', (1 << 5), 2], &mut out), None);
        assert_eq!(blosclz(&[2, b'a', b'b', b'c', (7 << 5), 255, 255, 0, 2], &mut out), None);
        assert_eq!(blosclz(&[2, b'a'], &mut out), None);
    }
}

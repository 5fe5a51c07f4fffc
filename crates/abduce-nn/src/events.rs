//! Event files that TensorBoard reads: scalars over epochs or steps.
//!
//! A file is a sequence of records: the length (u64, little endian), its masked CRC-32C, the bytes, their masked CRC-32C. The bytes are an `Event` message of
//! protocol buffers, of which three fields are used: wall time (1, double), step (2, varint), and either the file version (3, string) or a
//! summary (5) of values (1) with a tag (1, string) and a number (2, float).

use crate::trainer::TrainState;
use std::io::{self, Write};

/// Writes one event file. TensorBoard shows files whose name holds `tfevents`, such as `events.out.tfevents.abduce`.
#[derive(Debug)]
pub struct EventWriter<W> {
    out: W,
}

impl<W: Write> EventWriter<W> {
    /// Begins a file. Times are seconds since 1970: who writes events knows the clock.
    ///
    /// # Errors
    /// Writing fails.
    pub fn new(out: W, time: f64) -> io::Result<Self> {
        let mut writer = Self { out };
        let mut event = Vec::new();
        fixed64(&mut event, 1, time);
        bytes(&mut event, 3, b"brain.Event:2");
        writer.record(&event)?;
        Ok(writer)
    }

    /// Goes on with a file that was begun before.
    pub const fn append(out: W) -> Self {
        Self { out }
    }

    /// Several numbers at one step.
    ///
    /// # Errors
    /// Writing fails.
    pub fn scalars(&mut self, step: u64, time: f64, values: &[(&str, f32)]) -> io::Result<()> {
        let mut event = Vec::new();
        fixed64(&mut event, 1, time);
        event.push(2 << 3);
        varint(&mut event, step);
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut message = Vec::new();
            bytes(&mut message, 1, tag.as_bytes());
            message.push((2 << 3) | 5);
            message.extend(value.to_le_bytes());
            bytes(&mut summary, 1, &message);
        }
        bytes(&mut event, 5, &summary);
        self.record(&event)?;
        self.out.flush()
    }

    /// The last epoch of a training: scores, learning rate, steps left out. An observer of [`train`](crate::trainer::train) calls it.
    ///
    /// # Errors
    /// Writing fails.
    pub fn epoch(&mut self, state: &TrainState, time: f64) -> io::Result<()> {
        let Some(last) = state.progress.history.last() else { return Ok(()) };
        let values = [
            ("score/train", last.train as f32),
            ("score/validation", last.validation as f32),
            ("learning_rate", last.learning_rate),
            ("skipped_steps", last.skipped_steps as f32),
        ];
        self.scalars(state.progress.history.len() as u64, time, &values)
    }

    fn record(&mut self, event: &[u8]) -> io::Result<()> {
        let length = (event.len() as u64).to_le_bytes();
        self.out.write_all(&length)?;
        self.out.write_all(&masked(&length).to_le_bytes())?;
        self.out.write_all(event)?;
        self.out.write_all(&masked(event).to_le_bytes())
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn fixed64(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push((field << 3) | 1);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push((field << 3) | 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

/// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), bit by bit: records are short.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |c, _| (c >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(c & 1))))
}

/// Rotated and shifted, so that the checksum of data that hold a checksum is no trivial number.
fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test vectors of RFC 3720, appendix B.4, and the usual check value.
    #[test]
    fn checksums_are_those_of_the_standard() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&rising), 0x46dd_794e);
    }

    /// Read back by the format's description.
    #[test]
    fn records_hold_their_events() {
        let mut file = Vec::new();
        let mut writer = EventWriter::new(&mut file, 2.5).unwrap();
        writer.scalars(300, 3.5, &[("a", 0.25), ("b/c", -1.0)]).unwrap();
        let mut rest = &file[..];
        let mut events = Vec::new();
        while !rest.is_empty() {
            let n = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked(&rest[..8]).to_le_bytes());
            assert_eq!(rest[12 + n..16 + n], masked(&rest[12..12 + n]).to_le_bytes());
            events.push(&rest[12..12 + n]);
            rest = &rest[16 + n..];
        }
        assert_eq!(events.len(), 2);
        assert_eq!(events[0][..9], [&[9u8][..], &2.5f64.to_le_bytes()].concat());
        assert_eq!(events[0][9..], [&[26u8, 13][..], b"brain.Event:2"].concat());
        let value = |tag: &[u8], v: f32| [&[10, tag.len() as u8][..], tag, &[21], &v.to_le_bytes()].concat();
        let (a, b) = (value(b"a", 0.25), value(b"b/c", -1.0));
        let summary = [&[10, a.len() as u8][..], &a, &[10, b.len() as u8], &b].concat();
        // 300 = 0b10_0101100 as a varint.
        let want = [&[9u8][..], &3.5f64.to_le_bytes(), &[16, 0xac, 2], &[42, summary.len() as u8], &summary].concat();
        assert_eq!(events[1], want);
    }
}

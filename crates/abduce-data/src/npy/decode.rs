//! Bytes of a file to numbers.

use super::header::{DType, Kind};

/// A precision that arrays can have in memory: `f32` or `f64`.
pub trait Element: Copy + Default + Send + Sync + 'static + sealed::Sealed {
    /// numpy's name of the little-endian type.
    const DESCR: &'static str;
    /// Rounded to nearest.
    fn from_f64(value: f64) -> Self;
    /// Append the little-endian bytes.
    fn push_le_bytes(self, bytes: &mut Vec<u8>);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl Element for f32 {
    const DESCR: &'static str = "<f4";

    fn from_f64(value: f64) -> Self {
        value as Self
    }

    fn push_le_bytes(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_le_bytes());
    }
}

impl Element for f64 {
    const DESCR: &'static str = "<f8";

    fn from_f64(value: f64) -> Self {
        value
    }

    fn push_le_bytes(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_le_bytes());
    }
}

impl DType {
    /// Convert `out.len()` values from `bytes` (as many times [`DType::bytes`]) into `out[0], out[stride], …`.
    ///
    /// Everything passes through f64: exact for all but integers beyond 2^53, and folded away by the compiler for f4 → f32.
    pub(crate) fn decode<T: Element>(self, bytes: &[u8], out: &mut [T], stride: usize) {
        let big = self.big_endian;
        match (self.kind, self.bytes) {
            (Kind::Float, 4) => each(bytes, big, out, stride, |b| f64::from(f32::from_le_bytes(b))),
            (Kind::Float, _) => each(bytes, big, out, stride, f64::from_le_bytes),
            (Kind::Signed, 1) => each(bytes, big, out, stride, |b| f64::from(i8::from_le_bytes(b))),
            (Kind::Signed, 2) => each(bytes, big, out, stride, |b| f64::from(i16::from_le_bytes(b))),
            (Kind::Signed, 4) => each(bytes, big, out, stride, |b| f64::from(i32::from_le_bytes(b))),
            (Kind::Signed, _) => each(bytes, big, out, stride, |b| i64::from_le_bytes(b) as f64),
            (Kind::Unsigned, 1) => each(bytes, big, out, stride, |b| f64::from(u8::from_le_bytes(b))),
            (Kind::Unsigned, 2) => each(bytes, big, out, stride, |b| f64::from(u16::from_le_bytes(b))),
            (Kind::Unsigned, 4) => each(bytes, big, out, stride, |b| f64::from(u32::from_le_bytes(b))),
            (Kind::Unsigned, _) => each(bytes, big, out, stride, |b| u64::from_le_bytes(b) as f64),
            (Kind::Bool, _) => each(bytes, big, out, stride, |[b]| f64::from(u8::from(b != 0))),
        }
    }
}

fn each<T: Element, const N: usize>(bytes: &[u8], big_endian: bool, out: &mut [T], stride: usize, value: impl Fn([u8; N]) -> f64) {
    let (items, _) = bytes.as_chunks::<N>();
    let convert = |&item: &[u8; N]| {
        let mut item = item;
        if big_endian {
            item.reverse();
        }
        T::from_f64(value(item))
    };
    if stride == 1 {
        for (slot, item) in out.iter_mut().zip(items) {
            *slot = convert(item);
        }
    } else {
        for (slot, item) in out.iter_mut().step_by(stride).zip(items) {
            *slot = convert(item);
        }
    }
}

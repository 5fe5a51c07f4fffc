//! Picking the few small values out of long rows: the second half of a search for neighbours.

use crate::lanes::{LANES, Lanes};
use crate::simd::{Simd, dispatch};

impl Simd {
    /// Appends `(row[j], first + j)` to `hits` for every j with `row[j] < limit`, in the order of j. NaN is never below anything.
    ///
    /// Sixteen values cost one comparison where none is small, which is the common case once `limit` is tight.
    pub fn select_below(self, row: &[f32], limit: f32, first: u32, hits: &mut Vec<(f32, u32)>) {
        dispatch!(self, select(row: &[f32], limit: f32, first: u32, hits: &mut Vec<(f32, u32)>));
    }
}

#[inline(always)]
unsafe fn select<S: Lanes>(row: &[f32], limit: f32, first: u32, hits: &mut Vec<(f32, u32)>) {
    // SAFETY: every load stays inside `row`; the last one is partial.
    unsafe {
        let bound = S::splat(limit);
        let mut start = 0;
        while start < row.len() {
            let count = (row.len() - start).min(LANES);
            let p = row.as_ptr().add(start);
            let mut bits = if count == LANES {
                S::bits(S::lt(S::load(p), bound))
            } else {
                S::bits(S::lt(S::load_first(p, count), bound)) & ((1u16 << count) - 1)
            };
            while bits != 0 {
                let lane = bits.trailing_zeros();
                hits.push((*p.add(lane as usize), first + start as u32 + lane));
                bits &= bits - 1;
            }
            start += LANES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_is_found_in_order_at_every_length_and_level() {
        for simd in Simd::all() {
            for length in [0, 1, 15, 16, 17, 31, 32, 100] {
                let mut row: Vec<f32> = (0..length).map(|i| ((i * 37) % 29) as f32 - 14.0).collect();
                if length > 20 {
                    row[3] = f32::NAN;
                }
                for limit in [-20.0, -3.0, 0.0, 30.0] {
                    let mut hits = vec![(9.0, 9)];
                    simd.select_below(&row, limit, 5, &mut hits);
                    let want = row.iter().enumerate().filter(|(_, v)| **v < limit).map(|(j, v)| (*v, 5 + j as u32));
                    assert_eq!(hits[0], (9.0, 9));
                    assert!(hits[1..].iter().copied().eq(want), "length {length}, limit {limit} at {simd}");
                }
            }
        }
    }
}

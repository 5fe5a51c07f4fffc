//! Threads over the middle axis of a three-dimensional array.
//!
//! An array of shape (outer, middle, inner), innermost axis contiguous, falls into `middle` slabs: slab m holds the rows (o, m, ·) of all o.
//! Passes along the outer axis (a Fourier transform, a transposition) own one slab at a time; its rows lie far apart, which no slice can say.

use crate::threads::Threads;
use std::marker::PhantomData;

/// The rows (o, m, ·) of one m.
pub struct Slab<'a, T> {
    first: *mut T,
    rows: usize,
    pitch: usize,
    inner: usize,
    data: PhantomData<&'a mut [T]>,
}

impl<T> Slab<'_, T> {
    /// Number of rows: the length of the outer axis.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Row `outer`.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn row(&self, outer: usize) -> &[T] {
        assert!(outer < self.rows, "row {outer} of {}", self.rows);
        // SAFETY: the row lies inside the array (checked lengths in `for_each_slab`) and in no other slab; `&self` keeps writers away.
        unsafe { std::slice::from_raw_parts(self.first.add(outer * self.pitch), self.inner) }
    }

    /// Row `outer`, to be changed.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn row_mut(&mut self, outer: usize) -> &mut [T] {
        assert!(outer < self.rows, "row {outer} of {}", self.rows);
        // SAFETY: as above, and `&mut self` keeps every other reference away.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(outer * self.pitch), self.inner) }
    }
}

struct Base<T>(*mut T);
// SAFETY: only used to hand out disjoint slabs of `T: Send` values.
unsafe impl<T: Send> Sync for Base<T> {}

impl Threads {
    /// Calls `f(m, slab)` once for every slab of `data`, an array of `shape` (outer, middle, inner), spread over the threads.
    ///
    /// # Panics
    /// If `data` does not have the length of `shape`, or `f` panics.
    pub fn for_each_slab<T: Send>(&self, data: &mut [T], shape: [usize; 3], f: impl Fn(usize, &mut Slab<'_, T>) + Sync) {
        let [outer, middle, inner] = shape;
        let length = outer.checked_mul(middle).and_then(|rows| rows.checked_mul(inner));
        assert!(length == Some(data.len()), "an array of shape {shape:?} does not have {} values", data.len());
        let base = Base(data.as_mut_ptr());
        let pitch = middle * inner;
        // Zero-sized items: `for_each` only counts them.
        let mut items = vec![(); middle];
        self.for_each(&mut items, |m, ()| {
            let base = &base;
            // SAFETY: m < middle, so the offset lies inside the array or, where `inner` or `outer` is 0, no row is ever formed beyond it.
            let first = unsafe { base.0.add(if outer == 0 { 0 } else { m * inner }) };
            f(m, &mut Slab { first, rows: outer, pitch, inner, data: PhantomData });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_cover_the_array_once() {
        for count in [1, 3] {
            let threads = Threads::new(count);
            for shape in [[3, 4, 5], [1, 7, 2], [2, 1, 1], [0, 3, 2], [2, 3, 0]] {
                let mut data = vec![0usize; shape.iter().product()];
                threads.for_each_slab(&mut data, shape, |m, slab| {
                    for o in 0..slab.rows() {
                        for (i, value) in slab.row_mut(o).iter_mut().enumerate() {
                            *value += 1 + (o * shape[1] + m) * shape[2] + i;
                        }
                    }
                });
                assert!(data.iter().enumerate().all(|(index, &value)| value == index + 1), "{shape:?}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "does not have 7 values")]
    fn a_wrong_length_is_refused() {
        Threads::single().for_each_slab(&mut [0; 7], [2, 2, 2], |_, _| {});
    }
}

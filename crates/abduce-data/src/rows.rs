//! Sets of row numbers: which rows are finite, which train, which validate.

use std::ops::Range;

/// A subset of the rows 0..universe, one bit per row (6 MB for 50 million rows).
///
/// ```
/// use abduce_data::RowSet;
/// let mut rows = RowSet::all(5);
/// rows.remove(1);
/// assert_eq!(rows.len(), 4);
/// assert_eq!(rows.iter().collect::<Vec<_>>(), [0, 2, 3, 4]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSet {
    words: Vec<u64>,
    universe: usize,
    len: usize,
}

const WORD_BITS: usize = u64::BITS as usize;

impl RowSet {
    /// No row of `universe`.
    pub fn none(universe: usize) -> Self {
        Self { words: vec![0; universe.div_ceil(WORD_BITS)], universe, len: 0 }
    }

    /// All rows of `universe`.
    pub fn all(universe: usize) -> Self {
        let mut words = vec![u64::MAX; universe.div_ceil(WORD_BITS)];
        if let Some(last) = words.last_mut().filter(|_| !universe.is_multiple_of(WORD_BITS)) {
            *last = (1 << (universe % WORD_BITS)) - 1;
        }
        Self { words, universe, len: universe }
    }

    /// Number of rows in the set.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the set has no rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of rows that could be in the set: those of the data.
    pub fn universe(&self) -> usize {
        self.universe
    }

    /// Whether `row` is in the set.
    pub fn contains(&self, row: usize) -> bool {
        row < self.universe && self.words[row / WORD_BITS] >> (row % WORD_BITS) & 1 == 1
    }

    /// Add `row`; false where it was there already. Panics outside the universe.
    pub fn insert(&mut self, row: usize) -> bool {
        assert!(row < self.universe, "row {row} of {}", self.universe);
        let added = !self.contains(row);
        self.words[row / WORD_BITS] |= 1 << (row % WORD_BITS);
        self.len += usize::from(added);
        added
    }

    /// Take `row` out; false where it was not there.
    pub fn remove(&mut self, row: usize) -> bool {
        let removed = self.contains(row);
        if removed {
            self.words[row / WORD_BITS] &= !(1 << (row % WORD_BITS));
            self.len -= 1;
        }
        removed
    }

    /// The rows in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.iter_in(0..self.universe)
    }

    /// The rows within `range`, in ascending order.
    pub fn iter_in(&self, range: Range<usize>) -> impl Iterator<Item = usize> + '_ {
        let end = range.end.min(self.universe);
        let mut index = range.start / WORD_BITS;
        let mut word = self.words.get(index).map_or(0, |word| word & (u64::MAX << (range.start % WORD_BITS)));
        std::iter::from_fn(move || {
            while word == 0 {
                index += 1;
                if index * WORD_BITS >= end {
                    return None;
                }
                word = self.words[index];
            }
            let row = index * WORD_BITS + word.trailing_zeros() as usize;
            word &= word - 1;
            (row < end).then_some(row)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_sorted_set(universe in 1usize..300, edits in prop::collection::vec((any::<bool>(), 0usize..300), 0..200), range in (0usize..320, 0usize..320)) {
            let mut expected: std::collections::BTreeSet<usize> = (0..universe).collect();
            let mut rows = RowSet::all(universe);
            for (add, row) in edits {
                if add && row < universe {
                    prop_assert_eq!(rows.insert(row), expected.insert(row));
                } else if !add {
                    prop_assert_eq!(rows.remove(row), expected.remove(&row));
                }
            }
            prop_assert_eq!(rows.len(), expected.len());
            prop_assert!(rows.iter().eq(expected.iter().copied()));
            let (start, end) = (range.0.min(range.1), range.0.max(range.1));
            prop_assert!(rows.iter_in(start..end).eq(expected.range(start..end).copied()));
            prop_assert!((0..320).all(|row| rows.contains(row) == expected.contains(&row)));
        }
    }

    #[test]
    fn none_and_all() {
        for universe in [0, 1, 63, 64, 65, 128] {
            assert_eq!(RowSet::none(universe).iter().count(), 0);
            assert_eq!(RowSet::all(universe).iter().count(), universe);
            assert_eq!(RowSet::all(universe).len(), universe);
        }
    }
}

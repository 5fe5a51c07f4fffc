//! Names as numbers: a hash table whose keys are the tokens themselves where they have up to eight bytes.

use super::token::PADDING;

/// Tokens numbered from 0 in order of insertion.
#[derive(Clone, Debug, Default)]
pub struct Interner {
    /// Bytes of all names, one after another, then padding.
    text: Vec<u8>,
    /// Where each name begins; one more entry marks the end of the last.
    starts: Vec<u32>,
    /// Open addressing; a power of two of them, at most half of them taken.
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: u64,
    id: u32,
}

const EMPTY: u32 = u32::MAX;
/// Odd constants without structure (the fractional digits of π).
const MIX: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345];

fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ MIX[0]) * u128::from(b ^ MIX[1]);
    (product as u64) ^ (product >> 64) as u64
}

/// The key of a token: its bytes where they fit into a word (tokens are ASCII, so the highest bit is 0), else a hash with the highest bit set.
#[inline]
fn key(bytes: &[u8], start: usize, end: usize) -> u64 {
    let word = |at: usize| bytes.get(at..).and_then(|tail| tail.first_chunk::<8>()).map_or(0, |chunk| u64::from_le_bytes(*chunk));
    let length = end - start;
    if length <= 8 {
        let keep = if length == 8 { u64::MAX } else { (1u64 << (8 * length)) - 1 };
        return word(start) & keep;
    }
    let mut hash = length as u64;
    let mut at = start;
    while at + 8 <= end {
        hash = mix(hash, word(at));
        at += 8;
    }
    // The last word overlaps the one before it, so that no byte is left out.
    mix(hash, word(end - 8)) | 1 << 63
}

impl Interner {
    /// How many names there are.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name with a number; an empty string where there is none.
    pub fn name(&self, id: u32) -> &str {
        let id = id as usize;
        let bytes = match (self.starts.get(id), self.starts.get(id + 1)) {
            (Some(&start), Some(&end)) => &self.text[start as usize..end as usize],
            _ => &[],
        };
        std::str::from_utf8(bytes).unwrap_or("")
    }

    /// The number of a name.
    pub fn find(&self, name: &str) -> Option<u32> {
        let mut padded = name.as_bytes().to_vec();
        padded.resize(name.len() + PADDING, b'\n');
        self.find_in(&padded, 0, name.len())
    }

    /// The number of the token `bytes[start..end]`; eight bytes after `end` must be readable.
    #[inline]
    pub(crate) fn find_in(&self, bytes: &[u8], start: usize, end: usize) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let key = key(bytes, start, end);
        let slot = self.probe(key, &bytes[start..end]);
        (self.slots[slot].id != EMPTY).then_some(self.slots[slot].id)
    }

    /// The number of a token, new or not, and whether it is new. `None` when the numbers or their text are used up (2³² − 1).
    pub(crate) fn insert_in(&mut self, bytes: &[u8], start: usize, end: usize) -> Option<(u32, bool)> {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        if 2 * (self.len() + 1) > self.slots.len() {
            self.grow();
        }
        let token = &bytes[start..end];
        let key = key(bytes, start, end);
        let slot = self.probe(key, token);
        if self.slots[slot].id != EMPTY {
            return Some((self.slots[slot].id, false));
        }
        let id = u32::try_from(self.len()).ok().filter(|&id| id != EMPTY)?;
        let text_end = u32::try_from(self.text.len() + token.len()).ok()?;
        self.text.extend_from_slice(token);
        self.starts.push(text_end);
        self.slots[slot] = Slot { key, id };
        Some((id, true))
    }

    /// The slot that holds a token, or the empty one where it belongs.
    #[inline]
    fn probe(&self, key: u64, token: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = mix(key, MIX[0]) as usize & mask;
        loop {
            let found = self.slots[slot];
            if found.id == EMPTY || (found.key == key && (token.len() <= 8 || self.bytes_of(found.id) == token)) {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn bytes_of(&self, id: u32) -> &[u8] {
        &self.text[self.starts[id as usize] as usize..self.starts[id as usize + 1] as usize]
    }

    fn grow(&mut self) {
        let size = (2 * self.slots.len()).max(64);
        let old = std::mem::replace(&mut self.slots, vec![Slot { key: 0, id: EMPTY }; size]);
        let mask = size - 1;
        for entry in old.into_iter().filter(|entry| entry.id != EMPTY) {
            let mut slot = mix(entry.key, MIX[0]) as usize & mask;
            while self.slots[slot].id != EMPTY {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn numbers_are_those_of_a_map_for_short_and_long_names() {
        let mut interner = Interner::default();
        let mut model: HashMap<String, u32> = HashMap::new();
        assert_eq!(interner.find("x"), None);
        for round in 0..2 {
            for i in 0..3000u32 {
                let name = format!("{}{i}", "abcdefghijklmnop".get(..(i % 17) as usize).unwrap());
                let mut padded = name.clone().into_bytes();
                padded.resize(name.len() + PADDING, b' ');
                let (id, new) = interner.insert_in(&padded, 0, name.len()).unwrap();
                assert_eq!(new, !model.contains_key(&name), "round {round}");
                let expected = model.len() as u32;
                assert_eq!(id, *model.entry(name).or_insert(expected));
            }
        }
        assert_eq!(interner.len(), model.len());
        for (name, &id) in &model {
            assert_eq!((interner.find(name), interner.name(id)), (Some(id), name.as_str()));
        }
        assert_eq!(interner.find("abcdefghijklmnopqrstuvwxyz"), None);
        assert_eq!(interner.name(99_999), "");
    }
}

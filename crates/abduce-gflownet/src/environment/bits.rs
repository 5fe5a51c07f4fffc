//! Bit sequences built from left to right, in words (Malkin et al. 2022, arXiv:2201.13259, section 5.3).

use super::{Enumerable, Environment};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Sequences of `length` bits; an action appends one of the 2^`word` words, and a trajectory ends when the sequence is full. States form a tree.
///
/// ln R(x) = −β min_m H(x, m)/length over the modes m, H being the number of bits that differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BitSequence {
    /// Bits of a full sequence, a multiple of `word`.
    #[schemars(range(min = 1, max = 64))]
    pub length: usize,
    /// Bits of a word.
    #[schemars(range(min = 1, max = 8))]
    pub word: usize,
    /// Sequences of the highest reward, the first bit being the least significant one.
    #[schemars(length(min = 1))]
    pub modes: Vec<u64>,
    /// β.
    pub beta: f64,
}

impl Default for BitSequence {
    fn default() -> Self {
        Self { length: 8, word: 2, modes: vec![0, 0b1111_0000, 0b1010_1010], beta: 8.0 }
    }
}

/// The bits so far and their number.
type State = (u64, u8);

impl Environment for BitSequence {
    type State = State;

    fn initial(&self) -> State {
        (0, 0)
    }

    fn actions(&self) -> usize {
        1 << self.word
    }

    fn forward(&self, state: &State, allowed: &mut [bool]) {
        let full = usize::from(state.1) >= self.length;
        allowed.fill(!full);
        allowed[self.actions()] = full;
    }

    fn apply(&self, &(bits, length): &State, action: usize) -> State {
        (bits | (action as u64) << length, length + self.word as u8)
    }

    fn backward(&self, state: &State, allowed: &mut [bool]) {
        allowed.fill(false);
        if state.1 > 0 {
            allowed[self.last_word(state)] = true;
        }
    }

    fn undo(&self, state: &State, action: usize) -> State {
        debug_assert_eq!(action, self.last_word(state));
        let length = state.1 - self.word as u8;
        (state.0 & !(u64::MAX.checked_shl(u32::from(length)).unwrap_or(0)), length)
    }

    fn log_reward(&self, state: &State) -> f64 {
        let distance = self.modes.iter().map(|mode| (state.0 ^ mode).count_ones()).min().unwrap_or(0);
        -self.beta * f64::from(distance) / self.length as f64
    }

    /// The same with the bits that there are.
    fn log_partial(&self, state: &State) -> f64 {
        let mask = !(u64::MAX.checked_shl(u32::from(state.1)).unwrap_or(0));
        let distance = self.modes.iter().map(|mode| ((state.0 ^ mode) & mask).count_ones()).min().unwrap_or(0);
        -self.beta * f64::from(distance) / self.length as f64
    }

    fn features(&self) -> usize {
        2 * self.length
    }

    /// Per bit: whether it is 0, whether it is 1; neither where it is missing.
    fn encode(&self, state: &State, out: &mut [f32]) {
        out.fill(0.0);
        (0..usize::from(state.1)).for_each(|i| out[2 * i + (state.0 >> i & 1) as usize] = 1.0);
    }
}

impl BitSequence {
    fn last_word(&self, state: &State) -> usize {
        (state.0 >> (usize::from(state.1) - self.word)) as usize & (self.actions() - 1)
    }
}

impl Enumerable for BitSequence {
    fn states(&self) -> Vec<State> {
        let lengths = (0..=self.length).step_by(self.word);
        lengths.flat_map(|length| (0..1u64 << length).map(move |bits| (bits, length as u8))).collect()
    }

    fn count(&self) -> f64 {
        (0..=self.length).step_by(self.word).map(|length| 2f64.powi(length as i32)).sum()
    }
}

//! Sets of a fixed size, elements added in any order (Pan et al. 2023, arXiv:2302.01687, section 4.1).

use super::{Enumerable, Environment};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Subsets of `log_weights` with `size` elements; ln R is the sum of the elements' log-weights, which is known for every part of a set too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SetAddition {
    /// One per element, at most 64.
    #[schemars(length(min = 1, max = 64))]
    pub log_weights: Vec<f64>,
    /// Elements of a finished set.
    #[schemars(range(min = 1, max = 64))]
    pub size: usize,
}

impl Default for SetAddition {
    fn default() -> Self {
        Self { log_weights: (0..8).map(|k| 0.25 * f64::from(k)).collect(), size: 4 }
    }
}

impl Environment for SetAddition {
    /// One bit per element.
    type State = u64;

    fn initial(&self) -> u64 {
        0
    }

    fn actions(&self) -> usize {
        self.log_weights.len()
    }

    fn forward(&self, state: &u64, allowed: &mut [bool]) {
        let full = state.count_ones() as usize >= self.size;
        (0..self.actions()).for_each(|i| allowed[i] = !full && state >> i & 1 == 0);
        allowed[self.actions()] = full;
    }

    fn apply(&self, state: &u64, action: usize) -> u64 {
        state | 1 << action
    }

    fn backward(&self, state: &u64, allowed: &mut [bool]) {
        allowed.iter_mut().enumerate().for_each(|(i, allowed)| *allowed = state >> i & 1 == 1);
    }

    fn undo(&self, state: &u64, action: usize) -> u64 {
        state & !(1 << action)
    }

    fn log_reward(&self, state: &u64) -> f64 {
        self.log_partial(state)
    }

    fn log_partial(&self, state: &u64) -> f64 {
        self.log_weights.iter().enumerate().filter(|(i, _)| state >> i & 1 == 1).map(|(_, w)| w).sum()
    }

    fn features(&self) -> usize {
        self.actions()
    }

    fn encode(&self, state: &u64, out: &mut [f32]) {
        out.iter_mut().enumerate().for_each(|(i, out)| *out = (state >> i & 1) as f32);
    }
}

impl Enumerable for SetAddition {
    fn states(&self) -> Vec<u64> {
        let mut all: Vec<u64> = (0..1u64 << self.actions()).filter(|state| state.count_ones() as usize <= self.size).collect();
        all.sort_by_key(|state| state.count_ones());
        all
    }

    fn count(&self) -> f64 {
        let n = self.actions() as f64;
        let binomial = |k: usize| (0..k).fold(1.0, |product, i| product * (n - i as f64) / (i as f64 + 1.0));
        (0..=self.size.min(self.actions())).map(binomial).sum()
    }
}

//! A tree with all its leaves at one depth.

use super::{Enumerable, Environment};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every inner node has `branching` children, leaves lie at `depth`, and a trajectory ends in a leaf. Leaf k (counted from 0) has ln R = `tilt` · k/(leaves − 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PerfectTree {
    /// Children of an inner node.
    #[schemars(range(min = 1, max = 64))]
    pub branching: usize,
    /// Depth of the leaves.
    #[schemars(range(min = 1, max = 32))]
    pub depth: usize,
    /// ln of the largest over the smallest reward.
    pub tilt: f64,
}

impl Default for PerfectTree {
    fn default() -> Self {
        Self { branching: 3, depth: 4, tilt: 5.0 }
    }
}

impl Environment for PerfectTree {
    /// The branches taken.
    type State = Vec<u8>;

    fn initial(&self) -> Vec<u8> {
        Vec::new()
    }

    fn actions(&self) -> usize {
        self.branching
    }

    fn forward(&self, state: &Vec<u8>, allowed: &mut [bool]) {
        let leaf = state.len() == self.depth;
        allowed.fill(!leaf);
        allowed[self.branching] = leaf;
    }

    fn apply(&self, state: &Vec<u8>, action: usize) -> Vec<u8> {
        let mut next = state.clone();
        next.push(action as u8);
        next
    }

    fn backward(&self, state: &Vec<u8>, allowed: &mut [bool]) {
        allowed.fill(false);
        if let Some(&last) = state.last() {
            allowed[usize::from(last)] = true;
        }
    }

    fn undo(&self, state: &Vec<u8>, _action: usize) -> Vec<u8> {
        state[..state.len() - 1].to_vec()
    }

    fn log_reward(&self, state: &Vec<u8>) -> f64 {
        let leaves = self.branching.pow(self.depth as u32);
        let leaf = state.iter().fold(0usize, |leaf, &branch| leaf * self.branching + usize::from(branch));
        if leaves > 1 { self.tilt * leaf as f64 / (leaves - 1) as f64 } else { 0.0 }
    }

    /// Nothing is known before the leaf.
    fn log_partial(&self, state: &Vec<u8>) -> f64 {
        if state.len() == self.depth { self.log_reward(state) } else { 0.0 }
    }

    fn features(&self) -> usize {
        self.branching * self.depth
    }

    fn encode(&self, state: &Vec<u8>, out: &mut [f32]) {
        out.fill(0.0);
        state.iter().enumerate().for_each(|(level, &branch)| out[level * self.branching + usize::from(branch)] = 1.0);
    }
}

impl Enumerable for PerfectTree {
    fn states(&self) -> Vec<Vec<u8>> {
        let mut all = vec![Vec::new()];
        let mut next = 0;
        while next < all.len() {
            if all[next].len() < self.depth {
                let children: Vec<Vec<u8>> = (0..self.branching).map(|branch| self.apply(&all[next], branch)).collect();
                all.extend(children);
            }
            next += 1;
        }
        all
    }

    fn count(&self) -> f64 {
        (0..=self.depth).map(|level| (self.branching as f64).powi(level as i32)).sum()
    }
}

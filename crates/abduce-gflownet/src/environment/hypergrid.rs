//! The hypergrid of Bengio et al. 2021 (arXiv:2106.04399, section 4.1).

use super::{Enumerable, Environment};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// x ∈ {0, …, H−1}^D; an action adds 1 to one coordinate, and a trajectory may end anywhere.
///
/// R(x) = R0 + R1 ∏_d 1[¼ < |x_d/(H−1) − ½| ≤ ½] + R2 ∏_d 1[0.3 < |x_d/(H−1) − ½| < 0.4].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hypergrid {
    /// D.
    #[schemars(range(min = 1, max = 64))]
    pub dimensions: usize,
    /// H, at least 2.
    #[schemars(range(min = 2, max = 1024))]
    pub height: usize,
    /// R0, positive.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub r0: f64,
    /// R1.
    #[schemars(range(min = 0.0))]
    pub r1: f64,
    /// R2.
    #[schemars(range(min = 0.0))]
    pub r2: f64,
}

impl Default for Hypergrid {
    fn default() -> Self {
        Self { dimensions: 2, height: 8, r0: 0.1, r1: 0.5, r2: 2.0 }
    }
}

impl Hypergrid {
    /// The reward.
    pub fn reward(&self, x: &[u16]) -> f64 {
        let distance = |&x: &u16| (f64::from(x) / (self.height - 1) as f64 - 0.5).abs();
        let outer = x.iter().map(distance).all(|d| d > 0.25 && d <= 0.5);
        let inner = x.iter().map(distance).all(|d| d > 0.3 && d < 0.4);
        self.r0 + if outer { self.r1 } else { 0.0 } + if inner { self.r2 } else { 0.0 }
    }
}

impl Environment for Hypergrid {
    type State = Vec<u16>;

    fn initial(&self) -> Vec<u16> {
        vec![0; self.dimensions]
    }

    fn actions(&self) -> usize {
        self.dimensions
    }

    fn forward(&self, state: &Vec<u16>, allowed: &mut [bool]) {
        allowed.iter_mut().zip(state).for_each(|(allowed, &x)| *allowed = usize::from(x) + 1 < self.height);
        allowed[self.dimensions] = true;
    }

    fn apply(&self, state: &Vec<u16>, action: usize) -> Vec<u16> {
        let mut next = state.clone();
        next[action] += 1;
        next
    }

    fn backward(&self, state: &Vec<u16>, allowed: &mut [bool]) {
        allowed.iter_mut().zip(state).for_each(|(allowed, &x)| *allowed = x > 0);
    }

    fn undo(&self, state: &Vec<u16>, action: usize) -> Vec<u16> {
        let mut before = state.clone();
        before[action] -= 1;
        before
    }

    fn log_reward(&self, state: &Vec<u16>) -> f64 {
        self.reward(state).ln()
    }

    fn log_partial(&self, state: &Vec<u16>) -> f64 {
        self.log_reward(state)
    }

    fn features(&self) -> usize {
        self.dimensions * self.height
    }

    /// One-hot per coordinate.
    fn encode(&self, state: &Vec<u16>, out: &mut [f32]) {
        out.fill(0.0);
        state.iter().enumerate().for_each(|(d, &x)| out[d * self.height + usize::from(x)] = 1.0);
    }
}

impl Enumerable for Hypergrid {
    /// By the sum of the coordinates, then lexicographically.
    fn states(&self) -> Vec<Vec<u16>> {
        let count = self.height.pow(self.dimensions as u32);
        let mut all: Vec<Vec<u16>> = (0..count)
            .map(|mut index| {
                (0..self.dimensions)
                    .map(|_| {
                        let x = index % self.height;
                        index /= self.height;
                        x as u16
                    })
                    .collect()
            })
            .collect();
        all.sort_by_key(|state| (state.iter().map(|&x| usize::from(x)).sum::<usize>(), state.clone()));
        all
    }

    fn count(&self) -> f64 {
        (self.height as f64).powi(self.dimensions as i32)
    }
}

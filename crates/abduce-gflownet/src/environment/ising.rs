//! Spins on a ring or torus, set one by one in any order (Zhang et al. 2022, arXiv:2202.01361).

use super::{Enumerable, Environment};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An Ising model on a periodic square lattice of `width` × `height` sites (a ring where `height` is 1); an action gives an open site the spin −1 or +1, and a
/// trajectory ends when all sites are set. A state with k sites set has k parents.
///
/// ln R(s) = J Σ_⟨ij⟩ s_i s_j over the pairs of neighbours, each counted once per bond.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ising {
    /// Sites in a row.
    #[schemars(range(min = 1, max = 64))]
    pub width: usize,
    /// Rows.
    #[schemars(range(min = 1, max = 64))]
    pub height: usize,
    /// J.
    pub coupling: f64,
}

impl Default for Ising {
    fn default() -> Self {
        Self { width: 4, height: 1, coupling: 1.0 }
    }
}

impl Ising {
    fn sites(&self) -> usize {
        self.width * self.height
    }

    /// Neighbours to the right and below, round the edges.
    fn bonds(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.sites()).flat_map(move |site| {
            let (x, y) = (site % self.width, site / self.width);
            let right = (self.width > 1).then(|| y * self.width + (x + 1) % self.width);
            let below = (self.height > 1).then(|| (y + 1) % self.height * self.width + x);
            [right, below].into_iter().flatten().map(move |other| (site, other))
        })
    }
}

impl Environment for Ising {
    /// −1, +1, or 0 where open.
    type State = Vec<i8>;

    fn initial(&self) -> Vec<i8> {
        vec![0; self.sites()]
    }

    /// Action 2 i + b gives site i the spin 2 b − 1.
    fn actions(&self) -> usize {
        2 * self.sites()
    }

    fn forward(&self, state: &Vec<i8>, allowed: &mut [bool]) {
        state.iter().enumerate().for_each(|(i, &spin)| allowed[2 * i..2 * i + 2].fill(spin == 0));
        allowed[self.actions()] = state.iter().all(|&spin| spin != 0);
    }

    fn apply(&self, state: &Vec<i8>, action: usize) -> Vec<i8> {
        let mut next = state.clone();
        next[action / 2] = if action % 2 == 1 { 1 } else { -1 };
        next
    }

    fn backward(&self, state: &Vec<i8>, allowed: &mut [bool]) {
        for (i, &spin) in state.iter().enumerate() {
            (allowed[2 * i], allowed[2 * i + 1]) = (spin == -1, spin == 1);
        }
    }

    fn undo(&self, state: &Vec<i8>, action: usize) -> Vec<i8> {
        let mut before = state.clone();
        before[action / 2] = 0;
        before
    }

    fn log_reward(&self, state: &Vec<i8>) -> f64 {
        self.log_partial(state)
    }

    /// Open sites have no bonds.
    fn log_partial(&self, state: &Vec<i8>) -> f64 {
        self.coupling * self.bonds().map(|(i, j)| f64::from(state[i] * state[j])).sum::<f64>()
    }

    fn features(&self) -> usize {
        2 * self.sites()
    }

    /// Per site: whether it is −1, whether it is +1.
    fn encode(&self, state: &Vec<i8>, out: &mut [f32]) {
        for (i, &spin) in state.iter().enumerate() {
            (out[2 * i], out[2 * i + 1]) = (f32::from(u8::from(spin == -1)), f32::from(u8::from(spin == 1)));
        }
    }
}

impl Enumerable for Ising {
    fn states(&self) -> Vec<Vec<i8>> {
        let sites = self.sites();
        let mut all: Vec<Vec<i8>> = (0..3usize.pow(sites as u32))
            .map(|mut index| {
                (0..sites)
                    .map(|_| {
                        let spin = [0, -1, 1][index % 3];
                        index /= 3;
                        spin
                    })
                    .collect()
            })
            .collect();
        all.sort_by_key(|state| state.iter().filter(|&&spin| spin != 0).count());
        all
    }

    fn count(&self) -> f64 {
        3f64.powi(self.sites() as i32)
    }
}

//! What is built, how, and what it is worth.

mod bits;
mod hypergrid;
mod ising;
mod proof;
mod set;
mod tree;

pub use bits::BitSequence;
pub use hypergrid::Hypergrid;
pub use ising::Ising;
pub use proof::{ProofTree, ProofTreeError};
pub use set::SetAddition;
pub use tree::PerfectTree;

use std::fmt::Debug;
use std::hash::Hash;

/// A directed acyclic graph of states from one source, whose trajectories end where the exit is allowed.
///
/// Forward actions are numbered `0..actions()`, and the exit follows them as action `actions()`. A backward action undoes a forward action of the
/// same number; environments in which that is not enough to name the parent choose their actions so that it is.
pub trait Environment: Send + Sync {
    /// A state.
    type State: Clone + Eq + Hash + Debug + Send + Sync;

    /// The source.
    fn initial(&self) -> Self::State;

    /// Number of forward actions, the exit not among them.
    fn actions(&self) -> usize;

    /// Which actions can be taken, `actions() + 1` flags, the last one for the exit. At least one is true.
    fn forward(&self, state: &Self::State, allowed: &mut [bool]);

    /// The state after an allowed action.
    fn apply(&self, state: &Self::State, action: usize) -> Self::State;

    /// Which actions can have led here, `actions()` flags. None at the source alone.
    fn backward(&self, state: &Self::State, allowed: &mut [bool]);

    /// The state before an action that can have led here.
    fn undo(&self, state: &Self::State, action: usize) -> Self::State;

    /// ln R(x) of a state in which a trajectory may end; finite.
    fn log_reward(&self, state: &Self::State) -> f64;

    /// ln of the partial reward of any state, −E(s) of forward-looking losses (Pan et al. 2023, arXiv:2302.01687); at states in which a trajectory
    /// may end it is ln R.
    fn log_partial(&self, state: &Self::State) -> f64;

    /// Numbers that describe a state to a network.
    fn features(&self) -> usize;

    /// Writes them.
    fn encode(&self, state: &Self::State, out: &mut [f32]);
}

/// An environment whose states can be listed.
pub trait Enumerable: Environment {
    /// Every state that can be reached, parents before their children, the source first.
    fn states(&self) -> Vec<Self::State>;

    /// How many they are, which may be too many to list.
    fn count(&self) -> f64;
}

#[cfg(test)]
mod tests;

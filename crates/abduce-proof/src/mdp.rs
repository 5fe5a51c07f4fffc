//! Proof search as a decision process: states, actions, transitions. Searches, policies and samplers see provers only through these traits.

use std::hash::Hash;

/// What an action leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition<S> {
    /// An unfinished proof.
    Open(S),
    /// A finished one. It still has to be verified as a whole.
    Done(S),
    /// The action does not apply; the kind of the error by a short name that does not change between runs.
    Failed(&'static str),
}

/// A deterministic decision process whose episodes are attempts to prove one theorem.
///
/// `step` never changes the state that it is given, and returns the same for the same arguments. States form a tree under actions; [`ProofMdp::key`] says which
/// of them are the same for all purposes of a search.
pub trait ProofMdp {
    /// An unfinished or finished proof.
    type State: Clone;
    /// A tactic.
    type Action: Clone + PartialEq;
    /// What identifies a state.
    type Key: Clone + Eq + Hash;

    /// The state before the first action.
    fn initial(&mut self) -> Self::State;
    /// Applies an action.
    fn step(&mut self, state: &Self::State, action: &Self::Action) -> Transition<Self::State>;
    /// Whether nothing is left to prove.
    fn is_done(&self, state: &Self::State) -> bool;
    /// What identifies a state: equal keys have the same actions with the same ends.
    fn key(&self, state: &Self::State) -> Self::Key;
    /// Says which actions will be tried in a state, so that a process whose steps have a price of their own can take them all at once. Changes no result.
    fn prepare(&mut self, state: &Self::State, proposals: &[Proposal<Self::Action>]) {
        let _ = (state, proposals);
    }
}

/// A process with finitely many actions in each state, listed: for exact sums over all trajectories and for masks. An action is listed if and only if
/// [`ProofMdp::step`] does not fail on it, in an order that depends on the state alone.
pub trait FiniteMdp: ProofMdp {
    /// Replaces `actions` by those of a state; none for a finished one.
    fn actions(&mut self, state: &Self::State, actions: &mut Vec<Self::Action>);
}

/// A process whose states are lists of goals that can be proved one by one: all have to be (AND), each by one action (OR).
pub trait GoalMdp: ProofMdp {
    /// What identifies a goal of this theorem.
    type Goal: Clone + Eq + Hash;

    /// The open goals, the one that the next action applies to first.
    fn goals(&self, state: &Self::State) -> Vec<Self::Goal>;
    /// A state with one open goal and nothing proved.
    fn state_of(&mut self, goal: &Self::Goal) -> Self::State;
}

/// An action and the logarithm of its probability.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal<A> {
    /// The action.
    pub action: A,
    /// Natural logarithm of its probability among the actions that the policy considers; at most 0.
    pub log_prob: f64,
}

/// Something that knows which actions to try.
pub trait Policy<M: ProofMdp> {
    /// Replaces `proposals` by at most `branch` different actions, the most probable first.
    fn propose(&mut self, mdp: &mut M, state: &M::State, branch: usize, proposals: &mut Vec<Proposal<M::Action>>);

    /// An estimate of the probability that a state can be proved, in [0, 1]; for searches with values.
    fn value(&mut self, mdp: &mut M, state: &M::State) -> f64 {
        let _ = (mdp, state);
        0.5
    }
}

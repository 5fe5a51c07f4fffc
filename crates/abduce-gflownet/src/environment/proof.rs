//! Attempts to prove one theorem: the tree of all tactics that apply, up to a depth.

use super::{Enumerable, Environment};
use abduce_proof::mdp::{FiniteMdp, Transition};

/// A tree of proof states. A trajectory ends in a finished proof, or where no tactic applies any more.
///
/// Under a fixed order of goals partial proofs form a tree, so P_B = 1 (every state has one parent).
#[derive(Clone, Debug, PartialEq)]
pub struct ProofTree {
    /// Children of each node, in the order of the actions; parents come before their children.
    children: Vec<Vec<u32>>,
    /// Parent and action that led here; of the root (0, 0).
    parent: Vec<(u32, u32)>,
    /// Steps made.
    depth: Vec<u32>,
    /// ln R where a trajectory ends.
    log_reward: Vec<Option<f64>>,
    /// Whether the proof is finished there.
    done: Vec<bool>,
    actions: usize,
    max_depth: usize,
}

/// Why a tree could not be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofTreeError {
    /// More states than allowed.
    #[error("more than {most} states within reach: allow fewer tactics or steps")]
    TooLarge {
        /// How many were allowed.
        most: usize,
    },
}

impl ProofTree {
    /// All states that can be reached by the process's own limit of steps, at most `most_states`. `log_reward(done, steps)` is ln R of an end: a finished proof or
    /// a dead end, and finite.
    ///
    /// # Errors
    /// Too many states.
    pub fn explore<M: FiniteMdp>(mdp: &mut M, most_states: usize, log_reward: impl Fn(bool, usize) -> f64) -> Result<Self, ProofTreeError> {
        let mut states = vec![mdp.initial()];
        let mut tree = Self {
            children: Vec::new(),
            parent: vec![(0, 0)],
            depth: vec![0],
            log_reward: Vec::new(),
            done: Vec::new(),
            actions: 0,
            max_depth: 0,
        };
        let mut actions = Vec::new();
        let mut node = 0;
        while node < states.len() {
            let (state, depth) = (states[node].clone(), tree.depth[node]);
            let done = mdp.is_done(&state);
            actions.clear();
            if !done {
                mdp.actions(&state, &mut actions);
            }
            let mut children = Vec::with_capacity(actions.len());
            for action in &actions {
                // What is listed applies.
                if let Transition::Open(next) | Transition::Done(next) = mdp.step(&state, action) {
                    if states.len() == most_states {
                        return Err(ProofTreeError::TooLarge { most: most_states });
                    }
                    tree.parent.push((node as u32, children.len() as u32));
                    tree.depth.push(depth + 1);
                    children.push(states.len() as u32);
                    states.push(next);
                }
            }
            tree.actions = tree.actions.max(children.len());
            tree.max_depth = tree.max_depth.max(depth as usize);
            tree.log_reward.push(children.is_empty().then(|| log_reward(done, depth as usize)));
            tree.done.push(done);
            tree.children.push(children);
            node += 1;
        }
        Ok(tree)
    }

    /// Number of states.
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether there is none; there is always the source.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// Whether the proof is finished in a state.
    pub fn is_done(&self, state: u32) -> bool {
        self.done[state as usize]
    }

    /// Steps made before a state.
    pub fn steps(&self, state: u32) -> usize {
        self.depth[state as usize] as usize
    }
}

impl Environment for ProofTree {
    type State = u32;

    fn initial(&self) -> u32 {
        0
    }

    fn actions(&self) -> usize {
        self.actions
    }

    fn forward(&self, state: &u32, allowed: &mut [bool]) {
        let children = self.children[*state as usize].len();
        allowed.iter_mut().enumerate().for_each(|(action, allowed)| *allowed = action < children);
        allowed[self.actions] = children == 0;
    }

    fn apply(&self, state: &u32, action: usize) -> u32 {
        self.children[*state as usize][action]
    }

    fn backward(&self, state: &u32, allowed: &mut [bool]) {
        allowed.fill(false);
        if *state > 0 {
            allowed[self.parent[*state as usize].1 as usize] = true;
        }
    }

    fn undo(&self, state: &u32, _action: usize) -> u32 {
        self.parent[*state as usize].0
    }

    fn log_reward(&self, state: &u32) -> f64 {
        self.log_reward[*state as usize].unwrap_or(f64::NEG_INFINITY)
    }

    /// Nothing is known before the end.
    fn log_partial(&self, state: &u32) -> f64 {
        self.log_reward[*state as usize].unwrap_or(0.0)
    }

    fn features(&self) -> usize {
        (self.max_depth * self.actions).max(1)
    }

    /// The actions so far, one-hot per step.
    fn encode(&self, state: &u32, out: &mut [f32]) {
        out.fill(0.0);
        let mut node = *state as usize;
        while node > 0 {
            let (before, action) = self.parent[node];
            out[(self.depth[node] as usize - 1) * self.actions + action as usize] = 1.0;
            node = before as usize;
        }
    }
}

impl Enumerable for ProofTree {
    fn states(&self) -> Vec<u32> {
        (0..self.children.len() as u32).collect()
    }

    fn count(&self) -> f64 {
        self.children.len() as f64
    }
}

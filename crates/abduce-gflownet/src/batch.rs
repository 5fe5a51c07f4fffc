//! Trajectories of one step of training, with every distinct state once.

use crate::environment::Environment;
use crate::policy::{Policy, Scores};
use abduce_nn::Compute;
use std::collections::HashMap;
use std::hash::Hash;

/// A finished trajectory s_0 → … → s_T → exit, by rows of its batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Trajectory {
    /// Rows of s_0, …, s_T.
    pub rows: Vec<u32>,
    /// Actions between them; the exit follows the last one.
    pub actions: Vec<u32>,
    /// ln R(s_T).
    pub log_reward: f64,
}

/// Trajectories and the states that they visit.
#[derive(Clone, Debug)]
pub struct Batch<S> {
    /// Distinct states.
    pub states: Vec<S>,
    /// Their scores.
    pub scores: Scores,
    /// ln R of states in which a trajectory may end, −∞ of others.
    pub log_reward: Vec<f64>,
    /// ln of the partial rewards.
    pub log_partial: Vec<f64>,
    /// The trajectories.
    pub trajectories: Vec<Trajectory>,
    rows: HashMap<S, u32>,
}

impl<S> Default for Batch<S> {
    fn default() -> Self {
        Self {
            states: Vec::new(),
            scores: Scores::default(),
            log_reward: Vec::new(),
            log_partial: Vec::new(),
            trajectories: Vec::new(),
            rows: HashMap::new(),
        }
    }
}

impl<S: Clone + Eq + Hash + Sync> Batch<S> {
    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.states.clear();
        self.rows.clear();
        self.trajectories.clear();
        self.log_reward.clear();
        self.log_partial.clear();
        let scores = &mut self.scores;
        [&mut scores.logits, &mut scores.log_pf, &mut scores.log_pb, &mut scores.log_flow].into_iter().for_each(Vec::clear);
        [&mut scores.forward, &mut scores.backward].into_iter().for_each(Vec::clear);
    }

    /// The row of a state, which is added where it is new; its scores follow with [`Batch::score`].
    pub fn row(&mut self, state: &S) -> u32 {
        if let Some(&row) = self.rows.get(state) {
            return row;
        }
        let row = self.states.len() as u32;
        self.rows.insert(state.clone(), row);
        self.states.push(state.clone());
        row
    }

    /// The row of a state that is here.
    pub fn find(&self, state: &S) -> Option<usize> {
        self.rows.get(state).map(|&row| row as usize)
    }

    /// Scores the states that have no scores yet.
    pub fn score<E: Environment<State = S>>(&mut self, env: &E, policy: &Policy<S>, compute: &Compute, params: &[f32]) {
        let first = self.scores.len();
        if first == self.states.len() {
            return;
        }
        policy.score(env, compute, params, &self.states[first..], &mut self.scores);
        for (state, row) in self.states[first..].iter().zip(first..) {
            let ends = self.scores.forward[(row + 1) * self.scores.width - 1];
            self.log_reward.push(if ends { env.log_reward(state) } else { f64::NEG_INFINITY });
            self.log_partial.push(env.log_partial(state));
        }
    }

    /// Adds a trajectory given by its states and actions.
    pub fn add<E: Environment<State = S>>(&mut self, env: &E, states: &[S], actions: &[u32]) {
        let rows = states.iter().map(|state| self.row(state)).collect();
        let log_reward = states.last().map_or(f64::NEG_INFINITY, |state| env.log_reward(state));
        self.trajectories.push(Trajectory { rows, actions: actions.to_vec(), log_reward });
    }

    /// Σ log P_F of a trajectory, the exit included.
    pub fn log_pf(&self, trajectory: &Trajectory) -> f64 {
        let steps = trajectory.rows.iter().zip(&trajectory.actions);
        let last = trajectory.rows[trajectory.rows.len() - 1] as usize;
        steps.map(|(&row, &action)| self.scores.pf(row as usize, action as usize)).sum::<f64>() + self.scores.exit(last)
    }

    /// Σ log P_B of a trajectory.
    pub fn log_pb(&self, trajectory: &Trajectory) -> f64 {
        trajectory.rows[1..].iter().zip(&trajectory.actions).map(|(&row, &action)| self.scores.pb(row as usize, action as usize)).sum()
    }
}

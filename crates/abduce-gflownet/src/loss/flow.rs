//! Flow matching: what flows into a state flows out of it.

use super::{Gradients, Loss};
use crate::batch::Batch;
use crate::environment::Environment;
use std::hash::Hash;

/// Parents of the states of a batch: (row of the parent, action) of every way into a state.
#[derive(Clone, Debug, Default)]
pub struct Parents {
    /// Rows of the states that are matched.
    states: Vec<u32>,
    /// Ways into each.
    ways: Vec<Vec<(u32, u32)>>,
}

impl Parents {
    /// Those that a loss needs: none, but for flow matching.
    pub fn find_for<E: Environment>(&mut self, loss: &Loss, env: &E, batch: &mut Batch<E::State>) {
        if matches!(loss, Loss::FlowMatching {}) {
            self.find(env, batch);
        }
    }

    /// Those of all states that the batch's trajectories visit but the source; parents that are not here are added and have to be scored.
    pub fn find<E: Environment>(&mut self, env: &E, batch: &mut Batch<E::State>) {
        self.states.clear();
        self.ways.clear();
        let visited: std::collections::BTreeSet<u32> = batch.trajectories.iter().flat_map(|t| t.rows[1..].iter().copied()).collect();
        let mut allowed = vec![false; env.actions()];
        for row in visited {
            let state = batch.states[row as usize].clone();
            env.backward(&state, &mut allowed);
            let actions: Vec<usize> = (0..env.actions()).filter(|&action| allowed[action]).collect();
            let ways = actions.into_iter().map(|action| (batch.row(&env.undo(&state, action)), action as u32)).collect();
            self.states.push(row);
            self.ways.push(ways);
        }
    }
}

/// ln Σ e^v and each value's share of the sum.
pub(super) fn log_sum(values: &[f64], shares: &mut Vec<f64>) -> f64 {
    let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    shares.clear();
    shares.extend(values.iter().map(|v| (v - top).exp()));
    let sum: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum);
    top + sum.ln()
}

/// The mean over the visited states.
pub(super) fn flow_matching<S: Clone + Eq + Hash + Sync>(batch: &Batch<S>, parents: &Parents, gradients: &mut Gradients) -> f64 {
    let width = batch.scores.width;
    let scale = 1.0 / parents.states.len().max(1) as f64;
    let (mut flows, mut shares, mut loss) = (Vec::new(), Vec::new(), 0.0);
    for (&row, ways) in parents.states.iter().zip(&parents.ways) {
        let row = row as usize;
        let logit = |row: usize, action: usize| f64::from(batch.scores.logits[row * width + action]);
        flows.clear();
        flows.extend(ways.iter().map(|&(parent, action)| logit(parent as usize, action as usize)));
        let into = log_sum(&flows, &mut shares);
        let into_shares = shares.clone();
        // The exit's score is log R: see the policy.
        let actions: Vec<usize> = (0..width).filter(|&action| batch.scores.forward[row * width + action]).collect();
        flows.clear();
        flows.extend(actions.iter().map(|&action| logit(row, action)));
        let out = log_sum(&flows, &mut shares);
        let residual = into - out;
        loss += scale * residual * residual;
        for (&(parent, action), share) in ways.iter().zip(into_shares) {
            gradients.logits[parent as usize * width + action as usize] += 2.0 * scale * residual * share;
        }
        for (&action, share) in actions.iter().zip(&shares).filter(|(action, _)| **action + 1 < width) {
            gradients.logits[row * width + action] -= 2.0 * scale * residual * share;
        }
    }
    loss
}

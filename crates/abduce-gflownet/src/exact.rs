//! The exact distribution of where trajectories end, by summing over all of them.

use crate::environment::Enumerable;
use crate::policy::{Policy, Scores};
use abduce_nn::Compute;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How far a policy is from its target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exact {
    /// Σ_x |P_T(x) − R(x)/Z|: twice the total variation, at most 2.
    pub l1: f64,
    /// Jensen-Shannon divergence in nats, at most ln 2.
    pub jensen_shannon: f64,
    /// ln Z of the target.
    pub log_z: f64,
    /// Σ P_T: 1 up to rounding.
    pub total: f64,
    /// P_T of every state in which a trajectory may end, in the order of the states.
    pub learnt: Vec<f64>,
    /// R/Z of the same states.
    pub target: Vec<f64>,
}

/// u(s_0) = 1, u(s') = Σ u(s) P_F(s'|s) in topological order; P_T(x) = u(x) P_F(exit|x).
pub fn exact<E: Enumerable>(env: &E, policy: &Policy<E::State>, compute: &Compute, params: &[f32]) -> Exact {
    let states = env.states();
    let mut scores = Scores::default();
    policy.score(env, compute, params, &states, &mut scores);
    let index: HashMap<&E::State, usize> = states.iter().zip(0..).collect();
    let mut reach = vec![0.0f64; states.len()];
    reach[0] = 1.0;
    let (mut learnt, mut log_reward) = (Vec::new(), Vec::new());
    for (i, state) in states.iter().enumerate() {
        for action in (0..env.actions()).filter(|&action| scores.forward[i * scores.width + action]) {
            // Every state that can be reached is listed.
            if let Some(&next) = index.get(&env.apply(state, action)) {
                reach[next] += reach[i] * scores.pf(i, action).exp();
            }
        }
        if scores.forward[(i + 1) * scores.width - 1] {
            learnt.push(reach[i] * scores.exit(i).exp());
            log_reward.push(env.log_reward(state));
        }
    }
    let top = log_reward.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_z = top + log_reward.iter().map(|r| (r - top).exp()).sum::<f64>().ln();
    let target: Vec<f64> = log_reward.iter().map(|r| (r - log_z).exp()).collect();
    let pairs = || learnt.iter().zip(&target);
    let part = |p: f64, m: f64| if p > 0.0 { p * (p / m).ln() } else { 0.0 };
    Exact {
        l1: pairs().map(|(p, q)| (p - q).abs()).sum(),
        jensen_shannon: pairs().map(|(&p, &q)| 0.5 * (part(p, 0.5 * (p + q)) + part(q, 0.5 * (p + q)))).sum(),
        log_z,
        total: learnt.iter().sum(),
        learnt,
        target,
    }
}

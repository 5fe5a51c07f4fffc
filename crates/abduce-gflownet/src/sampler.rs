//! Trajectories by the policy, forward from the source and backward from an end.

use crate::batch::{Batch, Trajectory};
use crate::environment::Environment;
use crate::policy::{Policy, Scores};
use abduce_data::{Rng, Seed};
use abduce_nn::Compute;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How actions are chosen while training: with probability `epsilon` uniformly among the allowed ones, otherwise ∝ P_F^(1/temperature).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Exploration {
    /// Probability of a uniform action.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon: f64,
    /// Above 1 flatter, below 1 sharper than the policy.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub temperature: f64,
}

impl Default for Exploration {
    fn default() -> Self {
        Self { epsilon: 0.0, temperature: 1.0 }
    }
}

/// Samples `count` trajectories into `batch`; trajectory i has the stream ("trajectory", first + i) of the seed.
pub fn sample<E: Environment>(
    env: &E,
    policy: &Policy<E::State>,
    compute: &Compute,
    params: &[f32],
    exploration: &Exploration,
    (count, first, seed): (usize, u64, Seed),
    batch: &mut Batch<E::State>,
) {
    let source = batch.row(&env.initial());
    let mut rngs: Vec<Rng> = (0..count).map(|i| seed.stream("trajectory", first + i as u64)).collect();
    let begun = vec![Trajectory { rows: vec![source], actions: Vec::new(), log_reward: 0.0 }; count];
    let done = complete(env, policy, compute, params, exploration, (begun, &mut rngs), batch);
    batch.trajectories.extend(done);
}

/// Goes on with trajectories, each with its own random numbers, until they end; their states are rows of the batch.
pub(crate) fn complete<E: Environment>(
    env: &E,
    policy: &Policy<E::State>,
    compute: &Compute,
    params: &[f32],
    exploration: &Exploration,
    (begun, rngs): (Vec<Trajectory>, &mut [Rng]),
    batch: &mut Batch<E::State>,
) -> Vec<Trajectory> {
    let mut done: Vec<Option<Trajectory>> = vec![None; begun.len()];
    let mut open: Vec<(usize, Trajectory)> = begun.into_iter().enumerate().collect();
    while !open.is_empty() {
        batch.score(env, policy, compute, params);
        let mut still_open = Vec::with_capacity(open.len());
        for (i, mut trajectory) in open {
            let row = trajectory.rows[trajectory.rows.len() - 1];
            let action = choose(&batch.scores, row as usize, exploration, &mut rngs[i]);
            if action == env.actions() {
                trajectory.log_reward = batch.log_reward[row as usize];
                done[i] = Some(trajectory);
                continue;
            }
            let next = env.apply(&batch.states[row as usize], action);
            trajectory.rows.push(batch.row(&next));
            trajectory.actions.push(action as u32);
            still_open.push((i, trajectory));
        }
        open = still_open;
    }
    done.into_iter().flatten().collect()
}

fn choose(scores: &Scores, row: usize, exploration: &Exploration, rng: &mut Rng) -> usize {
    let own = row * scores.width..(row + 1) * scores.width;
    let (log_pf, allowed) = (&scores.log_pf[own.clone()], &scores.forward[own]);
    if exploration.epsilon > 0.0 && rng.uniform() < exploration.epsilon {
        let number = allowed.iter().filter(|&&allowed| allowed).count();
        let wanted = rng.below(number);
        return allowed.iter().enumerate().filter(|(_, allowed)| **allowed).nth(wanted).map_or(scores.width - 1, |(action, _)| action);
    }
    let weight = |&log_p: &f32| (f64::from(log_p) / exploration.temperature).exp();
    pick(log_pf.iter().map(weight), rng)
}

/// An index by weights, of which one at least is positive.
pub(crate) fn pick(weights: impl Iterator<Item = f64> + Clone, rng: &mut Rng) -> usize {
    let mut rest = rng.uniform() * weights.clone().sum::<f64>();
    let mut last = 0;
    for (index, weight) in weights.enumerate().filter(|(_, weight)| *weight > 0.0) {
        last = index;
        if rest < weight {
            break;
        }
        rest -= weight;
    }
    last
}

/// A trajectory that ends in `end`, its actions undone by P_B: states from the source on, and actions.
pub fn sample_backward<E: Environment>(
    env: &E,
    policy: &Policy<E::State>,
    compute: &Compute,
    params: &[f32],
    end: &E::State,
    rng: &mut Rng,
) -> (Vec<E::State>, Vec<u32>) {
    let (mut states, mut actions) = (vec![end.clone()], Vec::new());
    let mut allowed = vec![false; env.actions()];
    loop {
        let state = &states[states.len() - 1];
        env.backward(state, &mut allowed);
        if !allowed.iter().any(|&allowed| allowed) {
            break;
        }
        let action = if !policy.is_uniform_backward() {
            let mut scores = Scores::default();
            policy.score(env, compute, params, std::slice::from_ref(state), &mut scores);
            pick(scores.log_pb.iter().map(|&log_p| f64::from(log_p).exp()), rng)
        } else {
            pick(allowed.iter().map(|&allowed| f64::from(u8::from(allowed))), rng)
        };
        let before = env.undo(state, action);
        states.push(before);
        actions.push(action as u32);
    }
    states.reverse();
    actions.reverse();
    (states, actions)
}

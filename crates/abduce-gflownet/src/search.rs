//! Local search: ends are taken apart some steps and rebuilt, and what comes out is kept where it is better (Kim et al. 2024, arXiv:2310.02710).

use crate::batch::{Batch, Trajectory};
use crate::environment::Environment;
use crate::policy::Policy;
use crate::sampler::{Exploration, complete, pick};
use abduce_data::{Rng, Seed};
use abduce_nn::Compute;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which rebuilt ends take the place of the old ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Those of a higher reward.
    Greedy,
    /// By the rule of Metropolis and Hastings: with probability min(1, R(x') q(x|x') / (R(x) q(x'|x))), q being the probability of the way back by P_B and forth by P_F.
    /// Where all trajectories have the same length, ends in proportion to R stay so.
    #[default]
    Metropolis,
}

/// How fresh trajectories are searched around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LocalSearch {
    /// Times that every fresh trajectory is taken apart and rebuilt; what is kept joins the batch. 0: no search.
    pub rounds: usize,
    /// Steps that are undone, at most as many as there are.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// What is kept.
    pub filter: Filter,
}

impl Default for LocalSearch {
    fn default() -> Self {
        Self { rounds: 0, steps: 4, filter: Filter::Metropolis }
    }
}

/// A way back from an end to the source: rows and actions, the end first.
struct Walk {
    rows: Vec<u32>,
    actions: Vec<u32>,
}

/// Searches around all trajectories of a batch; those that are kept are added to it. Gives for each trajectory what it has become. Trajectory i has the stream
/// ("local search", first + i) of the seed.
pub fn local_search<E: Environment>(
    env: &E,
    policy: &Policy<E::State>,
    compute: &Compute,
    params: &[f32],
    config: &LocalSearch,
    (first, seed): (u64, Seed),
    batch: &mut Batch<E::State>,
) -> Vec<Trajectory> {
    let count = batch.trajectories.len();
    let mut rngs: Vec<Rng> = (0..count).map(|i| seed.stream("local search", first + i as u64)).collect();
    let mut current = batch.trajectories.clone();
    for _ in 0..config.rounds {
        let walks = walk_back(env, policy, compute, params, &current, &mut rngs, batch);
        // The place of the state from which each is rebuilt.
        let undone: Vec<usize> = walks.iter().map(|walk| config.steps.min(walk.actions.len())).collect();
        let begun = walks.iter().zip(&undone).map(|(walk, &undone)| Trajectory {
            rows: walk.rows[undone..].iter().rev().copied().collect(),
            actions: walk.actions[undone..].iter().rev().copied().collect(),
            log_reward: 0.0,
        });
        let begun = begun.collect();
        let rebuilt = complete(env, policy, compute, params, &Exploration::default(), (begun, &mut rngs), batch);
        batch.score(env, policy, compute, params);
        for (i, (new, (walk, &undone))) in rebuilt.into_iter().zip(walks.iter().zip(&undone)).enumerate() {
            let start = walk.rows.len() - 1 - undone;
            let old = Trajectory {
                rows: walk.rows.iter().rev().copied().collect(),
                actions: walk.actions.iter().rev().copied().collect(),
                log_reward: current[i].log_reward,
            };
            let is_kept = match config.filter {
                Filter::Greedy => new.log_reward > old.log_reward,
                Filter::Metropolis => {
                    let there = old.log_reward + back(batch, &old, start) + forth(batch, &new, start);
                    let here = new.log_reward + back(batch, &new, start) + forth(batch, &old, start);
                    rngs[i].uniform().ln() < here - there
                }
            };
            if is_kept {
                batch.trajectories.push(new.clone());
                current[i] = new;
            }
        }
    }
    current
}

/// Σ log P_B of the steps behind a place.
fn back<S: Clone + Eq + std::hash::Hash + Sync>(batch: &Batch<S>, trajectory: &Trajectory, start: usize) -> f64 {
    let steps = trajectory.rows[start + 1..].iter().zip(&trajectory.actions[start..]);
    steps.map(|(&row, &action)| batch.scores.pb(row as usize, action as usize)).sum()
}

/// Σ log P_F of the steps behind a place, the exit included.
fn forth<S: Clone + Eq + std::hash::Hash + Sync>(batch: &Batch<S>, trajectory: &Trajectory, start: usize) -> f64 {
    let steps = trajectory.rows[start..].iter().zip(&trajectory.actions[start..]);
    let last = trajectory.rows[trajectory.rows.len() - 1] as usize;
    steps.map(|(&row, &action)| batch.scores.pf(row as usize, action as usize)).sum::<f64>() + batch.scores.exit(last)
}

/// Ways from the ends of trajectories to the source, drawn by P_B; all states that they pass are scored rows of the batch.
fn walk_back<E: Environment>(
    env: &E,
    policy: &Policy<E::State>,
    compute: &Compute,
    params: &[f32],
    from: &[Trajectory],
    rngs: &mut [Rng],
    batch: &mut Batch<E::State>,
) -> Vec<Walk> {
    let mut walks: Vec<Walk> =
        from.iter().map(|trajectory| Walk { rows: vec![trajectory.rows[trajectory.rows.len() - 1]], actions: Vec::new() }).collect();
    loop {
        batch.score(env, policy, compute, params);
        let mut has_moved = false;
        for (walk, rng) in walks.iter_mut().zip(rngs.iter_mut()) {
            let row = walk.rows[walk.rows.len() - 1] as usize;
            let width = env.actions();
            let own = row * width..(row + 1) * width;
            if !batch.scores.backward[own.clone()].contains(&true) {
                continue;
            }
            let action = pick(batch.scores.log_pb[own].iter().map(|&log_p| f64::from(log_p).exp()), rng);
            let before = env.undo(&batch.states[row], action);
            walk.rows.push(batch.row(&before));
            walk.actions.push(action as u32);
            has_moved = true;
        }
        if !has_moved {
            return walks;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{Hypergrid, SetAddition};
    use crate::policy::{Backward, Exit, PolicySpec, Trunk};
    use crate::sampler::sample;

    /// Trajectories of a policy that knows nothing, and the search around them.
    fn searched<E: Environment>(env: &E, count: usize, config: &LocalSearch, seed: u64) -> (Batch<E::State>, Vec<Trajectory>) {
        let spec = PolicySpec { trunk: Trunk::Mlp { hidden: vec![8] }, backward: Backward::Learned };
        let policy = Policy::new(&spec, Exit::Scored, env, &[]);
        let params: Vec<f32> = policy.layout().initialise(Seed(3));
        let compute = Compute::with_threads(1);
        let mut batch = Batch::default();
        sample(env, &policy, &compute, &params, &Exploration::default(), (count, 0, Seed(seed)), &mut batch);
        let last = local_search(env, &policy, &compute, &params, config, (0, Seed(seed + 1)), &mut batch);
        (batch, last)
    }

    /// Sets of 3 of 5 elements: every trajectory has 3 steps, and 2 of them are undone. Whatever the policy, chains of 100 rounds end in R/Z: 2 000 of them, so that the
    /// distance of a perfect sampler is Σ sqrt(2 p (1 − p) / (π N)), some 0.054 with a scatter of 0.012. Without the ratio of the ways the chains would end elsewhere.
    #[test]
    fn the_rule_of_metropolis_leads_to_the_reward() {
        let env = SetAddition { log_weights: vec![0.0, 0.5, 1.0, 1.5, 2.0], size: 3 };
        let distance = |rounds: usize| {
            let (batch, last) = searched(&env, 2000, &LocalSearch { rounds, steps: 2, filter: Filter::Metropolis }, 5);
            let ends: Vec<u64> = (0..32).filter(|set: &u64| set.count_ones() == 3).collect();
            let z: f64 = ends.iter().map(|end| env.log_reward(end).exp()).sum();
            let of = |t: &Trajectory| batch.states[t.rows[t.rows.len() - 1] as usize];
            let share = |end: u64| last.iter().filter(|t| of(t) == end).count() as f64 / last.len() as f64;
            ends.iter().map(|&end| (share(end) - env.log_reward(&end).exp() / z).abs()).sum::<f64>()
        };
        let (before, after) = (distance(0), distance(100));
        assert!(after < 0.1 && before > 0.2, "{before} before, {after} after a hundred rounds");
    }

    #[test]
    fn greedy_search_only_climbs_and_every_trajectory_is_whole() {
        let env = Hypergrid { dimensions: 2, height: 6, ..Hypergrid::default() };
        let (batch, last) = searched(&env, 200, &LocalSearch { rounds: 3, steps: 4, filter: Filter::Greedy }, 9);
        let mean = |of: &[Trajectory]| of.iter().map(|t| t.log_reward).sum::<f64>() / of.len() as f64;
        assert!(mean(&last) > mean(&batch.trajectories[..200]));
        assert!(last.iter().zip(&batch.trajectories).all(|(new, old)| new.log_reward >= old.log_reward));
        for trajectory in &batch.trajectories {
            let mut state = env.initial();
            for (&row, &action) in trajectory.rows[1..].iter().zip(&trajectory.actions) {
                state = env.apply(&state, action as usize);
                assert_eq!(batch.states[row as usize], state);
            }
            assert_eq!(trajectory.log_reward, env.log_reward(&state));
        }
        let (still, none) = searched(&env, 20, &LocalSearch::default(), 9);
        assert!(still.trajectories.len() == 20 && none.len() == 20);
    }
}

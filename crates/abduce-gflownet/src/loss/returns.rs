//! Baselines that maximise the reward, on the same trajectories.

use super::balance::along;
use super::{Gradients, Return};
use crate::batch::{Batch, Trajectory};
use std::hash::Hash;

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// −(r − mean r) Σ log P_F.
pub(super) fn reinforce<S: Clone + Eq + Hash + Sync>(batch: &Batch<S>, returns: Return, gradients: &mut Gradients) -> f64 {
    let n = batch.trajectories.len() as f64;
    let of = |t: &Trajectory| match returns {
        Return::LogReward => t.log_reward,
        Return::Soft => t.log_reward + batch.log_pb(t) - batch.log_pf(t),
    };
    let found: Vec<f64> = batch.trajectories.iter().map(of).collect();
    let baseline = mean(&found);
    for (trajectory, r) in batch.trajectories.iter().zip(&found) {
        along(batch, trajectory, -(r - baseline) / n, 0.0, gradients);
    }
    -baseline
}

/// log P_F of every step, the exit last.
pub(crate) fn step_log_pf<S: Clone + Eq + Hash + Sync>(batch: &Batch<S>, trajectory: &Trajectory) -> Vec<f64> {
    let steps = trajectory.rows.iter().zip(&trajectory.actions).map(|(&row, &action)| batch.scores.pf(row as usize, action as usize));
    let last = trajectory.rows[trajectory.rows.len() - 1] as usize;
    steps.chain([batch.scores.exit(last)]).collect()
}

/// min(ρ A, clip(ρ, 1 ± c) A) of a ratio ρ = e^{log ρ}, and its derivative by log ρ.
fn clipped(log_ratio: f64, advantage: f64, clip: f64) -> (f64, f64) {
    let ratio = log_ratio.min(MOST_NATS).exp();
    let bounded = ratio.clamp(1.0 - clip, 1.0 + clip);
    if ratio * advantage <= bounded * advantage { (ratio * advantage, ratio * advantage) } else { (bounded * advantage, 0.0) }
}

/// Where the gradient by log P_F of a trajectory's step goes.
fn place<S>(batch: &Batch<S>, trajectory: &Trajectory, step: usize) -> usize {
    let width = batch.scores.width;
    trajectory.rows[step] as usize * width + trajectory.actions.get(step).map_or(width - 1, |&action| action as usize)
}

/// PPO with values V(s_t) = the flow's head, the reward ln R at the end, no discount; the values' squared error has the weight ½.
pub(super) fn ppo<S: Clone + Eq + Hash + Sync>(batch: &Batch<S>, old: &[Vec<f64>], clip: f64, gae: f64, gradients: &mut Gradients) -> f64 {
    let n = batch.trajectories.len() as f64;
    let mut loss = 0.0;
    for (trajectory, old) in batch.trajectories.iter().zip(old) {
        let new = step_log_pf(batch, trajectory);
        let value = |t: usize| trajectory.rows.get(t).map_or(trajectory.log_reward, |&row| f64::from(batch.scores.log_flow[row as usize]));
        let mut advantage = 0.0;
        for t in (0..new.len()).rev() {
            // What follows the exit is the reward itself.
            let surprise = value(t + 1) - value(t);
            advantage = surprise + gae * advantage;
            let (objective, slope) = clipped(new[t] - old[t], advantage, clip);
            gradients.log_pf[place(batch, trajectory, t)] -= slope / n;
            // Towards the return that the advantage stands for.
            gradients.log_flow[trajectory.rows[t] as usize] -= advantage / n;
            loss += (0.5 * advantage * advantage - objective) / n;
        }
    }
    loss
}

/// Differences of log-probabilities count up to this.
const MOST_NATS: f64 = 20.0;

/// GRPO: one advantage per trajectory, and β (e^d − d − 1), d = log p_uniform − log P_F, per step.
pub(super) fn grpo<S: Clone + Eq + Hash + Sync>(batch: &Batch<S>, old: &[Vec<f64>], clip: f64, kl: f64, gradients: &mut Gradients) -> f64 {
    let n = batch.trajectories.len() as f64;
    let width = batch.scores.width;
    let rewards: Vec<f64> = batch.trajectories.iter().map(|t| t.log_reward).collect();
    let centre = mean(&rewards);
    let spread = (rewards.iter().map(|r| (r - centre).powi(2)).sum::<f64>() / n).sqrt() + 1e-6;
    let mut loss = 0.0;
    for ((trajectory, old), reward) in batch.trajectories.iter().zip(old).zip(&rewards) {
        let advantage = (reward - centre) / spread;
        let new = step_log_pf(batch, trajectory);
        for t in 0..new.len() {
            let (objective, slope) = clipped(new[t] - old[t], advantage, clip);
            let row = trajectory.rows[t] as usize;
            let choices = batch.scores.forward[row * width..(row + 1) * width].iter().filter(|&&allowed| allowed).count();
            // An action that was sampled has no vanishing probability but for updates since: the bound keeps those finite.
            let d = (-(choices as f64).ln() - new[t]).min(MOST_NATS);
            gradients.log_pf[place(batch, trajectory, t)] += (-slope + kl * (1.0 - d.exp())) / n;
            loss += (kl * (d.exp() - d - 1.0) - objective) / n;
        }
    }
    loss
}

/// Maximum likelihood of the best part of the batch.
pub(super) fn expert_iteration<S: Clone + Eq + Hash + Sync>(batch: &Batch<S>, fraction: f64, gradients: &mut Gradients) -> f64 {
    let mut order: Vec<usize> = (0..batch.trajectories.len()).collect();
    order.sort_by(|&a, &b| batch.trajectories[b].log_reward.total_cmp(&batch.trajectories[a].log_reward));
    let kept = ((fraction * order.len() as f64).ceil() as usize).max(1);
    let mut loss = 0.0;
    for trajectory in order[..kept].iter().map(|&i| &batch.trajectories[i]) {
        along(batch, trajectory, -1.0 / kept as f64, 0.0, gradients);
        loss -= batch.log_pf(trajectory) / kept as f64;
    }
    loss
}

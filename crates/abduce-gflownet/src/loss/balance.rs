//! Losses that balance a trajectory, or its parts, forward and backward.

use super::{FlowForm, Gradients, LossError};
use crate::batch::{Batch, Trajectory};
use std::hash::Hash;

/// Which parts of a trajectory are balanced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Parts {
    /// Single steps, with equal weights.
    Steps,
    /// All, from i to j with the weight λ^{j−i} over the sum of the weights.
    All {
        /// λ.
        lambda: f64,
    },
}

/// Of a trajectory with `nodes` nodes with potentials c_k, where a part from i to j has the residual c_i − c_j: the loss, and its gradient by c.
fn of_potentials(potentials: &[f64], parts: Parts, gradient: &mut [f64]) -> f64 {
    let nodes = potentials.len();
    gradient.fill(0.0);
    let mut loss = 0.0;
    let mut add = |i: usize, j: usize, weight: f64| {
        let residual = potentials[i] - potentials[j];
        gradient[i] += 2.0 * weight * residual;
        gradient[j] -= 2.0 * weight * residual;
        loss += weight * residual * residual;
    };
    match parts {
        Parts::Steps => (1..nodes).for_each(|j| add(j - 1, j, 1.0)),
        Parts::All { lambda } => {
            let total: f64 = (1..nodes).map(|length| (nodes - length) as f64 * lambda.powi(length as i32)).sum();
            for length in 1..nodes {
                let weight = lambda.powi(length as i32) / total;
                (length..nodes).for_each(|j| add(j - length, j, weight));
            }
        }
    }
    loss
}

/// Spreads a gradient by potentials c_k = (something of node k) − S_k, S_k = Σ_{t<k} (log P_F − log P_B of step t), over the steps of a trajectory.
fn to_steps<S: Clone + Eq + Hash + Sync>(
    batch: &Batch<S>,
    trajectory: &Trajectory,
    by_potential: &[f64],
    scale: f64,
    gradients: &mut Gradients,
) {
    let width = batch.scores.width;
    let mut behind = 0.0;
    // The step t → t + 1 is in S_k of every later node.
    for step in (0..by_potential.len() - 1).rev() {
        behind -= scale * by_potential[step + 1];
        let row = trajectory.rows[step] as usize;
        match (trajectory.actions.get(step), trajectory.rows.get(step + 1)) {
            (Some(&action), Some(&next)) => {
                gradients.log_pf[row * width + action as usize] += behind;
                gradients.log_pb[next as usize * (width - 1) + action as usize] -= behind;
            }
            _ => gradients.log_pf[row * width + width - 1] += behind,
        }
    }
}

/// Σ_{t<k} (log P_F − log P_B) for every node of a trajectory, the exit being the last.
fn sums<S: Clone + Eq + Hash + Sync>(batch: &Batch<S>, trajectory: &Trajectory, out: &mut Vec<f64>) {
    out.clear();
    out.push(0.0);
    let mut sum = 0.0;
    for (step, &action) in trajectory.actions.iter().enumerate() {
        let (row, next) = (trajectory.rows[step] as usize, trajectory.rows[step + 1] as usize);
        sum += batch.scores.pf(row, action as usize) - batch.scores.pb(next, action as usize);
        out.push(sum);
    }
    let last = trajectory.rows[trajectory.rows.len() - 1] as usize;
    out.push(sum + batch.scores.exit(last));
}

/// Detailed balance and SubTB: the potential of a state is log F − S, that of the exit log R − S.
pub(super) fn over_parts<S: Clone + Eq + Hash + Sync>(batch: &Batch<S>, parts: Parts, flow: FlowForm, gradients: &mut Gradients) -> f64 {
    let scale = 1.0 / batch.trajectories.len() as f64;
    let (mut potentials, mut gradient, mut loss) = (Vec::new(), Vec::new(), 0.0);
    for trajectory in &batch.trajectories {
        sums(batch, trajectory, &mut potentials);
        potentials.iter_mut().for_each(|s| *s = -*s);
        for (potential, &row) in potentials.iter_mut().zip(&trajectory.rows) {
            *potential += f64::from(batch.scores.log_flow[row as usize]);
            if flow == FlowForm::ForwardLooking {
                *potential += batch.log_partial[row as usize];
            }
        }
        let exit = potentials.len() - 1;
        potentials[exit] += trajectory.log_reward;
        gradient.resize(potentials.len(), 0.0);
        loss += scale * of_potentials(&potentials, parts, &mut gradient);
        for (&row, by_potential) in trajectory.rows.iter().zip(&gradient) {
            gradients.log_flow[row as usize] += scale * by_potential;
        }
        to_steps(batch, trajectory, &gradient, scale, gradients);
    }
    loss
}

/// The same where F(s) = R(s)/P_F(exit|s), so that no flow is needed; the exit itself balances by construction.
pub(super) fn without_flow<S: Clone + Eq + Hash + Sync>(
    loss_name: &'static str,
    batch: &Batch<S>,
    parts: Parts,
    gradients: &mut Gradients,
) -> Result<f64, LossError> {
    let width = batch.scores.width;
    let scale = 1.0 / batch.trajectories.len() as f64;
    let (mut potentials, mut gradient, mut loss) = (Vec::new(), Vec::new(), 0.0);
    for trajectory in &batch.trajectories {
        sums(batch, trajectory, &mut potentials);
        potentials.pop();
        for (potential, &row) in potentials.iter_mut().zip(&trajectory.rows) {
            let row = row as usize;
            if !batch.scores.forward[row * width + width - 1] {
                return Err(LossError::NotTerminable { loss: loss_name });
            }
            *potential = batch.log_reward[row] - batch.scores.exit(row) - *potential;
        }
        gradient.resize(potentials.len(), 0.0);
        loss += scale * of_potentials(&potentials, parts, &mut gradient);
        for (&row, by_potential) in trajectory.rows.iter().zip(&gradient) {
            gradients.log_pf[row as usize * width + width - 1] -= scale * by_potential;
        }
        to_steps(batch, trajectory, &gradient, scale, gradients);
    }
    Ok(loss)
}

/// Adds `by_log_pf` to the gradient of every log P_F of a trajectory and `by_log_pb` to those of log P_B.
pub(super) fn along<S: Clone + Eq + Hash + Sync>(
    batch: &Batch<S>,
    trajectory: &Trajectory,
    by_log_pf: f64,
    by_log_pb: f64,
    gradients: &mut Gradients,
) {
    let width = batch.scores.width;
    for (step, &action) in trajectory.actions.iter().enumerate() {
        gradients.log_pf[trajectory.rows[step] as usize * width + action as usize] += by_log_pf;
        gradients.log_pb[trajectory.rows[step + 1] as usize * (width - 1) + action as usize] += by_log_pb;
    }
    let last = trajectory.rows[trajectory.rows.len() - 1] as usize;
    gradients.log_pf[last * width + width - 1] += by_log_pf;
}

/// Trajectory balance; without log Z its batch mean, which is not differentiated.
pub(super) fn trajectory<S: Clone + Eq + Hash + Sync>(batch: &Batch<S>, log_z: Option<f64>, gradients: &mut Gradients) -> f64 {
    let n = batch.trajectories.len() as f64;
    let excess: Vec<f64> = batch.trajectories.iter().map(|t| batch.log_pf(t) - t.log_reward - batch.log_pb(t)).collect();
    let level = log_z.unwrap_or_else(|| -excess.iter().sum::<f64>() / n);
    let mut loss = 0.0;
    for (trajectory, excess) in batch.trajectories.iter().zip(excess) {
        let residual = level + excess;
        loss += residual * residual / n;
        along(batch, trajectory, 2.0 * residual / n, -2.0 * residual / n, gradients);
        if log_z.is_some() {
            gradients.log_z += 2.0 * residual / n;
        }
    }
    loss
}

/// ln of the probability that the uniform policy takes a trajectory.
pub(crate) fn log_uniform<S: Clone + Eq + Hash + Sync>(batch: &Batch<S>, trajectory: &Trajectory) -> f64 {
    let width = batch.scores.width;
    let choices =
        |&row: &u32| batch.scores.forward[row as usize * width..(row as usize + 1) * width].iter().filter(|&&allowed| allowed).count();
    -trajectory.rows.iter().map(|row| (choices(row) as f64).ln()).sum::<f64>()
}

/// Relative trajectory balance.
pub(super) fn relative<S: Clone + Eq + Hash + Sync>(batch: &Batch<S>, log_z: f64, beta: f64, gradients: &mut Gradients) -> f64 {
    let n = batch.trajectories.len() as f64;
    let mut loss = 0.0;
    for trajectory in &batch.trajectories {
        let residual = log_z + batch.log_pf(trajectory) - log_uniform(batch, trajectory) - beta * trajectory.log_reward;
        loss += residual * residual / n;
        along(batch, trajectory, 2.0 * residual / n, 0.0, gradients);
        gradients.log_z += 2.0 * residual / n;
    }
    loss
}

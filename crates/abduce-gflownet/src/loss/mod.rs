//! What is minimised. Every loss is a mean over the trajectories of a batch, and gives its gradient by log P_F, log P_B, log F and log Z.
//!
//! Notation: a trajectory s_0 → … → s_T → exit, x = s_T; R the reward, F the flow through a state.

mod balance;
mod flow;
mod returns;

#[cfg(test)]
mod tests;

use crate::batch::{Batch, Trajectory};
use crate::policy::Exit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::hash::Hash;

/// What log F stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowForm {
    /// The network's score.
    #[default]
    Plain,
    /// The score plus the log of the partial reward (forward-looking, Pan et al. 2023, arXiv:2302.01687).
    ForwardLooking,
}

/// What a reward-maximising baseline calls its return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Return {
    /// ln R(x).
    #[default]
    LogReward,
    /// ln R(x) + Σ log P_B − Σ log P_F: entropy-regularised, with the optimum of the balance losses.
    Soft,
}

/// A loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Loss {
    /// (log Σ_in F − log(R + Σ_out F))² at every state but the source (Bengio et al. 2021, arXiv:2106.04399); the exit's flow is R itself.
    FlowMatching {},
    /// (log F(s) + log P_F(s'|s) − log F(s') − log P_B(s|s'))² of every step, the last one with F(exit) = R (Bengio et al. 2021, arXiv:2111.09266).
    DetailedBalance {
        /// log F.
        #[serde(default)]
        flow: FlowForm,
    },
    /// The same without F, where every state may end (Deleu et al. 2022, arXiv:2202.13903).
    ModifiedDetailedBalance {},
    /// (log Z + Σ log P_F − log R − Σ log P_B)² (Malkin et al. 2022, arXiv:2201.13259).
    TrajectoryBalance {},
    /// The same with log Z replaced by the batch mean of log R + Σ log P_B − Σ log P_F (Zhang et al. 2023, arXiv:2302.05446).
    VarGrad {},
    /// Σ_{i<j} λ^{j−i} δ_ij² / Σ λ^{j−i} over the parts of a trajectory (Madan et al. 2023, arXiv:2209.12782).
    SubTrajectoryBalance {
        /// λ; 0 in the limit is detailed balance, ∞ trajectory balance.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        lambda: f64,
        /// log F.
        #[serde(default)]
        flow: FlowForm,
    },
    /// The same without F, where every state may end (Hu et al. 2024, arXiv:2310.04363).
    ModifiedSubTrajectoryBalance {
        /// λ.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        lambda: f64,
    },
    /// (log Z + Σ log P_F − log P_prior(τ) − β log R)², whose optimum draws trajectories ∝ prior · R^β (Venkatraman et al. 2024, arXiv:2405.20971); the prior
    /// takes every allowed action alike.
    RelativeTrajectoryBalance {
        /// β.
        beta: f64,
    },
    /// −(r − mean r) Σ log P_F (Williams 1992).
    Reinforce {
        /// r.
        #[serde(default)]
        returns: Return,
    },
    /// Clipped ratios with a value for every state from the flow's head (Schulman et al. 2017, arXiv:1707.06347).
    Ppo {
        /// Largest change of a ratio.
        clip: f64,
        /// λ of the generalised advantage.
        gae: f64,
    },
    /// Clipped ratios with the batch's standardised returns as advantage (Shao et al. 2024, arXiv:2402.03300).
    Grpo {
        /// Largest change of a ratio.
        clip: f64,
        /// Weight of the divergence from the uniform policy.
        kl: f64,
    },
    /// −Σ log P_F of the best part of a batch.
    ExpertIteration {
        /// The part, of 1.
        fraction: f64,
    },
}

impl Default for Loss {
    fn default() -> Self {
        Self::TrajectoryBalance {}
    }
}

/// A loss that does not fit the environment, or a number out of range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LossError {
    /// A trajectory passes a state in which it may not end.
    #[error("{loss} needs an environment in which every state may end")]
    NotTerminable {
        /// The loss.
        loss: &'static str,
    },
    /// A number.
    #[error("{what} is {value}, expected {expected}")]
    Option {
        /// Its name.
        what: &'static str,
        /// Its value.
        value: f64,
        /// What is expected.
        expected: &'static str,
    },
}

/// Gradients of a batch's loss.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gradients {
    /// By log P_F (n, width).
    pub log_pf: Vec<f64>,
    /// By the unnormalised forward scores, where the loss is one of them (n, width).
    pub logits: Vec<f64>,
    /// By log P_B (n, width − 1).
    pub log_pb: Vec<f64>,
    /// By log F (n).
    pub log_flow: Vec<f64>,
    /// By log Z.
    pub log_z: f64,
}

impl Gradients {
    /// Zero, for `n` states.
    pub fn reset(&mut self, n: usize, width: usize) {
        for (values, len) in
            [(&mut self.log_pf, n * width), (&mut self.logits, n * width), (&mut self.log_pb, n * (width - 1)), (&mut self.log_flow, n)]
        {
            values.clear();
            values.resize(len, 0.0);
        }
        self.log_z = 0.0;
    }
}

impl Loss {
    /// Its name in messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::FlowMatching {} => "flow_matching",
            Self::DetailedBalance { .. } => "detailed_balance",
            Self::ModifiedDetailedBalance {} => "modified_detailed_balance",
            Self::TrajectoryBalance {} => "trajectory_balance",
            Self::VarGrad {} => "var_grad",
            Self::SubTrajectoryBalance { .. } => "sub_trajectory_balance",
            Self::ModifiedSubTrajectoryBalance { .. } => "modified_sub_trajectory_balance",
            Self::RelativeTrajectoryBalance { .. } => "relative_trajectory_balance",
            Self::Reinforce { .. } => "reinforce",
            Self::Ppo { .. } => "ppo",
            Self::Grpo { .. } => "grpo",
            Self::ExpertIteration { .. } => "expert_iteration",
        }
    }

    /// What the exit's score has to be.
    pub const fn exit(&self) -> Exit {
        if matches!(self, Self::FlowMatching {}) { Exit::Reward } else { Exit::Scored }
    }

    /// Whether log Z is a number of its own.
    pub const fn has_log_z(&self) -> bool {
        matches!(self, Self::TrajectoryBalance {} | Self::RelativeTrajectoryBalance { .. })
    }

    /// What one trajectory says of log Z.
    pub(crate) fn log_z_of<S: Clone + Eq + Hash + Sync>(&self, batch: &Batch<S>, trajectory: &Trajectory) -> f64 {
        match *self {
            Self::RelativeTrajectoryBalance { beta } => {
                beta * trajectory.log_reward + balance::log_uniform(batch, trajectory) - batch.log_pf(trajectory)
            }
            _ => trajectory.log_reward + batch.log_pb(trajectory) - batch.log_pf(trajectory),
        }
    }

    /// log Z as the network has it at the source, or the batch on average; nothing for baselines that know none.
    pub(crate) fn log_z_of_source<S: Clone + Eq + Hash + Sync>(&self, batch: &Batch<S>) -> Option<f64> {
        let source = batch.trajectories.first()?.rows[0] as usize;
        match *self {
            Self::FlowMatching {} => {
                let width = batch.scores.width;
                let logit = |a: usize| f64::from(batch.scores.logits[source * width + a]);
                let allowed = (0..width).filter(|&a| batch.scores.forward[source * width + a]);
                let flows: Vec<f64> = allowed.map(logit).collect();
                Some(flow::log_sum(&flows, &mut Vec::new()))
            }
            Self::DetailedBalance { flow } | Self::SubTrajectoryBalance { flow, .. } => {
                let partial = if flow == FlowForm::ForwardLooking { batch.log_partial[source] } else { 0.0 };
                Some(f64::from(batch.scores.log_flow[source]) + partial)
            }
            Self::ModifiedDetailedBalance {} | Self::ModifiedSubTrajectoryBalance { .. } => {
                Some(batch.log_reward[source] - batch.scores.exit(source))
            }
            Self::VarGrad {} => {
                let all = batch.trajectories.iter().map(|t| self.log_z_of(batch, t));
                Some(all.sum::<f64>() / batch.trajectories.len() as f64)
            }
            _ => None,
        }
    }

    /// Whether the optimum draws x ∝ R(x).
    pub const fn samples_the_reward(&self) -> bool {
        !matches!(
            self,
            Self::RelativeTrajectoryBalance { .. }
                | Self::Reinforce { returns: Return::LogReward }
                | Self::Ppo { .. }
                | Self::Grpo { .. }
                | Self::ExpertIteration { .. }
        )
    }

    /// The numbers are in range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), LossError> {
        let positive = |what, value: f64| {
            let fine = value > 0.0 && value.is_finite();
            fine.then_some(()).ok_or(LossError::Option { what, value, expected: "a positive number" })
        };
        let share = |what, value: f64| {
            (value > 0.0 && value <= 1.0).then_some(()).ok_or(LossError::Option { what, value, expected: "more than 0, at most 1" })
        };
        match *self {
            Self::SubTrajectoryBalance { lambda, .. } | Self::ModifiedSubTrajectoryBalance { lambda } => positive("lambda", lambda),
            Self::RelativeTrajectoryBalance { beta } => positive("beta", beta),
            Self::Ppo { clip, gae } => share("clip", clip).and(share("gae", gae)),
            Self::Grpo { clip, kl } => {
                let fine = kl >= 0.0 && kl.is_finite();
                share("clip", clip).and(fine.then_some(()).ok_or(LossError::Option { what: "kl", value: kl, expected: "0 or more" }))
            }
            Self::ExpertIteration { fraction } => share("fraction", fraction),
            _ => Ok(()),
        }
    }

    /// The loss of a scored batch; adds its gradient to `gradients`. `old` are the log P_F of each step, the exit last, when the trajectories were
    /// sampled.
    ///
    /// # Errors
    /// A loss without flows where a trajectory passes a state in which it may not end.
    pub fn evaluate<S: Clone + Eq + Hash + Sync>(
        &self,
        batch: &Batch<S>,
        old: &[Vec<f64>],
        log_z: f64,
        parents: &Parents,
        gradients: &mut Gradients,
    ) -> Result<f64, LossError> {
        match *self {
            Self::FlowMatching {} => Ok(flow::flow_matching(batch, parents, gradients)),
            Self::DetailedBalance { flow } => Ok(balance::over_parts(batch, balance::Parts::Steps, flow, gradients)),
            Self::SubTrajectoryBalance { lambda, flow } => Ok(balance::over_parts(batch, balance::Parts::All { lambda }, flow, gradients)),
            Self::ModifiedDetailedBalance {} => balance::without_flow(self.name(), batch, balance::Parts::Steps, gradients),
            Self::ModifiedSubTrajectoryBalance { lambda } => {
                balance::without_flow(self.name(), batch, balance::Parts::All { lambda }, gradients)
            }
            Self::TrajectoryBalance {} => Ok(balance::trajectory(batch, Some(log_z), gradients)),
            Self::VarGrad {} => Ok(balance::trajectory(batch, None, gradients)),
            Self::RelativeTrajectoryBalance { beta } => Ok(balance::relative(batch, log_z, beta, gradients)),
            Self::Reinforce { returns } => Ok(returns::reinforce(batch, returns, gradients)),
            Self::Ppo { clip, gae } => Ok(returns::ppo(batch, old, clip, gae, gradients)),
            Self::Grpo { clip, kl } => Ok(returns::grpo(batch, old, clip, kl, gradients)),
            Self::ExpertIteration { fraction } => Ok(returns::expert_iteration(batch, fraction, gradients)),
        }
    }
}

pub use flow::Parents;
pub(crate) use returns::step_log_pf;

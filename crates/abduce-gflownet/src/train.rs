//! Training: trajectories, a loss, a step.

use crate::batch::Batch;
use crate::environment::Environment;
use crate::loss::step_log_pf;
use crate::loss::{Gradients, Loss, LossError, Parents};
use crate::policy::Policy;
use crate::replay::{Replay, ReplayConfig};
use crate::sampler::{Exploration, sample, sample_backward};
use crate::search::{LocalSearch, local_search};
use abduce_data::Seed;
use abduce_nn::adam::{Adam, AdamConfig};
use abduce_nn::step::chunks;
use abduce_nn::{Compute, Frame, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// How a policy is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Batches.
    #[schemars(range(min = 1))]
    pub iterations: usize,
    /// Trajectories of a batch, those from memory among them, those of the local search besides.
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Step size of Adam.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: f64,
    /// Step size of Adam for log Z.
    #[schemars(range(min = 0.0))]
    pub log_z_learning_rate: f64,
    /// Largest norm of a gradient.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub clip_norm: f64,
    /// Steps on each batch; more than one only makes sense for losses with ratios.
    #[schemars(range(min = 1))]
    pub updates: usize,
    /// How actions are chosen.
    pub exploration: Exploration,
    /// Ends that come back.
    pub replay: ReplayConfig,
    /// Fresh trajectories are taken apart and rebuilt.
    pub local_search: LocalSearch,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            iterations: 2000,
            batch: 16,
            learning_rate: 1e-3,
            log_z_learning_rate: 0.1,
            clip_norm: 1.0,
            updates: 1,
            exploration: Exploration::default(),
            replay: ReplayConfig::default(),
            local_search: LocalSearch::default(),
        }
    }
}

/// What happened in an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IterationRecord {
    /// From 1.
    pub iteration: usize,
    /// Mean loss of the batch.
    pub loss: f64,
    /// Estimate of log Z; none where the loss has none.
    pub log_z: Option<f64>,
    /// Mean ln R of the fresh trajectories.
    pub mean_log_reward: f64,
    /// Mean number of actions, the exit not counted.
    pub mean_length: f64,
}

/// A trained policy's numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Parameters of the network.
    pub params: Vec<f32>,
    /// log Z, where the loss has one of its own.
    pub log_z: Option<f64>,
    /// One entry per iteration.
    pub history: Vec<IterationRecord>,
}

/// Why training failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The loss does not suit.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// Numbers left the finite.
    #[error("iteration {iteration}: the loss is {loss}; lower the learning rate, or bound the rewards")]
    NotFinite {
        /// The iteration, from 1.
        iteration: usize,
        /// Its loss.
        loss: f64,
    },
}

/// Adam on one number.
#[derive(Clone, Copy, Debug, Default)]
struct ScalarAdam {
    m: f64,
    v: f64,
    steps: i32,
}

impl ScalarAdam {
    fn step(&mut self, value: &mut f64, gradient: f64, learning_rate: f64) {
        self.steps += 1;
        self.m = 0.9 * self.m + 0.1 * gradient;
        self.v = 0.999 * self.v + 0.001 * gradient * gradient;
        let (m, v) = (self.m / (1.0 - 0.9f64.powi(self.steps)), self.v / (1.0 - 0.999f64.powi(self.steps)));
        *value -= learning_rate * m / (v.sqrt() + 1e-8);
    }
}

/// Trains a policy from the start that the seed gives. `each` sees every iteration with the parameters after it, and may end the training.
///
/// The result is a function of the arguments, for any number of threads.
///
/// # Errors
/// A loss that does not suit the environment, or numbers that left the finite.
pub fn train<E: Environment>(
    env: &E,
    policy: &Policy<E::State>,
    loss: &Loss,
    config: &TrainConfig,
    compute: &Compute,
    seed: Seed,
    each: &mut dyn FnMut(&IterationRecord, &[f32]) -> ControlFlow<()>,
) -> Result<Trained, TrainError> {
    loss.check()?;
    let mut params = policy.layout().initialise(seed.derive("start", 0));
    let adam_config = AdamConfig { clip_max_norm: config.clip_norm as f32, ..AdamConfig::default() };
    let mut adam = Adam::new(adam_config, params.len());
    let mut step = Step::new(policy.graph(), params.len(), policy.layout().gradient_mask(), compute.simd, &compute.threads);
    let (mut log_z, mut log_z_adam): (Option<f64>, ScalarAdam) = (None, ScalarAdam::default());
    let mut replay: Replay<E::State> = Replay::new(config.replay);
    let (mut batch, mut parents, mut gradients) = (Batch::default(), Parents::default(), Gradients::default());
    let mut history = Vec::with_capacity(config.iterations);
    let sampling = seed.derive("sampling", 0);
    for iteration in 1..=config.iterations {
        batch.clear();
        let remembered = replay.share(config.batch);
        let first = ((iteration - 1) * config.batch) as u64;
        sample(env, policy, compute, &params, &config.exploration, (config.batch - remembered, first, sampling), &mut batch);
        let drawn = batch.trajectories.len();
        if config.local_search.rounds > 0 {
            local_search(env, policy, compute, &params, &config.local_search, (first, seed), &mut batch);
        }
        let fresh = batch.trajectories.len();
        for k in 0..remembered {
            let mut rng = seed.stream("replay", first + k as u64);
            let end = replay.draw(&mut rng).clone();
            let (states, actions) = sample_backward(env, policy, compute, &params, &end, &mut rng);
            batch.add(env, &states, &actions);
        }
        parents.find_for(loss, env, &mut batch);
        batch.score(env, policy, compute, &params);
        for trajectory in &batch.trajectories[..fresh] {
            let end = &batch.states[trajectory.rows[trajectory.rows.len() - 1] as usize];
            replay.add(end, trajectory.log_reward, || {
                let mut features = vec![0.0; env.features()];
                env.encode(end, &mut features);
                features
            });
        }
        let old: Vec<Vec<f64>> = batch.trajectories.iter().map(|t| step_log_pf(&batch, t)).collect();
        if loss.has_log_z() && log_z.is_none() {
            // What the first batch says: far from it, log Z would have to wander first.
            log_z = Some(batch.trajectories.iter().map(|t| loss.log_z_of(&batch, t)).sum::<f64>() / batch.trajectories.len() as f64);
        }
        let mut record = record(iteration, &batch, drawn, loss, log_z);
        for update in 0..config.updates {
            if update > 0 {
                batch.scores = Default::default();
                policy.score(env, compute, &params, &batch.states, &mut batch.scores);
            }
            gradients.reset(batch.states.len(), batch.scores.width);
            let value = loss.evaluate(&batch, &old, log_z.unwrap_or(0.0), &parents, &mut gradients)?;
            if !value.is_finite() {
                return Err(TrainError::NotFinite { iteration, loss: value });
            }
            if update == 0 {
                record.loss = value;
            }
            let (_, norm) = step.split(
                &params,
                batch.states.len(),
                |rows, frame| policy.fill(env, &batch.states[rows], &mut Vec::new(), frame),
                |frames| {
                    frames.iter_mut().zip(chunks(batch.states.len())).for_each(|(frame, rows)| {
                        write_gradients(policy.learns_backward(), &batch, &gradients, rows.start, frame);
                    });
                    value
                },
            );
            adam.step(compute.simd, &compute.threads, config.learning_rate as f32, &mut params, step.gradient(), norm);
            if let Some(log_z) = &mut log_z {
                log_z_adam.step(log_z, gradients.log_z, config.log_z_learning_rate);
            }
        }
        history.push(record);
        if each(&record, &params).is_break() {
            break;
        }
    }
    Ok(Trained { params, log_z, history })
}

fn record<S: Clone + Eq + std::hash::Hash + Sync>(
    iteration: usize,
    batch: &Batch<S>,
    fresh: usize,
    loss: &Loss,
    log_z: Option<f64>,
) -> IterationRecord {
    let own = &batch.trajectories[..fresh.max(1).min(batch.trajectories.len())];
    let mean = |of: &dyn Fn(&crate::batch::Trajectory) -> f64| own.iter().map(of).sum::<f64>() / own.len() as f64;
    IterationRecord {
        iteration,
        loss: f64::NAN,
        log_z: log_z.or_else(|| loss.log_z_of_source(batch)),
        mean_log_reward: mean(&|t| t.log_reward),
        mean_length: mean(&|t| t.actions.len() as f64),
    }
}

/// Gradients by the network's output, from those by log-probabilities: of log-softmax p, ∂/∂logit_a = g_a − p_a Σ g.
fn write_gradients<S>(learns_backward: bool, batch: &Batch<S>, gradients: &Gradients, first: usize, frame: &mut Frame) {
    let (rows, lanes, width) = (frame.rows(), frame.lanes(), batch.scores.width);
    let out = frame.output_gradient_mut(0);
    out.fill(0.0);
    let through = |out: &mut [f32], offset: usize, r: usize, log_p: &[f32], by: &[f64]| {
        let total: f64 = by.iter().sum();
        for (a, (&log_p, &g)) in log_p.iter().zip(by).enumerate().filter(|(_, (log_p, _))| **log_p > f32::NEG_INFINITY) {
            out[(offset + a) * lanes + r] += (g - f64::from(log_p).exp() * total) as f32;
        }
    };
    for r in 0..rows {
        let row = first + r;
        let (own, own_back) = (row * width..(row + 1) * width, row * (width - 1)..(row + 1) * (width - 1));
        through(out, 0, r, &batch.scores.log_pf[own.clone()], &gradients.log_pf[own.clone()]);
        gradients.logits[own].iter().enumerate().for_each(|(a, &g)| out[a * lanes + r] += g as f32);
        let mut flow = width;
        if learns_backward {
            through(out, width, r, &batch.scores.log_pb[own_back.clone()], &gradients.log_pb[own_back]);
            flow += width - 1;
        }
        out[flow * lanes + r] = gradients.log_flow[row] as f32;
    }
}

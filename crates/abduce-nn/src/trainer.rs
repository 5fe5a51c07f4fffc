//! Epochs: mini-batches, validation, schedules, early stopping with the best weights restored.

mod config;
mod graph_learner;

pub use config::{Schedule, TrainConfig};
pub use graph_learner::{CoupledLoss, Objective};

use crate::adam::Adam;
use crate::evaluate::Compute;
use crate::graph::Graph;
use crate::guard::{Guard, MOST_HALVINGS, Verdict};
use crate::params::Layout;
use abduce_data::Seed;
use abduce_kernels::Simd;
use graph_learner::GraphLearner;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::sync::Arc;

/// One mini-batch, ready for the network: a row-major table per input of the graph, and a weight per row (empty: all 1).
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Tables, in the order of the graph's inputs.
    pub inputs: Vec<Vec<f32>>,
    /// Weights of the rows.
    pub weights: Vec<f32>,
    /// Rows of one item of a coupled loss, next to each other.
    pub group: usize,
    /// What a coupled loss takes off each row's output first (empty: nothing): the log-prior of an atom, say.
    pub offsets: Vec<f32>,
}

/// Where mini-batches come from. What epoch `e` hands out must depend on the source and on `e` alone.
pub trait RowSource {
    /// Why rows can't be had.
    type Error;

    /// Starts the pass of this epoch.
    fn start(&mut self, epoch: u64);

    /// Replaces the rows by the next batch and returns how many there are; 0 ends the pass.
    ///
    /// # Errors
    /// Whatever keeps the source from reading.
    fn next(&mut self, rows: &mut Rows) -> Result<usize, Self::Error>;
}

/// What one epoch came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Mean training score (the network's output; a log-density) while the weights were changing.
    pub train: f64,
    /// Mean validation score after the epoch.
    pub validation: f64,
    /// Learning rate used.
    pub learning_rate: f32,
    /// Steps left out because their gradient was not finite.
    pub skipped_steps: usize,
    /// How often the state before a run of such steps was put back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rollbacks: usize,
}

const fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Everything that a training run needs to go on: the checkpoint.
#[derive(Clone, Debug)]
pub struct TrainState {
    /// Current weights.
    pub params: Vec<f32>,
    /// Weights of the best epoch so far.
    pub best: Vec<f32>,
    /// First and second moments of Adam.
    pub moments: (Vec<f32>, Vec<f32>),
    /// Moving average of the weights; empty where none is kept.
    pub average: Vec<f32>,
    /// The rest.
    pub progress: Progress,
}

/// The small part of a [`TrainState`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Finished epochs.
    pub history: Vec<EpochRecord>,
    /// Index of the best epoch.
    pub best_epoch: Option<usize>,
    /// Epochs since the best, or since the last drop of the learning rate.
    pub stalled: usize,
    /// Drops of the learning rate so far.
    pub drops: usize,
    /// Optimiser steps so far.
    pub steps: u64,
    /// Halvings of the learning rate after roll-backs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub halvings: usize,
    /// Seed of what layers draw in training.
    #[serde(default)]
    pub noise_seed: u64,
}

impl Progress {
    /// Validation score of the best epoch.
    pub fn best_validation(&self) -> Option<f64> {
        self.best_epoch.map(|e| self.history[e].validation)
    }
}

/// Why training failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError<E> {
    /// Rows could not be read.
    #[error(transparent)]
    Source(E),
    /// No step of an epoch had a finite gradient, or the validation score is not a number.
    #[error("training diverged in epoch {epoch}: {what}; lower the learning rate or look for extreme values in the data")]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
        /// What was not finite.
        what: &'static str,
    },
    /// A set of rows is empty.
    #[error("there is no {0} row")]
    Empty(&'static str),
}

impl TrainState {
    /// The start of a run.
    pub fn new(layout: &Layout, seed: Seed) -> Self {
        let params = layout.initialise(seed);
        let zeros = vec![0.0; params.len()];
        let progress = Progress { noise_seed: seed.derive("training noise", 0).0, ..Progress::default() };
        Self { best: params.clone(), params, moments: (zeros.clone(), zeros), average: Vec::new(), progress }
    }
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By its stopping rule.
    Finished,
    /// The observer asked to stop; the state can be resumed.
    Interrupted,
}

/// What turns a batch into a loss and its gradient: the part of training that knows the network.
pub trait Learner {
    /// The mean loss of the first `n` rows and the norm of its gradient, which [`Learner::gradient`] then holds. Layers that draw
    /// numbers draw them from `seed`.
    fn step(&mut self, params: &[f32], rows: &Rows, n: usize, seed: Seed) -> (f64, f64);

    /// The gradient of the last step.
    fn gradient(&self) -> &[f32];

    /// Σ of the scores (minus the losses) of `n` held-out rows, times their weights, and Σ of the weights.
    fn score(&mut self, params: &[f32], rows: &Rows, n: usize) -> (f64, f64);

    /// Called when the held-out rows of an epoch have been scored.
    fn end_epoch(&mut self) {}
}

/// Maximises the mean weighted output of `graph` (one feature: a log-density) over the training rows: [`train_on`] with
/// [`Objective::MeanScore`].
///
/// # Errors
/// Reading fails, a set is empty, or numbers stop being finite.
pub fn train<S: RowSource>(
    graph: &Arc<Graph>,
    layout: &Layout,
    compute: &Compute,
    config: &TrainConfig,
    sources: (&mut S, &mut S),
    state: &mut TrainState,
    observe: impl FnMut(&TrainState) -> ControlFlow<()>,
) -> Result<Ending, TrainError<S::Error>> {
    train_on(Objective::MeanScore, graph, layout, compute, config, sources, state, observe)
}

/// Minimises `objective` over the training rows; `graph` has one output of one feature. See [`train_with`].
///
/// # Errors
/// Reading fails, a set is empty, or numbers stop being finite.
pub fn train_on<S: RowSource>(
    objective: Objective<'_>,
    graph: &Arc<Graph>,
    layout: &Layout,
    compute: &Compute,
    config: &TrainConfig,
    sources: (&mut S, &mut S),
    state: &mut TrainState,
    observe: impl FnMut(&TrainState) -> ControlFlow<()>,
) -> Result<Ending, TrainError<S::Error>> {
    let mut learner = GraphLearner::new(objective, graph, layout, compute);
    train_with(&mut learner, compute, config, sources, state, observe)
}

/// Epochs of steps of `learner` over the training rows.
///
/// `observe` sees the state after each epoch: progress, checkpoints, and stopping early. On return `state.best` holds the weights of the
/// epoch with the best validation score.
///
/// # Errors
/// Reading fails, a set is empty, or numbers stop being finite.
pub fn train_with<S: RowSource>(
    learner: &mut impl Learner,
    compute: &Compute,
    config: &TrainConfig,
    (training, validation): (&mut S, &mut S),
    state: &mut TrainState,
    mut observe: impl FnMut(&TrainState) -> ControlFlow<()>,
) -> Result<Ending, TrainError<S::Error>> {
    let (m, v) = std::mem::take(&mut state.moments);
    let mut adam = Adam::resume(config.adam, m, v, state.progress.steps);
    let mut rows = Rows::default();
    let mut guard = Guard::new(state.params.len());
    if config.ema_decay.is_some() && state.average.is_empty() {
        state.average = state.params.clone();
    }
    let ending = loop {
        let epoch = state.progress.history.len();
        let Some(rate) = config.rate_after(&state.progress) else { break Ending::Finished };
        training.start(epoch as u64);
        let (mut total, mut weight, mut steps, mut skipped, mut rollbacks) = (0.0, 0.0, 0, 0, 0);
        // What the guard remembers starts anew with each epoch, so that a resumed run sees what an uninterrupted one does.
        guard.start(&state.params, &adam);
        loop {
            let n = training.next(&mut rows).map_err(TrainError::Source)?;
            if n == 0 {
                break;
            }
            let seed = Seed(state.progress.noise_seed).derive("step", ((epoch as u64) << 32) | steps as u64);
            let (loss, norm) = learner.step(&state.params, &rows, n, seed);
            if norm.is_finite() && loss.is_finite() {
                let rate = rate * 0.5f32.powi(state.progress.halvings as i32);
                adam.step(compute.simd, &compute.threads, rate, &mut state.params, learner.gradient(), norm);
                if let Some(decay) = config.ema_decay {
                    follow(compute.simd, decay, adam.state().2, &state.params, &mut state.average);
                }
                guard.good(&state.params, &adam);
                total -= loss * n as f64;
                weight += n as f64;
            } else {
                skipped += 1;
                if guard.bad() == Verdict::Back {
                    guard.put_back(&mut state.params, &mut adam);
                    state.progress.halvings += 1;
                    rollbacks += 1;
                    if state.progress.halvings > MOST_HALVINGS {
                        return Err(TrainError::Diverged { epoch: epoch + 1, what: "no gradient was finite after many roll-backs" });
                    }
                }
            }
            steps += 1;
        }
        if steps == 0 {
            return Err(TrainError::Empty("training"));
        }
        if skipped == steps {
            return Err(TrainError::Diverged { epoch: epoch + 1, what: "no gradient was finite" });
        }
        validation.start(0);
        let judged = if config.ema_decay.is_some() { &state.average } else { &state.params };
        let score = mean_score(learner, judged, validation, &mut rows)?;
        learner.end_epoch();
        if score.is_nan() {
            return Err(TrainError::Diverged { epoch: epoch + 1, what: "the validation score is not a number" });
        }
        let rate = rate * 0.5f32.powi(state.progress.halvings as i32);
        let record = EpochRecord { train: total / weight, validation: score, learning_rate: rate, skipped_steps: skipped, rollbacks };
        state.progress.history.push(record);
        if state.progress.best_validation().is_none_or(|best| score > best) {
            state.progress.best_epoch = Some(epoch);
            state.progress.stalled = 0;
            state.best.copy_from_slice(if config.ema_decay.is_some() { &state.average } else { &state.params });
        } else {
            state.progress.stalled += 1;
        }
        if let Schedule::Plateau { drops, .. } = config.schedule
            && state.progress.stalled >= config.stop_after_epochs
            && state.progress.drops < drops
        {
            state.progress.drops += 1;
            state.progress.stalled = 0;
            state.params.copy_from_slice(&state.best);
            if config.ema_decay.is_some() {
                state.average.copy_from_slice(&state.best);
            }
        }
        save_optimiser(&adam, state);
        if observe(state).is_break() && config.rate_after(&state.progress).is_some() {
            break Ending::Interrupted;
        }
    };
    // Also when there was no epoch left to train: the state stays complete.
    save_optimiser(&adam, state);
    Ok(ending)
}

/// average ← d average + (1 - d) params, with the smaller of `decay` and (1 + t)/(10 + t) for d.
fn follow(simd: Simd, decay: f32, steps: u64, params: &[f32], average: &mut [f32]) {
    let early = (1.0 + steps as f64) / (10.0 + steps as f64);
    let share = 1.0 - decay.min(early as f32);
    simd.vectorise(
        #[inline(always)]
        || average.iter_mut().zip(params).for_each(|(a, p)| *a += share * (p - *a)),
    );
}

fn save_optimiser(adam: &Adam, state: &mut TrainState) {
    let (m, v, steps) = adam.state();
    state.progress.steps = steps;
    for (kept, moment) in [(&mut state.moments.0, m), (&mut state.moments.1, v)] {
        kept.clear();
        kept.extend_from_slice(moment);
    }
}

/// The mean score over a pass of a source.
fn mean_score<S: RowSource>(
    learner: &mut impl Learner,
    params: &[f32],
    source: &mut S,
    rows: &mut Rows,
) -> Result<f64, TrainError<S::Error>> {
    let (mut total, mut weight) = (0.0, 0.0);
    loop {
        let n = source.next(rows).map_err(TrainError::Source)?;
        if n == 0 {
            break;
        }
        let (t, w) = learner.score(params, rows, n);
        total += t;
        weight += w;
    }
    if weight == 0.0 { Err(TrainError::Empty("validation")) } else { Ok(total / weight) }
}

#[cfg(test)]
mod tests;

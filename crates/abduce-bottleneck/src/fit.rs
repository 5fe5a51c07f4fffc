//! Training.

use crate::affine::settle;
use crate::error::BottleneckError;
use crate::learner::WidthLearner;
use crate::model::{Bottleneck, Rows};
use crate::schedule::Schedule;
use crate::spec::Head;
use abduce_data::Seed;
use abduce_nn::Compute;
use abduce_nn::trainer::{self, Progress, RowSource, TrainConfig, TrainState, train_with};
use abduce_nn::widths::Weights;
use std::convert::Infallible;
use std::ops::ControlFlow;

/// How a bottleneck is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// How much each width counts.
    pub weights: Weights,
    /// Which widths a step sees.
    pub schedule: Schedule,
    /// Batches, rates, epochs.
    pub train: TrainConfig,
    /// Seed of the start, the order of the rows and the widths.
    pub seed: Seed,
}

impl Default for Plan {
    /// The sum over all widths with equal weights; Adam with a rate of 2e-3 that falls along half a cosine over 100 epochs, batches of 125.
    fn default() -> Self {
        let schedule = trainer::Schedule::Cosine { epochs: 100 };
        let train = TrainConfig {
            batch_size: 125,
            learning_rate: 2e-3,
            schedule,
            stop_after_epochs: 100,
            max_epochs: None,
            ..TrainConfig::default()
        };
        Self { weights: Weights::Linear, schedule: Schedule::Sum, train, seed: Seed(0) }
    }
}

/// A trained bottleneck's numbers.
#[derive(Clone, Debug)]
pub struct Fit {
    /// Parameters of the epoch with the best held-out score, or what exact steps from there on led to; see [`fit`].
    pub params: Vec<f32>,
    /// Scores (minus losses) of the epochs.
    pub progress: Progress,
    /// Mean held-out loss per epoch and width 0..K. Schedules other than the sum score each held-out row at one width: few rows, or none (NaN), stand
    /// behind each of these numbers then.
    pub held_out: Vec<Vec<f64>>,
}

/// Trains on the rows `training` of the data, stops and chooses by the rows `validation`. Same bytes for any number of threads.
///
/// Where encoder and decoder are affine and the loss is the squared error of the data themselves, exact steps follow the last epoch: the decoder that is best for the
/// encoder over all widths, then the encoder that is best for the decoder, until the loss stands still. They are kept unless
/// the validation rows get worse by more than two standard errors: with few rows an early end of the training may be the better code.
///
/// # Errors
/// Data that don't fit the model or its head, weights that are none, or numbers that stop being finite.
pub fn fit(
    model: &Bottleneck,
    compute: &Compute,
    plan: &Plan,
    rows: Rows<'_>,
    (training, validation): (&[usize], &[usize]),
    observe: impl FnMut(&TrainState) -> ControlFlow<()>,
) -> Result<Fit, BottleneckError> {
    check(model, rows)?;
    let spec = model.spec();
    let rho = plan.weights.rho(spec.latents, spec.always_open)?;
    if let Schedule::UnitSweep { tolerance } = plan.schedule
        && !(tolerance > 0.0 && tolerance < 1.0)
    {
        return Err(BottleneckError::Number { what: "the tolerance of unit sweeping", value: tolerance, must: "between 0 and 1" });
    }
    if plan.train.batch_size == 0 {
        return Err(BottleneckError::Size { what: "the batch size", value: 0, low: 1, high: usize::MAX });
    }
    let mut learner = WidthLearner::new(model, compute, rho.clone(), plan.schedule, plan.seed.derive("widths", 0));
    let mut state = TrainState::new(model.layout(), plan.seed);
    let tables = || std::iter::once((rows.x, spec.features)).chain(rows.y.map(|y| (y, spec.targets))).collect();
    let mut batches = TableRows::new(tables(), training, plan.train.batch_size, Some(plan.seed.derive("rows", 0)));
    let mut held_out = TableRows::new(tables(), validation, 1024, None);
    train_with(&mut learner, compute, &plan.train, (&mut batches, &mut held_out), &mut state, observe)?;
    let mut params = state.best;
    if rows.y.is_none() {
        let row = |&r: &usize| &rows.x[r * spec.features..(r + 1) * spec.features];
        if let Some(settled) = settle(model, compute.simd, &rho, training.iter().map(row), &params) {
            let chosen: Vec<f32> = validation.iter().flat_map(row).copied().collect();
            let [before, after] = [&params, &settled].map(|params| row_losses(model, compute, params, &rho, &chosen));
            if !is_worse(&before, &after) {
                params = settled;
            }
        }
    }
    Ok(Fit { params, progress: state.progress, held_out: learner.held_out })
}

/// Σ_k ρ_k L_k of every row.
fn row_losses(model: &Bottleneck, compute: &Compute, params: &[f32], rho: &[f64], x: &[f32]) -> Vec<f64> {
    let widths: Vec<usize> = (0..rho.len()).filter(|&k| rho[k] > 0.0).collect();
    let losses = model.losses(compute, params, Rows { x, y: None }, &widths);
    losses.chunks_exact(widths.len()).map(|row| widths.iter().zip(row).map(|(&k, &loss)| rho[k] * f64::from(loss)).sum()).collect()
}

/// Whether losses rose row by row by more than two standard errors of the mean.
fn is_worse(before: &[f64], after: &[f64]) -> bool {
    let n = before.len() as f64;
    let changes = || before.iter().zip(after).map(|(before, after)| after - before);
    let mean = changes().sum::<f64>() / n;
    let variance = changes().map(|c| (c - mean).powi(2)).sum::<f64>() / n;
    mean > 2.0 * (variance / n).sqrt()
}

/// Whether the rows fit the model and its head.
pub(crate) fn check(model: &Bottleneck, rows: Rows<'_>) -> Result<(), BottleneckError> {
    let spec = model.spec();
    let width = |what, found: usize, expected| {
        if found.is_multiple_of(expected) { Ok(found / expected) } else { Err(BottleneckError::Width { what, found, expected }) }
    };
    let n = width("rows of x", rows.x.len(), spec.features)?;
    let targets = rows.targets();
    let y = width("rows of y", targets.len(), spec.targets)?;
    if n != y {
        return Err(BottleneckError::Rows { x: n, y });
    }
    if let Some(at) = rows.x.iter().position(|v| !v.is_finite()) {
        return Err(BottleneckError::Target { row: at / spec.features, value: rows.x[at], must: "every value must be finite" });
    }
    let wrong = |v: f32| match spec.head {
        Head::Bce => !(0.0..=1.0).contains(&v),
        Head::CrossEntropy { classes } => !(v >= 0.0 && v < classes as f32 && v.fract() == 0.0),
        _ => !v.is_finite(),
    };
    match targets.iter().position(|&v| wrong(v)) {
        None => Ok(()),
        Some(at) => Err(BottleneckError::Target {
            row: at / spec.targets,
            value: targets[at],
            must: match spec.head {
                Head::Bce => "targets of a binary cross-entropy lie between 0 and 1",
                Head::CrossEntropy { .. } => "classes are whole numbers from 0, below the number of classes",
                _ => "every value must be finite",
            },
        }),
    }
}

/// Mini-batches of rows in memory: the same rows of several tables, each with its values per row.
pub(crate) struct TableRows<'a> {
    tables: Vec<(&'a [f32], usize)>,
    order: Vec<usize>,
    which: &'a [usize],
    next: usize,
    batch: usize,
    seed: Option<Seed>,
}

impl<'a> TableRows<'a> {
    /// The rows `which`, in a new order every epoch where there is a seed.
    pub(crate) fn new(tables: Vec<(&'a [f32], usize)>, which: &'a [usize], batch: usize, seed: Option<Seed>) -> Self {
        Self { tables, order: which.to_vec(), which, next: 0, batch, seed }
    }
}

impl RowSource for TableRows<'_> {
    type Error = Infallible;

    fn start(&mut self, epoch: u64) {
        self.next = 0;
        if let Some(seed) = self.seed {
            // From the same start in every epoch, so that the order depends on the epoch alone.
            self.order.copy_from_slice(self.which);
            seed.stream("order", epoch).shuffle(&mut self.order);
        }
    }

    fn next(&mut self, rows: &mut trainer::Rows) -> Result<usize, Infallible> {
        let n = self.batch.min(self.order.len() - self.next);
        let chosen = &self.order[self.next..self.next + n];
        self.next += n;
        rows.inputs.resize_with(self.tables.len(), Vec::new);
        for (to, (table, width)) in rows.inputs.iter_mut().zip(&self.tables) {
            to.clear();
            chosen.iter().for_each(|&r| to.extend_from_slice(&table[r * width..(r + 1) * width]));
        }
        Ok(n)
    }
}

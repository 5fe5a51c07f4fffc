//! Networks from data to estimates, and their training.

use super::EstimateError;
use super::loss::{Increasing, Loss, LossLayer};
use abduce_data::{Array, Batch, Batches, DataError, PairSource, RowSet, Scaling, Seed, Split, Standardiser};
use abduce_nn::layers::{Activate, Linear};
use abduce_nn::trainer::{Objective, Progress, RowSource, Rows, TrainConfig, TrainState, train_on};
use abduce_nn::{ActivationName, Compute, EmbeddingSpec, Graph, GraphBuilder, Layout, evaluate};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The size of a network that estimates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EstimatorSpec {
    /// The network between the data and the rest.
    pub embedding: EmbeddingSpec,
    /// Widths of the hidden layers behind it (64, 64, 64).
    pub hidden: Vec<usize>,
}

impl Default for EstimatorSpec {
    fn default() -> Self {
        Self { embedding: EmbeddingSpec::Identity, hidden: vec![64; 3] }
    }
}

/// A network without its numbers.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) layout: Layout,
    context: usize,
    outputs: usize,
    /// (targets, x) → minus the loss.
    joint: Arc<Graph>,
    /// x → outputs.
    predict: Arc<Graph>,
}

/// Sizes beyond these are mistakes.
const MAX_WIDTH: usize = 8192;
const MAX_LAYERS: usize = 64;

impl Network {
    pub(super) fn new(spec: &EstimatorSpec, loss: &Loss, (features, context): (usize, usize)) -> Result<Self, EstimateError> {
        if spec.hidden.len() > MAX_LAYERS || spec.hidden.iter().any(|&width| width == 0 || width > MAX_WIDTH) {
            return Err(EstimateError::Hidden(spec.hidden.clone()));
        }
        let outputs = loss.outputs(features);
        let apply = |g: &mut GraphBuilder<'_>, x| {
            let mut h = spec.embedding.apply(g, x);
            for (k, &width) in spec.hidden.iter().enumerate() {
                h = Linear::apply(g, &format!("hidden.{k}"), &[h], width);
                h = g.apply(Activate(ActivationName::SiLU.activation()), &[h]);
            }
            let out = Linear::apply(g, "out", &[h], outputs);
            if let Loss::Pinball(levels) = loss { g.apply(Increasing { levels: levels.len() }, &[out]) } else { out }
        };
        let mut layout = Layout::new();
        let mut g = GraphBuilder::new(&mut layout);
        let (t, x) = (g.input(features), g.input(context));
        let out = apply(&mut g, x);
        let score = g.apply(LossLayer(loss.clone()), &[t, out]);
        let joint = Arc::new(g.finish(&[score]));
        let mut g = GraphBuilder::new(&mut layout);
        let x = g.input(context);
        let out = apply(&mut g, x);
        let predict = Arc::new(g.finish(&[out]));
        Ok(Self { layout, context, outputs, joint, predict })
    }

    /// Outputs (n, outputs) for standardised rows of x.
    pub(super) fn predict(&self, compute: &Compute, params: &[f32], x: &[f32]) -> Vec<f32> {
        let (context, outputs) = (self.context, self.outputs);
        let mut out = vec![0.0; x.len() / context * outputs];
        evaluate(
            &self.predict,
            compute,
            params,
            (&mut out, outputs),
            |rows, frame| {
                let lanes = frame.lanes();
                abduce_kernels::transpose::features_from_rows(&x[rows.start * context..], rows.len(), context, frame.input_mut(0), lanes);
            },
            |rows, frame, part| {
                let lanes = frame.lanes();
                for r in 0..rows.len() {
                    (0..outputs).for_each(|k| part[r * outputs + k] = frame.output(0)[k * lanes + r]);
                }
            },
        );
        out
    }
}

/// Trained networks of one kind and the scales of what they see.
#[derive(Clone, Debug)]
pub(super) struct Learnt {
    pub(super) network: Network,
    pub(super) params: Vec<Vec<f32>>,
    pub(super) target_scale: Standardiser,
    pub(super) x_scale: Standardiser,
}

impl Learnt {
    /// Outputs of each network, (n, outputs), for rows of x as given.
    pub(super) fn outputs(&self, compute: &Compute, x: &[f32]) -> Result<Vec<Vec<f32>>, EstimateError> {
        let width = self.network.context;
        if x.is_empty() || !x.len().is_multiple_of(width) {
            return Err(EstimateError::Width { found: x.len(), expected: width });
        }
        if let Some(at) = x.iter().position(|v| !v.is_finite()) {
            return Err(EstimateError::NotFinite { row: at / width, feature: at % width, value: x[at] });
        }
        let mut rows = x.to_vec();
        self.x_scale.forward(&mut rows)?;
        Ok(self.params.iter().map(|params| self.network.predict(compute, params, &rows)).collect())
    }
}

/// What all estimators are trained on and with.
#[derive(Debug)]
pub struct EstimateTask<'a> {
    /// The simulations: targets and x.
    pub source: &'a PairSource,
    /// Which of them train and which validate.
    pub split: &'a Split,
    /// The network.
    pub spec: EstimatorSpec,
    /// Networks whose outputs are averaged.
    pub nets: usize,
    /// How they are trained.
    pub train: TrainConfig,
    /// Seed.
    pub seed: Seed,
}

/// Trains `task.nets` networks, one after the other.
pub(super) fn learn(
    task: &EstimateTask<'_>,
    loss: &Loss,
    target_scaling: Scaling,
    compute: &Compute,
) -> Result<(Learnt, Vec<Progress>), EstimateError> {
    if task.nets == 0 {
        return Err(EstimateError::NoNets);
    }
    let source = task.source;
    let network = Network::new(&task.spec, loss, (source.theta_len(), source.x_len()))?;
    let (target_scale, x_scale) = Standardiser::fit_pairs(source, &task.split.train, target_scaling, Scaling::Independent)?;
    let all: Vec<usize> = (0..source.rows()).collect();
    let (mut theta, mut x): (Array, Array) = source.select(&all)?;
    target_scale.forward(theta.data_mut())?;
    x_scale.forward(x.data_mut())?;
    let scaled = PairSource::from_arrays(theta, x)?;
    let mut learnt = Learnt { network, params: Vec::new(), target_scale, x_scale };
    let mut progress = Vec::new();
    for net in 0..task.nets {
        let seed = task.seed.derive("estimate", net as u64);
        let mut state = TrainState::new(&learnt.network.layout, seed);
        let rows = |rows, batch, seed| PairRows::new(&scaled, rows, batch, seed);
        let mut training = rows(&task.split.train, task.train.batch_size, Some(seed))?;
        let mut validation = rows(&task.split.validation, 1024, None)?;
        let sources = (&mut training, &mut validation);
        let go_on = |_: &TrainState| ControlFlow::Continue(());
        let layout = &learnt.network.layout;
        train_on(Objective::MeanScore, &learnt.network.joint, layout, compute, &task.train, sources, &mut state, go_on)?;
        learnt.params.push(state.best);
        progress.push(state.progress);
    }
    Ok((learnt, progress))
}

/// Mini-batches of pairs as they are.
struct PairRows<'a> {
    batches: Batches<'a>,
    batch: Batch,
    /// `None`: in the order of the source.
    seed: Option<Seed>,
}

impl<'a> PairRows<'a> {
    fn new(source: &'a PairSource, rows: &'a RowSet, batch_size: usize, seed: Option<Seed>) -> Result<Self, DataError> {
        let batches = Batches::new(source, rows, batch_size, abduce_data::batches::BUFFER_BYTES)?;
        Ok(Self { batches, batch: Batch::default(), seed })
    }
}

impl RowSource for PairRows<'_> {
    type Error = DataError;

    fn start(&mut self, epoch: u64) {
        match self.seed {
            Some(seed) => self.batches.start_shuffled(seed, epoch),
            None => self.batches.start_in_order(),
        }
    }

    fn next(&mut self, rows: &mut Rows) -> Result<usize, DataError> {
        let n = self.batches.next_batch(&mut self.batch)?;
        rows.inputs.resize_with(2, Vec::new);
        std::mem::swap(&mut rows.inputs[0], &mut self.batch.theta);
        std::mem::swap(&mut rows.inputs[1], &mut self.batch.x);
        rows.weights.clear();
        Ok(n)
    }
}

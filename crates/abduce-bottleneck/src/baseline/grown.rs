//! Autoencoders grown latent by latent.

use crate::error::BottleneckError;
use crate::fit::{Plan, TableRows, check};
use crate::head::SquaredError;
use crate::model::{Bottleneck, Rows, rows_into};
use crate::spec::{Head, ModelSpec};
use abduce_data::Seed;
use abduce_nn::layer::Noise;
use abduce_nn::step::Spread;
use abduce_nn::trainer::{self, Learner, TrainState, train_with};
use abduce_nn::{Compute, Frame, Graph, GraphBuilder, Layout, Purpose, Value, evaluate};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

/// PCAAE (Pham, Ladjal and Newson 2020, arXiv:2006.07827): latent k has an encoder of its own, trained with a new decoder of k latents while the encoders
/// before it stand still, on the squared error plus `decorrelation` Σ_{j<k} cov(z_j, z_k)² over the up to 64 rows of a chunk. Costs K trainings and K
/// pairs of networks.
#[derive(Clone, Debug)]
pub struct Grown {
    spec: ModelSpec,
    stages: Vec<Stage>,
}

/// One latent.
#[derive(Clone, Debug)]
struct Stage {
    /// x → z_k.
    encode: Arc<Graph>,
    /// (y, z_k, z_1..z_(k-1)) → score; the first stage has no third input.
    score: Arc<Graph>,
    layout: Layout,
    params: Vec<f32>,
}

impl Stage {
    fn new(spec: &ModelSpec, before: usize) -> Result<Self, BottleneckError> {
        let mut layout = Layout::new();
        let mut g = GraphBuilder::new(&mut layout);
        let x = g.input(spec.features);
        let code = spec.encoder.encoder(&mut g, x, 1)?;
        let encode = Arc::new(g.finish(&[code]));
        let mut g = GraphBuilder::new(&mut layout);
        let (y, code) = (g.input(spec.targets), g.input(1));
        let earlier = (before > 0).then(|| g.input(before));
        let inputs: Vec<Value> = std::iter::once(code).chain(earlier).collect();
        let f = spec.decoder.decoder(&mut g, &inputs, spec.targets)?;
        let score = g.apply(SquaredError, &[y, f]);
        let score = Arc::new(g.finish(&[score]));
        Ok(Self { encode, score, layout, params: Vec::new() })
    }

    fn chunk_rows(&self) -> usize {
        self.encode.chunk_rows().min(self.score.chunk_rows())
    }

    fn codes(&self, compute: &Compute, x: &[f32], features: usize, params: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len() / features];
        let read = |range: Range<usize>, frame: &Frame, part: &mut [f32]| part.copy_from_slice(&frame.output(0)[..range.len()]);
        evaluate(&self.encode, compute, params, (&mut out, 1), |range, frame| rows_into(x, features, range, frame, 0, |r| r), read);
        out
    }

    fn losses(&self, compute: &Compute, params: &[f32], y: (&[f32], usize), code: &[f32], earlier: (&[f32], usize)) -> Vec<f32> {
        let mut out = vec![0.0; code.len()];
        evaluate(
            &self.score,
            compute,
            params,
            (&mut out, 1),
            |range, frame| {
                rows_into(y.0, y.1, range.clone(), frame, 0, |r| r);
                rows_into(code, 1, range.clone(), frame, 1, |r| r);
                if earlier.1 > 0 {
                    rows_into(earlier.0, earlier.1, range, frame, 2, |r| r);
                }
            },
            |range, frame, part| part.iter_mut().zip(&frame.output(0)[..range.len()]).for_each(|(p, s)| *p = -s),
        );
        out
    }
}

impl Grown {
    /// Trains `latents` latents one after the other with the networks of `spec`, whose head must be the squared error. The plan's weights and schedule
    /// have no meaning here.
    ///
    /// # Errors
    /// Another head, data that don't fit, or numbers that stop being finite.
    pub fn fit(
        spec: &ModelSpec,
        decorrelation: f32,
        compute: &Compute,
        plan: &Plan,
        rows: Rows<'_>,
        (training, validation): (&[usize], &[usize]),
    ) -> Result<Self, BottleneckError> {
        if spec.head != Head::Mse {
            return Err(BottleneckError::Unavailable { head: spec.head.name(), what: "be grown" });
        }
        check(&Bottleneck::new(spec.clone())?, rows)?;
        let n = rows.x.len() / spec.features;
        let mut grown = Self { spec: spec.clone(), stages: Vec::new() };
        let mut earlier: Vec<f32> = Vec::new();
        for k in 0..spec.latents {
            let mut stage = Stage::new(spec, k)?;
            let seed = plan.seed.derive("grown", k as u64);
            let mut state = TrainState::new(&stage.layout, seed);
            let tables = || vec![(rows.x, spec.features), (rows.targets(), spec.targets), (&earlier[..], k)];
            let mut learner = StageLearner {
                spread: Spread::new(stage.layout.len(), stage.layout.gradient_mask(), stage.chunk_rows(), compute.simd, &compute.threads),
                stage: &stage,
                spec,
                compute,
                before: k,
                decorrelation,
            };
            let mut train = TableRows::new(tables(), training, plan.train.batch_size, Some(seed.derive("rows", 0)));
            let mut held = TableRows::new(tables(), validation, 1024, None);
            let go_on = |_: &TrainState| ControlFlow::Continue(());
            train_with(&mut learner, compute, &plan.train, (&mut train, &mut held), &mut state, go_on)?;
            stage.params = state.best;
            let codes = stage.codes(compute, rows.x, spec.features, &stage.params);
            earlier = (0..n).flat_map(|r| earlier[r * k..(r + 1) * k].iter().copied().chain([codes[r]]).collect::<Vec<_>>()).collect();
            grown.stages.push(stage);
        }
        Ok(grown)
    }

    /// The codes (n, K) of rows of x.
    pub fn encode(&self, compute: &Compute, x: &[f32]) -> Vec<f32> {
        let columns: Vec<Vec<f32>> = self.stages.iter().map(|s| s.codes(compute, x, self.spec.features, &s.params)).collect();
        (0..x.len() / self.spec.features).flat_map(|r| columns.iter().map(move |c| c[r])).collect()
    }

    /// The loss of every row with the first 1..K latents: (n, K).
    pub fn losses(&self, compute: &Compute, rows: Rows<'_>) -> Vec<f32> {
        let latents = self.stages.len();
        let codes = self.encode(compute, rows.x);
        let n = codes.len() / latents;
        let mut out = vec![0.0; n * latents];
        for (k, stage) in self.stages.iter().enumerate() {
            let own: Vec<f32> = codes.iter().skip(k).step_by(latents).copied().collect();
            let earlier: Vec<f32> = codes.chunks_exact(latents).flat_map(|row| row[..k].iter().copied()).collect();
            let losses = stage.losses(compute, &stage.params, (rows.targets(), self.spec.targets), &own, (&earlier, k));
            losses.into_iter().enumerate().for_each(|(r, loss)| out[r * latents + k] = loss);
        }
        out
    }
}

/// Steps on one latent.
struct StageLearner<'a> {
    spread: Spread<(Frame, Frame)>,
    stage: &'a Stage,
    spec: &'a ModelSpec,
    compute: &'a Compute,
    before: usize,
    decorrelation: f32,
}

impl Learner for StageLearner<'_> {
    fn step(&mut self, params: &[f32], rows: &trainer::Rows, n: usize, seed: Seed) -> (f64, f64) {
        let (simd, spec, stage, before, penalty) = (self.compute.simd, self.spec, self.stage, self.before, self.decorrelation);
        let make = || {
            let back = Frame::new(&stage.score, Purpose::InputGradient(1), stage.chunk_rows());
            (Frame::new(&stage.encode, Purpose::Train, stage.chunk_rows()), back)
        };
        self.spread.run(n, make, |range, (front, back), gradient| {
            let m = range.len();
            front.begin(m);
            back.begin(m);
            front.set_noise(Noise { seed, first_row: range.start });
            back.set_noise(Noise { seed: seed.derive("decoder", 0), first_row: range.start });
            let fill = |table: &[f32], width: usize, frame: &mut Frame, i: usize| frame.fill_input(i, &table[range.start * width..]);
            fill(&rows.inputs[0], spec.features, front, 0);
            front.forward(simd, params);
            fill(&rows.inputs[1], spec.targets, back, 0);
            back.input_mut(1).copy_from_slice(front.output(0));
            if before > 0 {
                fill(&rows.inputs[2], before, back, 2);
            }
            back.forward(simd, params);
            let mut loss = -back.output(0)[..m].iter().map(|&s| f64::from(s)).sum::<f64>() / n as f64;
            let seed = back.output_gradient_mut(0);
            seed.fill(0.0);
            seed[..m].fill(-1.0 / n as f32);
            back.backward(simd, params, Some(gradient));
            // d/dz_i of λ (m/n) Σ_j c_j² is 2 λ c_j (z_ji - mean_j)/n.
            let total = front.output_gradient_mut(0);
            match back.input_gradient(1) {
                Some(by_code) => total.copy_from_slice(by_code),
                None => total.fill(0.0),
            }
            for j in 0..before {
                let z: Vec<f32> =
                    rows.inputs[2][range.start * before..range.end * before].iter().skip(j).step_by(before).copied().collect();
                let mean = z.iter().sum::<f32>() / m as f32;
                let own = &back.input_mut(1)[..m];
                let c = z.iter().zip(own).map(|(z, own)| (z - mean) * own).sum::<f32>() / m as f32;
                loss += f64::from(penalty * c * c) * m as f64 / n as f64;
                front.output_gradient_mut(0).iter_mut().zip(&z).for_each(|(g, z)| *g += 2.0 * penalty * c * (z - mean) / n as f32);
            }
            front.backward(simd, params, Some(gradient));
            loss
        })
    }

    fn gradient(&self) -> &[f32] {
        self.spread.gradient()
    }

    fn score(&mut self, params: &[f32], rows: &trainer::Rows, n: usize) -> (f64, f64) {
        let codes = self.stage.codes(self.compute, &rows.inputs[0][..n * self.spec.features], self.spec.features, params);
        let (y, earlier) = ((&rows.inputs[1][..], self.spec.targets), (&rows.inputs[2][..], self.before));
        let losses = self.stage.losses(self.compute, params, y, &codes, earlier);
        (-losses.iter().map(|&l| f64::from(l)).sum::<f64>(), n as f64)
    }
}

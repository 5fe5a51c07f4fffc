//! The learner of a plain graph with one output.

use super::{Learner, Rows};
use crate::evaluate::Compute;
use crate::frame::{Frame, Purpose};
use crate::graph::Graph;
use crate::layer::Noise;
use crate::params::Layout;
use crate::step::Step;
use abduce_data::Seed;
use std::ops::Range;
use std::sync::Arc;

/// What training minimises.
#[derive(Clone, Copy)]
pub enum Objective<'a> {
    /// Minus the mean weighted output; the network gives a log-density, and rows don't see each other.
    MeanScore,
    /// A loss of all outputs of a batch together.
    Coupled(&'a dyn CoupledLoss),
}

/// A loss that couples the rows of a batch.
pub trait CoupledLoss: Sync {
    /// The mean loss of one batch whose rows have these network outputs, and its gradient by them.
    fn loss(&self, outputs: &[f32], rows: &Rows, gradient: &mut [f32]) -> f64;
}

fn fill(rows: &Rows, range: Range<usize>, frame: &mut Frame) {
    for (i, table) in rows.inputs.iter().enumerate() {
        frame.fill_input(i, &table[range.start * frame.input_features(i)..]);
    }
}

/// Writes the gradient of -(1/n) Σ w·output and returns this chunk's part of it.
fn seed_gradient(rows: &Rows, n: usize, range: Range<usize>, frame: &mut Frame) -> f64 {
    let weight = |r: usize| rows.weights.get(r).copied().unwrap_or(1.0);
    let score: f64 = frame.output(0).iter().zip(range.clone()).map(|(&s, r)| f64::from(s) * f64::from(weight(r))).sum();
    let gradient = frame.output_gradient_mut(0);
    gradient.fill(0.0);
    gradient.iter_mut().zip(range).for_each(|(g, r)| *g = -weight(r) / n as f32);
    -score / n as f64
}

/// Scores of held-out rows, in chunks over threads.
struct Scorer<'a> {
    compute: Compute,
    objective: Objective<'a>,
    frames: Vec<Frame>,
    outputs: Vec<f32>,
    gradient: Vec<f32>,
    prepared: Vec<f32>,
    graph: Arc<Graph>,
}

impl<'a> Scorer<'a> {
    fn new(graph: &Arc<Graph>, compute: &Compute, objective: Objective<'a>) -> Self {
        let (outputs, gradient, prepared) = (Vec::new(), Vec::new(), Vec::new());
        Self { compute: compute.clone(), objective, frames: Vec::new(), outputs, gradient, prepared, graph: Arc::clone(graph) }
    }

    fn total(&mut self, params: &[f32], rows: &Rows, n: usize) -> (f64, f64) {
        let size = self.graph.chunk_rows();
        let chunks = n.div_ceil(size);
        while self.frames.len() < chunks {
            self.frames.push(Frame::new(&self.graph, Purpose::Evaluate, size));
        }
        // Once per batch of rows and not per chunk: a batch of validation rows holds many.
        self.graph.prepare(self.compute.simd, &self.compute.threads, params, &mut self.prepared);
        let (simd, prepared) = (self.compute.simd, &self.prepared[..]);
        self.compute.threads.for_each(&mut self.frames[..chunks], |c, frame| {
            let range = c * size..((c + 1) * size).min(n);
            frame.begin(range.len());
            fill(rows, range, frame);
            frame.forward_prepared(simd, params, prepared);
        });
        self.outputs.clear();
        self.frames[..chunks].iter().for_each(|frame| self.outputs.extend_from_slice(&frame.output(0)[..frame.rows()]));
        match self.objective {
            Objective::MeanScore => {
                let (mut total, mut weight) = (0.0, 0.0);
                for (r, &score) in self.outputs.iter().enumerate() {
                    let w = f64::from(rows.weights.get(r).copied().unwrap_or(1.0));
                    total += w * f64::from(score);
                    weight += w;
                }
                (total, weight)
            }
            Objective::Coupled(coupled) => {
                self.gradient.resize(n, 0.0);
                (-coupled.loss(&self.outputs, rows, &mut self.gradient) * n as f64, n as f64)
            }
        }
    }
}

/// One graph with one output, under an [`Objective`].
pub(super) struct GraphLearner<'a> {
    objective: Objective<'a>,
    step: Step,
    scorer: Scorer<'a>,
    outputs: Vec<f32>,
    gradient: Vec<f32>,
}

impl<'a> GraphLearner<'a> {
    pub(super) fn new(objective: Objective<'a>, graph: &Arc<Graph>, layout: &Layout, compute: &Compute) -> Self {
        Self {
            objective,
            step: Step::new(graph, layout.len(), layout.gradient_mask(), compute.simd, &compute.threads),
            scorer: Scorer::new(graph, compute, objective),
            outputs: Vec::new(),
            gradient: Vec::new(),
        }
    }
}

impl Learner for GraphLearner<'_> {
    fn step(&mut self, params: &[f32], rows: &Rows, n: usize, seed: Seed) -> (f64, f64) {
        let fill = |range: Range<usize>, frame: &mut Frame| {
            frame.set_noise(Noise { seed, first_row: range.start });
            fill(rows, range, frame);
        };
        let (outputs, gradient) = (&mut self.outputs, &mut self.gradient);
        match self.objective {
            Objective::MeanScore => self.step.fused(params, n, fill, |range, frame| seed_gradient(rows, n, range, frame)),
            Objective::Coupled(coupled) => self.step.split(params, n, fill, |frames| {
                outputs.clear();
                frames.iter().for_each(|frame| outputs.extend_from_slice(&frame.output(0)[..frame.rows()]));
                gradient.resize(n, 0.0);
                let loss = coupled.loss(outputs, rows, gradient);
                let mut rest = &gradient[..];
                for frame in frames {
                    let (own, tail) = rest.split_at(frame.rows());
                    let to = frame.output_gradient_mut(0);
                    to.fill(0.0);
                    to[..own.len()].copy_from_slice(own);
                    rest = tail;
                }
                loss
            }),
        }
    }

    fn gradient(&self) -> &[f32] {
        self.step.gradient()
    }

    fn score(&mut self, params: &[f32], rows: &Rows, n: usize) -> (f64, f64) {
        self.scorer.total(params, rows, n)
    }
}

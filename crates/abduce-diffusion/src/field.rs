//! The vector field that samplers integrate: a network, or anything else that can be evaluated.

use crate::schedule::NoiseSchedule;
use abduce_nn::step::CHUNK_ROWS;
use abduce_nn::{Compute, Frame, Graph, Purpose};
use std::sync::Arc;

/// Most points of one evaluation.
pub const POINTS: usize = CHUNK_ROWS;

/// What is asked of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// F alone.
    Value,
    /// F and Σ_k ∂F_k/∂y_k.
    Divergence,
}

/// Up to [`POINTS`] places where a field is evaluated; all slices are per point.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a> {
    /// Scaled states y (points, d).
    pub y: &'a [f64],
    /// Times of the schedule.
    pub times: &'a [f64],
    /// Which observation each point belongs to.
    pub observations: &'a [usize],
}

/// F(y, t | x) = E[θ sin φ - ε cos φ | y] for a set of observations, see [`Marginal`](crate::schedule::Marginal).
///
/// Each point's result must not depend on the points beside it: then draws do not depend on threads or on each other. Samplers take any
/// field, so guidance by further information is a field that adds to another's F.
pub trait Field: Sync {
    /// Memory of one thread.
    type Work: Send;

    /// Dimension d.
    fn features(&self) -> usize;

    /// The path whose field it is.
    fn schedule(&self) -> &NoiseSchedule;

    /// Memory for evaluations.
    fn work(&self, wanted: Wanted) -> Self::Work;

    /// Writes F (points, d) and, if the memory was made for it, the divergence (points); `divergence` is empty otherwise.
    fn evaluate(&self, work: &mut Self::Work, points: Points<'_>, f: &mut [f64], divergence: &mut [f64]);
}

/// A trained network at given summaries.
#[derive(Debug)]
pub(crate) struct NetworkField<'a> {
    /// (y, label, summaries) → F.
    pub(crate) graph: &'a Arc<Graph>,
    pub(crate) schedule: &'a NoiseSchedule,
    pub(crate) compute: &'a Compute,
    pub(crate) params: &'a [f32],
    pub(crate) features: usize,
    /// (observations, width)
    pub(crate) summaries: &'a [f32],
    /// Summaries per observation; 0 without context.
    pub(crate) width: usize,
}

impl Field for NetworkField<'_> {
    type Work = Frame;

    fn features(&self) -> usize {
        self.features
    }

    fn schedule(&self) -> &NoiseSchedule {
        self.schedule
    }

    fn work(&self, wanted: Wanted) -> Frame {
        let purpose = if wanted == Wanted::Divergence { Purpose::InputGradients } else { Purpose::Evaluate };
        Frame::new(self.graph, purpose, POINTS)
    }

    /// The exact divergence takes one backward pass per dimension, each as costly as the forward pass.
    fn evaluate(&self, frame: &mut Frame, points: Points<'_>, f: &mut [f64], divergence: &mut [f64]) {
        let (rows, d) = (points.times.len(), self.features);
        frame.begin(rows);
        let lanes = frame.lanes();
        let state = frame.input_mut(0);
        for k in 0..d {
            let lane = &mut state[k * lanes..(k + 1) * lanes];
            (0..rows).for_each(|r| lane[r] = points.y[r * d + k] as f32);
            lane[rows..].fill(0.0);
        }
        let label = frame.input_mut(1);
        (0..rows).for_each(|r| label[r] = self.schedule.label(points.times[r]) as f32);
        label[rows..].fill(0.0);
        if self.width > 0 {
            let context = frame.input_mut(2);
            for k in 0..self.width {
                let lane = &mut context[k * lanes..(k + 1) * lanes];
                (0..rows).for_each(|r| lane[r] = self.summaries[points.observations[r] * self.width + k]);
                lane[rows..].fill(0.0);
            }
        }
        frame.forward(self.compute.simd, self.params);
        let out = frame.output(0);
        for r in 0..rows {
            for k in 0..d {
                f[r * d + k] = f64::from(out[k * lanes + r]);
            }
        }
        if divergence.is_empty() {
            return;
        }
        divergence.fill(0.0);
        for k in 0..d {
            let seed = frame.output_gradient_mut(0);
            seed.fill(0.0);
            seed[k * lanes..k * lanes + rows].fill(1.0);
            frame.backward(self.compute.simd, self.params, None);
            if let Some(gradient) = frame.input_gradient(0) {
                divergence.iter_mut().zip(&gradient[k * lanes..]).for_each(|(sum, &g)| *sum += f64::from(g));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{NetworkSpec, TimeEmbedding};
    use abduce_data::Seed;
    use abduce_nn::{GraphBuilder, Layout};

    /// Against central differences of F: with steps of 0.01 they err by h²/6 of the third derivative, 1e-4, and by 1e-6/h = 1e-4 of
    /// rounding per dimension.
    #[test]
    fn the_divergence_is_the_trace_of_the_jacobian() {
        let (d, width, rows) = (4, 3, 21);
        let time = TimeEmbedding { features: 6, max_frequency: 5.0 };
        for spec in [NetworkSpec::Mlp { layers: 3, hidden: 12, time }, NetworkSpec::AdaMlp { layers: 3, hidden: 12, time }] {
            let mut layout = Layout::new();
            let mut g = GraphBuilder::new(&mut layout);
            let (y, label, c) = (g.input(d), g.input(1), g.input(width));
            let f = spec.apply(&mut g, y, label, Some(c));
            let graph = Arc::new(g.finish(&[f]));
            let mut rng = Seed(8).stream("field", 0);
            let params: Vec<f32> = (0..layout.len()).map(|_| 0.3 * rng.normal() as f32).collect();
            let summaries: Vec<f32> = (0..2 * width).map(|_| rng.normal() as f32).collect();
            let compute = Compute::with_threads(1);
            let schedule = NoiseSchedule::flow_matching();
            let field = NetworkField {
                graph: &graph,
                schedule: &schedule,
                compute: &compute,
                params: &params,
                features: d,
                summaries: &summaries,
                width,
            };
            let y: Vec<f64> = (0..rows * d).map(|_| rng.normal()).collect();
            let times: Vec<f64> = (0..rows).map(|_| rng.uniform()).collect();
            let observations: Vec<usize> = (0..rows).map(|r| r % 2).collect();
            let value = |y: &[f64]| {
                let mut f = vec![0.0; rows * d];
                field.evaluate(&mut field.work(Wanted::Value), Points { y, times: &times, observations: &observations }, &mut f, &mut []);
                f
            };
            let (mut f, mut divergence) = (vec![0.0; rows * d], vec![0.0; rows]);
            let points = Points { y: &y, times: &times, observations: &observations };
            field.evaluate(&mut field.work(Wanted::Divergence), points, &mut f, &mut divergence);
            assert_eq!(f, value(&y), "asking for the divergence changes no value");
            let mut trace = vec![0.0; rows];
            for k in 0..d {
                let moved = |h: f64| value(&y.iter().enumerate().map(|(i, y)| if i % d == k { y + h } else { *y }).collect::<Vec<_>>());
                let (up, down) = (moved(0.01), moved(-0.01));
                (0..rows).for_each(|r| trace[r] += (up[r * d + k] - down[r * d + k]) / 0.02);
            }
            for (got, want) in divergence.iter().zip(&trace) {
                assert!((got - want).abs() < 2e-3 * (1.0 + want.abs()), "{got} instead of {want}, {spec:?}");
            }
        }
    }
}

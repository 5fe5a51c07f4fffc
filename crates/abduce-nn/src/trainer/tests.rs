//! Stopping, schedules, roll-backs, averages and resuming on a line.

use super::*;
use crate::layer::{Backward, Forward, Layer};
use crate::layers::Linear;
use crate::{GraphBuilder, Value};

/// -(y - prediction)²: least squares as a score.
#[derive(Debug)]
struct NegativeSquare;

impl Layer for NegativeSquare {
    fn output_features(&self, _inputs: &[usize]) -> Vec<usize> {
        vec![1]
    }
    fn forward(&self, at: &mut Forward<'_>) {
        let (y, p) = (at.inputs.get(0), at.inputs.get(1));
        for l in 0..at.lanes {
            at.outputs[0][l] = -(y[l] - p[l]).powi(2);
        }
    }
    fn backward(&self, at: &mut Backward<'_>) {
        let (y, p, g) = (at.inputs.get(0), at.inputs.get(1), at.grad_outputs.get(0));
        if let Some(slot) = &mut at.grad_inputs[1] {
            for l in 0..at.lanes {
                slot.data[l] = 2.0 * (y[l] - p[l]) * g[l];
            }
        }
    }
}

struct Line {
    seed: u64,
    left: usize,
    epoch: u64,
}

impl RowSource for Line {
    type Error = std::convert::Infallible;
    fn start(&mut self, epoch: u64) {
        (self.left, self.epoch) = (5, epoch);
    }
    fn next(&mut self, rows: &mut Rows) -> Result<usize, Self::Error> {
        if self.left == 0 {
            return Ok(0);
        }
        self.left -= 1;
        let mut rng = Seed(self.seed).stream("line", self.epoch * 8 + self.left as u64);
        let x: Vec<f32> = (0..100).map(|_| rng.normal() as f32).collect();
        rows.inputs = vec![x.iter().map(|x| 2.0 * x - 1.0).collect(), x];
        Ok(100)
    }
}

fn model() -> (Layout, Arc<Graph>) {
    let mut layout = Layout::new();
    let mut g = GraphBuilder::new(&mut layout);
    let (y, x): (Value, Value) = (g.input(1), g.input(1));
    let p = Linear::apply(&mut g, "line", &[x], 1);
    let score = g.apply(NegativeSquare, &[y, p]);
    let graph = Arc::new(g.finish(&[score]));
    (layout, graph)
}

fn run(threads: usize, interrupt: Option<usize>) -> TrainState {
    let (layout, graph) = model();
    let compute = Compute::with_threads(threads);
    let config = TrainConfig {
        learning_rate: 0.05,
        stop_after_epochs: 5,
        max_epochs: Some(60),
        schedule: Schedule::Plateau { factor: 0.1, drops: 1 },
        ..TrainConfig::default()
    };
    let mut state = TrainState::new(&layout, Seed(4));
    let source = |seed| Line { seed, left: 0, epoch: 0 };
    if let Some(at) = interrupt {
        let stop = |s: &TrainState| if s.progress.history.len() == at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let ending = train(&graph, &layout, &compute, &config, (&mut source(1), &mut source(2)), &mut state, stop);
        let left = state.progress.history.len() == at && config.rate_after(&state.progress).is_some();
        assert_eq!(ending.ok(), Some(if left { Ending::Interrupted } else { Ending::Finished }));
    }
    let go_on = |_: &TrainState| ControlFlow::Continue(());
    let ending = train(&graph, &layout, &compute, &config, (&mut source(1), &mut source(2)), &mut state, go_on);
    assert_eq!(ending.ok(), Some(Ending::Finished));
    state
}

#[test]
fn a_line_is_learned_and_the_best_weights_are_kept() {
    let state = run(1, None);
    assert!((state.best[0] - 2.0).abs() < 1e-3 && (state.best[1] + 1.0).abs() < 1e-3, "{:?}", state.best);
    let history = &state.progress.history;
    let best = history.iter().map(|e| e.validation).fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(state.progress.best_validation(), Some(best));
}

/// Lines of which some batches hold an infinity.
struct Broken {
    line: Line,
    /// Batches of each epoch, counted down from 5, that are bad.
    bad: fn(epoch: u64, left: usize) -> bool,
}

impl RowSource for Broken {
    type Error = std::convert::Infallible;
    fn start(&mut self, epoch: u64) {
        self.line.start(epoch);
    }
    fn next(&mut self, rows: &mut Rows) -> Result<usize, Self::Error> {
        let n = self.line.next(rows)?;
        if n > 0 && (self.bad)(self.line.epoch, self.line.left) {
            rows.inputs[0][3] = f32::INFINITY;
        }
        Ok(n)
    }
}

fn run_broken(bad: fn(u64, usize) -> bool, epochs: usize) -> Result<TrainState, TrainError<std::convert::Infallible>> {
    let (layout, graph) = model();
    let config = TrainConfig { learning_rate: 0.05, max_epochs: Some(epochs), ..TrainConfig::default() };
    let mut state = TrainState::new(&layout, Seed(4));
    let source = |seed, bad| Broken { line: Line { seed, left: 0, epoch: 0 }, bad };
    let go_on = |_: &TrainState| ControlFlow::Continue(());
    let sources = (&mut source(1, bad), &mut source(2, |_, _| false));
    train(&graph, &layout, &Compute::with_threads(1), &config, sources, &mut state, go_on)?;
    Ok(state)
}

#[test]
fn single_bad_batches_are_left_out_and_runs_of_them_roll_back() {
    let state = run_broken(|_, left| left == 2, 40).unwrap();
    assert!(state.progress.history.iter().all(|e| e.skipped_steps == 1 && e.rollbacks == 0));
    assert!((state.best[0] - 2.0).abs() < 1e-2, "{:?}", state.best);
    // Four bad batches in a row, in the third epoch: back to its beginning, at half the rate.
    let state = run_broken(|epoch, left| epoch == 2 && left < 4, 4).unwrap();
    let history = &state.progress.history;
    assert_eq!(history.iter().map(|e| e.rollbacks).collect::<Vec<_>>(), [0, 0, 1, 0]);
    assert_eq!(history.iter().map(|e| e.learning_rate).collect::<Vec<_>>(), [0.05, 0.05, 0.025, 0.025]);
    let before = run_broken(|_, _| false, 2).unwrap();
    let after = run_broken(|epoch, left| epoch == 2 && left < 4, 3).unwrap();
    assert_eq!(after.params, before.params, "the only good step of the epoch was undone");
    assert_eq!((after.moments, after.progress.steps), (before.moments, before.progress.steps));
    assert!(matches!(run_broken(|_, _| true, 3), Err(TrainError::Diverged { epoch: 1, .. })));
}

#[test]
fn the_average_follows_the_weights_and_survives_an_interruption() {
    let run = |interrupt: usize| {
        let (layout, graph) = model();
        let config = TrainConfig { learning_rate: 0.05, max_epochs: Some(30), ema_decay: Some(0.9), ..TrainConfig::default() };
        let mut state = TrainState::new(&layout, Seed(4));
        let source = |seed| Line { seed, left: 0, epoch: 0 };
        let stop = |s: &TrainState| if s.progress.history.len() == interrupt { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        for _ in 0..2 {
            train(&graph, &layout, &Compute::with_threads(1), &config, (&mut source(1), &mut source(2)), &mut state, stop).unwrap();
        }
        state
    };
    let (whole, cut) = (run(0), run(7));
    assert_eq!((&whole.average, &whole.params), (&cut.average, &cut.params));
    assert!(whole.average.iter().zip(&whole.params).all(|(a, p)| a != p && (a - p).abs() < 0.05));
    // Early steps count more, or the start would linger.
    let mut average = vec![0.0];
    follow(Simd::best(), 0.999, 1, &[1.0], &mut average);
    assert!((average[0] - (1.0 - 2.0 / 11.0)).abs() < 1e-6, "{average:?}");
    follow(Simd::best(), 0.999, 1_000_000, &[0.0], &mut average);
    assert!((average[0] - 0.999 * 9.0 / 11.0).abs() < 1e-6, "{average:?}");
}

#[test]
fn threads_and_interruptions_leave_the_bytes_alone() {
    let reference = run(1, None);
    // The last interruption comes after the end: resuming a finished run changes nothing.
    let end = reference.progress.history.len();
    for (threads, interrupt) in [(2, None), (3, Some(7)), (1, Some(1)), (1, Some(end))] {
        let other = run(threads, interrupt);
        assert_eq!(other.moments, reference.moments);
        assert_eq!(other.best, reference.best);
        assert_eq!(other.params, reference.params);
        assert_eq!(other.progress, reference.progress);
    }
}

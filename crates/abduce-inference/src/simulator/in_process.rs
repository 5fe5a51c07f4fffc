//! A simulator of this program on several threads.

use super::rows::{Completed, Ending, Failure, FailureKind, Request, RowSimulator, SimulationError, Theta, check_theta};
use super::{Outcome, Simulator};
use crate::prior::Prior;
use abduce_data::ParameterInfo;
use serde_json::{Value, json};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

/// Items that a thread takes at a time: few enough that no thread ends long before the others, enough that handing over costs nothing.
const PIECE: usize = 32;

/// A [`Simulator`] as a [`RowSimulator`].
///
/// Item i has the stream ("simulate", i) of the seed, as in [`simulate_table`](super::simulate_table): both give the same rows.
pub struct InProcess {
    simulator: Box<dyn Simulator>,
    threads: NonZeroUsize,
}

/// Consecutive items of a request; the skipped ones are left out.
struct Piece {
    positions: Vec<usize>,
    theta: Vec<f32>,
    x: Vec<f32>,
    failed: Vec<bool>,
}

impl InProcess {
    /// Runs `simulator` on `threads` threads.
    pub fn new(simulator: Box<dyn Simulator>, threads: NonZeroUsize) -> Self {
        Self { simulator, threads }
    }

    fn work(&self, request: &Request<'_>, next: &AtomicUsize, halted: &AtomicBool, sender: &SyncSender<Piece>) {
        let d = self.simulator.prior().parameters();
        let features: usize = self.simulator.data_shape().iter().product();
        let stopping = || request.stop.load(Ordering::Relaxed) || halted.load(Ordering::Relaxed);
        let mut exact = vec![0.0; d];
        loop {
            let first = next.fetch_add(PIECE, Ordering::Relaxed);
            if first >= request.indices.len() {
                return;
            }
            let mut piece = Piece { positions: Vec::new(), theta: Vec::new(), x: Vec::new(), failed: Vec::new() };
            for position in first..(first + PIECE).min(request.indices.len()) {
                let index = request.indices[position];
                if stopping() {
                    break;
                }
                if (request.skip)(index) {
                    continue;
                }
                let mut rng = request.seed.stream("simulate", index);
                let start = piece.x.len();
                piece.x.resize(start + features, 0.0);
                let outcome = match request.theta {
                    Theta::Prior => self.simulator.draw(&mut rng, &mut exact, &mut piece.x[start..]),
                    Theta::Given(theta) => {
                        exact.iter_mut().zip(&theta[position * d..]).for_each(|(exact, &given)| *exact = f64::from(given));
                        self.simulator.simulate(&exact, &mut rng, &mut piece.x[start..])
                    }
                };
                piece.positions.push(position);
                piece.theta.extend(exact.iter().map(|&value| value as f32));
                piece.failed.push(outcome == Outcome::Failed);
            }
            // The receiver lives until all threads have ended.
            sender.send(piece).ok();
            if stopping() {
                return;
            }
        }
    }
}

impl RowSimulator for InProcess {
    fn identity(&self) -> Value {
        json!({"task": self.simulator.name(), "version": env!("CARGO_PKG_VERSION")})
    }

    fn parameters(&self) -> Vec<ParameterInfo> {
        self.simulator.parameters()
    }

    fn prior(&self) -> &Prior {
        self.simulator.prior()
    }

    fn data_shape(&self) -> Option<Vec<usize>> {
        Some(self.simulator.data_shape())
    }

    fn run(&self, request: &Request<'_>, each: &mut dyn FnMut(Completed<'_>) -> ControlFlow<()>) -> Result<Ending, SimulationError> {
        let d = self.simulator.prior().parameters();
        check_theta(request, d)?;
        let shape = self.simulator.data_shape();
        if let Some(found) = request.data_shape.filter(|found| *found != shape) {
            return Err(SimulationError::Shape { found: found.to_vec(), expected: shape });
        }
        let features: usize = shape.iter().product();
        let (next, halted) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (sender, receiver) = sync_channel(2 * self.threads.get());
        std::thread::scope(|scope| {
            for _ in 0..self.threads.get() {
                let (sender, next, halted) = (sender.clone(), &next, &halted);
                scope.spawn(move || self.work(request, next, halted, &sender));
            }
            drop(sender);
            for piece in receiver {
                for (row, &position) in piece.positions.iter().enumerate() {
                    if halted.load(Ordering::Relaxed) {
                        break;
                    }
                    let index = request.indices[position];
                    let failure = piece.failed[row].then(|| Failure {
                        id: index,
                        kind: FailureKind::Reported,
                        message: format!("{} has no datum for these parameters", self.simulator.name()),
                        attempts: 1,
                    });
                    let x = failure.as_ref().map_or_else(|| Ok(&piece.x[row * features..][..features]), Err);
                    if each(Completed { position, index, theta: &piece.theta[row * d..][..d], x }).is_break() {
                        halted.store(true, Ordering::Relaxed);
                    }
                }
            }
        });
        let stopped = request.stop.load(Ordering::Relaxed) || halted.load(Ordering::Relaxed);
        Ok(if stopped { Ending::Stopped } else { Ending::Complete })
    }
}

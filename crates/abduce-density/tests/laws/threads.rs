//! Same bytes for any number of threads, and for both schedules of a step.

use super::cases::{self, Case};
use abduce_data::Seed;
use abduce_kernels::{Simd, Threads};
use abduce_nn::{ActivationName, Compute, EmbeddingSpec, Frame, Step};
use std::ops::Range;

const BATCHES: [usize; 5] = [1, 15, 50, 200, 333];

fn all() -> impl Iterator<Item = Case> {
    let fcn = EmbeddingSpec::Fcn { hidden: vec![6, 3], activation: ActivationName::SiLU };
    cases::families().into_iter().map(move |density| Case::new(density, 5, 4, fcn.clone(), 333))
}

fn crews() -> [Compute; 3] {
    [1, 2, 3].map(|count| Compute { simd: Simd::best(), threads: Threads::new(count) })
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn log_prob_and_draws_do_not_depend_on_threads() {
    for case in all() {
        let results = crews().map(|compute| {
            let draws = case.estimator.sample(&compute, &case.params, &case.x[..12], &[333, 1, 200], Seed(2));
            let (_, gradient) = case.estimator.log_prob_gradient(&compute, &case.params, &case.theta, &case.x, |row| row);
            [bits(&case.log_prob(&compute)), bits(&draws), bits(&gradient)]
        });
        assert!(results[0] == results[1] && results[0] == results[2], "{}", case.name);
    }
}

/// Mean of -log q over the rows of one chunk, and its gradient.
fn chunk_loss(rows: usize, batch: usize, frame: &mut Frame) -> f64 {
    let part: f64 = frame.output(0)[..rows].iter().map(|&l| -f64::from(l)).sum();
    let seed = frame.output_gradient_mut(0);
    seed.fill(0.0);
    seed[..rows].fill(-1.0 / batch as f32);
    part / batch as f64
}

#[test]
fn training_gradients_depend_on_neither_threads_nor_schedule() {
    for case in all() {
        let layout = case.estimator.layout();
        let run = |threads: &Threads, batch: usize, fused: bool| {
            let mut step = Step::new(case.estimator.joint(), layout.len(), layout.gradient_mask(), Simd::best(), threads);
            let fill = |rows: Range<usize>, frame: &mut Frame| case.fill(rows, frame);
            // Twice, so that what one step leaves behind would show in the next.
            let mut results = [0, 1].map(|_| {
                let (loss, norm) = if fused {
                    step.fused(&case.params, batch, fill, |rows, frame| chunk_loss(rows.len(), batch, frame))
                } else {
                    step.split(&case.params, batch, fill, |frames| frames.iter_mut().map(|f| chunk_loss(f.rows(), batch, f)).sum())
                };
                (loss.to_bits(), norm.to_bits(), bits(step.gradient()))
            });
            assert!(results[0] == results[1], "{}: a second step with the same data differs", case.name);
            std::mem::take(&mut results[0])
        };
        for batch in BATCHES {
            let one = run(&Threads::single(), batch, true);
            for count in [2, 3] {
                assert!(one == run(&Threads::new(count), batch, true), "{}: fused, batch {batch}, {count} threads", case.name);
            }
            for count in [1, 2, 3] {
                assert!(one == run(&Threads::new(count), batch, false), "{}: split, batch {batch}, {count} threads", case.name);
            }
        }
    }
}

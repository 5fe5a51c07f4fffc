//! Training sets of independent simulations.

use super::{Outcome, Simulator};
use abduce_data::Seed;
use std::num::NonZeroUsize;
use std::ops::Range;

/// n independent draws of (θ, x), row-major: a whole table, or consecutive rows of one.
#[derive(Clone, Debug)]
pub struct SimulatedTable {
    /// Number of rows n.
    pub rows: usize,
    /// (n, d) parameters.
    pub theta: Vec<f32>,
    /// (n, …) data; a failed row is NaN throughout.
    pub x: Vec<f32>,
    /// Indices in the whole table of the failed rows, increasing.
    pub failed: Vec<usize>,
}

/// Draws `rows` pairs. Row i comes from the stream ("simulate", i) of the seed: a longer table begins with the shorter one, and the number of
/// threads changes nothing.
pub fn simulate_table(simulator: &dyn Simulator, rows: usize, seed: Seed, threads: NonZeroUsize) -> SimulatedTable {
    simulate_range(simulator, 0..rows, seed, threads)
}

/// The rows `range` of the table that [`simulate_table`] draws from this seed: what a table is cut into makes no difference to its rows.
pub fn simulate_range(simulator: &dyn Simulator, range: Range<usize>, seed: Seed, threads: NonZeroUsize) -> SimulatedTable {
    let rows = range.len();
    let parameters = simulator.prior().parameters();
    let features: usize = simulator.data_shape().iter().product();
    let mut theta = vec![0.0f32; rows * parameters];
    let mut x = vec![0.0f32; rows * features];
    let chunk = rows.div_ceil(threads.get()).max(1);
    let failed = std::thread::scope(|scope| {
        let parts: Vec<_> = theta
            .chunks_mut(chunk * parameters)
            .zip(x.chunks_mut(chunk * features))
            .enumerate()
            .map(|(part, (theta, x))| scope.spawn(move || simulate_rows(simulator, seed, range.start + part * chunk, theta, x)))
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    SimulatedTable { rows, theta, x, failed }
}

/// Fills consecutive rows, the first of which has index `first`; returns the failed ones.
fn simulate_rows(simulator: &dyn Simulator, seed: Seed, first: usize, theta: &mut [f32], x: &mut [f32]) -> Vec<usize> {
    let parameters = simulator.prior().parameters();
    let features: usize = simulator.data_shape().iter().product();
    let mut exact = vec![0.0; parameters];
    let mut failed = Vec::new();
    for (row, (theta, x)) in theta.chunks_exact_mut(parameters).zip(x.chunks_exact_mut(features)).enumerate() {
        let row = first + row;
        let mut rng = seed.stream("simulate", row as u64);
        if simulator.draw(&mut rng, &mut exact, x) == Outcome::Failed {
            x.fill(f32::NAN);
            failed.push(row);
        }
        for (stored, exact) in theta.iter_mut().zip(&exact) {
            *stored = *exact as f32;
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::{named, names};

    #[test]
    fn every_name_is_found_and_draws_fit_their_shapes() {
        for &name in names() {
            let simulator = named(name).unwrap();
            assert_eq!(simulator.name(), name);
            let d = simulator.prior().parameters();
            assert_eq!(simulator.parameters().len(), d, "{name}");
            let table = simulate_table(simulator.as_ref(), 50, Seed(1), NonZeroUsize::MIN);
            assert!(table.failed.is_empty(), "{name}: {:?}", table.failed);
            assert!(table.x.iter().all(|value| value.is_finite()), "{name}");
            for row in table.theta.chunks_exact(d) {
                let row: Vec<f64> = row.iter().copied().map(f64::from).collect();
                assert!(simulator.prior().contains(&row), "{name}: {row:?}");
            }
        }
        assert!(named("two_moon").is_none());
    }

    #[test]
    fn threads_and_length_change_no_row() {
        let simulator = named("sir").unwrap();
        let one = simulate_table(simulator.as_ref(), 23, Seed(4), NonZeroUsize::MIN);
        let three = simulate_table(simulator.as_ref(), 40, Seed(4), NonZeroUsize::new(3).unwrap());
        assert_eq!(one.theta[..], three.theta[..one.theta.len()]);
        assert_eq!(one.x[..], three.x[..one.x.len()]);
    }

    #[test]
    fn a_range_is_a_part_of_the_table() {
        let simulator = named("slcp").unwrap();
        let whole = simulate_table(simulator.as_ref(), 40, Seed(4), NonZeroUsize::MIN);
        let part = simulate_range(simulator.as_ref(), 13..31, Seed(4), NonZeroUsize::new(3).unwrap());
        assert_eq!((part.rows, &part.theta[..], &part.x[..]), (18, &whole.theta[13 * 5..31 * 5], &whole.x[13 * 8..31 * 8]));
    }

    #[test]
    fn no_rows_is_an_empty_table() {
        let table = simulate_table(named("two_moons").unwrap().as_ref(), 0, Seed(0), NonZeroUsize::MIN);
        assert!(table.theta.is_empty() && table.x.is_empty());
    }
}

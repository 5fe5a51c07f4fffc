//! A set of simulations in two npy files that grows round by round: LtU-ILI's SBISimulator.

use super::rows::{Ending, Failure, RowSimulator, SimulationError, Theta, simulate_rows};
use crate::prior::Prior;
use abduce_data::{Array, DataError, Rng, Seed, pair_files};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// What parameters are drawn from in a round of sequential inference: the prior at first, then the posterior at the observation.
pub trait Proposal {
    /// One draw into `theta`.
    fn sample(&self, rng: &mut Rng, theta: &mut [f64]);
}

impl Proposal for Prior {
    fn sample(&self, rng: &mut Rng, theta: &mut [f64]) {
        Self::sample(self, rng, theta);
    }
}

impl<F: Fn(&mut Rng, &mut [f64])> Proposal for F {
    fn sample(&self, rng: &mut Rng, theta: &mut [f64]) {
        self(rng, theta);
    }
}

/// What happens to new simulations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Saving {
    /// They stay in memory.
    #[default]
    Memory,
    /// After each round both files are rewritten with all rows, so that a reader, or a process after a kill, finds a whole set.
    Files {
        /// θ (N, d).
        theta: PathBuf,
        /// x (N, …).
        x: PathBuf,
    },
}

/// All simulations so far, and the means to make more.
///
/// Row i of the set has the global index i: θ is drawn from the proposal with the stream ("proposal", i) of the seed, x comes from the simulator
/// with that seed and index. A failed simulation is a row of NaN, as everywhere.
pub struct SimulationSet<'a> {
    simulator: &'a dyn RowSimulator,
    per_round: usize,
    seed: Seed,
    saving: Saving,
    rows: Option<(Array, Array)>,
    rounds: Vec<u32>,
}

/// What one round added.
#[derive(Clone, Debug)]
pub struct Round {
    /// θ (n, d).
    pub theta: Array,
    /// x (n, …).
    pub x: Array,
    /// Failures; their ids are rows of the whole set.
    pub failures: Vec<Failure>,
    /// Stopped means fewer rows than asked for.
    pub ending: Ending,
}

/// What can be wrong with a set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// A file that cannot be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// No simulation is possible.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// Stored rows that this simulator does not make.
    #[error("the stored {what} has rows of shape {found:?}, the simulator's have {expected:?}")]
    Shape {
        /// `theta` or `x`.
        what: &'static str,
        /// Shape of a stored row.
        found: Vec<usize>,
        /// Shape of the simulator's.
        expected: Vec<usize>,
    },
}

impl<'a> SimulationSet<'a> {
    /// A set that grows by `per_round` simulations a round. `stored` are the files of earlier simulations, θ and x, which need not exist (the first
    /// round is then simulated); they count as round 0.
    pub fn open(
        simulator: &'a dyn RowSimulator,
        per_round: usize,
        seed: Seed,
        stored: Option<(PathBuf, PathBuf)>,
        saving: Saving,
    ) -> Result<Self, SetError> {
        let rows = match &stored {
            Some((theta, x)) => pair_files::read(theta, x)?,
            None => None,
        };
        let set = Self { simulator, per_round, seed, saving, rounds: vec![0; rows.as_ref().map_or(0, |(theta, _)| theta.rows())], rows };
        if let Some((theta, x)) = &set.rows {
            set.check("theta", theta, &[set.simulator.prior().parameters()])?;
            if let Some(shape) = set.simulator.data_shape() {
                set.check("x", x, &shape)?;
            }
        }
        Ok(set)
    }

    fn check(&self, what: &'static str, rows: &Array, expected: &[usize]) -> Result<(), SetError> {
        // One value per row may stand without an axis of its own.
        let scalar = rows.row_shape().is_empty() && expected == [1];
        if rows.row_shape() == expected || scalar {
            return Ok(());
        }
        Err(SetError::Shape { what, found: rows.row_shape().to_vec(), expected: expected.to_vec() })
    }

    /// Number of rows so far.
    pub fn len(&self) -> usize {
        self.rounds.len()
    }

    /// Whether there is no row yet.
    pub fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }

    /// θ (N, d) and x (N, …) of all rounds; none before the first.
    pub fn rows(&self) -> Option<(&Array, &Array)> {
        self.rows.as_ref().map(|(theta, x)| (theta, x))
    }

    /// The round of each row; stored rows are of round 0.
    pub fn rounds(&self) -> &[u32] {
        &self.rounds
    }

    /// Draws θ from `proposal`, simulates, appends and saves. Where the work is stopped early the rows before the first gap are kept, so that going
    /// on gives the same set.
    pub fn simulate(&mut self, proposal: &dyn Proposal, stop: &AtomicBool) -> Result<Round, SetError> {
        let d = self.simulator.prior().parameters();
        let first = self.len();
        let mut theta = Vec::with_capacity(self.per_round * d);
        let mut exact = vec![0.0; d];
        for row in first..first + self.per_round {
            proposal.sample(&mut self.seed.stream("proposal", row as u64), &mut exact);
            theta.extend(exact.iter().map(|&value| value as f32));
        }
        let rows = simulate_rows(self.simulator, Theta::Given(&theta), first as u64, self.per_round, self.seed, stop)?;
        let kept = rows.leading();
        let ending = if kept == self.per_round { Ending::Complete } else { Ending::Stopped };
        let (theta, x) = (rows.theta.select_rows(0..kept), rows.x.select_rows(0..kept));
        let mut failures = rows.failures;
        failures.retain(|failure| failure.id < (first + kept) as u64);
        if kept > 0 {
            self.append(&theta, &x)?;
        }
        Ok(Round { theta, x, failures, ending })
    }

    fn append(&mut self, theta: &Array, x: &Array) -> Result<(), SetError> {
        let next = self.rounds.last().map_or(0, |last| last + 1);
        let (all_theta, all_x) = match self.rows.take() {
            None => (theta.clone(), x.clone()),
            Some((old_theta, old_x)) => {
                if let Err(error) = self.check("x", &old_x, x.row_shape()) {
                    self.rows = Some((old_theta, old_x));
                    return Err(error);
                }
                (joined(old_theta, theta)?, joined(old_x, x)?)
            }
        };
        self.rounds.resize(all_theta.rows(), next);
        let (all_theta, all_x) = self.rows.insert((all_theta, all_x));
        if let Saving::Files { theta, x } = &self.saving {
            pair_files::write(theta, x, all_theta, all_x)?;
        }
        Ok(())
    }
}

fn joined(first: Array, second: &Array) -> Result<Array, DataError> {
    let shape = std::iter::once(first.rows() + second.rows()).chain(second.row_shape().iter().copied()).collect();
    let mut values = first.into_data();
    values.extend_from_slice(second.data());
    Array::new(shape, values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::{InProcess, named};
    use std::num::NonZeroUsize;

    fn toy() -> InProcess {
        InProcess::new(named("ltu_ili_toy").unwrap(), NonZeroUsize::MIN)
    }

    #[test]
    fn rounds_append_and_are_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let (theta, x) = (dir.path().join("theta.npy"), dir.path().join("x.npy"));
        let simulator = toy();
        let open = || {
            let saving = Saving::Files { theta: theta.clone(), x: x.clone() };
            SimulationSet::open(&simulator, 30, Seed(4), Some((theta.clone(), x.clone())), saving).unwrap()
        };
        let go_on = AtomicBool::new(false);
        let narrow = |rng: &mut Rng, theta: &mut [f64]| theta.fill_with(|| 0.5 + 0.01 * rng.uniform());
        let mut set = open();
        assert!(set.is_empty() && set.rows().is_none());
        set.simulate(simulator.prior(), &go_on).unwrap();
        let round = set.simulate(&narrow, &go_on).unwrap();
        assert_eq!((round.theta.shape(), round.x.shape(), set.len()), (&[30, 3][..], &[30, 10][..], 60));
        assert!(round.theta.data().iter().all(|value| (0.5..0.52).contains(value)));
        assert_eq!((set.rounds()[29], set.rounds()[30]), (0, 1));

        // A set that is found again goes on as the one that was not interrupted.
        let mut again = open();
        assert_eq!(again.rows(), set.rows());
        let (a, b) = (set.simulate(&narrow, &go_on).unwrap(), again.simulate(&narrow, &go_on).unwrap());
        assert_eq!((a.theta, a.x), (b.theta, b.x));
        assert_eq!(open().len(), 90);
    }

    #[test]
    fn memory_writes_nothing_and_a_stop_leaves_the_set_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let stored = (dir.path().join("theta.npy"), dir.path().join("x.npy"));
        let simulator = toy();
        let mut set = SimulationSet::open(&simulator, 10, Seed(4), Some(stored), Saving::Memory).unwrap();
        let round = set.simulate(simulator.prior(), &AtomicBool::new(true)).unwrap();
        assert_eq!((round.ending, set.len()), (Ending::Stopped, 0));
        set.simulate(simulator.prior(), &AtomicBool::new(false)).unwrap();
        assert_eq!(set.len(), 10);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn stored_rows_of_another_simulator_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (theta, x) = (dir.path().join("theta.npy"), dir.path().join("x.npy"));
        let simulator = toy();
        let open = || SimulationSet::open(&simulator, 10, Seed(4), Some((theta.clone(), x.clone())), Saving::Memory).err();
        pair_files::write(&theta, &x, &Array::filled(&[5, 2], 0.0).unwrap(), &Array::filled(&[5, 10], 0.0).unwrap()).unwrap();
        assert!(open().unwrap().to_string().contains("the stored theta has rows of shape [2], the simulator's have [3]"));
        pair_files::write(&theta, &x, &Array::filled(&[6, 3], 0.0).unwrap(), &Array::filled(&[6, 4], 0.0).unwrap()).unwrap();
        assert!(open().unwrap().to_string().contains("the stored x has rows of shape [4]"));
        std::fs::remove_file(&x).unwrap();
        assert!(matches!(open(), Some(SetError::Data(DataError::Io { .. }))));
    }
}

//! Sequential inference: simulations are drawn, round after round, where the posterior of one observation is.
//!
//! | strategy | loss from round 2 on | proposal |
//! |---|---|---|
//! | SNPE-C | atomic (Greenberg et al. 2019, arXiv:1905.07488) | q(θ \| x_o) |
//! | SNPE-A | plain, of this round alone, corrected for the proposal (Papamakarios & Murray 2016, arXiv:1605.06376) | Gaussian around q(θ \| x_o) |
//! | SNPE-B | plain, weighted by p(θ)/p̃(θ) (Lueckmann et al. 2017, arXiv:1711.01861) | q(θ \| x_o) |
//! | TSNPE | plain (Deistler et al. 2022, arXiv:2210.04815) | prior cut to the highest-density region of q(θ \| x_o) |
//! | SNLE | plain (Papamakarios et al. 2019, arXiv:1805.07226) | chains on q(x_o \| θ) p(θ) |
//! | SNRE | that of the ratio (Hermans et al. 2020, arXiv:1903.04057) | chains on r(x_o, θ) p(θ) |
//!
//! But for SNPE-A all rounds are pooled (the first may be left out, see [`FirstRound`]). The first draws from the prior and trains as the engine without rounds does. The result is valid for this observation
//! alone. Every round is handed to a [`Rounds`] when it is finished, and finished rounds are not computed again.

mod proposal;

use crate::posterior::{ChainError, ChainOptions, Posterior, PosteriorError};
use crate::prior::Prior;
use crate::simulator::Simulate;
use crate::training::{
    Checkpoints, Drawn, Engine, NetSpec, NoCheckpoints, Observer, RatioLoss, Trained, TrainingError, TrainingTask, train_ensemble,
};
use abduce_data::{Array, DataError, PairSource, ParameterInfo, Scaling, Seed, Split};
use abduce_nn::Compute;
use abduce_nn::trainer::{Progress, TrainConfig};
use proposal::{Proposed, pooled_weights, propose};

/// How rounds follow from one another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strategy {
    /// SNPE-C.
    Atomic {
        /// θ that each datum is tried with.
        atoms: usize,
        /// What the loss is made of.
        loss: AtomicLoss,
    },
    /// SNPE-A: what is learnt from simulations of a Gaussian is divided by it, so that from the second round on the posterior is known up to a constant and
    /// drawn from by chains.
    Corrected,
    /// SNPE-B: the weights are those of all rounds together.
    Weighted,
    /// TSNPE.
    Truncated {
        /// Posterior mass that is cut off: 1e-4 is usual.
        cut: f64,
    },
    /// SNLE.
    Likelihood,
    /// SNRE.
    Ratio(RatioLoss),
}

/// The loss of SNPE-C from the second round on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtomicLoss {
    /// The atomic loss of all pairs.
    Atoms,
    /// And the plain loss of the pairs that come from the prior (sbi's `use_combined_loss`).
    WithPriorPairs,
}

/// Where the networks of a round start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// From the last round's weights and scalings.
    Warm,
    /// Anew, scaled to all pairs so far.
    FromScratch,
}

/// What becomes of the first round's simulations, which are drawn from the prior.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstRound {
    /// They train all rounds.
    #[default]
    Kept,
    /// Later rounds train on later simulations alone (sbi's `discard_prior_samples`): those far from the observation no longer take a part of the
    /// network.
    Discarded,
}

/// What to infer, and how.
#[derive(Debug)]
pub struct SequentialTask<'a> {
    /// How rounds follow.
    pub strategy: Strategy,
    /// Number of rounds.
    pub rounds: usize,
    /// Simulations of each round.
    pub simulations: usize,
    /// The observation (one datum).
    pub x_obs: &'a [f32],
    /// Shape of a datum.
    pub x_shape: &'a [usize],
    /// Name of the run; may be empty.
    pub name: &'a str,
    /// The prior.
    pub prior: &'a Prior,
    /// Names of the parameters.
    pub parameters: &'a [ParameterInfo],
    /// The networks.
    pub nets: &'a [NetSpec],
    /// How they are trained in the last round.
    pub train: TrainConfig,
    /// And in the rounds before it, which only have to find where to simulate next.
    pub train_before: TrainConfig,
    /// Share of the pairs held out, split anew each round.
    pub validation_fraction: f64,
    /// Where networks start.
    pub restart: Restart,
    /// Whether the first round's simulations train later ones.
    pub first_round: FirstRound,
    /// How chains draw proposals.
    pub chains: ChainOptions,
    /// How x is scaled.
    pub x_scaling: Scaling,
    /// Seed of the run.
    pub seed: Seed,
}

/// A finished round.
#[derive(Clone, Debug)]
pub struct Round {
    /// Parameters of this round's simulations (n, d).
    pub theta: Array,
    /// Their data (n, …); rows that failed are NaN.
    pub x: Array,
    /// The posterior after it.
    pub posterior: Posterior,
    /// Histories of its networks.
    pub progress: Vec<Progress>,
}

/// Where finished rounds are kept.
pub trait Rounds {
    /// Round `round`, counted from 0, if it was finished before.
    ///
    /// # Errors
    /// It is there but can't be read.
    fn load(&self, round: usize) -> Result<Option<Round>, SequentialError>;

    /// Keeps a finished round.
    ///
    /// # Errors
    /// It can't be written.
    fn keep(&self, round: usize, finished: &Round) -> Result<(), SequentialError>;

    /// Checkpoints of the networks of a round in training.
    fn checkpoints(&self, round: usize) -> &dyn Checkpoints;
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoRounds;

impl Rounds for NoRounds {
    fn load(&self, _round: usize) -> Result<Option<Round>, SequentialError> {
        Ok(None)
    }
    fn keep(&self, _round: usize, _finished: &Round) -> Result<(), SequentialError> {
        Ok(())
    }
    fn checkpoints(&self, _round: usize) -> &dyn Checkpoints {
        &NoCheckpoints
    }
}

/// Why sequential inference failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SequentialError {
    /// A number that makes no sense.
    #[error("{what} is {value}, expected {expected}")]
    Option {
        /// The quantity.
        what: &'static str,
        /// Its value.
        value: f64,
        /// What is expected.
        expected: &'static str,
    },
    /// The cut prior is too small a part of the prior to be drawn from.
    #[error(
        "of {tried} draws from the prior {accepted} lie in the posterior's region, {wanted} are wanted: use engine SNPE, or fewer simulations"
    )]
    Acceptance {
        /// Draws from the prior.
        tried: usize,
        /// Of them in the region.
        accepted: usize,
        /// Wanted.
        wanted: usize,
    },
    /// The simulator failed as a whole.
    #[error("round {round}: {reason}")]
    Simulator {
        /// The round, from 1.
        round: usize,
        /// Why.
        reason: String,
    },
    /// Training failed.
    #[error("round {round}: {source}")]
    Train {
        /// The round, from 1.
        round: usize,
        /// Why.
        source: TrainingError,
    },
    /// The posterior of a round has no width in some direction, so that no Gaussian is like it.
    #[error(
        "round {round}: the posterior's draws do not vary in parameter {parameter} on its own, so that no Gaussian can propose simulations"
    )]
    Flat {
        /// The round whose proposal it was, from 1.
        round: usize,
        /// The first such parameter.
        parameter: usize,
    },
    /// A density over angles, where a Gaussian proposal has no meaning.
    #[error("SNPE-A proposes from a Gaussian, which densities over angles (ncsf) do not know: use engine SNPE")]
    Angles,
    /// Drawing a proposal failed.
    #[error("round {round}: {source}")]
    Proposal {
        /// The round whose proposal it was, from 1.
        round: usize,
        /// Why.
        source: ChainError,
    },
    /// The posterior could not be asked.
    #[error(transparent)]
    Posterior(#[from] PosteriorError),
    /// Files.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// Runs all rounds.
///
/// # Errors
/// See [`SequentialError`].
pub fn train_sequential(
    task: &SequentialTask<'_>,
    compute: &Compute,
    simulate: &mut Simulate<'_>,
    rounds: &dyn Rounds,
    observer: &dyn Observer,
) -> Result<Trained, SequentialError> {
    let check = |what, value: usize| {
        let error = || SequentialError::Option { what, value: value as f64, expected: "at least 1" };
        (value > 0).then_some(()).ok_or_else(error)
    };
    check("the number of rounds", task.rounds)?;
    check("the number of simulations per round", task.simulations)?;
    if task.strategy == Strategy::Corrected && task.nets.iter().any(|net| net.network.space() != abduce_density::Space::Reals) {
        return Err(SequentialError::Angles);
    }
    let (d, width) = (task.prior.parameters(), task.x_obs.len());
    // Whose proposals the rounds after the first came from, for SNPE-B.
    let mut earlier = Vec::new();
    let (mut theta, mut x): (Vec<f32>, Vec<f32>) = (Vec::new(), Vec::new());
    let mut trained: Option<Trained> = None;
    for round in 0..task.rounds {
        if task.strategy == Strategy::Weighted {
            earlier.extend(trained.as_ref().map(|trained| trained.posterior.clone()));
        }
        if let Some(finished) = rounds.load(round)? {
            theta.extend_from_slice(finished.theta.data());
            x.extend_from_slice(finished.x.data());
            trained = Some(Trained {
                posterior: finished.posterior,
                progress: finished.progress,
                constant_features: Vec::new(),
                information: None,
            });
            continue;
        }
        let last = trained.as_ref().map(|trained| &trained.posterior);
        let seed = task.seed.derive("round", round as u64);
        let Proposed { theta: new_theta, gaussian } = propose(task, last, compute, round, seed.derive("propose", 0))?;
        let new_x = simulate(&new_theta, theta.len() / d).map_err(|reason| SequentialError::Simulator { round: round + 1, reason })?;
        if new_x.len() != new_theta.len() / d * width {
            let reason = format!("the simulator gave {} numbers for {} simulations of {width}", new_x.len(), new_theta.len() / d);
            return Err(SequentialError::Simulator { round: round + 1, reason });
        }
        theta.extend_from_slice(&new_theta);
        x.extend_from_slice(&new_x);
        let mut next = train_round(task, (&theta, &x), (last, &earlier), compute, round, rounds.checkpoints(round), observer, seed)?;
        if let Some(gaussian) = &gaussian {
            next.posterior = next.posterior.corrected(gaussian)?;
        }
        let rows = new_theta.len() / d;
        let finished = Round {
            theta: Array::new(vec![rows, d], new_theta)?,
            x: Array::new(shape(rows, task.x_shape), new_x)?,
            posterior: next.posterior.clone(),
            progress: next.progress.clone(),
        };
        rounds.keep(round, &finished)?;
        trained = Some(next);
    }
    // There was at least one round.
    trained.ok_or(SequentialError::Option { what: "the number of rounds", value: 0.0, expected: "at least 1" })
}

fn shape(rows: usize, datum: &[usize]) -> Vec<usize> {
    [rows].into_iter().chain(datum.iter().copied()).collect()
}

fn train_round(
    task: &SequentialTask<'_>,
    (theta, x): (&[f32], &[f32]),
    (last, earlier): (Option<&Posterior>, &[Posterior]),
    compute: &Compute,
    round: usize,
    checkpoints: &dyn Checkpoints,
    observer: &dyn Observer,
    seed: Seed,
) -> Result<Trained, SequentialError> {
    let d = task.prior.parameters();
    // Every round has as many simulations as the first.
    let left_out = match (task.strategy, task.first_round) {
        (Strategy::Corrected, _) => round * task.simulations,
        (_, FirstRound::Discarded) if round > 0 => task.simulations,
        _ => 0,
    };
    let (theta, x) = (&theta[left_out * d..], &x[left_out * task.x_obs.len()..]);
    let rows = theta.len() / d;
    let source = PairSource::from_arrays(Array::new(vec![rows, d], theta.to_vec())?, Array::new(shape(rows, task.x_shape), x.to_vec())?)?;
    let split = Split::by_fraction(source.kept(), task.validation_fraction, seed)?;
    let engine = match task.strategy {
        Strategy::Atomic { .. } | Strategy::Truncated { .. } if round == 0 => Engine::Npe,
        Strategy::Atomic { atoms, loss } => {
            let prior_rows = if loss == AtomicLoss::WithPriorPairs { task.simulations - left_out } else { 0 };
            Engine::Atomic { atoms, prior_rows }
        }
        Strategy::Truncated { .. } | Strategy::Corrected | Strategy::Weighted => Engine::Npe,
        Strategy::Likelihood => Engine::Nle,
        Strategy::Ratio(loss) => Engine::Nre(loss),
    };
    let start = last.filter(|_| task.restart == Restart::Warm).map(Posterior::uncorrected);
    let weights = if earlier.is_empty() { None } else { Some(pooled_weights(task, earlier, theta, compute)?) };
    let ensemble = TrainingTask {
        engine,
        name: task.name,
        prior: task.prior,
        proposal: weights.as_deref().map(Drawn::Weighted),
        parameters: task.parameters,
        source: &source,
        split: &split,
        nets: task.nets,
        train: if round + 1 == task.rounds { task.train } else { task.train_before },
        x_scaling: task.x_scaling,
        buffer_bytes: abduce_data::batches::BUFFER_BYTES,
        start: start.as_ref(),
        seed,
    };
    let trained = train_ensemble(&ensemble, compute, checkpoints, observer);
    let trained = trained.map_err(|source| SequentialError::Train { round: round + 1, source })?;
    // An information curve compares with the prior, which the simulations of later rounds are not drawn from.
    Ok(Trained { information: None, ..trained })
}

//! Neural posterior estimation: minimise -Σ w_i log q(θ_i | x_i) over simulated pairs (Papamakarios and Murray 2016, arXiv:1605.06376).
//!
//! w_i = p(θ_i)/p̃(θ_i) where the simulations were drawn from a proposal p̃ instead of the prior p (Lueckmann et al. 2017,
//! arXiv:1711.01861, without their kernel), scaled to a mean of 1; all 1 otherwise. Networks see z, the standardised unconstrained
//! parameters (for a density over angles: each parameter's interval as one turn, from -π to π), and standardised data; statistics come from the
//! training rows alone.

#[cfg(test)]
mod angles;
mod checkpoint;
mod encode;
mod ensemble;

pub use checkpoint::{CheckpointFiles, Checkpoints, NoCheckpoints};
pub use ensemble::stacking_weights;

use crate::posterior::{FeatureRange, Member, Posterior, PosteriorError};
use crate::prior::Prior;
use abduce_data::{DataError, PairSource, ParameterInfo, Scaling, Seed, Split};
use abduce_density::{Architecture, DensitySpec, Estimator, SpecError};
use abduce_nn::trainer::{Ending, TrainConfig, TrainError, TrainState, train};
use abduce_nn::{Compute, EmbeddingSpec};
use encode::{Encoder, PairRows};
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One network of the ensemble.
#[derive(Clone, Debug, PartialEq)]
pub struct NetSpec {
    /// The density.
    pub density: DensitySpec,
    /// The network between data and density.
    pub embedding: EmbeddingSpec,
    /// A word that tells it from the others; may be empty.
    pub signature: String,
}

/// What to train, and on what.
#[derive(Debug)]
pub struct NpeTask<'a> {
    /// Name of the run; may be empty.
    pub name: &'a str,
    /// The prior.
    pub prior: &'a Prior,
    /// What θ was drawn from, where that is not the prior.
    pub proposal: Option<&'a Prior>,
    /// Names of the parameters.
    pub parameters: &'a [ParameterInfo],
    /// The simulations.
    pub source: &'a PairSource,
    /// Which of them train and which validate, for all networks alike.
    pub split: &'a Split,
    /// The networks.
    pub nets: &'a [NetSpec],
    /// How they are trained.
    pub train: TrainConfig,
    /// How x is scaled.
    pub x_scaling: Scaling,
    /// Memory for mixing rows of sources in files, shared by the networks.
    pub buffer_bytes: usize,
    /// Seed of the run.
    pub seed: Seed,
}

/// Why training failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpeError {
    /// θ and the prior have different dimensions.
    #[error("theta has {theta} columns but the prior has {prior} parameters")]
    Dimension {
        /// Columns of theta.
        theta: usize,
        /// Parameters of the prior.
        prior: usize,
    },
    /// Some θ lie outside the prior's support.
    #[error(
        "{count} of {rows} rows of theta lie outside the prior; the first is row {row}, where {parameter} = {value} is not in [{low}, {high}]"
    )]
    OutsidePrior {
        /// How many.
        count: usize,
        /// Of how many.
        rows: usize,
        /// The first such row.
        row: usize,
        /// Its first offending parameter.
        parameter: String,
        /// The value.
        value: f32,
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// A parameter does not vary, so there is nothing to infer.
    #[error("the parameter {0} has the same value in every training row: remove it from theta and from the prior")]
    ConstantParameter(String),
    /// A density over angles for a parameter that has no period.
    #[error("a density over angles (ncsf) takes the bounds of each parameter's prior as one and the same point, but {0} has none")]
    NotPeriodic(String),
    /// Densities over angles beside densities over the real line.
    #[error("densities over angles (ncsf) can't stand in one ensemble with others: train them in a run of their own")]
    MixedSpaces,
    /// No network is asked for.
    #[error("the list of networks is empty")]
    NoNets,
    /// A network can't be built.
    #[error("net {net}: {source}")]
    Spec {
        /// Its index.
        net: usize,
        /// Why.
        source: SpecError,
    },
    /// A network can't be trained.
    #[error("net {net}: {source}")]
    Train {
        /// Its index.
        net: usize,
        /// Why.
        source: TrainError<DataError>,
    },
    /// Stopped on request; what was reached is in the checkpoints.
    #[error("training was stopped; it can be resumed")]
    Interrupted,
    /// Files.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Scoring the members failed.
    #[error(transparent)]
    Posterior(#[from] PosteriorError),
}

/// What is seen of training from outside. Called from the threads that train.
pub trait Observer: Sync {
    /// After an epoch of network `net`. Breaking stops all networks after their current epoch.
    fn epoch(&self, net: usize, state: &TrainState) -> ControlFlow<()>;
}

/// Sees nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Observer for Silent {
    fn epoch(&self, _net: usize, _state: &TrainState) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// A trained ensemble and how each network got there.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The posterior.
    pub posterior: Posterior,
    /// Histories, in the order of the networks; scores are log-densities of θ in nats.
    pub progress: Vec<abduce_nn::trainer::Progress>,
    /// Features of x that do not vary.
    pub constant_features: Vec<usize>,
}

/// Trains all networks and weighs them by stacking on the validation rows.
///
/// With several networks and threads each network has a thread of its own; a single network spreads its batches over the threads. Results
/// do not depend on that.
///
/// # Errors
/// See [`NpeError`].
pub fn train_npe(
    task: &NpeTask<'_>,
    compute: &Compute,
    checkpoints: &dyn Checkpoints,
    observer: &dyn Observer,
) -> Result<Trained, NpeError> {
    if task.nets.is_empty() {
        return Err(NpeError::NoNets);
    }
    let encoder = Encoder::fit(task)?;
    let encoded = encoder.encode_in_memory(task.source)?;
    let source = encoded.as_ref().unwrap_or(task.source);
    let (d, context) = (task.source.theta_len(), task.source.x_len());
    let estimators = task.nets.iter().enumerate().map(|(net, spec)| {
        let architecture = Architecture { density: spec.density.clone(), embedding: spec.embedding.clone(), features: d, context };
        Estimator::new(architecture).map_err(|source| NpeError::Spec { net, source })
    });
    let estimators = estimators.collect::<Result<Vec<_>, _>>()?;

    let train_one = |net: usize, compute: &Compute| -> Result<TrainState, NpeError> {
        let seed = task.seed.derive("train", net as u64);
        let estimator = &estimators[net];
        let mut state = checkpoints.load(net)?.unwrap_or_else(|| TrainState::new(estimator.layout(), seed));
        let buffer = task.buffer_bytes / task.nets.len();
        let converter = encoded.is_none().then_some(&encoder);
        let mut training = PairRows::new(source, &task.split.train, task.train.batch_size, buffer, seed, converter, &encoder)?;
        // Validation runs in the order of the file, in batches of a fixed size.
        let mut validation = PairRows::new(source, &task.split.validation, 1024, buffer, seed, converter, &encoder)?.in_order();
        let mut failed = None;
        let ending =
            train(estimator.joint(), estimator.layout(), compute, &task.train, (&mut training, &mut validation), &mut state, |state| {
                if let Err(error) = checkpoints.save(net, state) {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
                observer.epoch(net, state)
            });
        match (failed, ending) {
            (Some(error), _) => Err(error.into()),
            (None, Err(source)) => Err(NpeError::Train { net, source }),
            (None, Ok(Ending::Interrupted)) => {
                checkpoints.keep(net, &state)?;
                Err(NpeError::Interrupted)
            }
            (None, Ok(Ending::Finished)) => {
                checkpoints.keep(net, &state)?;
                Ok(state)
            }
        }
    };
    let states = if task.nets.len() == 1 || compute.threads.count() == 1 {
        (0..task.nets.len()).map(|net| train_one(net, compute)).collect::<Result<Vec<_>, _>>()?
    } else {
        one_per_thread(task.nets.len(), compute, &train_one)?
    };

    let members: Vec<Member> = estimators
        .into_iter()
        .zip(&states)
        .zip(task.nets)
        .map(|((estimator, state), net)| Member { estimator, params: state.best.clone(), signature: net.signature.clone() })
        .collect();
    let weights = ensemble::weigh(&members, source, &task.split.validation, compute, encoded.is_none().then_some(&encoder), &encoder)?;
    let offset = encoder.theta_scale.log_abs_det();
    let progress = states.into_iter().map(|state| {
        let mut progress = state.progress;
        // From densities of z to densities of u; the prior's transform has no constant part.
        progress.history.iter_mut().for_each(|e| {
            e.train += offset;
            e.validation += offset;
        });
        progress
    });
    Ok(Trained {
        progress: progress.collect(),
        constant_features: encoder.x_scale.constant().to_vec(),
        posterior: Posterior {
            name: task.name.to_owned(),
            prior: task.prior.clone(),
            parameters: task.parameters.to_vec(),
            x_shape: task.source.x_shape().to_vec(),
            transform: encoder.transform,
            theta_scale: encoder.theta_scale,
            x_scale: encoder.x_scale,
            x_range: encoder.x_range,
            members,
            weights,
        },
    })
}

/// Runs the networks over as many single threads as there are; the first error ends the run, in the order of the networks.
fn one_per_thread(
    nets: usize,
    compute: &Compute,
    train_one: &(impl Fn(usize, &Compute) -> Result<TrainState, NpeError> + Sync),
) -> Result<Vec<TrainState>, NpeError> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Result<TrainState, NpeError>>>> = Mutex::new((0..nets).map(|_| None).collect());
    let single = compute.single();
    std::thread::scope(|scope| {
        for _ in 0..compute.threads.count().min(nets) {
            scope.spawn(|| {
                loop {
                    let net = next.fetch_add(1, Ordering::Relaxed);
                    if net >= nets {
                        break;
                    }
                    let result = train_one(net, &single);
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[net] = Some(result);
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.into_iter().map(|r| r.unwrap_or(Err(NpeError::Interrupted))).collect()
}

impl FeatureRange {
    /// The range of all rows of a standardised table.
    pub(crate) fn of(rows: &[f32], width: usize) -> Self {
        let mut range = Self::empty(width);
        rows.chunks_exact(width).for_each(|row| range.add(row));
        range
    }
}

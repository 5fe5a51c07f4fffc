//! Training of ensembles on simulated pairs (θ, x), by the loss of an [`Engine`].
//!
//! Neural posterior estimation minimises -Σ w_i log q(θ_i | x_i) (Papamakarios and Murray 2016, arXiv:1605.06376).
//!
//! w_i = p(θ_i)/p̃(θ_i) where the simulations were drawn from a proposal p̃ instead of the prior p (Lueckmann et al. 2017,
//! arXiv:1711.01861, without their kernel), scaled to a mean of 1; all 1 otherwise. Networks see z, the standardised unconstrained
//! parameters (for a density over angles: each parameter's interval as one turn, from -π to π), and standardised data; statistics come from the
//! training rows alone.

#[cfg(test)]
mod angles;
mod checkpoint;
mod contrast;
mod encode;
mod engine;
mod ensemble;
mod error;
mod network;

pub use checkpoint::{CheckpointFiles, Checkpoints, NoCheckpoints};
pub use engine::{Engine, RatioLoss};
pub use ensemble::stacking_weights;
pub use error::TrainingError;
pub use network::{NetSpec, NetworkSpec};

use crate::diagnostics::InformationCurve;
use crate::posterior::{FeatureRange, Member, Network, Posterior};
use crate::prior::Prior;
use abduce_data::{PairSource, ParameterInfo, Scaling, Seed, Split};
use abduce_diffusion::{NoiseRole, NoisyRows};
use abduce_nn::trainer::{Ending, Objective, RowSource, TrainConfig, TrainError, TrainState, train_on};
use abduce_nn::width_rows::{WidthRole, WidthRows};
use abduce_nn::{Compute, Graph, Layout};
use contrast::GroupLoss;
use encode::{Encoder, EngineRows, PairRows};
use network::network;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What to train, and on what.
#[derive(Debug)]
pub struct TrainingTask<'a> {
    /// What is learnt.
    pub engine: Engine,
    /// Name of the run; may be empty.
    pub name: &'a str,
    /// The prior.
    pub prior: &'a Prior,
    /// What θ was drawn from, where that is not the prior.
    pub proposal: Option<Drawn<'a>>,
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
    /// Whose networks to go on from, with their scales, in place of fresh ones: those of an earlier round.
    pub start: Option<&'a Posterior>,
    /// Seed of the run.
    pub seed: Seed,
}

/// Simulations that are not drawn from the prior: their losses are weighted by p(θ)/p̃(θ), scaled to a mean of 1 over the training rows.
#[derive(Clone, Copy, Debug)]
pub enum Drawn<'a> {
    /// From p̃.
    From(&'a Prior),
    /// p(θ)/p̃(θ) of each row of the source.
    Weighted(&'a [f64]),
}

/// What is seen of training from outside. Called from the threads that train.
pub trait Observer: Sync {
    /// Before the first epoch: log-density of the unconstrained parameters u = score in the states that follow + `offset`, for all networks.
    fn start(&self, _offset: f64) {}

    /// Whether network `net` is to be trained here. Where some are not, training ends as if it had been stopped once the others have
    /// finished, with these in the checkpoints: so the networks of one ensemble can be trained in several places.
    fn wants(&self, _net: usize) -> bool {
        true
    }

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
    /// What each summary of an ordered embedding adds, on the validation rows; `None` where none is ordered.
    pub information: Option<InformationCurve>,
}

/// Trains all networks and weighs them by stacking on the validation rows.
///
/// With several networks and threads each network has a thread of its own; a single network spreads its batches over the threads. Results
/// do not depend on that.
///
/// # Errors
/// See [`TrainingError`].
pub fn train_ensemble(
    task: &TrainingTask<'_>,
    compute: &Compute,
    checkpoints: &dyn Checkpoints,
    observer: &dyn Observer,
) -> Result<Trained, TrainingError> {
    if task.nets.is_empty() {
        return Err(TrainingError::NoNets);
    }
    let encoder = Encoder::fit(task)?;
    let encoded = encoder.encode_in_memory(task.source)?;
    let source = encoded.as_ref().unwrap_or(task.source);
    if let (Engine::Nle, Some(&feature)) = (task.engine, encoder.x_scale.constant().first()) {
        return Err(TrainingError::ConstantData { feature, count: encoder.x_scale.constant().len() });
    }
    let networks = task.nets.iter().enumerate().map(|(net, spec)| network(task, net, spec)).collect::<Result<Vec<_>, _>>()?;
    if let Some(start) = task.start {
        let same = |(member, network): (&Member, &Network)| member.network.architecture() == network.architecture();
        if start.members.len() != networks.len() || !start.members.iter().zip(&networks).all(same) {
            return Err(TrainingError::OtherStart);
        }
    }
    let loss = GroupLoss(task.engine);
    let objective = match task.engine {
        Engine::Npe | Engine::Field | Engine::Nle => Objective::MeanScore,
        Engine::Atomic { .. } | Engine::Nre(_) => Objective::Coupled(&loss),
    };

    let d = task.prior.parameters();
    observer.start(encoder.theta_scale.log_abs_det());
    let wanted: Vec<usize> = (0..task.nets.len()).filter(|&net| observer.wants(net)).collect();

    let train_one = |net: usize, compute: &Compute| -> Result<TrainState, TrainingError> {
        let seed = task.seed.derive("train", net as u64);
        let network = &networks[net];
        let mut state = checkpoints.load(net)?.unwrap_or_else(|| {
            let mut state = TrainState::new(network.layout(), seed);
            if let Some(start) = task.start {
                state.params.copy_from_slice(&start.members[net].params);
                state.best.copy_from_slice(&start.members[net].params);
            }
            state
        });
        let buffer = task.buffer_bytes / task.nets.len();
        let converter = encoded.is_none().then_some(&encoder);
        let training = PairRows::new(source, &task.split.train, task.train.batch_size, buffer, seed, converter, &encoder)?;
        // Validation runs in the order of the file, in batches of a fixed size.
        let validation = PairRows::new(source, &task.split.validation, 1024, buffer, seed, converter, &encoder)?.in_order();
        let training = EngineRows::new(task.engine, training, seed.derive("training", 0));
        let validation = EngineRows::new(task.engine, validation, seed.derive("validation", 0));
        let mut failed = None;
        let observe = |state: &TrainState| {
            if let Err(error) = checkpoints.save(net, state) {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            observer.epoch(net, state)
        };
        let (layout, state_) = (network.layout(), &mut state);
        let run = Run { objective, layout, compute, config: &task.train };
        let ending = match network {
            Network::Posterior(estimator) | Network::Likelihood(estimator) => match estimator.width_law() {
                None => run.train(estimator.joint(), (training, validation), state_, observe),
                Some(law) => {
                    let widths = |rows, role, purpose| WidthRows::new(rows, law.clone(), role, seed.derive(purpose, 0));
                    let times = estimator.ordered_latents().map_or(1, |latents| (latents + 1).min(VALIDATION_WIDTHS));
                    let training = widths(training, WidthRole::Training, "training widths");
                    let validation = widths(validation, WidthRole::Validation { times }, "validation widths");
                    run.train(estimator.joint(), (training, validation), state_, observe)
                }
            },
            // What is corrected is learnt as a density.
            Network::Corrected(corrected) => run.train(corrected.estimator().joint(), (training, validation), state_, observe),
            Network::Ratio(classifier) => run.train(classifier.joint(), (training, validation), state_, observe),
            Network::Field(field) => {
                let schedule = &field.architecture().schedule;
                let objective = abduce_diffusion::Objective::of(schedule);
                let noisy = |rows, role, purpose| NoisyRows::new(rows, d, *schedule, objective, role, seed.derive(purpose, 0));
                let training = noisy(training, NoiseRole::Training, "training noise");
                let validation = noisy(validation, NoiseRole::Validation { times: VALIDATION_TIMES }, "validation noise");
                run.train(field.joint(&objective), (training, validation), state_, observe)
            }
        };
        match (failed, ending) {
            (Some(error), _) => Err(error.into()),
            (None, Err(source)) => Err(TrainingError::Train { net, source }),
            (None, Ok(Ending::Interrupted)) => {
                checkpoints.keep(net, &state)?;
                Err(TrainingError::Interrupted)
            }
            (None, Ok(Ending::Finished)) => {
                checkpoints.keep(net, &state)?;
                Ok(state)
            }
        }
    };
    let states = if wanted.len() == 1 || compute.threads.count() == 1 {
        wanted.iter().map(|&net| train_one(net, compute)).collect::<Result<Vec<_>, _>>()?
    } else {
        one_per_thread(&wanted, compute, &train_one)?
    };
    if wanted.len() < task.nets.len() {
        return Err(TrainingError::Interrupted);
    }

    let members: Vec<Member> = networks
        .into_iter()
        .zip(&states)
        .zip(task.nets)
        .map(|((network, state), net)| Member { network, params: state.best.clone(), signature: net.signature.clone() })
        .collect();
    let weights =
        ensemble::weigh(task.engine, &members, source, &task.split.validation, compute, encoded.is_none().then_some(&encoder), &encoder)?;
    let information = ensemble::information(
        &members,
        &weights,
        source,
        (&task.split.validation, task.seed),
        compute,
        encoded.is_none().then_some(&encoder),
        &encoder,
    )?;
    // From standardised densities to those of u (the prior's transform has no constant part), or of x.
    let offset = match task.engine {
        Engine::Npe => encoder.theta_scale.log_abs_det(),
        Engine::Nle => encoder.x_scale.log_abs_det(),
        Engine::Field | Engine::Atomic { .. } | Engine::Nre(_) => 0.0,
    };
    let progress = states.into_iter().map(|state| {
        let mut progress = state.progress;
        progress.history.iter_mut().for_each(|e| {
            e.train += offset;
            e.validation += offset;
        });
        progress
    });
    Ok(Trained {
        progress: progress.collect(),
        constant_features: encoder.x_scale.constant().to_vec(),
        information,
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

/// Times at which each validation row of a vector field is scored.
const VALIDATION_TIMES: usize = 10;

/// Most widths at which each validation row of an ordered embedding is scored.
const VALIDATION_WIDTHS: usize = 8;

/// What the trainings of all networks have in common.
struct Run<'a> {
    objective: Objective<'a>,
    layout: &'a Layout,
    compute: &'a Compute,
    config: &'a TrainConfig,
}

impl Run<'_> {
    fn train<S: RowSource>(
        &self,
        graph: &Arc<Graph>,
        (mut training, mut validation): (S, S),
        state: &mut TrainState,
        observe: impl FnMut(&TrainState) -> ControlFlow<()>,
    ) -> Result<Ending, TrainError<S::Error>> {
        let sources = (&mut training, &mut validation);
        train_on(self.objective, graph, self.layout, self.compute, self.config, sources, state, observe)
    }
}

/// Runs the networks over as many single threads as there are; the first error ends the run, in the order of the networks.
fn one_per_thread(
    nets: &[usize],
    compute: &Compute,
    train_one: &(impl Fn(usize, &Compute) -> Result<TrainState, TrainingError> + Sync),
) -> Result<Vec<TrainState>, TrainingError> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Result<TrainState, TrainingError>>>> = Mutex::new(nets.iter().map(|_| None).collect());
    let single = compute.single();
    std::thread::scope(|scope| {
        for _ in 0..compute.threads.count().min(nets.len()) {
            scope.spawn(|| {
                while let at = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(&net) = nets.get(at)
                {
                    let result = train_one(net, &single);
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[at] = Some(result);
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.into_iter().map(|r| r.unwrap_or(Err(TrainingError::Interrupted))).collect()
}

impl FeatureRange {
    /// The range of all rows of a standardised table.
    pub(crate) fn of(rows: &[f32], width: usize) -> Self {
        let mut range = Self::empty(width);
        rows.chunks_exact(width).for_each(|row| range.add(row));
        range
    }
}

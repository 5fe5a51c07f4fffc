//! Conditional densities as vector fields: flow-matching posterior estimation (FMPE) and neural posterior score estimation (NPSE).
//!
//! Both estimate the field that carries noise into data along a Gaussian path θ_t = m(t) θ + σ(t) ε; they differ in the
//! [`NoiseSchedule`] and in the [`Objective`]. The nouns: a [`NoiseSchedule`] fixes m and σ; a [`FieldEstimator`] is the network with its
//! embedding, which trains on [`NoisyRows`], draws by a [`Sampler`] and has an exact density; a [`Field`](field::Field) is what samplers
//! need of it, and may be anything else.
//!
//! ```
//! use abduce_data::Seed;
//! use abduce_diffusion::{Architecture, FieldEstimator, Sampler, Tolerance};
//! use abduce_nn::Compute;
//! let fmpe = FieldEstimator::new(Architecture::flow_matching(2, 3))?;
//! let (params, compute) = (fmpe.layout().initialise(Seed(1)), Compute::with_threads(1));
//! let x = [0.1, 0.2, 0.3];
//! let draws = fmpe.sample(&compute, &params, &x, &[100], &Sampler::default(), Seed(2))?;   // 100 draws for one datum
//! let log_q = fmpe.log_prob(&compute, &params, &draws, &x, |_row| 0, Tolerance::default())?;
//! assert_eq!((draws.len(), log_q.len()), (200, 100));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! Start reading at [`schedule`], then [`estimator`].

pub mod compose;
pub mod edm;
pub mod estimator;
pub mod field;
mod loss;
pub mod network;
pub mod objective;
pub mod ode;
pub mod rows;
pub mod schedule;
pub mod sde;

pub use compose::Langevin;
pub use estimator::{Architecture, ArchitectureError, FieldEstimator, Sampler};
pub use network::{NetworkError, NetworkSpec, TimeEmbedding};
pub use objective::{Objective, ObjectiveError, TimeLaw, Weighting};
pub use ode::{SolveError, Tolerance};
pub use rows::{NoiseRole, NoisyRows};
pub use schedule::NoiseSchedule;
pub use sde::ReverseSde;

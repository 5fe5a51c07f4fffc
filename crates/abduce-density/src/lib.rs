//! Conditional density estimators q(θ | x): mixtures and normalizing flows that can be sampled and scored.
//!
//! The split: `transform` holds the mathematics of one bijection, `conditioner` the networks that parametrise it, `flow` and
//! `mixture` the assembly, and [`Estimator`] the finished density with its embedding. A new flow is a few lines in
//! `estimator::build`.
//!
//! ```
//! use abduce_density::{Architecture, DensitySpec, Estimator};
//! use abduce_nn::{Compute, EmbeddingSpec};
//! use abduce_data::Seed;
//! let architecture = Architecture {
//!     density: DensitySpec::Maf { transforms: 2, hidden: vec![8] }, embedding: EmbeddingSpec::Identity, features: 2, context: 3,
//! };
//! let flow = Estimator::new(architecture)?;
//! let (params, compute) = (flow.layout().initialise(Seed(1)), Compute::with_threads(1));
//! let draws = flow.sample(&compute, &params, &[0.1, 0.2, 0.3], &[100], Seed(2));   // 100 draws for one datum
//! let log_q = flow.log_prob(&compute, &params, &draws, &[0.1, 0.2, 0.3], |_row| 0);
//! assert_eq!((draws.len(), log_q.len()), (200, 100));
//! # Ok::<(), abduce_density::SpecError>(())
//! ```
//! Start reading at [`estimator`], then [`transform`].

pub mod classifier;
pub mod conditioner;
pub mod estimator;
pub mod flow;
pub mod mixture;
mod scorer;
pub mod spec;
pub mod transform;
mod variational;

pub use classifier::{Classifier, ClassifierArchitecture, ClassifierSpec};
pub use estimator::{Architecture, Estimator, append_log_prob};
pub use scorer::{By, Indexed};
pub use spec::{DensitySpec, Space, SpecError, SplineSpec};
pub use variational::{VariationalFlow, VariationalWork};

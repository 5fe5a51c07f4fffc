//! Generative flow networks (Bengio et al. 2021, arXiv:2106.04399; 2021, arXiv:2111.09266): policies that build discrete objects step by step and
//! end in each with a probability proportional to its reward, P_T(x) = R(x)/Z.
//!
//! The nouns: an [`Environment`] says what states, actions and rewards are; a [`Policy`] scores them; a [`Batch`] holds trajectories with every
//! distinct state once; a [`Loss`] gives gradients of their log-probabilities; [`train()`] turns them into steps; [`mod@exact`] sums over all trajectories of
//! an [`Enumerable`] environment, so that convergence is never judged by samples alone.
//!
//! Everything is in log space and in double precision outside the network.

pub mod batch;
pub mod environment;
pub mod exact;
pub mod loss;
pub mod policy;
pub mod replay;
pub mod sampler;
pub mod search;
pub mod train;

pub use batch::{Batch, Trajectory};
pub use environment::{Enumerable, Environment};
pub use exact::{Exact, exact};
pub use loss::{Loss, LossError};
pub use policy::{Backward, Exit, Policy, PolicySpec, Scores, Trunk};
pub use replay::{Replay, ReplayConfig};
pub use sampler::Exploration;
pub use search::{Filter, LocalSearch};
pub use train::{IterationRecord, TrainConfig, TrainError, Trained, train};

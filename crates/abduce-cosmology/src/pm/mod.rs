//! Particle-mesh simulations: from initial conditions to snapshots.
//!
//! The nouns: a [`Schedule`] is the list of scale factors; [`Factors`] say how far to kick and drift between them; [`Particles`] are what moves;
//! a [`Solver`] does the steps. Start reading at [`solver`].

mod error;
pub mod estimate;
pub mod factors;
mod force;
pub mod kernel;
pub mod particles;
pub mod schedule;
pub mod short_range;
pub mod solver;

pub use error::PmError;
pub use estimate::{Estimate, Forecast};
pub use factors::{Factors, Stepping};
pub use kernel::{Kernel, Softening};
pub use particles::{LatticeStart, Particles, Snapshot};
pub use schedule::{Schedule, Spacing};
pub use short_range::ShortRange;
pub use solver::{PmOptions, Progress, Solver};

//! What can be wrong with a simulation.

use crate::error::CosmologyError;
use crate::mesh::MeshError;

/// A simulation that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PmError {
    /// A model or transform out of range.
    #[error(transparent)]
    Cosmology(#[from] CosmologyError),
    /// A mesh that cannot be made.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// Steps that do not rise, or begin too early.
    #[error("scale factors must rise from 0.001 at least to 1 at most: found {before} and then {after}")]
    Schedule {
        /// A scale factor.
        before: f64,
        /// The one behind it.
        after: f64,
    },
    /// A number outside its range.
    #[error("{name} = {value} is outside {range}")]
    Range {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What is possible.
        range: &'static str,
    },
    /// A kernel or damping chosen for a force that is split between mesh and pairs.
    #[error("a force split between mesh and pairs has the kernel `optimal` and no softening of the mesh")]
    SplitKernel,
    /// A start that is not a number somewhere.
    #[error("the start of particle {index} is not finite")]
    NotFinite {
        /// The particle, in the order of the lattice.
        index: usize,
    },
    /// The run would need more memory than it may.
    #[error("the run needs {needed_bytes} bytes, {limit_bytes} are allowed")]
    Memory {
        /// Bytes needed.
        needed_bytes: u64,
        /// Bytes allowed.
        limit_bytes: u64,
    },
}

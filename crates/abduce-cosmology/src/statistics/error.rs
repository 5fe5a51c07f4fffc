//! What can be wrong with a measurement.

use crate::error::CosmologyError;
use crate::mesh::MeshError;

/// A measurement that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatisticsError {
    /// Points or a mesh that cannot be used.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// A transform that cannot be made.
    #[error(transparent)]
    Transform(#[from] CosmologyError),
    /// Two fields lie on different meshes.
    #[error("fields on different meshes: {} cells over {} Mpc/h, and {} cells over {} Mpc/h", left.cells(), left.box_size_mpc_h(), right.cells(), right.box_size_mpc_h())]
    Grids {
        /// One mesh.
        left: crate::mesh::Grid,
        /// The other.
        right: crate::mesh::Grid,
    },
    /// Bins that hold nothing or run backwards.
    #[error("bins from {first} in steps of {width} k_F hold no modes: both must be positive and finite")]
    Binning {
        /// Lower edge of the first bin.
        first: f64,
        /// Width.
        width: f64,
    },
    /// A shell that the mesh cannot hold.
    #[error("a shell up to {high_h_per_mpc} h/Mpc needs a finer mesh: the Nyquist wave number is {nyquist_h_per_mpc} h/Mpc")]
    Shell {
        /// Outer edge.
        high_h_per_mpc: f64,
        /// Nyquist wave number of the mesh.
        nyquist_h_per_mpc: f64,
    },
    /// No triangle was asked for, or one whose sides can't close.
    #[error("sides of {sides:?} h/Mpc make no triangle")]
    Triangle {
        /// k1, k2, k3.
        sides: [f64; 3],
    },
    /// An argument outside its range.
    #[error("{name} = {value}: {reason}")]
    Argument {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it should be.
        reason: &'static str,
    },
}

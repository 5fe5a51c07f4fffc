//! What can be wrong with a search for haloes.

use crate::mesh::MeshError;

/// A search for haloes that cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HaloError {
    /// Points that cannot be used.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// More particles than labels can count.
    #[error("{count} particles: at most {} can be told apart", u32::MAX)]
    TooMany {
        /// Number of particles.
        count: usize,
    },
    /// The linking length must be positive and below half the box.
    #[error("a linking length of {length_mpc_h} Mpc/h makes no sense in a box of {box_size_mpc_h} Mpc/h")]
    LinkingLength {
        /// Linking length.
        length_mpc_h: f64,
        /// Side of the box.
        box_size_mpc_h: f64,
    },
    /// A number that must be positive is not.
    #[error("{name} must be positive and finite, not {value}")]
    NotPositive {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: f64,
    },
}

//! What can be wrong with galaxies.

use crate::mesh::MeshError;

/// Galaxies that cannot be placed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GalaxyError {
    /// Points that cannot be used.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// A parameter of the model outside its range.
    #[error("{name} = {value} is outside {range}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What is possible.
        range: &'static str,
    },
    /// A halo that no galaxy can live in.
    #[error("halo {index}: {name} = {value} must be positive and finite")]
    Halo {
        /// Row of the halo.
        index: usize,
        /// What is wrong.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// An axis that is none.
    #[error("{axis} is no axis: 0, 1 or 2")]
    Axis {
        /// What was given.
        axis: usize,
    },
}

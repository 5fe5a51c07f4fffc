//! What can be wrong with points and meshes.

/// An input that cannot be painted or measured.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MeshError {
    /// A mesh needs at least two cells per side, and no more than fit into memory.
    #[error("a mesh of {cells} cells per side cannot be made: 2 to {largest} are possible")]
    Cells {
        /// Cells per side asked for.
        cells: usize,
        /// The most that this program handles.
        largest: usize,
    },
    /// The side of a box is positive and finite.
    #[error("the side of a box must be positive and finite, not {box_size_mpc_h} Mpc/h")]
    BoxSize {
        /// The side asked for.
        box_size_mpc_h: f64,
    },
    /// A coordinate is NaN or infinite.
    #[error("point {index} has a coordinate that is not finite: ({:?}, {:?}, {:?})", position[0], position[1], position[2])]
    NotFinite {
        /// Row of the point.
        index: usize,
        /// Its coordinates.
        position: [f32; 3],
    },
    /// A coordinate lies outside [0, L].
    #[error("point {index} at ({:?}, {:?}, {:?}) lies outside the box of {box_size_mpc_h} Mpc/h", position[0], position[1], position[2])]
    Outside {
        /// Row of the point.
        index: usize,
        /// Its coordinates.
        position: [f32; 3],
        /// Side of the box.
        box_size_mpc_h: f64,
    },
    /// A cell is NaN or infinite.
    #[error("cell {index} of the mesh is {value}")]
    NotFiniteCell {
        /// Index of the cell in C order.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// Two inputs that belong together differ in length.
    #[error("{what}: expected {expected} values, found {found}")]
    Length {
        /// What was counted.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// There is no mean density to compare with.
    #[error("the mesh sums to {sum}: a density contrast needs a positive mean")]
    Empty {
        /// Sum over all cells.
        sum: f64,
    },
}

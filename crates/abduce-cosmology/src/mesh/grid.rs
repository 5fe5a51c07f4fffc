//! The mesh of a periodic cube, and how points are spread on it.

use super::MeshError;
use serde::{Deserialize, Serialize};

/// A periodic cube of side L in N³ cells; values are stored in C order, the last axis fastest.
///
/// ```
/// use abduce_cosmology::mesh::Grid;
/// let grid = Grid::new(64, 200.0)?;
/// assert_eq!((grid.values(), grid.cell_mpc_h()), (262_144, 3.125));
/// # Ok::<(), abduce_cosmology::mesh::MeshError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    cells: usize,
    box_size_mpc_h: f64,
}

/// The most cells per side: N³ f32 values are then 256 GiB, and integers n² of wave vectors fit into 32 bits with room to spare.
const LARGEST: usize = 4096;

impl Grid {
    /// A mesh of `cells` per side over a box of `box_size_mpc_h`.
    ///
    /// # Errors
    /// Fewer than 2 or more than 4096 cells, or a side that is not positive and finite.
    pub fn new(cells: usize, box_size_mpc_h: f64) -> Result<Self, MeshError> {
        if !(2..=LARGEST).contains(&cells) {
            return Err(MeshError::Cells { cells, largest: LARGEST });
        }
        if !(box_size_mpc_h > 0.0 && box_size_mpc_h.is_finite()) {
            return Err(MeshError::BoxSize { box_size_mpc_h });
        }
        Ok(Self { cells, box_size_mpc_h })
    }

    /// Cells per side, N.
    pub const fn cells(&self) -> usize {
        self.cells
    }

    /// Side of the box, L [Mpc/h].
    pub const fn box_size_mpc_h(&self) -> f64 {
        self.box_size_mpc_h
    }

    /// Side of a cell, h = L/N [Mpc/h].
    pub fn cell_mpc_h(&self) -> f64 {
        self.box_size_mpc_h / self.cells as f64
    }

    /// Number of values, N³.
    pub const fn values(&self) -> usize {
        self.cells * self.cells * self.cells
    }

    /// Number of Fourier modes that a real field is stored as, N² (N/2 + 1).
    pub const fn modes(&self) -> usize {
        self.cells * self.cells * (self.cells / 2 + 1)
    }

    /// Fundamental wave number, 2π/L [h/Mpc].
    pub fn fundamental_h_per_mpc(&self) -> f64 {
        std::f64::consts::TAU / self.box_size_mpc_h
    }

    /// Nyquist wave number, π N/L [h/Mpc].
    pub fn nyquist_h_per_mpc(&self) -> f64 {
        std::f64::consts::PI * self.cells as f64 / self.box_size_mpc_h
    }

    /// Checks the length of a real field on this mesh.
    ///
    /// # Errors
    /// It does not hold N³ values.
    pub fn check(&self, what: &'static str, values: usize) -> Result<(), MeshError> {
        if values == self.values() { Ok(()) } else { Err(MeshError::Length { what, expected: self.values(), found: values }) }
    }

    /// The signed integer wave number of index `i` along an axis: 0, 1, …, N/2, −N/2 + 1, …, −1; the Nyquist one is taken as +N/2.
    pub(crate) const fn wave(&self, i: usize) -> i64 {
        if i <= self.cells / 2 { i as i64 } else { i as i64 - self.cells as i64 }
    }
}

/// Which point of the box a mesh value belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Convention {
    /// Value i belongs to the centre of cell i, at (i + ½) h.
    #[default]
    Cells,
    /// Value i belongs to the point i h, as in Pylians, JaxPM and FastPM: for comparisons.
    Nodes,
}

impl Convention {
    /// How far, in cells, mesh value 0 lies from the corner of the box.
    pub(crate) const fn offset(self) -> f64 {
        match self {
            Self::Cells => 0.5,
            Self::Nodes => 0.0,
        }
    }
}

/// Mass assignment: how a point is spread over cells. The window is a top hat of one cell convolved p times with itself (Hockney &
/// Eastwood 1988, section 5-3); its transform is W(k) = Π_i sinc(k_i h/2)^p.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "mass assignment"))]
pub enum Scheme {
    /// Nearest grid point, p = 1.
    Ngp,
    /// Cloud in cell, p = 2.
    Cic,
    /// Triangular shaped cloud, p = 3.
    #[default]
    Tsc,
    /// Piecewise cubic spline, p = 4.
    Pcs,
}

impl Scheme {
    /// All of them, by order.
    pub const ALL: [Self; 4] = [Self::Ngp, Self::Cic, Self::Tsc, Self::Pcs];

    /// p: cells per axis that a point is spread over, and power of sinc in the window.
    pub const fn order(self) -> usize {
        match self {
            Self::Ngp => 1,
            Self::Cic => 2,
            Self::Tsc => 3,
            Self::Pcs => 4,
        }
    }

    /// One axis of the window, sinc(π n/N)^p for the signed integer wave number n.
    pub fn window(self, n: i64, cells: usize) -> f64 {
        let half = std::f64::consts::PI * n as f64 / cells as f64;
        if n == 0 { 1.0 } else { (libm::sin(half) / half).powi(self.order() as i32) }
    }
}

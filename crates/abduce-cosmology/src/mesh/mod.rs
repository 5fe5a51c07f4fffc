//! Regular meshes of a periodic cube: from particles to a mesh and back.
//!
//! One convention holds everywhere: cell i covers [i h, (i + 1) h) with its centre at (i + ½) h, h = L/N ([`Convention::Cells`]). Some other
//! programs give mesh value i to the point i h; [`Convention::Nodes`] exists to compare with them and is never a default.
//!
//! Start reading at [`mod@deposit`].

pub(crate) mod compensate;
pub mod deposit;
mod error;
mod grid;
pub mod read;
mod stencil;

pub use deposit::{Weights, density_contrast, deposit};
pub use error::MeshError;
pub use grid::{Convention, Grid, Scheme};
pub use read::interpolate;
pub(crate) use stencil::slabs;

//! Layers that any network uses. Density-specific ones live with their formulas in `abduce-density`, losses of vector fields in
//! `abduce-diffusion`.

mod activate;
mod add;
mod film;
mod gather;
mod layer_norm;
mod linear;
mod open_widths;
mod sinusoid;

pub use activate::Activate;
pub use add::{Add, GatedAdd};
pub use film::Film;
pub use gather::Gather;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use open_widths::{OpenWidths, Told};
pub use sinusoid::Sinusoid;

//! Layers that any network uses. Density-specific ones live with their formulas in `abduce-density`.

mod activate;
mod add;
mod gather;
mod layer_norm;
mod linear;

pub use activate::Activate;
pub use add::{Add, GatedAdd};
pub use gather::Gather;
pub use layer_norm::LayerNorm;
pub use linear::Linear;

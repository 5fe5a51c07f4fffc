//! Layers that any network uses. Density-specific ones live with their formulas in `abduce-density`, losses of vector fields in
//! `abduce-diffusion`.

mod activate;
mod add;
mod attention;
pub mod conv;
mod film;
mod gather;
mod grid;
mod group_norm;
mod layer_norm;
mod linear;
mod messages;
mod open_widths;
mod pool;
mod resample;
mod sinusoid;
mod tokens;

pub use activate::Activate;
pub use add::{Add, GatedAdd};
pub use attention::{Attention, Sight};
pub use conv::{Bias, Border, Conv, Pad, ShapeError};
pub use film::Film;
pub use gather::Gather;
pub use grid::{Grid, Order};
pub use group_norm::{ChannelNorm, GroupNorm};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use messages::{Collect, Gathering, Neighbourhood, Neighbours, Pairs};
pub use open_widths::{OpenWidths, Told};
pub use pool::{GlobalPool, Pool, Pooling};
pub use resample::{Channels, Concat, Interpolation, Upsample};
pub use sinusoid::Sinusoid;
pub use tokens::{Dropout, Learned, Lookup};

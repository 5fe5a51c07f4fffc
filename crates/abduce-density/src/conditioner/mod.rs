//! Networks that compute the parameters of a bijection from the features it may see.

mod angles;
mod masked;
mod plain;
mod residual;

pub use angles::CosSin;
pub use masked::{AutoregressiveInverse, MaskedMlp, Seen, autoregressive_degrees};
pub use plain::mlp;
pub use residual::{ResidualShape, residual_net};

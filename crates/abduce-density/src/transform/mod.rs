//! Bijections of the parameter vector, as graph layers: each gives its output and log|det ∂output/∂input| per row.
//!
//! Direction: *forward* goes from θ to noise, as densities are scored; *inverse* from noise to θ, as draws are made.

mod base;
mod elementwise;
mod lu;

pub use base::NormalBase;
pub use elementwise::{Elementwise, Univariate};
pub use lu::LuLinear;

/// Which way a bijection is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From θ to noise.
    Forward,
    /// From noise to θ.
    Inverse,
}

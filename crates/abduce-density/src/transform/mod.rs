//! Bijections of the parameter vector, as graph layers: each gives its output and log|det ∂output/∂input| per row.
//!
//! Direction: *forward* goes from θ to noise, as densities are scored; *inverse* from noise to θ, as draws are made.

mod base;
mod elementwise;
mod lu;
mod ode;

pub use base::{NormalBase, UniformAngles};
pub use elementwise::{Elementwise, Univariate};
pub use lu::LuLinear;
pub use ode::{OdeFlow, OdeShape};

/// Which way a bijection is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From θ to noise.
    Forward,
    /// From noise to θ.
    Inverse,
}

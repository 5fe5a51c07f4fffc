//! Arrays in and out, datasets, splits, standardisation, run directories and random streams.

pub mod rng;
pub use rng::{Rng, Seed};

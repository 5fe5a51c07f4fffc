//! x
pub mod halos;
pub mod mesh;

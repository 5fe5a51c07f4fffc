//! The laws that every conditional density obeys: one suite, run over every family, several shapes and every SIMD level.
//!
//! To add a family: one line in [`cases::families`] and its formula in [`reference`]. Everything else is generic.

mod cases;
mod gradients;
mod jacobians;
mod normalisation;
mod numerics;
mod reference;
mod robustness;
mod samples;
mod threads;
mod values;

//! Amortised inference with generative models in science: the facade library and the program.

pub mod commands;
pub mod config;
pub mod error;
pub mod present;

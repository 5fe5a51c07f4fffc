//! Proofs: checkers that can be asked step by step, and searches over them.
//!
//! * [`metamath`]: databases in the Metamath language, read, verified, measured, and turned into an environment of tactics, all in process.
#![cfg_attr(not(test), warn(clippy::expect_used))]

pub mod metamath;

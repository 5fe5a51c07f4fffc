//! Proofs: checkers that can be asked step by step, and searches over them.
//!
//! * [`lean`]: Lean 4 through its programs.
//! * [`mdp`]: proof search as a decision process; [`env`](mod@env): the same in text, for language models.
//! * [`metamath`]: databases in the Metamath language, read, verified, measured, and turned into an environment of tactics, all in process.
//! * [`evaluation`]: what trying a list of theorems has in common.
//! * [`miu`]: a letter game, for exact sums over all proofs.
#![cfg_attr(not(test), warn(clippy::expect_used))]

pub mod env;
pub mod evaluation;
pub mod lean;
pub mod mdp;
pub mod metamath;
pub mod miu;
pub mod search;

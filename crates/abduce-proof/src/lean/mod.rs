//! Lean 4 through its programs: [`LeanBatch`] (`lean --json`), [`LeanRepl`] (the community REPL) and [`Pantograph`].
//!
//! The last two are asked step by step and are fast; only the first one judges. Every process has limits of time, memory and output, is killed with all that it has started when
//! it goes beyond them, and is replaced: a fault is an error of that step, never a proof.

mod batch;
mod pantograph;
mod process;
mod repl;
mod session;
pub mod trust;

pub use batch::{LeanBatch, LeanCandidate, LeanState, LeanTheorem};
pub use pantograph::Pantograph;
pub use process::{Dialogue, Finished, ProcessFault, ProverCommand, ProverLimits, run_once};
pub use repl::{DialogueState, LeanRepl};
pub use session::{Exchange, Session};

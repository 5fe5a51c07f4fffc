//! Lean 4 through its programs: [`LeanBatch`] (`lean --json`), [`LeanRepl`] (the community REPL) and [`Pantograph`].
//!
//! The last two are asked step by step and are fast; only the first one judges. Every process has limits of time, memory and output, is killed with all that it has started when
//! it goes beyond them, and is replaced: a fault is an error of that step, never a proof.
//!
//! Any of the three can be searched ([`TacticMdp`], [`TacticPolicy`], [`evaluate_lean`]).

mod batch;
mod evaluation;
pub mod goal;
mod pantograph;
mod policy;
mod problems;
mod process;
mod repl;
mod session;
mod steps;
pub mod tactics;
pub mod trust;

pub use batch::{LeanBatch, LeanCandidate, LeanState, LeanTheorem};
pub use evaluation::{LeanAttempt, LeanProof, LeanTrial, evaluate_lean};
pub use pantograph::Pantograph;
pub use policy::{TacticCounts, TacticPolicy, TacticRanking};
pub use problems::{LeanProblem, ProblemError, read_problems};
pub use process::{Dialogue, Finished, ProcessFault, ProverCommand, ProverLimits, run_once};
pub use repl::{DialogueState, LeanRepl};
pub use session::{Exchange, Session};
pub use steps::{TacticMdp, TacticState};

//! Metamath databases.
//!
//! [`Database::open`] reads a file and what it includes; [`verify`](verify()) checks every proof with the [`Kernel`], the one file that everything proved rests on.

mod candidates;
mod corpus;
mod database;
mod emit;
mod environment;
mod evaluation;
mod frame;
mod grammar;
mod interner;
mod kernel;
mod parse;
mod patterns;
mod policy;
mod process;
mod prover;
mod replay;
mod source;
mod split;
mod state;
mod statistics;
mod syntax_fault;
mod tactic_error;
mod tactic_text;
mod terms;
mod token;
mod verify;
mod writer;

pub use candidates::{Candidate, CompletionLimits, ConclusionIndex, Source, complete};
pub use corpus::Corpus;
pub use database::{Counts, Database, LoadError, StatementId, StatementKind, Symbol};
pub use emit::{EmitError, distinct, with_proofs};
pub use environment::{Environment, Problem, Tactic};
pub use evaluation::{Attempt, Trial, evaluate};
pub use grammar::{FormulaFault, Grammar, GrammarError, ParsedDatabase};
pub use interner::Interner;
pub use kernel::{Kernel, KernelLimits, ProofFault};
pub use patterns::{Pattern, Patterns};
pub use policy::{Ranking, RankingPolicy};
pub use process::{FiniteTactics, MetamathEnv, MetamathMdp};
pub use prover::{FinishError, Prover, VerifiedProof};
pub use replay::{Justification, ProofGraph, ProvedFormula, replay};
pub use source::{MAX_BYTES, MAX_FILES, SourceError, Sources, Span};
pub use split::{DuplicateRule, cited_by, dependants, near_duplicates, read_labels};
pub use state::{ProofState, StateLimits};
pub use statistics::Statistics;
pub use syntax_fault::{ParseError, SyntaxFault};
pub use tactic_error::{ErrorClass, TacticError};
pub use terms::{TermId, Terms};
pub use verify::{VerifyReport, verify};
pub use writer::{ProofFormat, WriteError, write_proof};

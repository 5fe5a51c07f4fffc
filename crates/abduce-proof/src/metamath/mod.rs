//! Metamath databases.
//!
//! [`Database::open`] reads a file and what it includes; [`verify`](verify()) checks every proof with the [`Kernel`], the one file that everything proved rests on.

mod database;
mod interner;
mod kernel;
mod parse;
mod source;
mod token;
mod verify;

pub use database::{Counts, Database, LoadError, StatementId, StatementKind, Symbol};
pub use interner::Interner;
pub use kernel::{Kernel, KernelLimits, ProofFault};
pub use parse::{ParseError, SyntaxFault};
pub use source::{MAX_BYTES, MAX_FILES, SourceError, Sources, Span};
pub use verify::{VerifyReport, verify};

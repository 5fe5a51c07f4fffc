//! The rules of the language, and which of them a text breaks.

use super::source::SourceError;
use std::path::PathBuf;

/// A rule of the language that a text breaks, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}:{column}: {fault}", path.display())]
pub struct ParseError {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// The rule.
    pub fault: SyntaxFault,
}

/// Which rule of the language is broken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message says what its data are")]
pub enum SyntaxFault {
    #[error("this comment has no end")]
    UnclosedComment,
    #[error("a comment may contain neither `$(` nor `$)`, and its marks stand between white space")]
    MarkInComment,
    #[error("`{token}` does not belong here")]
    Unexpected { token: String },
    #[error("this statement has no `$.`")]
    UnclosedStatement,
    #[error("{open} scopes are still open at the end of the file")]
    UnclosedScope { open: usize },
    #[error("`$}}` without `${{`")]
    NoScope,
    #[error("`{label}` is not a label: only letters, digits, `.`, `-` and `_` are allowed")]
    BadLabel { label: String },
    #[error("`{symbol}` is not a math symbol: `$` is not allowed")]
    BadSymbol { symbol: String },
    #[error("`{name}` is declared already")]
    Redeclared { name: String },
    #[error("`{label}` is a label and a math symbol")]
    LabelIsSymbol { label: String },
    #[error("constants are declared in the outermost scope only")]
    LocalConstant,
    #[error("`{symbol}` is not declared here")]
    Undeclared { symbol: String },
    #[error("`{symbol}` is not a variable")]
    NotAVariable { symbol: String },
    #[error("this statement begins with a constant, not with `{symbol}`")]
    NotAConstant { symbol: String },
    #[error("the variable `{symbol}` has no active `$f`")]
    Untyped { symbol: String },
    #[error("the variable `{symbol}` has an active `$f` already")]
    TypedTwice { symbol: String },
    #[error("`$f` has a constant and a variable")]
    FloatingShape,
    #[error("an empty statement")]
    Empty,
    #[error("`$d` names at least two variables")]
    DisjointShape,
    #[error("`$d` names `{symbol}` twice")]
    DisjointRepeats { symbol: String },
    #[error("a label before a statement that takes none")]
    UnwantedLabel,
    #[error("a statement of this kind has a label")]
    MissingLabel,
    #[error("`$p` has a proof, after `$=`")]
    MissingProof,
    #[error("files are included between statements of the outermost scope, as `$[ name $]`")]
    BadInclusion,
    #[error("{0}")]
    Source(#[from] SourceError),
    #[error("too many {what}: at most {limit}")]
    TooMany { what: &'static str, limit: u64 },
}

//! Databases with new proofs in place of old ones, as text that any verifier reads.

use super::database::{Database, StatementId, Symbol};
use super::prover::VerifiedProof;
use std::collections::BTreeMap;

/// Why a database cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The database consists of several files.
    #[error("new proofs are written into databases of one file; this one has {files}")]
    SeveralFiles {
        /// How many.
        files: usize,
    },
}

/// The text of a database with the proofs of some theorems replaced. Where a proof needs `$d` for dummy variables that the database does not have there, the theorem is
/// put into a scope of its own with them; what the theorem says is the same.
///
/// # Errors
/// The database consists of several files.
pub fn with_proofs(db: &Database, proofs: &BTreeMap<StatementId, VerifiedProof>) -> Result<Vec<u8>, EmitError> {
    if db.sources().len() != 1 {
        return Err(EmitError::SeveralFiles { files: db.sources().len() });
    }
    let text = db.sources().text(0);
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    let mut at = 0;
    for (&theorem, proof) in proofs {
        let statement = &db.statements[theorem.0 as usize];
        out.extend_from_slice(&text[at..statement.span.start as usize]);
        if !proof.dummies.is_empty() {
            out.extend_from_slice(b"${ ");
            out.extend_from_slice(distinct(db, &proof.dummies).as_bytes());
            out.extend_from_slice(b" ");
        }
        out.extend_from_slice(&text[statement.span.start as usize..statement.proof.start as usize]);
        out.extend_from_slice(b"\n");
        out.extend_from_slice(proof.text.as_bytes());
        out.extend_from_slice(b" $.");
        if !proof.dummies.is_empty() {
            out.extend_from_slice(b" $}");
        }
        at = statement.span.end as usize;
    }
    out.extend_from_slice(&text[at..]);
    Ok(out)
}

/// `$d` statements for pairs of variables, one a pair.
pub fn distinct(db: &Database, pairs: &[(Symbol, Symbol)]) -> String {
    let statements: Vec<String> = pairs.iter().map(|&(x, y)| format!("$d {} {} $.", db.symbol_name(x), db.symbol_name(y))).collect();
    statements.join(" ")
}

//! Stored proofs as graphs of logical steps: what remains when the steps that only build formulas are taken out.

use super::database::{Database, StatementId, StatementKind, range};
use super::grammar::ParsedDatabase;
use super::kernel::{Machine, ProofFault, decode};
use super::patterns::Patterns;
use super::terms::{TermId, Terms};

/// How a formula is justified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Justification {
    /// It is this hypothesis of the theorem.
    Hypothesis(StatementId),
    /// It follows by an assertion.
    Step {
        /// The assertion.
        label: StatementId,
        /// What replaces its mandatory variables, in order.
        substitution: Box<[TermId]>,
        /// What proves its premises, in order: numbers of formulas in the same graph.
        premises: Box<[u32]>,
    },
}

/// A formula of a proof and its justification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvedFormula {
    /// Its tree.
    pub formula: TermId,
    /// Why it holds.
    pub by: Justification,
}

/// A proof as a graph without cycles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProofGraph {
    /// The formulas; premises may have larger or smaller numbers.
    pub formulas: Vec<ProvedFormula>,
    /// The number of the formula that is the theorem.
    pub root: u32,
}

/// An entry of the stack: a tree of syntax, or a proved formula.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Syntax(TermId),
    Proved(u32),
}

struct Replay<'r, 'd> {
    db: &'d Database,
    parsed: &'r ParsedDatabase<'d>,
    patterns: &'r Patterns,
    terms: &'r mut Terms,
    stack: Vec<Entry>,
    marked: Vec<Entry>,
    graph: ProofGraph,
    work: Vec<TermId>,
}

/// The graph of a theorem's stored proof. It is no verdict: only the kernel checks `$d`.
///
/// # Errors
/// The proof is none.
pub fn replay(parsed: &ParsedDatabase<'_>, patterns: &Patterns, terms: &mut Terms, theorem: StatementId) -> Result<ProofGraph, ProofFault> {
    let db = parsed.db;
    let statement = &db.statements[theorem.0 as usize];
    let (bytes, _) = db.sources.padded(statement.span.file);
    let mut machine =
        Replay { db, parsed, patterns, terms, stack: Vec::new(), marked: Vec::new(), graph: ProofGraph::default(), work: Vec::new() };
    decode(db, theorem, bytes, range(&statement.proof), &mut Vec::new(), &mut machine)?;
    match machine.stack[..] {
        [Entry::Proved(root)] => {
            machine.graph.root = root;
            Ok(machine.graph)
        }
        _ => Err(ProofFault::LeftOver { left: machine.stack.len() }),
    }
}

impl Machine for Replay<'_, '_> {
    fn cite(&mut self, label: u32) -> Result<(), ProofFault> {
        let id = StatementId(label);
        let name = || self.db.label(id).to_owned();
        match self.db.kind(id) {
            StatementKind::Floating => self.stack.push(Entry::Syntax(self.parsed.tree(id))),
            StatementKind::Essential => {
                self.graph.formulas.push(ProvedFormula { formula: self.parsed.tree(id), by: Justification::Hypothesis(id) });
                self.stack.push(Entry::Proved(self.graph.formulas.len() as u32 - 1));
            }
            StatementKind::Axiom | StatementKind::Theorem => {
                let pattern = self.patterns.of(id).ok_or_else(|| ProofFault::UnknownLabel { label: name() })?;
                let needs = self.db.mandatory(id).count();
                let has = self.stack.len();
                let base = has.checked_sub(needs).ok_or_else(|| ProofFault::Underflow { step: 0, label: name(), needs, has })?;
                let mut substitution = Vec::new();
                let mut premises = Vec::new();
                for entry in self.stack.drain(base..) {
                    match entry {
                        Entry::Syntax(term) => substitution.push(term),
                        Entry::Proved(number) => premises.push(number),
                    }
                }
                if substitution.len() != pattern.variables() || premises.len() != pattern.premises() {
                    return Err(ProofFault::Underflow { step: 0, label: name(), needs, has });
                }
                let formula = self.patterns.instance(self.terms, pattern.conclusion(), &substitution, &mut self.work);
                if self.parsed.grammar.is_provable(self.db, id) {
                    let by = Justification::Step { label: id, substitution: substitution.into(), premises: premises.into() };
                    self.graph.formulas.push(ProvedFormula { formula, by });
                    self.stack.push(Entry::Proved(self.graph.formulas.len() as u32 - 1));
                } else {
                    self.stack.push(Entry::Syntax(formula));
                }
            }
        }
        Ok(())
    }

    fn recall(&mut self, place: usize) -> Result<bool, ProofFault> {
        let Some(&entry) = self.marked.get(place) else { return Ok(false) };
        self.stack.push(entry);
        Ok(true)
    }

    fn mark(&mut self) {
        self.marked.extend(self.stack.last());
    }
}

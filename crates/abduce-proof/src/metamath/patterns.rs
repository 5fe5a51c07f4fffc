//! Assertions as patterns: trees with places for the mandatory variables, matched against trees and filled with them.

use super::database::{Database, NONE, StatementId, StatementKind, VARIABLE};
use super::grammar::ParsedDatabase;
use super::terms::{TermId, Terms};
use std::ops::Range;

/// The patterns of all assertions of a database.
#[derive(Clone, Debug)]
pub struct Patterns {
    /// Trees in prefix order: a head, or a mandatory variable marked by [`VARIABLE`].
    code: Vec<u32>,
    /// By statement that can be a head: how many children it has.
    arity: Vec<u16>,
    /// By statement: its pattern; empty for hypotheses.
    patterns: Vec<Pattern>,
    premises: Vec<Range<u32>>,
    /// Typecodes of mandatory variables.
    typecodes: Vec<u32>,
}

/// The pattern of one assertion.
#[derive(Clone, Debug, Default)]
pub struct Pattern {
    conclusion: Range<u32>,
    premises: Range<u32>,
    typecodes: Range<u32>,
}

impl Pattern {
    /// How many mandatory variables there are.
    pub fn variables(&self) -> usize {
        self.typecodes.len()
    }

    /// How many premises there are.
    pub fn premises(&self) -> usize {
        self.premises.len()
    }

    /// The conclusion, for `Patterns::matches` and `Patterns::instance`.
    pub fn conclusion(&self) -> Range<u32> {
        self.conclusion.clone()
    }
}

/// No tree yet.
pub(crate) const OPEN: TermId = TermId(NONE);

impl Patterns {
    /// The patterns of a parsed database.
    pub fn new(parsed: &ParsedDatabase<'_>) -> Self {
        let db = parsed.db;
        let mut patterns =
            Self { code: Vec::new(), arity: vec![0; db.len()], patterns: Vec::new(), premises: Vec::new(), typecodes: Vec::new() };
        let mut place = vec![NONE; db.len()];
        for id in db.statements() {
            if !db.is_assertion(id) {
                patterns.patterns.push(Pattern::default());
                continue;
            }
            let typecodes = patterns.typecodes.len() as u32;
            let floating = || db.mandatory(id).filter(|&hypothesis| db.kind(hypothesis) == StatementKind::Floating);
            for (number, hypothesis) in floating().enumerate() {
                place[hypothesis.0 as usize] = number as u32;
                patterns.typecodes.push(db.typecode(hypothesis).0);
            }
            patterns.arity[id.0 as usize] = u16::try_from(patterns.typecodes.len() - typecodes as usize).unwrap_or(u16::MAX);
            let conclusion = patterns.encode(&parsed.terms, parsed.tree(id), &place);
            let premises = patterns.premises.len() as u32;
            for hypothesis in db.essential(id) {
                let premise = patterns.encode(&parsed.terms, parsed.tree(hypothesis), &place);
                patterns.premises.push(premise);
            }
            patterns.patterns.push(Pattern {
                conclusion,
                premises: premises..patterns.premises.len() as u32,
                typecodes: typecodes..patterns.typecodes.len() as u32,
            });
            floating().for_each(|hypothesis| place[hypothesis.0 as usize] = NONE);
        }
        patterns
    }

    fn encode(&mut self, terms: &Terms, term: TermId, place: &[u32]) -> Range<u32> {
        let start = self.code.len() as u32;
        let mut stack = vec![term];
        while let Some(term) = stack.pop() {
            let head = terms.head(term).0;
            self.code.push(if place[head as usize] == NONE { head } else { place[head as usize] | VARIABLE });
            stack.extend(terms.children(term).iter().rev());
        }
        start..self.code.len() as u32
    }

    /// The pattern of an assertion.
    pub fn of(&self, id: StatementId) -> Option<&Pattern> {
        self.patterns.get(id.0 as usize).filter(|pattern| !pattern.conclusion.is_empty())
    }

    /// The premises of a pattern, in order.
    pub fn premises(&self, pattern: &Pattern) -> &[Range<u32>] {
        &self.premises[pattern.premises.start as usize..pattern.premises.end as usize]
    }

    /// The typecodes of a pattern's mandatory variables, in order.
    pub fn typecodes(&self, pattern: &Pattern) -> &[u32] {
        &self.typecodes[pattern.typecodes.start as usize..pattern.typecodes.end as usize]
    }

    /// A pattern in prefix order: heads, and places of variables marked by [`VARIABLE`].
    pub(crate) fn code(&self, pattern: &Range<u32>) -> &[u32] {
        &self.code[pattern.start as usize..pattern.end as usize]
    }

    /// Where the tree that begins at a place of the code ends.
    pub(crate) fn end_of(&self, start: u32) -> u32 {
        let mut at = start;
        let mut open = 1;
        while open > 0 {
            let code = self.code[at as usize];
            open += if code & VARIABLE == 0 { self.arity(code) } else { 0 };
            open -= 1;
            at += 1;
        }
        at
    }

    /// How many children a head has.
    pub(crate) fn arity(&self, head: u32) -> usize {
        usize::from(self.arity[head as usize])
    }

    /// The place of each mandatory variable that occurs in a pattern, as it occurs.
    pub(crate) fn variables_in(&self, pattern: &Range<u32>) -> impl Iterator<Item = usize> + '_ {
        self.code(pattern).iter().filter(|&&code| code & VARIABLE != 0).map(|&code| (code ^ VARIABLE) as usize)
    }

    /// Matches a pattern against a tree: fills the places of `substitution` that are [`OPEN`], and compares at those that are not. Types are compared too.
    /// `work` is a buffer. After `false`, `substitution` holds rests.
    pub(crate) fn matches(
        &self,
        db: &Database,
        terms: &Terms,
        (pattern, typecodes): (&Range<u32>, &[u32]),
        term: TermId,
        substitution: &mut [TermId],
        work: &mut Vec<TermId>,
    ) -> bool {
        work.clear();
        work.push(term);
        for &code in self.code(pattern) {
            let Some(term) = work.pop() else { return false };
            if code & VARIABLE == 0 {
                if terms.head(term).0 != code {
                    return false;
                }
                work.extend(terms.children(term).iter().rev());
            } else {
                let place = (code ^ VARIABLE) as usize;
                if substitution[place] == OPEN {
                    if db.typecode(terms.head(term)).0 != typecodes[place] {
                        return false;
                    }
                    substitution[place] = term;
                } else if substitution[place] != term {
                    return false;
                }
            }
        }
        work.is_empty()
    }

    /// Fills a pattern. Every variable that occurs in it must have a tree in `substitution`. `work` is a buffer.
    pub(crate) fn instance(&self, terms: &mut Terms, pattern: Range<u32>, substitution: &[TermId], work: &mut Vec<TermId>) -> TermId {
        work.clear();
        let mut children = [OPEN; 16];
        let mut many = Vec::new();
        // From right to left, prefix order is a stack machine; the first child lies on top.
        for &code in self.code(&pattern).iter().rev() {
            if code & VARIABLE != 0 {
                work.push(substitution[(code ^ VARIABLE) as usize]);
                continue;
            }
            let arity = self.arity(code);
            let base = work.len() - arity;
            let term = if arity <= children.len() {
                for (child, &term) in children.iter_mut().zip(work[base..].iter().rev()) {
                    *child = term;
                }
                terms.make(StatementId(code), &children[..arity])
            } else {
                many.clear();
                many.extend(work[base..].iter().rev().copied());
                terms.make(StatementId(code), &many)
            };
            work.truncate(base);
            work.push(term);
        }
        work[0]
    }
}

//! States of unfinished proofs: formulas, what each rests on, and which are open.

use super::database::StatementId;
use super::replay::{Justification, ProofGraph, ProvedFormula};
use super::terms::TermId;
use std::collections::HashSet;
use std::sync::Arc;

/// Bounds on a state.
#[derive(Clone, Copy, Debug)]
pub struct StateLimits {
    /// Most formulas, proved and open.
    pub formulas: usize,
    /// Most nodes in the tree of a formula.
    pub formula_size: u32,
}

impl Default for StateLimits {
    fn default() -> Self {
        Self { formulas: 100_000, formula_size: 20_000 }
    }
}

/// An unfinished proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofState {
    pub(super) formulas: Vec<TermId>,
    pub(super) by: Vec<Option<Arc<Justification>>>,
    /// Numbers of open goals, the first last.
    pub(super) open: Vec<u32>,
}

impl ProofState {
    /// The open goals, the one that the next tactic is applied to first.
    pub fn goals(&self) -> impl DoubleEndedIterator<Item = TermId> + ExactSizeIterator + '_ {
        self.open.iter().rev().map(|&number| self.formulas[number as usize])
    }

    /// The goal that the next tactic is applied to.
    pub fn goal(&self) -> Option<TermId> {
        self.open.last().map(|&number| self.formulas[number as usize])
    }

    /// Whether no goal is open.
    pub fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// How many steps were made.
    pub fn steps(&self) -> usize {
        self.by.iter().filter(|by| matches!(by.as_deref(), Some(Justification::Step { .. }))).count()
    }

    /// The assertion whose premise the first goal is, and which of its premises; nothing for the theorem itself.
    pub fn parent(&self) -> Option<(StatementId, usize)> {
        let goal = self.open.last()?;
        self.by.iter().find_map(|by| match by.as_deref() {
            Some(Justification::Step { label, premises, .. }) => Some((*label, premises.iter().position(|premise| premise == goal)?)),
            _ => None,
        })
    }

    /// All formulas that the proof has met, proved or open.
    pub fn formulas(&self) -> &[TermId] {
        &self.formulas
    }

    /// The proof, where no goal is open.
    pub fn graph(&self) -> Option<ProofGraph> {
        let formulas = self.formulas.iter().zip(&self.by);
        let formulas = formulas.map(|(&formula, by)| by.as_ref().map(|by| ProvedFormula { formula, by: by.as_ref().clone() }));
        Some(ProofGraph { formulas: formulas.collect::<Option<_>>()?, root: 0 })
    }

    /// The number of a formula that the proof has met.
    pub(super) fn find(&self, formula: TermId) -> Option<u32> {
        self.formulas.iter().position(|&known| known == formula).map(|place| place as u32)
    }

    /// Whether the justification of formula `from` rests on formula `to`.
    pub(super) fn rests_on(&self, from: u32, to: u32) -> bool {
        let mut seen = HashSet::from([from]);
        let mut stack = vec![from];
        while let Some(number) = stack.pop() {
            if number == to {
                return true;
            }
            if let Some(Justification::Step { premises, .. }) = self.by[number as usize].as_deref() {
                stack.extend(premises.iter().filter(|&&premise| seen.insert(premise)));
            }
        }
        false
    }
}

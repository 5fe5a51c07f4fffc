//! The environment of tactics: states of unfinished proofs, and steps from goals back to what implies them.
//!
//! A tactic is a label, or `LABEL { v := expression ; w := expression }`. It is applied to the first open goal: the assertion's conclusion is matched against the goal,
//! which fixes the variables that occur in it; the braces give the others. The premises become goals in order, before the goals that were open already. A premise
//! that is a hypothesis of the theorem, or a formula that the proof has met before, is no new goal.
//!
//! The environment checks types, `$d`, the position of the label, circles and sizes. It proves nothing: a finished state is written as text, and the kernel judges that.

use super::database::{Database, NONE, StatementId, StatementKind, Symbol};
use super::grammar::ParsedDatabase;
use super::patterns::Patterns;
use super::terms::TermId;
use std::collections::HashSet;
use std::sync::Arc;

/// What all provers of a database share.
#[derive(Clone, Debug)]
pub struct Environment<'d> {
    /// The database and its trees.
    pub parsed: ParsedDatabase<'d>,
    /// Its assertions as patterns.
    pub patterns: Patterns,
    /// By symbol: its `$f` statements, in order.
    floating: Vec<Vec<StatementId>>,
}

/// A theorem to be proved.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The theorem.
    pub theorem: StatementId,
    /// The tree of what is to be proved.
    pub statement: TermId,
    /// Its premises and their trees.
    pub hypotheses: Vec<(StatementId, TermId)>,
    /// `$f` of its mandatory variables, sorted.
    pub(super) mandatory: Vec<StatementId>,
    /// Pairs of mandatory variables that are `$d`, smaller `$f` first, sorted.
    pub(super) disjoint: Vec<(StatementId, StatementId)>,
    /// Assertions before it that must not be cited all the same.
    pub(super) excluded: Arc<HashSet<StatementId>>,
}

/// One backward step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tactic {
    /// The assertion.
    pub label: StatementId,
    /// Trees for the mandatory variables that its conclusion does not have: (`$f`, tree), in the order of the frame.
    pub given: Box<[(StatementId, TermId)]>,
}

impl<'d> Environment<'d> {
    /// The environment of a parsed database.
    pub fn new(parsed: ParsedDatabase<'d>) -> Self {
        let patterns = Patterns::new(&parsed);
        let db = parsed.db;
        let mut floating = vec![Vec::new(); db.symbol_count()];
        for id in db.statements().filter(|&id| db.kind(id) == StatementKind::Floating) {
            floating[db.expression(id)[1] as usize].push(id);
        }
        Self { parsed, patterns, floating }
    }

    /// The database.
    pub fn db(&self) -> &'d Database {
        self.parsed.db
    }

    /// Whether an assertion is a judgement, which tactics may cite, and not a rule of syntax.
    pub fn is_citable(&self, id: StatementId) -> bool {
        self.db().is_assertion(id) && self.parsed.grammar.is_provable(self.db(), id)
    }

    /// The problem of proving a theorem of the database without `excluded` assertions.
    pub fn problem(&self, theorem: StatementId, excluded: Arc<HashSet<StatementId>>) -> Problem {
        let db = self.db();
        let mandatory: Vec<StatementId> = db.mandatory(theorem).filter(|&id| db.kind(id) == StatementKind::Floating).collect();
        let of = |symbol: Symbol| mandatory.iter().copied().find(|&id| db.expression(id)[1] == symbol.0);
        let pairs = db.disjoint_pairs(theorem).into_iter().filter_map(|(x, y)| Some((of(x)?, of(y)?)));
        let mut disjoint: Vec<_> = pairs.map(|(x, y)| (x.min(y), x.max(y))).collect();
        disjoint.sort_unstable();
        Problem {
            theorem,
            statement: self.parsed.tree(theorem),
            hypotheses: db.essential(theorem).map(|id| (id, self.parsed.tree(id))).collect(),
            mandatory,
            disjoint,
            excluded,
        }
    }

    /// The `$f` of the mandatory variables of an assertion that its conclusion does not have, in order: those that a tactic gives expressions for.
    /// `None` for what tactics cannot cite.
    pub fn free_variables(&self, label: StatementId) -> Option<Vec<StatementId>> {
        let pattern = self.patterns.of(label).filter(|_| self.is_citable(label))?;
        let mut fixed = vec![false; pattern.variables()];
        self.patterns.variables_in(&pattern.conclusion()).for_each(|place| fixed[place] = true);
        let db = self.db();
        let floating = db.mandatory(label).filter(|&id| db.kind(id) == StatementKind::Floating);
        Some(floating.zip(fixed).filter(|&(_, fixed)| !fixed).map(|(id, _)| id).collect())
    }

    /// The active `$f` of a variable where a theorem stands; [`NONE`] where it has none.
    pub(super) fn active_floating(&self, theorem: StatementId, symbol: u32) -> u32 {
        let found = self.floating[symbol as usize].iter().rev().find(|&&id| self.db().is_active(id, theorem));
        found.map_or(NONE, |id| id.0)
    }
}

impl Problem {
    /// Whether its proof may cite an assertion, as far as position and exclusion go.
    pub fn allows(&self, label: StatementId) -> bool {
        label < self.theorem && !self.excluded.contains(&label)
    }

    pub(super) fn is_mandatory(&self, floating: StatementId) -> bool {
        self.mandatory.binary_search(&floating).is_ok()
    }

    /// Whether two variables may occur in what replaces two that are `$d`. Dummy variables may: their own `$d` are collected when the proof is finished.
    pub(super) fn may_differ(&self, x: StatementId, y: StatementId) -> bool {
        x != y && (!self.is_mandatory(x) || !self.is_mandatory(y) || self.disjoint.binary_search(&(x.min(y), x.max(y))).is_ok())
    }
}

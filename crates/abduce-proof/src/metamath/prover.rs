//! The prover: applies tactics to states, and turns finished states into texts that the kernel judges.

use super::database::{Database, NONE, StatementId, StatementKind, Symbol};
use super::environment::{Environment, Problem, Tactic};
use super::grammar::{Chart, FormulaFault};
use super::kernel::{Kernel, KernelLimits, ProofFault};
use super::patterns::OPEN;
use super::replay::{Justification, ProofGraph};
use super::state::{ProofState, StateLimits};
use super::tactic_error::TacticError;
use super::terms::{TermId, Terms};
use super::writer::{ProofFormat, WriteError, write_proof};
use std::collections::HashMap;
use std::sync::Arc;

/// A finished proof that the kernel has accepted as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedProof {
    /// What stands between `$=` and `$.`.
    pub text: String,
    /// `$d` pairs of dummy variables that the database does not have there and the proof needs.
    pub dummies: Vec<(Symbol, Symbol)>,
    /// The axioms, definitions and theorems that it cites, without those of syntax, in database order.
    pub cites: Vec<StatementId>,
}

/// Why a state is no proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FinishError {
    /// Goals are open.
    #[error("{open} goals are open")]
    Open {
        /// How many.
        open: usize,
    },
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The kernel refuses the text.
    #[error("the kernel refuses the proof: {0}")]
    Refused(#[from] ProofFault),
}

/// One user of an environment, with trees and buffers of its own.
#[derive(Debug)]
pub struct Prover<'e, 'd> {
    pub(super) env: &'e Environment<'d>,
    pub(super) terms: Terms,
    pub(super) limits: StateLimits,
    kernel: Kernel<'d>,
    pub(super) chart: Chart,
    work: Vec<TermId>,
    substitution: Vec<TermId>,
    premises: Vec<TermId>,
}

impl<'e, 'd> Prover<'e, 'd> {
    /// A prover.
    pub fn new(env: &'e Environment<'d>, limits: StateLimits) -> Self {
        Self {
            env,
            terms: env.parsed.terms.clone(),
            limits,
            kernel: Kernel::new(env.db(), KernelLimits::default()),
            chart: Chart::default(),
            work: Vec::new(),
            substitution: Vec::new(),
            premises: Vec::new(),
        }
    }

    /// The environment.
    pub fn environment(&self) -> &'e Environment<'d> {
        self.env
    }

    /// The trees.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The trees, to add to.
    pub fn terms_mut(&mut self) -> &mut Terms {
        &mut self.terms
    }

    /// Forgets all trees that are not the database's. States and tactics made before must not be used any more.
    pub fn forget(&mut self) {
        self.terms.truncate(self.env.parsed.terms.len());
    }

    /// The state before the first step.
    pub fn start(&self, problem: &Problem) -> ProofState {
        self.start_at(problem, problem.statement)
    }

    /// A state whose only goal is this formula, under the hypotheses of the problem.
    pub fn start_at(&self, problem: &Problem, goal: TermId) -> ProofState {
        let hypothesis = problem.hypotheses.iter().find(|&&(_, tree)| tree == goal);
        match hypothesis {
            Some(&(label, _)) => {
                ProofState { formulas: vec![goal], by: vec![Some(Arc::new(Justification::Hypothesis(label)))], open: Vec::new() }
            }
            None => ProofState { formulas: vec![goal], by: vec![None], open: vec![0] },
        }
    }

    /// Applies a tactic to the first goal. After an error the state is as before.
    ///
    /// # Errors
    /// The tactic does not apply.
    pub fn apply(&mut self, problem: &Problem, state: &mut ProofState, tactic: &Tactic) -> Result<(), TacticError> {
        let env = self.env;
        let db = env.db();
        let label = tactic.label;
        let name = || db.label(label).to_owned();
        let &goal = state.open.last().ok_or(TacticError::NoGoal)?;
        if !env.is_citable(label) {
            return Err(TacticError::UnknownLabel { label: name() });
        }
        if label >= problem.theorem {
            return Err(TacticError::NotEarlier { label: name() });
        }
        if problem.excluded.contains(&label) {
            return Err(TacticError::Excluded { label: name() });
        }
        let pattern = env.patterns.of(label).ok_or_else(|| TacticError::UnknownLabel { label: name() })?;
        let typecodes = env.patterns.typecodes(pattern);
        self.substitution.clear();
        self.substitution.resize(typecodes.len(), OPEN);
        let formula = state.formulas[goal as usize];
        if !env.patterns.matches(db, &self.terms, (&pattern.conclusion(), typecodes), formula, &mut self.substitution, &mut self.work) {
            return Err(TacticError::NoMatch { label: name() });
        }
        self.fill(label, tactic)?;
        self.check_disjoint(problem, label)?;
        self.premises.clear();
        for premise in env.patterns.premises(pattern) {
            let tree = env.patterns.instance(&mut self.terms, premise.clone(), &self.substitution, &mut self.work);
            if self.terms.size(tree) > self.limits.formula_size {
                return Err(TacticError::Limit { what: "the sizes of formulas", limit: self.limits.formula_size as usize });
            }
            self.premises.push(tree);
        }
        if state.formulas.len() + self.premises.len() > self.limits.formulas {
            return Err(TacticError::Limit { what: "the formulas of a state", limit: self.limits.formulas });
        }
        // Everything is checked before anything is changed: circles can only come by formulas met before.
        for &tree in &self.premises {
            if problem.hypotheses.iter().all(|&(_, hypothesis)| hypothesis != tree)
                && let Some(known) = state.find(tree)
                && state.rests_on(known, goal)
            {
                return Err(TacticError::Circle { label: name() });
            }
        }
        state.open.pop();
        let base = state.open.len();
        let mut numbers = Vec::with_capacity(self.premises.len());
        for &tree in &self.premises {
            let number = state.find(tree).unwrap_or_else(|| {
                let number = state.formulas.len() as u32;
                let hypothesis = problem.hypotheses.iter().find(|&&(_, hypothesis)| hypothesis == tree);
                state.formulas.push(tree);
                state.by.push(hypothesis.map(|&(label, _)| Arc::new(Justification::Hypothesis(label))));
                if hypothesis.is_none() {
                    state.open.push(number);
                }
                number
            });
            numbers.push(number);
        }
        state.open[base..].reverse();
        let step = Justification::Step { label, substitution: self.substitution[..].into(), premises: numbers.into() };
        state.by[goal as usize] = Some(Arc::new(step));
        Ok(())
    }

    /// Puts the given trees into the open places of the substitution.
    fn fill(&mut self, label: StatementId, tactic: &Tactic) -> Result<(), TacticError> {
        let db = self.env.db();
        let name = || db.label(label).to_owned();
        let variable = |floating: StatementId| db.symbol_name(Symbol(db.expression(floating)[1])).to_owned();
        let mut given = tactic.given.iter();
        let mut next = given.next();
        let floating = db.mandatory(label).filter(|&id| db.kind(id) == StatementKind::Floating);
        for (place, floating) in floating.enumerate() {
            match next {
                Some(&(wanted, tree)) if wanted == floating => {
                    if self.substitution[place] != OPEN {
                        return Err(TacticError::Unneeded { label: name(), variable: variable(floating) });
                    }
                    let typecode = db.typecode(floating);
                    if db.typecode(self.terms.head(tree)) != typecode {
                        let typecode = db.symbol_name(typecode).to_owned();
                        let fault = FormulaFault::NoTree { typecode, formula: self.render(tree) };
                        return Err(TacticError::Formula { variable: variable(floating), fault });
                    }
                    self.substitution[place] = tree;
                    next = given.next();
                }
                _ if self.substitution[place] == OPEN => return Err(TacticError::Missing { label: name(), variable: variable(floating) }),
                _ => {}
            }
        }
        match next {
            Some(&(wanted, _)) => Err(TacticError::Unneeded { label: name(), variable: variable(wanted) }),
            None => Ok(()),
        }
    }

    fn check_disjoint(&self, problem: &Problem, label: StatementId) -> Result<(), TacticError> {
        let db = self.env.db();
        let broken = for_disjoint(db, &self.terms, label, &self.substitution, |x, y| problem.may_differ(x, y));
        match broken {
            None => Ok(()),
            Some((x, y)) => {
                let variable = |place: usize| {
                    let floating = db.mandatory(label).filter(|&id| db.kind(id) == StatementKind::Floating).nth(place);
                    floating.map(|id| db.symbol_name(Symbol(db.expression(id)[1])).to_owned()).unwrap_or_default()
                };
                Err(TacticError::Disjoint { label: db.label(label).to_owned(), x: variable(x), y: variable(y) })
            }
        }
    }

    /// Writes a finished proof and has the kernel check the text.
    ///
    /// # Errors
    /// Goals are open, the proof cannot be written, or the kernel refuses it.
    pub fn finish(&mut self, problem: &Problem, state: &ProofState) -> Result<VerifiedProof, FinishError> {
        let graph = state.graph().ok_or(FinishError::Open { open: state.open.len() })?;
        self.finish_graph(problem, &graph, ProofFormat::Compressed)
    }

    /// Writes a proof and has the kernel check the text.
    ///
    /// # Errors
    /// The proof cannot be written, or the kernel refuses it.
    pub fn finish_graph(&mut self, problem: &Problem, graph: &ProofGraph, format: ProofFormat) -> Result<VerifiedProof, FinishError> {
        let db = self.env.db();
        let text = write_proof(&self.env.parsed, &self.terms, problem.theorem, graph, format)?;
        let mut cites = Vec::new();
        let mut pairs = Vec::new();
        for formula in &graph.formulas {
            if let Justification::Step { label, substitution, .. } = &formula.by {
                cites.push(*label);
                for_disjoint(db, &self.terms, *label, substitution, |x, y| {
                    if !problem.is_mandatory(x) || !problem.is_mandatory(y) {
                        let symbol = |id: StatementId| Symbol(db.expression(id)[1]);
                        pairs.push((symbol(x).min(symbol(y)), symbol(x).max(symbol(y))));
                    }
                    true
                });
            }
        }
        cites.sort_unstable();
        cites.dedup();
        pairs.sort_unstable();
        pairs.dedup();
        let known = db.disjoint_pairs(problem.theorem);
        pairs.retain(|pair| known.binary_search(pair).is_err());
        self.kernel.check(problem.theorem, &pairs, &text)?;
        Ok(VerifiedProof { text, dummies: pairs, cites })
    }

    /// The tactics, in order, that lead from the first state to a stored proof.
    ///
    /// # Errors
    /// A formula of the graph is not proved in it.
    pub fn script(&mut self, problem: &Problem, graph: &ProofGraph) -> Result<Vec<Tactic>, TacticError> {
        let env = self.env;
        let db = env.db();
        // A formula proved twice: the first proof can't rest on the second one, so taking it everywhere leads to no circle.
        let mut first: HashMap<TermId, &Justification> = HashMap::with_capacity(graph.formulas.len());
        for formula in &graph.formulas {
            first.entry(formula.formula).or_insert(&formula.by);
        }
        let mut state = self.start(problem);
        let mut script = Vec::new();
        while let Some(goal) = state.goal() {
            let Some(Justification::Step { label, substitution, .. }) = first.get(&goal) else { return Err(TacticError::NoGoal) };
            let pattern = env.patterns.of(*label).ok_or_else(|| TacticError::UnknownLabel { label: db.label(*label).to_owned() })?;
            let mut fixed = vec![false; substitution.len()];
            env.patterns.variables_in(&pattern.conclusion()).for_each(|place| fixed[place] = true);
            let floating = db.mandatory(*label).filter(|&id| db.kind(id) == StatementKind::Floating);
            let given = floating.zip(substitution.iter()).zip(&fixed).filter(|&(_, &fixed)| !fixed).map(|((id, &tree), _)| (id, tree));
            let tactic = Tactic { label: *label, given: given.collect() };
            self.apply(problem, &mut state, &tactic)?;
            script.push(tactic);
        }
        Ok(script)
    }
}

/// Gives each pair of variables (as `$f`) that occur in what replaces a `$d` pair of an assertion to `allowed`, until that says no: then the places of the pair.
fn for_disjoint(
    db: &Database,
    terms: &Terms,
    label: StatementId,
    substitution: &[TermId],
    mut allowed: impl FnMut(StatementId, StatementId) -> bool,
) -> Option<(usize, usize)> {
    let frame = db.frame(label)?;
    let pairs = &db.pairs[frame.disjoint.start as usize..frame.disjoint.end as usize];
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let mut last = NONE;
    for &(x, y) in pairs {
        if x != last {
            variables_of(db, terms, substitution[x as usize], &mut left);
            last = x;
        }
        variables_of(db, terms, substitution[y as usize], &mut right);
        if left.iter().any(|&x| right.iter().any(|&y| !allowed(x, y))) {
            return Some((x as usize, y as usize));
        }
    }
    None
}

/// The variables of a tree, as `$f`, each once.
fn variables_of(db: &Database, terms: &Terms, term: TermId, out: &mut Vec<StatementId>) {
    out.clear();
    let mut stack = vec![term];
    while let Some(term) = stack.pop() {
        let children = terms.children(term);
        if children.is_empty() {
            // Constants are leaves too.
            let head = terms.head(term);
            if db.kind(head) == StatementKind::Floating && !out.contains(&head) {
                out.push(head);
            }
        }
        stack.extend(children);
    }
}

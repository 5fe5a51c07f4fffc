//! The environment of tactics: states of unfinished proofs, and steps from goals back to what implies them.
//!
//! A tactic is a label, or `LABEL { v := expression ; w := expression }`. It is applied to the first open goal: the assertion's conclusion is matched against the goal,
//! which fixes the variables that occur in it; the braces give the others. The premises become goals in order, before the goals that were open already. A premise
//! that is a hypothesis of the theorem, or a formula that the proof has met before, is no new goal.
//!
//! The environment checks types, `$d`, the position of the label, circles and sizes. It proves nothing: a finished state is written as text, and the kernel judges that.

use super::database::{Database, NONE, StatementId, StatementKind, Symbol};
use super::grammar::{Chart, FormulaFault, ParsedDatabase};
use super::kernel::{Kernel, KernelLimits, ProofFault};
use super::patterns::{OPEN, Patterns};
use super::replay::{Justification, ProofGraph, ProvedFormula};
use super::tactic_error::TacticError;
use super::terms::{TermId, Terms};
use super::writer::{ProofFormat, WriteError, write_proof};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
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
    mandatory: Vec<StatementId>,
    /// Pairs of mandatory variables that are `$d`, smaller `$f` first, sorted.
    disjoint: Vec<(StatementId, StatementId)>,
    /// Assertions before it that must not be cited all the same.
    excluded: Arc<HashSet<StatementId>>,
}

/// One backward step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tactic {
    /// The assertion.
    pub label: StatementId,
    /// Trees for the mandatory variables that its conclusion does not have: (`$f`, tree), in the order of the frame.
    pub given: Box<[(StatementId, TermId)]>,
}

/// An unfinished proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofState {
    formulas: Vec<TermId>,
    by: Vec<Option<Arc<Justification>>>,
    /// Numbers of open goals, the first last.
    open: Vec<u32>,
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
    fn find(&self, formula: TermId) -> Option<u32> {
        self.formulas.iter().position(|&known| known == formula).map(|place| place as u32)
    }

    /// Whether the justification of formula `from` rests on formula `to`.
    fn rests_on(&self, from: u32, to: u32) -> bool {
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
    fn active_floating(&self, theorem: StatementId, symbol: u32) -> u32 {
        let found = self.floating[symbol as usize].iter().rev().find(|&&id| self.db().is_active(id, theorem));
        found.map_or(NONE, |id| id.0)
    }
}

impl Problem {
    /// Whether its proof may cite an assertion, as far as position and exclusion go.
    pub fn allows(&self, label: StatementId) -> bool {
        label < self.theorem && !self.excluded.contains(&label)
    }

    fn is_mandatory(&self, floating: StatementId) -> bool {
        self.mandatory.binary_search(&floating).is_ok()
    }

    /// Whether two variables may occur in what replaces two that are `$d`. Dummy variables may: their own `$d` are collected when the proof is finished.
    fn may_differ(&self, x: StatementId, y: StatementId) -> bool {
        x != y && (!self.is_mandatory(x) || !self.is_mandatory(y) || self.disjoint.binary_search(&(x.min(y), x.max(y))).is_ok())
    }
}

/// One user of an environment, with trees and buffers of its own.
#[derive(Debug)]
pub struct Prover<'e, 'd> {
    env: &'e Environment<'d>,
    terms: Terms,
    limits: StateLimits,
    kernel: Kernel<'d>,
    chart: Chart,
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

    /// A tree as symbols, without the typecode.
    pub fn render(&self, tree: TermId) -> String {
        let mut symbols = Vec::new();
        self.env.parsed.grammar.print(self.env.db(), &self.terms, tree, &mut symbols);
        self.env.db().render(&symbols)
    }

    /// A tactic as text.
    pub fn render_tactic(&self, tactic: &Tactic) -> String {
        let db = self.env.db();
        let mut text = db.label(tactic.label).to_owned();
        for (place, &(floating, tree)) in tactic.given.iter().enumerate() {
            let variable = db.symbol_name(Symbol(db.expression(floating)[1]));
            write!(text, " {} {variable} := {}", if place == 0 { '{' } else { ';' }, self.render(tree)).ok();
        }
        if !tactic.given.is_empty() {
            text.push_str(" }");
        }
        text
    }

    /// A state as text: hypotheses (`h NAME FORMULA`), `$d` pairs (`d x y`), open goals (`g FORMULA`), one a line.
    pub fn render_state(&self, problem: &Problem, state: &ProofState) -> String {
        let db = self.env.db();
        let mut text = String::new();
        for &(label, tree) in &problem.hypotheses {
            writeln!(text, "h {} {}", db.label(label), self.render(tree)).ok();
        }
        let variable = |id: StatementId| db.symbol_name(Symbol(db.expression(id)[1]));
        for &(x, y) in &problem.disjoint {
            writeln!(text, "d {} {}", variable(x), variable(y)).ok();
        }
        for goal in state.goals() {
            writeln!(text, "g {}", self.render(goal)).ok();
        }
        text
    }

    /// A tactic from text.
    ///
    /// # Errors
    /// The text is no tactic, names what is not there, or an expression is not of the variable's type.
    pub fn parse_tactic(&mut self, problem: &Problem, text: &str) -> Result<Tactic, TacticError> {
        let env = self.env;
        let db = env.db();
        let form = |reason| TacticError::Form { reason };
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (&name, rest) = words.split_first().ok_or(form("it is empty"))?;
        let label = db
            .find(name)
            .filter(|&id| env.is_citable(id))
            .ok_or_else(|| TacticError::UnknownLabel { label: name.chars().take(80).collect() })?;
        let inner = match rest {
            [] => return Ok(Tactic { label, given: Box::default() }),
            ["{", inner @ .., "}"] => inner,
            _ => return Err(form("expressions stand between `{` and `}`")),
        };
        let variable_of = |word: &str| {
            db.mandatory(label).find(|&id| db.kind(id) == StatementKind::Floating && db.symbol_name(Symbol(db.expression(id)[1])) == word)
        };
        // An expression ends where `; VARIABLE :=` follows: `;` alone is a symbol of set.mm.
        let mut given = Vec::new();
        let mut at = 0;
        while at < inner.len() {
            let (&variable, assigns) = (&inner[at], inner.get(at + 1) == Some(&":="));
            if !assigns {
                return Err(form("`:=` follows a variable"));
            }
            let unneeded = || TacticError::Unneeded { label: name.to_owned(), variable: variable.chars().take(80).collect() };
            let floating = variable_of(variable).ok_or_else(unneeded)?;
            let start = at + 2;
            let ends = |at: &usize| inner[*at] == ";" && inner.get(at + 2) == Some(&":=") && variable_of(inner[at + 1]).is_some();
            let end = (start..inner.len()).find(ends).unwrap_or(inner.len());
            let tree = self.parse_expression(problem, db.typecode(floating), &inner[start..end]);
            let tree = tree.map_err(|fault| TacticError::Formula { variable: variable.to_owned(), fault })?;
            if given.iter().any(|&(known, _)| known == floating) {
                return Err(form("a variable is given twice"));
            }
            given.push((floating, tree));
            at = end + 1;
        }
        given.sort_unstable();
        Ok(Tactic { label, given: given.into() })
    }

    /// The tree of an expression of a type, with the variables that are active where the theorem stands.
    ///
    /// # Errors
    /// The words are no such expression.
    pub fn parse_expression(&mut self, problem: &Problem, typecode: Symbol, words: &[&str]) -> Result<TermId, FormulaFault> {
        let env = self.env;
        let db = env.db();
        let unknown = |word: &str| FormulaFault::Unknown { symbol: word.chars().take(80).collect() };
        let symbols = words.iter().map(|word| db.find_symbol(word).map(|symbol| symbol.0).ok_or_else(|| unknown(word)));
        let symbols: Vec<u32> = symbols.collect::<Result<_, _>>()?;
        if symbols.len() > self.limits.formula_size as usize {
            return Err(FormulaFault::TooComplex { symbols: symbols.len() });
        }
        let floating = |symbol| env.active_floating(problem.theorem, symbol);
        env.parsed.grammar.parse(db, &mut self.terms, &mut self.chart, typecode.0, &symbols, floating)
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

//! Tactics, states and expressions as text, and back.

use super::database::{StatementId, StatementKind, Symbol};
use super::environment::{Problem, Tactic};
use super::grammar::FormulaFault;
use super::prover::Prover;
use super::state::ProofState;
use super::tactic_error::TacticError;
use super::terms::TermId;
use std::fmt::Write as _;

impl Prover<'_, '_> {
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
}

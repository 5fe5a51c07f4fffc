//! From symbols to syntax trees and back, for databases whose `$a` of syntax types form an unambiguous grammar.
//!
//! Each `$a` of a syntax type is a production (all typecodes but `|-`; without a `|-`, those that variables have); `|- φ` is parsed as what `|-` stands for (`wff` in set.mm). Productions that begin alike
//! share a path of a trie. A formula is read from right to left: for each place, all constituents that begin there are built out of those that begin further to the
//! right, so there is no recursion and no backtracking, and prefixes such as `( A`, which many productions share, are walked once. Productions that begin with a
//! constituent (`A = B`, `a '`) extend the constituents found at the same place until nothing new appears.

use super::database::{Database, NONE, StatementId, StatementKind, Symbol, VARIABLE, range};
use super::terms::{TermId, Terms};
use std::collections::HashMap;

/// Why a database has no usable grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// A production that this parser does not take.
    #[error("the syntax axiom `{label}` {reason}")]
    Production {
        /// Its label.
        label: String,
        /// What is unusual.
        reason: &'static str,
    },
    /// No type parses the statements of a typecode.
    #[error("no type of variables parses the statements that begin with `{typecode}`")]
    Provable {
        /// The typecode.
        typecode: String,
    },
    /// A statement that does not parse, or in two ways.
    #[error("`{label}`: {fault}")]
    Statement {
        /// Its label.
        label: String,
        /// Why.
        fault: FormulaFault,
    },
}

/// Why symbols are no formula.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormulaFault {
    /// The grammar does not derive it.
    #[error("`{formula}` is no {typecode}")]
    NoTree {
        /// What was wanted.
        typecode: String,
        /// The symbols.
        formula: String,
    },
    /// The grammar derives it in more than one way.
    #[error("`{formula}` is a {typecode} in more than one way")]
    Ambiguous {
        /// What was wanted.
        typecode: String,
        /// The symbols.
        formula: String,
    },
    /// A symbol that the database does not have, or a variable without an active type.
    #[error("`{symbol}` is not a symbol here")]
    Unknown {
        /// The symbol.
        symbol: String,
    },
    /// More work than is allowed.
    #[error("a formula of {symbols} symbols is too complex")]
    TooComplex {
        /// Its length.
        symbols: usize,
    },
}

/// Most symbols of a production.
const MAX_PRODUCTION: usize = 250;
/// Most moves in the trie for one formula, per symbol.
const MOVES_PER_SYMBOL: usize = 100_000;

/// The grammar of a database.
#[derive(Clone, Debug)]
pub struct Grammar {
    nodes: Vec<TrieNode>,
    /// (node, constant) → node.
    edges: HashMap<(u32, u32), u32, Mixer>,
    /// By typecode: what it is parsed as.
    parsed_as: HashMap<u32, u32>,
    /// By production: for each place in the frame, the place of its variable in the statement.
    order: HashMap<u32, Vec<u32>>,
}

#[derive(Clone, Debug, Default)]
struct TrieNode {
    /// (typecode, node).
    kinds: Vec<(u32, u32)>,
    /// The production that ends here and its typecode.
    done: Option<(u32, u32)>,
    has_constants: bool,
}

/// A fast hash of two small numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mixer(u64);

impl std::hash::BuildHasher for Mixer {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        *self
    }
}

impl std::hash::Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u32(u32::from(byte)));
    }
    fn write_u32(&mut self, value: u32) {
        self.0 = (self.0.rotate_left(32) ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Something that begins at a place.
#[derive(Clone, Copy, Debug)]
struct Constituent {
    typecode: u32,
    end: u32,
    term: TermId,
    ambiguous: bool,
}

/// Buffers of the parser.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chart {
    constituents: Vec<Constituent>,
    /// By place, where its constituents begin and end.
    at: Vec<(u32, u32)>,
    path: Vec<TermId>,
    ordered: Vec<TermId>,
    moves: usize,
}

const ROOT: u32 = 0;

impl Grammar {
    /// The grammar of a database.
    ///
    /// # Errors
    /// A syntax axiom is empty, has premises, repeats a variable or is very long; or no type of variables parses what begins with `|-`.
    pub fn new(db: &Database) -> Result<Self, GrammarError> {
        let mut grammar =
            Self { nodes: vec![TrieNode::default()], edges: HashMap::default(), parsed_as: HashMap::new(), order: HashMap::new() };
        for id in db.statements().filter(|&id| db.kind(id) == StatementKind::Floating) {
            let typecode = db.typecode(id).0;
            grammar.parsed_as.insert(typecode, typecode);
        }
        // Where there is a `|-`, every other typecode is one of syntax, whether variables have it (ql.mm: no variable is a `wff`) or not.
        let turnstile = db.find_symbol("|-").map(|symbol| symbol.0);
        let mut provable: Vec<u32> = Vec::new();
        for id in db.statements().filter(|&id| db.kind(id) == StatementKind::Axiom) {
            let typecode = db.typecode(id).0;
            if turnstile.is_some_and(|turnstile| typecode != turnstile) {
                grammar.parsed_as.insert(typecode, typecode);
            }
            if grammar.parsed_as.contains_key(&typecode) {
                grammar.add(db, id)?;
            } else if !provable.contains(&typecode) {
                provable.push(typecode);
            }
        }
        for typecode in provable {
            let stands_for = grammar.stands_for(db, typecode)?;
            grammar.parsed_as.insert(typecode, stands_for);
        }
        Ok(grammar)
    }

    /// The type as which statements of a typecode are parsed: the only one that derives the axioms that have it.
    fn stands_for(&self, db: &Database, typecode: u32) -> Result<u32, GrammarError> {
        let mut types: Vec<u32> = self.parsed_as.values().copied().collect();
        types.sort_unstable();
        types.dedup();
        let axioms = db.statements().filter(|&id| db.kind(id) == StatementKind::Axiom && db.typecode(id).0 == typecode);
        let mut floating = vec![NONE; db.symbol_count()];
        let (mut chart, mut terms) = (Chart::default(), Terms::default());
        for axiom in axioms {
            if types.len() < 2 {
                break;
            }
            frame_types(db, axiom, &mut floating);
            types.retain(|&kind| {
                let tree = self.parse(db, &mut terms, &mut chart, kind, &db.expression(axiom)[1..], |symbol| floating[symbol as usize]);
                matches!(tree, Ok(_) | Err(FormulaFault::Ambiguous { .. }))
            });
        }
        types.first().copied().ok_or_else(|| GrammarError::Provable { typecode: db.symbols.name(typecode).to_owned() })
    }

    fn add(&mut self, db: &Database, id: StatementId) -> Result<(), GrammarError> {
        let fault = |reason| GrammarError::Production { label: db.label(id).to_owned(), reason };
        let Some(frame) = db.frame(id) else { return Ok(()) };
        let hypotheses = &db.hypotheses[range(&frame.hypotheses)];
        if hypotheses.iter().any(|hypothesis| !hypothesis.floating) {
            return Err(fault("has premises"));
        }
        let code = &db.code[range(&frame.conclusion)];
        if code.len() < 2 {
            return Err(fault("derives nothing"));
        }
        if code.len() > MAX_PRODUCTION {
            return Err(fault("is very long"));
        }
        let mut order = vec![NONE; hypotheses.len()];
        let mut places = 0;
        let mut node = ROOT;
        for &symbol in &code[1..] {
            if symbol & VARIABLE == 0 {
                self.nodes[node as usize].has_constants = true;
                let next = self.nodes.len() as u32;
                let found = *self.edges.entry((node, symbol)).or_insert(next);
                if found == next {
                    self.nodes.push(TrieNode::default());
                }
                node = found;
                continue;
            }
            let place = (symbol ^ VARIABLE) as usize;
            if std::mem::replace(&mut order[place], places) != NONE {
                return Err(fault("repeats a variable"));
            }
            places += 1;
            let typecode = hypotheses[place].typecode;
            node = match self.nodes[node as usize].kinds.iter().find(|&&(kind, _)| kind == typecode) {
                Some(&(_, next)) => next,
                None => {
                    let next = self.nodes.len() as u32;
                    self.nodes[node as usize].kinds.push((typecode, next));
                    self.nodes.push(TrieNode::default());
                    next
                }
            };
        }
        if self.nodes[node as usize].done.replace((id.0, code[0])).is_some() {
            return Err(fault("repeats another one"));
        }
        self.order.insert(id.0, order);
        Ok(())
    }

    /// Whether a statement's typecode is that of a judgement (`|-`), not of a variable.
    pub fn is_provable(&self, db: &Database, id: StatementId) -> bool {
        let typecode = db.typecode(id).0;
        self.parsed_as.get(&typecode) != Some(&typecode)
    }

    /// The type as which statements of a typecode are parsed.
    pub(crate) fn parsed_as(&self, typecode: u32) -> Option<u32> {
        self.parsed_as.get(&typecode).copied()
    }

    /// The tree of symbols as a constituent of a type. `floating` gives each variable's `$f`, [`NONE`] where it has none.
    pub(crate) fn parse(
        &self,
        db: &Database,
        terms: &mut Terms,
        chart: &mut Chart,
        typecode: u32,
        symbols: &[u32],
        floating: impl Fn(u32) -> u32,
    ) -> Result<TermId, FormulaFault> {
        chart.constituents.clear();
        chart.at.clear();
        chart.at.resize(symbols.len() + 1, (0, 0));
        chart.moves = MOVES_PER_SYMBOL.saturating_mul(symbols.len());
        for place in (0..symbols.len()).rev() {
            let symbol = symbols[place];
            let first = chart.constituents.len() as u32;
            chart.at[place] = (first, first);
            if db.is_variable[symbol as usize] {
                let hypothesis = floating(symbol);
                if hypothesis == NONE {
                    return Err(FormulaFault::Unknown { symbol: db.symbols.name(symbol).to_owned() });
                }
                let term = terms.make(StatementId(hypothesis), &[]);
                let typecode = db.typecode(StatementId(hypothesis)).0;
                chart.constituents.push(Constituent { typecode, end: place as u32 + 1, term, ambiguous: false });
            } else if let Some(&node) = self.edges.get(&(ROOT, symbol)) {
                self.walk(terms, chart, symbols, (first, node, place + 1), false)?;
            }
            let mut next = first as usize;
            while let Some(&found) = chart.constituents.get(next) {
                next += 1;
                if let Some(&(_, node)) = self.nodes[ROOT as usize].kinds.iter().find(|&&(kind, _)| kind == found.typecode) {
                    chart.path.push(found.term);
                    self.walk(terms, chart, symbols, (first, node, found.end as usize), found.ambiguous)?;
                    chart.path.pop();
                }
            }
            chart.at[place] = (first, chart.constituents.len() as u32);
        }
        let (first, last) = chart.at[0];
        let whole = chart.constituents[first as usize..last as usize]
            .iter()
            .find(|constituent| constituent.typecode == typecode && constituent.end as usize == symbols.len());
        let words = || (db.symbols.name(typecode).to_owned(), db.render(&symbols[..symbols.len().min(100)]));
        match whole {
            Some(found) if !found.ambiguous => Ok(found.term),
            Some(_) => {
                let (typecode, formula) = words();
                Err(FormulaFault::Ambiguous { typecode, formula })
            }
            None => {
                let (typecode, formula) = words();
                Err(FormulaFault::NoTree { typecode, formula })
            }
        }
    }

    /// Follows the trie from a node at a place, with the constituents met so far in `chart.path`.
    fn walk(
        &self,
        terms: &mut Terms,
        chart: &mut Chart,
        symbols: &[u32],
        (first, node, place): (u32, u32, usize),
        ambiguous: bool,
    ) -> Result<(), FormulaFault> {
        let Some(moves) = chart.moves.checked_sub(1) else {
            chart.path.clear();
            return Err(FormulaFault::TooComplex { symbols: symbols.len() });
        };
        chart.moves = moves;
        let trie = &self.nodes[node as usize];
        if let Some((production, typecode)) = trie.done {
            chart.ordered.clear();
            chart.ordered.extend(self.order[&production].iter().map(|&place| chart.path[place as usize]));
            let term = terms.make(StatementId(production), &chart.ordered);
            let known =
                chart.constituents[first as usize..].iter_mut().find(|known| known.typecode == typecode && known.end as usize == place);
            match known {
                Some(known) => known.ambiguous |= known.term != term || ambiguous,
                None => chart.constituents.push(Constituent { typecode, end: place as u32, term, ambiguous }),
            }
        }
        if place >= symbols.len() {
            return Ok(());
        }
        if trie.has_constants
            && let Some(&next) = self.edges.get(&(node, symbols[place]))
        {
            self.walk(terms, chart, symbols, (first, next, place + 1), ambiguous)?;
        }
        if !trie.kinds.is_empty() {
            let (from, to) = chart.at[place];
            for index in from as usize..to as usize {
                let found = chart.constituents[index];
                if let Some(&(_, next)) = trie.kinds.iter().find(|&&(kind, _)| kind == found.typecode) {
                    chart.path.push(found.term);
                    self.walk(terms, chart, symbols, (first, next, found.end as usize), ambiguous || found.ambiguous)?;
                    chart.path.pop();
                }
            }
        }
        Ok(())
    }

    /// Appends the symbols of a tree.
    pub fn print(&self, db: &Database, terms: &Terms, term: TermId, out: &mut Vec<u32>) {
        // What is still to be written, last first: a symbol or a tree.
        let mut stack = vec![Ok(term)];
        while let Some(next) = stack.pop() {
            let term = match next {
                Err(symbol) => {
                    out.push(symbol);
                    continue;
                }
                Ok(term) => term,
            };
            let head = terms.head(term);
            match db.frame(head) {
                None => out.push(db.expression(head)[1]),
                Some(frame) => {
                    let children = terms.children(term);
                    stack.extend(
                        db.code[range(&frame.conclusion)][1..]
                            .iter()
                            .rev()
                            .map(|&symbol| if symbol & VARIABLE == 0 { Err(symbol) } else { Ok(children[(symbol ^ VARIABLE) as usize]) }),
                    );
                }
            }
        }
    }

    /// The type of a tree.
    pub fn typecode(&self, db: &Database, terms: &Terms, term: TermId) -> Symbol {
        db.typecode(terms.head(term))
    }
}

/// Sets the `$f` of each mandatory variable of an assertion; others keep what they had.
pub(crate) fn frame_types(db: &Database, assertion: StatementId, floating: &mut [u32]) {
    for hypothesis in db.mandatory(assertion).filter(|&hypothesis| db.kind(hypothesis) == StatementKind::Floating) {
        floating[db.expression(hypothesis)[1] as usize] = hypothesis.0;
    }
}

/// A database with the trees of all its statements.
#[derive(Clone, Debug)]
pub struct ParsedDatabase<'d> {
    /// The database.
    pub db: &'d Database,
    /// Its grammar.
    pub grammar: Grammar,
    /// The trees.
    pub terms: Terms,
    /// By statement: its tree.
    trees: Vec<TermId>,
}

impl<'d> ParsedDatabase<'d> {
    /// Parses every `$e`, `$a` and `$p`.
    ///
    /// # Errors
    /// The database has no usable grammar, or a statement has no tree or several.
    pub fn new(db: &'d Database) -> Result<Self, GrammarError> {
        let grammar = Grammar::new(db)?;
        let mut terms = Terms::default();
        let mut chart = Chart::default();
        let mut floating = vec![NONE; db.symbol_count()];
        let mut trees = vec![TermId(NONE); db.len()];
        for id in db.statements() {
            match db.kind(id) {
                StatementKind::Floating => {
                    floating[db.expression(id)[1] as usize] = id.0;
                    trees[id.0 as usize] = terms.make(id, &[]);
                }
                // Statements are met in order, so `floating` holds the innermost `$f` so far; a variable's scope is checked by the reader of the database.
                _ => {
                    if db.is_assertion(id) {
                        frame_types(db, id, &mut floating);
                    }
                    let fault = |fault| GrammarError::Statement { label: db.label(id).to_owned(), fault };
                    let expression = db.expression(id);
                    let name = || db.symbols.name(expression[0]).to_owned();
                    let typecode = grammar.parsed_as(expression[0]).ok_or_else(|| GrammarError::Provable { typecode: name() })?;
                    trees[id.0 as usize] = grammar
                        .parse(db, &mut terms, &mut chart, typecode, &expression[1..], |symbol| floating[symbol as usize])
                        .map_err(fault)?;
                }
            }
        }
        Ok(Self { db, grammar, terms, trees })
    }

    /// The tree of a statement.
    pub fn tree(&self, id: StatementId) -> TermId {
        self.trees[id.0 as usize]
    }
}

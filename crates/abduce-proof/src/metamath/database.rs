//! A parsed database: symbols, labelled statements, and the frames against which proofs are checked.

use super::interner::Interner;
use super::parse::parse;
use super::source::{SourceError, Sources, Span};
use super::syntax_fault::ParseError;
use std::ops::Range;
use std::path::Path;

/// Number of a labelled statement, in database order. Labels are unique, so this is the number of the label as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId(pub u32);

/// Number of a math symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(pub u32);

/// The four statements that have labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatementKind {
    /// `$f`: the type of a variable.
    Floating,
    /// `$e`: a premise.
    Essential,
    /// `$a`: an axiom, a definition or a production of the grammar.
    Axiom,
    /// `$p`: a theorem.
    Theorem,
}

/// A labelled statement.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub kind: StatementKind,
    /// Symbols, as a range of [`Database::math`].
    pub math: Range<u32>,
    /// Hypotheses: the first statement that does not see them any more.
    pub scope_end: u32,
    /// Assertions: number of the frame.
    pub frame: u32,
    /// The last active `$d` statement.
    pub disjoint: u32,
    /// From the label to the `$.`, both included.
    pub span: Span,
    /// Theorems: the bytes between `$=` and `$.`.
    pub proof: Range<u32>,
    /// The comment right before the label, without its marks; empty where there is none.
    pub comment: Range<u32>,
}

/// No frame, no `$d` statement, no end of a scope.
pub(crate) const NONE: u32 = u32::MAX;
/// Marks a variable in [`Database::code`].
pub(crate) const VARIABLE: u32 = 1 << 31;

/// What is needed of an assertion to apply it: everything is a range of a pool.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Mandatory hypotheses in order, in [`Database::hypotheses`].
    pub hypotheses: Range<u32>,
    /// The statement, in [`Database::code`].
    pub conclusion: Range<u32>,
    /// Pairs of mandatory variables that must stay apart, in [`Database::pairs`].
    pub disjoint: Range<u32>,
}

/// A mandatory hypothesis of a frame.
#[derive(Clone, Debug)]
pub(crate) struct Hypothesis {
    pub statement: u32,
    /// `$f`: the typecode. `$e`: unused.
    pub typecode: u32,
    /// `$e`: the expression, in [`Database::code`]. `$f`: empty; the k-th `$f` of a frame types its variable k.
    pub code: Range<u32>,
    pub floating: bool,
}

/// One `$d` statement, linked to the one active before it.
#[derive(Clone, Debug)]
pub(crate) struct DisjointGroup {
    pub parent: u32,
    /// Variables, in [`Database::disjoint_symbols`].
    pub symbols: Range<u32>,
}

/// Why a database could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file that cannot be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A text that is not in the Metamath language.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// A database that obeys the language. Its proofs are not judged yet: [`super::verify`] does that.
#[derive(Clone, Debug, Default)]
pub struct Database {
    pub(crate) sources: Sources,
    pub(crate) symbols: Interner,
    /// Whether a symbol was declared by `$v`.
    pub(crate) is_variable: Vec<bool>,
    pub(crate) labels: Interner,
    pub(crate) statements: Vec<Statement>,
    /// Symbols of all labelled statements.
    pub(crate) math: Vec<u32>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) hypotheses: Vec<Hypothesis>,
    /// Expressions with mandatory variables replaced by their places in the frame, marked by [`VARIABLE`].
    pub(crate) code: Vec<u32>,
    pub(crate) pairs: Vec<(u32, u32)>,
    pub(crate) disjoint_groups: Vec<DisjointGroup>,
    pub(crate) disjoint_symbols: Vec<u32>,
    pub(crate) counts: Counts,
}

/// How often each kind of statement occurs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Statements of every kind: `$c $v $f $e $d $a $p`, and each `${`, `$}`.
    pub statements: u64,
    /// `$a`.
    pub axioms: u64,
    /// `$p`.
    pub theorems: u64,
    /// `$e`.
    pub essential: u64,
    /// `$f`.
    pub floating: u64,
    /// `$d`.
    pub disjoint: u64,
    /// Constants.
    pub constants: u64,
    /// Variables, by name.
    pub variables: u64,
}

pub(crate) fn range(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

impl Database {
    /// Reads a database and the files it includes (which must lie in its folder or below).
    ///
    /// # Errors
    /// A file cannot be read, or the text breaks a rule of the language; proofs are not looked at.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        Ok(parse(Sources::open(path)?)?)
    }

    /// A database from text; `name` stands for the file in messages.
    ///
    /// # Errors
    /// The text breaks a rule of the language, or includes a file.
    pub fn from_text(name: &str, text: &[u8]) -> Result<Self, LoadError> {
        Ok(parse(Sources::from_text(name, text)?)?)
    }

    /// The files.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// How often each kind of statement occurs.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many labelled statements there are.
    pub fn len(&self) -> usize {
        self.statements.len()
    }

    /// Whether there is no labelled statement.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// All labelled statements, in order.
    pub fn statements(&self) -> impl Iterator<Item = StatementId> + use<> {
        (0..self.statements.len() as u32).map(StatementId)
    }

    /// All `$p` statements, in order.
    pub fn theorems(&self) -> impl Iterator<Item = StatementId> + '_ {
        self.statements().filter(|&id| self.kind(id) == StatementKind::Theorem)
    }

    /// The statement with a label.
    pub fn find(&self, label: &str) -> Option<StatementId> {
        self.labels.find(label).filter(|&id| (id as usize) < self.statements.len()).map(StatementId)
    }

    /// The label of a statement.
    pub fn label(&self, id: StatementId) -> &str {
        self.labels.name(id.0)
    }

    /// Which of the four kinds a statement is.
    pub fn kind(&self, id: StatementId) -> StatementKind {
        self.statements[id.0 as usize].kind
    }

    /// Whether a statement is a `$a` or a `$p`.
    pub fn is_assertion(&self, id: StatementId) -> bool {
        matches!(self.kind(id), StatementKind::Axiom | StatementKind::Theorem)
    }

    /// The symbols of a statement, typecode first.
    pub fn expression(&self, id: StatementId) -> &[u32] {
        &self.math[range(&self.statements[id.0 as usize].math)]
    }

    /// The first symbol of a statement.
    pub fn typecode(&self, id: StatementId) -> Symbol {
        Symbol(self.math[self.statements[id.0 as usize].math.start as usize])
    }

    /// The name of a symbol.
    pub fn symbol_name(&self, symbol: Symbol) -> &str {
        self.symbols.name(symbol.0)
    }

    /// The symbol with a name.
    pub fn find_symbol(&self, name: &str) -> Option<Symbol> {
        self.symbols.find(name).map(Symbol)
    }

    /// How many symbols there are.
    pub fn symbol_count(&self) -> usize {
        self.symbols.len()
    }

    /// Whether a symbol is a variable.
    pub fn is_variable(&self, symbol: Symbol) -> bool {
        self.is_variable[symbol.0 as usize]
    }

    /// The mandatory hypotheses of an assertion, in order; nothing for a hypothesis.
    pub fn mandatory(&self, id: StatementId) -> impl Iterator<Item = StatementId> + '_ {
        self.frame(id)
            .map(|frame| &self.hypotheses[range(&frame.hypotheses)])
            .unwrap_or_default()
            .iter()
            .map(|hyp| StatementId(hyp.statement))
    }

    /// The essential hypotheses of an assertion, in order.
    pub fn essential(&self, id: StatementId) -> impl Iterator<Item = StatementId> + '_ {
        self.mandatory(id).filter(|&hyp| self.kind(hyp) == StatementKind::Essential)
    }

    /// The text between the marks of the comment right before a statement.
    pub fn comment(&self, id: StatementId) -> &str {
        let statement = &self.statements[id.0 as usize];
        self.sources.slice(Span { file: statement.span.file, start: statement.comment.start, end: statement.comment.end })
    }

    /// The text of a theorem's proof, between `$=` and `$.`.
    pub fn proof_text(&self, id: StatementId) -> &str {
        let statement = &self.statements[id.0 as usize];
        self.sources.slice(Span { file: statement.span.file, start: statement.proof.start, end: statement.proof.end })
    }

    /// From the label of a statement to its `$.`.
    pub fn span(&self, id: StatementId) -> Span {
        self.statements[id.0 as usize].span
    }

    /// Whether hypothesis `hyp` can be used in the proof of `theorem`: it stands before it, in a scope that is still open.
    pub fn is_active(&self, hyp: StatementId, theorem: StatementId) -> bool {
        hyp < theorem && theorem.0 < self.statements[hyp.0 as usize].scope_end
    }

    /// The symbols of an expression with a blank between any two.
    pub fn render(&self, expression: &[u32]) -> String {
        let mut text = String::with_capacity(4 * expression.len());
        for (place, &symbol) in expression.iter().enumerate() {
            if place > 0 {
                text.push(' ');
            }
            text.push_str(self.symbols.name(symbol));
        }
        text
    }

    /// All pairs of variables that are `$d` where a statement stands, mandatory or not, smaller symbol first, sorted.
    pub fn disjoint_pairs(&self, id: StatementId) -> Vec<(Symbol, Symbol)> {
        let mut pairs = Vec::new();
        self.for_disjoint_groups(id, |group| {
            for (place, &a) in group.iter().enumerate() {
                pairs.extend(group[..place].iter().map(|&b| (Symbol(a.min(b)), Symbol(a.max(b)))));
            }
        });
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    pub(crate) fn for_disjoint_groups(&self, id: StatementId, mut each: impl FnMut(&[u32])) {
        let mut at = self.statements[id.0 as usize].disjoint;
        while let Some(group) = self.disjoint_groups.get(at as usize) {
            each(&self.disjoint_symbols[range(&group.symbols)]);
            at = group.parent;
        }
    }

    pub(crate) fn frame(&self, id: StatementId) -> Option<&Frame> {
        self.frames.get(self.statements[id.0 as usize].frame as usize)
    }
}

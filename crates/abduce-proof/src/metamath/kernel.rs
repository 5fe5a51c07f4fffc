//! The trusted core: whether a proof proves its theorem.
//!
//! Everything that this crate calls proved has passed [`Kernel::check`] as text. The file is kept small and free of cleverness beyond its memory layout:
//!
//! * A proof is a list of steps in reverse Polish order over a stack of expressions. A hypothesis pushes its expression. An assertion pops one entry for
//!   each of its mandatory hypotheses. An entry popped for a `$f` must have its typecode, and what follows the typecode replaces the variable; an entry popped for
//!   a `$e` must equal the `$e` after replacement; for each mandatory `$d x y` no variable may occur in what replaces both x and y, and each variable of the one
//!   must be `$d` from each of the other where the theorem stands. Then the assertion, after replacement, is pushed.
//! * At the end exactly one entry is left, equal to the theorem.
//! * Cited assertions stand before the theorem; cited hypotheses stand before it in a scope still open.
//!
//! What it trusts: the frames built by `parse.rs` (mandatory hypotheses in order, the `$d` among them) and the compiler. Expressions lie one after another in
//! one buffer that only grows during a proof; a stack entry is a range of it, so that re-using a step (`Z`) costs nothing.
//!
//! Source: Megill and Wheeler (2019), sections 4.1.5 (frames and proofs), 4.3 (normal proofs), appendix B (compressed proofs).

use super::database::{Database, Frame, NONE, StatementId, StatementKind, Symbol, VARIABLE, range};
use super::token::{PADDING, Scanner};

/// Bounds on the work that one proof may cause: a few letters can double an expression again and again.
#[derive(Clone, Copy, Debug)]
pub struct KernelLimits {
    /// Most symbols in all expressions of a proof together. 2²⁶ take 256 MB; the largest proof of set.mm needs 2²¹.
    pub symbols: usize,
    /// Most steps of a proof, re-used ones counted each time.
    pub steps: usize,
}

impl Default for KernelLimits {
    fn default() -> Self {
        Self { symbols: 1 << 26, steps: 1 << 26 }
    }
}

/// Why a proof does not prove its theorem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message says what its data are")]
pub enum ProofFault {
    #[error("the proof is incomplete: it has a `?`")]
    Incomplete,
    #[error("the proof is empty")]
    Empty,
    #[error("`{label}` is not a label of this database")]
    UnknownLabel { label: String },
    #[error("`{label}` does not stand before the theorem")]
    NotEarlier { label: String },
    #[error("the hypothesis `{label}` is not active where the theorem stands")]
    Inactive { label: String },
    #[error("step {step}: `{label}` needs {needs} entries of the stack, which has {has}")]
    Underflow { step: usize, label: String, needs: usize, has: usize },
    #[error("step {step}: `{label}` needs `{expected}` for its hypothesis `{hypothesis}`, found `{found}`")]
    Typecode { step: usize, label: String, hypothesis: String, expected: String, found: String },
    #[error("step {step}: hypothesis `{hypothesis}` of `{label}` is not what the stack has: `{found}`")]
    Mismatch { step: usize, label: String, hypothesis: String, found: String },
    #[error("step {step}: `{label}` has `$d {x} {y}`, which what replaces them breaks")]
    Disjoint { step: usize, label: String, x: String, y: String },
    #[error("{left} expressions are left on the stack, not one")]
    LeftOver { left: usize },
    #[error("the proof proves `{found}`")]
    WrongConclusion { found: String },
    #[error("a compressed proof is `(`, labels, `)`, letters: {reason}")]
    Compressed { reason: &'static str },
    #[error("compressed proof: {number} is not the number of a hypothesis, a label or a marked step")]
    NoSuchStep { number: u64 },
    #[error("`{token}` does not belong in a proof")]
    Unexpected { token: String },
    #[error("undecided: the proof needs more than {limit} {what}")]
    Limit { what: &'static str, limit: usize },
}

/// What is wrong with a mark that other verifiers may pass over.
const UNMARKABLE: &str = "a `Z` does not follow a step by an assertion";

/// A range of the buffer.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    start: u32,
    end: u32,
}

impl Entry {
    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The buffers of a checker; one serves any number of proofs, one after another.
#[derive(Debug)]
pub struct Kernel<'a> {
    db: &'a Database,
    limits: KernelLimits,
    buffer: Vec<u32>,
    stack: Vec<Entry>,
    saved: Vec<Entry>,
    substitution: Vec<Entry>,
    labels: Vec<u32>,
    steps: usize,
    distinct: Distinct,
}

/// The `$d` of one theorem as sets of bits over the variables that any of them names, and one bit for all others.
#[derive(Debug, Default)]
struct Distinct {
    ready: bool,
    /// By symbol: its bit, where it belongs to the current theorem.
    bit: Vec<u32>,
    named: Vec<u32>,
    words: usize,
    /// Bit b's row: the bits that are `$d` from it.
    allowed: Vec<u64>,
    /// Scratch: variables of each replacement.
    found: Vec<u64>,
}

impl<'a> Kernel<'a> {
    /// A checker for one database.
    pub fn new(db: &'a Database, limits: KernelLimits) -> Self {
        Self {
            db,
            limits,
            buffer: Vec::new(),
            stack: Vec::new(),
            saved: Vec::new(),
            substitution: Vec::new(),
            labels: Vec::new(),
            steps: 0,
            distinct: Distinct { bit: vec![NONE; db.symbol_count()], ..Distinct::default() },
        }
    }

    /// Checks the stored proof of a theorem.
    ///
    /// # Errors
    /// What is wrong with it first.
    pub fn check_stored(&mut self, theorem: StatementId) -> Result<(), ProofFault> {
        let statement = &self.db.statements[theorem.0 as usize];
        let (bytes, _) = self.db.sources.padded(statement.span.file);
        self.check_bytes(theorem, &[], bytes, range(&statement.proof))
    }

    /// Checks a proof of a theorem given as text: what would stand between `$=` and `$.`. Pairs of `dummies` count as `$d` in addition to those of the database, as far as
    /// at least one of the two is no mandatory variable of the theorem (a `$d` between mandatory variables would change what is proved).
    ///
    /// # Errors
    /// What is wrong with it first.
    pub fn check(&mut self, theorem: StatementId, dummies: &[(Symbol, Symbol)], proof: &str) -> Result<(), ProofFault> {
        if let Some(at) = super::token::first_illegal_byte(proof.as_bytes()) {
            return Err(ProofFault::Unexpected { token: format!("byte 0x{:02x}", proof.as_bytes()[at]) });
        }
        let mut bytes = Vec::with_capacity(proof.len() + PADDING);
        bytes.extend_from_slice(proof.as_bytes());
        bytes.resize(proof.len() + PADDING, b'\n');
        self.check_bytes(theorem, dummies, &bytes, 0..proof.len())
    }

    /// How many steps the last proof had, re-used ones counted each time.
    pub fn steps(&self) -> usize {
        self.steps
    }

    fn check_bytes(
        &mut self,
        theorem: StatementId,
        dummies: &[(Symbol, Symbol)],
        bytes: &[u8],
        proof: std::ops::Range<usize>,
    ) -> Result<(), ProofFault> {
        let Some(frame) = self.db.frame(theorem).filter(|_| self.db.kind(theorem) == StatementKind::Theorem) else {
            return Err(ProofFault::Unexpected { token: self.db.label(theorem).to_owned() });
        };
        self.buffer.clear();
        self.stack.clear();
        self.saved.clear();
        self.steps = 0;
        self.distinct.ready = false;
        let theorem = Theorem { id: theorem, frame, dummies };
        let mut labels = std::mem::take(&mut self.labels);
        let decoded = decode(self.db, theorem.id, bytes, proof, &mut labels, &mut Checking { kernel: self, theorem: &theorem });
        self.labels = labels;
        decoded?;
        match self.stack[..] {
            [last] if self.buffer[last.range()] == *self.db.expression(theorem.id) => Ok(()),
            [last] => Err(ProofFault::WrongConclusion { found: self.render(last) }),
            _ => Err(ProofFault::LeftOver { left: self.stack.len() }),
        }
    }

    fn count(&mut self) -> Result<(), ProofFault> {
        self.steps += 1;
        if self.steps > self.limits.steps {
            return Err(ProofFault::Limit { what: "steps", limit: self.limits.steps });
        }
        Ok(())
    }

    /// One step of the stack machine.
    fn step(&mut self, theorem: &Theorem<'_>, label: u32) -> Result<(), ProofFault> {
        self.count()?;
        let db = self.db;
        let statement = &db.statements[label as usize];
        let Some(frame) = db.frames.get(statement.frame as usize) else {
            // A hypothesis, which has no frame.
            let start = self.buffer.len() as u32;
            self.buffer.extend_from_slice(&db.math[range(&statement.math)]);
            self.stack.push(Entry { start, end: self.buffer.len() as u32 });
            return Ok(());
        };
        let hypotheses = &db.hypotheses[range(&frame.hypotheses)];
        let Some(base) = self.stack.len().checked_sub(hypotheses.len()) else {
            return Err(ProofFault::Underflow {
                step: self.steps,
                label: self.name(label),
                needs: hypotheses.len(),
                has: self.stack.len(),
            });
        };
        self.substitution.clear();
        for (hypothesis, &entry) in hypotheses.iter().zip(&self.stack[base..]) {
            let found = &self.buffer[entry.range()];
            if hypothesis.floating {
                if found[0] != hypothesis.typecode {
                    return Err(ProofFault::Typecode {
                        step: self.steps,
                        label: self.name(label),
                        hypothesis: self.name(hypothesis.statement),
                        expected: db.symbols.name(hypothesis.typecode).to_owned(),
                        found: self.render(entry),
                    });
                }
                self.substitution.push(Entry { start: entry.start + 1, end: entry.end });
            } else if !matches(&db.code[range(&hypothesis.code)], found, &self.substitution, &self.buffer) {
                return Err(ProofFault::Mismatch {
                    step: self.steps,
                    label: self.name(label),
                    hypothesis: self.name(hypothesis.statement),
                    found: self.render(entry),
                });
            }
        }
        if !frame.disjoint.is_empty() {
            self.check_distinct(theorem, frame, label)?;
        }
        self.stack.truncate(base);
        let start = self.buffer.len();
        let code = &db.code[range(&frame.conclusion)];
        for &symbol in code {
            if symbol & VARIABLE == 0 {
                self.buffer.push(symbol);
                continue;
            }
            let replacement = self.substitution[(symbol ^ VARIABLE) as usize].range();
            // Before the copy: a short chain of steps can ask for more memory than there is.
            if self.buffer.len() + replacement.len() > self.limits.symbols {
                return Err(ProofFault::Limit { what: "symbols", limit: self.limits.symbols });
            }
            if replacement.len() == 1 {
                self.buffer.push(self.buffer[replacement.start]);
            } else {
                self.buffer.extend_from_within(replacement);
            }
        }
        if self.buffer.len() > self.limits.symbols.min(NONE as usize - code.len()) {
            return Err(ProofFault::Limit { what: "symbols", limit: self.limits.symbols });
        }
        self.stack.push(Entry { start: start as u32, end: self.buffer.len() as u32 });
        Ok(())
    }

    fn check_distinct(&mut self, theorem: &Theorem<'_>, frame: &Frame, label: u32) -> Result<(), ProofFault> {
        let db = self.db;
        if !self.distinct.ready {
            self.distinct.prepare(db, theorem);
        }
        let Distinct { bit, words, allowed, found, .. } = &mut self.distinct;
        let words = *words;
        let others = allowed.len() / words - 1;
        found.clear();
        found.resize(words * self.substitution.len(), 0);
        for (place, entry) in self.substitution.iter().enumerate() {
            for &symbol in &self.buffer[entry.range()] {
                if db.is_variable[symbol as usize] {
                    let bit = if bit[symbol as usize] == NONE { others } else { bit[symbol as usize] as usize };
                    found[words * place + bit / 64] |= 1 << (bit % 64);
                }
            }
        }
        for &(x, y) in &db.pairs[range(&frame.disjoint)] {
            let of = |place: u32| &found[words * place as usize..words * (place as usize + 1)];
            let (left, right) = (of(x), of(y));
            // No bit is `$d` from itself, so a common variable fails as well; the bit of unnamed variables is `$d` from none.
            let apart = left.iter().enumerate().all(|(word, &bits)| {
                let mut bits = bits;
                while bits != 0 {
                    let row = 64 * word + bits.trailing_zeros() as usize;
                    let allowed = &allowed[words * row..words * (row + 1)];
                    if right.iter().zip(allowed).any(|(&right, &allowed)| right & !allowed != 0) {
                        return false;
                    }
                    bits &= bits - 1;
                }
                true
            });
            if !apart {
                let variable = |place: u32| {
                    let floating =
                        db.hypotheses[range(&frame.hypotheses)].iter().filter(|hypothesis| hypothesis.floating).nth(place as usize);
                    floating
                        .map(|hypothesis| db.symbols.name(db.expression(StatementId(hypothesis.statement))[1]).to_owned())
                        .unwrap_or_default()
                };
                return Err(ProofFault::Disjoint { step: self.steps, label: self.name(label), x: variable(x), y: variable(y) });
            }
        }
        Ok(())
    }

    fn name(&self, label: u32) -> String {
        self.db.labels.name(label).to_owned()
    }

    fn render(&self, entry: Entry) -> String {
        let expression = &self.buffer[entry.range()];
        let mut text = self.db.render(&expression[..expression.len().min(200)]);
        if expression.len() > 200 {
            text.push_str(" …");
        }
        text
    }
}

/// What a proof does, step by step.
pub(crate) trait Machine {
    /// Cites a hypothesis or an assertion.
    fn cite(&mut self, label: u32) -> Result<(), ProofFault>;
    /// Pushes the result of the marked step `place` again; `false` where there is none.
    fn recall(&mut self, place: usize) -> Result<bool, ProofFault>;
    /// Marks the step just made.
    fn mark(&mut self);
}

struct Checking<'k, 'a, 't> {
    kernel: &'k mut Kernel<'a>,
    theorem: &'t Theorem<'t>,
}

impl Machine for Checking<'_, '_, '_> {
    #[inline]
    fn cite(&mut self, label: u32) -> Result<(), ProofFault> {
        self.kernel.step(self.theorem, label)
    }

    #[inline]
    fn recall(&mut self, place: usize) -> Result<bool, ProofFault> {
        let Some(&entry) = self.kernel.saved.get(place) else { return Ok(false) };
        self.kernel.count()?;
        self.kernel.stack.push(entry);
        Ok(true)
    }

    #[inline]
    fn mark(&mut self) {
        self.kernel.saved.extend(self.kernel.stack.last());
    }
}

/// Reads a proof in either form, checks that it may cite what it cites, and tells a machine its steps. `labels` is a buffer.
pub(crate) fn decode(
    db: &Database,
    theorem: StatementId,
    bytes: &[u8],
    proof: std::ops::Range<usize>,
    labels: &mut Vec<u32>,
    machine: &mut impl Machine,
) -> Result<(), ProofFault> {
    let mut scanner = Scanner::new(bytes, proof.start, proof.end);
    let mut token = next(&mut scanner, bytes)?;
    match token {
        None => return Err(ProofFault::Empty),
        Some((start, end)) if &bytes[start..end] == b"(" => return compressed(db, theorem, &mut scanner, bytes, labels, machine),
        Some(_) => {}
    }
    while let Some((start, end)) = token {
        machine.cite(citable(db, theorem, bytes, start, end)?)?;
        token = next(&mut scanner, bytes)?;
    }
    Ok(())
}

fn compressed(
    db: &Database,
    theorem: StatementId,
    scanner: &mut Scanner<'_>,
    bytes: &[u8],
    labels: &mut Vec<u32>,
    machine: &mut impl Machine,
) -> Result<(), ProofFault> {
    let fault = |reason| ProofFault::Compressed { reason };
    // The numbers of a compressed proof: mandatory hypotheses, then the labels in parentheses, then marked steps.
    labels.clear();
    labels.extend(db.mandatory(theorem).map(|hypothesis| hypothesis.0));
    let mandatory = labels.len();
    loop {
        let (start, end) = next(scanner, bytes)?.ok_or(fault("the `)` is missing"))?;
        if &bytes[start..end] == b")" {
            break;
        }
        let label = citable(db, theorem, bytes, start, end)?;
        if labels[..mandatory].contains(&label) {
            return Err(fault("a mandatory hypothesis stands among the labels"));
        }
        labels.push(label);
    }
    let mut number = 0u64;
    // Whether the letters read last began a number, and whether a step has just been made that `Z` can mark: one by an assertion (the C program wants that, the book
    // does not say; the stricter reading makes our proofs valid everywhere).
    let mut within = false;
    let mut markable = false;
    let mut empty = true;
    while let Some((start, end)) = next(scanner, bytes)? {
        empty = false;
        for &letter in &bytes[start..end] {
            match letter {
                b'A'..=b'T' => {
                    number = 20 * number + u64::from(letter - b'A');
                    // Numbers are below 2³⁷, see below.
                    match labels.get(number as usize) {
                        Some(&label) => {
                            machine.cite(label)?;
                            markable = db.is_assertion(StatementId(label));
                        }
                        None if machine.recall(number as usize - labels.len())? => markable = false,
                        None => return Err(ProofFault::NoSuchStep { number }),
                    }
                    number = 0;
                    within = false;
                }
                b'U'..=b'Y' => {
                    number = 5 * number + u64::from(letter - b'T');
                    if number > u64::from(u32::MAX) {
                        return Err(ProofFault::NoSuchStep { number });
                    }
                    within = true;
                    markable = false;
                }
                b'Z' => {
                    if !markable {
                        return Err(fault(UNMARKABLE));
                    }
                    machine.mark();
                    markable = false;
                }
                b'?' => return Err(ProofFault::Incomplete),
                _ => return Err(ProofFault::Unexpected { token: char::from(letter).to_string() }),
            }
        }
    }
    if within {
        return Err(fault("it ends within a number"));
    }
    if empty { Err(ProofFault::Empty) } else { Ok(()) }
}

/// The statement that a token names, where the theorem may cite it.
fn citable(db: &Database, theorem: StatementId, bytes: &[u8], start: usize, end: usize) -> Result<u32, ProofFault> {
    let label = || String::from_utf8_lossy(&bytes[start..end.min(start + 80)]).into_owned();
    let Some(found) = db.labels.find_in(bytes, start, end).filter(|&found| (found as usize) < db.statements.len()) else {
        return Err(if bytes[start..end] == *b"?" { ProofFault::Incomplete } else { ProofFault::UnknownLabel { label: label() } });
    };
    if found >= theorem.0 {
        return Err(ProofFault::NotEarlier { label: label() });
    }
    // Assertions are citable for ever: their scope has no end.
    if theorem.0 >= db.statements[found as usize].scope_end {
        return Err(ProofFault::Inactive { label: label() });
    }
    Ok(found)
}

/// What is to be proved.
struct Theorem<'t> {
    id: StatementId,
    frame: &'t Frame,
    dummies: &'t [(Symbol, Symbol)],
}

impl Distinct {
    fn prepare(&mut self, db: &Database, theorem: &Theorem<'_>) {
        for symbol in self.named.drain(..) {
            self.bit[symbol as usize] = NONE;
        }
        let (bit, named) = (&mut self.bit, &mut self.named);
        let mut number = |symbol: u32| {
            if bit[symbol as usize] == NONE {
                bit[symbol as usize] = named.len() as u32;
                named.push(symbol);
            }
        };
        db.for_disjoint_groups(theorem.id, |group| group.iter().for_each(|&symbol| number(symbol)));
        theorem.dummies.iter().for_each(|&(x, y)| [x, y].into_iter().for_each(|symbol| number(symbol.0)));
        self.words = self.named.len() / 64 + 1;
        self.allowed.clear();
        self.allowed.resize(self.words * (self.named.len() + 1), 0);
        let (bit, allowed, words) = (&self.bit, &mut self.allowed, self.words);
        let mut allow = |x: u32, y: u32| {
            let (x, y) = (bit[x as usize] as usize, bit[y as usize] as usize);
            allowed[words * x + y / 64] |= 1 << (y % 64);
            allowed[words * y + x / 64] |= 1 << (x % 64);
        };
        db.for_disjoint_groups(theorem.id, |group| {
            for (place, &x) in group.iter().enumerate() {
                group[..place].iter().for_each(|&y| allow(x, y));
            }
        });
        for &(x, y) in theorem.dummies {
            let mandatory = |symbol: Symbol| {
                db.hypotheses[range(&theorem.frame.hypotheses)]
                    .iter()
                    .any(|hyp| hyp.floating && db.expression(StatementId(hyp.statement))[1] == symbol.0)
            };
            if x != y && !(mandatory(x) && mandatory(y)) {
                allow(x.0, y.0);
            }
        }
        self.ready = true;
    }
}

/// Whether an expression with places of variables, after replacement, equals another.
#[inline]
fn matches(code: &[u32], found: &[u32], substitution: &[Entry], buffer: &[u32]) -> bool {
    let mut rest = found;
    for &symbol in code {
        if symbol & VARIABLE == 0 {
            match rest.split_first() {
                Some((&first, tail)) if first == symbol => rest = tail,
                _ => return false,
            }
        } else {
            match rest.strip_prefix(&buffer[substitution[(symbol ^ VARIABLE) as usize].range()]) {
                Some(tail) => rest = tail,
                None => return false,
            }
        }
    }
    rest.is_empty()
}

/// The next token of a proof, comments passed over.
#[inline]
fn next(scanner: &mut Scanner<'_>, bytes: &[u8]) -> Result<Option<(usize, usize)>, ProofFault> {
    while let Some(token) = scanner.next() {
        if bytes[token.start] != b'$' {
            return Ok(Some((token.start, token.end)));
        }
        let unexpected = |_| ProofFault::Unexpected {
            token: String::from_utf8_lossy(&bytes[token.start..token.end.min(token.start + 80)]).into_owned(),
        };
        if &bytes[token.start..token.end] != b"$(" {
            return Err(unexpected(()));
        }
        scanner.skip_comment().map_err(|_| ProofFault::Unexpected { token: "$(".to_owned() })?;
    }
    Ok(None)
}

//! Proofs as text: compressed, with repeated parts written once, or as plain labels.

use super::database::{StatementId, StatementKind};
use super::grammar::ParsedDatabase;
use super::replay::{Justification, ProofGraph};
use super::terms::{TermId, Terms};
use std::collections::HashMap;

/// How a proof is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofFormat {
    /// Labels once, then letters; repeated parts once.
    Compressed,
    /// A label per step; repeated parts as often as they are used.
    Normal,
}

/// Why a proof cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A formula without justification.
    #[error("the proof is not finished: formula {number} has no justification")]
    Unfinished {
        /// Its number in the graph.
        number: u32,
    },
    /// A formula that rests on itself.
    #[error("the proof goes in a circle")]
    Circle,
    /// Too many steps for the normal form.
    #[error("the proof has more than {limit} steps in normal form")]
    TooLong {
        /// The limit.
        limit: usize,
    },
}

/// Most steps of a proof written in normal form.
const MAX_NORMAL_STEPS: usize = 1 << 24;
/// Longest line of a written proof, and its indentation.
const LINE: usize = 79;
const INDENT: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Item {
    Term(TermId),
    Formula(u32),
}

enum Task {
    Visit(Item),
    Cite(StatementId, Item),
}

#[derive(Clone, Copy)]
enum Op {
    Label(StatementId),
    Recall(u32),
    Mark,
}

/// The text of a proof, as it stands between `$=` and `$.`: lines of at most 79 characters, indented by six.
///
/// # Errors
/// The graph is no finished proof, or too long for the normal form.
pub fn write_proof(
    parsed: &ParsedDatabase<'_>,
    terms: &Terms,
    theorem: StatementId,
    graph: &ProofGraph,
    format: ProofFormat,
) -> Result<String, WriteError> {
    let writer = Writer { parsed, terms, graph };
    let uses = if format == ProofFormat::Compressed { writer.uses() } else { HashMap::new() };
    let steps = writer.steps(&uses, if format == ProofFormat::Compressed { usize::MAX } else { MAX_NORMAL_STEPS })?;
    let db = parsed.db;
    let mut lines = Lines::default();
    if format == ProofFormat::Normal {
        for step in steps {
            if let Op::Label(label) = step {
                lines.word(db.label(label));
            }
        }
        return Ok(lines.text);
    }
    let mut numbers: HashMap<StatementId, u32> = HashMap::new();
    for hypothesis in db.mandatory(theorem) {
        numbers.insert(hypothesis, numbers.len() as u32);
    }
    lines.word("(");
    for step in &steps {
        if let Op::Label(label) = *step {
            let next = numbers.len() as u32;
            if *numbers.entry(label).or_insert(next) == next {
                lines.word(db.label(label));
            }
        }
    }
    lines.word(")");
    let mut letters = String::new();
    for step in &steps {
        match *step {
            Op::Label(label) => encode(numbers[&label], &mut letters),
            Op::Recall(place) => encode(numbers.len() as u32 + place, &mut letters),
            Op::Mark => letters.push('Z'),
        }
    }
    lines.letters(&letters);
    Ok(lines.text)
}

/// Appends the letters of a number: base 20 for the last, base 5 without zero before it.
fn encode(number: u32, out: &mut String) {
    let mut letters = [char::from(b'A' + (number % 20) as u8); 16];
    let mut used = 1;
    let mut rest = number / 20;
    while rest > 0 {
        rest -= 1;
        letters[used] = char::from(b'U' + (rest % 5) as u8);
        used += 1;
        rest /= 5;
    }
    out.extend(letters[..used].iter().rev());
}

#[derive(Default)]
struct Lines {
    text: String,
    column: usize,
}

impl Lines {
    fn word(&mut self, word: &str) {
        if self.text.is_empty() || self.column + 1 + word.len() > LINE {
            if !self.text.is_empty() {
                self.text.push('\n');
            }
            self.text.extend(std::iter::repeat_n(' ', INDENT));
            self.column = INDENT;
        } else {
            self.text.push(' ');
            self.column += 1;
        }
        self.text.push_str(word);
        self.column += word.len();
    }

    fn letters(&mut self, letters: &str) {
        let mut rest = letters;
        while !rest.is_empty() {
            // The rest of a line that has room for some letters, or a line of its own.
            let room = LINE.saturating_sub(self.column + 1);
            let room = if room < 8 { LINE - INDENT } else { room };
            let (now, later) = rest.split_at(rest.len().min(room));
            self.word(now);
            rest = later;
        }
    }
}

struct Writer<'w, 'd> {
    parsed: &'w ParsedDatabase<'d>,
    terms: &'w Terms,
    graph: &'w ProofGraph,
}

impl Writer<'_, '_> {
    /// The label of an item, and whether it is one step without parts.
    fn label(&self, item: Item) -> (StatementId, bool) {
        match item {
            Item::Term(term) => (self.terms.head(term), self.terms.children(term).is_empty()),
            Item::Formula(number) => match &self.graph.formulas[number as usize].by {
                Justification::Hypothesis(label) => (*label, true),
                Justification::Step { label, substitution, premises } => (*label, substitution.is_empty() && premises.is_empty()),
            },
        }
    }

    /// The parts of an item, in the order of the mandatory hypotheses of its label.
    fn parts(&self, item: Item, mut each: impl FnMut(Item)) {
        match item {
            Item::Term(term) => self.terms.children(term).iter().for_each(|&child| each(Item::Term(child))),
            Item::Formula(number) => {
                if let Justification::Step { label, substitution, premises } = &self.graph.formulas[number as usize].by {
                    let (mut terms, mut formulas) = (substitution.iter(), premises.iter());
                    for hypothesis in self.parsed.db.mandatory(*label) {
                        if self.parsed.db.kind(hypothesis) == StatementKind::Floating {
                            terms.next().into_iter().for_each(|&term| each(Item::Term(term)));
                        } else {
                            formulas.next().into_iter().for_each(|&number| each(Item::Formula(number)));
                        }
                    }
                }
            }
        }
    }

    /// How often each item is a part of another one, where every item is written once.
    fn uses(&self) -> HashMap<Item, u32> {
        let mut uses = HashMap::new();
        let mut stack = vec![Item::Formula(self.graph.root)];
        while let Some(item) = stack.pop() {
            let count = uses.entry(item).or_insert(0);
            *count += 1;
            if *count == 1 {
                self.parts(item, |part| stack.push(part));
            }
        }
        uses
    }

    fn steps(&self, uses: &HashMap<Item, u32>, limit: usize) -> Result<Vec<Op>, WriteError> {
        let mut steps = Vec::new();
        // Items that are used again: the number of their mark, once they are written.
        let mut marks: HashMap<Item, Option<u32>> = HashMap::new();
        let mut next = 0;
        let mut stack = vec![Task::Visit(Item::Formula(self.graph.root))];
        let mut parts = Vec::new();
        while let Some(task) = stack.pop() {
            if steps.len() > limit || stack.len() > limit {
                return Err(WriteError::TooLong { limit });
            }
            match task {
                Task::Visit(item) => {
                    let (label, single) = self.label(item);
                    if single {
                        steps.push(Op::Label(label));
                        continue;
                    }
                    if uses.get(&item).is_some_and(|&uses| uses > 1) {
                        match marks.get(&item) {
                            Some(Some(mark)) => {
                                steps.push(Op::Recall(*mark));
                                continue;
                            }
                            Some(None) => return Err(WriteError::Circle),
                            None => {
                                marks.insert(item, None);
                            }
                        }
                    }
                    stack.push(Task::Cite(label, item));
                    parts.clear();
                    self.parts(item, |part| parts.push(part));
                    stack.extend(parts.drain(..).rev().map(Task::Visit));
                }
                Task::Cite(label, item) => {
                    steps.push(Op::Label(label));
                    if let Some(mark) = marks.get_mut(&item) {
                        *mark = Some(next);
                        next += 1;
                        steps.push(Op::Mark);
                    }
                }
            }
        }
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_book_says() {
        let text = |number| {
            let mut text = String::new();
            encode(number, &mut text);
            text
        };
        // Megill and Wheeler (2019), appendix B: 1 = A, 20 = T, 21 = UA, 40 = UT, 120 = YT, 121 = UUA, 620 = YYT, 621 = UUUA; ours count from 0.
        let known =
            [(1, "A"), (20, "T"), (21, "UA"), (40, "UT"), (41, "VA"), (120, "YT"), (121, "UUA"), (140, "UUT"), (620, "YYT"), (621, "UUUA")];
        for (number, expected) in known {
            assert_eq!(text(number - 1), expected);
        }
        // Read back by the rule of the book: n = 5 n + (c − 'T') for U…Y, then n = 20 n + (c − 'A').
        for number in (0..5000).chain([123_456_789, u32::MAX]) {
            let read =
                text(number).bytes().fold(0u64, |n, c| if c >= b'U' { 5 * n + u64::from(c - b'T') } else { 20 * n + u64::from(c - b'A') });
            assert_eq!(read, u64::from(number));
        }
    }

    #[test]
    fn lines_are_full_but_not_longer() {
        let mut lines = Lines::default();
        (0..100).for_each(|k| lines.word(&"w".repeat(1 + k % 13)));
        lines.letters(&"A".repeat(1000));
        let lengths: Vec<usize> = lines.text.lines().map(str::len).collect();
        assert!(lengths.iter().all(|&length| (INDENT..=LINE).contains(&length)), "{lengths:?}");
        assert!(lines.text.lines().all(|line| line.starts_with("      ") && !line.ends_with(' ')));
        assert_eq!(lines.text.matches('A').count(), 1000);
    }
}

//! Thousands of spoiled proofs and statements: the kernel's verdict on each is that of a second verifier, written here in the plainest way, and, on request, those of
//! the C program `metamath` and of the crate metamath-rs.
//!
//! The big run: `ABDUCE_TEST_DATABASES=/usr/share/metamath/databases [ABDUCE_TEST_METAMATH_RS=program] cargo test --release -p abduce-proof --test mutations -- --ignored
//! --nocapture`. The program prints `BAD LABEL …` for each theorem it refuses.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests

use abduce_data::{Rng, Seed};
use abduce_proof::metamath::{Database, KernelLimits, StatementId, StatementKind, Symbol, verify};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

const IMPLICATION: &str = include_str!("../../../examples/proofs/implication.mm");

/// One change of a compressed or normal proof.
fn spoil(db: &Database, theorem: StatementId, rng: &mut Rng) -> String {
    let mut words: Vec<String> = db.proof_text(theorem).split_whitespace().map(str::to_owned).collect();
    let close = words.iter().position(|word| word == ")");
    let any_label = |rng: &mut Rng| db.label(StatementId(rng.below(db.len()) as u32)).to_owned();
    let Some(close) = close else {
        let place = rng.below(words.len());
        match rng.below(5) {
            0 => words[place] = any_label(rng),
            1 => {
                words.remove(place);
            }
            2 => words.insert(place, any_label(rng)),
            3 => words[place] = "?".to_owned(),
            _ => {
                let other = rng.below(words.len());
                words.swap(place, other);
            }
        }
        return words.join(" ");
    };
    let (mut labels, mut letters) = (words[1..close].to_vec(), words[close + 1..].concat().into_bytes());
    let place = rng.below(letters.len());
    let letter = |rng: &mut Rng| b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[rng.below(26)];
    match rng.below(11) {
        0..3 => letters[place] = letter(rng),
        3 => {
            letters.remove(place);
        }
        4 => letters.insert(place, letter(rng)),
        5 => {
            let other = rng.below(letters.len());
            letters.swap(place, other);
        }
        6 => letters.truncate(place),
        7 => letters[place] = b'?',
        8 if !labels.is_empty() => {
            let label = rng.below(labels.len());
            labels[label] = any_label(rng);
        }
        9 if !labels.is_empty() => {
            let (one, other) = (rng.below(labels.len()), rng.below(labels.len()));
            labels.swap(one, other);
        }
        10 if !labels.is_empty() => {
            labels.remove(rng.below(labels.len()));
        }
        _ => letters.insert(place, b'Z'),
    }
    format!("( {} ) {}", labels.join(" "), String::from_utf8(letters).unwrap())
}

/// The text with every proof changed by `change`; `None` leaves one as it is.
fn with_changes(db: &Database, mut change: impl FnMut(StatementId) -> Option<String>) -> String {
    let text = std::str::from_utf8(db.sources().text(0)).unwrap();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for theorem in db.theorems() {
        if let Some(proof) = change(theorem) {
            let old = db.proof_text(theorem);
            let start = old.as_ptr() as usize - text.as_ptr() as usize;
            out.push_str(&text[at..start]);
            out.push_str(&format!(" {proof} "));
            at = start + old.len();
        }
    }
    out + &text[at..]
}

/// A verifier of strings and maps, for tests alone: the definition, without a thought for speed. It takes frames from no one.
struct Plain<'p> {
    db: &'p Database,
}

impl Plain<'_> {
    fn words(&self, id: StatementId) -> Vec<&str> {
        self.db.expression(id).iter().map(|&symbol| self.db.symbol_name(Symbol(symbol))).collect()
    }

    /// Variables of the statement and of the active `$e`; their `$f` and those `$e`, in order.
    fn mandatory(&self, id: StatementId) -> Vec<StatementId> {
        let db = self.db;
        let active = |hyp: &StatementId| !db.is_assertion(*hyp) && db.is_active(*hyp, id);
        let essential: Vec<StatementId> =
            db.statements().take(id.0 as usize).filter(active).filter(|&hyp| db.kind(hyp) == StatementKind::Essential).collect();
        let used: HashSet<&str> = essential.iter().chain([&id]).flat_map(|&part| self.words(part)).collect();
        let floating = db
            .statements()
            .take(id.0 as usize)
            .filter(active)
            .filter(|&hyp| db.kind(hyp) == StatementKind::Floating && used.contains(self.words(hyp)[1]));
        let mut all: Vec<StatementId> = floating.chain(essential.iter().copied()).collect();
        all.sort_unstable();
        all
    }

    fn apart(&self, id: StatementId) -> HashSet<(&str, &str)> {
        let name = |symbol| self.db.symbol_name(symbol);
        self.db.disjoint_pairs(id).into_iter().flat_map(|(x, y)| [(name(x), name(y)), (name(y), name(x))]).collect()
    }

    fn accepts(&self, theorem: StatementId, frames: &mut HashMap<StatementId, Vec<StatementId>>) -> bool {
        self.try_proof(theorem, frames).is_some()
    }

    fn try_proof(&self, theorem: StatementId, frames: &mut HashMap<StatementId, Vec<StatementId>>) -> Option<()> {
        let db = self.db;
        let words: Vec<&str> = db.proof_text(theorem).split_whitespace().collect();
        let mut stack: Vec<Vec<&str>> = Vec::new();
        let mut saved: Vec<Vec<&str>> = Vec::new();
        let own = self.mandatory(theorem);
        let cite = |name: &str| db.find(name).filter(|&id| id < theorem && (db.is_assertion(id) || db.is_active(id, theorem)));
        if words.first() != Some(&"(") {
            if words.is_empty() {
                return None;
            }
            for word in words {
                self.step(theorem, cite(word)?, &mut stack, frames)?;
            }
        } else {
            let close = words.iter().position(|&word| word == ")")?;
            let listed: Option<Vec<StatementId>> = words[1..close].iter().map(|&word| cite(word).filter(|id| !own.contains(id))).collect();
            let labels: Vec<StatementId> = own.iter().copied().chain(listed?).collect();
            let letters = words[close + 1..].concat();
            // Numbers with their marks: U…Y begin, A…T end, Z marks, nothing else.
            let mut number = 0usize;
            let mut last = 'Z';
            let mut markable = false;
            for letter in letters.chars() {
                match letter {
                    'U'..='Y' => {
                        number = number.checked_mul(5)?.checked_add(letter as usize - 'T' as usize).filter(|&number| number < 1 << 40)?
                    }
                    'A'..='T' => {
                        let whole = number * 20 + (letter as usize - 'A' as usize);
                        number = 0;
                        match labels.get(whole) {
                            Some(&label) => {
                                self.step(theorem, label, &mut stack, frames)?;
                                markable = db.is_assertion(label);
                            }
                            None => {
                                stack.push(saved.get(whole - labels.len())?.clone());
                                markable = false;
                            }
                        }
                    }
                    'Z' if markable && ('A'..='T').contains(&last) => saved.push(stack.last()?.clone()),
                    _ => return None,
                }
                last = letter;
            }
            if letters.is_empty() || ('U'..='Y').contains(&last) {
                return None;
            }
        }
        (stack.len() == 1 && stack[0] == self.words(theorem)).then_some(())
    }

    fn step<'s>(
        &'s self,
        theorem: StatementId,
        label: StatementId,
        stack: &mut Vec<Vec<&'s str>>,
        frames: &mut HashMap<StatementId, Vec<StatementId>>,
    ) -> Option<()> {
        if !self.db.is_assertion(label) {
            stack.push(self.words(label));
            return Some(());
        }
        let mandatory = frames.entry(label).or_insert_with(|| self.mandatory(label)).clone();
        let popped = stack.split_off(stack.len().checked_sub(mandatory.len())?);
        let mut sigma: HashMap<&str, Vec<&str>> = HashMap::new();
        let fill = |words: Vec<&'s str>, sigma: &HashMap<&str, Vec<&'s str>>| -> Vec<&'s str> {
            words.into_iter().flat_map(|word| sigma.get(word).cloned().unwrap_or_else(|| vec![word])).collect()
        };
        for (&hypothesis, found) in mandatory.iter().zip(popped) {
            let words = self.words(hypothesis);
            if self.db.kind(hypothesis) == StatementKind::Floating {
                if found[0] != words[0] {
                    return None;
                }
                sigma.insert(words[1], found[1..].to_vec());
            } else if fill(words, &sigma) != found {
                return None;
            }
        }
        let here = self.apart(theorem);
        let is_variable = |word: &&str| self.db.find_symbol(word).is_some_and(|symbol| self.db.is_variable(symbol));
        for (x, y) in self.apart(label) {
            if let (Some(left), Some(right)) = (sigma.get(x), sigma.get(y)) {
                for a in left.iter().filter(|word| is_variable(word)) {
                    if right.iter().filter(|word| is_variable(word)).any(|b| a == b || !here.contains(&(*a, *b))) {
                        return None;
                    }
                }
            }
        }
        stack.push(fill(self.words(label), &sigma));
        Some(())
    }
}

fn refused(db: &Database) -> BTreeSet<String> {
    let report = verify(db, KernelLimits::default(), NonZeroUsize::MIN);
    report.faults.iter().map(|(theorem, _)| db.label(*theorem).to_owned()).collect()
}

fn refused_plainly(db: &Database) -> BTreeSet<String> {
    let plain = Plain { db };
    let mut frames = HashMap::new();
    db.theorems().filter(|&theorem| !plain.accepts(theorem, &mut frames)).map(|theorem| db.label(theorem).to_owned()).collect()
}

#[test]
fn spoiled_proofs_are_judged_as_by_the_plain_verifier() {
    let db = Database::from_text("implication.mm", IMPLICATION.as_bytes()).unwrap();
    assert!(refused_plainly(&db).is_empty());
    let mut rng = Seed(17).stream("mutations", 0);
    let (mut bad, mut good) = (0, 0);
    for round in 0..700 {
        let text = with_changes(&db, |theorem| Some(spoil(&db, theorem, &mut rng)));
        let spoiled = Database::from_text("spoiled.mm", text.as_bytes()).unwrap();
        let refused = refused(&spoiled);
        assert_eq!(refused, refused_plainly(&spoiled), "round {round}");
        bad += refused.len();
        good += 7 - refused.len();
    }
    // Some changes change nothing: a letter for itself, a mark that nobody uses.
    assert!(bad > 4000 && good > 20, "{bad} refused, {good} still valid");
}

/// One change of a statement, a `$d` or the order of hypotheses; nothing where the text has no place for it.
fn spoil_statement(text: &str, rng: &mut Rng) -> Option<String> {
    let words: Vec<(usize, &str)> =
        text.split_ascii_whitespace().map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word)).collect();
    // Word ranges of `$d`, and of the symbols of `$e` and `$p`; comments and proofs are passed over.
    let (mut distinct, mut statements) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < words.len() {
        let until = |ends: &[&str]| (at..words.len()).find(|&k| ends.contains(&words[k].1)).unwrap_or(words.len() - 1);
        match words[at].1 {
            "$(" => at = until(&["$)"]),
            "$d" => {
                let end = until(&["$."]);
                distinct.push((at, end));
                at = end;
            }
            "$e" | "$p" => {
                let end = until(&["$.", "$="]);
                statements.push((at + 1, end));
                at = until(&["$."]);
            }
            _ => {}
        }
        at += 1;
    }
    let splice = |start: usize, end: usize, new: &str| {
        let stop = words[end].0 + words[end].1.len();
        format!("{} {new} {}", &text[..words[start].0], &text[stop..])
    };
    let pick = |list: &[(usize, usize)], rng: &mut Rng| (!list.is_empty()).then(|| list[rng.below(list.len())]);
    match rng.below(4) {
        0 => pick(&distinct, rng).map(|(start, end)| splice(start, end, "")),
        1 => {
            // Two statements of the same kind change places.
            let (one, other) = (pick(&statements, rng)?, pick(&statements, rng)?);
            let (one, other) = (one.min(other), one.max(other));
            let text_of = |(start, end): (usize, usize)| &text[words[start].0..words[end].0];
            (one != other).then(|| {
                let (a, b) = (text_of(one), text_of(other));
                format!("{}{b}{}{a}{}", &text[..words[one.0].0], &text[words[one.1].0..words[other.0].0], &text[words[other.1].0..])
            })
        }
        2 => pick(&statements, rng).map(|(start, end)| {
            let place = start + rng.below(end - start);
            let (from, to) = statements[rng.below(statements.len())];
            splice(place, place, words[from + rng.below(to - from)].1)
        }),
        _ => pick(&statements, rng).filter(|(start, end)| end - start > 2).map(|(start, end)| {
            let place = start + 1 + rng.below(end - start - 1);
            splice(place, place, "")
        }),
    }
}

#[test]
fn spoiled_statements_are_judged_as_by_the_plain_verifier() {
    let mut rng = Seed(18).stream("mutations", 0);
    let (mut bad, mut good, mut unreadable) = (0, 0, 0);
    for round in 0..600 {
        let Some(text) = spoil_statement(IMPLICATION, &mut rng) else { continue };
        match Database::from_text("spoiled.mm", text.as_bytes()) {
            Ok(spoiled) => {
                let refused = refused(&spoiled);
                assert_eq!(refused, refused_plainly(&spoiled), "round {round}: {text}");
                if refused.is_empty() { good += 1 } else { bad += 1 }
            }
            Err(_) => unreadable += 1,
        }
    }
    assert!(bad > 200 && good > 0 && unreadable > 0, "{bad} refused, {good} still valid, {unreadable} unreadable");
}

/// What the C program says, with lines joined: it breaks long ones anywhere.
fn said_by_c(path: &Path) -> String {
    let read = format!("read '{}'", path.display());
    let output = Command::new("metamath").args([read.as_str(), "verify proof *", "exit"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// Labels that the C program complains about.
fn refused_by_c(path: &Path) -> BTreeSet<String> {
    let text = said_by_c(path);
    // `at statement 31, label "a1i", type "$p":`; other labels are only mentioned.
    let accused = text.split("label \"").skip(1).filter_map(|rest| rest.split_once("\", type"));
    let mut labels: BTreeSet<String> = accused.map(|(label, _)| label).filter(|label| !label.contains('"')).map(str::to_owned).collect();
    // Incomplete proofs are listed by themselves: `The following $p statement(s) were not proved: a,b,c`.
    if let Some(list) = text.split("not proved:").nth(1) {
        let list = list.split("MM>").next().unwrap_or_default();
        labels.extend(list.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned));
    }
    labels
}

fn refused_by_rust(program: &str, path: &Path) -> BTreeSet<String> {
    let output = Command::new(program).arg(path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.strip_prefix("BAD ")).filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect()
}

/// Debian's databases, where they are.
fn databases() -> Option<PathBuf> {
    let found = std::env::var_os("ABDUCE_TEST_DATABASES").map(PathBuf::from);
    if found.is_none() {
        println!("skipped: ABDUCE_TEST_DATABASES does not name a folder");
    }
    found
}

#[test]
#[ignore = "needs Debian's databases and the C program; takes minutes"]
fn spoiled_proofs_of_libraries_are_judged_as_by_other_programs() {
    let Some(databases) = databases() else { return };
    let other = std::env::var("ABDUCE_TEST_METAMATH_RS").ok();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spoiled.mm");
    let mut total = 0;
    for name in ["ql.mm", "nf.mm", "iset.mm", "hol.mm"] {
        let db = Database::open(&databases.join(name)).unwrap();
        for round in 0..if name == "nf.mm" || name == "iset.mm" { 1 } else { 3 } {
            let mut rng = Seed(19).stream(name, round);
            let text = with_changes(&db, |theorem| Some(spoil(&db, theorem, &mut rng)));
            std::fs::write(&path, &text).unwrap();
            let spoiled = Database::open(&path).unwrap();
            let ours = refused(&spoiled);
            let count = db.theorems().count();
            total += count;
            let by_c = refused_by_c(&path);
            println!("{name}: {count} spoiled, {} refused, {} by the C program", ours.len(), by_c.len());
            let difference: Vec<&String> = ours.symmetric_difference(&by_c).collect();
            let proofs = difference.iter().filter_map(|label| Some(spoiled.proof_text(spoiled.find(label)?)));
            assert!(difference.is_empty(), "{difference:?}\n{}", proofs.collect::<Vec<_>>().join("\n\n"));
            if let Some(program) = &other {
                let by_rust = refused_by_rust(program, &path);
                // It lets `Z` mark hypotheses, which the C program and we refuse.
                let marks = |label: &String| {
                    let report = verify(&spoiled, KernelLimits::default(), NonZeroUsize::MIN);
                    report.faults.iter().any(|(id, fault)| {
                        spoiled.label(*id) == label && fault.to_string().contains("`Z` does not follow a step by an assertion")
                    })
                };
                let difference: Vec<&String> = ours.symmetric_difference(&by_rust).filter(|label| !marks(label)).collect();
                assert!(difference.is_empty(), "metamath-rs: {difference:?}");
            }
        }
    }
    println!("{total} spoiled proofs");
    assert!(total > 10_000);
}

/// Whole statements up to about `bytes`; `$d` and `$e` of scopes that are cut open at the end stay without use.
fn prefix(text: &str, bytes: usize) -> String {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // Behind the last scope that is closed at the outermost level, outside of comments.
    let (mut depth, mut comment, mut cut, mut at) = (0i32, false, 0, 0);
    for word in text[..end].split_inclusive(|character: char| character.is_ascii_whitespace()) {
        at += word.len();
        match word.trim_end() {
            "$(" => comment = true,
            "$)" => comment = false,
            "${" if !comment => depth += 1,
            "$}" if !comment => {
                depth -= 1;
                cut = if depth == 0 { at } else { cut };
            }
            _ => {}
        }
    }
    text[..cut].to_owned()
}

#[test]
#[ignore = "needs Debian's databases and the C program; takes minutes"]
fn spoiled_statements_of_libraries_are_judged_as_by_other_programs() {
    let Some(databases) = databases() else { return };
    let other = std::env::var("ABDUCE_TEST_METAMATH_RS").ok();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spoiled.mm");
    let (mut total, mut differences) = (0, Vec::new());
    for name in ["ql.mm", "nf.mm"] {
        let whole = std::fs::read_to_string(databases.join(name)).unwrap();
        // The C program pairs comments in which it marks files that were once included; a prefix has only the first of some pairs.
        let text = prefix(&whole, 120_000).replace("Begin $[", "Begin").replace("End $[", "End");
        std::fs::write(&path, &text).unwrap();
        assert!(refused(&Database::open(&path).unwrap()).is_empty());
        assert!(said_by_c(&path).contains("All proofs in the database were verified"), "{}", said_by_c(&path));
        let (mut bad, mut good, mut unreadable) = (0, 0, 0);
        for round in 0..600 {
            let mut rng = Seed(20).stream(name, round);
            let Some(spoiled) = spoil_statement(&text, &mut rng) else { continue };
            std::fs::write(&path, &spoiled).unwrap();
            total += 1;
            let by_rust = other.as_ref().map(|program| refused_by_rust(program, &path));
            match Database::open(&path) {
                Ok(db) => {
                    let ours = refused(&db);
                    if ours.is_empty() {
                        good += 1
                    } else {
                        bad += 1
                    }
                    let by_c = refused_by_c(&path);
                    if ours != by_c {
                        differences.push(format!("{name} {round}: ours {ours:?}, C {by_c:?}"));
                    }
                    if let Some(by_rust) = by_rust.filter(|by_rust| ours != *by_rust) {
                        differences.push(format!("{name} {round}: ours {ours:?}, metamath-rs {by_rust:?}"));
                    }
                }
                Err(error) => {
                    unreadable += 1;
                    if !said_by_c(&path).contains("?Error") {
                        differences.push(format!("{name} {round}: C reads what we do not: {error}"));
                    }
                    if by_rust.is_some_and(|by_rust| by_rust.is_empty()) {
                        differences.push(format!("{name} {round}: metamath-rs reads what we do not: {error}"));
                    }
                }
            }
        }
        println!("{name}: {} bytes; {bad} refused, {good} still valid, {unreadable} unreadable", text.len());
    }
    println!("{total} spoiled statements");
    assert!(total > 800 && differences.is_empty(), "{}", differences.join("\n"));
}

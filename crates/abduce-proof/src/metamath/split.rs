//! Held-out theorems, and what else must not be learnt from when they are to be proved: near-duplicates and dependants.

use super::database::{Database, StatementId, StatementKind, Symbol};
use super::environment::Environment;
use super::terms::TermId;
use crate::evaluation::listed_names;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Why a theorem counts as a near-duplicate of a held-out one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateRule {
    /// The same statement and hypotheses, up to the names of variables and the order of hypotheses.
    Renaming,
    /// The same after the antecedents of deduction forms are removed and those of closed forms are made hypotheses.
    Form,
    /// The labels are equal without `ALT`, `OLD`, `VD` and what follows, or without a final i, d, t or g.
    Label,
    /// Fewer than one symbol in ten differs, variables named by their order of appearance.
    Edit,
}

/// A list of labels: one a line, blank lines and what follows a `#` left out.
///
/// # Errors
/// The labels that are no theorems of the database.
pub fn read_labels(db: &Database, text: &str) -> Result<Vec<StatementId>, Vec<String>> {
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for label in listed_names(text) {
        match db.find(label).filter(|&id| db.kind(id) == StatementKind::Theorem) {
            Some(id) => found.push(id),
            None => unknown.push(label.to_owned()),
        }
    }
    if unknown.is_empty() { Ok(found) } else { Err(unknown) }
}

/// The judgements that are near-duplicates of held-out ones but not held out themselves, each with the first rule that finds it.
pub fn near_duplicates(env: &Environment<'_>, heldout: &[StatementId]) -> BTreeMap<StatementId, DuplicateRule> {
    let db = env.db();
    let held: HashSet<StatementId> = heldout.iter().copied().collect();
    let others: Vec<StatementId> = db.statements().filter(|&id| env.is_citable(id) && !held.contains(&id)).collect();
    let mut found = BTreeMap::new();
    let mut by_key = |rule: DuplicateRule, keys: &dyn Fn(StatementId) -> Vec<Vec<u32>>| {
        let wanted: HashSet<Vec<u32>> = heldout.iter().flat_map(|&id| keys(id)).collect();
        for &id in &others {
            if !found.contains_key(&id) && keys(id).iter().any(|key| wanted.contains(key)) {
                found.insert(id, rule);
            }
        }
    };
    by_key(DuplicateRule::Renaming, &|id| vec![statement_key(env, id)]);
    if let Some(implication) = Connectives::of(db) {
        by_key(DuplicateRule::Form, &|id| vec![implication.form_key(env, id)]);
    }
    by_key(DuplicateRule::Label, &|id| label_stems(db.label(id)).into_iter().map(|stem| stem.bytes().map(u32::from).collect()).collect());
    let words: Vec<Vec<u32>> = heldout.iter().map(|&id| statement_key(env, id)).collect();
    for &id in others.iter().filter(|id| !held.contains(id)) {
        if found.contains_key(&id) {
            continue;
        }
        let key = statement_key(env, id);
        // Fewer than a tenth of the symbols of the held-out statement.
        if words.iter().any(|word| closer_than(word, &key, word.len().div_ceil(10))) {
            found.insert(id, DuplicateRule::Edit);
        }
    }
    found
}

/// Appends the symbols of a tree in prefix order, variables numbered by their order of appearance.
fn append_key(env: &Environment<'_>, tree: TermId, names: &mut HashMap<StatementId, u32>, key: &mut Vec<u32>) {
    const SEPARATOR: u32 = u32::MAX;
    const VARIABLE: u32 = 1 << 31;
    let terms = &env.parsed.terms;
    let mut stack = vec![tree];
    while let Some(term) = stack.pop() {
        let head = terms.head(term);
        if env.db().kind(head) == StatementKind::Floating {
            let next = names.len() as u32;
            // The type is a part of the name: a class is no wff.
            key.push(VARIABLE | (*names.entry(head).or_insert(next) << 8) | (env.db().typecode(head).0 & 0xff));
        } else {
            key.push(head.0);
        }
        stack.extend(terms.children(term).iter().rev());
    }
    key.push(SEPARATOR);
}

/// The conclusion, then the hypotheses in an order that does not depend on names: always the one whose key is smallest, given the names so far.
fn canonical(env: &Environment<'_>, conclusion: TermId, mut hypotheses: Vec<TermId>) -> Vec<u32> {
    let (mut names, mut key) = (HashMap::new(), Vec::new());
    append_key(env, conclusion, &mut names, &mut key);
    hypotheses.sort_unstable();
    hypotheses.dedup();
    while !hypotheses.is_empty() {
        let next = |&tree: &TermId| {
            let mut own = Vec::new();
            append_key(env, tree, &mut names.clone(), &mut own);
            own
        };
        let Some((place, _)) = hypotheses.iter().map(next).enumerate().min_by(|a, b| a.1.cmp(&b.1)) else { break };
        append_key(env, hypotheses.remove(place), &mut names, &mut key);
    }
    key
}

fn statement_key(env: &Environment<'_>, id: StatementId) -> Vec<u32> {
    canonical(env, env.parsed.tree(id), env.db().essential(id).map(|hypothesis| env.parsed.tree(hypothesis)).collect())
}

/// The productions `( A -> B )` and `( A /\ B )`.
struct Connectives {
    implies: StatementId,
    and: Option<StatementId>,
}

impl Connectives {
    fn of(db: &Database) -> Option<Self> {
        let find = |symbol: &str| {
            let shape = |id: &StatementId| {
                let words: Vec<&str> = db.expression(*id).iter().map(|&word| db.symbol_name(Symbol(word))).collect();
                matches!(words[..], [_, "(", _, middle, _, ")"] if middle == symbol)
            };
            db.statements().filter(|&id| db.kind(id) == StatementKind::Axiom).find(shape)
        };
        find("->").map(|implies| Self { implies, and: find("/\\") })
    }

    /// Antecedents become hypotheses, conjunctions are taken apart, and an antecedent that is a variable, common to all parts, is left out.
    fn form_key(&self, env: &Environment<'_>, id: StatementId) -> Vec<u32> {
        let terms = &env.parsed.terms;
        let db = env.db();
        let implication = |tree: TermId| (terms.head(tree) == self.implies).then(|| (terms.children(tree)[0], terms.children(tree)[1]));
        let mut hypotheses: Vec<TermId> = db.essential(id).map(|hypothesis| env.parsed.tree(hypothesis)).collect();
        let mut conclusion = env.parsed.tree(id);
        if let Some((context, rest)) = implication(conclusion)
            && db.kind(terms.head(context)) == StatementKind::Floating
            && !hypotheses.is_empty()
            && hypotheses.iter().all(|&hypothesis| implication(hypothesis).is_some_and(|(antecedent, _)| antecedent == context))
        {
            conclusion = rest;
            hypotheses.iter_mut().for_each(|hypothesis| *hypothesis = terms.children(*hypothesis)[1]);
        }
        while let Some((antecedent, rest)) = implication(conclusion) {
            let mut parts = vec![antecedent];
            while let Some(part) = parts.pop() {
                if Some(terms.head(part)) == self.and { parts.extend(terms.children(part)) } else { hypotheses.push(part) }
            }
            conclusion = rest;
        }
        canonical(env, conclusion, hypotheses)
    }
}

/// A label without the marks of variants: the whole, and without a final letter of form.
fn label_stems(label: &str) -> Vec<String> {
    let cut = ["ALT", "OLD", "VD"].iter().filter_map(|mark| label.find(mark)).filter(|&at| at > 0).min().unwrap_or(label.len());
    let stem = &label[..cut];
    let mut stems = vec![stem.to_owned()];
    if stem.len() > 3
        && let Some(short) = stem.strip_suffix(['i', 'd', 't', 'g'])
    {
        stems.push(short.to_owned());
    }
    stems
}

/// Whether the edit distance of two lists is below `limit`: only the band of the table that can hold it is filled (Ukkonen 1985).
fn closer_than(a: &[u32], b: &[u32], limit: usize) -> bool {
    if a.len().abs_diff(b.len()) >= limit {
        return false;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let low = (i + 1).saturating_sub(limit).max(1);
        let high = (i + 1 + limit).min(b.len());
        let mut diagonal = row[low - 1];
        if low == 1 {
            row[0] = i + 1;
        } else {
            row[low - 1] = usize::MAX / 2;
        }
        let mut best = row[low - 1];
        for j in low..=high {
            // Right of the band of the row before, an entry still holds j, which is beyond the limit.
            let value = (diagonal + usize::from(*x != b[j - 1])).min(row[j] + 1).min(row[j - 1] + 1);
            diagonal = row[j];
            row[j] = value;
            best = best.min(value);
        }
        if best >= limit {
            return false;
        }
    }
    row[b.len()] < limit
}

/// What a stored proof cites: the labels in its text that are judgements or syntax, each once.
pub fn cited_by(db: &Database, theorem: StatementId) -> Vec<StatementId> {
    let mut cited: Vec<StatementId> = db
        .proof_text(theorem)
        .split_ascii_whitespace()
        .take_while(|&word| word != ")")
        .filter_map(|word| db.find(word))
        .filter(|&id| db.is_assertion(id))
        .collect();
    cited.sort_unstable();
    cited.dedup();
    cited
}

/// All theorems whose stored proofs rest on one of a list, through any number of others; the list itself left out.
pub fn dependants(db: &Database, list: &[StatementId]) -> Vec<StatementId> {
    let mut tainted: HashSet<StatementId> = list.iter().copied().collect();
    let mut found = Vec::new();
    // A proof cites only what stands before it, so one pass in order is enough.
    for theorem in db.theorems() {
        if !tainted.contains(&theorem) && cited_by(db, theorem).iter().any(|cited| tainted.contains(cited)) {
            tainted.insert(theorem);
            found.push(theorem);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banded_distance_is_the_distance() {
        let distance = |a: &[u32], b: &[u32]| {
            let mut row: Vec<usize> = (0..=b.len()).collect();
            for (i, x) in a.iter().enumerate() {
                let mut diagonal = std::mem::replace(&mut row[0], i + 1);
                for j in 1..=b.len() {
                    let value = (diagonal + usize::from(*x != b[j - 1])).min(row[j] + 1).min(row[j - 1] + 1);
                    diagonal = std::mem::replace(&mut row[j], value);
                }
            }
            row[b.len()]
        };
        let mut rng = abduce_data::Seed(1).stream("edit", 0);
        for _ in 0..3000 {
            let a: Vec<u32> = (0..rng.below(14)).map(|_| rng.below(3) as u32).collect();
            let mut b = a.clone();
            for _ in 0..rng.below(6) {
                let at = rng.below(b.len() + 1);
                match rng.below(3) {
                    0 => b.insert(at, rng.below(3) as u32),
                    1 if at < b.len() => {
                        b.remove(at);
                    }
                    _ if at < b.len() => b[at] = rng.below(3) as u32,
                    _ => {}
                }
            }
            for limit in 0..8 {
                assert_eq!(closer_than(&a, &b, limit), distance(&a, &b) < limit, "{a:?} {b:?} {limit}");
            }
        }
    }

    #[test]
    fn labels_lose_their_marks() {
        assert_eq!(label_stems("idALT"), ["id"]);
        assert_eq!(label_stems("sylOLD2"), ["syl"]);
        assert_eq!(label_stems("mpbid"), ["mpbid", "mpbi"]);
        assert_eq!(label_stems("OLD"), ["OLD"]);
    }
}

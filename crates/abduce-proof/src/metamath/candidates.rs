//! Which tactics apply to a goal: assertions found by the shape of their conclusions, and expressions found for the variables that a conclusion leaves open.

use super::database::{NONE, StatementId, VARIABLE};
use super::environment::{Environment, Problem, Tactic};
use super::patterns::OPEN;
use super::prover::Prover;
use super::state::ProofState;
use super::terms::TermId;
use std::collections::HashMap;
use std::ops::Range;

/// Citable assertions by the head of their conclusion and the head of its first child; variables match any.
#[derive(Clone, Debug)]
pub struct ConclusionIndex {
    buckets: HashMap<(u32, u32), Vec<StatementId>>,
}

/// Any head.
const ANY: u32 = NONE;

impl ConclusionIndex {
    /// The index of a database.
    pub fn new(env: &Environment<'_>) -> Self {
        let mut buckets: HashMap<(u32, u32), Vec<StatementId>> = HashMap::new();
        for id in env.db().statements().filter(|&id| env.is_citable(id)) {
            let Some(pattern) = env.patterns.of(id) else { continue };
            let code = env.patterns.code(&pattern.conclusion());
            let head = |code: Option<&u32>| code.map_or(ANY, |&code| if code & VARIABLE == 0 { code } else { ANY });
            let root = head(code.first());
            let child = if root == ANY { ANY } else { head(code.get(1)) };
            buckets.entry((root, child)).or_default().push(id);
        }
        Self { buckets }
    }

    /// The buckets that can hold a match of a tree with this head and this head of its first child; [`ANY`] where that is not known.
    fn buckets(&self, root: u32, child: u32) -> impl Iterator<Item = &[StatementId]> {
        let keys = [(root, child), (root, ANY), (ANY, ANY)];
        let distinct = keys.into_iter().enumerate().filter(move |&(place, key)| !keys[..place].contains(&key)).map(|(_, key)| key);
        distinct.filter_map(|key| self.buckets.get(&key).map(Vec::as_slice))
    }

    /// The assertions whose conclusions match a goal and that the problem allows, in database order, with what the match fixes.
    pub fn matching(&self, prover: &Prover<'_, '_>, problem: &Problem, goal: TermId) -> Vec<(StatementId, Vec<TermId>)> {
        let env = prover.environment();
        let terms = prover.terms();
        let head = |term: TermId| terms.head(term).0;
        let child = terms.children(goal).first().map_or(ANY, |&child| head(child));
        let mut found = Vec::new();
        let mut work = Vec::new();
        let mut substitution = Vec::new();
        for bucket in self.buckets(head(goal), child) {
            for &id in &bucket[..bucket.partition_point(|&id| id < problem.theorem)] {
                let Some(pattern) = env.patterns.of(id).filter(|_| problem.allows(id)) else { continue };
                let typecodes = env.patterns.typecodes(pattern);
                substitution.clear();
                substitution.resize(typecodes.len(), OPEN);
                if env.patterns.matches(env.db(), terms, (&pattern.conclusion(), typecodes), goal, &mut substitution, &mut work) {
                    found.push((id, substitution.clone()));
                }
            }
        }
        found.sort_unstable_by_key(|&(id, _)| id);
        found
    }
}

/// Where the expressions of a completed tactic came from: the less is guessed the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The conclusion fixes everything.
    Conclusion,
    /// Premises were matched with hypotheses or with formulas that the proof has met.
    Known,
    /// A premise was matched with the conclusion of this assertion.
    Assertion(StatementId),
}

/// A tactic with all its expressions.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The tactic.
    pub tactic: Tactic,
    /// Where its expressions came from.
    pub source: Source,
    /// How many of its premises are hypotheses or were met before.
    pub known_premises: usize,
    /// How many premises it has.
    pub premises: usize,
}

/// Bounds on the search for expressions.
#[derive(Clone, Copy, Debug)]
pub struct CompletionLimits {
    /// Most completions of one assertion.
    pub per_assertion: usize,
    /// Whether premises are matched with conclusions of other assertions, and how many of those at most.
    pub lookahead: usize,
}

/// Completes an assertion whose conclusion matched: all ways to fix its open variables by known formulas, and, where none is left and `lookahead` allows it, by
/// conclusions of other assertions in the order that `ranked` gives (larger first).
pub fn complete(
    prover: &mut Prover<'_, '_>,
    index: &ConclusionIndex,
    (problem, state): (&Problem, &ProofState),
    (label, substitution): (StatementId, &[TermId]),
    limits: CompletionLimits,
    mut rank: impl FnMut(StatementId) -> f64,
) -> Vec<Candidate> {
    let env = prover.environment();
    let Some(pattern) = env.patterns.of(label) else { return Vec::new() };
    let premises: Vec<Range<u32>> = env.patterns.premises(pattern).to_vec();
    if !substitution.contains(&OPEN) {
        return finish(prover, (problem, state), label, &premises, substitution, Source::Conclusion).into_iter().collect();
    }
    let typecodes = env.patterns.typecodes(pattern);
    let known: Vec<TermId> = problem.hypotheses.iter().map(|&(_, tree)| tree).chain(state.formulas().iter().copied()).collect();
    let mut complete: Vec<(Vec<TermId>, Source)> = Vec::new();
    // Partial substitutions by known formulas, breadth first; each is extended at its first premise that has an open variable.
    let mut queue = vec![substitution.to_vec()];
    let mut at = 0;
    let mut work = Vec::new();
    while at < queue.len() && queue.len() < 8 * limits.per_assertion.max(1) {
        let partial = queue[at].clone();
        at += 1;
        let has_open = |premise: &&Range<u32>| env.patterns.variables_in(premise).any(|place| partial[place] == OPEN);
        for premise in premises.iter().filter(has_open) {
            for &tree in &known {
                let mut next = partial.clone();
                if env.patterns.matches(env.db(), prover.terms(), (premise, typecodes), tree, &mut next, &mut work)
                    && !queue.contains(&next)
                {
                    if !next.contains(&OPEN) {
                        complete.push((next.clone(), Source::Known));
                    }
                    queue.push(next);
                }
            }
        }
    }
    if limits.lookahead > 0 && complete.is_empty() {
        let mut found: Vec<(f64, StatementId, Vec<TermId>)> = Vec::new();
        for partial in queue.iter().rev().take(4) {
            let has_open = |premise: &&Range<u32>| env.patterns.variables_in(premise).any(|place| partial[place] == OPEN);
            for premise in premises.iter().filter(has_open) {
                let code = env.patterns.code(premise);
                let head = |code: Option<&u32>, prover: &Prover<'_, '_>| match code {
                    Some(&code) if code & VARIABLE == 0 => code,
                    Some(&code) if partial[(code ^ VARIABLE) as usize] != OPEN => {
                        prover.terms().head(partial[(code ^ VARIABLE) as usize]).0
                    }
                    _ => ANY,
                };
                // A premise that is a bare open variable is matched by everything, which says nothing.
                let root = head(code.first(), prover);
                if root == ANY {
                    continue;
                }
                let child = if code[0] & VARIABLE == 0 { head(code.get(1), prover) } else { ANY };
                let buckets: Vec<&[StatementId]> = index.buckets(root, child).collect();
                for bucket in buckets {
                    for &other in &bucket[..bucket.partition_point(|&id| id < problem.theorem)] {
                        if !problem.allows(other) || env.patterns.of(other).is_none_or(|pattern| pattern.premises() > 1) {
                            continue;
                        }
                        if may_unify(prover, premise, partial, other)
                            && let Some(next) = unify(prover, label, premise, partial, other)
                            && !next.contains(&OPEN)
                        {
                            found.push((rank(other), other, next));
                        }
                    }
                }
            }
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, other, next) in found {
            if complete.len() >= limits.lookahead {
                break;
            }
            if complete.iter().all(|(known, _)| *known != next) {
                complete.push((next, Source::Assertion(other)));
            }
        }
    }
    complete.truncate(limits.per_assertion.max(limits.lookahead));
    complete
        .into_iter()
        .filter_map(|(substitution, source)| finish(prover, (problem, state), label, &premises, &substitution, source))
        .collect()
}

/// The candidate with this substitution, where its premises are no circle on the goal itself.
fn finish(
    prover: &mut Prover<'_, '_>,
    (problem, state): (&Problem, &ProofState),
    label: StatementId,
    premises: &[Range<u32>],
    substitution: &[TermId],
    source: Source,
) -> Option<Candidate> {
    let env = prover.environment();
    let free = env.free_variables(label)?;
    let mut work = Vec::new();
    let mut known_premises = 0;
    for premise in premises {
        let tree = env.patterns.instance(prover.terms_mut(), premise.clone(), substitution, &mut work);
        if Some(tree) == state.goal() {
            return None;
        }
        known_premises +=
            usize::from(problem.hypotheses.iter().any(|&(_, hypothesis)| hypothesis == tree) || state.formulas().contains(&tree));
    }
    let floating = env.db().mandatory(label).filter(|&id| env.db().kind(id) == super::database::StatementKind::Floating);
    let given = floating.zip(substitution).filter(|(id, _)| free.contains(id)).map(|(id, &tree)| (id, tree));
    Some(Candidate { tactic: Tactic { label, given: given.collect() }, source, known_premises, premises: premises.len() })
}

/// Whether no two different heads stand at the same place of a premise, filled in part, and the conclusion of `other`: a quick test before [`unify`].
fn may_unify(prover: &Prover<'_, '_>, premise: &Range<u32>, partial: &[TermId], other: StatementId) -> bool {
    let patterns = &prover.environment().patterns;
    let Some(pattern) = patterns.of(other) else { return false };
    let (mut left, mut right) = (premise.clone(), pattern.conclusion());
    while !left.is_empty() && !right.is_empty() {
        let (l, r) = (patterns.code(&left)[0], patterns.code(&right)[0]);
        if l & VARIABLE == 0 && r & VARIABLE == 0 {
            if l != r {
                return false;
            }
            left.start += 1;
            right.start += 1;
            continue;
        }
        if l & VARIABLE != 0 && r & VARIABLE == 0 {
            let bound = partial[(l ^ VARIABLE) as usize];
            if bound != OPEN && prover.terms().head(bound).0 != r {
                return false;
            }
        }
        left.start = patterns.end_of(left.start);
        right.start = patterns.end_of(right.start);
    }
    true
}

/// Unifies a premise of `label`, filled in part, with the conclusion of `other`, as far as that goes without variables on both sides of an equation: the substitution
/// of `label`, filled further.
fn unify(
    prover: &mut Prover<'_, '_>,
    label: StatementId,
    premise: &Range<u32>,
    partial: &[TermId],
    other: StatementId,
) -> Option<Vec<TermId>> {
    let env = prover.environment();
    let patterns = &env.patterns;
    let (left_pattern, right_pattern) = (patterns.of(label)?, patterns.of(other)?);
    let (left_types, right_types) = (patterns.typecodes(left_pattern), patterns.typecodes(right_pattern));
    let (left, right) = (premise.clone(), right_pattern.conclusion());
    let mut sigma = partial.to_vec();
    let mut theta = vec![OPEN; right_types.len()];
    // Pairs of places in the code; those that can't be decided yet wait for the end.
    let mut waiting: Vec<(Range<u32>, Range<u32>)> = Vec::new();
    let mut stack = vec![(left, right)];
    let mut work = Vec::new();
    let mut last_round = false;
    loop {
        while let Some((left, right)) = stack.pop() {
            let (&l, &r) = (patterns.code(&left).first()?, patterns.code(&right).first()?);
            let bound =
                |code: u32, substitution: &[TermId]| if code & VARIABLE == 0 { OPEN } else { substitution[(code ^ VARIABLE) as usize] };
            let (bl, br) = (bound(l, &sigma), bound(r, &theta));
            if bl != OPEN {
                if !patterns.matches(env.db(), prover.terms(), (&right, right_types), bl, &mut theta, &mut work) {
                    return None;
                }
            } else if br != OPEN {
                if !patterns.matches(env.db(), prover.terms(), (&left, left_types), br, &mut sigma, &mut work) {
                    return None;
                }
            } else if l & VARIABLE == 0 && r & VARIABLE == 0 {
                if l != r {
                    return None;
                }
                let (mut a, mut b) = (left.start + 1, right.start + 1);
                for _ in 0..patterns.arity(l) {
                    let (a_end, b_end) = (patterns.end_of(a), patterns.end_of(b));
                    stack.push((a..a_end, b..b_end));
                    (a, b) = (a_end, b_end);
                }
            } else if patterns.variables_in(&right).all(|place| theta[place] != OPEN) && l & VARIABLE != 0 {
                let tree = patterns.instance(prover.terms_mut(), right, &theta, &mut work);
                let place = (l ^ VARIABLE) as usize;
                if env.db().typecode(prover.terms().head(tree)).0 != left_types[place] {
                    return None;
                }
                sigma[place] = tree;
            } else if patterns.variables_in(&left).all(|place| sigma[place] != OPEN) && r & VARIABLE != 0 {
                let tree = patterns.instance(prover.terms_mut(), left, &sigma, &mut work);
                let place = (r ^ VARIABLE) as usize;
                if env.db().typecode(prover.terms().head(tree)).0 != right_types[place] {
                    return None;
                }
                theta[place] = tree;
            } else if last_round {
                return None;
            } else {
                waiting.push((left, right));
            }
        }
        if waiting.is_empty() {
            return Some(sigma);
        }
        std::mem::swap(&mut stack, &mut waiting);
        last_round = true;
    }
}

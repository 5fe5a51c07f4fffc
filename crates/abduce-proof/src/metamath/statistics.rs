//! What a database looks like, in numbers.

use super::database::{Counts, StatementId};
use super::environment::Environment;
use super::replay::{Justification, replay};
use serde::Serialize;
use std::collections::HashMap;

/// Numbers about a database with a grammar. A logical step is a citation of a judgement (`|-`) in a stored proof; re-used parts count once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// Bytes of all files.
    pub bytes: u64,
    /// Statements by kind.
    pub counts: Counts,
    /// `$p` that are judgements.
    pub theorems: usize,
    /// Proofs that could not be replayed, which the numbers below leave out.
    pub unreadable: usize,
    /// Logical steps of all proofs.
    pub steps: usize,
    /// Their median per proof.
    pub steps_median: f64,
    /// Their mean per proof.
    pub steps_mean: f64,
    /// Proofs with at most 2, 3, 5 and 10 steps.
    pub at_most: [(usize, usize); 4],
    /// Judgements that are cited.
    pub cited: usize,
    /// Judgements that are cited at least five times.
    pub cited_often: usize,
    /// Median of the symbols of a theorem, typecode included.
    pub symbols_median: f64,
    /// Their 90 % quantile.
    pub symbols_p90: f64,
}

/// The quantile of a sorted list, by linear interpolation.
fn quantile(sorted: &[usize], p: f64) -> f64 {
    if sorted.is_empty() {
        return 0.0;
    }
    let at = p * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize] as f64, sorted[at.ceil() as usize] as f64);
    low + (high - low) * at.fract()
}

impl Statistics {
    /// Counts everything.
    pub fn new(env: &Environment<'_>) -> Self {
        let db = env.db();
        let mut terms = env.parsed.terms.clone();
        let (mut lengths, mut symbols, mut unreadable) = (Vec::new(), Vec::new(), 0);
        let mut citations: HashMap<StatementId, usize> = HashMap::new();
        for theorem in db.theorems().filter(|&id| env.is_citable(id)) {
            symbols.push(db.expression(theorem).len());
            if terms.len() > env.parsed.terms.len() + 200_000 {
                terms.truncate(env.parsed.terms.len());
            }
            let Ok(graph) = replay(&env.parsed, &env.patterns, &mut terms, theorem) else {
                unreadable += 1;
                continue;
            };
            let steps = graph.formulas.iter().filter_map(|formula| match &formula.by {
                Justification::Step { label, .. } => Some(*label),
                Justification::Hypothesis(_) => None,
            });
            let mut count = 0;
            for label in steps {
                *citations.entry(label).or_default() += 1;
                count += 1;
            }
            lengths.push(count);
        }
        lengths.sort_unstable();
        symbols.sort_unstable();
        let steps: usize = lengths.iter().sum();
        Self {
            bytes: db.sources().total_bytes(),
            counts: db.counts(),
            theorems: symbols.len(),
            unreadable,
            steps,
            steps_median: quantile(&lengths, 0.5),
            steps_mean: steps as f64 / lengths.len().max(1) as f64,
            at_most: [2, 3, 5, 10].map(|limit| (limit, lengths.partition_point(|&length| length <= limit))),
            cited: citations.len(),
            cited_often: citations.values().filter(|&&count| count >= 5).count(),
            symbols_median: quantile(&symbols, 0.5),
            symbols_p90: quantile(&symbols, 0.9),
        }
    }
}

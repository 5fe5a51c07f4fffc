//! What stored proofs say about which assertions to cite: counts for policies without a network.

use super::database::{Database, StatementId};
use super::environment::Environment;
use super::replay::{Justification, replay};
use std::collections::{HashMap, HashSet};

/// Citations of the stored proofs of a database, without those of held-out theorems.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// By assertion: the theorems that cite it, in order, once per step.
    citations: Vec<Vec<StatementId>>,
    /// By (parent, premise, assertion): the theorems in which this assertion proves that premise of the parent.
    below: HashMap<(StatementId, u32, StatementId), Vec<StatementId>>,
    /// By (parent, premise): the same for any assertion.
    parents: HashMap<(StatementId, u32), Vec<StatementId>>,
    /// By theorem: what its proof cites, each once.
    cites: Vec<Vec<StatementId>>,
    /// All theorems whose proofs were read, in order, once per step.
    steps: Vec<StatementId>,
    symbols: SymbolWeights,
}

/// Symbols of statements for retrieval by BM25 (Robertson and Zaragoza 2009) with k₁ = 1.2 and b = 0.75: documents are assertions with their premises, words their
/// constants.
#[derive(Clone, Debug)]
struct SymbolWeights {
    /// By symbol: the assertions that have it and how often, in order.
    postings: Vec<Vec<(StatementId, u16)>>,
    lengths: Vec<u32>,
    mean_length: f64,
    documents: usize,
}

const K1: f64 = 1.2;
const B: f64 = 0.75;

fn before(list: &[StatementId], theorem: StatementId) -> usize {
    list.partition_point(|&citing| citing < theorem)
}

impl Corpus {
    /// Reads the stored proofs of all theorems but the held-out ones. A proof that does not replay counts for nothing.
    pub fn new(env: &Environment<'_>, heldout: &HashSet<StatementId>) -> Self {
        let db = env.db();
        let mut corpus = Self {
            citations: vec![Vec::new(); db.len()],
            below: HashMap::new(),
            parents: HashMap::new(),
            cites: vec![Vec::new(); db.len()],
            steps: Vec::new(),
            symbols: SymbolWeights::new(env),
        };
        let mut terms = env.parsed.terms.clone();
        for theorem in db.theorems().filter(|&id| env.is_citable(id) && !heldout.contains(&id)) {
            if terms.len() > env.parsed.terms.len() + 200_000 {
                terms.truncate(env.parsed.terms.len());
            }
            let Ok(graph) = replay(&env.parsed, &env.patterns, &mut terms, theorem) else { continue };
            for formula in &graph.formulas {
                let Justification::Step { label, premises, .. } = &formula.by else { continue };
                corpus.citations[label.0 as usize].push(theorem);
                corpus.cites[theorem.0 as usize].push(*label);
                corpus.steps.push(theorem);
                for (place, &premise) in premises.iter().enumerate() {
                    if let Justification::Step { label: child, .. } = &graph.formulas[premise as usize].by {
                        corpus.below.entry((*label, place as u32, *child)).or_default().push(theorem);
                        corpus.parents.entry((*label, place as u32)).or_default().push(theorem);
                    }
                }
            }
            let cites = &mut corpus.cites[theorem.0 as usize];
            cites.sort_unstable();
            cites.dedup();
        }
        corpus
    }

    /// Share of the steps before a theorem that cite an assertion, with one more step for each.
    pub fn frequency(&self, label: StatementId, theorem: StatementId) -> f64 {
        let all = before(&self.steps, theorem) + label.0 as usize + 1;
        (before(&self.citations[label.0 as usize], theorem) + 1) as f64 / all as f64
    }

    /// Share of the steps before a theorem, at this premise of the parent, that cite an assertion; mixed with its frequency, which counts as `weight` steps.
    pub fn conditional(&self, parent: (StatementId, usize), label: StatementId, theorem: StatementId, weight: f64) -> f64 {
        let count = |list: Option<&Vec<StatementId>>| list.map_or(0, |list| before(list, theorem)) as f64;
        let together = count(self.below.get(&(parent.0, parent.1 as u32, label)));
        let all = count(self.parents.get(&(parent.0, parent.1 as u32)));
        (together + weight * self.frequency(label, theorem)) / (all + weight)
    }

    /// What the stored proof of a theorem cites; nothing for held-out ones.
    pub fn cites(&self, theorem: StatementId) -> &[StatementId] {
        &self.cites[theorem.0 as usize]
    }

    /// The BM25 scores of all assertions before a theorem for a list of symbols, by statement.
    pub fn similarities(&self, query: &[u32], theorem: StatementId) -> Vec<f64> {
        let symbols = &self.symbols;
        let mut scores = vec![0.0; theorem.0 as usize];
        let mut words = query.to_vec();
        words.sort_unstable();
        words.dedup();
        for word in words {
            let postings = &symbols.postings[word as usize];
            let n = postings.len() as f64;
            let idf = ((symbols.documents as f64 - n + 0.5) / (n + 0.5) + 1.0).ln();
            for &(id, count) in postings.iter().take_while(|&&(id, _)| id < theorem) {
                let length = f64::from(symbols.lengths[id.0 as usize]) / symbols.mean_length;
                let count = f64::from(count);
                scores[id.0 as usize] += idf * count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length));
            }
        }
        scores
    }
}

/// The constants of an assertion and its premises, typecodes left out.
pub(crate) fn constants(db: &Database, id: StatementId) -> Vec<u32> {
    let parts = db.essential(id).chain([id]).flat_map(|part| &db.expression(part)[1..]);
    parts.copied().filter(|&symbol| !db.is_variable[symbol as usize]).collect()
}

impl SymbolWeights {
    fn new(env: &Environment<'_>) -> Self {
        let db = env.db();
        let mut postings: Vec<Vec<(StatementId, u16)>> = vec![Vec::new(); db.symbol_count()];
        let mut lengths = vec![0; db.len()];
        let (mut total, mut documents) = (0u64, 0usize);
        for id in db.statements().filter(|&id| env.is_citable(id)) {
            let words = constants(db, id);
            lengths[id.0 as usize] = words.len() as u32;
            total += words.len() as u64;
            documents += 1;
            for word in words {
                match postings[word as usize].last_mut() {
                    Some((last, count)) if *last == id => *count = count.saturating_add(1),
                    _ => postings[word as usize].push((id, 1)),
                }
            }
        }
        Self { postings, lengths, mean_length: (total as f64 / documents.max(1) as f64).max(1.0), documents }
    }
}

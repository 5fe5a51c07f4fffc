//! Policies without a network: useful in themselves, and what a network has to beat.

use super::candidates::{Candidate, CompletionLimits, ConclusionIndex, Source, complete};
use super::corpus::{Corpus, constants};
use super::database::StatementId;
use super::environment::Environment;
use super::process::MetamathMdp;
use super::state::ProofState;
use crate::mdp::{Policy, Proposal};
use abduce_data::Seed;
use std::collections::HashMap;

/// How a policy without a network ranks assertions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ranking {
    /// All that match are equally probable: a random choice of them.
    Uniform,
    /// By how often earlier proofs cite them.
    Frequency,
    /// By how often earlier proofs cite them for the same premise of the same assertion.
    Ngram,
    /// By the citations of earlier theorems whose symbols are like those of the theorem (BM25), and by the same likeness of the assertion itself.
    Bm25,
}

/// The policy: all assertions whose conclusions match the first goal, with expressions for the variables that are open, ranked.
#[derive(Clone, Debug)]
pub struct RankingPolicy<'p> {
    index: &'p ConclusionIndex,
    corpus: &'p Corpus,
    ranking: Ranking,
    seed: Seed,
    /// For [`Ranking::Bm25`]: the theorem and its weights of assertions.
    retrieved: Option<(StatementId, HashMap<StatementId, f64>, Vec<f64>)>,
}

/// Neighbours whose citations count.
const NEIGHBOURS: usize = 100;
/// Steps that the frequency counts for beside the counts at a premise.
const PRIOR_STEPS: f64 = 5.0;
/// Assertions whose open variables are filled with the help of other assertions, per goal.
const LOOKAHEAD_LABELS: usize = 12;
/// What a goal costs that is left to be proved, and what an expression guessed from another assertion costs, in nats: a proof is likelier the less it leaves.
const COST_OF_GOAL: f64 = 2.0;
const COST_OF_GUESS: f64 = 1.0;

impl<'p> RankingPolicy<'p> {
    /// A policy; the seed is used by [`Ranking::Uniform`] alone.
    pub fn new(index: &'p ConclusionIndex, corpus: &'p Corpus, ranking: Ranking, seed: Seed) -> Self {
        Self { index, corpus, ranking, seed, retrieved: None }
    }

    /// Prepares the retrieval for a theorem.
    fn retrieve(&mut self, env: &Environment<'_>, theorem: StatementId) {
        if self.ranking != Ranking::Bm25 || self.retrieved.as_ref().is_some_and(|(known, ..)| *known == theorem) {
            return;
        }
        let similarities = self.corpus.similarities(&constants(env.db(), theorem), theorem);
        let mut neighbours: Vec<(f64, StatementId)> = similarities
            .iter()
            .enumerate()
            .filter(|&(_, &score)| score > 0.0)
            .map(|(id, &score)| (score, StatementId(id as u32)))
            .collect();
        neighbours.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        let mut weights: HashMap<StatementId, f64> = HashMap::new();
        let best = neighbours.first().map_or(1.0, |&(score, _)| score);
        for &(score, neighbour) in neighbours.iter().take(NEIGHBOURS) {
            // The fourth power lets near neighbours decide.
            let weight = (score / best).powi(4);
            *weights.entry(neighbour).or_default() += weight;
            let cites = self.corpus.cites(neighbour);
            cites.iter().for_each(|&label| *weights.entry(label).or_default() += weight);
        }
        let scaled = similarities.iter().map(|&score| score / best).collect();
        self.retrieved = Some((theorem, weights, scaled));
    }

    /// The logarithm of a weight, up to a constant.
    fn score(&self, label: StatementId, theorem: StatementId, state: &ProofState) -> f64 {
        match self.ranking {
            Ranking::Uniform => 0.0,
            Ranking::Frequency => self.corpus.frequency(label, theorem).ln(),
            Ranking::Ngram => match state.parent() {
                Some(parent) => self.corpus.conditional(parent, label, theorem, PRIOR_STEPS).ln(),
                None => self.corpus.frequency(label, theorem).ln(),
            },
            Ranking::Bm25 => {
                let Some((_, weights, similarities)) = &self.retrieved else { return 0.0 };
                let retrieved = weights.get(&label).copied().unwrap_or(0.0);
                let own = similarities.get(label.0 as usize).copied().unwrap_or(0.0);
                (retrieved + own.powi(4) + 100.0 * self.corpus.frequency(label, theorem)).ln()
            }
        }
    }
}

impl Policy<MetamathMdp<'_, '_, '_>> for RankingPolicy<'_> {
    fn propose(
        &mut self,
        mdp: &mut MetamathMdp<'_, '_, '_>,
        state: &ProofState,
        branch: usize,
        proposals: &mut Vec<Proposal<super::Tactic>>,
    ) {
        let Some(goal) = state.goal() else { return };
        let (prover, problem) = (&mut *mdp.prover, mdp.problem);
        let env = prover.environment();
        let theorem = problem.theorem;
        self.retrieve(env, theorem);
        let matching = self.index.matching(prover, problem, goal);
        let mut scored: Vec<(f64, usize)> =
            matching.iter().enumerate().map(|(place, (label, _))| (self.score(*label, theorem, state), place)).collect();
        if self.ranking == Ranking::Uniform {
            // A random order, the same for the same state.
            let mut rng = self.seed.derive("uniform policy", u64::from(theorem.0)).stream("state", state_number(state));
            scored.iter_mut().for_each(|(score, _)| *score = rng.uniform());
        }
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut candidates: Vec<(f64, Candidate)> = Vec::new();
        let mut guessed = 0;
        for &(score, place) in &scored {
            let (label, substitution) = &matching[place];
            let is_open = substitution.contains(&super::patterns::OPEN);
            // The order is random and every candidate costs the same: the first ones are a fair sample.
            if self.ranking == Ranking::Uniform && candidates.len() >= 4 * branch {
                break;
            }
            let lookahead = if is_open && guessed < LOOKAHEAD_LABELS { branch } else { 0 };
            guessed += usize::from(is_open);
            let limits = CompletionLimits { per_assertion: branch, lookahead };
            let this = &*self;
            let found =
                complete(prover, self.index, (problem, state), (*label, substitution), limits, |other| this.score(other, theorem, state));
            for candidate in found {
                let score = if self.ranking == Ranking::Uniform {
                    0.0
                } else {
                    let guess = match candidate.source {
                        Source::Conclusion | Source::Known => 0.0,
                        Source::Assertion(_) => COST_OF_GUESS,
                    };
                    score - COST_OF_GOAL * (candidate.premises - candidate.known_premises) as f64 - guess
                };
                candidates.push((score, candidate));
            }
        }
        // A stable sort: of equal scores the first found stays first.
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
        let top = candidates.first().map_or(0.0, |&(score, _)| score);
        let log_total = top + candidates.iter().map(|&(score, _)| (score - top).exp()).sum::<f64>().ln();
        // What matches can still fail, by `$d` or by going in a circle: those are not worth a place.
        let applies = candidates.into_iter().filter(|(_, candidate)| prover.apply(problem, &mut state.clone(), &candidate.tactic).is_ok());
        proposals.extend(applies.take(branch).map(|(score, candidate)| Proposal { action: candidate.tactic, log_prob: score - log_total }));
    }
}

/// A number that tells states apart: their formulas, in order.
fn state_number(state: &ProofState) -> u64 {
    state.formulas().iter().fold(state.goals().len() as u64, |number, formula| {
        (number ^ u64::from(formula.0)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
    })
}

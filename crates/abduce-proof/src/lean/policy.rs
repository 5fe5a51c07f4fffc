//! Policies over Lean tactics without a network.

use super::goal::{Goal, untagged};
use super::steps::{TacticMdp, TacticState};
use super::tactics::suggestions;
use crate::env::GoalEnv;
use crate::mdp::{Policy, Proposal};
use abduce_data::Seed;
use std::collections::HashMap;

/// How suggested tactics are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TacticRanking {
    /// All alike, in a random order.
    Uniform,
    /// By the cost of the fixed list.
    Ranked,
    /// By how often given proofs use the tactic.
    Frequency,
    /// By how often given proofs use the tactic after the one before.
    Ngram,
}

/// How often proofs use tactics, by the first words of their lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TacticCounts {
    by_word: HashMap<String, usize>,
    /// By the word before; empty at the start of a proof.
    by_pair: HashMap<(String, String), usize>,
}

/// What the costs of the fixed list are multiplied by: the first choice is to be followed before others are tried.
const SHARPNESS: f64 = 2.5;
/// What a tactic that no proof uses counts.
const SMOOTHING: f64 = 0.5;
/// Steps that the frequency counts for beside the counts after a tactic.
const PRIOR_STEPS: f64 = 5.0;

impl TacticCounts {
    /// Counts the tactics of proofs, each a list of lines.
    pub fn new<'p>(proofs: impl IntoIterator<Item = &'p [String]>) -> Self {
        let mut counts = Self::default();
        for proof in proofs {
            let mut before = String::new();
            for word in proof.iter().flat_map(|tactic| tactic.lines()).filter_map(first_word) {
                *counts.by_word.entry(word.to_owned()).or_default() += 1;
                *counts.by_pair.entry((before, word.to_owned())).or_default() += 1;
                before = word.to_owned();
            }
        }
        counts
    }

    /// The probability of a word, up to a constant.
    fn frequency(&self, word: &str) -> f64 {
        let total: usize = self.by_word.values().sum();
        (self.by_word.get(word).copied().unwrap_or(0) as f64 + SMOOTHING) / (total as f64 + SMOOTHING)
    }

    /// The probability of a word after another, up to a constant.
    fn conditional(&self, before: &str, word: &str) -> f64 {
        let pair = |word: &str| self.by_pair.get(&(before.to_owned(), word.to_owned())).copied().unwrap_or(0) as f64;
        let total: f64 = self.by_word.keys().map(|word| pair(word)).sum();
        (pair(word) + PRIOR_STEPS * self.frequency(word)) / (total + PRIOR_STEPS)
    }
}

/// The name of the tactic on a line, behind the pattern of a case and words that apply a tactic to several goals.
fn first_word(line: &str) -> Option<&str> {
    let line = if line.trim_start().starts_with('|') { line.split_once("=>")?.1 } else { line };
    let line = line.trim().trim_start_matches(['·', '(']).trim_start();
    let line = line.strip_prefix("all_goals ").unwrap_or(line);
    line.split([' ', ';', ')']).next().filter(|word| !word.is_empty() && !word.starts_with("?"))
}

/// The policy: the suggestions for the first goal, ranked.
#[derive(Clone, Debug)]
pub struct TacticPolicy<'p> {
    ranking: TacticRanking,
    counts: &'p TacticCounts,
    lemmas: &'p [String],
    seed: Seed,
}

impl<'p> TacticPolicy<'p> {
    /// A policy; the counts are used by [`TacticRanking::Frequency`] and [`TacticRanking::Ngram`], the seed by [`TacticRanking::Uniform`]. `lemmas` may be applied
    /// and used for rewriting.
    pub const fn new(ranking: TacticRanking, counts: &'p TacticCounts, lemmas: &'p [String], seed: Seed) -> Self {
        Self { ranking, counts, lemmas, seed }
    }

    /// The ranked suggestions for a goal, after the tactic `before`: at most `branch`, with logarithms of probabilities among all of them.
    pub fn rank(&self, goal: &str, before: Option<&str>, branch: usize) -> Vec<Proposal<String>> {
        let list = suggestions(&Goal::parse(goal), self.lemmas);
        let before = before.and_then(first_word).unwrap_or_default();
        let mut rng = self.seed.derive("uniform tactics", 0).stream("goal", fingerprint(untagged(goal)));
        let mut scored: Vec<(f64, f64, String)> = list
            .into_iter()
            .map(|suggestion| {
                let word = first_word(&suggestion.tactic).unwrap_or_default();
                let (log_weight, order) = match self.ranking {
                    TacticRanking::Uniform => (0.0, rng.uniform()),
                    TacticRanking::Ranked => (-SHARPNESS * suggestion.cost, 0.0),
                    TacticRanking::Frequency => (self.counts.frequency(word).ln(), 0.0),
                    TacticRanking::Ngram => (self.counts.conditional(before, word).ln(), 0.0),
                };
                (log_weight, order, suggestion.tactic)
            })
            .collect();
        // A stable sort: of equal weights the cheaper form stays first.
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)));
        let log_total = scored.iter().map(|(log_weight, ..)| log_weight.exp()).sum::<f64>().ln();
        scored.into_iter().take(branch).map(|(log_weight, _, action)| Proposal { action, log_prob: log_weight - log_total }).collect()
    }
}

/// FNV-1a: a number for a text that is the same in every run.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

impl<E: GoalEnv> Policy<TacticMdp<'_, E>> for TacticPolicy<'_> {
    fn propose(&mut self, _: &mut TacticMdp<'_, E>, state: &TacticState<E::State>, branch: usize, proposals: &mut Vec<Proposal<String>>) {
        if let Some(goal) = state.goals().first() {
            proposals.extend(self.rank(goal, state.last(), branch));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proofs() -> Vec<Vec<String>> {
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        vec![lines("intro h\ncases h with\n| inl a => exact Or.inr a\n| inr a =>\n  left\n  exact a"), lines("intro h\nexact h")]
    }

    #[test]
    fn counts_are_those_of_the_lines() {
        let proofs = proofs();
        let counts = TacticCounts::new(proofs.iter().map(Vec::as_slice));
        // intro cases exact left exact, intro exact.
        let total = 7.0 + SMOOTHING;
        assert!((counts.frequency("exact") - 3.5 / total).abs() < 1e-12 && (counts.frequency("omega") - 0.5 / total).abs() < 1e-12);
        let expected = (1.0 + PRIOR_STEPS * 3.5 / total) / (2.0 + PRIOR_STEPS);
        assert!((counts.conditional("intro", "exact") - expected).abs() < 1e-12);
        assert!(counts.conditional("", "intro") > counts.conditional("intro", "intro"));
    }

    #[test]
    fn rankings_are_distributions_and_repeat() {
        let proofs = proofs();
        let counts = TacticCounts::new(proofs.iter().map(Vec::as_slice));
        let goal = "case inl\np q : Prop\nf : p → q\na : Or p q\n⊢ Or q p";
        for ranking in [TacticRanking::Uniform, TacticRanking::Ranked, TacticRanking::Frequency, TacticRanking::Ngram] {
            let policy = TacticPolicy::new(ranking, &counts, &[], Seed(3));
            let all = policy.rank(goal, Some("intro a"), 1000);
            let total: f64 = all.iter().map(|proposal| proposal.log_prob.exp()).sum();
            assert!((total - 1.0).abs() < 1e-12, "{ranking:?}");
            assert!(all.windows(2).all(|pair| pair[0].log_prob >= pair[1].log_prob), "{ranking:?}");
            assert_eq!(policy.rank(goal, Some("intro a"), 2), all[..2], "{ranking:?}");
        }
        let order = |seed: u64| {
            let ranked = TacticPolicy::new(TacticRanking::Uniform, &counts, &[], Seed(seed)).rank(goal, None, 100);
            ranked.into_iter().map(|proposal| proposal.action).collect::<Vec<_>>()
        };
        assert!((0..20).any(|seed| order(seed) != order(20)));
        let ngram = TacticPolicy::new(TacticRanking::Ngram, &counts, &[], Seed(3)).rank(goal, Some("exact Or.inr a"), 1);
        assert_eq!(ngram[0].action, "left");
    }
}

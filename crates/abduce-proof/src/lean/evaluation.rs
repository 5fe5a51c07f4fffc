//! A search on each theorem of a list, and what it proves by the word of a fresh Lean process.

use super::batch::LeanTheorem;
use super::policy::{TacticCounts, TacticPolicy, TacticRanking};
use super::problems::LeanProblem;
use super::steps::TacticMdp;
use crate::env::{GoalEnv, StepError, Verdict};
use crate::evaluation::{Effort, attempts};
use crate::search::{Budget, Method, search};
use abduce_data::Seed;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// What is tried on each theorem.
#[derive(Clone, Debug)]
pub struct LeanTrial {
    /// How tactics are ranked.
    pub ranking: TacticRanking,
    /// Theorems that may be applied and used for rewriting.
    pub lemmas: Vec<String>,
    /// Which search.
    pub method: Method,
    /// What it may spend.
    pub budget: Budget,
    /// Seed of random choices.
    pub seed: Seed,
}

/// A proof that a fresh process has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeanProof {
    /// The tactics.
    pub tactics: Vec<String>,
    /// The axioms that it rests on.
    pub axioms: Vec<String>,
}

/// What came of one theorem.
#[derive(Clone, Debug)]
pub struct LeanAttempt {
    /// Its place in the list.
    pub place: usize,
    /// The proofs found.
    pub proofs: Vec<LeanProof>,
    /// Finished states that the judge refused: the tactics, and why.
    pub refused: Vec<(Vec<String>, String)>,
    /// Why the statement was not taken, where it was not.
    pub fault: Option<StepError>,
    /// What it took.
    pub effort: Effort,
}

/// Tries the `chosen` of the problems, each worker with a checker of its own. Counts of tactics are those of all other problems' proofs. The results stand in the order of
/// the choice and, but for times, do not depend on the number of workers. Problems not begun when `stop` is set are left out.
///
/// # Panics
/// If a place in `chosen` is none of `problems`.
pub fn evaluate_lean<E: GoalEnv<Theorem = LeanTheorem>>(
    problems: &[LeanProblem],
    chosen: &[usize],
    trial: &LeanTrial,
    workers: NonZeroUsize,
    stop: &AtomicBool,
    checker: impl Fn(usize) -> E + Sync,
) -> Vec<LeanAttempt> {
    attempts(chosen.len(), workers, stop, |worker| {
        let mut env = checker(worker);
        move |item| {
            let place = chosen[item];
            let others = problems.iter().enumerate().filter(|&(other, _)| other != place);
            let counts = TacticCounts::new(others.map(|(_, problem)| problem.proof.as_slice()));
            attempt(&mut env, &problems[place].theorem, place, &counts, trial)
        }
    })
}

fn attempt<E: GoalEnv<Theorem = LeanTheorem>>(
    env: &mut E,
    theorem: &LeanTheorem,
    place: usize,
    counts: &TacticCounts,
    trial: &LeanTrial,
) -> LeanAttempt {
    let start = Instant::now();
    let (mut proofs, mut refused, mut fault, mut effort) = (Vec::new(), Vec::new(), None, Effort::default());
    match TacticMdp::new(env, theorem) {
        Ok(mut mdp) => {
            let mut policy = TacticPolicy::new(trial.ranking, counts, &trial.lemmas, trial.seed);
            let found;
            (effort, found) = Effort::of(search(&mut mdp, &mut policy, trial.method, trial.budget));
            for tactics in found {
                match env.verify(theorem, &tactics) {
                    Verdict::Proved { axioms } => proofs.push(LeanProof { tactics, axioms }),
                    Verdict::Rejected { class, reason } => refused.push((tactics, format!("{class}: {reason}"))),
                }
            }
            effort.expansions_to_first = effort.expansions_to_first.filter(|_| !proofs.is_empty());
        }
        Err(error) => fault = Some(error),
    }
    effort.time = start.elapsed();
    LeanAttempt { place, proofs, refused, fault, effort }
}

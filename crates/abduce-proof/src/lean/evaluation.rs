//! A search on each theorem of a list, and what it proves by the word of a fresh Lean process.

use super::batch::LeanTheorem;
use super::policy::{TacticCounts, TacticPolicy, TacticRanking};
use super::problems::LeanProblem;
use super::steps::TacticMdp;
use crate::env::{GoalEnv, StepError, Verdict};
use crate::search::{Budget, Method, search};
use abduce_data::Seed;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

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
    /// Expansions used.
    pub expansions: usize,
    /// Expansions up to the first proof.
    pub expansions_to_first: Option<usize>,
    /// Tactics tried.
    pub tried: usize,
    /// Tactics that failed, by kind.
    pub failures: BTreeMap<&'static str, usize>,
    /// Whether the time ran out.
    pub out_of_time: bool,
    /// Time spent.
    pub time: Duration,
}

/// Tries the `chosen` of the problems, each worker with a checker of its own. Counts of tactics are those of all other problems' proofs. The results stand in the order of
/// the choice and, but for times, do not depend on the number of workers. Problems not begun when `stop` is set are left out.
pub fn evaluate_lean<E: GoalEnv<Theorem = LeanTheorem>>(
    problems: &[LeanProblem],
    chosen: &[usize],
    trial: &LeanTrial,
    workers: NonZeroUsize,
    stop: &AtomicBool,
    checker: impl Fn(usize) -> E + Sync,
) -> Vec<LeanAttempt> {
    let next = AtomicUsize::new(0);
    let work = |worker: usize| {
        let mut env = checker(worker);
        let mut attempts = Vec::new();
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let Some(&place) = chosen.get(turn).filter(|_| !stop.load(Ordering::Relaxed)) else { return attempts };
            let Some(problem) = problems.get(place) else { continue };
            let others = problems.iter().enumerate().filter(|&(other, _)| other != place);
            let counts = TacticCounts::new(others.map(|(_, problem)| problem.proof.as_slice()));
            attempts.push((turn, attempt(&mut env, &problem.theorem, place, &counts, trial)));
        }
    };
    let mut attempts: Vec<(usize, LeanAttempt)> = std::thread::scope(|scope| {
        let work = &work;
        let helpers: Vec<_> = (1..workers.get()).map(|worker| scope.spawn(move || work(worker))).collect();
        let mut all = work(0);
        for helper in helpers {
            all.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    });
    attempts.sort_by_key(|&(turn, _)| turn);
    attempts.into_iter().map(|(_, attempt)| attempt).collect()
}

fn attempt<E: GoalEnv<Theorem = LeanTheorem>>(
    env: &mut E,
    theorem: &LeanTheorem,
    place: usize,
    counts: &TacticCounts,
    trial: &LeanTrial,
) -> LeanAttempt {
    let start = Instant::now();
    let mut attempt = LeanAttempt {
        place,
        proofs: Vec::new(),
        refused: Vec::new(),
        fault: None,
        expansions: 0,
        expansions_to_first: None,
        tried: 0,
        failures: BTreeMap::new(),
        out_of_time: false,
        time: Duration::ZERO,
    };
    match TacticMdp::new(env, theorem) {
        Ok(mut mdp) => {
            let mut policy = TacticPolicy::new(trial.ranking, counts, &trial.lemmas, trial.seed);
            let result = search(&mut mdp, &mut policy, trial.method, trial.budget);
            for tactics in result.proofs {
                match env.verify(theorem, &tactics) {
                    Verdict::Proved { axioms } => attempt.proofs.push(LeanProof { tactics, axioms }),
                    Verdict::Rejected { class, reason } => attempt.refused.push((tactics, format!("{class}: {reason}"))),
                }
            }
            attempt.expansions = result.expansions;
            attempt.expansions_to_first = result.expansions_to_first.filter(|_| !attempt.proofs.is_empty());
            attempt.tried = result.tried;
            attempt.failures = result.failures;
            attempt.out_of_time = result.out_of_time;
        }
        Err(fault) => attempt.fault = Some(fault),
    }
    attempt.time = start.elapsed();
    attempt
}

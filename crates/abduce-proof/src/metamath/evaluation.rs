//! A search on each theorem of a list, and what it proves.

use super::candidates::ConclusionIndex;
use super::corpus::Corpus;
use super::database::StatementId;
use super::environment::Environment;
use super::policy::{Ranking, RankingPolicy};
use super::process::MetamathMdp;
use super::prover::{Prover, VerifiedProof};
use super::state::StateLimits;
use crate::search::{Budget, Method, search};
use abduce_data::Seed;
use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What is tried on each theorem.
#[derive(Clone, Debug)]
pub struct Trial {
    /// How assertions are ranked.
    pub ranking: Ranking,
    /// Which search.
    pub method: Method,
    /// What it may spend.
    pub budget: Budget,
    /// Seed of random choices.
    pub seed: Seed,
    /// Assertions that no proof may cite, besides those at or after the theorem itself.
    pub excluded: Arc<HashSet<StatementId>>,
}

/// What came of one theorem.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The theorem.
    pub theorem: StatementId,
    /// The proofs found, each written and accepted by the kernel.
    pub proofs: Vec<VerifiedProof>,
    /// Steps of the first proof.
    pub steps: Option<usize>,
    /// Finished states that the kernel refused: none, unless the environment has a defect.
    pub refused: Vec<String>,
    /// Expansions used, and those up to the first proof.
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

/// Tries each theorem; the results stand in the order of the list and, but for times, do not depend on the number of threads. Theorems not begun when `stop` is set
/// are left out.
pub fn evaluate(
    env: &Environment<'_>,
    index: &ConclusionIndex,
    corpus: &Corpus,
    theorems: &[StatementId],
    trial: &Trial,
    threads: NonZeroUsize,
    stop: &AtomicBool,
) -> Vec<Attempt> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut prover = Prover::new(env, StateLimits::default());
        let mut policy = RankingPolicy::new(index, corpus, trial.ranking, trial.seed);
        let mut attempts = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(&theorem) = theorems.get(place).filter(|_| !stop.load(Ordering::Relaxed)) else { return attempts };
            attempts.push((place, attempt(&mut prover, &mut policy, theorem, trial)));
        }
    };
    let mut attempts: Vec<(usize, Attempt)> = std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads.get()).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for helper in helpers {
            all.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    });
    attempts.sort_by_key(|&(place, _)| place);
    attempts.into_iter().map(|(_, attempt)| attempt).collect()
}

fn attempt(prover: &mut Prover<'_, '_>, policy: &mut RankingPolicy<'_>, theorem: StatementId, trial: &Trial) -> Attempt {
    let start = Instant::now();
    prover.forget();
    let problem = prover.environment().problem(theorem, Arc::clone(&trial.excluded));
    let result = search(&mut MetamathMdp { prover: &mut *prover, problem: &problem }, policy, trial.method, trial.budget);
    let (mut proofs, mut refused, mut steps) = (Vec::new(), Vec::new(), None);
    for actions in &result.proofs {
        let mut state = prover.start(&problem);
        let applied = actions.iter().try_for_each(|tactic| prover.apply(&problem, &mut state, tactic));
        match applied.map_err(|error| error.to_string()).and_then(|()| prover.finish(&problem, &state).map_err(|error| error.to_string())) {
            Ok(proof) => {
                steps.get_or_insert(actions.len());
                proofs.push(proof);
            }
            Err(error) => refused.push(error),
        }
    }
    Attempt {
        theorem,
        proofs,
        steps,
        refused,
        expansions: result.expansions,
        expansions_to_first: result.expansions_to_first,
        tried: result.tried,
        failures: result.failures,
        out_of_time: result.out_of_time,
        time: start.elapsed(),
    }
}

/// The Wilson score interval of a rate at 95 % (Wilson 1927): z = 1.959964.
pub fn wilson(successes: usize, trials: usize) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    let (n, z) = (trials as f64, 1.959_963_984_540_054_f64);
    let p = successes as f64 / n;
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_solves_its_defining_equation() {
        // The bounds are the p for which |k/n − p| = z √(p (1 − p) / n).
        for (k, n) in [(0, 10), (1, 10), (150, 300), (299, 300), (300, 300)] {
            let (low, high) = wilson(k, n);
            let rate = k as f64 / n as f64;
            for p in [low, high] {
                let residual = (rate - p).powi(2) - 1.959_963_984_540_054_f64.powi(2) * p * (1.0 - p) / n as f64;
                assert!(residual.abs() < 1e-12, "{k}/{n}: {p}");
            }
            // Where all or none succeed the rate is a bound, up to rounding.
            assert!(low <= rate + 1e-12 && rate <= high + 1e-12);
        }
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }
}

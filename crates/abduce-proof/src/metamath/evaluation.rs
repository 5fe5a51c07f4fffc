//! A search on each theorem of a list, and what it proves.

use super::candidates::ConclusionIndex;
use super::corpus::Corpus;
use super::database::StatementId;
use super::environment::Environment;
use super::policy::{Ranking, RankingPolicy};
use super::process::MetamathMdp;
use super::prover::{Prover, VerifiedProof};
use super::state::StateLimits;
use crate::evaluation::{Effort, attempts};
use crate::search::{Budget, Method, search};
use abduce_data::Seed;
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

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
    /// What it took.
    pub effort: Effort,
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
    attempts(theorems.len(), threads, stop, |_| {
        let mut prover = Prover::new(env, StateLimits::default());
        let mut policy = RankingPolicy::new(index, corpus, trial.ranking, trial.seed);
        move |item| attempt(&mut prover, &mut policy, theorems[item], trial)
    })
}

fn attempt(prover: &mut Prover<'_, '_>, policy: &mut RankingPolicy<'_>, theorem: StatementId, trial: &Trial) -> Attempt {
    let start = Instant::now();
    prover.forget();
    let problem = prover.environment().problem(theorem, Arc::clone(&trial.excluded));
    let result = search(&mut MetamathMdp { prover: &mut *prover, problem: &problem }, policy, trial.method, trial.budget);
    let (mut effort, found) = Effort::of(result);
    let (mut proofs, mut refused, mut steps) = (Vec::new(), Vec::new(), None);
    for actions in &found {
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
    effort.time = start.elapsed();
    Attempt { theorem, proofs, steps, refused, effort }
}

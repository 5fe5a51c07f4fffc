//! Searches for proofs, over any process and any policy. All of them are deterministic: equal policies and budgets give equal results, whatever the clock says, unless a
//! limit in seconds ends them.

mod frontier;
mod hypertree;
mod mcts;

pub use frontier::{beam, best_first, depth_first};
pub use hypertree::hypertree;
pub use mcts::mcts;

use crate::mdp::{GoalMdp, Policy, ProofMdp};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What a search may spend.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Most expansions: states for which the policy is asked.
    pub expansions: usize,
    /// Actions tried per expansion.
    pub branch: usize,
    /// Most actions of a proof; for the hypertree, most actions above one another.
    pub depth: usize,
    /// Most time; results that come later than this depend on the machine.
    pub time: Option<Duration>,
    /// Most proofs to find before the search ends.
    pub proofs: usize,
}

impl Default for Budget {
    /// The deterministic protocol: 128 expansions of 8 actions.
    fn default() -> Self {
        Self { expansions: 128, branch: 8, depth: 64, time: None, proofs: 1 }
    }
}

/// Which search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// The state with the most probable path first.
    BestFirst,
    /// The so many best states of each depth.
    Beam {
        /// How many.
        width: usize,
    },
    /// The last state first.
    DepthFirst,
    /// Monte Carlo tree search with prior probabilities.
    Mcts {
        /// Weight of the prior against the values.
        exploration: f64,
    },
    /// AND/OR search over goals.
    Hypertree {
        /// Weight of the prior against the values.
        exploration: f64,
    },
}

/// What a search found and spent.
#[derive(Clone, Debug, Default)]
pub struct SearchResult<A> {
    /// Action sequences that end in a finished state, in the order found; all different.
    pub proofs: Vec<Vec<A>>,
    /// Expansions used.
    pub expansions: usize,
    /// Expansions used when the first proof was found.
    pub expansions_to_first: Option<usize>,
    /// Actions tried.
    pub tried: usize,
    /// Actions that failed, by kind.
    pub failures: BTreeMap<&'static str, usize>,
    /// Whether the time ran out.
    pub out_of_time: bool,
}

/// Runs a search.
pub fn search<M: GoalMdp, P: Policy<M>>(mdp: &mut M, policy: &mut P, method: Method, budget: Budget) -> SearchResult<M::Action> {
    match method {
        Method::BestFirst => best_first(mdp, policy, budget),
        Method::Beam { width } => beam(mdp, policy, width, budget),
        Method::DepthFirst => depth_first(mdp, policy, budget),
        Method::Mcts { exploration } => mcts(mdp, policy, exploration, budget),
        Method::Hypertree { exploration } => hypertree(mdp, policy, exploration, budget),
    }
}

/// Counts what a search spends.
struct Meter<A> {
    budget: Budget,
    end: Option<Instant>,
    result: SearchResult<A>,
}

impl<A: Clone + PartialEq> Meter<A> {
    fn new(budget: Budget) -> Self {
        let result = SearchResult {
            proofs: Vec::new(),
            expansions: 0,
            expansions_to_first: None,
            tried: 0,
            failures: BTreeMap::new(),
            out_of_time: false,
        };
        Self { budget, end: budget.time.and_then(|time| Instant::now().checked_add(time)), result }
    }

    /// Whether another expansion may be made.
    fn may_expand(&mut self) -> bool {
        if self.end.is_some_and(|end| Instant::now() >= end) {
            self.result.out_of_time = true;
        }
        !self.result.out_of_time && self.result.expansions < self.budget.expansions && self.result.proofs.len() < self.budget.proofs
    }

    fn failed(&mut self, class: &'static str) {
        *self.result.failures.entry(class).or_default() += 1;
    }

    fn proved(&mut self, actions: Vec<A>) {
        if !self.result.proofs.contains(&actions) && self.result.proofs.len() < self.budget.proofs {
            self.result.expansions_to_first.get_or_insert(self.result.expansions);
            self.result.proofs.push(actions);
        }
    }
}

/// Asks the policy about a state, and counts it.
fn expand<M: ProofMdp, P: Policy<M>>(
    mdp: &mut M,
    policy: &mut P,
    state: &M::State,
    meter: &mut Meter<M::Action>,
    proposals: &mut Vec<crate::mdp::Proposal<M::Action>>,
) {
    meter.result.expansions += 1;
    proposals.clear();
    policy.propose(mdp, state, meter.budget.branch, proposals);
    proposals.truncate(meter.budget.branch);
    meter.result.tried += proposals.len();
    mdp.prepare(state, proposals);
}

#[cfg(test)]
mod tests;

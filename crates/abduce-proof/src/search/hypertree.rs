//! AND/OR search over goals (HyperTree Proof Search, Lample et al. 2022, arXiv 2205.11491): an action turns a goal into goals all of which have to be proved, so each goal is
//! worked on once, wherever it occurs. The value of an action is the product of the values of its goals; a goal's is the visit-weighted mean of its actions'.

use super::{Budget, Meter, SearchResult, expand};
use crate::mdp::{GoalMdp, Policy, Transition};
use std::collections::HashMap;

struct Goal<A> {
    actions: Vec<Edge<A>>,
    expanded: bool,
    /// The action by which it is proved; then it stays so.
    proved: Option<usize>,
    /// Expanded, and no action is left.
    dead: bool,
    value: f64,
}

struct Edge<A> {
    action: A,
    prior: f64,
    goals: Vec<usize>,
    visits: u32,
    value: f64,
}

/// Searches over goals. Finds one proof at most: the first way of proving each goal stays.
pub fn hypertree<M: GoalMdp, P: Policy<M>>(mdp: &mut M, policy: &mut P, exploration: f64, budget: Budget) -> SearchResult<M::Action> {
    let mut meter = Meter::new(budget);
    let initial = mdp.initial();
    let Some(root) = mdp.goals(&initial).into_iter().next() else {
        meter.proved(Vec::new());
        return meter.result;
    };
    let mut names: Vec<M::Goal> = vec![root.clone()];
    let mut numbers = HashMap::from([(root, 0usize)]);
    let mut goals: Vec<Goal<M::Action>> = vec![fresh()];
    let mut proposals = Vec::new();
    while goals[0].proved.is_none() && !goals[0].dead && meter.may_expand() {
        // Down through the best action of each goal to its first goal that is neither proved nor on the way already.
        let mut way: Vec<(usize, usize)> = Vec::new();
        let mut at = 0;
        while goals[at].expanded {
            let on_way = |goal: usize| goal == at || way.iter().any(|&(known, _)| known == goal);
            let goal = &goals[at];
            let total = f64::from(goal.actions.iter().map(|edge| edge.visits).sum::<u32>()).sqrt().max(1.0);
            let mut best: Option<(usize, usize, f64)> = None;
            for (place, edge) in goal.actions.iter().enumerate() {
                if way.len() + 1 >= budget.depth || edge.goals.iter().any(|&goal| goals[goal].dead || on_way(goal)) {
                    continue;
                }
                let Some(&next) = edge.goals.iter().find(|&&goal| goals[goal].proved.is_none()) else { continue };
                let mean = if edge.visits == 0 {
                    edge.goals.iter().map(|&goal| goals[goal].value).product()
                } else {
                    edge.value / f64::from(edge.visits)
                };
                let score = mean + exploration * edge.prior * total / f64::from(1 + edge.visits);
                if best.is_none_or(|(_, _, known)| score > known) {
                    best = Some((place, next, score));
                }
            }
            let Some((place, next, _)) = best else { break };
            way.push((at, place));
            at = next;
        }
        let value = if goals[at].expanded {
            // A goal whose actions all lead into circles here: dead for good only where it was met without a way that could be to blame.
            goals[at].dead = way.is_empty() || goals[at].actions.iter().all(|edge| edge.goals.iter().any(|&goal| goals[goal].dead));
            if let Some(&(goal, place)) = way.last() {
                goals[goal].actions[place].visits += 1;
            }
            // Counted as an expansion so that the budget ends every search.
            meter.result.expansions += 1;
            0.0
        } else {
            let state = mdp.state_of(&names[at]);
            expand(mdp, policy, &state, &mut meter, &mut proposals);
            goals[at].expanded = true;
            for proposal in proposals.drain(..) {
                let below = match mdp.step(&state, &proposal.action) {
                    Transition::Failed(class) => {
                        meter.failed(class);
                        continue;
                    }
                    Transition::Done(_) => Vec::new(),
                    Transition::Open(next) => mdp.goals(&next),
                };
                let below: Vec<usize> = below
                    .into_iter()
                    .map(|name| {
                        *numbers.entry(name.clone()).or_insert_with(|| {
                            names.push(name);
                            goals.push(fresh());
                            goals.len() - 1
                        })
                    })
                    .collect();
                if !below.contains(&at) {
                    goals[at].actions.push(Edge {
                        action: proposal.action,
                        prior: proposal.log_prob.exp(),
                        goals: below,
                        visits: 0,
                        value: 0.0,
                    });
                }
            }
            goals[at].dead = goals[at].actions.is_empty();
            if goals[at].dead { 0.0 } else { policy.value(mdp, &state) }
        };
        settle(&mut goals);
        if goals[at].proved.is_none() {
            goals[at].value = value;
        }
        for &(goal, place) in way.iter().rev() {
            let product: f64 = goals[goal].actions[place].goals.iter().map(|&below| goals[below].value).product();
            let edge = &mut goals[goal].actions[place];
            edge.visits += 1;
            edge.value += product;
            if goals[goal].proved.is_none() {
                let (sum, visits) =
                    goals[goal].actions.iter().fold((0.0, 0u32), |(sum, visits), edge| (sum + edge.value, visits + edge.visits));
                goals[goal].value = sum / f64::from(visits.max(1));
            }
        }
    }
    if goals[0].proved.is_some() {
        collect(mdp, &goals, &numbers, initial, &mut meter);
    }
    meter.result
}

fn fresh<A>() -> Goal<A> {
    Goal { actions: Vec::new(), expanded: false, proved: None, dead: false, value: 0.5 }
}

/// Marks goals as proved or dead until nothing changes. A goal is proved only by goals proved before it, so proofs have no circles.
fn settle<A>(goals: &mut [Goal<A>]) {
    loop {
        let mut changed = false;
        for number in 0..goals.len() {
            if goals[number].proved.is_some() || !goals[number].expanded {
                continue;
            }
            let proved = |edge: &Edge<A>| edge.goals.iter().all(|&goal| goals[goal].proved.is_some());
            if let Some(place) = goals[number].actions.iter().position(proved) {
                goals[number].proved = Some(place);
                goals[number].value = 1.0;
                goals[number].dead = false;
                changed = true;
            } else if !goals[number].dead && goals[number].actions.iter().all(|edge| edge.goals.iter().any(|&goal| goals[goal].dead)) {
                goals[number].dead = true;
                goals[number].value = 0.0;
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}

/// Plays the proved goals' actions from the first state on.
fn collect<M: GoalMdp>(
    mdp: &mut M,
    goals: &[Goal<M::Action>],
    numbers: &HashMap<M::Goal, usize>,
    initial: M::State,
    meter: &mut Meter<M::Action>,
) {
    let mut state = initial;
    let mut actions = Vec::new();
    while let Some(name) = mdp.goals(&state).into_iter().next() {
        let found = numbers.get(&name).and_then(|&goal| goals[goal].proved.map(|place| &goals[goal].actions[place].action));
        let Some(action) = found else { return };
        actions.push(action.clone());
        match mdp.step(&state, action) {
            Transition::Open(next) => state = next,
            Transition::Done(_) => {
                meter.proved(actions);
                return;
            }
            Transition::Failed(class) => {
                meter.failed(class);
                return;
            }
        }
    }
}

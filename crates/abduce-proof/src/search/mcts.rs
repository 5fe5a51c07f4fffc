//! Monte Carlo tree search with the selection rule of AlphaZero (Silver et al. 2017, arXiv 1712.01815): a = argmax Q(a) + c P(a) √N / (1 + N(a)).

use super::{Budget, Meter, SearchResult, expand};
use crate::mdp::{Policy, ProofMdp, Transition};
use std::collections::HashSet;

struct Node<M: ProofMdp> {
    state: M::State,
    children: Vec<Edge<M::Action>>,
    expanded: bool,
    /// Nothing is left below: every child failed, was proved, or is closed.
    closed: bool,
}

struct Edge<A> {
    action: A,
    prior: f64,
    node: usize,
    visits: u32,
    value: f64,
}

/// Searches by visits: each expands one state, whose value (1 for a proof, 0 for a dead end, else the policy's estimate) is averaged over the way to it.
pub fn mcts<M: ProofMdp, P: Policy<M>>(mdp: &mut M, policy: &mut P, exploration: f64, budget: Budget) -> SearchResult<M::Action> {
    let mut meter = Meter::new(budget);
    let initial = mdp.initial();
    if mdp.is_done(&initial) {
        meter.proved(Vec::new());
        return meter.result;
    }
    let mut seen = HashSet::from([mdp.key(&initial)]);
    let mut nodes: Vec<Node<M>> = vec![Node { state: initial, children: Vec::new(), expanded: false, closed: false }];
    let mut proposals = Vec::new();
    while !nodes[0].closed && meter.may_expand() {
        // Down to a state that is not expanded.
        let mut way: Vec<(usize, usize)> = Vec::new();
        let mut at = 0;
        while nodes[at].expanded {
            let node = &nodes[at];
            let total = f64::from(node.children.iter().map(|edge| edge.visits).sum::<u32>()).sqrt().max(1.0);
            let score = |edge: &Edge<M::Action>| {
                let mean = if edge.visits == 0 { 0.0 } else { edge.value / f64::from(edge.visits) };
                mean + exploration * edge.prior * total / f64::from(1 + edge.visits)
            };
            let open = node.children.iter().enumerate().filter(|(_, edge)| !nodes[edge.node].closed);
            // The first of equal scores, which is the one of larger prior probability.
            let best = open.fold(None, |best: Option<(usize, f64)>, (place, edge)| match best {
                Some((_, known)) if known >= score(edge) => best,
                _ => Some((place, score(edge))),
            });
            // An expanded node without open children is closed, and closed nodes are not entered.
            let Some((place, _)) = best else { break };
            way.push((at, place));
            at = nodes[at].children[place].node;
        }
        let state = nodes[at].state.clone();
        expand(mdp, policy, &state, &mut meter, &mut proposals);
        let mut value = policy.value(mdp, &state);
        nodes[at].expanded = true;
        for proposal in proposals.drain(..) {
            match mdp.step(&state, &proposal.action) {
                Transition::Failed(class) => meter.failed(class),
                Transition::Done(_) => {
                    value = 1.0;
                    let actions = way.iter().map(|&(node, place)| nodes[node].children[place].action.clone());
                    meter.proved(actions.chain([proposal.action]).collect());
                }
                Transition::Open(next) => {
                    if way.len() + 1 < budget.depth && (budget.proofs > 1 || seen.insert(mdp.key(&next))) {
                        nodes.push(Node { state: next, children: Vec::new(), expanded: false, closed: false });
                        let node = nodes.len() - 1;
                        nodes[at].children.push(Edge {
                            action: proposal.action,
                            prior: proposal.log_prob.exp(),
                            node,
                            visits: 0,
                            value: 0.0,
                        });
                    }
                }
            }
        }
        if nodes[at].children.is_empty() {
            nodes[at].closed = true;
            value = if value < 1.0 { 0.0 } else { value };
        }
        for &(node, place) in way.iter().rev() {
            let edge = &mut nodes[node].children[place];
            edge.visits += 1;
            edge.value += value;
            if nodes[node].children.iter().all(|edge| nodes[edge.node].closed) {
                nodes[node].closed = true;
            }
        }
    }
    meter.result
}

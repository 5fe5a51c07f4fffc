//! Searches with a list of states to be expanded: best first, beam, depth first.

use super::{Budget, Meter, SearchResult, expand};
use crate::mdp::{Policy, ProofMdp, Transition};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};

/// A state on the frontier.
struct Node<S> {
    state: S,
    /// Sum of the logarithms of the probabilities on the way.
    score: f64,
    depth: usize,
    /// Number in the list of all nodes.
    number: usize,
}

/// How a node was reached: its parent's number and the action.
type Trail<A> = Vec<Option<(usize, A)>>;

fn path<A: Clone>(trail: &Trail<A>, mut number: usize, last: A) -> Vec<A> {
    let mut actions = vec![last];
    while let Some((parent, action)) = &trail[number] {
        actions.push(action.clone());
        number = *parent;
    }
    actions.reverse();
    actions
}

impl<S> PartialEq for Node<S> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl<S> Eq for Node<S> {}
impl<S> PartialOrd for Node<S> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<S> Ord for Node<S> {
    /// The larger score first, then the older node.
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.number.cmp(&self.number))
    }
}

/// The frontier of a search: what comes out next.
trait Frontier<S> {
    fn push(&mut self, node: Node<S>);
    fn pop(&mut self) -> Option<Node<S>>;
}

struct Best<S>(BinaryHeap<Node<S>>);

impl<S> Frontier<S> for Best<S> {
    fn push(&mut self, node: Node<S>) {
        self.0.push(node);
    }
    fn pop(&mut self) -> Option<Node<S>> {
        self.0.pop()
    }
}

/// Depth first: of the children of a state, the most probable comes out first.
struct Last<S> {
    settled: Vec<Node<S>>,
    fresh: Vec<Node<S>>,
}

impl<S> Frontier<S> for Last<S> {
    fn push(&mut self, node: Node<S>) {
        self.fresh.push(node);
    }
    fn pop(&mut self) -> Option<Node<S>> {
        self.settled.extend(self.fresh.drain(..).rev());
        self.settled.pop()
    }
}

/// Beam: the nodes of one depth, the best of them, before those of the next.
struct Layers<S> {
    width: usize,
    now: Vec<Node<S>>,
    next: BinaryHeap<Node<S>>,
}

impl<S> Frontier<S> for Layers<S> {
    fn push(&mut self, node: Node<S>) {
        self.next.push(node);
    }
    fn pop(&mut self) -> Option<Node<S>> {
        if self.now.is_empty() {
            self.now = std::iter::from_fn(|| self.next.pop()).take(self.width).collect();
            self.next.clear();
            self.now.reverse();
        }
        self.now.pop()
    }
}

/// Expands the state with the largest Σ log p first (paper mode of Proof Flow, arXiv 2410.13224). States with equal keys are expanded once
/// where one proof is wanted; where several are, each way to a state is a proof of its own.
pub fn best_first<M: ProofMdp, P: Policy<M>>(mdp: &mut M, policy: &mut P, budget: Budget) -> SearchResult<M::Action> {
    run(mdp, policy, budget, Best(BinaryHeap::new()))
}

/// Keeps the `width` states with the largest Σ log p of each depth.
pub fn beam<M: ProofMdp, P: Policy<M>>(mdp: &mut M, policy: &mut P, width: usize, budget: Budget) -> SearchResult<M::Action> {
    run(mdp, policy, budget, Layers { width: width.max(1), now: Vec::new(), next: BinaryHeap::new() })
}

/// Follows the most probable action to the depth limit, then goes back to the last choice.
pub fn depth_first<M: ProofMdp, P: Policy<M>>(mdp: &mut M, policy: &mut P, budget: Budget) -> SearchResult<M::Action> {
    run(mdp, policy, budget, Last { settled: Vec::new(), fresh: Vec::new() })
}

fn run<M: ProofMdp, P: Policy<M>>(
    mdp: &mut M,
    policy: &mut P,
    budget: Budget,
    mut frontier: impl Frontier<M::State>,
) -> SearchResult<M::Action> {
    let mut meter = Meter::new(budget);
    let mut trail: Trail<M::Action> = vec![None];
    let initial = mdp.initial();
    if mdp.is_done(&initial) {
        meter.proved(Vec::new());
        return meter.result;
    }
    let mut seen = HashSet::from([mdp.key(&initial)]);
    frontier.push(Node { state: initial, score: 0.0, depth: 0, number: 0 });
    let mut proposals = Vec::new();
    while meter.may_expand() {
        let Some(node) = frontier.pop() else { break };
        expand(mdp, policy, &node.state, &mut meter, &mut proposals);
        for proposal in proposals.drain(..) {
            match mdp.step(&node.state, &proposal.action) {
                Transition::Failed(class) => meter.failed(class),
                Transition::Done(_) => meter.proved(path(&trail, node.number, proposal.action)),
                Transition::Open(state) => {
                    if node.depth + 1 < budget.depth && (budget.proofs > 1 || seen.insert(mdp.key(&state))) {
                        trail.push(Some((node.number, proposal.action)));
                        frontier.push(Node {
                            state,
                            score: node.score + proposal.log_prob,
                            depth: node.depth + 1,
                            number: trail.len() - 1,
                        });
                    }
                }
            }
        }
    }
    meter.result
}

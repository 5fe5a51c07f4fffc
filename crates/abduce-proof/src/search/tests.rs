//! Searches on a process whose every state is known: goals are numbers, and a number n ≥ 2 is turned into two smaller ones that sum to it, or into n − 1; 1 is proved.

use super::*;
use crate::mdp::{Proposal, Transition};

/// Goals are numbers; action 0 proves a 1, action k turns n into k and n − k, action −k fails.
struct Sums {
    start: u32,
    steps: usize,
}

impl ProofMdp for Sums {
    type State = Vec<u32>;
    type Action = i32;
    type Key = Vec<u32>;

    fn initial(&mut self) -> Vec<u32> {
        vec![self.start]
    }
    fn step(&mut self, state: &Vec<u32>, &action: &i32) -> Transition<Vec<u32>> {
        self.steps += 1;
        let (&goal, rest) = state.split_first().unwrap();
        let mut next = match action {
            0 if goal == 1 => vec![],
            k if k > 0 && (k as u32) < goal => vec![k as u32, goal - k as u32],
            _ => return Transition::Failed("no_match"),
        };
        next.extend(rest);
        if next.is_empty() { Transition::Done(next) } else { Transition::Open(next) }
    }
    fn is_done(&self, state: &Vec<u32>) -> bool {
        state.is_empty()
    }
    fn key(&self, state: &Vec<u32>) -> Vec<u32> {
        state.clone()
    }
}

impl GoalMdp for Sums {
    type Goal = u32;
    fn goals(&self, state: &Vec<u32>) -> Vec<u32> {
        state.clone()
    }
    fn state_of(&mut self, goal: &u32) -> Vec<u32> {
        vec![*goal]
    }
}

/// Proposes a failing action first, then halves (or proves), then takes one off.
struct Halves;

impl Policy<Sums> for Halves {
    fn propose(&mut self, _: &mut Sums, state: &Vec<u32>, _: usize, proposals: &mut Vec<Proposal<i32>>) {
        let goal = state[0] as i32;
        let mut actions = vec![-1];
        if goal == 1 {
            actions.push(0);
        } else {
            actions.push(goal / 2);
            if goal > 3 {
                actions.push(1);
            }
        }
        let log_prob = -(actions.len() as f64).ln();
        proposals.extend(actions.into_iter().map(|action| Proposal { action, log_prob }));
    }
}

fn methods() -> [Method; 5] {
    [
        Method::BestFirst,
        Method::Beam { width: 4 },
        Method::DepthFirst,
        Method::Mcts { exploration: 1.0 },
        Method::Hypertree { exploration: 1.0 },
    ]
}

#[test]
fn every_search_finds_a_proof_that_replays() {
    for start in 1..9 {
        for method in methods() {
            let mut mdp = Sums { start, steps: 0 };
            let budget = Budget { expansions: 5000, ..Budget::default() };
            let result = search(&mut mdp, &mut Halves, method, budget);
            let proof = result.proofs.first().unwrap_or_else(|| panic!("{start} {method:?}"));
            // A number needs n ones and n − 1 splits; goals are lists here, so nothing is shared.
            assert_eq!(proof.len(), 2 * start as usize - 1, "{method:?}");
            let mut state = mdp.initial();
            for action in proof {
                match mdp.step(&state, action) {
                    Transition::Open(next) | Transition::Done(next) => state = next,
                    Transition::Failed(_) => panic!("{method:?}"),
                }
            }
            assert!(state.is_empty());
            assert!(result.failures["no_match"] <= result.expansions && result.expansions_to_first == Some(result.expansions));
        }
    }
}

#[test]
fn goals_are_worked_on_once_in_a_hypertree() {
    // 64 splits into 32, 16, …, 1 by halves: seven different goals, of which each is expanded once where halves come first.
    let mut mdp = Sums { start: 64, steps: 0 };
    let budget = Budget { expansions: 60, depth: 1000, ..Budget::default() };
    let result = search(&mut mdp, &mut Halves, Method::Hypertree { exploration: 0.0 }, budget);
    assert_eq!(result.proofs.len(), 1);
    assert_eq!(result.proofs[0].len(), 127);
    assert!(search(&mut mdp, &mut Halves, Method::DepthFirst, budget).proofs.is_empty());
}

#[test]
fn budgets_hold_and_runs_repeat() {
    for method in methods() {
        let run = |budget| search(&mut Sums { start: 12, steps: 0 }, &mut Halves, method, budget);
        let (one, two) = (run(Budget { expansions: 9, ..Budget::default() }), run(Budget { expansions: 9, ..Budget::default() }));
        assert_eq!((one.proofs, one.expansions, one.tried), (two.proofs, two.expansions, two.tried));
        assert!(one.expansions <= 9);
        let none = run(Budget { time: Some(Duration::ZERO), ..Budget::default() });
        assert!(none.out_of_time && none.expansions == 0);
        let shallow = run(Budget { depth: 3, expansions: 100_000, ..Budget::default() });
        assert!(shallow.proofs.is_empty());
    }
    // Several proofs of one theorem.
    let budget = Budget { expansions: 100_000, proofs: 3, ..Budget::default() };
    let several = search(&mut Sums { start: 5, steps: 0 }, &mut Halves, Method::BestFirst, budget);
    assert!(several.proofs.len() >= 2 && several.proofs[0] != several.proofs[1]);
}

//! Laws of every environment, and the hypergrid's known sums.

use super::*;
use std::collections::HashMap;

/// Actions and their undoing agree, states come parents first, every state but the source has a parent, and every one can end or go on.
fn laws<E: Enumerable>(env: &E) {
    let states = env.states();
    assert_eq!((states[0].clone(), states.len() as f64), (env.initial(), env.count()));
    let order: HashMap<&E::State, usize> = states.iter().enumerate().map(|(i, state)| (state, i)).collect();
    assert_eq!(order.len(), states.len(), "states are listed once");
    let (mut forward, mut backward) = (vec![false; env.actions() + 1], vec![false; env.actions()]);
    let mut code = vec![0.0; env.features()];
    let mut codes = HashMap::new();
    for (i, state) in states.iter().enumerate() {
        env.forward(state, &mut forward);
        assert!(forward.iter().any(|&allowed| allowed), "{state:?} is a dead end");
        for action in (0..env.actions()).filter(|&action| forward[action]) {
            let next = env.apply(state, action);
            assert!(order[&next] > i, "{next:?} comes before {state:?}");
            env.backward(&next, &mut backward);
            assert!(backward[action] && env.undo(&next, action) == *state, "{state:?}, action {action}");
        }
        env.backward(state, &mut backward);
        assert_eq!(backward.iter().any(|&allowed| allowed), i > 0, "{state:?}");
        for action in (0..env.actions()).filter(|&action| backward[action]) {
            let before = env.undo(state, action);
            env.forward(&before, &mut forward);
            assert!(forward[action] && env.apply(&before, action) == *state);
        }
        env.forward(state, &mut forward);
        if forward[env.actions()] {
            assert!((env.log_reward(state) - env.log_partial(state)).abs() < 1e-12 && env.log_reward(state).is_finite());
        }
        env.encode(state, &mut code);
        let code: Vec<u32> = code.iter().map(|v| v.to_bits()).collect();
        assert!(codes.insert(code, state).is_none(), "{state:?} looks like another state");
    }
}

#[test]
fn every_environment_obeys_the_laws() {
    laws(&Hypergrid::default());
    laws(&Hypergrid { dimensions: 3, height: 4, ..Hypergrid::default() });
    laws(&BitSequence::default());
    laws(&BitSequence { length: 6, word: 3, modes: vec![5], beta: 2.0 });
    laws(&Ising::default());
    laws(&Ising { width: 3, height: 2, coupling: -0.4 });
    laws(&PerfectTree::default());
    laws(&SetAddition::default());
}

/// Z, its logarithm and the number of best states for the default reward.
#[test]
fn the_hypergrid_has_its_known_sums() {
    for (dimensions, height, z, log_z, best) in
        [(2, 8, 22.4, 3.109_061, 4), (2, 16, 75.6, 4.325_456, 9), (4, 8, 569.6, 6.344_934, 16), (4, 16, 8763.6, 9.078_362, 81)]
    {
        let grid = Hypergrid { dimensions, height, ..Hypergrid::default() };
        let rewards: Vec<f64> = grid.states().iter().map(|x| grid.reward(x)).collect();
        let sum: f64 = rewards.iter().sum();
        assert!((sum - z).abs() < 1e-6 * z && (sum.ln() - log_z).abs() < 1e-6, "{sum}");
        assert_eq!(rewards.iter().filter(|&&r| r > 2.0).count(), best);
    }
}

/// The ring of n spins: Z = (2 cosh J)ⁿ + (2 sinh J)ⁿ.
#[test]
fn the_ising_ring_has_its_known_sum() {
    let ring = Ising { width: 5, height: 1, coupling: 0.7 };
    let full = ring.states().into_iter().filter(|state| state.iter().all(|&spin| spin != 0));
    let z: f64 = full.map(|state| ring.log_reward(&state).exp()).sum();
    let expected = (2.0 * 0.7f64.cosh()).powi(5) + (2.0 * 0.7f64.sinh()).powi(5);
    assert!((z / expected - 1.0).abs() < 1e-12, "{z} for {expected}");
}

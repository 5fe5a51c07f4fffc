//! How much each hyper-parameter matters: functional analysis of variance.

use super::forest::{Tree, grow};
use super::space::{Params, Space};
use abduce_data::Seed;
use serde::{Deserialize, Serialize};

/// The importance of one dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Importance {
    /// Its name.
    pub name: String,
    /// Part of the score's variance over the space that this dimension explains by itself, 0 to 1. What is missing to 1 in the sum over all
    /// dimensions belongs to their interactions.
    pub share: f64,
}

/// Trees of the forest.
const TREES: usize = 64;
/// Trials below which nothing can be said.
const MIN_TRIALS: usize = 8;

/// Main effects of a random forest that is fitted to (values, score) of trials (functional ANOVA; Hutter, Hoos and Leyton-Brown 2014, ICML 31).
///
/// For a tree with leaves of values v and volumes w in the unit cube, V = Σ w (v − v̄)² is its variance over the space, and the mean a_j(u) of
/// the tree over all other coordinates gives V_j = ∫ (a_j − v̄)² du, both without approximation; the share of dimension j is the mean of V_j/V
/// over the trees. A dimension that does not exist in a trial stands at its middle, categories stand in their order. The space counts
/// uniformly, so that a share does not depend on where the sampler has looked most. Sorted, largest first; empty below eight trials or where
/// the scores do not differ.
pub fn importance(space: &Space, trials: &[(&Params, f64)], seed: Seed) -> Vec<Importance> {
    let finite: Vec<&(&Params, f64)> = trials.iter().filter(|(_, score)| score.is_finite()).collect();
    if finite.len() < MIN_TRIALS {
        return Vec::new();
    }
    let points: Vec<Vec<f64>> = finite.iter().map(|(params, _)| space.point(params)).collect();
    let scores: Vec<f64> = finite.iter().map(|(_, score)| *score).collect();
    let mut sums = vec![0.0; space.dimensions().len()];
    let mut counted = 0usize;
    for tree in grow(&points, &scores, TREES, seed) {
        if let Some(shares) = shares(&tree, sums.len()) {
            sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share);
            counted += 1;
        }
    }
    if counted == 0 {
        return Vec::new();
    }
    let mut all: Vec<Importance> = space
        .dimensions()
        .iter()
        .zip(sums)
        .map(|(dimension, sum)| Importance { name: dimension.name.clone(), share: sum / counted as f64 })
        .collect();
    all.sort_by(|a, b| b.share.total_cmp(&a.share));
    all
}

/// V_j / V of a tree; nothing for one that is constant.
fn shares(tree: &Tree, dimensions: usize) -> Option<Vec<f64>> {
    let volume = |bounds: &[(f64, f64)], without: Option<usize>| -> f64 {
        bounds.iter().enumerate().filter(|(d, _)| Some(*d) != without).map(|(_, (low, high))| high - low).product()
    };
    let mean: f64 = tree.iter().map(|leaf| volume(&leaf.bounds, None) * leaf.value).sum();
    let variance: f64 = tree.iter().map(|leaf| volume(&leaf.bounds, None) * (leaf.value - mean).powi(2)).sum();
    if variance <= f64::MIN_POSITIVE {
        return None;
    }
    let share = |j: usize| {
        let mut edges: Vec<f64> = tree.iter().flat_map(|leaf| [leaf.bounds[j].0, leaf.bounds[j].1]).collect();
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        let part = |pair: &[f64]| {
            let middle = 0.5 * (pair[0] + pair[1]);
            let over = tree.iter().filter(|leaf| leaf.bounds[j].0 < middle && middle < leaf.bounds[j].1);
            let marginal: f64 = over.map(|leaf| volume(&leaf.bounds, Some(j)) * leaf.value).sum();
            (pair[1] - pair[0]) * (marginal - mean).powi(2)
        };
        edges.windows(2).map(part).sum::<f64>() / variance
    };
    Some((0..dimensions).map(share).collect())
}

#[cfg(test)]
mod tests {
    use super::super::forest::Leaf;
    use super::super::space::{Dimension, Domain, Scale};
    use super::*;

    /// f = 1 on [½, 1) × [0, 1), 0 on [0, ½) × [0, ½), 2 on [0, ½) × [½, 1): by hand V = ½, V_0 = 0, V_1 = ¼.
    #[test]
    fn shares_of_a_tree_by_hand() {
        let leaf = |x: (f64, f64), y: (f64, f64), value| Leaf { bounds: vec![x, y], value };
        let tree = vec![leaf((0.5, 1.0), (0.0, 1.0), 1.0), leaf((0.0, 0.5), (0.0, 0.5), 0.0), leaf((0.0, 0.5), (0.5, 1.0), 2.0)];
        let found = shares(&tree, 2).unwrap();
        assert!(found[0].abs() < 1e-12 && (found[1] - 0.5).abs() < 1e-12, "{found:?}");
        assert_eq!(shares(&vec![leaf((0.0, 1.0), (0.0, 1.0), 3.0)], 2), None);
    }

    /// f = 3 u + v on uniform points: variances 9/12 and 1/12, shares 0.9 and 0.1, nothing for w. With 400 points the trees are still coarse
    /// for v; bounds of 0.05 hold that and the interaction that noise leaves.
    #[test]
    fn an_additive_function_has_its_shares() {
        let unit = Domain::Float { low: 0.0, high: 1.0, scale: Scale::Linear };
        let space = Space::new(["v", "u", "w"].map(|name| Dimension::new(name, unit.clone())).to_vec()).unwrap();
        let mut rng = Seed(3).stream("test", 0);
        let trials: Vec<(Params, f64)> = (0..400)
            .map(|_| {
                let [v, u, w] = [rng.uniform(), rng.uniform(), rng.uniform()];
                ([("v", v), ("u", u), ("w", w)].map(|(name, x)| (name.to_string(), serde_json::json!(x))).into(), 3.0 * u + v)
            })
            .collect();
        let given: Vec<(&Params, f64)> = trials.iter().map(|(params, score)| (params, *score)).collect();
        let found = importance(&space, &given, Seed(1));
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["u", "v", "w"]);
        for (one, expected) in found.iter().zip([0.9, 0.1, 0.0]) {
            assert!((one.share - expected).abs() < 0.05, "{found:?}");
        }
        assert_eq!(found, importance(&space, &given, Seed(1)));
        assert!(importance(&space, &given[..7], Seed(1)).is_empty(), "too few");
        let equal: Vec<(&Params, f64)> = given.iter().map(|(params, _)| (*params, 1.5)).collect();
        assert!(importance(&space, &equal, Seed(1)).is_empty(), "nothing varies");
    }
}

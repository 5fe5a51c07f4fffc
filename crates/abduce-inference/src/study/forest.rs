//! A small forest of regression trees on the unit cube.

use abduce_data::{Rng, Seed};

/// A box of the cube on which a tree is constant.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    /// [low, high) of each coordinate.
    pub(super) bounds: Vec<(f64, f64)>,
    /// The tree's value there.
    pub(super) value: f64,
}

/// A tree, as its leaves: they fill the cube.
pub(super) type Tree = Vec<Leaf>;

/// Points of a leaf that is not cut further.
const MIN_LEAF: usize = 2;

/// Trees on bootstrap samples, grown by reduction of variance until leaves are small. Coordinates to cut are chosen from all of them.
pub(super) fn grow(points: &[Vec<f64>], values: &[f64], trees: usize, seed: Seed) -> Vec<Tree> {
    let dimensions = points.first().map_or(0, Vec::len);
    let tree = |index: usize| {
        let mut rng: Rng = seed.stream("study.forest", index as u64);
        let rows: Vec<usize> = (0..points.len()).map(|_| rng.below(points.len())).collect();
        let mut leaves = Vec::new();
        let mut open = vec![(rows, vec![(0.0, 1.0); dimensions])];
        while let Some((rows, bounds)) = open.pop() {
            match cut(points, values, &rows) {
                Some((d, at)) => {
                    let (left, right): (Vec<usize>, Vec<usize>) = rows.iter().partition(|&&row| points[row][d] < at);
                    let (mut low, mut high) = (bounds.clone(), bounds);
                    low[d].1 = at;
                    high[d].0 = at;
                    open.push((left, low));
                    open.push((right, high));
                }
                None => leaves.push(Leaf { value: mean(values, &rows), bounds }),
            }
        }
        leaves
    };
    (0..trees).map(tree).collect()
}

fn mean(values: &[f64], rows: &[usize]) -> f64 {
    rows.iter().map(|&row| values[row]).sum::<f64>() / rows.len() as f64
}

/// The cut, halfway between two neighbouring points, that leaves the least sum of squares: Σ_left² /n_left + Σ_right²/n_right is largest.
fn cut(points: &[Vec<f64>], values: &[f64], rows: &[usize]) -> Option<(usize, f64)> {
    let n = rows.len();
    let centre = mean(values, rows);
    let spread: f64 = rows.iter().map(|&row| (values[row] - centre).powi(2)).sum();
    if n < 2 * MIN_LEAF || spread <= 1e-12 * (1.0 + centre * centre) * n as f64 {
        return None;
    }
    let mut best: Option<(f64, usize, f64)> = None;
    let mut order = rows.to_vec();
    for d in 0..points[0].len() {
        order.sort_by(|&a, &b| points[a][d].total_cmp(&points[b][d]));
        let mut left = 0.0;
        for k in 1..n {
            left += values[order[k - 1]] - centre;
            let (before, after) = (points[order[k - 1]][d], points[order[k]][d]);
            if k < MIN_LEAF || n - k < MIN_LEAF || before == after {
                continue;
            }
            // The sums on both sides are opposite, since they are taken about the mean.
            let gain = left * left / k as f64 + left * left / (n - k) as f64;
            if best.is_none_or(|(most, ..)| gain > most) {
                best = Some((gain, d, 0.5 * (before + after)));
            }
        }
    }
    best.map(|(_, d, at)| (d, at))
}

//! Latin hypercubes on the unit cube.

use abduce_data::{Rng, Seed};
use abduce_kernels::Threads;

/// Independent searches of which the best is kept.
const SEARCHES: usize = 8;
/// Swaps that a search tries for each point and dimension.
const TRIES: usize = 60;
/// Most swaps of a search: large designs are searched for a fixed time.
const MOST_TRIES: usize = 40_000;

/// A random Latin hypercube, row-major (n, dimensions): in each dimension every interval [i/n, (i+1)/n) holds one point, anywhere in it.
pub fn latin_hypercube(n: usize, dimensions: usize, seed: Seed) -> Vec<f64> {
    random(n, dimensions, &mut seed.stream("latin hypercube", 0))
}

fn random(n: usize, dimensions: usize, rng: &mut Rng) -> Vec<f64> {
    let mut points = vec![0.0; n * dimensions];
    for dimension in 0..dimensions {
        let mut order: Vec<usize> = (0..n).collect();
        rng.shuffle(&mut order);
        for (row, stratum) in order.into_iter().enumerate() {
            points[row * dimensions + dimension] = (stratum as f64 + rng.uniform()) / n as f64;
        }
    }
    points
}

/// The Latin hypercube of several local searches whose points are farthest apart.
///
/// Each search starts from a random hypercube and swaps a coordinate of two points, which keeps it Latin, whenever that lowers
/// φ = Σ_{pairs} d^{−p}, p = 15, a smooth stand-in for the smallest distance (Morris & Mitchell 1995, J. Stat. Plan. Inf. 43, 381).
pub fn maximin_latin_hypercube(n: usize, dimensions: usize, seed: Seed, threads: &Threads) -> Vec<f64> {
    let mut searches: Vec<(f64, Vec<f64>)> = vec![(0.0, Vec::new()); SEARCHES];
    threads.for_each(&mut searches, |index, (distance, points)| {
        let mut rng = seed.stream("maximin hypercube", index as u64);
        *points = random(n, dimensions, &mut rng);
        improve(points, n, dimensions, &mut rng);
        *distance = smallest_distance(points, dimensions);
    });
    // The first of equals, so that ties do not depend on anything.
    let best = searches.into_iter().reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, points)| points).unwrap_or_default()
}

fn improve(points: &mut [f64], n: usize, dimensions: usize, rng: &mut Rng) {
    if n < 2 {
        return;
    }
    // d^{−15} in units of the typical distance n^{−1/d}, lest it overflow.
    let unit = libm::pow(n as f64, -2.0 / dimensions as f64);
    let penalty = |points: &[f64], row: usize, other: usize| {
        let (a, b) = (&points[row * dimensions..][..dimensions], &points[other * dimensions..][..dimensions]);
        let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        let close = unit / (square + 1e-18);
        let cubed = close * close * close;
        // (1/d²)^{7.5}.
        cubed * cubed * close * close.sqrt()
    };
    let of_pair = |points: &[f64], first: usize, second: usize| -> f64 {
        (0..n)
            .filter(|&other| other != first && other != second)
            .map(|other| penalty(points, first, other) + penalty(points, second, other))
            .sum()
    };
    for _ in 0..(TRIES * n * dimensions).min(MOST_TRIES) {
        let (first, second, dimension) = (rng.below(n), rng.below(n), rng.below(dimensions));
        if first == second {
            continue;
        }
        let (a, b) = (first * dimensions + dimension, second * dimensions + dimension);
        let before = of_pair(points, first, second);
        points.swap(a, b);
        if of_pair(points, first, second) > before {
            points.swap(a, b);
        }
    }
}

/// Smallest Euclidean distance between two rows of `points`; infinite for fewer than two.
pub fn smallest_distance(points: &[f64], dimensions: usize) -> f64 {
    let rows: Vec<&[f64]> = points.chunks_exact(dimensions).collect();
    let mut smallest = f64::INFINITY;
    for (i, a) in rows.iter().enumerate() {
        for b in &rows[..i] {
            smallest = smallest.min(a.iter().zip(*b).map(|(a, b)| (a - b) * (a - b)).sum());
        }
    }
    smallest.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_latin(points: &[f64], n: usize, dimensions: usize) {
        for dimension in 0..dimensions {
            let mut seen = vec![false; n];
            for row in 0..n {
                let stratum = (points[row * dimensions + dimension] * n as f64) as usize;
                assert!(!std::mem::replace(&mut seen[stratum], true), "stratum {stratum} twice");
            }
        }
    }

    #[test]
    fn every_stratum_holds_one_point() {
        for (n, dimensions) in [(1, 3), (7, 2), (50, 5)] {
            assert_latin(&latin_hypercube(n, dimensions, Seed(1)), n, dimensions);
            assert_latin(&maximin_latin_hypercube(n, dimensions, Seed(1), &Threads::new(2)), n, dimensions);
        }
    }

    #[test]
    fn searching_moves_points_apart() {
        let (plain, searched) = (latin_hypercube(50, 2, Seed(2)), maximin_latin_hypercube(50, 2, Seed(2), &Threads::single()));
        assert!(smallest_distance(&searched, 2) > 2.0 * smallest_distance(&plain, 2));
    }

    /// Two points in the plane: the search must find a diagonal, where they differ in both coordinates anyway; four points in a
    /// line: the hypercube is the line itself.
    #[test]
    fn one_dimension_is_stratified_sampling() {
        let mut points = latin_hypercube(4, 1, Seed(5));
        points.sort_by(f64::total_cmp);
        assert!(points.iter().enumerate().all(|(i, x)| (x * 4.0) as usize == i));
    }
}

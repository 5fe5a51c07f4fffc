//! Nearest neighbours, exact in f64: the one kernel under all local estimators.
//!
//! Two searches give the same answer: blocked brute force, an f32 matrix product that proposes and an f64 pass that decides
//! (`brute.rs`), and a k-d tree where few columns make it faster (`tree.rs`). Memory is O(N (D + k)).

mod brute;
mod tree;

use crate::cloud::{Cloud, Crew};
use crate::error::{DimensionError, Result};
use abduce_data::Array;

/// Queries that one task answers: fixed, so that no result depends on the number of threads.
const QUERIES: usize = 48;

/// The k nearest other points of some points, nearest first.
///
/// Equal squared distances are ordered by index. Distances are in units of the cloud.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    k: usize,
    points: usize,
    queries: Vec<u32>,
    distances: Vec<f64>,
    indices: Vec<u32>,
}

/// How neighbours are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// All pairs, by blocks: cost N M D for M queries.
    BruteForce,
    /// A k-d tree: cost about M log N where the columns are few.
    Tree,
}

impl Search {
    /// The faster one, by measurement: brute force costs N D per query at some 20 products per nanosecond, the tree about 2^D leaves.
    pub fn best(points: usize, dims: usize) -> Self {
        match dims {
            0..=4 => Self::Tree,
            5..=6 if points > 5_000 => Self::Tree,
            7..=9 if points > 100_000 => Self::Tree,
            _ => Self::BruteForce,
        }
    }
}

impl Neighbours {
    /// Neighbours of every point.
    ///
    /// # Errors
    /// `Setting` unless 1 <= k < N.
    pub fn of_all(cloud: &Cloud, k: usize, crew: &Crew) -> Result<Self> {
        let queries = (0..cloud.rows() as u32).collect();
        Self::search(cloud, queries, k, Search::best(cloud.rows(), cloud.dims()), crew)
    }

    /// Neighbours of the points `queries` among all points.
    ///
    /// # Errors
    /// `Setting` unless 1 <= k < N and all queries are points.
    pub fn search(cloud: &Cloud, queries: Vec<u32>, k: usize, search: Search, crew: &Crew) -> Result<Self> {
        let points = cloud.rows();
        if k == 0 || k >= points {
            let must = format!("at least 1 and fewer than the {points} points");
            return Err(DimensionError::Setting { name: "neighbours", value: k as f64, must });
        }
        if let Some(&query) = queries.iter().find(|&&query| query as usize >= points) {
            return Err(DimensionError::Setting { name: "query", value: f64::from(query), must: format!("below the {points} points") });
        }
        let mut distances = vec![0.0; queries.len() * k];
        let mut indices = vec![0; queries.len() * k];
        let mut tasks: Vec<Task<'_>> = queries
            .chunks(QUERIES)
            .zip(distances.chunks_mut(QUERIES * k).zip(indices.chunks_mut(QUERIES * k)))
            .map(|(queries, (distances, indices))| Task { queries, distances, indices })
            .collect();
        match search {
            Search::BruteForce => {
                let blocks = brute::Blocks::new(cloud);
                crew.threads.for_each(&mut tasks, |_, task| blocks.nearest(cloud, k, crew.simd, task));
            }
            Search::Tree => {
                let tree = tree::Tree::new(cloud);
                crew.threads.for_each(&mut tasks, |_, task| tree.nearest(cloud, k, task));
            }
        }
        drop(tasks);
        Ok(Self { k, points, queries, distances, indices })
    }

    /// Neighbours from a full matrix of distances (N, N).
    ///
    /// # Errors
    /// `Distances` unless it is square, finite, non-negative, symmetric to 1e-6 of its largest entry and zero on its diagonal; `Setting`
    /// unless 1 <= k < N.
    pub fn of_distance_matrix(matrix: &Array<f64>, k: usize) -> Result<Self> {
        let n = matrix.rows();
        if matrix.shape() != [n, n] {
            return Err(DimensionError::Distances(format!("its shape is {:?}", matrix.shape())));
        }
        if k == 0 || k >= n {
            let must = format!("at least 1 and fewer than the {n} points");
            return Err(DimensionError::Setting { name: "neighbours", value: k as f64, must });
        }
        let largest = matrix.data().iter().fold(0.0f64, |m, d| m.max(*d));
        for i in 0..n {
            for j in 0..=i {
                let (d, back) = (matrix.row(i)[j], matrix.row(j)[i]);
                if !d.is_finite() || d < 0.0 || (d - back).abs() > 1e-6 * largest || (i == j && d != 0.0) {
                    return Err(DimensionError::Distances(format!("entry ({i}, {j}) is {d}, entry ({j}, {i}) is {back}")));
                }
            }
        }
        let (mut distances, mut indices) = (Vec::with_capacity(n * k), Vec::with_capacity(n * k));
        for i in 0..n {
            let mut row: Vec<(f64, u32)> = (0..n).filter(|&j| j != i).map(|j| (matrix.row(i)[j], j as u32)).collect();
            row.select_nth_unstable_by(k - 1, closer);
            row.truncate(k);
            row.sort_unstable_by(closer);
            distances.extend(row.iter().map(|(d, _)| d));
            indices.extend(row.iter().map(|(_, j)| j));
        }
        Ok(Self { k, points: n, queries: (0..n as u32).collect(), distances, indices })
    }

    /// Neighbours per query.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Number of queries, M.
    pub fn queries(&self) -> usize {
        self.queries.len()
    }

    /// Points among which was searched, N.
    pub fn points(&self) -> usize {
        self.points
    }

    /// The point that query `i` is.
    pub fn query(&self, i: usize) -> usize {
        self.queries[i] as usize
    }

    /// Distances of query `i`, ascending.
    pub fn distances(&self, i: usize) -> &[f64] {
        &self.distances[i * self.k..(i + 1) * self.k]
    }

    /// Points at those distances.
    pub fn indices(&self, i: usize) -> &[u32] {
        &self.indices[i * self.k..(i + 1) * self.k]
    }

    /// The distances of every query, in turn.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.distances.chunks_exact(self.k)
    }
}

/// Number of ordered pairs i ≠ j with |x_i - x_j| < radius, for each radius.
pub fn pairs_within<const R: usize>(cloud: &Cloud, radii: [f64; R], crew: &Crew) -> [u64; R] {
    let blocks = brute::Blocks::new(cloud);
    let queries: Vec<u32> = (0..cloud.rows() as u32).collect();
    let mut tasks: Vec<(&[u32], [u64; R])> = queries.chunks(QUERIES).map(|queries| (queries, [0; R])).collect();
    crew.threads.for_each(&mut tasks, |_, (queries, counts)| *counts = blocks.count_within(cloud, &radii, crew.simd, queries));
    tasks.iter().fold([0; R], |sum, (_, counts)| std::array::from_fn(|r| sum[r] + counts[r]))
}

/// A block of queries and where its answer goes.
struct Task<'a> {
    queries: &'a [u32],
    distances: &'a mut [f64],
    indices: &'a mut [u32],
}

/// By squared distance, then by index.
fn closer(a: &(f64, u32), b: &(f64, u32)) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    fn cloud(rows: usize, dims: usize, f: impl Fn(f64, usize) -> f64) -> Cloud {
        let mut rng = Seed(7).stream("neighbours", dims as u64);
        let values = (0..rows * dims).map(|p| f(rng.normal(), p % dims)).collect();
        Cloud::new(&Array::new(vec![rows, dims], values).unwrap()).unwrap()
    }

    fn plain(cloud: &Cloud, i: usize, k: usize) -> Vec<(f64, u32)> {
        let mut all: Vec<(f64, u32)> = (0..cloud.rows()).filter(|&j| j != i).map(|j| (cloud.squared_distance(i, j), j as u32)).collect();
        all.sort_unstable_by(closer);
        all.truncate(k);
        all.iter().map(|(square, point)| (square.sqrt(), *point)).collect()
    }

    /// Exact: both searches decide in f64, so they give what sorting all distances gives, ties included; also on clouds that f32 cannot
    /// resolve (two clusters of width 1e-7 a distance of 1 apart) and on grids, where most distances are tied.
    #[test]
    fn both_searches_equal_sorting_all_distances() {
        let shapes: [(&str, Cloud); 5] = [
            ("plane", cloud(1500, 2, |z, _| z)),
            ("five", cloud(1300, 5, |z, _| z)),
            ("forty", cloud(1100, 40, |z, _| z)),
            ("clusters", cloud(600, 3, |z, j| if j == 0 { z.signum() + 1e-7 * z } else { 1e-7 * z })),
            ("grid", cloud(1200, 3, |z, _| (4.0 * z).round())),
        ];
        for (name, cloud) in &shapes {
            for k in [1, 2, 20, 100] {
                for search in [Search::BruteForce, Search::Tree] {
                    let queries: Vec<u32> = (0..cloud.rows() as u32).step_by(7).collect();
                    let found = Neighbours::search(cloud, queries, k, search, &Crew::with_threads(2)).unwrap();
                    for q in 0..found.queries() {
                        let want = plain(cloud, found.query(q), k);
                        assert_eq!(found.distances(q), want.iter().map(|w| w.0).collect::<Vec<_>>(), "{name}, {search:?}, k = {k}");
                        assert_eq!(found.indices(q), want.iter().map(|w| w.1).collect::<Vec<_>>(), "{name}, {search:?}, k = {k}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_level_and_thread_count_gives_the_same() {
        let cloud = cloud(700, 30, |z, _| z);
        let one = Neighbours::of_all(&cloud, 15, &Crew::with_threads(1)).unwrap();
        for simd in abduce_kernels::Simd::all() {
            let crew = Crew { simd, threads: abduce_kernels::Threads::new(3) };
            assert_eq!(Neighbours::of_all(&cloud, 15, &crew).unwrap(), one);
        }
    }

    #[test]
    fn a_matrix_of_distances_serves_as_well_as_points() {
        let cloud = cloud(120, 4, |z, _| z);
        let n = cloud.rows();
        let matrix: Vec<f64> = (0..n * n).map(|p| cloud.squared_distance(p / n, p % n).sqrt()).collect();
        let mut matrix = Array::new(vec![n, n], matrix).unwrap();
        let found = Neighbours::of_distance_matrix(&matrix, 9).unwrap();
        assert_eq!(found, Neighbours::of_all(&cloud, 9, &Crew::with_threads(1)).unwrap());
        matrix.data_mut()[3] += 0.5;
        assert!(Neighbours::of_distance_matrix(&matrix, 9).is_err());
    }

    #[test]
    fn pairs_are_counted_as_by_a_double_loop() {
        let cloud = cloud(500, 6, |z, _| z);
        let radii = [0.02, 0.3, 0.7];
        let plain = radii.map(|radius| {
            let close = |i: usize| (0..500).filter(|&j| j != i && cloud.squared_distance(i, j).sqrt() < radius).count() as u64;
            (0..500).map(close).sum::<u64>()
        });
        assert!(plain[2] > plain[1] && plain[1] > 100);
        assert_eq!(pairs_within(&cloud, radii, &Crew::with_threads(2)), plain);
    }

    #[test]
    fn wrong_k_is_an_error() {
        let cloud = cloud(20, 2, |z, _| z);
        for k in [0, 20] {
            assert!(matches!(Neighbours::of_all(&cloud, k, &Crew::with_threads(1)), Err(DimensionError::Setting { .. })));
        }
    }
}

//! Where in parameter space to simulate: designs of n points over any intervals.
//!
//! Points are computed on the unit cube and stretched to the [`Interval`]s. Each is a function of the seed; Sobol and uniform designs can be extended
//! without moving earlier points.

mod hypercube;
mod sobol;

pub use hypercube::{latin_hypercube, maximin_latin_hypercube, smallest_distance};
pub use sobol::{MOST_DIMENSIONS, sobol};

use crate::cosmology::Cosmology;
use crate::error::{CosmologyError, Result};
use abduce_data::Seed;
use abduce_kernels::Threads;

/// A parameter and its range.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Name.
    pub name: String,
    /// Lower end.
    pub low: f64,
    /// Upper end, above it.
    pub high: f64,
}

/// How points are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// A random Latin hypercube: each parameter takes each n-th of its range once (McKay, Beckman & Conover 1979).
    LatinHypercube,
    /// One whose smallest distance between points is large (Johnson, Moore & Ylvisaker 1990; Morris & Mitchell 1995).
    Maximin,
    /// A scrambled Sobol sequence (Sobol 1967; Owen 1995).
    Sobol,
    /// Independent uniform points.
    Uniform,
}

/// The ranges of the Quijote Latin hypercube (Villaescusa-Navarro et al. 2020, arXiv:1909.05273, Section 2.2).
pub fn quijote_ranges() -> Vec<Interval> {
    [("omega_m", 0.1, 0.5), ("omega_b", 0.03, 0.07), ("h", 0.5, 0.9), ("n_s", 0.8, 1.2), ("sigma8", 0.6, 1.0)]
        .into_iter()
        .map(|(name, low, high)| Interval { name: name.to_owned(), low, high })
        .collect()
}

/// `n` points over `intervals`, row-major (n, parameters).
///
/// # Errors
/// No points or parameters, an interval that is empty or not finite, more dimensions than a Sobol sequence has.
pub fn design(placement: Placement, n: usize, intervals: &[Interval], seed: Seed, threads: &Threads) -> Result<Vec<f64>> {
    let dimensions = intervals.len();
    if n == 0 || dimensions == 0 {
        return Err(CosmologyError::Length { what: "the design", found: n.min(dimensions), expected: 1 });
    }
    for interval in intervals {
        if !(interval.low < interval.high && (interval.high - interval.low).is_finite()) {
            return Err(CosmologyError::Interval { name: interval.name.clone(), low: interval.low, high: interval.high });
        }
    }
    let mut points = match placement {
        Placement::LatinHypercube => latin_hypercube(n, dimensions, seed),
        Placement::Maximin => maximin_latin_hypercube(n, dimensions, seed, threads),
        Placement::Sobol => sobol(n, dimensions, seed)?,
        Placement::Uniform => (0..n)
            .flat_map(|item| {
                let mut rng = seed.stream("uniform design", item as u64);
                (0..dimensions).map(move |_| rng.uniform()).collect::<Vec<_>>()
            })
            .collect(),
    };
    for row in points.chunks_exact_mut(dimensions) {
        for (value, interval) in row.iter_mut().zip(intervals) {
            *value = interval.low + (interval.high - interval.low) * *value;
        }
    }
    Ok(points)
}

/// The models of a file such as Quijote's `latin_hypercube_params.txt`: columns Ωm, Ωb, h, n_s, σ8 separated by blanks, comments behind `#`.
///
/// # Errors
/// A line without five numbers, or a model out of range.
pub fn read_quijote_models(text: &str) -> Result<Vec<Cosmology>> {
    let mut models = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let content = line.split('#').next().unwrap_or_default();
        if content.trim().is_empty() {
            continue;
        }
        let problem = |problem: String| CosmologyError::Line { line: index + 1, problem };
        let numbers: Vec<f64> = content
            .split_whitespace()
            .map(|cell| cell.parse().map_err(|_| problem(format!("`{cell}` is not a number"))))
            .collect::<Result<_>>()?;
        let [omega_m, omega_b, h, n_s, sigma8] = numbers[..] else {
            return Err(problem(format!("five numbers are needed (omega_m, omega_b, h, n_s, sigma8), not {}", numbers.len())));
        };
        models.push(Cosmology::lcdm(omega_m, omega_b, h, n_s, sigma8).check()?);
    }
    Ok(models)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_in_their_ranges_and_extend() {
        let ranges = quijote_ranges();
        for placement in [Placement::LatinHypercube, Placement::Maximin, Placement::Sobol, Placement::Uniform] {
            let points = design(placement, 40, &ranges, Seed(3), &Threads::single()).unwrap();
            assert_eq!(points.len(), 200);
            for row in points.chunks(5) {
                assert!(row.iter().zip(&ranges).all(|(value, range)| (range.low..range.high).contains(value)));
            }
            assert_eq!(points, design(placement, 40, &ranges, Seed(3), &Threads::new(2)).unwrap());
            if matches!(placement, Placement::Sobol | Placement::Uniform) {
                let longer = design(placement, 55, &ranges, Seed(3), &Threads::single()).unwrap();
                assert_eq!(points, longer[..200]);
            }
        }
        let empty = [Interval { name: "x".into(), low: 1.0, high: 1.0 }];
        assert!(design(Placement::Sobol, 4, &empty, Seed(0), &Threads::single()).is_err());
    }

    #[test]
    fn the_quijote_file_is_read() {
        let models = read_quijote_models("#Omega_m Omega_b h n_s s_8\n0.1755 0.06681 0.7737 0.8849 0.6641\n").unwrap();
        assert_eq!(models, [Cosmology::lcdm(0.1755, 0.06681, 0.7737, 0.8849, 0.6641)]);
        assert!(read_quijote_models("0.3 0.05 0.7 0.96\n").unwrap_err().to_string().contains("line 1"));
    }
}

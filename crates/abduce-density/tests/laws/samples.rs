//! Draws follow the density that scores them.

use super::cases::{self, Case};
use super::normalisation::Grid;
use super::numerics::{chi_square_bound, kolmogorov_bound};
use super::reference::Reference;
use abduce_data::Seed;
use abduce_density::Space;
use abduce_nn::Compute;

/// Draws for the first observation.
fn draws(case: &Case, compute: &Compute, count: usize) -> Vec<f32> {
    case.estimator.sample(compute, &case.params, &case.x[..case.context()], &[count], Seed(21))
}

/// Kolmogorov's distance between draws and the density's distribution function; false alarms 1e-5 each.
#[test]
fn one_dimensional_draws_follow_the_density_at_every_level() {
    const DRAWS: usize = 20_000;
    for case in [0, 4].into_iter().flat_map(|context| cases::of_shape(1, context, 1)) {
        let grid = Grid::new(&case, 20_001);
        let masses = grid.masses(&case, &cases::best());
        for compute in cases::levels() {
            let mut own = draws(&case, &compute, DRAWS);
            own.sort_by(f32::total_cmp);
            let (mut below, mut point, mut distance) = (0.0, 0, 0.0f64);
            for (rank, &t) in own.iter().enumerate() {
                let t = f64::from(t);
                while point < masses.len() && grid.at(0, point) <= t {
                    below += masses[point];
                    point += 1;
                }
                // `below` may count half a cell too much, some 1e-3 at the most.
                distance = distance.max((below - (rank as f64 + 0.5) / DRAWS as f64).abs());
            }
            let bound = kolmogorov_bound(DRAWS) + 1e-3;
            assert!(distance < bound, "{} at {}: distance {distance:.4}, bound {bound:.4}", case.name, compute.simd);
        }
    }
}

/// χ² over blocks of grid cells, blocks of few expected draws merged; false alarms 1e-5 each.
#[test]
fn two_dimensional_draws_follow_the_density() {
    const DRAWS: usize = 40_000;
    const POINTS: usize = 601;
    const BLOCK: usize = 10;
    let blocks = POINTS.div_ceil(BLOCK);
    let block_of = |i: usize, j: usize| j / BLOCK * blocks + i / BLOCK;
    for case in [0, 4].into_iter().flat_map(|context| cases::of_shape(2, context, 1)) {
        let grid = Grid::new(&case, POINTS);
        let (mut expected, mut found) = (vec![0.0; blocks * blocks], vec![0.0; blocks * blocks]);
        for (p, mass) in grid.masses(&case, &cases::best()).into_iter().enumerate() {
            expected[block_of(p % POINTS, p / POINTS)] += mass * DRAWS as f64;
        }
        for draw in draws(&case, &cases::best(), DRAWS).chunks(2) {
            found[block_of(grid.cell(0, f64::from(draw[0])), grid.cell(1, f64::from(draw[1])))] += 1.0;
        }
        let (mut statistic, mut bins, mut rest) = (0.0, 0, (0.0, 0.0));
        for (expected, found) in expected.into_iter().zip(found) {
            rest = (rest.0 + expected, rest.1 + found);
            if rest.0 >= 20.0 {
                statistic += (rest.1 - rest.0) * (rest.1 - rest.0) / rest.0;
                bins += 1;
                rest = (0.0, 0.0);
            }
        }
        let bound = chi_square_bound(bins - 1);
        assert!(bins > 20, "{}: only {bins} bins", case.name);
        assert!(statistic < bound, "{}: χ² {statistic:.0} with {bins} bins, bound {bound:.0}", case.name);
    }
}

/// Mean and standard error of r/q over some draws, for r the normal density around `centre` of widths `width`.
fn ratio(theta: &[f32], log_q: &[f32], centre: &[f64], width: &[f64]) -> (f64, f64) {
    let log_r = |theta: &[f32]| -> f64 {
        let part = |f: usize| {
            let v = (f64::from(theta[f]) - centre[f]) / width[f];
            -0.5 * v * v - width[f].ln() - 0.5 * std::f64::consts::TAU.ln()
        };
        (0..theta.len()).map(part).sum()
    };
    let ratios: Vec<f64> = theta.chunks(centre.len()).zip(log_q).map(|(theta, &l)| (log_r(theta) - f64::from(l)).exp()).collect();
    let n = ratios.len() as f64;
    let mean = ratios.iter().sum::<f64>() / n;
    (mean, (ratios.iter().map(|r| (r - mean).powi(2)).sum::<f64>()).sqrt() / n)
}

/// E_q[r/q] = 1 for a normal density r well inside q: wrong draws or a wrong density break it. 5 standard errors. Flows are left to the
/// sharper law that their draws go back to their noise.
///
/// r's width is chosen on one half of the draws, for the least variance, and used on the other half.
#[test]
fn draws_in_five_dimensions_reproduce_a_known_integral() {
    const DRAWS: usize = 40_000;
    for case in [0, 4].into_iter().flat_map(|context| cases::of_shape(5, context, 1)) {
        let d = case.features();
        if Reference::new(&case).noise(&case.theta_row(0), &case.x_row(0)).is_some() {
            continue;
        }
        let theta = draws(&case, &cases::best(), DRAWS);
        let log_q = case.estimator.log_prob(&cases::best(), &case.params, &theta, &case.x[..case.context()], |_| 0);
        let (first, second) = theta.split_at(DRAWS / 2 * d);
        let (log_first, log_second) = log_q.split_at(DRAWS / 2);
        let top = (0..DRAWS / 2).max_by(|&a, &b| log_first[a].total_cmp(&log_first[b])).expect("draws");
        let centre = cases::wide(&first[top * d..][..d]);
        let spread = |f: usize| {
            let own = || first.iter().skip(f).step_by(d).map(|&t| f64::from(t));
            let mean = own().sum::<f64>() / (DRAWS / 2) as f64;
            (own().map(|t| (t - mean).powi(2)).sum::<f64>() / (DRAWS / 2) as f64).sqrt()
        };
        let widths = [0.1, 0.2, 0.3, 0.45, 0.6].map(|part| (0..d).map(|f| part * spread(f)).collect::<Vec<_>>());
        let error_of = |width: &[f64]| ratio(first, log_first, &centre, width).1;
        let best = widths.iter().min_by(|a, b| error_of(a).total_cmp(&error_of(b))).expect("widths");
        let (mean, error) = ratio(second, log_second, &centre, best);
        assert!(error < 0.1, "{}: the test has no power, standard error {error}", case.name);
        assert!((mean - 1.0).abs() < 5.0 * error, "{}: {mean:.4} ± {error:.4}", case.name);
    }
}

/// The first draws of an observation depend neither on how many follow nor on other observations.
#[test]
fn draws_have_their_own_streams() {
    for case in cases::of_shape(2, 4, 3) {
        let compute = cases::best();
        let sample = |x: &[f32], counts: &[usize]| case.estimator.sample(&compute, &case.params, x, counts, Seed(8));
        let few = sample(&case.x[..4], &[10]);
        let many = sample(&case.x, &[150, 3, 70]);
        assert_eq!(few, many[..20], "{}", case.name);
        assert_ne!(many[..6], many[300..306], "{}", case.name);
        assert_ne!(few, case.estimator.sample(&compute, &case.params, &case.x[..4], &[10], Seed(9)), "{}", case.name);
    }
}

/// Angles are drawn inside the circle, in f64 too, and count modulo 2π.
#[test]
fn angles_stay_on_their_circle() {
    for case in [1, 2, 5].into_iter().flat_map(|d| cases::of_shape(d, 4, 50)).filter(|case| case.space() == Space::Angles) {
        for compute in cases::levels() {
            let theta = draws(&case, &compute, 5000);
            assert!(theta.iter().all(|&t| f64::from(t).abs() <= std::f64::consts::PI), "{} at {}", case.name, compute.simd);
            let turned: Vec<f32> = case.theta.iter().enumerate().map(|(i, t)| t + std::f32::consts::TAU * (i % 3) as f32).collect();
            let again = case.estimator.log_prob(&compute, &case.params, &turned, &case.x, |row| row);
            for (a, b) in case.log_prob(&compute).iter().zip(&again) {
                // Two turns round an angle to 1e-6; slopes of the log-density are some tens at most.
                assert!((a - b).abs() < 1e-4, "{} at {}: {a} and {b}", case.name, compute.simd);
            }
        }
    }
}

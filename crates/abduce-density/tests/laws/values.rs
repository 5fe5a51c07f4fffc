//! log q itself: shapes, the f64 reference, agreement of the SIMD levels.

use super::cases::{self, Case};
use super::reference::Reference;
use abduce_data::Seed;
use abduce_nn::EmbeddingSpec;

/// log q is a sum of some ten terms of size 1 to 10, each within a few ulp (6e-8) that a flow's slopes amplify.
const TOLERANCE: f64 = 2e-5;

#[test]
fn log_prob_is_the_formula_at_every_level() {
    for case in cases::all(20) {
        let reference = Reference::new(&case);
        let want: Vec<f64> = (0..case.rows).map(|row| reference.log_prob(&case.theta_row(row), &case.x_row(row))).collect();
        for compute in cases::levels() {
            let got = case.log_prob(&compute);
            assert_eq!(got.len(), case.rows);
            for (row, (got, want)) in got.iter().zip(&want).enumerate() {
                let error = (f64::from(*got) - want).abs() / (1.0 + want.abs());
                assert!(error < TOLERANCE, "{} row {row} at {}: {got} instead of {want}, error {error:.1e}", case.name, compute.simd);
            }
        }
    }
}

#[test]
fn shapes_follow_counts_and_one_x_serves_many_theta() {
    for density in cases::families() {
        let fcn = EmbeddingSpec::Fcn { hidden: vec![6, 3], activation: abduce_nn::ActivationName::SiLU };
        let case = Case::new(density, 2, 4, fcn, 90);
        let compute = cases::best();
        let estimator = &case.estimator;
        assert_eq!(estimator.embed(&compute, &case.params, &case.x).len(), 90 * 3, "{}", case.name);
        let x = &case.x[..12];
        let draws = estimator.sample(&compute, &case.params, x, &[70, 0, 5], Seed(1));
        assert_eq!(draws.len(), 75 * 2, "{}", case.name);

        let shared = estimator.log_prob(&compute, &case.params, &case.theta, x, |row| row % 3);
        let repeated: Vec<f32> = (0..90).flat_map(|row| x[row % 3 * 4..][..4].to_vec()).collect();
        assert_eq!(shared, estimator.log_prob(&compute, &case.params, &case.theta, &repeated, |row| row), "{}", case.name);
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    for case in cases::of_shape(2, 4, 150) {
        let compute = cases::best();
        let all = case.log_prob(&compute);
        for row in [0, 17, 63, 64, 149] {
            let alone = case.estimator.log_prob(&compute, &case.params, &case.theta[row * 2..][..2], &case.x[row * 4..][..4], |r| r);
            assert_eq!(alone[0].to_bits(), all[row].to_bits(), "{} row {row}", case.name);
        }
    }
}

/// The joint graph, which training runs, and the split into embedding and score compute the same numbers.
#[test]
fn the_gradient_by_theta_comes_with_the_same_log_prob() {
    for case in cases::all(20) {
        let compute = cases::best();
        let (log_q, gradient) = case.estimator.log_prob_gradient(&compute, &case.params, &case.theta, &case.x, |row| row);
        assert_eq!(log_q, case.log_prob(&compute), "{}", case.name);
        assert_eq!(gradient.len(), case.theta.len(), "{}", case.name);
    }
}

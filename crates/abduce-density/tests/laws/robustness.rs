//! Extreme inputs, extreme networks, NaN.

use super::cases::{self, Case};
use abduce_data::Seed;
use abduce_kernels::{Simd, Threads};
use abduce_nn::Step;

const EXTREME: f32 = 1e4;

/// log q, its gradients and draws are finite.
fn assert_finite(case: &Case, what: &str) {
    for compute in cases::levels() {
        let finite = |name: &str, values: &[f32]| {
            let bad = values.iter().position(|v| !v.is_finite());
            assert!(bad.is_none(), "{} at {}: {name} {} is not finite with {what}", case.name, compute.simd, bad.unwrap_or(0));
        };
        finite("log q", &case.log_prob(&compute));
        let (_, gradient) = case.estimator.log_prob_gradient(&compute, &case.params, &case.theta, &case.x, |row| row);
        finite("gradient by θ", &gradient);
        let layout = case.estimator.layout();
        let mut step = Step::new(case.estimator.joint(), layout.len(), layout.gradient_mask(), compute.simd, &Threads::single());
        step.fused(
            &case.params,
            case.rows,
            |rows, frame| case.fill(rows, frame),
            |rows, frame| {
                let seed = frame.output_gradient_mut(0);
                seed.fill(0.0);
                seed[..rows.len()].fill(1.0);
                0.0
            },
        );
        finite("gradient of parameter", step.gradient());
        finite("draw", &case.estimator.sample(&compute, &case.params, &case.x[..case.context()], &[20], Seed(1)));
    }
}

#[test]
fn inputs_of_ten_thousand_give_finite_numbers() {
    for mut case in [1, 2, 5].into_iter().flat_map(|d| [0, 4].into_iter().flat_map(move |c| cases::of_shape(d, c, 16))) {
        let sign = |i: usize| if ((i * 2_654_435_761) >> 7) & 1 == 0 { EXTREME } else { -EXTREME };
        let usual = case.x.clone();
        case.theta.iter_mut().enumerate().for_each(|(i, t)| *t = sign(i));
        assert_finite(&case, "θ = ±1e4");
        case.x.iter_mut().enumerate().for_each(|(i, x)| *x = sign(3 * i + 1));
        assert_finite(&case, "θ and x = ±1e4");
        case.theta = vec![EXTREME; case.theta.len()];
        case.x = usual;
        assert_finite(&case, "θ = 1e4");
    }
}

/// Positions of the biases of output layers: the last layer of each network by number or by the name `final`.
fn output_biases(case: &Case) -> Vec<usize> {
    let parameters = case.estimator.layout().parameters();
    let exists = |name: &str| parameters.iter().any(|p| p.name == name);
    parameters
        .iter()
        .filter(|p| {
            let Some(layer) = p.name.strip_suffix(".bias").filter(|layer| exists(&format!("{layer}.weight"))) else { return false };
            let (scope, own) = layer.rsplit_once('.').map_or(("", layer), |(scope, own)| (scope, own));
            let dot = if scope.is_empty() { "" } else { "." };
            own == "final"
                || own.parse::<usize>().is_ok_and(|k| !exists(&format!("{scope}{dot}{}.bias", k + 1)) && !scope.contains("blocks"))
        })
        .flat_map(|p| p.range.clone())
        .collect()
}

#[test]
fn network_outputs_of_ten_thousand_give_finite_numbers() {
    for mut case in [1, 2, 5].into_iter().flat_map(|d| [0, 4].into_iter().flat_map(move |c| cases::of_shape(d, c, 16))) {
        let places = output_biases(&case);
        assert!(!places.is_empty(), "{}", case.name);
        for pattern in 0..6 {
            for (k, &place) in places.iter().enumerate() {
                let positive = match pattern {
                    0 => true,
                    1 => false,
                    p => (((k + 1) * 2_654_435_761) >> (p + 4)) & 1 == 0,
                };
                case.params[place] = if positive { EXTREME } else { -EXTREME };
            }
            assert_finite(&case, &format!("raw outputs ±1e4, pattern {pattern}"));
        }
    }
}

#[test]
fn nan_stays_in_its_row() {
    const ROWS: usize = 100;
    for mut case in [1, 2, 5].into_iter().flat_map(|d| [0, 4].into_iter().flat_map(move |c| cases::of_shape(d, c, ROWS))) {
        let (d, c) = (case.features(), case.context());
        // One of the spoilt rows lies where splines are the identity.
        case.theta[71 * d..72 * d].fill(5.0);
        for compute in cases::levels() {
            let clean = case.log_prob(&compute);
            let check = |case: &Case, spoilt: usize, what: &str| {
                for (row, (got, want)) in case.log_prob(&compute).iter().zip(&clean).enumerate() {
                    let right = if row == spoilt { got.is_nan() } else { got.to_bits() == want.to_bits() };
                    assert!(right, "{} at {}: NaN in {what} of row {spoilt} gives {got} in row {row}", case.name, compute.simd);
                }
            };
            for f in 0..d {
                let place = (20 + f) * d + f;
                let usual = std::mem::replace(&mut case.theta[place], f32::NAN);
                check(&case, 20 + f, "θ");
                case.theta[place] = usual;
            }
            for f in 0..c {
                let place = (70 + f) * c + f;
                let usual = std::mem::replace(&mut case.x[place], f32::NAN);
                check(&case, 70 + f, "x");
                case.x[place] = usual;
            }
        }
    }
}

/// Levels round differently: f32 sums of some tens of terms agree to 2e-5 relative to 1 + |log q|, gradients to 2e-5 of their norm.
#[test]
fn levels_agree() {
    for case in cases::of_shape(5, 4, 100) {
        let results: Vec<_> = Simd::all()
            .into_iter()
            .map(|simd| {
                let compute = abduce_nn::Compute { simd, threads: Threads::single() };
                case.estimator.log_prob_gradient(&compute, &case.params, &case.theta, &case.x, |row| row)
            })
            .collect();
        let (log_q, gradient) = &results[0];
        for (other, other_gradient) in &results[1..] {
            for (a, b) in log_q.iter().zip(other) {
                assert!((a - b).abs() < 2e-5 * (1.0 + a.abs()), "{}: {a} and {b}", case.name);
            }
            let (error, norm) = super::numerics::difference_and_norm(gradient, &cases::wide(other_gradient));
            assert!(error < 2e-5 * norm, "{}: gradients differ by {error:.1e} of {norm:.1e}", case.name);
        }
    }
}

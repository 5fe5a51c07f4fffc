//! Gradients against central differences of the f64 reference.

use super::cases::{self, Case};
use super::numerics::difference_and_norm;
use super::reference;
use abduce_kernels::{Simd, Threads};
use abduce_nn::{ActivationName, EmbeddingSpec, Frame, Purpose, Step};

/// Relative error of a gradient tensor, ‖Δg‖/‖g‖. f32 backward passes of such nets err by some 1e-6 (torch's by up to 8e-6 on a spline
/// flow); a wrong term shows at 1e-2.
const TOLERANCE: f64 = 1e-4;

/// Tensors whose terms nearly cancel keep the rounding of their terms: errors count relative to at least this part of the whole gradient.
const FLOOR: f64 = 1e-4;

fn weights(case: &Case) -> Vec<f64> {
    // All different, so that a row mixed up with another shows; exact in f32.
    (0..case.rows).map(|row| f64::from(0.5 + (row * 7 % 16) as f32 / 16.0)).collect()
}

fn seed_rows(frame: &mut Frame, weights: &[f64]) {
    let seed = frame.output_gradient_mut(0);
    seed.fill(0.0);
    seed.iter_mut().zip(weights).for_each(|(s, w)| *s = *w as f32);
}

fn check(case: &Case) {
    let weights = weights(case);
    let want = reference::gradients(case, &weights);
    let whole = want.params.iter().map(|g| g * g).sum::<f64>().sqrt();
    for simd in Simd::all() {
        let compare = |what: &str, got: &[f32], want: &[f64], floor: f64| {
            let (error, norm) = difference_and_norm(got, want);
            assert!(error <= TOLERANCE * norm.max(floor), "{} at {simd}: {what} errs by {error:.1e} of {norm:.1e}", case.name);
        };
        let (graph, layout) = (case.estimator.joint(), case.estimator.layout());
        let mut step = Step::new(graph, layout.len(), layout.gradient_mask(), simd, &Threads::single());
        let (loss, norm) = step.fused(
            &case.params,
            case.rows,
            |rows, frame| case.fill(rows, frame),
            |rows, frame| {
                seed_rows(frame, &weights[rows.clone()]);
                frame.output(0)[..rows.len()].iter().map(|&l| f64::from(l)).sum()
            },
        );
        assert!(loss.is_finite());
        let own_norm = step.gradient().iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        assert!((norm - own_norm).abs() <= 1e-5 * own_norm, "{}: norm {norm} of a gradient of norm {own_norm}", case.name);
        for parameter in layout.parameters() {
            compare(&parameter.name, &step.gradient()[parameter.range.clone()], &want.params[parameter.range.clone()], FLOOR * whole);
        }

        let mut by_input = [Vec::new(), Vec::new()];
        let mut frame = Frame::new(graph, Purpose::InputGradients, 64);
        for rows in abduce_nn::step::chunks(case.rows) {
            frame.begin(rows.len());
            case.fill(rows.clone(), &mut frame);
            frame.forward(simd, &case.params);
            seed_rows(&mut frame, &weights[rows.clone()]);
            frame.backward(simd, &case.params, None);
            for (i, width) in [case.features(), case.context()].into_iter().enumerate().take(graph.input_features().len()) {
                let gradient = frame.input_gradient(i).expect("kept");
                by_input[i].extend((0..rows.len() * width).map(|p| gradient[p % width * frame.lanes() + p / width]));
            }
        }
        compare("theta", &by_input[0], &want.theta, 0.0);
        compare("x", &by_input[1], &want.x, FLOOR * whole);
    }
}

/// Three tests, so that they run side by side.
fn check_all_with(features: usize) {
    cases::all(5).filter(|case| case.features() == features).for_each(|case| check(&case));
}

#[test]
fn gradients_in_one_dimension_are_those_of_the_formula() {
    check_all_with(1);
}

#[test]
fn gradients_in_two_dimensions_are_those_of_the_formula() {
    check_all_with(2);
}

#[test]
fn gradients_in_five_dimensions_are_those_of_the_formula() {
    check_all_with(5);
}

/// A batch of two chunks with padding against the f64 sum of the gradients of its rows alone, whose formula the laws above check.
#[test]
fn gradients_add_up_over_chunks() {
    for density in cases::families() {
        let fcn = EmbeddingSpec::Fcn { hidden: vec![6, 3], activation: ActivationName::SiLU };
        let case = Case::new(density, 2, 4, fcn, 75);
        let (layout, weights) = (case.estimator.layout(), weights(&case));
        let mut step = Step::new(case.estimator.joint(), layout.len(), layout.gradient_mask(), Simd::best(), &Threads::single());
        let mut gradient_of = |first: usize, rows: usize| {
            step.fused(
                &case.params,
                rows,
                |rows, frame| case.fill(first + rows.start..first + rows.end, frame),
                |rows, frame| {
                    seed_rows(frame, &weights[first + rows.start..first + rows.end]);
                    0.0
                },
            );
            step.gradient().to_vec()
        };
        let mut sum = vec![0.0; layout.len()];
        for row in 0..case.rows {
            sum.iter_mut().zip(gradient_of(row, 1)).for_each(|(s, g)| *s += f64::from(g));
        }
        let (error, norm) = difference_and_norm(&gradient_of(0, case.rows), &sum);
        assert!(error <= 1e-5 * norm, "{}: {error:.1e} of {norm:.1e}", case.name);
    }
}

#[test]
fn no_parameter_has_an_exactly_zero_gradient() {
    for case in cases::all(200) {
        let layout = case.estimator.layout();
        let mut step = Step::new(case.estimator.joint(), layout.len(), layout.gradient_mask(), Simd::best(), &Threads::single());
        let weights = weights(&case);
        step.fused(
            &case.params,
            case.rows,
            |rows, frame| case.fill(rows, frame),
            |rows, frame| {
                seed_rows(frame, &weights[rows]);
                0.0
            },
        );
        assert!(step.gradient().iter().any(|&g| g != 0.0), "{}", case.name);
        for parameter in layout.parameters().iter().filter(|p| !p.range.is_empty()) {
            let gradient = &step.gradient()[parameter.range.clone()];
            let moves = gradient.iter().any(|&g| g != 0.0);
            assert!(moves || case.networks_see_nothing(), "{}: the gradient of {} is zero", case.name, parameter.name);
            if let Some(mask) = layout.gradient_mask() {
                let fixed = gradient.iter().zip(&mask[parameter.range.clone()]).filter(|(_, m)| **m == 0.0);
                assert!(fixed.into_iter().all(|(&g, _)| g == 0.0), "{}: {} moves where it is masked", case.name, parameter.name);
            }
        }
    }
}

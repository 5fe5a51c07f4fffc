//! Bijections: inverses, log-determinants, and who may depend on whom.

use super::cases::{self, Case};
use super::numerics::ln_abs_det;
use super::reference::Reference;
use abduce_data::Seed;
use abduce_density::conditioner::{MaskedMlp, ResidualShape, Seen};
use abduce_density::flow::{Autoregressive, Coupling, CouplingNet, feature_order, spline_of};
use abduce_density::transform::{Direction, LuLinear, OdeFlow, OdeShape, Univariate};
use abduce_density::{Space, SplineSpec};
use abduce_kernels::elementwise::Activation;
use abduce_kernels::monotone::{Bernstein, Gaussianization, Integral, Monotone, Sigmoidal, SumOfSquares};
use abduce_kernels::transpose::features_from_rows;
use abduce_nn::{Frame, Graph, GraphBuilder, Layout, Purpose, Value};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Σ log-determinants of a whole flow = ln|det| of the reference's Jacobian by central differences.
#[test]
fn log_determinants_of_flows_are_those_of_finite_difference_jacobians() {
    const STEP: f64 = 1e-6;
    for case in cases::all(10) {
        let reference = Reference::new(&case);
        let log_q = case.log_prob(&cases::best());
        let d = case.features();
        for row in 0..case.rows {
            let (theta, x) = (case.theta_row(row), case.x_row(row));
            let Some((z, _)) = reference.noise(&theta, &x) else { continue };
            let noise_at = |f: usize, delta: f64| {
                let mut moved = theta.clone();
                moved[f] += delta;
                reference.noise(&moved, &x).expect("a flow").0
            };
            // (∂/∂θ_f, z): the transpose has the same determinant.
            let jacobian = (0..d).flat_map(|f| {
                let (above, below) = (noise_at(f, STEP), noise_at(f, -STEP));
                above.into_iter().zip(below).map(|(a, b)| (a - b) / (2.0 * STEP))
            });
            let want = reference.log_base(&z) + ln_abs_det(jacobian.collect(), d);
            let error = (f64::from(log_q[row]) - want).abs() / (1.0 + want.abs());
            assert!(error < 3e-5, "{} row {row}: {} instead of {want}", case.name, log_q[row]);
        }
    }
}

type Build = Box<dyn Fn(&mut GraphBuilder<'_>, Value, Option<Value>, Direction) -> (Value, Value)>;

/// A bijection of `FEATURES` features, and whether output i may depend on input j.
struct Bijection {
    name: String,
    build: Build,
    depends: Box<dyn Fn(usize, usize) -> bool>,
    /// Outputs that depend on the context.
    told: Box<dyn Fn(usize) -> bool>,
}

const FEATURES: usize = 5;
const CONTEXT: usize = 3;
const ROWS: usize = 40;

fn univariates() -> Vec<Univariate> {
    let monotone = [
        Monotone::Gaussianization(Gaussianization { components: 5 }),
        Monotone::SumOfSquares(SumOfSquares::new(2, 3, 3.0)),
        Monotone::Bernstein(Bernstein { degree: 8, bound: 3.0 }),
        Monotone::Sigmoidal(Sigmoidal { components: 5 }),
        Monotone::Integral(Integral::new(5, 3.0, 32)),
    ];
    let closed = [Univariate::Shift, Univariate::Affine, Univariate::Spline(spline_of(SplineSpec { bins: 6, bound: 3.0 }, 16))];
    closed.into_iter().chain(monotone.map(Univariate::Monotone)).collect()
}

fn bijections() -> Vec<Bijection> {
    let ode = OdeShape { hidden: 12, frequencies: 2, steps: 16 };
    let mut all = vec![
        Bijection {
            name: "LU".into(),
            build: Box::new(|g, x, _, direction| LuLinear::apply(g, x, direction)),
            depends: Box::new(|_, _| true),
            told: Box::new(|_| false),
        },
        Bijection {
            name: "ODE".into(),
            build: Box::new(move |g, x, c, direction| OdeFlow::apply(g, ode, x, c, direction)),
            depends: Box::new(|_, _| true),
            told: Box::new(|_| true),
        },
    ];
    for univariate in univariates() {
        for index in 0..2 {
            let autoregressive =
                Autoregressive { index, univariate, hidden: vec![16, 12], activation: Activation::Tanh, seen: Seen::Plain };
            all.push(Bijection {
                name: format!("{autoregressive:?}"),
                build: Box::new(move |g, x, c, direction| autoregressive.apply(g, x, c, direction)),
                depends: Box::new(move |i, j| if index == 0 { j <= i } else { j >= i }),
                told: Box::new(|_| true),
            });
            let nets = [
                CouplingNet::Mlp(vec![16, 12], Activation::Relu),
                CouplingNet::Residual(ResidualShape { hidden: 16, blocks: 2, activation: Activation::Relu }),
            ];
            for net in nets {
                let coupling = Coupling { index, univariate, net };
                all.push(Bijection {
                    name: format!("{coupling:?}"),
                    build: Box::new(move |g, x, c, direction| coupling.apply(g, x, c, direction)),
                    depends: Box::new(move |i, j| i == j || (i % 2 == index && j % 2 != index)),
                    told: Box::new(move |i| i % 2 == index),
                });
            }
        }
    }
    all
}

fn perturbed(layout: &Layout) -> Vec<f32> {
    let mut rng = Seed(3).stream("perturb", 0);
    let mut params = layout.initialise(Seed(3));
    let mask = layout.gradient_mask();
    for (i, p) in params.iter_mut().enumerate() {
        let noise = (0.2 * rng.normal()) as f32;
        *p += noise * mask.map_or(1.0, |m| m[i]);
    }
    params
}

fn random_rows(purpose: &str, width: usize, spread: f64) -> Vec<f32> {
    let mut rng = Seed(4).stream(purpose, 0);
    (0..ROWS * width).map(|_| (spread * rng.normal()) as f32).collect()
}

fn frame_of(graph: &Arc<Graph>, x: &[f32], c: Option<&[f32]>) -> Frame {
    let mut frame = Frame::new(graph, Purpose::InputGradients, ROWS);
    frame.begin(ROWS);
    let lanes = frame.lanes();
    features_from_rows(x, ROWS, FEATURES, frame.input_mut(0), lanes);
    if let Some(c) = c {
        features_from_rows(c, ROWS, CONTEXT, frame.input_mut(1), lanes);
    }
    frame
}

#[test]
fn every_bijection_has_its_inverse_its_determinant_and_its_pattern() {
    for bijection in bijections() {
        for conditional in [false, true] {
            let name = format!("{} context: {conditional}", bijection.name);
            let mut layout = Layout::new();
            let graphs = [Direction::Forward, Direction::Inverse].map(|direction| {
                let mut g = GraphBuilder::new(&mut layout);
                let x = g.input(FEATURES);
                let c = conditional.then(|| g.input(CONTEXT));
                let (z, ladj) = (bijection.build)(&mut g, x, c, direction);
                Arc::new(g.finish(&[z, ladj]))
            });
            let params = perturbed(&layout);
            let x = random_rows("x", FEATURES, 1.5);
            let c = conditional.then(|| random_rows("c", CONTEXT, 1.0));
            for compute in cases::levels() {
                let simd = compute.simd;
                let mut forward = frame_of(&graphs[0], &x, c.as_deref());
                forward.forward(simd, &params);
                let lanes = forward.lanes();
                let at = |value: &[f32], f: usize, row: usize| f64::from(value[f * lanes + row]);

                let z: Vec<f32> = (0..ROWS * FEATURES).map(|p| forward.output(0)[p % FEATURES * lanes + p / FEATURES]).collect();
                let mut inverse = frame_of(&graphs[1], &z, c.as_deref());
                inverse.forward(simd, &params);
                // Slopes of these maps stay between 1/40 and 40; z's own rounding, up to 5e-7, comes back multiplied by them. Monotone maps that are
                // inverted by Newton's steps have gaps between their components, where slopes are smaller still.
                let (of_x, of_ladj) = if name.contains("Monotone") { (1e-4, 1e-3) } else { (2e-5, 2e-4) };
                for p in 0..ROWS * FEATURES {
                    let (f, row) = (p % FEATURES, p / FEATURES);
                    let error = at(inverse.output(0), f, row) - f64::from(x[p]);
                    assert!(error.abs() < of_x, "{name} at {simd}: feature {f} of row {row} comes back off by {error:.1e}");
                }
                for row in 0..ROWS {
                    let sum = at(inverse.output(1), 0, row) + at(forward.output(1), 0, row);
                    // They are taken at x and at what comes back: the error above times the log-slopes' own slopes, up to 10.
                    assert!(sum.abs() < of_ladj, "{name} at {simd}: log-determinants of both directions differ by {sum:.1e}");
                }

                let mut jacobians = vec![vec![0.0; FEATURES * FEATURES]; ROWS];
                let mut by_context = [0.0f64; FEATURES];
                for i in 0..FEATURES {
                    forward.output_gradient_mut(1).fill(0.0);
                    let seed = forward.output_gradient_mut(0);
                    seed.fill(0.0);
                    seed[i * lanes..i * lanes + ROWS].fill(1.0);
                    forward.backward(simd, &params, None);
                    let gradient = forward.input_gradient(0).expect("kept");
                    for (row, jacobian) in jacobians.iter_mut().enumerate() {
                        (0..FEATURES).for_each(|j| jacobian[i * FEATURES + j] = at(gradient, j, row));
                    }
                    // A linear map of the features alone leaves the context unread.
                    let context = conditional.then(|| forward.input_gradient(1)).flatten();
                    by_context[i] = context.map_or(0.0, |g| g.iter().map(|&g| f64::from(g).abs()).sum());
                }
                for i in 0..FEATURES {
                    for j in 0..FEATURES {
                        let touched = jacobians.iter().any(|jacobian| jacobian[i * FEATURES + j] != 0.0);
                        assert_eq!(touched, (bijection.depends)(i, j), "{name} at {simd}: output {i} by input {j}");
                    }
                    assert_eq!(by_context[i] != 0.0, conditional && (bijection.told)(i), "{name} at {simd}: output {i} by context");
                }
                for (row, jacobian) in jacobians.into_iter().enumerate() {
                    let (want, got) = (ln_abs_det(jacobian, FEATURES), at(forward.output(1), 0, row));
                    assert!((got - want).abs() < 5e-5 * (1.0 + want.abs()), "{name} at {simd}: log-determinant {got}, Jacobian {want}");
                }
            }
        }
    }
}

/// Raw parameters of a masked network: exactly the earlier features and all of the context, whatever the order.
#[test]
fn masked_networks_see_earlier_features_and_the_context_alone() {
    for (order, seen) in [
        (feature_order(0, FEATURES), Seen::Plain),
        (feature_order(1, FEATURES), Seen::Angles),
        (vec![2, 0, 4, 1, 3], Seen::Plain),
        (vec![2, 0, 4, 1, 3], Seen::Angles),
    ] {
        for conditional in [false, true] {
            let owner: Vec<usize> = (0..2 * FEATURES).map(|o| o % FEATURES).collect();
            let net =
                MaskedMlp { order: order.clone(), hidden: vec![20, 15, 20], activation: Activation::Tanh, seen, owner: owner.clone() };
            let mut layout = Layout::new();
            let mut g = GraphBuilder::new(&mut layout);
            let x = g.input(FEATURES);
            let c = conditional.then(|| g.input(CONTEXT));
            let raw = net.apply(&mut g, x, c);
            let graph = g.finish(&[raw]);
            let params = perturbed(&layout);
            let c = conditional.then(|| random_rows("c", CONTEXT, 1.0));
            let mut frame = frame_of(&Arc::new(graph), &random_rows("x", FEATURES, 1.0), c.as_deref());
            frame.forward(cases::best().simd, &params);
            let lanes = frame.lanes();
            let place = |f: usize| order.iter().position(|&o| o == f);
            for (o, &f) in owner.iter().enumerate() {
                let seed = frame.output_gradient_mut(0);
                seed.fill(0.0);
                seed[o * lanes..o * lanes + ROWS].fill(1.0);
                frame.backward(cases::best().simd, &params, None);
                let touched = |input: usize, j: usize| {
                    let gradient = frame.input_gradient(input).expect("kept");
                    gradient[j * lanes..][..ROWS].iter().any(|&g| g != 0.0)
                };
                for j in 0..FEATURES {
                    assert_eq!(touched(0, j), place(j) < place(f), "order {order:?}: parameter of feature {f} by feature {j}");
                }
                if conditional {
                    assert!((0..CONTEXT).all(|j| touched(1, j)), "order {order:?}: parameter of feature {f} by the context");
                }
            }
        }
    }
}

/// A draw is the inverse of the flow applied to the noise of its stream: the reference takes it back there.
#[test]
fn draws_of_flows_go_back_to_their_noise() {
    const DRAWS: usize = 80;
    for case in cases::all(2) {
        let reference = Reference::new(&case);
        if reference.noise(&case.theta_row(0), &case.x_row(0)).is_none() {
            continue;
        }
        for compute in cases::levels() {
            draws_go_back(&case, &reference, &compute, DRAWS);
        }
    }
}

fn draws_go_back(case: &Case, reference: &Reference<'_>, compute: &abduce_nn::Compute, draws: usize) {
    let (d, seed) = (case.features(), Seed(11));
    let theta = case.estimator.sample(compute, &case.params, &case.x, &[draws, draws], seed);
    for observation in 0..2 {
        for draw in 0..draws {
            let block = (draw / abduce_nn::step::CHUNK_ROWS) as u64;
            let mut rng = seed.stream("draw", ((observation as u64) << 32) | block);
            let mut next = || match case.space() {
                Space::Reals => f64::from(rng.normal() as f32),
                Space::Angles => f64::from((TAU * (rng.uniform() - 0.5)) as f32),
            };
            let noise: Vec<f64> = (0..(draw % abduce_nn::step::CHUNK_ROWS + 1) * d).map(|_| next()).collect();
            let want = &noise[noise.len() - d..];
            let own = cases::wide(&theta[(observation * draws + draw) * d..][..d]);
            let (z, _) = reference.noise(&own, &case.x_row(observation)).expect("a flow");
            for (z, want) in z.iter().zip(want) {
                // θ's own rounding comes back multiplied by the slopes of three transforms.
                let turns = if case.space() == Space::Angles { ((z - want) / TAU).round() } else { 0.0 };
                let error = (z - want - TAU * turns).abs();
                assert!(error < 1e-4 * (1.0 + want.abs()), "{} at {}: draw {draw} of {observation}: {z}, {want}", case.name, compute.simd);
            }
        }
    }
}

//! Attention, tokens, joins and up-sampling against plain f64 loops.

use crate::harness::{Tensor, check, positions};
use abduce_data::Seed;
use abduce_kernels::Simd;
use abduce_nn::layer::Noise;
use abduce_nn::layers::{Attention, Border, Channels, Concat, Conv, Dropout, Grid, Interpolation, Learned, Lookup, Sight, Upsample};
use abduce_nn::{Frame, GraphBuilder, Layout, Purpose};
use std::sync::Arc;

/// A few dozen products, an exponential and a quotient in f32.
const ROUNDING: f64 = 2e-5;

/// y = W x + b for every position, with the parameters of a pointwise convolution.
fn linear(params: &crate::harness::Params<'_>, name: &str, x: &Tensor) -> Tensor {
    let (weight, bias) = (params.get(&format!("{name}.weight")), params.get(&format!("{name}.bias")));
    let mut y = Tensor::zeros(&x.extent, bias.len());
    for (y, x) in y.data.chunks_exact_mut(bias.len()).zip(x.data.chunks_exact(x.channels)) {
        for (o, y) in y.iter_mut().enumerate() {
            *y = bias[o] + x.iter().enumerate().map(|(i, x)| x * weight[i * bias.len() + o]).sum::<f64>();
        }
    }
    y
}

#[test]
fn attention_is_that_of_the_formula() {
    // More than a block of queries in one case; sixteen channels and fewer per head.
    for (queries, keys, width, heads, sight) in [
        (5, 5, 6, 2, Sight::All),
        (5, 5, 6, 3, Sight::Past),
        (3, 7, 4, 1, Sight::All),
        (70, 3, 2, 1, Sight::All),
        (18, 18, 32, 2, Sight::Past),
    ] {
        check(
            &format!("attention {queries} {keys} {width}/{heads} {sight:?}"),
            &[(&[queries], width), (&[keys], width)],
            ROUNDING,
            |g, x| Attention::apply(g, "a", &x[0], &x[1], heads, sight).expect("heads divide"),
            |params, x| {
                let (q, k, v) = (linear(params, "a.query", &x[0]), linear(params, "a.key", &x[1]), linear(params, "a.value", &x[1]));
                let d = width / heads;
                let mut out = Tensor::zeros(&[queries], width);
                for i in 0..queries {
                    let seen = if sight == Sight::Past { i + 1 } else { keys };
                    for h in 0..heads {
                        let score = |j: usize| {
                            let dot: f64 = (h * d..(h + 1) * d).map(|c| q.data[i * width + c] * k.data[j * width + c]).sum();
                            (dot / (d as f64).sqrt()).exp()
                        };
                        let total: f64 = (0..seen).map(score).sum();
                        for c in h * d..(h + 1) * d {
                            out.data[i * width + c] = (0..seen).map(|j| score(j) / total * v.data[j * width + c]).sum();
                        }
                    }
                }
                linear(params, "a.out", &out)
            },
        );
    }
}

#[test]
fn scores_of_any_size_stay_finite() {
    let mut layout = Layout::new();
    let mut g = GraphBuilder::new(&mut layout);
    let x = Grid::input(&mut g, &[4], 2);
    let y = Attention::apply(&mut g, "a", &x, &x, 1, Sight::All).expect("fits");
    let graph = Arc::new(g.finish(&[y.value]));
    let params = layout.initialise(Seed(2));
    let mut frame = Frame::new(&graph, Purpose::InputGradients, 1);
    for size in [1e4, -1e4, 1e-30] {
        frame.begin(1);
        frame.input_mut(0).iter_mut().enumerate().for_each(|(i, v)| *v = size * (i as f32 - 3.0));
        frame.forward(Simd::best(), &params);
        assert!(frame.output(0).iter().all(|v| v.is_finite()), "{size}");
        frame.output_gradient_mut(0).fill(1.0);
        let mut gradient = vec![0.0; layout.len()];
        frame.backward(Simd::best(), &params, Some(&mut gradient));
        assert!(gradient.iter().chain(frame.input_gradient(0).unwrap()).all(|v| v.is_finite()), "{size}");
    }
}

#[test]
fn up_sampling_is_that_of_the_definition() {
    for interpolation in [Interpolation::Nearest, Interpolation::Linear(Border::Zeros), Interpolation::Linear(Border::Periodic)] {
        for (extent, factor) in [(&[4usize][..], 2), (&[3, 2], 2), (&[2, 3, 2], 2), (&[5], 3)] {
            let fine: Vec<usize> = extent.iter().map(|n| n * factor).collect();
            // Value at a real coordinate of one axis as weights of positions.
            let weights = |q: usize, n: usize| -> Vec<f64> {
                let mut w = vec![0.0; n];
                if interpolation == Interpolation::Nearest {
                    w[q / factor] = 1.0;
                    return w;
                }
                let at = (q as f64 + 0.5) / factor as f64 - 0.5;
                for i in -1..=n as isize {
                    let hat = (1.0 - (at - i as f64).abs()).max(0.0);
                    let place = match interpolation {
                        Interpolation::Linear(Border::Periodic) => i.rem_euclid(n as isize),
                        _ => i.clamp(0, n as isize - 1),
                    };
                    w[place as usize] += hat;
                }
                w
            };
            check(
                &format!("up-sampling {interpolation:?} {extent:?}"),
                &[(extent, 3)],
                ROUNDING,
                |g, x| Upsample::apply(g, "u", &x[0], factor, interpolation).expect("fits"),
                |_, x| {
                    let mut y = Tensor::zeros(&fine, 3);
                    for q in y.positions() {
                        for p in positions(extent) {
                            let w: f64 = (0..extent.len()).map(|d| weights(q[d], extent[d])[p[d]]).product();
                            for c in 0..3 {
                                let place = y.at(&q, c);
                                y.data[place] += w * x[0].data[x[0].at(&p, c)];
                            }
                        }
                    }
                    y
                },
            );
        }
    }
}

#[test]
fn joins_and_choices_of_channels_move_numbers_only() {
    check(
        "concat",
        &[(&[2, 3], 2), (&[2, 3], 5)],
        ROUNDING,
        |g, x| Concat::apply(g, "c", &[&x[0], &x[1]]).expect("one extent"),
        |_, x| {
            let pairs = x[0].data.chunks_exact(2).zip(x[1].data.chunks_exact(5));
            Tensor { extent: vec![2, 3], channels: 7, data: pairs.flat_map(|(a, b)| [a, b].concat()).collect() }
        },
    );
    check(
        "channels",
        &[(&[4], 5)],
        ROUNDING,
        |g, x| Channels::apply(g, &x[0], 1..4).expect("inside").expect("some"),
        |_, x| Tensor { extent: vec![4], channels: 3, data: x[0].data.chunks_exact(5).flat_map(|p| p[1..4].to_vec()).collect() },
    );
    check(
        "learned",
        &[(&[3], 2)],
        ROUNDING,
        |g, x| {
            let places = Learned::apply(g, "p", &[3], 2);
            x[0].map(g, abduce_nn::layers::Add, &[&places])
        },
        |params, x| {
            let mut y = x[0].clone();
            y.data.iter_mut().zip(params.get("p")).for_each(|(y, p)| *y += p);
            y
        },
    );
    let mut layout = Layout::new();
    let mut g = GraphBuilder::new(&mut layout);
    let (a, b) = (Grid::input(&mut g, &[2, 3], 1), Grid::input(&mut g, &[3, 2], 1));
    let error = Concat::apply(&mut g, "join", &[&a, &b]).expect_err("other extents");
    assert_eq!(error.to_string(), "layer `join`: extents [2, 3] and [3, 2] can't be joined");
    assert!(Channels::apply(&mut g, &a, 0..2).is_err());
}

#[test]
fn tokens_get_their_rows_and_rows_their_gradients() {
    let mut layout = Layout::new();
    let mut g = GraphBuilder::new(&mut layout);
    let tokens = Grid::input(&mut g, &[4], 1);
    let y = Lookup::apply(&mut g, "t", &tokens, 3, 2);
    let graph = Arc::new(g.finish(&[y.value]));
    let mut frame = Frame::new(&graph, Purpose::Train, 1);
    frame.begin(1);
    frame.fill_input(0, &[2.0, 0.0, 2.0, 9.0]);
    frame.forward(Simd::best(), &[0.0, 1.0, 10.0, 11.0, 20.0, 21.0]);
    assert_eq!(frame.output(0), [20.0, 21.0, 0.0, 1.0, 20.0, 21.0, 20.0, 21.0]);
    frame.output_gradient_mut(0).copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let mut gradient = vec![0.0; 6];
    frame.backward(Simd::best(), &[0.0; 6], Some(&mut gradient));
    assert_eq!(gradient, [3.0, 4.0, 0.0, 0.0, 13.0, 16.0]);
}

#[test]
fn dropout_keeps_the_mean_draws_by_row_and_is_silent_without_noise() {
    const N: usize = 20_000;
    let mut layout = Layout::new();
    let mut g = GraphBuilder::new(&mut layout);
    let x = Grid::input(&mut g, &[N], 1);
    let y = Dropout::apply(&mut g, &x, 0.3, 0);
    let graph = Arc::new(g.finish(&[y.value]));
    let run = |first_row: Option<usize>| {
        let mut frame = Frame::new(&graph, Purpose::InputGradients, 2);
        frame.begin(2);
        if let Some(first_row) = first_row {
            frame.set_noise(Noise { seed: Seed(7), first_row });
        }
        frame.input_mut(0).fill(2.0);
        frame.forward(Simd::best(), &[]);
        let y = frame.output(0).to_vec();
        frame.output_gradient_mut(0).fill(2.0);
        frame.backward(Simd::best(), &[], None);
        assert_eq!(frame.input_gradient(0).unwrap(), y, "the gradient has the factors of the values");
        y
    };
    assert!(run(None).iter().all(|&v| v == 2.0));
    let y = run(Some(0));
    // Row 1 of the first chunk is row 0 of a chunk that begins there.
    assert_eq!(y[N..], run(Some(1))[..N]);
    assert_ne!(y[..N], y[N..]);
    let dropped = y[..N].iter().filter(|&&v| v == 0.0).count() as f64 / N as f64;
    // Five standard deviations of a binomial fraction: 5 √(0.3 · 0.7/20 000) = 0.016.
    assert!((dropped - 0.3).abs() < 0.016, "{dropped}");
    assert!(y.iter().all(|&v| v == 0.0 || (v - 2.0 / 0.7).abs() < 1e-6));
}

/// Parameters that are shared by a graph for training and one for drawing lie in one place.
#[test]
fn graphs_on_one_layout_share_the_weights_of_a_convolution() {
    let mut layout = Layout::new();
    for _ in 0..2 {
        let mut g = GraphBuilder::new(&mut layout);
        let x = Grid::input(&mut g, &[4], 2);
        Conv::new(3, 3).apply(&mut g, "c", &x).expect("fits");
    }
    assert_eq!(layout.len(), 3 * 2 * 3 + 3);
}

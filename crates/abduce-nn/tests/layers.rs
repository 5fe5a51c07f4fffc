//! Normalisation, modulation and waves against f64 formulas and central differences.

use abduce_data::Seed;
use abduce_kernels::Simd;
use abduce_kernels::transpose::features_from_rows;
use abduce_nn::layers::{Add, Film, LayerNorm, Linear, Sinusoid};
use abduce_nn::{Frame, GraphBuilder, Layout, Purpose};
use std::sync::Arc;

const WIDTH: usize = 6;
const ROWS: usize = 19;
const FREQUENCIES: [f64; 2] = [1.0, 7.0];

/// y = Film(norm(x), W waves(t) + b) + γ norm(x) + β + waves' first features, in f64; x is read three times, so gradients accumulate.
fn reference(params: &[f64], x: &[f64], t: f64) -> Vec<f64> {
    let mean = x.iter().sum::<f64>() / WIDTH as f64;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / WIDTH as f64;
    let normal: Vec<f64> = x.iter().map(|x| (x - mean) / (variance + 1e-5).sqrt()).collect();
    let waves: Vec<f64> = FREQUENCIES.iter().map(|w| (w * t).sin()).chain(FREQUENCIES.iter().map(|w| (w * t).cos())).collect();
    let (weight, rest) = params.split_at(2 * WIDTH * 4);
    let (bias, rest) = rest.split_at(2 * WIDTH);
    let (gain, shift) = rest.split_at(WIDTH);
    let film: Vec<f64> =
        (0..2 * WIDTH).map(|o| bias[o] + weight[o * 4..][..4].iter().zip(&waves).map(|(w, v)| w * v).sum::<f64>()).collect();
    (0..WIDTH).map(|k| normal[k] * (1.0 + film[k]) + film[WIDTH + k] + normal[k] * gain[k] + shift[k] + x[k]).collect()
}

#[test]
fn values_and_gradients_are_those_of_the_formulas() {
    let mut layout = Layout::new();
    let mut g = GraphBuilder::new(&mut layout);
    let (x, t) = (g.input(WIDTH), g.input(1));
    let waves = g.apply(Sinusoid { frequencies: FREQUENCIES.map(|f| f as f32).to_vec() }, &[t]);
    let film = Linear::apply(&mut g, "film", &[waves], 2 * WIDTH);
    let plain = LayerNorm::plain(&mut g, x);
    let modulated = g.apply(Film, &[plain, film]);
    let normal = LayerNorm::apply(&mut g, "norm", x);
    let sum = g.apply(Add, &[modulated, normal]);
    let y = g.apply(Add, &[sum, x]);
    let graph = Arc::new(g.finish(&[y]));
    let mut rng = Seed(5).stream("layers", 0);
    let mut normals = |n: usize| (0..n).map(|_| rng.normal() as f32).collect::<Vec<_>>();
    let (params, x, t, weights) = (normals(layout.len()), normals(ROWS * WIDTH), normals(ROWS), normals(ROWS * WIDTH));
    let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let (params64, x64, t64) = (wide(&params), wide(&x), wide(&t));
    let loss = |params: &[f64], x: &[f64], t: &[f64]| -> f64 {
        (0..ROWS).flat_map(|r| reference(params, &x[r * WIDTH..(r + 1) * WIDTH], t[r])).zip(&weights).map(|(y, &w)| y * f64::from(w)).sum()
    };
    let slopes = |at: &[f64], f: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
        let mut moved = at.to_vec();
        (0..at.len())
            .map(|i| {
                let mut value = |delta: f64| {
                    moved[i] = at[i] + delta;
                    f(&moved)
                };
                let slope = (value(1e-6) - value(-1e-6)) / 2e-6;
                value(0.0);
                slope
            })
            .collect()
    };
    for simd in Simd::all() {
        let mut frame = Frame::new(&graph, Purpose::InputGradients, 64);
        frame.begin(ROWS);
        let lanes = frame.lanes();
        features_from_rows(&x, ROWS, WIDTH, frame.input_mut(0), lanes);
        features_from_rows(&t, ROWS, 1, frame.input_mut(1), lanes);
        frame.forward(simd, &params);
        let rows =
            |value: &[f32], width: usize| (0..ROWS * width).map(|p| f64::from(value[p % width * lanes + p / width])).collect::<Vec<_>>();
        let want: Vec<f64> = (0..ROWS).flat_map(|r| reference(&params64, &x64[r * WIDTH..(r + 1) * WIDTH], t64[r])).collect();
        // A few roundings of values of size 10.
        let close = |what: &str, got: &[f64], want: &[f64], tolerance: f64| {
            assert_eq!(got.len(), want.len());
            for (i, (g, w)) in got.iter().zip(want).enumerate() {
                assert!((g - w).abs() < tolerance * (1.0 + w.abs()), "{what} {i} at {simd}: {g} instead of {w}");
            }
        };
        close("value", &rows(frame.output(0), WIDTH), &want, 1e-5);
        features_from_rows(&weights, ROWS, WIDTH, frame.output_gradient_mut(0), lanes);
        let mut gradient = vec![0.0; layout.len()];
        frame.backward(simd, &params, Some(&mut gradient));
        // Sums over 19 rows; differences at steps of 1e-6 are exact to 1e-8.
        close("parameter", &wide(&gradient), &slopes(&params64, &|p| loss(p, &x64, &t64)), 5e-5);
        close("input", &rows(frame.input_gradient(0).unwrap(), WIDTH), &slopes(&x64, &|x| loss(&params64, x, &t64)), 5e-5);
        close("time", &rows(frame.input_gradient(1).unwrap(), 1), &slopes(&t64, &|t| loss(&params64, &x64, t)), 5e-5);
    }
}

#[test]
fn a_constant_row_is_normalised_to_zero() {
    let mut layout = Layout::new();
    let mut g = GraphBuilder::new(&mut layout);
    let x = g.input(3);
    let y = LayerNorm::plain(&mut g, x);
    let graph = Arc::new(g.finish(&[y]));
    let mut frame = Frame::new(&graph, Purpose::Evaluate, 1);
    frame.begin(1);
    frame.input_mut(0).fill(4.0);
    frame.forward(Simd::best(), &[]);
    assert!(frame.output(0).iter().all(|&v| v == 0.0));
}

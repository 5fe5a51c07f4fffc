//! Whole networks: all parameters get gradients, chunks and threads don't matter, and graphs differentiate what they compute.

use abduce_data::Seed;
use abduce_kernels::{Simd, Threads};
use abduce_nn::layers::{Grid, Order};
use abduce_nn::nets::{Cnn, DeepSet, Edge, GraphNet, ResNet, SetPooling, SetTransformer, Transformer, UNet};
use abduce_nn::{ActivationName, EmbeddingSpec, Frame, Graph, GraphBuilder, Layout, Purpose, Step};
use std::sync::Arc;

const ACTIVATION: ActivationName = ActivationName::SiLU;

fn cnn() -> Cnn {
    Cnn {
        in_shape: vec![2, 8, 6],
        n_channels: vec![4, 6],
        kernel_sizes: vec![3, 3],
        strides: vec![1, 2],
        pool_sizes: vec![2, 1],
        n_hiddens: vec![7, 3],
        activation: ACTIVATION,
        edge: Edge::Zeros,
    }
}

fn embeddings() -> Vec<(EmbeddingSpec, usize)> {
    let resnet = ResNet {
        in_shape: vec![1, 8, 8],
        n_channels: vec![4, 6],
        blocks: 2,
        kernel_size: 3,
        groups: 2,
        n_output: 3,
        activation: ACTIVATION,
        edge: Edge::Periodic,
    };
    vec![
        (EmbeddingSpec::Cnn(cnn()), 96),
        (EmbeddingSpec::Cnn(Cnn { in_shape: vec![3, 32], edge: Edge::Valid, ..cnn() }), 96),
        (EmbeddingSpec::Cnn(Cnn { in_shape: vec![1, 4, 6, 4], ..cnn() }), 96),
        (EmbeddingSpec::ResNet(resnet.clone()), 64),
        (EmbeddingSpec::ResNet(ResNet { in_shape: vec![2, 16], edge: Edge::Zeros, ..resnet }), 32),
        (
            EmbeddingSpec::DeepSet(DeepSet {
                in_shape: [6, 2],
                n_features: vec![5],
                pooling: SetPooling::Max,
                n_hiddens: vec![4, 2],
                activation: ACTIVATION,
            }),
            12,
        ),
        (
            EmbeddingSpec::SetTransformer(SetTransformer {
                in_shape: [6, 2],
                width: 4,
                heads: 2,
                layers: 2,
                inner: 6,
                inducing: 0,
                seeds: 2,
                n_hiddens: vec![3],
                activation: ACTIVATION,
            }),
            12,
        ),
        (
            EmbeddingSpec::Transformer(Transformer {
                in_shape: [6, 2],
                width: 4,
                heads: 2,
                layers: 2,
                inner: 6,
                dropout: 0.1,
                pooling: SetPooling::Mean,
                n_hiddens: vec![3],
                activation: ACTIVATION,
            }),
            12,
        ),
        (
            EmbeddingSpec::GraphNet(GraphNet {
                in_shape: [6, 2],
                axes: 2,
                neighbours: 3,
                radius: Some(2.0),
                period: None,
                hidden: 5,
                rounds: 2,
                pooling: SetPooling::Mean,
                n_hiddens: vec![3],
                activation: ACTIVATION,
            }),
            12,
        ),
    ]
}

fn networks() -> Vec<(String, Layout, Arc<Graph>)> {
    let mut all = Vec::new();
    for (spec, features) in embeddings() {
        let mut layout = Layout::new();
        let mut g = GraphBuilder::new(&mut layout);
        let x = g.input(features);
        let y = spec.apply(&mut g, x);
        let graph = Arc::new(g.finish(&[y]));
        assert_eq!(graph.output_features(), [spec.out_features(features)]);
        all.push((format!("{spec:?}"), layout, graph));
    }
    for (extent, edge) in [(&[8usize, 4][..], Edge::Periodic), (&[4, 4, 4], Edge::Zeros), (&[12], Edge::Zeros)] {
        let net = UNet { n_channels: vec![4, 6, 4], blocks: 1, kernel_size: 3, groups: 2, n_output: 2, activation: ACTIVATION, edge };
        let mut layout = Layout::new();
        let mut g = GraphBuilder::new(&mut layout);
        let x = Grid::input(&mut g, extent, 3);
        let y = net.apply(&mut g, &x).expect("fits");
        assert_eq!((y.extent.as_slice(), y.channels), (extent, 2));
        let y = y.to_features(&mut g, Order::ChannelsFirst);
        let graph = Arc::new(g.finish(&[y]));
        all.push((format!("{net:?} on {extent:?}"), layout, graph));
    }
    all
}

fn normals(purpose: &str, n: usize) -> Vec<f32> {
    let mut rng = Seed(21).stream(purpose, 0);
    (0..n).map(|_| rng.normal() as f32).collect()
}

/// One step on the loss Σ w · output; the gradient.
fn gradient(graph: &Arc<Graph>, layout: &Layout, params: &[f32], rows: usize, threads: usize) -> (f64, Vec<f32>) {
    let x = normals("x", rows * graph.input_features()[0]);
    let width = graph.output_features()[0];
    let weights = normals("weights", rows * width);
    let mut step = Step::new(graph, layout.len(), None, Simd::best(), &Threads::new(threads));
    let (loss, _) = step.fused(
        params,
        rows,
        |range, frame| frame.fill_input(0, &x[range.start * frame.input_features(0)..]),
        |range, frame| {
            let lanes = frame.lanes();
            let weight = |f: usize, l: usize| if l < range.len() { weights[(range.start + l) * width + f] } else { 0.0 };
            let loss = (0..width * lanes).map(|i| f64::from(frame.output(0)[i]) * f64::from(weight(i / lanes, i % lanes))).sum();
            frame.output_gradient_mut(0).iter_mut().enumerate().for_each(|(i, g)| *g = weight(i / lanes, i % lanes));
            loss
        },
    );
    (loss, step.gradient().to_vec())
}

/// A silently dropped gradient would be exactly zero.
#[test]
fn every_parameter_has_a_gradient_and_threads_do_not_matter() {
    for (name, layout, graph) in networks() {
        let params = layout.initialise(Seed(5));
        let (_, one) = gradient(&graph, &layout, &params, 37, 1);
        for parameter in layout.parameters() {
            let part = &one[parameter.range.clone()];
            // The key's bias shifts all scores of a query alike: its true gradient is zero, rounding leaves a trace.
            let vanishes = parameter.name.ends_with("attention.key.bias");
            assert!(vanishes || part.iter().any(|g| g.abs() > 1e-6), "{name}: `{}` has no gradient", parameter.name);
        }
        for threads in [2, 3] {
            assert!(gradient(&graph, &layout, &params, 37, threads).1 == one, "{name}: {threads} threads");
        }
    }
}

/// Along random directions the slope of the loss is the gradient's: errors of f32 values divided by the step allow 1 %.
#[test]
fn gradients_are_slopes_along_random_directions() {
    for (name, layout, graph) in networks() {
        let params = layout.initialise(Seed(5));
        let (_, gradient_at) = gradient(&graph, &layout, &params, 5, 1);
        let norm: f64 = gradient_at.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        for trial in 0..3 {
            // A direction that the loss surely changes along: the gradient's, with half of its elements.
            let mut rng = Seed(trial).stream("direction", 0);
            let direction: Vec<f32> =
                gradient_at.iter().map(|g| if rng.uniform() < 0.5 { (f64::from(*g) / norm) as f32 } else { 0.0 }).collect();
            let along = |t: f32| {
                let moved: Vec<f32> = params.iter().zip(&direction).map(|(p, d)| p + t * d).collect();
                gradient(&graph, &layout, &moved, 5, 1).0
            };
            let (fine, coarse) = ((along(1e-2) - along(-1e-2)) / 2e-2, (along(2e-2) - along(-2e-2)) / 4e-2);
            // Richardson: what is left is of fourth order in the step.
            let slope = (4.0 * fine - coarse) / 3.0;
            let want: f64 = gradient_at.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
            assert!((slope - want).abs() < 1e-2 * want.abs() + 1e-3, "{name}: slope {slope}, gradient {want}");
        }
    }
}

/// A row's result does not depend on its neighbours in the chunk.
#[test]
fn rows_are_independent() {
    for (name, layout, graph) in networks() {
        let params = layout.initialise(Seed(5));
        let width = graph.input_features()[0];
        let x = normals("x", 5 * width);
        let run = |rows: std::ops::Range<usize>| -> Vec<f32> {
            let mut frame = Frame::new(&graph, Purpose::Evaluate, 5);
            frame.begin(rows.len());
            frame.fill_input(0, &x[rows.start * width..]);
            frame.forward(Simd::best(), &params);
            let lanes = frame.lanes();
            let out = frame.output(0);
            (0..rows.len()).flat_map(|l| out.iter().skip(l).step_by(lanes).copied().collect::<Vec<_>>()).collect()
        };
        let all = run(0..5);
        let one = run(3..4);
        assert_eq!(all[3 * one.len()..4 * one.len()], one, "{name}");
    }
}

#[test]
fn what_does_not_fit_is_told() {
    let message = |spec: EmbeddingSpec, features| spec.check(features).expect_err("does not fit").to_string();
    assert_eq!(message(EmbeddingSpec::Cnn(cnn()), 95), "the network takes [2, 8, 6], which is 96 values, but a datum has 95");
    let lists = Cnn { strides: vec![1, 1, 1], ..cnn() };
    assert_eq!(message(EmbeddingSpec::Cnn(lists), 96), "`strides` has 3 entries for 2 layers");
    let small = Cnn { kernel_sizes: vec![3, 9], edge: Edge::Valid, ..cnn() };
    assert!(message(EmbeddingSpec::Cnn(small), 96).contains("a kernel of 9 does not fit"));
    let four = Cnn { in_shape: vec![1, 2, 2, 2, 2], ..cnn() };
    assert!(message(EmbeddingSpec::Cnn(four), 16).contains("4 axes"));
}

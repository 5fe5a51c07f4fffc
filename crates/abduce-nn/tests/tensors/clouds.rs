//! Message passing against its definition, and symmetries of networks on sets.

use crate::harness::{ROWS, Tensor, check};
use abduce_data::Seed;
use abduce_kernels::Simd;
use abduce_nn::layers::{Collect, Gathering, Grid, Neighbourhood, Neighbours, Pairs};
use abduce_nn::nets::{DeepSet, GraphNet, SetPooling, SetTransformer};
use abduce_nn::{ActivationName, EmbeddingSpec, Frame, GraphBuilder, Layout, Purpose};
use std::sync::Arc;

fn neighbours_of(cloud: &[f32], axes: usize, rule: Neighbourhood) -> (usize, Vec<f32>) {
    let mut layout = Layout::new();
    let mut g = GraphBuilder::new(&mut layout);
    let x = Grid::input(&mut g, &[cloud.len() / axes], axes);
    let list = Neighbours::apply(&mut g, "n", &x, axes, rule).expect("fits");
    let graph = Arc::new(g.finish(&[list.value]));
    let mut frame = Frame::new(&graph, Purpose::Evaluate, 1);
    frame.begin(1);
    frame.fill_input(0, cloud);
    frame.forward(Simd::best(), &[]);
    (list.channels, frame.output(0).to_vec())
}

/// The nearest by sorting all distances.
#[test]
fn neighbours_are_the_nearest_within_the_radius_in_a_box_or_outside() {
    let mut rng = Seed(11).stream("cloud", 0);
    let (n, axes, most) = (30, 2, 4);
    let cloud: Vec<f32> = (0..n * axes).map(|_| rng.uniform() as f32).collect();
    for (radius, period) in [(f32::INFINITY, None), (0.2, None), (0.25, Some(1.0)), (f32::INFINITY, Some(1.0))] {
        let (width, list) = neighbours_of(&cloud, axes, Neighbourhood::Near { most, radius, period });
        for i in 0..n {
            let apart = |j: usize| -> Vec<f32> {
                (0..axes)
                    .map(|a| {
                        let d = cloud[j * axes + a] - cloud[i * axes + a];
                        period.map_or(d, |p| d - p * (d / p).round())
                    })
                    .collect()
            };
            let square = |j: usize| apart(j).iter().map(|d| d * d).sum::<f32>();
            let mut others: Vec<usize> = (0..n).filter(|&j| j != i && square(j) <= radius * radius).collect();
            others.sort_by(|&a, &b| square(a).total_cmp(&square(b)));
            others.truncate(most);
            for (place, pair) in list[i * most * width..(i + 1) * most * width].chunks_exact(width).enumerate() {
                match others.get(place) {
                    None => assert!(pair.iter().all(|&v| v == 0.0), "{pair:?}"),
                    Some(&j) => {
                        assert_eq!((pair[0], pair[1]), (j as f32, 1.0));
                        assert_eq!(pair[2..2 + axes], apart(j));
                        assert_eq!(pair[2 + axes], square(j).sqrt());
                    }
                }
            }
        }
    }
    let (_, given) = neighbours_of(&[0.0, 3.0, 7.0], 1, Neighbourhood::Given(Arc::new(vec![vec![2], vec![], vec![0, 1]])));
    let pair = |j: f32, d: f32| [j, 1.0, d, d.abs()];
    assert_eq!(given, [pair(2.0, 7.0), [0.0; 4], [0.0; 4], [0.0; 4], pair(0.0, -7.0), pair(1.0, -4.0)].concat());
}

/// Neighbours as data: two places per point, of which some are empty.
fn list() -> Vec<f32> {
    let pair = |j: f32, d: f32| [j, 1.0, d, d.abs()];
    [pair(2.0, 0.5), pair(1.0, -0.25), pair(0.0, 0.25), [0.0; 4], pair(1.0, 0.75), pair(0.0, -0.5)].concat()
}

#[test]
fn messages_go_to_and_from_the_neighbours_that_exist() {
    let from_points = |x: &Tensor, combine: &dyn Fn(usize, Option<usize>, usize) -> Vec<f64>, channels: usize| -> Tensor {
        let list = list();
        let data = (0..3).flat_map(|i| (0..2).map(move |k| (i, k))).flat_map(|(i, k)| {
            let pair = &list[(i * 2 + k) * 4..][..4];
            combine(i, (pair[1] != 0.0).then_some(pair[0] as usize), (i * 2 + k) * 4)
        });
        assert_eq!(x.extent, [3]);
        Tensor { extent: vec![3, 2], channels, data: data.collect() }
    };
    check(
        "pairs",
        &[(&[3], 2)],
        1e-5,
        |g, x| {
            let list = Grid { value: g.apply(Fixed(list()), &[x[0].value]), extent: vec![3, 2], channels: 4 };
            Pairs::apply(g, &x[0], &list)
        },
        |_, x| {
            let of = |j: usize| x[0].data[j * 2..j * 2 + 2].to_vec();
            let numbers = list();
            from_points(
                &x[0],
                &|i, j, at| match j {
                    None => vec![0.0; 6],
                    Some(j) => [of(i), of(j), vec![f64::from(numbers[at + 2]), f64::from(numbers[at + 3])]].concat(),
                },
                6,
            )
        },
    );
    for gathering in [Gathering::Sum, Gathering::Mean] {
        check(
            &format!("collect {gathering:?}"),
            &[(&[3, 2], 5)],
            1e-5,
            |g, x| {
                let list = Grid { value: g.apply(Fixed(list()), &[x[0].value]), extent: vec![3, 2], channels: 4 };
                Collect::apply(g, &x[0], &list, gathering)
            },
            |_, x| {
                let exists: Vec<bool> = list().chunks_exact(4).map(|p| p[1] != 0.0).collect();
                let mut y = Tensor::zeros(&[3], 5);
                for i in 0..3 {
                    let count = exists[2 * i..2 * i + 2].iter().filter(|e| **e).count() as f64;
                    let scale = if gathering == Gathering::Mean { 1.0 / count } else { 1.0 };
                    for k in (0..2).filter(|k| exists[2 * i + k]) {
                        (0..5).for_each(|c| y.data[i * 5 + c] += scale * x[0].data[(2 * i + k) * 5 + c]);
                    }
                }
                y
            },
        );
    }
}

/// The same numbers for every row, whatever the input is.
#[derive(Debug)]
struct Fixed(Vec<f32>);

impl abduce_nn::Layer for Fixed {
    fn output_features(&self, _inputs: &[usize]) -> Vec<usize> {
        vec![self.0.len()]
    }
    fn output_form(&self, _inputs: &[abduce_nn::layer::Form]) -> abduce_nn::layer::Form {
        abduce_nn::layer::Form::Rows
    }
    fn forward(&self, at: &mut abduce_nn::layer::Forward<'_>) {
        assert_eq!(at.rows, ROWS);
        at.outputs[0].chunks_exact_mut(self.0.len()).for_each(|row| row.copy_from_slice(&self.0));
    }
    fn backward(&self, at: &mut abduce_nn::layer::Backward<'_>) {
        if let Some(slot) = &mut at.grad_inputs[0]
            && slot.update == abduce_kernels::elementwise::Update::Overwrite
        {
            slot.data.fill(0.0);
        }
    }
}

fn summaries(spec: &EmbeddingSpec, x: &[f32]) -> Vec<f32> {
    let mut layout = Layout::new();
    let mut g = GraphBuilder::new(&mut layout);
    let input = g.input(x.len());
    let y = spec.apply(&mut g, input);
    let graph = Arc::new(g.finish(&[y]));
    let mut frame = Frame::new(&graph, Purpose::Evaluate, 1);
    frame.begin(1);
    frame.fill_input(0, x);
    frame.forward(Simd::best(), &layout.initialise(Seed(8)));
    let lanes = frame.lanes();
    frame.output(0).iter().step_by(lanes).copied().collect()
}

#[test]
fn networks_on_sets_do_not_see_the_order_and_graph_networks_not_the_place() {
    let activation = ActivationName::SiLU;
    let (n, c) = (12, 4);
    let hiddens = vec![8, 3];
    let sets = [
        EmbeddingSpec::DeepSet(DeepSet {
            in_shape: [n, c],
            n_features: vec![16, 8],
            pooling: SetPooling::Mean,
            n_hiddens: hiddens.clone(),
            activation,
        }),
        EmbeddingSpec::SetTransformer(SetTransformer {
            in_shape: [n, c],
            width: 8,
            heads: 2,
            layers: 1,
            inner: 16,
            inducing: 3,
            seeds: 2,
            n_hiddens: hiddens.clone(),
            activation,
        }),
        EmbeddingSpec::GraphNet(GraphNet {
            in_shape: [n, c],
            axes: 3,
            neighbours: 4,
            radius: None,
            period: None,
            hidden: 8,
            rounds: 2,
            pooling: SetPooling::Sum,
            n_hiddens: hiddens,
            activation,
        }),
    ];
    let mut rng = Seed(12).stream("set", 0);
    let x: Vec<f32> = (0..n * c).map(|_| rng.normal() as f32).collect();
    let mut order: Vec<usize> = (0..n).collect();
    rng.shuffle(&mut order);
    let shuffled: Vec<f32> = order.iter().flat_map(|&i| x[i * c..(i + 1) * c].to_vec()).collect();
    // Sums over members in another order, through a few layers.
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5 * (1.0 + a.abs()));
    for spec in &sets {
        let want = summaries(spec, &x);
        assert!(close(&want, &summaries(spec, &shuffled)), "{spec:?}");
        let mut changed = x.clone();
        changed[5] += 0.5;
        assert!(!close(&want, &summaries(spec, &changed)), "{spec:?} sees nothing");
    }
    let moved: Vec<f32> = x.iter().enumerate().map(|(i, v)| if i % c < 3 { v + 2.0 } else { *v }).collect();
    let tolerance = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + a.abs()));
    assert!(tolerance(&summaries(&sets[2], &x), &summaries(&sets[2], &moved)));
}

//! One layer against its f64 reference: values, and gradients against central differences of the reference.

use abduce_data::Seed;
use abduce_kernels::Simd;
use abduce_nn::layers::{Add, Grid};
use abduce_nn::{Frame, GraphBuilder, Layout, Purpose};
use std::sync::Arc;

/// About how many elements of a parameter vector or an input are moved.
const MOST: usize = 400;

/// Rows of every check: more than one, and no whole vector.
pub(crate) const ROWS: usize = 3;

/// A tensor (extent…, channels) of one row in f64.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) extent: Vec<usize>,
    pub(crate) channels: usize,
    pub(crate) data: Vec<f64>,
}

impl Tensor {
    pub(crate) fn zeros(extent: &[usize], channels: usize) -> Self {
        Self { extent: extent.to_vec(), channels, data: vec![0.0; extent.iter().product::<usize>() * channels] }
    }

    /// `row` at every position.
    pub(crate) fn filled(extent: &[usize], row: &[f64]) -> Self {
        Self { extent: extent.to_vec(), channels: row.len(), data: row.repeat(extent.iter().product()) }
    }

    /// Coordinates of all positions, in order.
    pub(crate) fn positions(&self) -> Vec<Vec<usize>> {
        positions(&self.extent)
    }

    pub(crate) fn at(&self, position: &[usize], channel: usize) -> usize {
        let index = position.iter().zip(&self.extent).fold(0, |index, (p, n)| index * n + p);
        index * self.channels + channel
    }
}

pub(crate) fn positions(extent: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for &n in extent {
        all = all.iter().flat_map(|head| (0..n).map(move |i| [head.as_slice(), &[i]].concat())).collect();
    }
    all
}

/// Named parameters in f64, for references.
pub(crate) struct Params<'a> {
    layout: &'a Layout,
    values: Vec<f64>,
}

impl Params<'_> {
    pub(crate) fn get(&self, name: &str) -> &[f64] {
        let parameter = self.layout.parameters().iter().find(|p| p.name == name).unwrap_or_else(|| panic!("no parameter {name}"));
        &self.values[parameter.range.clone()]
    }
}

/// Builds `layer` on inputs of the given shapes and compares it with `reference` at every SIMD level.
///
/// The layer stands in the graph twice, with the same parameters and inputs, and its outputs are added: so all its gradients are written once and
/// accumulated once. `tolerance` is relative to the largest element of what is compared.
pub(crate) fn check(
    what: &str,
    inputs: &[(&[usize], usize)],
    tolerance: f64,
    layer: impl Fn(&mut GraphBuilder<'_>, &[Grid]) -> Grid,
    reference: impl Fn(&Params<'_>, &[Tensor]) -> Tensor,
) {
    let mut layout = Layout::new();
    let mut g = GraphBuilder::new(&mut layout);
    let grids: Vec<Grid> = inputs.iter().map(|(extent, channels)| Grid::input(&mut g, extent, *channels)).collect();
    let (one, two) = (layer(&mut g, &grids), layer(&mut g, &grids));
    let sum = one.map(&mut g, Add, &[&two]);
    let graph = Arc::new(g.finish(&[sum.value]));

    let mut rng = Seed(3).stream(what, 0);
    let mut normals = |n: usize| (0..n).map(|_| rng.normal() as f32).collect::<Vec<_>>();
    let params = normals(layout.len());
    let x: Vec<Vec<f32>> = graph.input_features().iter().map(|n| normals(ROWS * n)).collect();
    let width = graph.output_features()[0];
    let weights = normals(ROWS * width);

    let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let outputs = |params: &[f64], x: &[Vec<f64>]| -> Vec<f64> {
        let named = Params { layout: &layout, values: params.to_vec() };
        let row = |r: usize| -> Vec<f64> {
            let tensors: Vec<Tensor> = inputs
                .iter()
                .zip(x)
                .map(|((extent, channels), x)| {
                    let n = x.len() / ROWS;
                    Tensor { extent: extent.to_vec(), channels: *channels, data: x[r * n..(r + 1) * n].to_vec() }
                })
                .collect();
            let y = reference(&named, &tensors);
            assert_eq!((&y.extent, y.channels), (&sum.extent, sum.channels), "{what}: shape");
            y.data.iter().map(|v| 2.0 * v).collect()
        };
        (0..ROWS).flat_map(row).collect()
    };
    let loss = |params: &[f64], x: &[Vec<f64>]| -> f64 { outputs(params, x).iter().zip(&weights).map(|(y, &w)| y * f64::from(w)).sum() };
    let (params64, x64): (Vec<f64>, Vec<Vec<f64>>) = (wide(&params), x.iter().map(|x| wide(x)).collect());
    let want: Vec<Option<f64>> = outputs(&params64, &x64).into_iter().map(Some).collect();
    const STEP: f64 = 1e-5;
    let slope = |f: &dyn Fn(f64) -> f64| (f(STEP) - f(-STEP)) / (2.0 * STEP);
    // Of many parameters some, evenly spread; an odd stride meets all channels.
    let stride = (params.len() / MOST) | 1;
    let by_params: Vec<Option<f64>> = (0..params.len())
        .map(|i| {
            i.is_multiple_of(stride).then(|| {
                slope(&|d| {
                    let mut moved = params64.clone();
                    moved[i] += d;
                    loss(&moved, &x64)
                })
            })
        })
        .collect();
    let by_inputs: Vec<Vec<Option<f64>>> = (0..x.len())
        .map(|k| {
            let stride = (x[k].len() / MOST) | 1;
            (0..x[k].len())
                .map(|i| {
                    i.is_multiple_of(stride).then(|| {
                        slope(&|d| {
                            let mut moved = x64.clone();
                            moved[k][i] += d;
                            loss(&params64, &moved)
                        })
                    })
                })
                .collect()
        })
        .collect();

    let mut frame = Frame::new(&graph, Purpose::InputGradients, ROWS);
    for simd in Simd::all() {
        let largest = |all: &[Option<f64>]| all.iter().flatten().fold(1e-3f64, |m, v| m.max(v.abs()));
        let close = |part: &str, got: &[f32], want: &[Option<f64>], size: f64| {
            assert_eq!(got.len(), want.len(), "{what}: {part}");
            for (i, (g, w)) in got.iter().zip(want).enumerate() {
                let Some(w) = w else { continue };
                assert!((f64::from(*g) - w).abs() <= tolerance * size, "{what} at {simd}: {part} {i} is {g} instead of {w}");
            }
        };
        frame.begin(ROWS);
        x.iter().enumerate().for_each(|(i, x)| frame.fill_input(i, x));
        frame.forward(simd, &params);
        close("value", frame.output(0), &want, largest(&want));
        frame.output_gradient_mut(0).copy_from_slice(&weights);
        let mut gradient = vec![0.0; layout.len()];
        frame.backward(simd, &params, Some(&mut gradient));
        for parameter in layout.parameters() {
            // Relative to all parameters: the true gradient of a key's bias is zero, because it shifts all scores of a query alike.
            close(&parameter.name, &gradient[parameter.range.clone()], &by_params[parameter.range.clone()], largest(&by_params));
            assert!(gradient[parameter.range.clone()].iter().any(|&g| g != 0.0), "{what}: `{}` gets no gradient", parameter.name);
        }
        for (k, want) in by_inputs.iter().enumerate() {
            let got = frame.input_gradient(k).unwrap_or_else(|| panic!("{what}: no gradient by input {k}"));
            close("input gradient", got, want, largest(want));
        }
    }
}

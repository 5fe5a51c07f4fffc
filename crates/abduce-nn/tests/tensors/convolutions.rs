//! Convolutions, transposes, pooling and normalisations against plain f64 loops.

use crate::harness::{Params, Tensor, check, positions};
use abduce_kernels::elementwise::Activation;
use abduce_nn::layers::{Border, ChannelNorm, Conv, GlobalPool, Grid, GroupNorm, Pad, Pool, Pooling};

/// The patches of a convolution.
#[derive(Clone, Copy)]
struct Patches {
    kernel: usize,
    stride: usize,
    pad: usize,
    border: Border,
}

impl Patches {
    /// Every (p, t, q) where tap number t of the patch at the coarse position p lies on the fine position q = s p + t - pad; on a torus for periodic borders.
    fn meetings(self, coarse: &[usize], fine: &[usize]) -> Vec<(Vec<usize>, usize, Vec<usize>)> {
        let taps = positions(&vec![self.kernel; fine.len()]);
        let mut all = Vec::new();
        for p in positions(coarse) {
            for (t, tap) in taps.iter().enumerate() {
                let along = |d: usize| -> Option<usize> {
                    let (q, n) = ((self.stride * p[d] + tap[d]) as isize - self.pad as isize, fine[d] as isize);
                    match self.border {
                        Border::Periodic => Some(q.rem_euclid(n) as usize),
                        Border::Zeros => (0..n).contains(&q).then_some(q as usize),
                    }
                };
                if let Some(q) = (0..p.len()).map(along).collect() {
                    all.push((p.clone(), t, q));
                }
            }
        }
        all
    }

    /// coarse[p] = b + Σ fine[q] W[t], straight from the definition.
    fn convolve(self, fine: &Tensor, params: &Params<'_>, extent: &[usize], channels: usize) -> Tensor {
        let mut y = Tensor::filled(extent, params.get("c.bias"));
        let weight = params.get("c.weight");
        for (p, t, q) in self.meetings(extent, &fine.extent) {
            for o in 0..channels {
                let place = y.at(&p, o);
                for i in 0..fine.channels {
                    y.data[place] += fine.data[fine.at(&q, i)] * weight[(t * fine.channels + i) * channels + o];
                }
            }
        }
        y
    }

    /// fine[q] = b + Σ coarse[p] W[t]ᵀ.
    fn transpose(self, coarse: &Tensor, params: &Params<'_>, extent: &[usize], channels: usize) -> Tensor {
        let mut y = Tensor::filled(extent, params.get("c.bias"));
        let weight = params.get("c.weight");
        for (p, t, q) in self.meetings(&coarse.extent, extent) {
            for o in 0..channels {
                let place = y.at(&q, o);
                for i in 0..coarse.channels {
                    y.data[place] += coarse.data[coarse.at(&p, i)] * weight[(t * channels + o) * coarse.channels + i];
                }
            }
        }
        y
    }
}

fn conv(g: &mut abduce_nn::GraphBuilder<'_>, conv: Conv, x: &Grid) -> Grid {
    conv.apply(g, "c", x).expect("a fitting layer")
}

/// Sums of at most a few hundred products in f32: 1e-5 of the largest.
const ROUNDING: f64 = 1e-5;

#[test]
fn convolutions_are_those_of_the_definition() {
    type Case = (&'static [usize], usize, usize, usize, usize, usize, Border);
    // extent, in, out, kernel, stride, pad
    let cases: [Case; 10] = [
        (&[9], 2, 3, 3, 1, 1, Border::Zeros),
        (&[10], 1, 20, 4, 2, 1, Border::Zeros),
        (&[5, 6], 3, 2, 3, 1, 1, Border::Zeros),
        (&[7, 5], 2, 5, 3, 2, 1, Border::Zeros),
        (&[7, 6], 2, 3, 2, 3, 0, Border::Zeros),
        (&[4, 4], 1, 2, 1, 1, 0, Border::Zeros),
        (&[6, 4], 2, 3, 3, 1, 1, Border::Periodic),
        (&[6, 4], 2, 3, 4, 2, 1, Border::Periodic),
        (&[3, 4, 3], 2, 2, 3, 1, 1, Border::Zeros),
        (&[4, 2, 4], 1, 3, 3, 2, 1, Border::Periodic),
    ];
    for (extent, input, output, kernel, stride, pad, border) in cases {
        let layer = Conv::new(output, kernel).stride(stride).pad(Pad::By(pad)).border(border);
        let coarse: Vec<usize> =
            extent.iter().map(|n| if border == Border::Periodic { n / stride } else { (n + 2 * pad - kernel) / stride + 1 }).collect();
        check(
            &format!("conv {extent:?} {input}-{output} k{kernel} s{stride} p{pad} {border:?}"),
            &[(extent, input)],
            ROUNDING,
            |g, x| conv(g, layer, &x[0]),
            |params, x| Patches { kernel, stride, pad, border }.convolve(&x[0], params, &coarse, output),
        );
    }
}

#[test]
fn transposed_convolutions_are_those_of_the_definition() {
    type Case = (&'static [usize], usize, usize, usize, usize, usize, usize, Border);
    // extent, in, out, kernel, stride, pad, output padding
    let cases: [Case; 7] = [
        (&[5], 2, 3, 4, 2, 1, 0, Border::Zeros),
        (&[4, 3], 3, 2, 4, 2, 1, 0, Border::Zeros),
        (&[3, 4], 2, 20, 3, 2, 1, 1, Border::Zeros),
        (&[3, 3], 2, 2, 2, 3, 0, 1, Border::Zeros),
        (&[4, 3], 2, 3, 3, 1, 1, 0, Border::Zeros),
        (&[3, 4], 2, 2, 4, 2, 1, 0, Border::Periodic),
        (&[2, 3, 2], 1, 2, 3, 2, 0, 0, Border::Zeros),
    ];
    for (extent, input, output, kernel, stride, pad, extra, border) in cases {
        let layer = Conv::transposed(output, kernel, stride).pad(Pad::By(pad)).output_padding(extra).border(border);
        let fine: Vec<usize> = extent
            .iter()
            .map(|n| if border == Border::Periodic { n * stride } else { (n - 1) * stride + kernel + extra - 2 * pad })
            .collect();
        check(
            &format!("transposed conv {extent:?} {input}-{output} k{kernel} s{stride} p{pad} {border:?}"),
            &[(extent, input)],
            ROUNDING,
            |g, x| conv(g, layer, &x[0]),
            |params, x| Patches { kernel, stride, pad, border }.transpose(&x[0], params, &fine, output),
        );
    }
}

/// Many channels: packed panels of several widths, and a depth of several blocks.
#[test]
fn wide_convolutions_are_those_of_the_definition() {
    check(
        "wide conv",
        &[(&[2, 2], 33)],
        ROUNDING,
        |g, x| conv(g, Conv::new(70, 3).pad(Pad::Same), &x[0]),
        |params, x| Patches { kernel: 3, stride: 1, pad: 1, border: Border::Zeros }.convolve(&x[0], params, &[2, 2], 70),
    );
}

#[test]
fn same_padding_keeps_the_extent() {
    let mut layout = abduce_nn::Layout::new();
    let mut g = abduce_nn::GraphBuilder::new(&mut layout);
    let x = Grid::input(&mut g, &[7, 8], 1);
    for (kernel, stride, want) in [(3, 1, [7, 8]), (4, 1, [7, 8]), (3, 2, [4, 4]), (1, 3, [3, 3])] {
        let y = Conv::new(1, kernel).stride(stride).apply(&mut g, &format!("{kernel} {stride}"), &x).expect("fits");
        assert_eq!(y.extent, want);
    }
    let y = Conv::transposed(1, 4, 2).apply(&mut g, "up", &x).expect("fits");
    assert_eq!(y.extent, [14, 16]);
    let error = Conv::new(1, 9).pad(Pad::By(0)).apply(&mut g, "long", &x).expect_err("too long");
    assert_eq!(error.to_string(), "layer `long`: a kernel of 9 does not fit an axis of 7 with 0 beyond each edge");
    let error = Conv::new(1, 3).stride(2).border(Border::Periodic).apply(&mut g, "torus", &x).expect_err("odd axis");
    assert!(error.to_string().contains("not a multiple"), "{error}");
    assert!(Conv::new(0, 3).apply(&mut g, "none", &x).is_err());
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

#[test]
fn group_normalisation_is_that_of_the_formula() {
    for (extent, channels, groups) in [(&[3usize, 2][..], 6, 3), (&[5], 20, 2), (&[2, 3, 2], 4, 4), (&[7], 3, 1)] {
        check(
            &format!("group norm {extent:?} {channels}/{groups}"),
            &[(extent, channels)],
            // 1/σ multiplies the rounding.
            3.0 * ROUNDING,
            |g, x| GroupNorm::apply(g, "n", &x[0], groups, Some(Activation::Silu)).expect("groups divide"),
            |params, x| {
                let (x, width) = (&x[0], channels / groups);
                let mut y = x.clone();
                for group in 0..groups {
                    let members: Vec<usize> = (0..x.data.len()).filter(|i| i % channels / width == group).collect();
                    let n = members.len() as f64;
                    let mean = members.iter().map(|&i| x.data[i]).sum::<f64>() / n;
                    let variance = members.iter().map(|&i| (x.data[i] - mean).powi(2)).sum::<f64>() / n;
                    for i in members {
                        let normal = (x.data[i] - mean) / (variance + 1e-5).sqrt();
                        y.data[i] = silu(normal * params.get("n.gain")[i % channels] + params.get("n.shift")[i % channels]);
                    }
                }
                y
            },
        );
    }
}

#[test]
fn channel_normalisations_are_those_of_the_formulas() {
    for channels in [5, 16, 37] {
        let normalised = |x: &Tensor, centred: bool| {
            let mut y = x.clone();
            for row in y.data.chunks_exact_mut(channels) {
                let mean = if centred { row.iter().sum::<f64>() / channels as f64 } else { 0.0 };
                let square = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / channels as f64;
                row.iter_mut().for_each(|v| *v = (*v - mean) / (square + 1e-5).sqrt());
            }
            y
        };
        check(
            &format!("layer norm {channels}"),
            &[(&[4], channels)],
            3.0 * ROUNDING,
            |g, x| ChannelNorm::layer(g, "n", &x[0], Some(Activation::Tanh)),
            |params, x| {
                let mut y = normalised(&x[0], true);
                for (i, v) in y.data.iter_mut().enumerate() {
                    *v = (*v * params.get("n.gain")[i % channels] + params.get("n.shift")[i % channels]).tanh();
                }
                y
            },
        );
        check(
            &format!("rms norm {channels}"),
            &[(&[4], channels)],
            3.0 * ROUNDING,
            |g, x| ChannelNorm::root_mean_square(g, "n", &x[0], None),
            |params, x| {
                let mut y = normalised(&x[0], false);
                y.data.iter_mut().enumerate().for_each(|(i, v)| *v *= params.get("n.gain")[i % channels]);
                y
            },
        );
    }
}

#[test]
fn pooling_is_that_of_the_definition() {
    for pooling in [Pooling::Max, Pooling::Mean, Pooling::Sum] {
        for (extent, size) in [(&[5usize, 4][..], 2), (&[7], 3), (&[2, 4, 3], 2)] {
            let coarse: Vec<usize> = extent.iter().map(|n| n / size).collect();
            let reduce = |values: &[f64]| match pooling {
                Pooling::Max => values.iter().fold(f64::NEG_INFINITY, |m, v| m.max(*v)),
                Pooling::Mean => values.iter().sum::<f64>() / values.len() as f64,
                Pooling::Sum => values.iter().sum(),
            };
            check(
                &format!("{pooling:?} pool {extent:?}"),
                &[(extent, 3)],
                ROUNDING,
                |g, x| Pool::apply(g, "p", &x[0], pooling, size).expect("fits"),
                |_, x| {
                    let mut y = Tensor::zeros(&coarse, 3);
                    for p in y.positions() {
                        for c in 0..3 {
                            let values: Vec<f64> = positions(&vec![size; extent.len()])
                                .iter()
                                .map(|t| x[0].data[x[0].at(&p.iter().zip(t).map(|(p, t)| p * size + t).collect::<Vec<_>>(), c)])
                                .collect();
                            let place = y.at(&p, c);
                            y.data[place] = reduce(&values);
                        }
                    }
                    y
                },
            );
            check(
                &format!("global {pooling:?} pool {extent:?}"),
                &[(extent, 3)],
                ROUNDING,
                |g, x| GlobalPool::apply(g, &x[0], pooling),
                |_, x| Tensor {
                    extent: vec![1],
                    channels: 3,
                    data: (0..3).map(|c| reduce(&x[0].data.iter().copied().skip(c).step_by(3).collect::<Vec<_>>())).collect(),
                },
            );
        }
    }
}

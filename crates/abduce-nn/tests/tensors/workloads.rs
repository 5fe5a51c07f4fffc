//! The networks of `benches/peers/layer_workloads.py`, in which they are described, as graphs. `cargo xtask verify layers` uses them too.

use abduce_kernels::elementwise::Activation;
use abduce_nn::layers::{Activate, Conv, Grid, GroupNorm, Linear, Order, Pad, ShapeError, Sight};
use abduce_nn::nets::{SetPooling, Transformer};
use abduce_nn::{ActivationName, Frame, Graph, GraphBuilder, Layout};
use std::sync::Arc;

/// Full networks for timing, narrow ones for the fixtures of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// As described.
    Full,
    /// Narrow.
    Small,
}

/// A network, and how many rows its batch has.
pub(crate) struct Workload {
    pub(crate) layout: Layout,
    pub(crate) graph: Arc<Graph>,
    pub(crate) rows: usize,
}

/// `name` as in the peer's script; `None` if there is no such network.
pub(crate) fn build(name: &str, size: Size) -> Result<Option<Workload>, ShapeError> {
    let pick = |full: usize, small: usize| if size == Size::Full { full } else { small };
    let mut layout = Layout::new();
    let mut g = GraphBuilder::new(&mut layout);
    let silu = Activate(Activation::Silu);
    let (rows, y) = match name {
        "CNN" => {
            let (n, channels) = (pick(32, 16), if size == Size::Full { [12, 24, 48] } else { [3, 4, 6] });
            let dense = if size == Size::Full { [256, 128, 16] } else { [12, 8, 4] };
            let mut h = Grid::input(&mut g, &[n, n], 1);
            let relu = Activate(Activation::Relu);
            for (k, c) in channels.into_iter().enumerate() {
                let conv = Conv::new(c, 4).stride(2).pad(Pad::By(1));
                h = conv.apply(&mut g, &format!("down.{k}"), &h)?.map(&mut g, relu, &[]);
            }
            let flat = h.positions() * h.channels;
            let mut v = h.to_features(&mut g, Order::ChannelsLast);
            for (k, width) in dense.into_iter().chain(dense[..2].iter().rev().copied()).chain([flat]).enumerate() {
                v = Linear::apply(&mut g, &format!("dense.{k}"), &[v], width);
                v = if k == 2 { v } else { g.apply(relu, &[v]) };
            }
            h = Grid::from_features(&mut g, v, &[n / 8, n / 8], channels[2], Order::ChannelsLast);
            for (k, c) in [channels[1], channels[0], 1].into_iter().enumerate() {
                h = Conv::transposed(c, 4, 2).pad(Pad::By(1)).apply(&mut g, &format!("up.{k}"), &h)?;
                h = if k == 2 { h } else { h.map(&mut g, relu, &[]) };
            }
            (pick(64, 5), h)
        }
        "W3" => {
            let c = pick(32, 6);
            let mut h = Grid::input(&mut g, &[pick(32, 5); 2], c);
            for k in 0..pick(8, 3) {
                h = Conv::new(c, 3).apply(&mut g, &format!("conv.{k}"), &h)?;
                h = GroupNorm::apply(&mut g, &format!("norm.{k}"), &h, pick(8, 3), Some(Activation::Silu))?;
            }
            (pick(16, 2), h)
        }
        "W4" => {
            let x = Grid::input(&mut g, &[pick(32, 4); 3], 1);
            let h = Conv::new(pick(32, 5), 3).apply(&mut g, "conv.0", &x)?.map(&mut g, silu, &[]);
            (pick(4, 2), Conv::new(pick(32, 5), 3).apply(&mut g, "conv.1", &h)?)
        }
        "CONV512" => {
            let c = pick(512, 10);
            let x = Grid::input(&mut g, &[pick(16, 4); 2], c);
            let h = Conv::new(c, 3).apply(&mut g, "conv.0", &x)?.map(&mut g, silu, &[]);
            (pick(8, 2), Conv::new(c, 3).apply(&mut g, "conv.1", &h)?)
        }
        "W5" => {
            let x = Grid::input(&mut g, &[pick(128, 7)], pick(256, 8));
            let net = Transformer {
                in_shape: [x.positions(), x.channels],
                width: x.channels,
                heads: pick(4, 2),
                layers: pick(4, 2),
                inner: pick(1024, 12),
                dropout: 0.0,
                pooling: SetPooling::Mean,
                n_hiddens: Vec::new(),
                activation: ActivationName::GELU,
            };
            (pick(8, 2), net.encode(&mut g, &x, Sight::All)?)
        }
        _ => return Ok(None),
    };
    let graph = Arc::new(g.finish(&[y.value]));
    Ok(Some(Workload { layout, graph, rows }))
}

/// One chunk's part of mean((y - target)²), whose gradient is written to the frame.
pub(crate) fn mean_square(frame: &mut Frame, target: &[f32], all: usize) -> f64 {
    let scale = 2.0 / all as f32;
    let loss: f64 = frame.output(0).iter().zip(target).map(|(y, t)| f64::from(y - t).powi(2)).sum();
    let residuals: Vec<f32> = frame.output(0).iter().zip(target).map(|(y, t)| scale * (y - t)).collect();
    frame.output_gradient_mut(0).copy_from_slice(&residuals);
    loss / all as f64
}

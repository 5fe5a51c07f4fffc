//! Networks on images, volumes, sequences, sets and point clouds, each a serialisable description that adds itself to a graph.
//!
//! They take a [`Grid`](crate::layers::Grid) and give one; [`EmbeddingSpec`](crate::EmbeddingSpec) makes summaries of data with them. An encoder and a decoder of images, by hand:
//!
//! ```
//! use abduce_kernels::{Simd, elementwise::Activation};
//! use abduce_nn::layers::{Activate, Conv, Grid, Linear, Order, Pad, ShapeError};
//! use abduce_nn::{Frame, GraphBuilder, Layout, Purpose};
//! use std::sync::Arc;
//!
//! let mut layout = Layout::new();
//! let mut g = GraphBuilder::new(&mut layout);
//! let image = Grid::input(&mut g, &[32, 32], 1);
//! // Encoder: two strided convolutions, then dense layers on feature-major values.
//! let half = |channels| Conv::new(channels, 4).stride(2).pad(Pad::By(1));
//! let h = half(12).apply(&mut g, "encoder.0", &image)?.map(&mut g, Activate(Activation::Relu), &[]);
//! let h = half(24).apply(&mut g, "encoder.1", &h)?.map(&mut g, Activate(Activation::Relu), &[]);
//! let flat = h.to_features(&mut g, Order::ChannelsLast);
//! let code = Linear::apply(&mut g, "encoder.2", &[flat], 16);
//! // Decoder: dense, then transposed convolutions back to 32 x 32.
//! let h = Linear::apply(&mut g, "decoder.0", &[code], 8 * 8 * 24);
//! let h = Grid::from_features(&mut g, h, &[8, 8], 24, Order::ChannelsLast);
//! let h = Conv::transposed(12, 4, 2).apply(&mut g, "decoder.1", &h)?.map(&mut g, Activate(Activation::Relu), &[]);
//! let back = Conv::transposed(1, 4, 2).apply(&mut g, "decoder.2", &h)?;
//! assert_eq!((back.extent.as_slice(), back.channels), ([32, 32].as_slice(), 1));
//! let graph = Arc::new(g.finish(&[back.value, code]));
//! // Images lie row after row, so output 0 is (rows, 32 · 32 · 1); the code is feature-major.
//! let mut frame = Frame::new(&graph, Purpose::Train, 2);
//! frame.begin(2);
//! frame.fill_input(0, &[0.5; 2 * 32 * 32]);
//! frame.forward(Simd::best(), &layout.initialise(abduce_data::Seed(1)));
//! assert_eq!(frame.output(0).len(), 2 * 32 * 32);
//! # Ok::<(), ShapeError>(())
//! ```

mod clouds;
mod images;
mod sequences;
mod unet;

pub use clouds::{DeepSet, GraphNet, SetPooling};
pub use images::{Cnn, Edge, ResNet};
pub use sequences::{SetTransformer, Transformer};
pub use unet::UNet;

use crate::graph::{GraphBuilder, Value};
use crate::layers::{Activate, Linear, ShapeError};
use abduce_kernels::elementwise::Activation;

/// Dense layers on feature-major values, an activation between them and none after the last.
fn dense(g: &mut GraphBuilder<'_>, x: Value, widths: &[usize], activation: Activation) -> Value {
    let mut h = x;
    for (k, &width) in widths.iter().enumerate() {
        if k > 0 {
            h = g.apply(Activate(activation), &[h]);
        }
        h = Linear::apply(g, &format!("dense.{k}"), &[h], width);
    }
    h
}

/// The largest divisor of `channels` that is at most `wished`.
fn groups(channels: usize, wished: usize) -> usize {
    (1..=wished.clamp(1, channels)).rev().find(|g| channels.is_multiple_of(*g)).unwrap_or(1)
}

/// Entry k of a list that may be left out (then `default`).
fn entry(list: &[usize], what: &'static str, layers: usize, k: usize, default: usize) -> Result<usize, ShapeError> {
    match list.len() {
        0 => Ok(default),
        n if n == layers => Ok(list[k]),
        found => Err(ShapeError::Entries { what, found, expected: layers }),
    }
}

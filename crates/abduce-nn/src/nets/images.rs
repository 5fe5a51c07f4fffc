//! Summaries of signals, images and volumes: a plain convolutional network and a residual one.

use super::{dense, entry, groups};
use crate::embedding::ActivationName;
use crate::graph::{GraphBuilder, Value};
use crate::layers::{Activate, Add, Border, Conv, GlobalPool, Grid, GroupNorm, Order, Pad, Pool, Pooling, ShapeError};
use serde::{Deserialize, Serialize};

/// What convolutions find at the edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// Nothing: patches stay inside, and each layer trims the image.
    Valid,
    /// Zeros, so that the extent is kept.
    #[default]
    Zeros,
    /// The other side, so that the extent is kept: the image is a torus.
    Periodic,
}

impl Edge {
    fn conv(self, channels: usize, kernel: usize) -> Conv {
        let conv = Conv::new(channels, kernel);
        match self {
            Self::Valid => conv.pad(Pad::By(0)),
            Self::Zeros => conv,
            Self::Periodic => conv.border(Border::Periodic),
        }
    }
}

/// Per layer: convolution, activation, largest value of patches; then dense layers. In LtU-ILI's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cnn {
    /// Channels and then the extent of a datum.
    pub in_shape: Vec<usize>,
    /// Channels of each convolution.
    pub n_channels: Vec<usize>,
    /// Kernel of each; empty: 3.
    pub kernel_sizes: Vec<usize>,
    /// Stride of each; empty: 1.
    pub strides: Vec<usize>,
    /// Patch of the pooling after each, 1 for none; empty: 1.
    pub pool_sizes: Vec<usize>,
    /// Widths of the dense layers; the last is the number of summaries and has no activation.
    pub n_hiddens: Vec<usize>,
    /// Activation after convolutions and between dense layers.
    pub activation: ActivationName,
    /// What convolutions find at the edge.
    pub edge: Edge,
}

impl Cnn {
    /// Number of summaries.
    pub fn out_features(&self) -> usize {
        self.n_hiddens.last().copied().unwrap_or(0)
    }

    /// Adds the network on a feature-major datum whose features stand as (channels, extent…).
    ///
    /// # Errors
    /// The lists or the data don't fit.
    pub fn apply(&self, g: &mut GraphBuilder<'_>, x: Value) -> Result<Value, ShapeError> {
        let f = self.activation.activation();
        let layers = self.n_channels.len();
        if self.n_hiddens.is_empty() {
            return Err(ShapeError::Zero { layer: "dense".to_owned(), what: "the number of dense layers" });
        }
        let mut h = datum(g, x, &self.in_shape)?;
        for (k, &channels) in self.n_channels.iter().enumerate() {
            let kernel = entry(&self.kernel_sizes, "kernel_sizes", layers, k, 3)?;
            let stride = entry(&self.strides, "strides", layers, k, 1)?;
            let pool = entry(&self.pool_sizes, "pool_sizes", layers, k, 1)?;
            h = self.edge.conv(channels, kernel).stride(stride).apply(g, &format!("conv.{k}"), &h)?;
            h = h.map(g, Activate(f), &[]);
            if pool > 1 {
                h = Pool::apply(g, &format!("pool.{k}"), &h, Pooling::Max, pool)?;
            }
        }
        let flat = h.to_features(g, Order::ChannelsLast);
        Ok(dense(g, flat, &self.n_hiddens, f))
    }
}

/// A residual network with group normalisation (He et al. 2016, arXiv:1603.05027: normalise, activate, convolve), the mean over all positions, and a
/// dense layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNet {
    /// Channels and then the extent of a datum.
    pub in_shape: Vec<usize>,
    /// Channels of each stage; every stage after the first halves the extent.
    pub n_channels: Vec<usize>,
    /// Residual blocks in each stage.
    pub blocks: usize,
    /// Kernel of all convolutions.
    pub kernel_size: usize,
    /// Groups of channels that are normalised together, at most: the next smaller divisor of the channels is taken.
    pub groups: usize,
    /// Number of summaries.
    pub n_output: usize,
    /// Activation inside the blocks.
    pub activation: ActivationName,
    /// What convolutions find at the edge; `Valid` counts as `Zeros`, because a block has to keep the extent.
    pub edge: Edge,
}

impl ResNet {
    /// Number of summaries.
    pub const fn out_features(&self) -> usize {
        self.n_output
    }

    /// Adds the network on a feature-major datum whose features stand as (channels, extent…).
    ///
    /// # Errors
    /// The data don't fit.
    pub fn apply(&self, g: &mut GraphBuilder<'_>, x: Value) -> Result<Value, ShapeError> {
        let f = Some(self.activation.activation());
        let Some(&first) = self.n_channels.first() else {
            return Err(ShapeError::Zero { layer: "stages".to_owned(), what: "the number of stages" });
        };
        let x = datum(g, x, &self.in_shape)?;
        let mut h = self.conv(first).apply(g, "initial", &x)?;
        for (s, &channels) in self.n_channels.iter().enumerate() {
            for b in 0..self.blocks {
                let stride = if s > 0 && b == 0 { 2 } else { 1 };
                h = g.scoped(format!("stages.{s}.{b}"), |g| {
                    let a = GroupNorm::apply(g, "norm.0", &h, groups(h.channels, self.groups), f)?;
                    let a = self.conv(channels).stride(stride).apply(g, "conv.0", &a)?;
                    let a = GroupNorm::apply(g, "norm.1", &a, groups(channels, self.groups), f)?;
                    let a = self.conv(channels).apply(g, "conv.1", &a)?;
                    let trunk = if stride == 1 && h.channels == channels {
                        h.clone()
                    } else {
                        Edge::Zeros.conv(channels, 1).stride(stride).apply(g, "skip", &h)?
                    };
                    Ok(trunk.map(g, Add, &[&a]))
                })?;
            }
        }
        let h = GroupNorm::apply(g, "norm", &h, groups(h.channels, self.groups), f)?;
        let mean = GlobalPool::apply(g, &h, Pooling::Mean).to_features(g, Order::ChannelsLast);
        Ok(dense(g, mean, &[self.n_output], self.activation.activation()))
    }

    fn conv(&self, channels: usize) -> Conv {
        let edge = if self.edge == Edge::Valid { Edge::Zeros } else { self.edge };
        edge.conv(channels, self.kernel_size)
    }
}

/// A flattened datum (channels, extent…) as a tensor.
fn datum(g: &mut GraphBuilder<'_>, x: Value, shape: &[usize]) -> Result<Grid, ShapeError> {
    let (expected, found) = (shape.iter().product(), g.features(x));
    let Some((&channels, extent)) = shape.split_first().filter(|_| expected == found && expected > 0) else {
        return Err(ShapeError::Input { shape: shape.to_vec(), expected, found });
    };
    if !(1..=3).contains(&extent.len()) {
        return Err(ShapeError::Axes(extent.len()));
    }
    Ok(Grid::from_features(g, x, extent, channels, Order::ChannelsFirst))
}

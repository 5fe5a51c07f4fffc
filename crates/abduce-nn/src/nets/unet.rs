//! From tensor to tensor through all scales.

use super::{Edge, groups};
use crate::embedding::ActivationName;
use crate::graph::GraphBuilder;
use crate::layers::{Add, Border, Concat, Conv, Grid, GroupNorm, Interpolation, ShapeError, Upsample};
use serde::{Deserialize, Serialize};

/// A U-Net (Ronneberger et al. 2015, arXiv:1505.04597) of residual blocks in one to three dimensions: on the way down each level halves the extent, on
/// the way up it is doubled linearly and joined with what the level had before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNet {
    /// Channels of each level, the finest first.
    pub n_channels: Vec<usize>,
    /// Residual blocks per level and way.
    pub blocks: usize,
    /// Kernel of all convolutions.
    pub kernel_size: usize,
    /// Groups of channels that are normalised together, at most.
    pub groups: usize,
    /// Channels of the result.
    pub n_output: usize,
    /// Activation inside the blocks.
    pub activation: ActivationName,
    /// What convolutions find at the edge; `Valid` counts as `Zeros`.
    pub edge: Edge,
}

impl UNet {
    /// Adds the network; every axis has to be a multiple of 2^(levels - 1).
    ///
    /// # Errors
    /// It is not, or there is no level.
    pub fn apply(&self, g: &mut GraphBuilder<'_>, x: &Grid) -> Result<Grid, ShapeError> {
        let Some((&first, deeper)) = self.n_channels.split_first() else {
            return Err(ShapeError::Zero { layer: "levels".to_owned(), what: "the number of levels" });
        };
        let mut levels = Vec::new();
        let mut h = self.conv(first).apply(g, "initial", x)?;
        h = self.stage(g, "down.0", h, first)?;
        for (k, &channels) in deeper.iter().enumerate() {
            let level = k + 1;
            if let Some(&extent) = h.extent.iter().find(|n| !n.is_multiple_of(2)) {
                return Err(ShapeError::PeriodicStride { layer: format!("down.{level}"), extent, stride: 2 });
            }
            levels.push(h.clone());
            h = self.conv(channels).stride(2).apply(g, &format!("down.{level}.halve"), &h)?;
            h = self.stage(g, &format!("down.{level}"), h, channels)?;
        }
        for (level, skip) in levels.iter().enumerate().rev() {
            let name = format!("up.{level}");
            h = Upsample::apply(g, &name, &h, 2, Interpolation::Linear(self.border()))?;
            h = Concat::apply(g, &name, &[&h, skip])?;
            h = self.conv(skip.channels).apply(g, &format!("{name}.join"), &h)?;
            h = self.stage(g, &name, h, skip.channels)?;
        }
        let h = GroupNorm::apply(g, "norm", &h, groups(h.channels, self.groups), Some(self.activation.activation()))?;
        self.conv(self.n_output).apply(g, "final", &h)
    }

    fn stage(&self, g: &mut GraphBuilder<'_>, name: &str, mut h: Grid, channels: usize) -> Result<Grid, ShapeError> {
        let f = Some(self.activation.activation());
        for b in 0..self.blocks {
            h = g.scoped(format!("{name}.{b}"), |g| {
                let a = GroupNorm::apply(g, "norm.0", &h, groups(channels, self.groups), f)?;
                let a = self.conv(channels).apply(g, "conv.0", &a)?;
                let a = GroupNorm::apply(g, "norm.1", &a, groups(channels, self.groups), f)?;
                let a = self.conv(channels).apply(g, "conv.1", &a)?;
                Ok(h.map(g, Add, &[&a]))
            })?;
        }
        Ok(h)
    }

    const fn border(&self) -> Border {
        if matches!(self.edge, Edge::Periodic) { Border::Periodic } else { Border::Zeros }
    }

    const fn conv(&self, channels: usize) -> Conv {
        Conv::new(channels, self.kernel_size).border(self.border())
    }
}

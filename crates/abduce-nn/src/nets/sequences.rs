//! Attention: encoders of sequences and of sets.

use super::clouds::{SetPooling, members};
use super::dense;
use crate::embedding::ActivationName;
use crate::graph::{GraphBuilder, Value};
use crate::layers::{Activate, Add, Attention, ChannelNorm, Conv, Dropout, GlobalPool, Grid, Learned, Order, ShapeError, Sight};
use serde::{Deserialize, Serialize};

/// One block: h += attention(norm(h)); h += W₂ f(W₁ norm(h)), normalised before (Xiong et al. 2020, arXiv:2002.04745).
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) heads: usize,
    pub(super) inner: usize,
    pub(super) activation: ActivationName,
    pub(super) dropout: f32,
}

impl Block {
    /// Adds the block; queries are `x`, keys and values `from` (`None`: x itself). `number` tells the dropouts of blocks apart.
    pub(super) fn apply(
        &self,
        g: &mut GraphBuilder<'_>,
        x: &Grid,
        from: Option<&Grid>,
        sight: Sight,
        number: u64,
    ) -> Result<Grid, ShapeError> {
        let quiet = |g: &mut GraphBuilder<'_>, a: Grid, place: u64| {
            if self.dropout > 0.0 { Dropout::apply(g, &a, self.dropout, 2 * number + place) } else { a }
        };
        let a = ChannelNorm::layer(g, "norm.0", x, None);
        let a = Attention::apply(g, "attention", &a, from.unwrap_or(&a), self.heads, sight)?;
        let a = quiet(g, a, 0);
        let h = x.map(g, Add, &[&a]);
        let a = ChannelNorm::layer(g, "norm.1", &h, None);
        let a = Conv::new(self.inner, 1).apply(g, "feed.0", &a)?.map(g, Activate(self.activation.activation()), &[]);
        let a = Conv::new(x.channels, 1).apply(g, "feed.1", &a)?;
        let a = quiet(g, a, 1);
        Ok(h.map(g, Add, &[&a]))
    }
}

/// An encoder of sequences: tokens are mapped to `width` channels, learned positions are added, blocks follow, then the mean over tokens and dense layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transformer {
    /// Tokens of a datum and features of a token.
    pub in_shape: [usize; 2],
    /// Channels of the trunk.
    pub width: usize,
    /// Attention heads: a divisor of the width.
    pub heads: usize,
    /// Blocks.
    pub layers: usize,
    /// Width inside the feed-forward part.
    pub inner: usize,
    /// Rate of dropout after attention and feed-forward part, in training.
    pub dropout: f32,
    /// How tokens become one vector.
    pub pooling: SetPooling,
    /// Widths of the dense layers; the last is the number of summaries and has no activation.
    pub n_hiddens: Vec<usize>,
    /// Activation of the feed-forward parts.
    pub activation: ActivationName,
}

impl Transformer {
    /// Number of summaries.
    pub fn out_features(&self) -> usize {
        self.n_hiddens.last().copied().unwrap_or(0)
    }

    /// Adds the network on a feature-major datum whose features stand as (tokens, features).
    ///
    /// # Errors
    /// The data don't fit, or the heads don't divide the width.
    pub fn apply(&self, g: &mut GraphBuilder<'_>, x: Value) -> Result<Value, ShapeError> {
        if self.n_hiddens.is_empty() {
            return Err(ShapeError::Zero { layer: "dense".to_owned(), what: "the number of dense layers" });
        }
        let tokens = members(g, x, self.in_shape)?;
        let h = Conv::new(self.width, 1).apply(g, "tokens", &tokens)?;
        let places = Learned::apply(g, "positions", &h.extent, self.width);
        let h = h.map(g, Add, &[&places]);
        let h = self.encode(g, &h, Sight::All)?;
        let pooled = GlobalPool::apply(g, &h, self.pooling.pooling()).to_features(g, Order::ChannelsLast);
        Ok(dense(g, pooled, &self.n_hiddens, self.activation.activation()))
    }

    /// The blocks alone, and the normalisation after them, on tokens of `width` channels.
    ///
    /// # Errors
    /// The heads don't divide the channels.
    pub fn encode(&self, g: &mut GraphBuilder<'_>, x: &Grid, sight: Sight) -> Result<Grid, ShapeError> {
        let block = Block { heads: self.heads, inner: self.inner, activation: self.activation, dropout: self.dropout };
        let mut h = x.clone();
        for k in 0..self.layers {
            h = g.scoped(format!("blocks.{k}"), |g| block.apply(g, &h, None, sight, k as u64))?;
        }
        Ok(ChannelNorm::layer(g, "norm", &h, None))
    }
}

/// Set transformer (Lee et al. 2019, arXiv:1810.00825): blocks of attention between members, without positions, then `seeds` learned queries that attend to
/// the set, and dense layers on what they found. With `inducing` > 0 members exchange through that many learned points, so cost grows with the
/// number of members and not its square.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetTransformer {
    /// Members of a datum and features of a member.
    pub in_shape: [usize; 2],
    /// Channels of the trunk.
    pub width: usize,
    /// Attention heads: a divisor of the width.
    pub heads: usize,
    /// Blocks.
    pub layers: usize,
    /// Width inside the feed-forward part.
    pub inner: usize,
    /// Inducing points of each block; 0: members see each other directly.
    pub inducing: usize,
    /// Queries that summarise the set.
    pub seeds: usize,
    /// Widths of the dense layers; the last is the number of summaries and has no activation.
    pub n_hiddens: Vec<usize>,
    /// Activation of the feed-forward parts.
    pub activation: ActivationName,
}

impl SetTransformer {
    /// Number of summaries.
    pub fn out_features(&self) -> usize {
        self.n_hiddens.last().copied().unwrap_or(0)
    }

    /// Adds the network on a feature-major datum whose features stand as (members, features).
    ///
    /// # Errors
    /// The data don't fit, or the heads don't divide the width.
    pub fn apply(&self, g: &mut GraphBuilder<'_>, x: Value) -> Result<Value, ShapeError> {
        if self.n_hiddens.is_empty() || self.seeds == 0 {
            return Err(ShapeError::Zero { layer: "dense".to_owned(), what: "the number of seeds or of dense layers" });
        }
        let block = Block { heads: self.heads, inner: self.inner, activation: self.activation, dropout: 0.0 };
        let set = members(g, x, self.in_shape)?;
        let mut h = Conv::new(self.width, 1).apply(g, "members", &set)?;
        for k in 0..self.layers {
            h = g.scoped(format!("blocks.{k}"), |g| {
                if self.inducing == 0 {
                    return block.apply(g, &h, None, Sight::All, 0);
                }
                let points = Learned::apply(g, "points", &[self.inducing], self.width);
                let points = g.scoped("gather", |g| block.apply(g, &points, Some(&h), Sight::All, 0))?;
                g.scoped("spread", |g| block.apply(g, &h, Some(&points), Sight::All, 0))
            })?;
        }
        let h = ChannelNorm::layer(g, "norm", &h, None);
        let seeds = Learned::apply(g, "seeds", &[self.seeds], self.width);
        let found = g.scoped("pool", |g| block.apply(g, &seeds, Some(&h), Sight::All, 0))?;
        let flat = found.to_features(g, Order::ChannelsLast);
        Ok(dense(g, flat, &self.n_hiddens, self.activation.activation()))
    }
}

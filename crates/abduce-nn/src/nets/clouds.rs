//! Summaries of sets and point clouds, which must not depend on the order of their members.

use super::dense;
use crate::embedding::ActivationName;
use crate::graph::{GraphBuilder, Value};
use crate::layers::{
    Activate, Add, ChannelNorm, Collect, Concat, Conv, Gathering, GlobalPool, Grid, Neighbourhood, Neighbours, Order, Pairs, Pooling,
    ShapeError,
};
use serde::{Deserialize, Serialize};

/// A flattened datum (members, features) as a tensor.
pub(super) fn members(g: &mut GraphBuilder<'_>, x: Value, shape: [usize; 2]) -> Result<Grid, ShapeError> {
    let (expected, found) = (shape[0] * shape[1], g.features(x));
    if expected != found || expected == 0 {
        return Err(ShapeError::Input { shape: shape.to_vec(), expected, found });
    }
    Ok(Grid::from_features(g, x, &[shape[0]], shape[1], Order::ChannelsLast))
}

/// ρ(pool_i φ(x_i)) with fully connected φ and ρ (Zaheer et al. 2017, arXiv:1703.06114).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeepSet {
    /// Members of a datum and features of a member.
    pub in_shape: [usize; 2],
    /// Widths of φ, an activation after each.
    pub n_features: Vec<usize>,
    /// What members are reduced to.
    pub pooling: SetPooling,
    /// Widths of ρ; the last is the number of summaries and has no activation.
    pub n_hiddens: Vec<usize>,
    /// Activation of both.
    pub activation: ActivationName,
}

/// How a set becomes one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetPooling {
    /// The mean.
    #[default]
    Mean,
    /// The sum: it tells how many members there are.
    Sum,
    /// The largest value of each channel.
    Max,
}

impl SetPooling {
    /// The layer's word.
    pub(super) const fn pooling(self) -> Pooling {
        match self {
            Self::Mean => Pooling::Mean,
            Self::Sum => Pooling::Sum,
            Self::Max => Pooling::Max,
        }
    }
}

impl DeepSet {
    /// Number of summaries.
    pub fn out_features(&self) -> usize {
        self.n_hiddens.last().copied().unwrap_or(0)
    }

    /// Adds the network on a feature-major datum whose features stand as (members, features).
    ///
    /// # Errors
    /// The data don't fit, or a list is empty.
    pub fn apply(&self, g: &mut GraphBuilder<'_>, x: Value) -> Result<Value, ShapeError> {
        if self.n_hiddens.is_empty() {
            return Err(ShapeError::Zero { layer: "dense".to_owned(), what: "the number of dense layers" });
        }
        let f = self.activation.activation();
        let mut h = members(g, x, self.in_shape)?;
        for (k, &width) in self.n_features.iter().enumerate() {
            h = Conv::new(width, 1).apply(g, &format!("member.{k}"), &h)?.map(g, Activate(f), &[]);
        }
        let pooled = GlobalPool::apply(g, &h, self.pooling.pooling()).to_features(g, Order::ChannelsLast);
        Ok(dense(g, pooled, &self.n_hiddens, f))
    }
}

/// Message passing on point clouds (Gilmer et al. 2017, arXiv:1704.01212; Battaglia et al. 2018, arXiv:1806.01261). Per round, with neighbours j of i:
/// m_i = mean_j φ(h_i, h_j, x_j - x_i, |x_j - x_i|), h_i += ψ(norm(h_i), m_i); then dense layers on the mean over points.
///
/// It sees positions only through differences, so it does not change when the cloud is moved as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphNet {
    /// Points of a datum and features of a point, of which the first `axes` are coordinates.
    pub in_shape: [usize; 2],
    /// Number of coordinates.
    pub axes: usize,
    /// Most neighbours of a point.
    pub neighbours: usize,
    /// Largest distance of a neighbour, in the units that the network sees (standardised data); `None`: any.
    pub radius: Option<f32>,
    /// Length of the periodic box, in the same units; `None`: open space.
    pub period: Option<f32>,
    /// Width of points and messages.
    pub hidden: usize,
    /// Rounds of messages.
    pub rounds: usize,
    /// How points become one vector.
    pub pooling: SetPooling,
    /// Widths of the dense layers; the last is the number of summaries and has no activation.
    pub n_hiddens: Vec<usize>,
    /// Activation throughout.
    pub activation: ActivationName,
}

impl GraphNet {
    /// Number of summaries.
    pub fn out_features(&self) -> usize {
        self.n_hiddens.last().copied().unwrap_or(0)
    }

    /// Adds the network on a feature-major datum whose features stand as (points, features).
    ///
    /// # Errors
    /// The data don't fit, or a list is empty.
    pub fn apply(&self, g: &mut GraphBuilder<'_>, x: Value) -> Result<Value, ShapeError> {
        if self.n_hiddens.is_empty() {
            return Err(ShapeError::Zero { layer: "dense".to_owned(), what: "the number of dense layers" });
        }
        let f = self.activation.activation();
        let cloud = members(g, x, self.in_shape)?;
        let rule = Neighbourhood::Near { most: self.neighbours, radius: self.radius.unwrap_or(f32::INFINITY), period: self.period };
        let list = Neighbours::apply(g, "neighbours", &cloud, self.axes, rule)?;
        // The first round has no features of points beside the given ones, which may be none.
        let mut h = self.start(g, &cloud)?;
        for round in 0..self.rounds {
            h = g.scoped(format!("rounds.{round}"), |g| {
                let pairs = Pairs::apply(g, &h, &list);
                let m = Conv::new(self.hidden, 1).apply(g, "message.0", &pairs)?.map(g, Activate(f), &[]);
                let m = Conv::new(self.hidden, 1).apply(g, "message.1", &m)?.map(g, Activate(f), &[]);
                let m = Collect::apply(g, &m, &list, Gathering::Mean);
                let normal = ChannelNorm::layer(g, "norm", &h, None);
                let both = Concat::apply(g, "join", &[&normal, &m])?;
                let a = Conv::new(self.hidden, 1).apply(g, "update.0", &both)?.map(g, Activate(f), &[]);
                let a = Conv::new(self.hidden, 1).apply(g, "update.1", &a)?;
                Ok(h.map(g, Add, &[&a]))
            })?;
        }
        let pooled = GlobalPool::apply(g, &h, self.pooling.pooling()).to_features(g, Order::ChannelsLast);
        Ok(dense(g, pooled, &self.n_hiddens, f))
    }

    /// Features of points before the first round: a linear map of what is no coordinate, or the same learned vector for all.
    fn start(&self, g: &mut GraphBuilder<'_>, cloud: &Grid) -> Result<Grid, ShapeError> {
        let rest = cloud.channels - self.axes.min(cloud.channels);
        let features = crate::layers::Channels::apply(g, cloud, self.axes..self.axes + rest)?;
        match features {
            Some(features) => Conv::new(self.hidden, 1).apply(g, "initial", &features),
            None => Ok(crate::layers::Learned::apply(g, "initial", &cloud.extent, self.hidden)),
        }
    }
}

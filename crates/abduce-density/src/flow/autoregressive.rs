//! Autoregressive transforms: each feature's map is told by the features generated before it.

use crate::conditioner::{AutoregressiveInverse, MaskedMlp, Seen};
use crate::transform::{Direction, Elementwise, Univariate};
use abduce_kernels::elementwise::Activation;
use abduce_nn::{GraphBuilder, Value};

/// The order in which transform `index` generates the features: natural, then reversed, in turn.
pub fn feature_order(index: usize, features: usize) -> Vec<usize> {
    if index.is_multiple_of(2) { (0..features).collect() } else { (0..features).rev().collect() }
}

/// One autoregressive transform.
#[derive(Clone, Debug)]
pub struct Autoregressive {
    /// Number of the transform in its flow.
    pub index: usize,
    /// The map.
    pub univariate: Univariate,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Activation after each of them.
    pub activation: Activation,
    /// How the network sees the features.
    pub seen: Seen,
}

impl Autoregressive {
    /// Adds the transform; gives (output, ladj).
    pub fn apply(&self, g: &mut GraphBuilder<'_>, x: Value, context: Option<Value>, direction: Direction) -> (Value, Value) {
        let features = g.features(x);
        let order = feature_order(self.index, features);
        let net = MaskedMlp::of_flow(order, self.hidden.clone(), self.activation, self.seen, &self.univariate);
        match direction {
            Direction::Forward => {
                let raw = net.apply(g, x, context);
                let layer = Elementwise { univariate: self.univariate, transformed: (0..features).collect(), direction };
                let outputs = g.apply_many(layer, &[x, raw]);
                (outputs[0], outputs[1])
            }
            Direction::Inverse => AutoregressiveInverse::apply(&net, self.univariate, g, x, context),
        }
    }
}

//! Coupling transforms: some features pass and tell how the others are mapped.

use crate::conditioner::{ResidualShape, mlp, residual_net};
use crate::transform::{Direction, Elementwise, Univariate};
use abduce_kernels::elementwise::Activation;
use abduce_nn::layers::Gather;
use abduce_nn::{GraphBuilder, Value};

/// The network of a coupling.
#[derive(Clone, Debug)]
pub enum CouplingNet {
    /// A plain perceptron with these hidden widths.
    Mlp(Vec<usize>, Activation),
    /// A residual network gated by the context.
    Residual(ResidualShape),
}

/// One coupling: features of the parity of `index` are mapped, the others condition (with one feature alone it is mapped, conditioned by
/// the context only).
#[derive(Clone, Debug)]
pub struct Coupling {
    /// Number of the coupling in its flow.
    pub index: usize,
    /// The map.
    pub univariate: Univariate,
    /// The network.
    pub net: CouplingNet,
}

impl Coupling {
    /// Adds the coupling; gives (output, ladj).
    pub fn apply(&self, g: &mut GraphBuilder<'_>, x: Value, context: Option<Value>, direction: Direction) -> (Value, Value) {
        let features = g.features(x);
        let (transformed, identity): (Vec<usize>, Vec<usize>) =
            if features == 1 { (vec![0], Vec::new()) } else { (0..features).partition(|f| f % 2 == self.index % 2) };
        // Passing features are the same before and after, so both directions condition on their own input.
        let seen = (!identity.is_empty()).then(|| g.apply(Gather { features: identity }, &[x]));
        let out = transformed.len() * self.univariate.parameters();
        let inputs: Vec<Value> = seen.into_iter().chain(context).collect();
        let raw = match &self.net {
            CouplingNet::Residual(shape) => residual_net(g, &inputs, context, *shape, out),
            CouplingNet::Mlp(hidden, activation) => mlp(g, &inputs, hidden, *activation, out),
        };
        let outputs = g.apply_many(Elementwise { univariate: self.univariate, transformed, direction }, &[x, raw]);
        (outputs[0], outputs[1])
    }
}

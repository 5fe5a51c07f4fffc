//! Networks that compress the data before a density sees it, trained jointly with it.

use crate::graph::{GraphBuilder, Value};
use crate::layers::{Activate, Add, Linear, OpenWidths, ShapeError, Told};
use crate::nets::{Cnn, DeepSet, GraphNet, ResNet, SetTransformer, Transformer};
use crate::params::Layout;
use crate::widths::Weights;
use abduce_kernels::elementwise::Activation;
use serde::{Deserialize, Serialize};

/// An embedding network. Its serialised form is part of the model file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "class", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum EmbeddingSpec {
    /// The standardised data itself.
    #[default]
    Identity,
    /// Linear + activation per width; the last activation is dropped, so the last width is the number of summaries.
    Fcn {
        /// Widths of the layers.
        hidden: Vec<usize>,
        /// Activation between them.
        activation: ActivationName,
    },
    /// Linear, then blocks h += W₂ f(W₁ f(h)), then linear to the summaries.
    Residual {
        /// Width of the trunk.
        hidden: usize,
        /// Number of blocks.
        blocks: usize,
        /// Number of summaries.
        out: usize,
        /// Activation inside the blocks.
        activation: ActivationName,
    },
    /// Convolutions on signals, images and volumes.
    Cnn(Cnn),
    /// Residual convolutions.
    ResNet(ResNet),
    /// Sets: φ of every member, pooled, ρ.
    DeepSet(DeepSet),
    /// Sets: attention between members.
    SetTransformer(SetTransformer),
    /// Sequences: attention between tokens.
    Transformer(Transformer),
    /// Point clouds: messages between neighbours.
    GraphNet(GraphNet),
    /// An information-ordered bottleneck (Ho, Zhao and Wandelt 2023, arXiv:2305.11213) behind another network: its summaries are trained at all widths at
    /// once, so that the first tells most about what is inferred, the second most of what is left, and so on. The summaries of width k are
    /// x₁..x_fixed, s₁..s_k, 0, …, 0 and k/K.
    Iob {
        /// x → s₁..s_K; an affine map where it is the identity.
        network: Box<Self>,
        /// The first so many features of x are summaries of their own, always open, before those that are ordered.
        fixed: usize,
        /// How much each width counts.
        weights: Weights,
    },
}

/// Activations by their usual names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActivationName {
    /// x σ(x)
    #[default]
    SiLU,
    /// max(x, 0)
    ReLU,
    /// x or 0.01 x
    LeakyReLU,
    /// x or eˣ - 1
    ELU,
    /// x Φ(x)
    GELU,
    /// tanh x
    Tanh,
    /// 1/(1+e⁻ˣ)
    Sigmoid,
    /// ln(1+eˣ)
    Softplus,
    /// x tanh(softplus x)
    Mish,
}

impl ActivationName {
    /// All names, for messages.
    pub const ALL: [(&'static str, Self); 9] = [
        ("SiLU", Self::SiLU),
        ("ReLU", Self::ReLU),
        ("LeakyReLU", Self::LeakyReLU),
        ("ELU", Self::ELU),
        ("GELU", Self::GELU),
        ("Tanh", Self::Tanh),
        ("Sigmoid", Self::Sigmoid),
        ("Softplus", Self::Softplus),
        ("Mish", Self::Mish),
    ];

    /// The kernel's function.
    pub const fn activation(self) -> Activation {
        match self {
            Self::SiLU => Activation::Silu,
            Self::ReLU => Activation::Relu,
            Self::LeakyReLU => Activation::LeakyRelu,
            Self::ELU => Activation::Elu,
            Self::GELU => Activation::Gelu,
            Self::Tanh => Activation::Tanh,
            Self::Sigmoid => Activation::Sigmoid,
            Self::Softplus => Activation::Softplus,
            Self::Mish => Activation::Mish,
        }
    }
}

impl EmbeddingSpec {
    /// Number of summaries for data of `features` features.
    pub fn out_features(&self, features: usize) -> usize {
        match self {
            Self::Identity => features,
            Self::Fcn { hidden, .. } => hidden.last().copied().unwrap_or(features),
            Self::Residual { out, .. } => *out,
            Self::Iob { network, fixed, .. } => fixed + network.out_features(features) + 1,
            Self::Cnn(net) => net.out_features(),
            Self::ResNet(net) => net.out_features(),
            Self::DeepSet(net) => net.out_features(),
            Self::SetTransformer(net) => net.out_features(),
            Self::Transformer(net) => net.out_features(),
            Self::GraphNet(net) => net.out_features(),
        }
    }

    /// K of an ordered embedding, whose widths are 0..K; `None` for all others.
    pub fn ordered_latents(&self, features: usize) -> Option<usize> {
        match self {
            Self::Iob { network, .. } => Some(network.out_features(features)),
            _ => None,
        }
    }

    /// Whether the network can be built for data of `features` features.
    ///
    /// # Errors
    /// The data have another size, a kernel is longer than an axis, heads don't divide a width, a list has a wrong length, or a size is zero.
    pub fn check(&self, features: usize) -> Result<(), ShapeError> {
        let mut layout = Layout::new();
        let mut g = GraphBuilder::new(&mut layout);
        let x = g.input(features);
        self.try_apply(&mut g, x, None).map(|_| ())
    }

    /// Adds the network in the scope `embedding`; gives the summaries, all of them open where they are ordered.
    ///
    /// # Panics
    /// If it does not fit: [`EmbeddingSpec::check`] first.
    pub fn apply(&self, g: &mut GraphBuilder<'_>, x: Value) -> Value {
        self.apply_at(g, x, None)
    }

    /// As [`EmbeddingSpec::apply`], open to a width per row where the embedding is ordered.
    ///
    /// # Panics
    /// If it does not fit: [`EmbeddingSpec::check`] first.
    pub fn apply_at(&self, g: &mut GraphBuilder<'_>, x: Value, width: Option<Value>) -> Value {
        match self.try_apply(g, x, width) {
            Ok(summaries) => summaries,
            Err(error) => panic!("an embedding that was not checked: {error}"),
        }
    }

    fn try_apply(&self, g: &mut GraphBuilder<'_>, x: Value, width: Option<Value>) -> Result<Value, ShapeError> {
        g.scoped("embedding", |g| {
            Ok(match self {
                Self::Iob { network, fixed, .. } => {
                    let latents = network.out_features(g.features(x));
                    let s = match &**network {
                        Self::Identity => Linear::apply(g, "code", &[x], latents),
                        other => other.try_apply(g, x, None)?,
                    };
                    let x = (*fixed > 0).then_some(x);
                    let inputs: Vec<Value> = [Some(s), x, width].into_iter().flatten().collect();
                    g.apply(OpenWidths { fixed: *fixed, told: Told::WidthOver(latents as f32) }, &inputs)
                }
                Self::Cnn(net) => net.apply(g, x)?,
                Self::ResNet(net) => net.apply(g, x)?,
                Self::DeepSet(net) => net.apply(g, x)?,
                Self::SetTransformer(net) => net.apply(g, x)?,
                Self::Transformer(net) => net.apply(g, x)?,
                Self::GraphNet(net) => net.apply(g, x)?,
                Self::Identity => x,
                Self::Fcn { hidden, activation } => {
                    let mut h = x;
                    for (k, &width) in hidden.iter().enumerate() {
                        h = Linear::apply(g, &k.to_string(), &[h], width);
                        if k + 1 < hidden.len() {
                            h = g.apply(Activate(activation.activation()), &[h]);
                        }
                    }
                    h
                }
                Self::Residual { hidden, blocks, out, activation } => {
                    let f = Activate(activation.activation());
                    let mut h = Linear::apply(g, "initial", &[x], *hidden);
                    for b in 0..*blocks {
                        h = g.scoped(format!("blocks.{b}"), |g| {
                            let a = g.apply(f, &[h]);
                            let a = Linear::apply(g, "0", &[a], *hidden);
                            let a = g.apply(f, &[a]);
                            let a = Linear::apply(g, "1", &[a], *hidden);
                            g.apply(Add, &[h, a])
                        });
                    }
                    let a = g.apply(f, &[h]);
                    Linear::apply(g, "final", &[a], *out)
                }
            })
        })
    }
}

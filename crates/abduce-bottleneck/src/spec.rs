//! What a bottleneck is made of. The serialised forms are part of the model file.

use crate::error::BottleneckError;
use abduce_density::DensitySpec;
use abduce_nn::ActivationName;
use abduce_nn::layers::{Activate, Conv, Grid, Linear, Order, Pad, ShapeError};
use abduce_nn::{GraphBuilder, Value};
use serde::{Deserialize, Serialize};

/// The hidden part of an encoder or decoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Net {
    /// Fully connected layers of these widths, none for an affine map. Without an activation all of it is affine.
    Dense {
        /// Widths of the hidden layers, from input to output.
        hidden: Vec<usize>,
        /// Activation behind each hidden layer.
        activation: Option<ActivationName>,
    },
    /// Encoder: convolutions of kernel 4, stride 2 and border 1, each of which halves the extent, then fully connected layers. Decoder: fully connected
    /// layers, then as many transposes. An activation stands behind every layer but the last.
    Conv {
        /// Channels and extent of the images, as their features stand: (channels, height, width). Each side is a multiple of 2 to the number of
        /// convolutions.
        shape: Vec<usize>,
        /// Channels behind each convolution of an encoder, or before each transpose of a decoder.
        channels: Vec<usize>,
        /// Widths of the fully connected hidden layers, from input to output.
        hidden: Vec<usize>,
        /// The activation.
        activation: ActivationName,
    },
}

impl Net {
    /// An affine map.
    pub const fn linear() -> Self {
        Self::Dense { hidden: Vec::new(), activation: None }
    }

    /// Hidden layers with SiLU.
    pub const fn mlp(hidden: Vec<usize>) -> Self {
        Self::Dense { hidden, activation: Some(ActivationName::SiLU) }
    }

    fn check(&self, features: usize) -> Result<(), BottleneckError> {
        let (Self::Dense { hidden, .. } | Self::Conv { hidden, .. }) = self;
        if let Some(&value) = hidden.iter().find(|&&width| !(1..=65_536).contains(&width)) {
            return Err(BottleneckError::Size { what: "the width of a hidden layer", value, low: 1, high: 65_536 });
        }
        let Self::Conv { shape, channels, .. } = self else { return Ok(()) };
        let (expected, sides) = (shape.iter().product(), shape.get(1..).unwrap_or(&[]));
        if expected != features || sides.is_empty() {
            return Err(ShapeError::Input { shape: shape.clone(), expected, found: features }.into());
        }
        if channels.is_empty() || channels.len() > 16 {
            return Err(BottleneckError::Size { what: "the number of convolutions", value: channels.len(), low: 1, high: 16 });
        }
        match sides.iter().find(|&side| !side.is_multiple_of(1 << channels.len())) {
            Some(&side) => Err(BottleneckError::Halves { side, times: channels.len() }),
            None => Ok(()),
        }
    }

    /// x → code: convolutions `encoder.conv.0`, … where there are any, the hidden layers `encoder.0`, `encoder.1`, …, then `encoder.code`.
    pub(crate) fn encoder(&self, g: &mut GraphBuilder<'_>, x: Value, latents: usize) -> Result<Value, ShapeError> {
        g.scoped("encoder", |g| {
            let (mut h, hidden, activation) = match self {
                Self::Dense { hidden, activation } => (x, hidden, *activation),
                Self::Conv { shape, channels, hidden, activation } => {
                    let f = Activate(activation.activation());
                    let mut grid = Grid::from_features(g, x, &shape[1..], shape[0], Order::ChannelsFirst);
                    for (k, &channels) in channels.iter().enumerate() {
                        let conv = Conv::new(channels, KERNEL).stride(2).pad(Pad::By(1));
                        grid = conv.apply(g, &format!("conv.{k}"), &grid)?.map(g, f, &[]);
                    }
                    (grid.to_features(g, Order::ChannelsLast), hidden, Some(*activation))
                }
            };
            for (k, &width) in hidden.iter().enumerate() {
                h = Linear::apply(g, &k.to_string(), &[h], width);
                h = activated(g, activation, h);
            }
            Ok(Linear::apply(g, "code", &[h], latents))
        })
    }

    /// Open code, in one or more values → output: `decoder.open` reads the code, `decoder.1`, … and `decoder.out` follow, and for images the transposes
    /// `decoder.up.0`, …; of an affine map `decoder.open` is all.
    pub(crate) fn decoder(&self, g: &mut GraphBuilder<'_>, code: &[Value], out: usize) -> Result<Value, ShapeError> {
        g.scoped("decoder", |g| match self {
            Self::Dense { hidden, activation } => Ok(dense(g, code, hidden, *activation, out)),
            Self::Conv { shape, channels, hidden, activation } => {
                let f = Activate(activation.activation());
                let coarse: Vec<usize> = shape[1..].iter().map(|side| side >> channels.len()).collect();
                let flat = dense(g, code, hidden, Some(*activation), channels[0] * coarse.iter().product::<usize>());
                let flat = g.apply(f, &[flat]);
                let mut grid = Grid::from_features(g, flat, &coarse, channels[0], Order::ChannelsLast);
                for k in 0..channels.len() {
                    let last = k + 1 == channels.len();
                    let up = Conv::transposed(if last { shape[0] } else { channels[k + 1] }, KERNEL, 2).pad(Pad::By(1));
                    grid = up.apply(g, &format!("up.{k}"), &grid)?;
                    if !last {
                        grid = grid.map(g, f, &[]);
                    }
                }
                Ok(grid.to_features(g, Order::ChannelsFirst))
            }
        })
    }
}

/// Side of the patches of convolutions.
const KERNEL: usize = 4;

/// `open`, hidden layers `1`, …, and `out`; without hidden layers `open` alone.
fn dense(g: &mut GraphBuilder<'_>, code: &[Value], hidden: &[usize], activation: Option<ActivationName>, out: usize) -> Value {
    let Some((&first, rest)) = hidden.split_first() else { return Linear::apply(g, "open", code, out) };
    let h = Linear::apply(g, "open", code, first);
    let mut h = activated(g, activation, h);
    for (k, &width) in rest.iter().enumerate() {
        h = Linear::apply(g, &(k + 1).to_string(), &[h], width);
        h = activated(g, activation, h);
    }
    Linear::apply(g, "out", &[h], out)
}

fn activated(g: &mut GraphBuilder<'_>, activation: Option<ActivationName>, h: Value) -> Value {
    activation.map_or(h, |name| g.apply(Activate(name.activation()), &[h]))
}

/// How outputs are scored against targets y.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Head {
    /// Mean over features of (y - f)²: a Gaussian of fixed variance.
    Mse,
    /// Mean over features of the binary cross-entropy, y ∈ [0, 1], f the log-odds. In nats.
    Bce,
    /// Cross-entropy of a class, y a whole number below `classes`. In nats.
    CrossEntropy {
        /// How many.
        classes: usize,
    },
    /// Minus the log-density of independent Gaussians whose means and variances the decoder gives, summed over features. In nats. The decoder is told
    /// the width, so that variances can follow it.
    Gaussian,
    /// Minus the log-density of a conditional density whose context is the open code and the width. In nats.
    Flow {
        /// The density.
        density: DensitySpec,
    },
}

impl Head {
    /// Its name in files and on the command line.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Mse => "mse",
            Self::Bce => "bce",
            Self::CrossEntropy { .. } => "cross-entropy",
            Self::Gaussian => "gaussian",
            Self::Flow { .. } => "flow",
        }
    }

    /// Whether the decoder is told how wide the code is.
    pub const fn tells_width(&self) -> bool {
        matches!(self, Self::Gaussian | Self::Flow { .. })
    }

    /// Outputs of the decoder for targets of `features` features.
    pub(crate) const fn outputs(&self, features: usize) -> usize {
        match self {
            Self::Mse | Self::Bce | Self::Flow { .. } => features,
            Self::CrossEntropy { classes } => *classes,
            Self::Gaussian => 2 * features,
        }
    }
}

/// Everything that fixes a bottleneck's parameters but their values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Features of the data x.
    pub features: usize,
    /// Features of the target y; 1 for a class.
    pub targets: usize,
    /// Latents K.
    pub latents: usize,
    /// The first so many latents are never closed.
    pub always_open: usize,
    /// What a told width is divided by: K as trained, whatever the code is cut to later.
    pub width_unit: usize,
    /// x → code.
    pub encoder: Net,
    /// Open code → output; the flow head has none.
    pub decoder: Net,
    /// Output against target.
    pub head: Head,
}

impl ModelSpec {
    /// A model of x itself with all latents optional.
    pub const fn autoencoder(features: usize, latents: usize, encoder: Net, decoder: Net, head: Head) -> Self {
        Self { features, targets: features, latents, always_open: 0, width_unit: latents, encoder, decoder, head }
    }

    /// A model that predicts y of `targets` features from x.
    pub const fn supervised(features: usize, targets: usize, latents: usize, encoder: Net, decoder: Net, head: Head) -> Self {
        Self { features, targets, latents, always_open: 0, width_unit: latents, encoder, decoder, head }
    }

    pub(crate) fn check(&self) -> Result<(), BottleneckError> {
        let size = |what, value, low, high| {
            if (low..=high).contains(&value) { Ok(()) } else { Err(BottleneckError::Size { what, value, low, high }) }
        };
        size("the number of features", self.features, 1, 1 << 24)?;
        size("the number of target features", self.targets, 1, 1 << 24)?;
        size("the number of latents", self.latents, 1, 4096)?;
        size("the number of latents that are always open", self.always_open, 0, self.latents)?;
        size("the unit of the width", self.width_unit, self.latents, 4096)?;
        if let Head::CrossEntropy { classes } = self.head {
            size("the number of classes", classes, 2, 65_536)?;
            size("the number of target features of a classifier", self.targets, 1, 1)?;
        }
        self.encoder.check(self.features)?;
        self.decoder.check(self.targets)
    }
}

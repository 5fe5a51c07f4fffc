//! Weights of plain torch networks, from safetensors files.
//!
//! A file holds tensors and their names, not what the modules between them were. So the network is described once more, module by module, as
//! `torch.nn.Sequential` lists it; numbers of channels and kernels are those of the tensors. Everything that does not fit is an error. Nothing of
//! Python is executed.

use crate::embedding::ActivationName;
use crate::graph::{Graph, GraphBuilder, Value};
use crate::layers::conv::Bias;
use crate::layers::{Activate, Border, Conv, GlobalPool, Grid, GroupNorm, LayerNorm, Linear, Order, Pad, Pool, Pooling, ShapeError};
use crate::params::{Init, Layout};
use abduce_data::Array;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One module of a `torch.nn.Sequential`; its place in the list is its number in the names of tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "module", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Module {
    /// `Linear`.
    Linear,
    /// `Conv1d` to `Conv3d`, with equal arguments for all axes and `padding_mode` zeros or circular.
    Conv {
        /// `stride`.
        #[serde(default = "one")]
        stride: usize,
        /// `padding`.
        #[serde(default)]
        padding: usize,
        /// `padding_mode='circular'`; only with a padding of (kernel - 1)/2 and a stride that divides the axes.
        #[serde(default)]
        periodic: Torus,
    },
    /// `ConvTranspose1d` to `ConvTranspose3d`.
    ConvTranspose {
        /// `stride`.
        #[serde(default = "one")]
        stride: usize,
        /// `padding`.
        #[serde(default)]
        padding: usize,
        /// `output_padding`.
        #[serde(default)]
        output_padding: usize,
    },
    /// `GroupNorm`.
    GroupNorm {
        /// `num_groups`.
        groups: usize,
    },
    /// `LayerNorm` on flattened features.
    LayerNorm,
    /// An activation function.
    Activation {
        /// Its name in torch. `GELU` is the exact form, `LeakyReLU` has the slope 0.01, `ELU`, `Softplus` their defaults.
        name: ActivationName,
    },
    /// `MaxPool1d` to `MaxPool3d` with a stride equal to the kernel.
    MaxPool {
        /// `kernel_size`.
        size: usize,
    },
    /// `AvgPool1d` to `AvgPool3d` with a stride equal to the kernel.
    AvgPool {
        /// `kernel_size`.
        size: usize,
    },
    /// `AdaptiveAvgPool1d(1)` to `AdaptiveAvgPool3d(1)`.
    GlobalAvgPool,
    /// `Flatten`.
    Flatten,
    /// `Unflatten(1, shape)`: back to a tensor.
    Unflatten {
        /// Channels and extent.
        shape: Vec<usize>,
    },
    /// `Dropout` or `Identity`: nothing, once training is over.
    Identity,
}

/// Whether a convolution's grid is a torus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Torus {
    /// Zeros are beyond the edge.
    #[default]
    No,
    /// The other side is.
    Yes,
}

const fn one() -> usize {
    1
}

/// Why weights can't be taken over.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A module's tensor is not in the file.
    #[error("module {module} ({kind}): there is no tensor `{name}`")]
    Missing {
        /// Number of the module.
        module: usize,
        /// What it is.
        kind: &'static str,
        /// The tensor's name.
        name: String,
    },
    /// A tensor has a shape that the module can't have here.
    #[error("module {module} ({kind}): tensor `{name}` has the shape {found:?}, expected {expected}")]
    Shape {
        /// Number of the module.
        module: usize,
        /// What it is.
        kind: &'static str,
        /// The tensor's name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// What would fit.
        expected: String,
    },
    /// A module that takes flattened features got a tensor, or the other way round.
    #[error("module {module} ({kind}) takes {wants}; put a {remedy} before it")]
    Form {
        /// Number of the module.
        module: usize,
        /// What it is.
        kind: &'static str,
        /// What it takes.
        wants: &'static str,
        /// What is missing.
        remedy: &'static str,
    },
    /// Tensors that no module takes.
    #[error("no module takes the tensors {0:?}")]
    LeftOver(Vec<String>),
    /// A layer does not fit.
    #[error("module {module}: {error}")]
    Layer {
        /// Number of the module.
        module: usize,
        /// Why.
        error: ShapeError,
    },
}

/// A network with its weights; input and output are feature-major, in torch's order (channels, extent…).
#[derive(Clone, Debug)]
pub struct Imported {
    /// Names and shapes of the parameters.
    pub layout: Layout,
    /// The network.
    pub graph: Arc<Graph>,
    /// The weights.
    pub params: Vec<f32>,
}

/// Builds the network of `modules` on data of `in_shape`, (features) or (channels, extent…), with tensors named `{prefix}{module}.weight` and `.bias`.
///
/// # Errors
/// Tensors are missing, left over or of other shapes, or modules don't fit each other.
pub fn sequential(modules: &[Module], in_shape: &[usize], prefix: &str, tensors: &[(String, Array)]) -> Result<Imported, ImportError> {
    let mut layout = Layout::new();
    let mut g = GraphBuilder::new(&mut layout);
    let input = g.input(in_shape.iter().product());
    let mut import = Importer { tensors, prefix, module: 0, taken: Vec::new() };
    let mut flow = match in_shape {
        [_] | [] => Flow::Features(input),
        [channels, extent @ ..] => Flow::Grid(Grid::from_features(&mut g, input, extent, *channels, Order::ChannelsFirst)),
    };
    for (number, module) in modules.iter().enumerate() {
        import.module = number;
        flow = g.scoped(format!("{prefix}{number}"), |g| import.add(g, module, flow))?;
    }
    let left: Vec<String> =
        tensors.iter().map(|(name, _)| name).filter(|n| n.starts_with(prefix) && !import.taken.contains(n)).cloned().collect();
    if !left.is_empty() {
        return Err(ImportError::LeftOver(left));
    }
    let output = match flow {
        Flow::Features(value) => value,
        Flow::Grid(grid) => grid.to_features(&mut g, Order::ChannelsFirst),
    };
    let graph = Arc::new(g.finish(&[output]));
    // Every parameter starts from its tensor's values, so the seed has nothing to say.
    let params = layout.initialise(abduce_data::Seed(0));
    Ok(Imported { layout, graph, params })
}

/// What stands between two modules.
enum Flow {
    Features(Value),
    Grid(Grid),
}

struct Importer<'a> {
    tensors: &'a [(String, Array)],
    prefix: &'a str,
    module: usize,
    taken: Vec<String>,
}

impl Importer<'_> {
    fn find(&mut self, key: &str) -> Option<(String, Array)> {
        let name = format!("{}{}.{key}", self.prefix, self.module);
        let (_, array) = self.tensors.iter().find(|(known, _)| *known == name)?;
        self.taken.push(name.clone());
        Some((name, array.clone()))
    }

    fn weight(&mut self, kind: &'static str, axes: std::ops::RangeInclusive<usize>) -> Result<Array, ImportError> {
        let module = self.module;
        let (name, array) =
            self.find("weight").ok_or_else(|| ImportError::Missing { module, kind, name: format!("{}{module}.weight", self.prefix) })?;
        if axes.contains(&array.shape().len()) { Ok(array) } else { Err(self.shape(kind, name, &array, format!("{axes:?} axes"))) }
    }

    fn shape(&self, kind: &'static str, name: String, array: &Array, expected: String) -> ImportError {
        ImportError::Shape { module: self.module, kind, name, found: array.shape().to_vec(), expected }
    }

    /// A vector per channel; `None` where the module was made without.
    fn vector(&mut self, kind: &'static str, key: &str, channels: usize) -> Result<Option<Vec<f32>>, ImportError> {
        match self.find(key) {
            None => Ok(None),
            Some((_, array)) if array.shape() == [channels] => Ok(Some(array.data().to_vec())),
            Some((name, array)) => Err(self.shape(kind, name, &array, format!("[{channels}]"))),
        }
    }

    /// γ and β, whose names here are `gain` and `shift`.
    fn affine(&mut self, g: &mut GraphBuilder<'_>, kind: &'static str, name: &str, channels: usize) -> Result<(), ImportError> {
        let gain = self.vector(kind, "weight", channels)?.unwrap_or_else(|| vec![1.0; channels]);
        let shift = self.vector(kind, "bias", channels)?.unwrap_or_else(|| vec![0.0; channels]);
        g.scoped(name, |g| {
            g.parameter("gain", &[channels], Init::Values(gain));
            g.parameter("shift", &[channels], Init::Values(shift));
        });
        Ok(())
    }

    fn grid(&self, kind: &'static str, flow: Flow) -> Result<Grid, ImportError> {
        match flow {
            Flow::Grid(grid) => Ok(grid),
            Flow::Features(_) => {
                Err(ImportError::Form { module: self.module, kind, wants: "a tensor (channels, extent…)", remedy: "`Unflatten`" })
            }
        }
    }

    fn features(&self, kind: &'static str, flow: Flow) -> Result<Value, ImportError> {
        match flow {
            Flow::Features(value) => Ok(value),
            Flow::Grid(_) => Err(ImportError::Form { module: self.module, kind, wants: "flattened features", remedy: "`Flatten`" }),
        }
    }

    fn add(&mut self, g: &mut GraphBuilder<'_>, module: &Module, flow: Flow) -> Result<Flow, ImportError> {
        let number = self.module;
        let layer = |error| ImportError::Layer { module: number, error };
        Ok(match module {
            Module::Linear => {
                let kind = "Linear";
                let x = self.features(kind, flow)?;
                let weight = self.weight(kind, 2..=2)?;
                let (out, inputs) = (weight.shape()[0], weight.shape()[1]);
                if inputs != g.features(x) {
                    return Err(self.shape(kind, format!("{}{number}.weight", self.prefix), &weight, format!("[_, {}]", g.features(x))));
                }
                let bias = self.vector(kind, "bias", out)?.unwrap_or_else(|| vec![0.0; out]);
                let weight = Init::Values(weight.data().to_vec());
                Flow::Features(Linear::apply_with(g, "linear", &[x], out, weight, Init::Values(bias), None))
            }
            Module::Conv { stride, padding, periodic } => {
                let border = if *periodic == Torus::Yes { Border::Periodic } else { Border::Zeros };
                let conv = |out, kernel| Conv::new(out, kernel).stride(*stride).pad(Pad::By(*padding)).border(border);
                let x = self.grid("Conv", flow)?;
                Flow::Grid(self.convolution(g, "Conv", &x, (0, 1), conv)?)
            }
            Module::ConvTranspose { stride, padding, output_padding } => {
                let conv = |out, kernel| Conv::transposed(out, kernel, *stride).pad(Pad::By(*padding)).output_padding(*output_padding);
                let x = self.grid("ConvTranspose", flow)?;
                Flow::Grid(self.convolution(g, "ConvTranspose", &x, (1, 0), conv)?)
            }
            Module::GroupNorm { groups } => {
                let x = self.grid("GroupNorm", flow)?;
                self.affine(g, "GroupNorm", "norm", x.channels)?;
                Flow::Grid(GroupNorm::apply(g, "norm", &x, *groups, None).map_err(layer)?)
            }
            Module::LayerNorm => {
                let x = self.features("LayerNorm", flow)?;
                let width = g.features(x);
                self.affine(g, "LayerNorm", "norm", width)?;
                Flow::Features(LayerNorm::apply(g, "norm", x))
            }
            Module::Activation { name } => {
                let f = Activate(name.activation());
                match flow {
                    Flow::Features(x) => Flow::Features(g.apply(f, &[x])),
                    Flow::Grid(x) => Flow::Grid(x.map(g, f, &[])),
                }
            }
            Module::MaxPool { size } => {
                let x = self.grid("MaxPool", flow)?;
                Flow::Grid(Pool::apply(g, "pool", &x, Pooling::Max, *size).map_err(layer)?)
            }
            Module::AvgPool { size } => {
                let x = self.grid("AvgPool", flow)?;
                Flow::Grid(Pool::apply(g, "pool", &x, Pooling::Mean, *size).map_err(layer)?)
            }
            Module::GlobalAvgPool => {
                let x = self.grid("AdaptiveAvgPool", flow)?;
                Flow::Grid(GlobalPool::apply(g, &x, Pooling::Mean))
            }
            Module::Flatten => match flow {
                Flow::Grid(x) => Flow::Features(x.to_features(g, Order::ChannelsFirst)),
                features => features,
            },
            Module::Unflatten { shape } => {
                let x = self.features("Unflatten", flow)?;
                match shape.as_slice() {
                    [channels, extent @ ..] if shape.iter().product::<usize>() == g.features(x) && (1..=3).contains(&extent.len()) => {
                        Flow::Grid(Grid::from_features(g, x, extent, *channels, Order::ChannelsFirst))
                    }
                    _ => {
                        let (expected, found) = (shape.iter().product(), g.features(x));
                        return Err(layer(ShapeError::Input { shape: shape.clone(), expected, found }));
                    }
                }
            }
            Module::Identity => flow,
        })
    }

    /// `axes`: which axis of torch's weight counts outputs and which inputs.
    fn convolution(
        &mut self,
        g: &mut GraphBuilder<'_>,
        kind: &'static str,
        x: &Grid,
        (out_axis, in_axis): (usize, usize),
        conv: impl Fn(usize, usize) -> Conv,
    ) -> Result<Grid, ImportError> {
        let axes = x.extent.len() + 2;
        let weight = self.weight(kind, axes..=axes)?;
        let shape = weight.shape().to_vec();
        let (out, kernel) = (shape[out_axis], shape[2]);
        if shape[in_axis] != x.channels || shape[2..].iter().any(|&k| k != kernel) {
            let expected = format!("{} input channels and kernels of one length", x.channels);
            return Err(self.shape(kind, format!("{}{}.weight", self.prefix, self.module), &weight, expected));
        }
        let bias = self.vector(kind, "bias", out)?;
        // torch: (a, b, taps) → (taps, b, a), for either direction: the finer side's channels come first here.
        let taps: usize = shape[2..].iter().product();
        let (a, b) = (shape[0], shape[1]);
        let data = weight.data();
        let ours = (0..taps * a * b).map(|i| data[(i % a * b + i / a % b) * taps + i / (a * b)]).collect();
        let our_shape: Vec<usize> = shape[2..].iter().copied().chain([b, a]).collect();
        let bias_kind = if bias.is_some() { Bias::Trained } else { Bias::Absent };
        g.scoped("conv", |g| {
            g.parameter("weight", &our_shape, Init::Values(ours));
            if let Some(bias) = bias {
                g.parameter("bias", &[out], Init::Values(bias));
            }
        });
        conv(out, kernel).bias(bias_kind).apply(g, "conv", x).map_err(|error| ImportError::Layer { module: self.module, error })
    }
}

//! Embeddings: nets that summarise the data before a density sees them.

use super::nets::{Activation, one};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A net that summarises x before the density sees it, trained with it: `{NAME: {ARGUMENTS}}`, or LtU-ILI's `{module, class, args}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum EmbeddingConfig {
    /// Fully connected layers; data with more than one axis are flattened.
    Fcn(FcnConfig),
    /// Fully connected layers with skip connections.
    ResidualMlp(ResidualMlpConfig),
    /// Fully connected layers whose summaries are ordered: the first tells most about the parameters, the second most of what is left, and so on
    /// (an information-ordered bottleneck). Engine NPE; one training tells how many summaries matter.
    Iob(IobConfig),
    /// Convolutions on signals, images or volumes, then fully connected layers.
    Cnn(CnnConfig),
    /// Residual convolutions with group normalisation, and the mean over all positions.
    ResNet(ResNetConfig),
    /// Sets, whatever the order of their members: a network on every member, pooled, and a network on that.
    DeepSet(DeepSetConfig),
    /// Sets, whatever the order of their members: attention between members.
    SetTransformer(SetTransformerConfig),
    /// Sequences: attention between tokens.
    Transformer(TransformerConfig),
    /// Point clouds: messages between neighbours.
    Gnn(GnnConfig),
}

/// Arguments of the ordered embedding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IobConfig {
    /// Width of each layer; the last one is the largest number of summaries and has no activation.
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 8192)))]
    pub n_hidden: Vec<usize>,
    /// Activation between the layers.
    #[serde(default = "silu")]
    pub act_fn: Activation,
    /// The first so many values of x are summaries of their own, always used, and the ordered ones add to them.
    #[serde(default)]
    #[schemars(range(max = 8192))]
    pub n_fixed: usize,
    /// How much each number of summaries counts in training.
    #[serde(default)]
    pub weights: WidthWeights,
    /// Weights `geometric`: the probability p of ρ_k = p (1 − p)^(k−1).
    #[serde(default = "half")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub probability: f64,
}

/// How much each width of an ordered code counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-kind" = "weights of widths"))]
pub enum WidthWeights {
    /// All widths alike, none included.
    #[default]
    Linear,
    /// Falling by a factor 1 − `probability` from width to width.
    Geometric,
    /// Widths 1, 2, 4, 8, … and the largest one alike.
    LogSpaced,
}

fn half() -> f64 {
    0.5
}

/// Arguments of the fully connected embedding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FcnConfig {
    /// Width of each layer; the last one is the size of the summary and has no activation.
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 8192)))]
    pub n_hidden: Vec<usize>,
    /// Activation between the layers.
    #[serde(default = "silu")]
    pub act_fn: Activation,
    /// Number of inputs, checked against the data where given.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub n_input: Option<usize>,
}

/// Arguments of the residual embedding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResidualMlpConfig {
    /// Width of the residual blocks.
    #[schemars(range(min = 1, max = 8192))]
    pub hidden_features: usize,
    /// Number of residual blocks.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 64))]
    pub num_blocks: usize,
    /// Size of the summary.
    #[schemars(range(min = 1, max = 8192))]
    pub n_output: usize,
    /// Activation inside the blocks.
    #[serde(default = "silu")]
    pub act_fn: Activation,
}

/// What convolutions find at the edge of the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "padding"))]
pub enum Padding {
    /// Nothing: patches stay inside, and each layer trims the data.
    Valid,
    /// Zeros, so that the extent is kept.
    #[default]
    Same,
    /// The other side, so that the extent is kept: the data are periodic.
    Periodic,
}

/// How a set becomes one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "pooling"))]
pub enum Pooling {
    /// The mean over members.
    #[default]
    Mean,
    /// The sum over members.
    Sum,
    /// The largest value of each channel.
    Max,
}

/// Arguments of the convolutional embedding, LtU-ILI's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CnnConfig {
    /// Channels and extent of a datum, such as [1, 64, 64]; one to three axes. From the data's shape where left out, as one channel.
    #[serde(default)]
    #[schemars(length(min = 2, max = 4), inner(range(min = 1)))]
    pub in_shape: Option<Vec<usize>>,
    /// Channels of each convolution.
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 8192)))]
    pub n_channels: Vec<usize>,
    /// Kernel of each convolution; 3 where left out.
    #[serde(default)]
    #[schemars(inner(range(min = 1, max = 1024)))]
    pub kernel_sizes: Vec<usize>,
    /// Stride of each convolution; 1 where left out.
    #[serde(default)]
    #[schemars(inner(range(min = 1, max = 1024)))]
    pub strides: Vec<usize>,
    /// Patches of which the largest value is kept after each convolution; 1, which keeps all, where left out.
    #[serde(default)]
    #[schemars(inner(range(min = 1, max = 1024)))]
    pub pool_sizes: Vec<usize>,
    /// Widths of the fully connected layers; the last one is the size of the summary and has no activation.
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 8192)))]
    pub n_hiddens: Vec<usize>,
    /// Activation between the layers.
    #[serde(default = "silu")]
    pub act_fn: Activation,
    /// What convolutions find at the edge.
    #[serde(default = "valid")]
    pub padding: Padding,
}

/// Arguments of the residual convolutional embedding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResNetConfig {
    /// Channels and extent of a datum, such as [1, 64, 64]; one to three axes. From the data's shape where left out, as one channel.
    #[serde(default)]
    #[schemars(length(min = 2, max = 4), inner(range(min = 1)))]
    pub in_shape: Option<Vec<usize>>,
    /// Channels of each stage; every stage after the first halves the extent.
    #[schemars(length(min = 1, max = 16), inner(range(min = 1, max = 8192)))]
    pub n_channels: Vec<usize>,
    /// Residual blocks in each stage.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 64))]
    pub num_blocks: usize,
    /// Kernel of all convolutions.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 31))]
    pub kernel_size: usize,
    /// Size of the summary.
    #[schemars(range(min = 1, max = 8192))]
    pub n_output: usize,
    /// Activation inside the blocks.
    #[serde(default = "silu")]
    pub act_fn: Activation,
    /// What convolutions find at the edge; `valid` counts as `same`.
    #[serde(default)]
    pub padding: Padding,
}

/// Arguments of the deep set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeepSetConfig {
    /// Number of members and features of a member; from the data's shape where left out.
    #[serde(default)]
    pub in_shape: Option<[usize; 2]>,
    /// Widths of the network on every member.
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 8192)))]
    pub n_features: Vec<usize>,
    /// How members become one vector.
    #[serde(default)]
    pub pooling: Pooling,
    /// Widths of the network after that; the last one is the size of the summary and has no activation.
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 8192)))]
    pub n_hiddens: Vec<usize>,
    /// Activation between the layers.
    #[serde(default = "silu")]
    pub act_fn: Activation,
}

/// Arguments of the set transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetTransformerConfig {
    /// Number of members and features of a member; from the data's shape where left out.
    #[serde(default)]
    pub in_shape: Option<[usize; 2]>,
    /// Channels of every member: a multiple of the heads.
    #[schemars(range(min = 1, max = 8192))]
    pub hidden_features: usize,
    /// Attention heads.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 64))]
    pub num_heads: usize,
    /// Blocks of attention.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 64))]
    pub num_layers: usize,
    /// Learned points through which members see each other; 0: they do so directly.
    #[serde(default)]
    #[schemars(range(max = 4096))]
    pub num_inducing: usize,
    /// Learned queries that summarise the set.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub num_seeds: usize,
    /// Widths of the fully connected layers after that; the last one is the size of the summary and has no activation.
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 8192)))]
    pub n_hiddens: Vec<usize>,
    /// Activation of the feed-forward parts.
    #[serde(default = "silu")]
    pub act_fn: Activation,
}

/// Arguments of the transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Number of tokens and features of a token; from the data's shape where left out.
    #[serde(default)]
    pub in_shape: Option<[usize; 2]>,
    /// Channels of every token: a multiple of the heads.
    #[schemars(range(min = 1, max = 8192))]
    pub hidden_features: usize,
    /// Attention heads.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 64))]
    pub num_heads: usize,
    /// Blocks.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 64))]
    pub num_layers: usize,
    /// Probability with which numbers are dropped in training.
    #[serde(default)]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
    /// How tokens become one vector.
    #[serde(default)]
    pub pooling: Pooling,
    /// Widths of the fully connected layers after that; the last one is the size of the summary and has no activation.
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 8192)))]
    pub n_hiddens: Vec<usize>,
    /// Activation of the feed-forward parts.
    #[serde(default = "silu")]
    pub act_fn: Activation,
}

/// Arguments of the message-passing network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GnnConfig {
    /// Number of points and features of a point, of which the first `num_axes` are coordinates; from the data's shape where left out.
    #[serde(default)]
    pub in_shape: Option<[usize; 2]>,
    /// Number of coordinates.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 16))]
    pub num_axes: usize,
    /// Most neighbours of a point.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 1024))]
    pub num_neighbours: usize,
    /// Largest distance of a neighbour, in standardised coordinates; any where left out.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub radius: Option<f64>,
    /// Width of points and messages.
    #[schemars(range(min = 1, max = 8192))]
    pub hidden_features: usize,
    /// Rounds of messages.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 64))]
    pub num_rounds: usize,
    /// How points become one vector.
    #[serde(default)]
    pub pooling: Pooling,
    /// Widths of the fully connected layers after that; the last one is the size of the summary and has no activation.
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 8192)))]
    pub n_hiddens: Vec<usize>,
    /// Activation throughout.
    #[serde(default = "silu")]
    pub act_fn: Activation,
}

fn silu() -> Activation {
    Activation::SiLU
}

fn valid() -> Padding {
    Padding::Valid
}

fn three() -> usize {
    3
}

fn four() -> usize {
    4
}

fn eight() -> usize {
    8
}

fn two() -> usize {
    2
}

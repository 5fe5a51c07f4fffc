//! Nets: the densities that can be trained, and what describes the data to them.

use super::support;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Whose defaults apply where a key is not given. One engine serves all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "backend", "x-names" = [["sbi.inference", "sbi"]]))]
pub enum Backend {
    /// Defaults of the sbi package: 50 hidden features, 5 transforms, 10 components, stop after 20 epochs without progress.
    #[default]
    Sbi,
    /// Defaults of the lampe package: 16 hidden features, 2 transforms, 3 components, stop after 30 epochs without progress.
    Lampe,
    /// Defaults of the pydelfi package: 16 hidden features, 2 transforms, 3 components.
    Pydelfi,
}

/// What is learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kind" = "engine", "x-unavailable" = support::ENGINES, "x-names" = ENGINE_NAMES))]
pub enum Engine {
    /// Neural posterior estimation: the posterior p(θ | x) itself, by maximum likelihood on simulated pairs.
    #[default]
    #[serde(rename = "NPE")]
    Npe,
    /// Neural likelihood estimation: p(x | θ) by maximum likelihood; the posterior is drawn by a sampler.
    #[serde(rename = "NLE")]
    Nle,
    /// Neural ratio estimation, p(x | θ)/p(x), with the multi-class loss of NRE-B: `num_atoms` parameters for each datum.
    #[serde(rename = "NRE")]
    Nre,
    /// NRE-A: binary classification of joint against marginal pairs.
    #[serde(rename = "NRE_A")]
    NreA,
    /// NRE-C: the contrastive loss with `num_classes` and `gamma`.
    #[serde(rename = "NRE_C")]
    NreC,
    /// Balanced NRE-A: with `regularization_strength`, cautious rather than overconfident.
    #[serde(rename = "BNRE")]
    Bnre,
    /// Flow-matching posterior estimation: p(θ | x) as the flow of a vector field.
    #[serde(rename = "FMPE")]
    Fmpe,
    /// Neural posterior score estimation: p(θ | x) as a diffusion run backward; `sde_type` is its noise.
    #[serde(rename = "NPSE")]
    Npse,
    /// Sequential NPE-C (APT): in `num_round` rounds simulations close in on one observation; needs a simulator and the observation.
    #[serde(rename = "SNPE")]
    Snpe,
    /// Truncated sequential NPE: rounds of simulations from the prior, cut to where the posterior is.
    #[serde(rename = "TSNPE")]
    Tsnpe,
    /// Sequential NLE.
    #[serde(rename = "SNLE")]
    Snle,
    /// Sequential NRE with the loss of NRE-B.
    #[serde(rename = "SNRE")]
    Snre,
    /// Sequential NRE-A.
    #[serde(rename = "SNRE_A")]
    SnreA,
    /// Sequential NRE-C.
    #[serde(rename = "SNRE_C")]
    SnreC,
    /// Rejection ABC for one observation: the parameters whose simulations come closest to it. Trains no nets.
    #[serde(rename = "MCABC")]
    Mcabc,
    /// Sequential Monte Carlo ABC: populations of parameters that close in on one observation; needs a simulator. Trains no nets.
    #[serde(rename = "SMCABC")]
    Smcabc,
}

/// The noise of score models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "noise schedule"))]
pub enum SdeType {
    /// Variance exploding: σ from 1e-4 to 10.
    #[default]
    Ve,
    /// Variance preserving: β from 0.01 to 10.
    Vp,
    /// Sub-variance preserving.
    Subvp,
}

/// What kind of network an engine trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetSort {
    /// A conditional density.
    Density,
    /// A classifier of pairs.
    Classifier,
    /// A vector field.
    Field,
}

/// Other names of engines: (theirs, ours). sbi calls its classes by the paper's names too.
pub(crate) const ENGINE_NAMES: &[(&str, &str)] = &[
    ("NPE_C", "NPE"),
    ("APT", "NPE"),
    ("NLE_A", "NLE"),
    ("NRE_B", "NRE"),
    ("AALR", "NRE_A"),
    ("CNRE", "NRE_C"),
    ("SNPE_C", "SNPE"),
    ("SNL", "SNLE"),
    ("SNLE_A", "SNLE"),
    ("SNRE_B", "SNRE"),
    ("SRE", "SNRE"),
    ("ABC", "MCABC"),
    ("SMC", "SMCABC"),
];

impl Engine {
    /// Whether it simulates while it trains.
    pub const fn is_sequential(self) -> bool {
        matches!(self, Self::Snpe | Self::Tsnpe | Self::Snle | Self::Snre | Self::SnreA | Self::SnreC)
    }

    /// Whether it accepts simulations in place of training nets.
    pub const fn is_abc(self) -> bool {
        matches!(self, Self::Mcabc | Self::Smcabc)
    }

    /// What its nets are; ABC has none.
    pub const fn wants(self) -> Option<NetSort> {
        Some(match self {
            Self::Npe | Self::Nle | Self::Snpe | Self::Tsnpe | Self::Snle => NetSort::Density,
            Self::Nre | Self::NreA | Self::NreC | Self::Bnre | Self::Snre | Self::SnreA | Self::SnreC => NetSort::Classifier,
            Self::Fmpe | Self::Npse => NetSort::Field,
            Self::Mcabc | Self::Smcabc => return None,
        })
    }
}

/// Activation function of hidden layers, named as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kind" = "activation"))]
pub enum Activation {
    /// x σ(x).
    SiLU,
    /// max(x, 0).
    ReLU,
    /// max(x, 0) + 0.01 min(x, 0).
    LeakyReLU,
    /// x for x > 0, eˣ − 1 below.
    ELU,
    /// x Φ(x) with the normal distribution function Φ.
    GELU,
    /// tanh x.
    Tanh,
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
    /// ln(1 + eˣ).
    Softplus,
    /// x tanh(ln(1 + eˣ)).
    Mish,
}

/// One net of the ensemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-ignored" = support::NET))]
pub struct NetConfig {
    /// The conditional density.
    #[serde(flatten)]
    pub density: DensityConfig,
    /// Distinguishes this net in file names and plots.
    #[serde(default)]
    pub signature: String,
    /// How many nets of this kind are trained, from different initial weights.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub repeats: usize,
}

fn one() -> usize {
    1
}

impl NetConfig {
    /// A net with sbi's defaults.
    pub fn new(density: DensityConfig) -> Self {
        Self { density, signature: String::new(), repeats: 1 }
    }
}

/// The conditional density of the engines NPE and NLE, the classifier of the ratio engines, or the vector field of FMPE and NPSE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "model", rename_all = "snake_case")]
#[schemars(extend("x-kind" = "net"))]
pub enum DensityConfig {
    /// Mixture density network: a mixture of normals with full covariance, all of it a function of x.
    Mdn(MdnConfig),
    /// Masked autoencoder: p(θ) = Π p(θ_i | θ_<i, x), each factor a mixture of normals.
    Made(MadeConfig),
    /// Masked autoregressive flow with affine transforms.
    Maf(AffineFlowConfig),
    /// Neural spline flow: rational-quadratic spline couplings with LU-linear layers between them, the default of sbi.
    Nsf(NsfConfig),
    /// Masked autoregressive flow with rational-quadratic splines (the `nsf` of the lampe package).
    MafRqs(MafRqsConfig),
    /// Additive coupling flow.
    Nice(AffineFlowConfig),
    /// Affine coupling flow.
    Realnvp(AffineFlowConfig),
    /// Gaussianization flow: mixtures of normals per feature, told by x, with LU-linear layers between them.
    Gf(GfConfig),
    /// Autoregressive flow of splines on the circle: every parameter is an angle, its prior's bounds being one and the same point.
    Ncsf(NcsfConfig),
    /// Autoregressive flow of sum-of-squares polynomials.
    Sospf(SospfConfig),
    /// Autoregressive flow of Bernstein polynomials.
    Bpf(BpfConfig),
    /// Neural autoregressive flow: each feature's map is a network of sigmoids with positive weights.
    Naf(NafConfig),
    /// Unconstrained neural autoregressive flow: each feature's map is the integral of a positive network.
    Unaf(UnafConfig),
    /// Continuous normalising flow: an ordinary differential equation carries the parameters to noise.
    Cnf(CnfConfig),
    /// Classifier: logistic regression on parameters and data.
    Linear(LinearConfig),
    /// Fully connected layers with layer normalisation: a classifier, or the vector field of FMPE and NPSE.
    Mlp(MlpConfig),
    /// The vector field of FMPE and NPSE, in which time and data act on every layer.
    AdaMlp(MlpConfig),
    /// Classifier: residual network.
    Resnet(ResnetConfig),
}

/// Declares the argument structs of the nets with sbi's defaults.
macro_rules! net_arguments {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty = $default:expr),* $(,)? })*) => {
        $(
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
            #[serde(default, deny_unknown_fields)]
            $(#[$meta])*
            pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

            impl Default for $name {
                fn default() -> Self {
                    Self { $($field: $default,)* }
                }
            }
        )*
    };
}

net_arguments! {
    /// Arguments of a mixture density network. Backend lampe: hidden_features 16, hidden_layers 3, num_components 3.
    MdnConfig {
        /// Width of each hidden layer.
        #[schemars(range(min = 1, max = 8192))]
        hidden_features: usize = 50,
        /// Number of hidden layers.
        #[schemars(range(min = 1, max = 64), extend("x-aliases" = ["num_blocks"]))]
        hidden_layers: usize = 2,
        /// Number of normals in the mixture.
        #[schemars(range(min = 1, max = 1024))]
        num_components: usize = 10,
    }
    /// Arguments of a MADE. Backend lampe: hidden_features 16, num_components 3.
    #[schemars(extend("x-ignored" = support::MADE))]
    MadeConfig {
        /// Width of each hidden layer.
        #[schemars(range(min = 1, max = 8192))]
        hidden_features: usize = 50,
        /// Number of masked hidden layers.
        #[schemars(range(min = 1, max = 64), extend("x-aliases" = ["num_blocks"]))]
        hidden_layers: usize = 2,
        /// Number of normals in each factor.
        #[schemars(range(min = 1, max = 1024))]
        num_components: usize = 10,
    }
    /// Arguments of a spline coupling flow. Backend lampe: hidden_features 16, num_transforms 2, num_bins 8, tail_bound 5.
    NsfConfig {
        /// Width of the residual nets.
        #[schemars(range(min = 1, max = 8192))]
        hidden_features: usize = 50,
        /// Number of residual blocks in each transform.
        #[schemars(range(min = 1, max = 64))]
        num_blocks: usize = 2,
        /// Number of coupling transforms.
        #[schemars(range(min = 1, max = 64))]
        num_transforms: usize = 5,
        /// Number of bins of each spline.
        #[schemars(range(min = 2, max = 64))]
        num_bins: usize = 10,
        /// The splines act on [−tail_bound, tail_bound] in units of the standardised parameter; outside they are the identity.
        #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
        tail_bound: f64 = 3.0,
    }
    /// Arguments of a spline autoregressive flow. Backend lampe: hidden_features 16, num_transforms 2, num_bins 8, tail_bound 5.
    MafRqsConfig {
        /// Width of each hidden layer.
        #[schemars(range(min = 1, max = 8192))]
        hidden_features: usize = 50,
        /// Number of masked hidden layers in each transform.
        #[schemars(range(min = 1, max = 64), extend("x-aliases" = ["num_blocks"]))]
        hidden_layers: usize = 2,
        /// Number of transforms, with permutations between them.
        #[schemars(range(min = 1, max = 64))]
        num_transforms: usize = 5,
        /// Number of bins of each spline.
        #[schemars(range(min = 2, max = 64))]
        num_bins: usize = 10,
        /// The splines act on [−tail_bound, tail_bound] in units of the standardised parameter; outside they are the identity.
        #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
        tail_bound: f64 = 3.0,
    }
    /// Arguments of the linear classifier: none.
    LinearConfig {}
    /// Arguments of a fully connected network. Engines FMPE and NPSE: hidden_features 100, hidden_layers 5.
    MlpConfig {
        /// Width of each hidden layer.
        #[schemars(range(min = 1, max = 8192))]
        hidden_features: usize = 50,
        /// Number of hidden layers.
        #[schemars(range(min = 1, max = 64))]
        hidden_layers: usize = 2,
    }
    /// Arguments of a residual classifier.
    ResnetConfig {
        /// Width of the residual blocks.
        #[schemars(range(min = 1, max = 8192))]
        hidden_features: usize = 50,
        /// Number of residual blocks.
        #[schemars(range(min = 1, max = 64))]
        num_blocks: usize = 2,
    }
    /// Arguments of a flow of affine transforms. Backend lampe: hidden_features 16, num_transforms 2.
    AffineFlowConfig {
        /// Width of each hidden layer.
        #[schemars(range(min = 1, max = 8192))]
        hidden_features: usize = 50,
        /// Number of hidden layers in each transform.
        #[schemars(range(min = 1, max = 64), extend("x-aliases" = ["num_blocks"]))]
        hidden_layers: usize = 2,
        /// Number of transforms, with permutations between them.
        #[schemars(range(min = 1, max = 64))]
        num_transforms: usize = 5,
    }
    /// Arguments of a Gaussianization flow. Backend lampe: hidden_features 16, num_transforms 2.
    GfConfig {
        /// Width of each hidden layer.
        #[schemars(range(min = 1, max = 8192))]
        hidden_features: usize = 50,
        /// Number of hidden layers in each transform.
        #[schemars(range(min = 1, max = 64), extend("x-aliases" = ["num_blocks"]))]
        hidden_layers: usize = 2,
        /// Number of transforms, with LU-linear layers between them.
        #[schemars(range(min = 1, max = 64))]
        num_transforms: usize = 5,
        /// Number of normals in each feature's mixture.
        #[schemars(range(min = 1, max = 32), extend("x-aliases" = ["components"]))]
        num_components: usize = 8,
    }
    /// Arguments of a flow of circular splines. Backend lampe: hidden_features 16, num_transforms 2, num_bins 8.
    NcsfConfig {
        /// Width of each hidden layer.
        #[schemars(range(min = 1, max = 8192))]
        hidden_features: usize = 50,
        /// Number of masked hidden layers in each transform.
        #[schemars(range(min = 1, max = 64), extend("x-aliases" = ["num_blocks"]))]
        hidden_layers: usize = 2,
        /// Number of transforms, the order of the parameters reversed from one to the next.
        #[schemars(range(min = 1, max = 64))]
        num_transforms: usize = 5,
        /// Number of bins of each spline.
        #[schemars(range(min = 2, max = 64))]
        num_bins: usize = 10,
    }
    /// Arguments of a flow of sum-of-squares polynomials. Backend lampe: hidden_features 16, num_transforms 2.
    SospfConfig {
        /// Width of each hidden layer.
        #[schemars(range(min = 1, max = 8192))]
        hidden_features: usize = 50,
        /// Number of masked hidden layers in each transform.
        #[schemars(range(min = 1, max = 64), extend("x-aliases" = ["num_blocks"]))]
        hidden_layers: usize = 2,
        /// Number of transforms, the order of the parameters reversed from one to the next.
        #[schemars(range(min = 1, max = 64))]
        num_transforms: usize = 5,
        /// Number of squared polynomials of each map; times (degree + 1) at most 32.
        #[schemars(range(min = 1, max = 32), extend("x-aliases" = ["polynomials"]))]
        num_polynomials: usize = 3,
        /// Degree of the polynomials before they are squared.
        #[schemars(range(min = 0, max = 31))]
        degree: usize = 4,
        /// The maps are polynomials on [−tail_bound, tail_bound] in units of the standardised parameter and linear outside.
        #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
        tail_bound: f64 = 5.0,
    }
    /// Arguments of a flow of Bernstein polynomials. Backend lampe: hidden_features 16, num_transforms 2.
    BpfConfig {
        /// Width of each hidden layer.
        #[schemars(range(min = 1, max = 8192))]
        hidden_features: usize = 50,
        /// Number of masked hidden layers in each transform.
        #[schemars(range(min = 1, max = 64), extend("x-aliases" = ["num_blocks"]))]
        hidden_layers: usize = 2,
        /// Number of transforms, the order of the parameters reversed from one to the next.
        #[schemars(range(min = 1, max = 64))]
        num_transforms: usize = 5,
        /// Degree of the polynomials.
        #[schemars(range(min = 1, max = 32))]
        degree: usize = 16,
        /// The maps are polynomials on [−tail_bound, tail_bound] in units of the standardised parameter and linear outside.
        #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
        tail_bound: f64 = 5.0,
    }
    /// Arguments of a neural autoregressive flow. Backend lampe: hidden_features 16, num_transforms 2.
    NafConfig {
        /// Width of each hidden layer.
        #[schemars(range(min = 1, max = 8192))]
        hidden_features: usize = 50,
        /// Number of masked hidden layers in each transform.
        #[schemars(range(min = 1, max = 64), extend("x-aliases" = ["num_blocks"]))]
        hidden_layers: usize = 2,
        /// Number of transforms, the order of the parameters reversed from one to the next.
        #[schemars(range(min = 1, max = 64))]
        num_transforms: usize = 5,
        /// Number of sigmoids of each map.
        #[schemars(range(min = 1, max = 32))]
        signal: usize = 16,
    }
    /// Arguments of an unconstrained neural autoregressive flow. Backend lampe: hidden_features 16, num_transforms 2.
    UnafConfig {
        /// Width of each hidden layer.
        #[schemars(range(min = 1, max = 8192))]
        hidden_features: usize = 50,
        /// Number of masked hidden layers in each transform.
        #[schemars(range(min = 1, max = 64), extend("x-aliases" = ["num_blocks"]))]
        hidden_layers: usize = 2,
        /// Number of transforms, the order of the parameters reversed from one to the next.
        #[schemars(range(min = 1, max = 64))]
        num_transforms: usize = 5,
        /// Hidden units of each map's positive network.
        #[schemars(range(min = 1, max = 32))]
        signal: usize = 16,
        /// The maps are integrals on [−tail_bound, tail_bound] in units of the standardised parameter and linear outside.
        #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
        tail_bound: f64 = 5.0,
    }
    /// Arguments of a continuous normalising flow. Backend lampe: hidden_features 16, num_transforms 2.
    CnfConfig {
        /// Width of the two hidden layers of the velocity.
        #[schemars(range(min = 1, max = 1024))]
        hidden_features: usize = 50,
        /// Number of frequencies of the time that the velocity sees.
        #[schemars(range(min = 1, max = 64), extend("x-aliases" = ["freqs"]))]
        num_transforms: usize = 3,
        /// Number of steps of the integration.
        #[schemars(range(min = 1, max = 1024))]
        num_steps: usize = 16,
    }
}

impl DensityConfig {
    /// Whether it can be a net of this sort.
    pub const fn can_be(&self, sort: NetSort) -> bool {
        match self {
            Self::Linear(_) | Self::Resnet(_) => matches!(sort, NetSort::Classifier),
            Self::Mlp(_) => matches!(sort, NetSort::Classifier | NetSort::Field),
            Self::AdaMlp(_) => matches!(sort, NetSort::Field),
            _ => matches!(sort, NetSort::Density),
        }
    }

    /// Its name in configuration files.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Mdn(_) => "mdn",
            Self::Made(_) => "made",
            Self::Maf(_) => "maf",
            Self::Nsf(_) => "nsf",
            Self::MafRqs(_) => "maf_rqs",
            Self::Nice(_) => "nice",
            Self::Realnvp(_) => "realnvp",
            Self::Gf(_) => "gf",
            Self::Ncsf(_) => "ncsf",
            Self::Sospf(_) => "sospf",
            Self::Bpf(_) => "bpf",
            Self::Naf(_) => "naf",
            Self::Unaf(_) => "unaf",
            Self::Cnf(_) => "cnf",
            Self::Linear(_) => "linear",
            Self::Mlp(_) => "mlp",
            Self::AdaMlp(_) => "ada_mlp",
            Self::Resnet(_) => "resnet",
        }
    }
}

/// Where pydelfi's defaults differ from sbi's, for one net model.
pub(crate) fn pydelfi_defaults(model: &str) -> Value {
    match model {
        "mdn" | "made" => json!({"hidden_features": 16, "num_components": 3}),
        "linear" | "mlp" | "ada_mlp" | "resnet" => json!({}),
        _ => json!({"hidden_features": 16, "num_transforms": 2}),
    }
}

/// Where lampe's defaults differ from sbi's, for one net model.
pub(crate) fn lampe_defaults(model: &str) -> Value {
    match model {
        "mdn" => json!({"hidden_features": 16, "hidden_layers": 3, "num_components": 3}),
        "made" => json!({"hidden_features": 16, "num_components": 3}),
        "nsf" | "maf_rqs" => json!({"hidden_features": 16, "num_transforms": 2, "num_bins": 8, "tail_bound": 5.0}),
        "ncsf" => json!({"hidden_features": 16, "num_transforms": 2, "num_bins": 8}),
        "linear" | "mlp" | "ada_mlp" | "resnet" => json!({}),
        _ => json!({"hidden_features": 16, "num_transforms": 2}),
    }
}

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

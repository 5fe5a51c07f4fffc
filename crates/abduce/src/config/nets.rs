//! Engines, and the nets that each can train.

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
#[schemars(extend("x-kind" = "engine", "x-names" = ENGINE_NAMES))]
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
    /// Sequential NPE-A: rounds of simulations from a Gaussian around the last posterior, each round trained alone and corrected for its Gaussian; drawn by chains.
    #[serde(rename = "SNPE_A")]
    SnpeA,
    /// Sequential NPE-B: the plain loss, weighted by prior over proposal.
    #[serde(rename = "SNPE_B")]
    SnpeB,
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
    ("NPE_A", "NPE"),
    ("NPE_B", "NPE"),
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
        matches!(self, Self::Snpe | Self::SnpeA | Self::SnpeB | Self::Tsnpe | Self::Snle | Self::Snre | Self::SnreA | Self::SnreC)
    }

    /// Whether it accepts simulations in place of training nets.
    pub const fn is_abc(self) -> bool {
        matches!(self, Self::Mcabc | Self::Smcabc)
    }

    /// What its nets are; ABC has none.
    pub const fn wants(self) -> Option<NetSort> {
        Some(match self {
            Self::Npe | Self::Nle | Self::Snpe | Self::SnpeA | Self::SnpeB | Self::Tsnpe | Self::Snle => NetSort::Density,
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

pub(super) fn one() -> usize {
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

//! Nets: the densities that can be trained, and what describes the data to them.

use super::support;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Whose defaults apply where a key is not given. One engine serves both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "backend", "x-unavailable" = support::BACKENDS, "x-names" = [["sbi.inference", "sbi"]]))]
pub enum Backend {
    /// Defaults of the sbi package: 50 hidden features, 5 transforms, 10 components, stop after 20 epochs without progress.
    #[default]
    Sbi,
    /// Defaults of the lampe package: 16 hidden features, 2 transforms, 3 components, stop after 30 epochs without progress.
    Lampe,
}

/// What is learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kind" = "engine", "x-unavailable" = support::ENGINES))]
pub enum Engine {
    /// Neural posterior estimation: the posterior p(θ | x) itself, by maximum likelihood on simulated pairs.
    #[default]
    #[serde(rename = "NPE")]
    Npe,
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

/// The conditional density q(θ | x).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "model", rename_all = "snake_case")]
#[schemars(extend("x-kind" = "net", "x-unavailable" = support::NETS))]
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

/// Where lampe's defaults differ from sbi's, for one net model.
pub(crate) fn lampe_defaults(model: &str) -> Value {
    match model {
        "mdn" => json!({"hidden_features": 16, "hidden_layers": 3, "num_components": 3}),
        "made" => json!({"hidden_features": 16, "num_components": 3}),
        "nsf" | "maf_rqs" => json!({"hidden_features": 16, "num_transforms": 2, "num_bins": 8, "tail_bound": 5.0}),
        "ncsf" => json!({"hidden_features": 16, "num_transforms": 2, "num_bins": 8}),
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

fn silu() -> Activation {
    Activation::SiLU
}

fn two() -> usize {
    2
}

//! How a posterior is drawn from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How draws are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "sampling method", "x-names" = METHOD_NAMES))]
pub enum SampleMethod {
    /// Exact, independent draws. Only a posterior density (engines NPE, SNPE) can be drawn from directly.
    Direct,
    /// Markov chains by slice sampling, coordinate by coordinate.
    Slice,
    /// Markov chains by affine-invariant stretch moves of an ensemble of walkers.
    Emcee,
    /// Markov chains by Hamiltonian Monte Carlo.
    Hmc,
    /// Markov chains by the no-U-turn sampler.
    Nuts,
    /// Independent draws of a distribution that is fitted to the posterior of each observation: an approximation, with a measure of its quality.
    Vi,
    /// Draws of a posterior density, chosen by the weights of a likelihood: only in `abduce sample`, with `--likelihood` or `--proposal`.
    Importance,
}

/// What `vi` fits to each posterior.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
#[schemars(extend("x-kind" = "variational family"))]
pub enum VariationalDist {
    /// Masked autoregressive flow.
    #[default]
    Maf,
    /// Coupling flow of splines.
    Nsf,
    /// Neural autoregressive flow.
    Naf,
    /// Unconstrained monotonic neural autoregressive flow.
    Unaf,
    /// Additive couplings and a final scaling.
    Nice,
    /// Sum-of-squares polynomials.
    Sospf,
    /// Gaussianization flow.
    Gf,
    /// Gaussian of full covariance.
    Gaussian,
    /// Gaussian of independent parameters.
    GaussianDiag,
}

impl VariationalDist {
    /// Its name, as in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Maf => "maf",
            Self::Nsf => "nsf",
            Self::Naf => "naf",
            Self::Unaf => "unaf",
            Self::Nice => "nice",
            Self::Sospf => "sospf",
            Self::Gf => "gf",
            Self::Gaussian => "gaussian",
            Self::GaussianDiag => "gaussian_diag",
        }
    }
}

/// What `vi` minimises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-kind" = "divergence", "x-names" = DIVERGENCE_NAMES))]
pub enum VariationalDivergence {
    /// KL(q ‖ p), the evidence lower bound: precise, but blind to modes that it leaves out.
    #[default]
    Reverse,
    /// KL(p ‖ q) by importance weights: covers all that it finds, and errs on the wide side.
    Forward,
}

/// Other names of divergences: (theirs, ours).
pub(crate) const DIVERGENCE_NAMES: &[(&str, &str)] = &[("rKL", "reverse"), ("fKL", "forward")];

/// Other names of methods: (theirs, ours).
pub(crate) const METHOD_NAMES: &[(&str, &str)] = &[
    ("slice_np", "slice"),
    ("slice_np_vectorized", "slice"),
    ("slice_pymc", "slice"),
    ("hmc_pyro", "hmc"),
    ("hmc_pymc", "hmc"),
    ("nuts_pyro", "nuts"),
    ("nuts_pymc", "nuts"),
];

impl SampleMethod {
    /// By our name or one of sbi's.
    pub fn named(name: &str) -> Option<Self> {
        let own = METHOD_NAMES.iter().find(|(theirs, _)| *theirs == name).map_or(name, |(_, ours)| ours);
        serde_json::from_value(own.into()).ok()
    }
}

/// Options of Markov chains and of `vi`; what is not given follows from the method, and what belongs to another method has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SampleParams {
    /// Chains per observation; -1 for the method's own number.
    #[schemars(range(min = -1, max = 100_000))]
    pub num_chains: i64,
    /// Steps of each chain that adapt the sampler and are thrown away.
    #[schemars(extend("x-aliases" = ["warmup_steps"]))]
    pub burn_in: Option<usize>,
    /// Of the steps after that, each so many-th is kept.
    #[schemars(range(min = 1))]
    pub thin: Option<usize>,
    /// How often the chains of an observation may double their length while R-hat is 1.01 or more or fewer than 400 draws are effective (3).
    #[schemars(range(max = 20))]
    pub extensions: Option<usize>,
    /// vi: what is fitted (maf).
    pub dist: Option<VariationalDist>,
    /// vi: what is minimised (reverse).
    #[schemars(extend("x-aliases" = ["vi_method"]))]
    pub divergence: Option<VariationalDivergence>,
    /// vi: draws per observation and step (256).
    #[schemars(range(min = 25))]
    pub n_particles: Option<usize>,
    /// vi: learning rate; 1e-3 of a flow, 0.1 (in units of its own width) of a Gaussian.
    #[schemars(range(min = 0, max = 1))]
    pub learning_rate: Option<f64>,
    /// vi: factor of the learning rate from step to step (0.999).
    #[schemars(range(min = 0, max = 1))]
    pub gamma: Option<f64>,
    /// vi: most steps (2000).
    #[schemars(range(min = 1))]
    pub max_num_iters: Option<usize>,
    /// vi: fewest steps (10).
    pub min_num_iters: Option<usize>,
    /// vi: gradients with a larger norm are scaled down to it (10).
    #[schemars(range(min = 0))]
    pub clip_value: Option<f64>,
    /// vi: maximum-likelihood steps before the first step (100).
    pub warm_up_rounds: Option<usize>,
}

impl Default for SampleParams {
    fn default() -> Self {
        Self {
            num_chains: -1,
            burn_in: None,
            thin: None,
            extensions: None,
            dist: None,
            divergence: None,
            n_particles: None,
            learning_rate: None,
            gamma: None,
            max_num_iters: None,
            min_num_iters: None,
            clip_value: None,
            warm_up_rounds: None,
        }
    }
}

//! What density to build: plain data with real defaults.

use abduce_kernels::elementwise::Activation;
use abduce_kernels::monotone::MAX_TERMS;
use abduce_nn::widths::WeightsError;
use serde::{Deserialize, Serialize};

/// A family of conditional densities and its size. Its serialised form is part of the model file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum DensitySpec {
    /// Mixture of full-covariance Gaussians (Bishop 1994).
    Mdn {
        /// Widths of the hidden layers.
        hidden: Vec<usize>,
        /// Number of Gaussians.
        components: usize,
    },
    /// Autoregressive product of one-dimensional Gaussian mixtures (Germain et al. 2015, arXiv:1502.03509).
    Made {
        /// Widths of the hidden layers.
        hidden: Vec<usize>,
        /// Gaussians per conditional.
        components: usize,
    },
    /// Masked autoregressive flow with affine maps (Papamakarios et al. 2017, arXiv:1705.07057); the order of the features is reversed
    /// from one transform to the next.
    Maf {
        /// Number of transforms.
        transforms: usize,
        /// Widths of the hidden layers of each transform.
        hidden: Vec<usize>,
    },
    /// As `Maf` with rational-quadratic splines (Durkan et al. 2019, arXiv:1906.04032) and an LU-linear map after each transform.
    MafRqs {
        /// Number of transforms.
        transforms: usize,
        /// Widths of the hidden layers of each transform.
        hidden: Vec<usize>,
        /// The splines.
        spline: SplineSpec,
    },
    /// Coupling flow of rational-quadratic splines with LU-linear maps: the neural spline flow of sbi's default.
    Nsf {
        /// Number of transforms.
        transforms: usize,
        /// Width of the residual networks.
        hidden: usize,
        /// Blocks of each residual network.
        blocks: usize,
        /// The splines.
        spline: SplineSpec,
    },
    /// Additive couplings and a final scaling by the context (Dinh et al. 2014, arXiv:1410.8516).
    Nice {
        /// Number of couplings.
        transforms: usize,
        /// Widths of the hidden layers of each coupling.
        hidden: Vec<usize>,
    },
    /// Affine couplings (Dinh et al. 2016, arXiv:1605.08803).
    RealNvp {
        /// Number of couplings.
        transforms: usize,
        /// Widths of the hidden layers of each coupling.
        hidden: Vec<usize>,
    },
    /// Gaussianization flow (Meng et al. 2020, arXiv:2003.01941): each feature goes through Φ⁻¹ of a mixture of normal distribution functions
    /// told by the context, with LU-linear maps between.
    Gf {
        /// Number of element-wise maps.
        transforms: usize,
        /// Widths of the hidden layers of each map's network.
        hidden: Vec<usize>,
        /// Normals per feature.
        components: usize,
    },
    /// Autoregressive flow of circular rational-quadratic splines on D circles [-π, π] (Rezende et al. 2020, arXiv:2002.02428): θ are angles, the noise
    /// is uniform, and log q is normalised over the circles. Angles count modulo 2π.
    Ncsf {
        /// Number of transforms.
        transforms: usize,
        /// Widths of the hidden layers of each transform.
        hidden: Vec<usize>,
        /// Bins of the splines.
        bins: usize,
    },
    /// Autoregressive flow of sum-of-squares polynomials (Jaini et al. 2019, arXiv:1905.02325).
    Sospf {
        /// Number of transforms.
        transforms: usize,
        /// Widths of the hidden layers of each transform.
        hidden: Vec<usize>,
        /// Squared polynomials per feature.
        polynomials: usize,
        /// Their degree.
        degree: usize,
        /// Half-width of the interval outside which maps are linear.
        bound: f32,
    },
    /// Autoregressive flow of Bernstein polynomials (Ramasinghe et al. 2021, arXiv:2102.03509).
    Bpf {
        /// Number of transforms.
        transforms: usize,
        /// Widths of the hidden layers of each transform.
        hidden: Vec<usize>,
        /// Degree of the polynomials.
        degree: usize,
        /// Half-width of the interval outside which maps are linear.
        bound: f32,
    },
    /// Neural autoregressive flow (Huang et al. 2018, arXiv:1804.00779) with sigmoidal transformers.
    Naf {
        /// Number of transforms.
        transforms: usize,
        /// Widths of the hidden layers of each transform.
        hidden: Vec<usize>,
        /// Sigmoid units per feature.
        signal: usize,
    },
    /// Unconstrained monotonic neural autoregressive flow (Wehenkel and Louppe 2019, arXiv:1908.05164): integrals of positive networks whose
    /// weights come from the masked network.
    Unaf {
        /// Number of transforms.
        transforms: usize,
        /// Widths of the hidden layers of each transform.
        hidden: Vec<usize>,
        /// Hidden units of each positive network.
        signal: usize,
        /// Half-width of the interval outside which maps are linear.
        bound: f32,
    },
    /// Continuous normalising flow (Chen et al. 2018, arXiv:1806.07366; Grathwohl et al. 2018, arXiv:1810.01367) with exact traces, integrated with
    /// fixed steps; its velocity is a network of two hidden layers.
    Cnf {
        /// Width of the hidden layers.
        hidden: usize,
        /// Frequencies of the time that the network sees.
        frequencies: usize,
        /// Steps of the integration.
        steps: usize,
    },
}

/// What a density is a density over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// ℝᴰ; θ should be standardised.
    Reals,
    /// D circles [-π, π].
    Angles,
}

/// Shape of the splines of a flow. Data should be standardised: outside the bound a spline is the identity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplineSpec {
    /// Number of bins.
    pub bins: usize,
    /// Half-width of the interval.
    pub bound: f32,
}

impl Default for SplineSpec {
    fn default() -> Self {
        Self { bins: 10, bound: 3.0 }
    }
}

/// Why a density can't be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A size is zero or too large.
    #[error("{family}: {field} is {value}, expected {low} to {high}")]
    OutOfRange {
        /// The density family.
        family: &'static str,
        /// The offending field.
        field: &'static str,
        /// Its value.
        value: usize,
        /// Smallest allowed value.
        low: usize,
        /// Largest allowed value.
        high: usize,
    },
    /// A family that can't be drawn from and scored by one exact bijection of ℝᴰ.
    #[error("{family} is no flow over the real line with an exact inverse")]
    NoFlow {
        /// The density family.
        family: &'static str,
    },
    /// An ordered embedding in front of a network that is not trained at its widths.
    #[error("{family}: an ordered embedding (iob) is for posterior densities")]
    Ordered {
        /// The network's family.
        family: &'static str,
    },
    /// Weights of the widths of an ordered embedding that are none.
    #[error("iob: {0}")]
    Weights(#[from] WeightsError),
    /// The embedding does not fit the data.
    #[error("embedding: {0}")]
    Embedding(#[from] abduce_nn::layers::ShapeError),
    /// The interval of the splines or polynomials is empty or not finite.
    #[error("{family}: the tail bound must be a positive number")]
    Bound {
        /// The density family.
        family: &'static str,
    },
}

/// Sizes beyond these are mistakes or attacks: a hidden layer of 65 536 units alone holds 4·10⁹ weights.
const MAX_WIDTH: usize = 8192;
const MAX_LAYERS: usize = 64;

impl DensitySpec {
    /// The family's name, as in configuration files.
    pub const fn family(&self) -> &'static str {
        match self {
            Self::Mdn { .. } => "mdn",
            Self::Made { .. } => "made",
            Self::Maf { .. } => "maf",
            Self::MafRqs { .. } => "maf_rqs",
            Self::Nsf { .. } => "nsf",
            Self::Nice { .. } => "nice",
            Self::RealNvp { .. } => "realnvp",
            Self::Gf { .. } => "gf",
            Self::Ncsf { .. } => "ncsf",
            Self::Sospf { .. } => "sospf",
            Self::Bpf { .. } => "bpf",
            Self::Naf { .. } => "naf",
            Self::Unaf { .. } => "unaf",
            Self::Cnf { .. } => "cnf",
        }
    }

    /// Where θ lives.
    pub const fn space(&self) -> Space {
        match self {
            Self::Ncsf { .. } => Space::Angles,
            _ => Space::Reals,
        }
    }

    /// Checks all sizes.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn check(&self) -> Result<(), SpecError> {
        let family = self.family();
        let range = |field, value, low, high| {
            if (low..=high).contains(&value) { Ok(()) } else { Err(SpecError::OutOfRange { family, field, value, low, high }) }
        };
        let widths = |hidden: &[usize]| {
            range("number of hidden layers", hidden.len(), 1, MAX_LAYERS)?;
            hidden.iter().try_for_each(|&h| range("hidden_features", h, 1, MAX_WIDTH))
        };
        let interval = |bound: f32| if bound.is_finite() && bound > 0.0 { Ok(()) } else { Err(SpecError::Bound { family }) };
        let spline = |s: &SplineSpec| {
            range("num_bins", s.bins, 1, abduce_kernels::spline::MAX_BINS)?;
            interval(s.bound)
        };
        let stack = |transforms: usize, hidden: &[usize]| {
            range("num_transforms", transforms, 1, MAX_LAYERS)?;
            widths(hidden)
        };
        match self {
            Self::Mdn { hidden, components } | Self::Made { hidden, components } => {
                range("num_components", *components, 1, 1024)?;
                widths(hidden)
            }
            Self::Maf { transforms, hidden } | Self::Nice { transforms, hidden } | Self::RealNvp { transforms, hidden } => {
                stack(*transforms, hidden)
            }
            Self::MafRqs { transforms, hidden, spline: s } => {
                stack(*transforms, hidden)?;
                spline(s)
            }
            Self::Gf { transforms, hidden, components } => {
                range("num_components", *components, 1, MAX_TERMS)?;
                stack(*transforms, hidden)
            }
            Self::Ncsf { transforms, hidden, bins } => {
                range("num_bins", *bins, 1, abduce_kernels::spline::MAX_BINS)?;
                stack(*transforms, hidden)
            }
            Self::Sospf { transforms, hidden, polynomials, degree, bound } => {
                range("num_polynomials", *polynomials, 1, MAX_TERMS)?;
                // All coefficients of a feature's polynomials together are the kernel's terms.
                range("degree", *degree, 0, MAX_TERMS / polynomials - 1)?;
                interval(*bound)?;
                stack(*transforms, hidden)
            }
            Self::Bpf { transforms, hidden, degree, bound } => {
                range("degree", *degree, 1, MAX_TERMS)?;
                interval(*bound)?;
                stack(*transforms, hidden)
            }
            Self::Naf { transforms, hidden, signal } => {
                range("signal", *signal, 1, MAX_TERMS)?;
                stack(*transforms, hidden)
            }
            Self::Cnf { hidden, frequencies, steps } => {
                range("hidden_features", *hidden, 1, 1024)?;
                range("num_transforms", *frequencies, 1, 64)?;
                range("num_steps", *steps, 1, 1024)
            }
            Self::Unaf { transforms, hidden, signal, bound } => {
                range("signal", *signal, 1, MAX_TERMS)?;
                interval(*bound)?;
                stack(*transforms, hidden)
            }
            Self::Nsf { transforms, hidden, blocks, spline: s } => {
                range("num_transforms", *transforms, 1, MAX_LAYERS)?;
                range("hidden_features", *hidden, 1, MAX_WIDTH)?;
                range("num_blocks", *blocks, 0, MAX_LAYERS)?;
                spline(s)
            }
        }
    }
}

/// Activation inside autoregressive conditioners: tanh, as in the original MAF.
pub(crate) const AUTOREGRESSIVE_ACTIVATION: Activation = Activation::Tanh;
/// Activation inside couplings and mixture networks.
pub(crate) const COUPLING_ACTIVATION: Activation = Activation::Relu;

/// Whether `low` ≤ `value` ≤ `high`.
pub(crate) fn check_range(family: &'static str, field: &'static str, value: usize, low: usize, high: usize) -> Result<(), SpecError> {
    if (low..=high).contains(&value) { Ok(()) } else { Err(SpecError::OutOfRange { family, field, value, low, high }) }
}

/// Whether there is a sensible number of hidden layers of sensible widths.
pub(crate) fn check_widths(family: &'static str, hidden: &[usize]) -> Result<(), SpecError> {
    check_range(family, "number of hidden layers", hidden.len(), 1, MAX_LAYERS)?;
    hidden.iter().try_for_each(|&width| check_range(family, "hidden_features", width, 1, MAX_WIDTH))
}

//! What density to build: plain data with real defaults.

use abduce_kernels::elementwise::Activation;
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
    /// The spline's interval is empty or not finite.
    #[error("{family}: the spline bound must be a positive number")]
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
        let spline = |s: &SplineSpec| {
            range("num_bins", s.bins, 1, abduce_kernels::spline::MAX_BINS)?;
            if s.bound.is_finite() && s.bound > 0.0 { Ok(()) } else { Err(SpecError::Bound { family }) }
        };
        match self {
            Self::Mdn { hidden, components } | Self::Made { hidden, components } => {
                range("num_components", *components, 1, 1024)?;
                widths(hidden)
            }
            Self::Maf { transforms, hidden } | Self::Nice { transforms, hidden } | Self::RealNvp { transforms, hidden } => {
                range("num_transforms", *transforms, 1, MAX_LAYERS)?;
                widths(hidden)
            }
            Self::MafRqs { transforms, hidden, spline: s } => {
                range("num_transforms", *transforms, 1, MAX_LAYERS)?;
                widths(hidden)?;
                spline(s)
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

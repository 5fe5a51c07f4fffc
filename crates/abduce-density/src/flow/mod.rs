//! Assembly of flows from transforms and conditioners. Each builder runs in either direction on the same parameters.

mod autoregressive;
mod coupling;

pub use autoregressive::{Autoregressive, feature_order};
pub use coupling::{Coupling, CouplingNet};

use crate::spec::SplineSpec;
use abduce_kernels::spline::{Ends, Spline};

/// The kernel's spline for a conditioner whose last hidden layer is `hidden` wide: raw widths and heights are divided by √hidden, so that
/// they start near uniform (Durkan et al. 2019, as in nflows).
pub fn spline_of(spec: SplineSpec, hidden: usize) -> Spline {
    let scale = 1.0 / (hidden as f32).sqrt();
    Spline { bins: spec.bins, bound: spec.bound, min_width: 1e-3, min_height: 1e-3, min_slope: 1e-3, scale, ends: Ends::Identity }
}

/// A spline of the circle [-π, π], as [`spline_of`].
pub fn circular_spline_of(bins: usize, hidden: usize) -> Spline {
    Spline { ends: Ends::Periodic, ..spline_of(SplineSpec { bins, bound: std::f32::consts::PI }, hidden) }
}

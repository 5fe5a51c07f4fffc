//! Assembly of flows from transforms and conditioners. Each builder runs in either direction on the same parameters.

mod autoregressive;
mod coupling;

pub use autoregressive::{Autoregressive, feature_order};
pub use coupling::{Coupling, CouplingNet};

use crate::spec::SplineSpec;
use abduce_kernels::spline::Spline;

/// The kernel's spline for a conditioner whose last hidden layer is `hidden` wide: raw widths and heights are divided by √hidden, so that
/// they start near uniform (Durkan et al. 2019, as in nflows).
pub fn spline_of(spec: SplineSpec, hidden: usize) -> Spline {
    Spline { bins: spec.bins, bound: spec.bound, min_width: 1e-3, min_height: 1e-3, min_slope: 1e-3, scale: 1.0 / (hidden as f32).sqrt() }
}

//! What an information-ordered bottleneck is to be compared with.
//!
//! [`PrincipalAxes`]: the best affine code of every width. [`separate`]: an autoencoder of the same networks trained for one width alone, which
//! an ordered code of that width can hardly beat. [`Grown`]: latents trained one after the other.

mod grown;
mod principal;

pub use grown::Grown;
pub use principal::PrincipalAxes;

use crate::error::BottleneckError;
use crate::fit::{Fit, Plan, fit};
use crate::model::{Bottleneck, Rows};
use crate::schedule::Schedule;
use crate::spec::ModelSpec;
use abduce_nn::Compute;
use abduce_nn::widths::Weights;
use std::ops::ControlFlow;

/// The same networks and the same training with `width` latents that are open all the time.
///
/// # Errors
/// See [`fit`].
pub fn separate(
    spec: &ModelSpec,
    width: usize,
    compute: &Compute,
    plan: &Plan,
    rows: Rows<'_>,
    split: (&[usize], &[usize]),
) -> Result<(Bottleneck, Fit), BottleneckError> {
    let model = Bottleneck::new(ModelSpec { latents: width, always_open: width, width_unit: width, ..spec.clone() })?;
    let plan = Plan { weights: Weights::Linear, schedule: Schedule::Sum, ..plan.clone() };
    let fitted = fit(&model, compute, &plan, rows, split, |_| ControlFlow::Continue(()))?;
    Ok((model, fitted))
}

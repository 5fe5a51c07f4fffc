//! Simulators: draw parameters and data jointly.
//!
//! A [`Simulator`] names its parameters, knows its prior and turns θ into one datum x. [`simulate_table`] fills a training set with them; the
//! built-in ones are found by [`named`]. Each benchmark task also offers its exact log-likelihood as a function, from which posteriors can be
//! checked.
//!
//! Whoever needs many rows asks a [`RowSimulator`]: [`InProcess`] runs a built-in simulator on threads, [`external`] any program of the
//! user's in processes, and both give rows that depend on (θ, seed, index) alone. [`store`] keeps them on disk, so that nothing is simulated twice;
//! [`SimulationSet`] is a growing set in two npy files, as sequential inference needs it.

mod dormand_prince;
pub mod external;
pub mod gaussian_linear;
pub mod gaussian_mixture;
mod in_process;
mod rows;
mod set;
pub mod sir;
pub mod slcp;
pub mod store;
pub mod sz_cluster;
mod table;
pub mod toy;
pub mod two_moons;

#[cfg(test)]
mod reference;

pub use in_process::InProcess;
pub use rows::{
    Completed, Ending, Failure, FailureKind, Progress, Request, RowSimulator, Rows, SimulationError, Theta, simulate_rows,
    simulate_rows_watched,
};
pub use set::{Proposal, Round, Saving, SetError, SimulationSet};
pub use table::{SimulatedTable, simulate_range, simulate_table};

use crate::prior::{Prior, PriorSpec};
use abduce_data::{ParameterInfo, Rng};

/// How a simulation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `x` holds the datum.
    Done,
    /// No datum for this θ (an integration failed, nothing passed a selection); `x` is meaningless.
    Failed,
}

/// A model of the data: a prior p(θ) and a way to draw x ~ p(x | θ).
///
/// Everything is a function of the given random stream; a simulator keeps no state between calls.
pub trait Simulator: Send + Sync {
    /// The name under which [`named`] finds it.
    fn name(&self) -> &'static str;

    /// Names, units and labels of the parameters.
    fn parameters(&self) -> Vec<ParameterInfo>;

    /// Shape of one datum.
    fn data_shape(&self) -> Vec<usize>;

    /// The distribution of θ in [`Self::draw`], whatever else may vary integrated out.
    fn prior(&self) -> &Prior;

    /// Draws x for one θ into `x`, row-major with [`Self::data_shape`].
    fn simulate(&self, theta: &[f64], rng: &mut Rng, x: &mut [f32]) -> Outcome;

    /// Draws θ and x jointly. θ is rounded to single precision before it is used, so that the stored θ is the one that made x.
    ///
    /// The default draws θ from the prior and simulates. A simulator whose data pass a selection overrides it: drawing pairs until one is
    /// selected gives the joint distribution of selected pairs without knowing the selected prior in closed form.
    fn draw(&self, rng: &mut Rng, theta: &mut [f64], x: &mut [f32]) -> Outcome {
        self.prior().sample(rng, theta);
        theta.iter_mut().for_each(|value| *value = f64::from(*value as f32));
        self.simulate(theta, rng, x)
    }

    /// ln p(x | θ) in nats where it is known in closed form (of counts: of a probability); `None` of a simulator that is one because it isn't.
    fn log_likelihood(&self, _theta: &[f64], _x: &[f64]) -> Option<f64> {
        None
    }
}

/// A simulator of many parameters: `(theta (n, d), first)` → data (n, …), where row i has the number `first + i` among all simulations of the run and
/// must depend on θ and that number alone. Failed simulations are rows of NaN.
pub type Simulate<'a> = dyn FnMut(&[f32], usize) -> Result<Vec<f32>, String> + 'a;

/// Names of the built-in simulators, in the order in which they are listed to users.
pub fn names() -> &'static [&'static str] {
    &["two_moons", "slcp", "gaussian_linear", "gaussian_mixture", "sir", "ltu_ili_toy", "ltu_ili_toy_20", "sz_cluster"]
}

/// The built-in simulator of that name.
pub fn named(name: &str) -> Option<Box<dyn Simulator>> {
    Some(match name {
        "two_moons" => Box::new(two_moons::TwoMoons::new()),
        "slcp" => Box::new(slcp::Slcp::new()),
        "gaussian_linear" => Box::new(gaussian_linear::GaussianLinear::new()),
        "gaussian_mixture" => Box::new(gaussian_mixture::GaussianMixture::new()),
        "sir" => Box::new(sir::Sir::new()),
        "ltu_ili_toy" => Box::new(toy::Toy::ten_integers()),
        "ltu_ili_toy_20" => Box::new(toy::Toy::twenty_points()),
        "sz_cluster" => Box::new(sz_cluster::SzCluster::new()),
        _ => return None,
    })
}

/// A prior whose arguments stand in this program.
fn built_in_prior(spec: PriorSpec) -> Prior {
    Prior::new(spec).expect("the arguments of a built-in prior are valid")
}

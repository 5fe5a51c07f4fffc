//! Is this posterior right? Validation as pure functions on arrays, no networks of the estimator involved.
//!
//! [`validate`] takes n test pairs (θ_i, x_i) drawn from prior and simulator, S posterior draws for each x_i and the exact log-probabilities,
//! and gives [`Metrics`] (`metrics.json`), [`Curves`] (every array that a plot needs) and, through [`findings`], plain words.
//!
//! | diagnostic | sees a biased, too narrow or too wide posterior | sees one that ignores the data |
//! |---|---|---|
//! | ranks, P-P coverage, highest-density coverage, TARP with random references | yes | **no**: the prior is calibrated |
//! | TARP with references predicted from x | yes | yes |
//! | log-probability against the prior's, contraction, R² | hardly | yes |
//! | C2ST, MMD, sliced Wasserstein distance against reference draws | yes | yes |
//! | data-averaged posterior | partly | **no** |
//! | ranks by region | yes, and biases that cancel on average | **no** |
//! | L-C2ST | yes, for one observation | yes |
//!
//! None of these sees an observation that is unlike any simulation; [`misspecification`] does, and [`predictive_check`] where the posterior can't
//! explain it. [`ConformalCalibration`] doesn't test but repairs: highest-density regions that cover what they say.
//!
//! TARP sees shifts weakly: references lie on all sides, so a shift of half a standard deviation takes thousands of pairs, which the ranks see
//! with a hundred.
//!
//! So a calibration test alone never shows that a posterior is good; the matrix is held by a test in this module.
//!
//! ```
//! use abduce_data::Seed;
//! use abduce_inference::diagnostics::{self, PriorSpread, ValidationInputs, ValidationOptions};
//! // θ ~ N(0, 1), x = θ + N(0, 1), so the posterior is N(x/2, 1/2).
//! let (mut theta, mut x, mut samples, mut log_q, mut log_p) = (vec![], vec![], vec![], vec![], vec![]);
//! for i in 0..500 {
//!     let mut rng = Seed(1).stream("example", i);
//!     let t = rng.normal();
//!     let mean = 0.5 * (t + rng.normal());
//!     theta.push(t);
//!     x.push(2.0 * mean);
//!     samples.extend((0..99).map(|_| mean + 0.5f64.sqrt() * rng.normal()));
//!     log_q.push(-(t - mean).powi(2) - 0.5 * std::f64::consts::PI.ln());
//!     log_p.push(-0.5 * t * t - 0.5 * std::f64::consts::TAU.ln());
//! }
//! let inputs = ValidationInputs {
//!     parameters: &["theta".to_string()],
//!     theta: &theta,
//!     samples: &samples,
//!     log_prob_theta: &log_q,
//!     log_prob_samples: None,
//!     prior_log_prob: &log_p,
//!     prior: PriorSpread::Variance(&[1.0]),
//!     x: Some(&x),
//! };
//! let validation = diagnostics::validate(&inputs, Seed(2), &ValidationOptions::default())?;
//! assert!(validation.metrics.gates["coverage"].pass);
//! assert!((validation.metrics.parameters[0].contraction - 0.5).abs() < 0.02);
//! # Ok::<(), diagnostics::DiagnosticsError>(())
//! ```

mod averaged;
pub mod bands;
mod c2st;
mod conformal;
pub mod coverage;
mod ellipsoid;
mod error;
mod features;
mod findings;
mod gates;
mod information;
mod inputs;
mod metrics;
mod misspecification;
mod mmd;
mod predictions;
mod predictive;
mod ranks;
pub mod references;
mod regions;
pub mod tarp;
pub mod uniformity;
mod validate;
mod wasserstein;

#[cfg(test)]
mod tests;

pub use averaged::{AveragedParameter, DataAveraged, data_averaged_c2st, data_averaged_posterior};
pub use c2st::{C2st, LocalC2st, LocalC2stInputs, LocalC2stOptions, c2st, local_c2st};
pub use conformal::{CONFORMAL_VERSION, ConformalCalibration, ConformalCurves, ConformalRegion, ConformalScore};
pub use error::DiagnosticsError;
pub use findings::{Severity, Warning, findings};
pub use gates::{COVERAGE_MIN_PAIRS, Gate};
pub use information::{Gain, InformationCurve};
pub use inputs::{MIN_PAIRS, Pairs, PriorSpread, ValidationInputs};
pub use metrics::{
    ConformalLevel, ConformalMetrics, DataAveragedMetrics, GateMetrics, HpdMetrics, LocalC2stMetrics, LogProbMetrics, METRICS_VERSION,
    Metrics, MisspecificationMetrics, ObservationMetrics, ParameterMetrics, RegionMetrics, TarpMetrics,
};
pub use misspecification::{MIN_REFERENCE, Misspecification, ObservationCheck, misspecification};
pub use mmd::{Mmd, mmd2};
pub use predictions::{Predictions, predictions};
pub use predictive::{FeatureCheck, PredictiveCheck, predictive_check};
pub use ranks::{Rank, RankHistogram, rank_histogram, sbc_ranks};
pub use regions::{Region, RegionOptions, RegionVariable, regions};
pub use validate::{Curves, ParameterCurves, Validation, ValidationOptions, validate};
pub use wasserstein::{SlicedWasserstein, sliced_wasserstein2};

//! Pass or fail: the numbers a pipeline may stop at.

use super::metrics::{GateMetrics, Metrics};
use super::{DiagnosticsError, uniformity};
use std::collections::BTreeMap;

/// Pairs that the coverage gate needs: with 500, a KS test at 1 % sees a distance of 0.07.
pub const COVERAGE_MIN_PAIRS: usize = 500;
/// Level of every calibration verdict: adjusted p-values at or below it count as a defect.
pub(super) const SIGNIFICANCE: f64 = 0.01;
/// A posterior that narrows no parameter's variance by this fraction has learnt nothing.
pub(super) const MIN_CONTRACTION: f64 = 0.05;
/// Standard errors that a log-probability must clear the prior's by.
pub(super) const LOG_PROB_SIGMAS: f64 = 3.0;

/// A gate of `metrics.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Smallest Holm-adjusted p-value of the rank KS tests of all parameters and random-reference TARP > 0.01, on at least 500 pairs.
    /// A posterior that ignores the data passes: ask for one of the others too.
    Coverage,
    /// Mean of log q(θ|x) - log p(θ), less three standard errors, > 0.
    LogProbBeatsPrior,
    /// Largest contraction of any parameter > 0.05.
    Contraction,
}

impl Gate {
    /// All gates.
    pub const ALL: [Self; 3] = [Self::Coverage, Self::LogProbBeatsPrior, Self::Contraction];

    /// Name in `metrics.json` and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coverage => "coverage",
            Self::LogProbBeatsPrior => "log_prob_beats_prior",
            Self::Contraction => "contraction",
        }
    }

    /// Evaluates the gate. The coverage gate with fewer than 500 pairs is an error, not a pass.
    pub fn evaluate(self, metrics: &Metrics) -> Result<GateMetrics, DiagnosticsError> {
        let (value, threshold) = match self {
            Self::Coverage => {
                if metrics.n_pairs < COVERAGE_MIN_PAIRS {
                    return Err(DiagnosticsError::TooFewPairs {
                        purpose: "gate coverage",
                        found: metrics.n_pairs,
                        needed: COVERAGE_MIN_PAIRS,
                    });
                }
                let ranks = metrics.parameters.iter().map(|p| p.sbc_ks_p);
                let adjusted = uniformity::holm(&ranks.chain([metrics.tarp.ks_p]).collect::<Vec<_>>());
                (Some(adjusted.into_iter().fold(1.0, f64::min)), SIGNIFICANCE)
            }
            Self::LogProbBeatsPrior => {
                let log_prob = &metrics.log_prob;
                let bound = log_prob.minus_prior_mean.zip(log_prob.minus_prior_sem).map(|(mean, sem)| mean - LOG_PROB_SIGMAS * sem);
                (bound, 0.0)
            }
            Self::Contraction => {
                (Some(metrics.parameters.iter().map(|p| p.contraction).fold(f64::NEG_INFINITY, f64::max)), MIN_CONTRACTION)
            }
        };
        Ok(GateMetrics { value, threshold, pass: value.is_some_and(|v| v > threshold) })
    }
}

impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Gate {
    type Err = DiagnosticsError;

    fn from_str(name: &str) -> Result<Self, DiagnosticsError> {
        Self::ALL.into_iter().find(|g| g.name() == name).ok_or_else(|| DiagnosticsError::UnknownGate { name: name.to_owned() })
    }
}

/// Every gate that can be evaluated; an error when one of `required` can't.
pub(super) fn evaluate_all(metrics: &Metrics, required: &[Gate]) -> Result<BTreeMap<String, GateMetrics>, DiagnosticsError> {
    let mut gates = BTreeMap::new();
    for gate in Gate::ALL {
        match gate.evaluate(metrics) {
            Ok(result) => {
                gates.insert(gate.name().to_owned(), result);
            }
            Err(error) if required.contains(&gate) => return Err(error),
            Err(_) => {} // not asked for; its absence from the map says that it wasn't evaluated
        }
    }
    Ok(gates)
}

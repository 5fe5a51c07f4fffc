//! Conformal recalibration of highest-density regions: credible regions that cover as often as they say, whatever the posterior.
//!
//! Split-conformal prediction (Papadopoulos et al. 2002; Vovk, Gammerman and Shafer 2005; Lei et al. 2018, arXiv:1604.04173) with the
//! posterior's density as score. Let s_1 … s_n be scores of held-out pairs, larger for truths that the posterior deems less likely. For a
//! further pair the score's rank among all n + 1 is uniform, since the pairs are exchangeable; so with k = ⌈(n + 1) α⌉
//!
//! C_α(x) = {θ : s(θ, x) ≤ s_(k)},  α ≤ P(θ ∈ C_α(x)) = k/(n + 1) < α + 1/(n + 1),
//!
//! exactly, for any n and any posterior: no asymptotics and no assumption on q, only that pairs to come have the law of the held-out ones. The
//! probability is over all pairs, x included: coverage for a *given* x is not promised. Over the choice of the n held-out pairs the
//! coverage varies as a Beta(k, n + 1 - k) variable, with standard deviation √(α(1 - α)/(n + 2)).

use super::DiagnosticsError;
use super::coverage::{ALPHA_STEPS, alpha, highest_density_rank};
use abduce_data::{Rng, Seed};
use schemars::JsonSchema;

/// Version of the saved form of a [`ConformalCalibration`].
pub const CONFORMAL_VERSION: u32 = 1;

/// How unlikely the posterior deems a θ, compared with its own draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConformalScore {
    /// Credibility of the smallest highest-density region that holds θ: (#draws denser than θ + U)/(S + 1), U ~ U(0, 1). The threshold is itself
    /// a credibility α': the α'-region of the posterior covers α. It can't reach beyond the draws: where it would have to, the region is everything.
    #[default]
    HighestDensityRank,
    /// Nats by which log q(θ | x) lies below the median of the draws' log q. Reaches beyond the draws of a posterior that is much too narrow.
    LogDensity,
}

impl ConformalScore {
    /// The score of one θ among the draws, not empty.
    fn of(self, log_prob_theta: f64, log_prob_draws: &[f64], rng: &mut Rng) -> f64 {
        match self {
            Self::HighestDensityRank => highest_density_rank(log_prob_theta, log_prob_draws, rng).pit,
            Self::LogDensity => median(log_prob_draws) - log_prob_theta,
        }
    }
}

/// Upper median of values that are not empty.
fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// A map from the coverage that is wanted to the region that has it, learnt from held-out pairs.
///
/// ```
/// use abduce_data::Seed;
/// use abduce_inference::diagnostics::{ConformalCalibration, ConformalScore};
/// // θ ~ N(0, 1), seen by a posterior that says N(0, 1/4): half as wide as it should be.
/// let log_q = |t: f64| -0.5 * (2.0 * t).powi(2);
/// let mut rng = Seed(1).stream("example", 0);
/// let truths: Vec<f64> = (0..999).map(|_| log_q(rng.normal())).collect();
/// let draws: Vec<f64> = (0..999 * 200).map(|_| log_q(0.5 * rng.normal())).collect();
/// let calibration = ConformalCalibration::fit(&truths, &draws, ConformalScore::LogDensity, Seed(2))?;
/// let region = calibration.apply(&draws[..200], 0.68)?;
/// // |θ| ≤ 1 holds 68 % of the truths, and 95 % of this posterior.
/// assert!((region.credibility - 0.95).abs() < 0.05);
/// # Ok::<(), abduce_inference::diagnostics::DiagnosticsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct ConformalCalibration {
    score: ConformalScore,
    n_draws: usize,
    /// Finite scores, ascending.
    scores: Vec<f64>,
    n_infinite: usize,
}

/// The saved form: JSON has no infinity.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    score: ConformalScore,
    n_draws: usize,
    n_infinite: usize,
    scores: Vec<f64>,
}

impl From<ConformalCalibration> for Stored {
    fn from(from: ConformalCalibration) -> Self {
        let ConformalCalibration { score, n_draws, scores, n_infinite } = from;
        Self { version: CONFORMAL_VERSION, score, n_draws, n_infinite, scores }
    }
}

impl TryFrom<Stored> for ConformalCalibration {
    type Error = DiagnosticsError;

    fn try_from(from: Stored) -> Result<Self, DiagnosticsError> {
        let Stored { version, score, n_draws, n_infinite, scores } = from;
        if version != CONFORMAL_VERSION {
            return Err(DiagnosticsError::Version { found: version, known: CONFORMAL_VERSION });
        }
        if let Some(row) = scores.windows(2).position(|w| w[0] > w[1]) {
            return Err(DiagnosticsError::Unsorted { array: "scores", row: row + 1 });
        }
        if n_draws == 0 || scores.len() + n_infinite == 0 {
            return Err(DiagnosticsError::TooFewPairs { purpose: "a conformal calibration", found: 0, needed: 1 });
        }
        Ok(Self { score, n_draws, scores, n_infinite })
    }
}

/// The region of one observation.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ConformalRegion {
    /// Coverage that was asked for.
    pub alpha: f64,
    /// Exact coverage, k/(n + 1).
    pub coverage: f64,
    /// θ is in the region if and only if log q(θ | x) is at least this; `None`: every θ is.
    pub log_prob_min: Option<f64>,
    /// Fraction of the draws inside: the credibility that the posterior itself would state.
    pub credibility: f64,
    /// Which of the draws are inside.
    pub inside: Vec<bool>,
}

impl ConformalCalibration {
    /// Learns from n held-out pairs: log q(θ_i | x_i) of the truths (n) and log q of S draws each (n, S).
    ///
    /// The pairs must not have trained the posterior. A truth of density zero (-∞) counts as unlikelier than everything.
    ///
    /// # Errors
    /// No pair, lengths that don't fit, NaN, or +∞.
    pub fn fit(log_prob_theta: &[f64], log_prob_draws: &[f64], score: ConformalScore, seed: Seed) -> Result<Self, DiagnosticsError> {
        let n_draws = super::inputs::rows("log_prob_draws (n, S)", log_prob_draws.len(), log_prob_theta.len())?;
        check_log_prob("log_prob_theta (n)", log_prob_theta, 1)?;
        check_log_prob("log_prob_draws (n, S)", log_prob_draws, n_draws)?;
        let pairs = log_prob_theta.iter().zip(log_prob_draws.chunks_exact(n_draws)).enumerate();
        let scores = pairs.map(|(i, (&theta, draws))| score.of(theta, draws, &mut seed.stream("diagnostics.conformal", i as u64)));
        Ok(Self::of_scores(score, n_draws, scores.collect()))
    }

    fn of_scores(score: ConformalScore, n_draws: usize, mut scores: Vec<f64>) -> Self {
        let n = scores.len();
        // Density zero of the truth, or of most draws: as unlikely as can be.
        scores.retain(|s| s.is_finite());
        scores.sort_by(f64::total_cmp);
        Self { score, n_draws, n_infinite: n - scores.len(), scores }
    }

    /// The score in use.
    pub fn score(&self) -> ConformalScore {
        self.score
    }

    /// Held-out pairs, n.
    pub fn pairs(&self) -> usize {
        self.scores.len() + self.n_infinite
    }

    /// Draws per pair, S: the score is a function of that many.
    pub fn draws(&self) -> usize {
        self.n_draws
    }

    /// k = ⌈(n + 1) α⌉, less the rounding of the product.
    fn rank(&self, alpha: f64) -> usize {
        let product = (self.pairs() + 1) as f64 * alpha;
        (product - 1e-12 * product).ceil() as usize
    }

    /// Exact coverage of the region for `alpha`, k/(n + 1): at least α, below α + 1/(n + 1).
    pub fn coverage(&self, alpha: f64) -> f64 {
        self.rank(alpha) as f64 / (self.pairs() + 1) as f64
    }

    /// The largest score inside the region for `alpha` in [0, 1]: s_(k), ascending with α; -∞ for α = 0, +∞ where k > n or truths of density zero
    /// have to be held. For [`ConformalScore::HighestDensityRank`] a credibility α', else nats below the median draw.
    ///
    /// # Errors
    /// `alpha` outside [0, 1].
    pub fn threshold(&self, alpha: f64) -> Result<f64, DiagnosticsError> {
        if !(0.0..=1.0).contains(&alpha) {
            return Err(DiagnosticsError::Option { option: "alpha", value: alpha, expected: "a number in [0, 1]" });
        }
        Ok(match self.rank(alpha) {
            0 => f64::NEG_INFINITY,
            k => self.scores.get(k - 1).copied().unwrap_or(f64::INFINITY),
        })
    }

    /// The region for a new observation from log q of its draws, at least S of them; the first S set the region, as in the calibration.
    ///
    /// With [`ConformalScore::LogDensity`] the region has exactly the promised coverage. With the ranks it's the one for U = 0 of all: it holds
    /// the promised one, and covers more by the probability of a single rank, 1/(S + 1) for an exact posterior.
    ///
    /// # Errors
    /// Too few draws, NaN, or `alpha` outside [0, 1].
    pub fn apply(&self, log_prob_draws: &[f64], alpha: f64) -> Result<ConformalRegion, DiagnosticsError> {
        let threshold = self.threshold(alpha)?;
        check_log_prob("log_prob_draws (S)", log_prob_draws, 1)?;
        let Some(reference) = log_prob_draws.get(..self.n_draws) else {
            let found = log_prob_draws.len();
            return Err(DiagnosticsError::TooFewDraws { purpose: "this conformal calibration", found, needed: self.n_draws });
        };
        let log_prob_min = match self.score {
            _ if threshold == f64::NEG_INFINITY => Some(f64::INFINITY),
            _ if threshold == f64::INFINITY => None,
            ConformalScore::LogDensity => Some(median(reference) - threshold),
            ConformalScore::HighestDensityRank => {
                // At most m draws may be denser: the density of the next one is the smallest that still has a place.
                let m = (threshold * (self.n_draws + 1) as f64) as usize;
                let mut descending = reference.to_vec();
                descending.sort_by(|a, b| b.total_cmp(a));
                descending.get(m).copied()
            }
        };
        let inside: Vec<bool> = log_prob_draws.iter().map(|&q| log_prob_min.is_none_or(|least| q >= least)).collect();
        let credibility = inside.iter().filter(|&&inside| inside).count() as f64 / inside.len() as f64;
        Ok(ConformalRegion { alpha, coverage: self.coverage(alpha), log_prob_min, credibility, inside })
    }
}

impl ConformalRegion {
    /// Whether a θ of this log q(θ | x) is in the region.
    pub fn contains(&self, log_prob: f64) -> bool {
        self.log_prob_min.is_none_or(|least| log_prob >= least)
    }
}

fn check_log_prob(array: &'static str, values: &[f64], width: usize) -> Result<(), DiagnosticsError> {
    match values.iter().position(|v| v.is_nan() || *v == f64::INFINITY) {
        Some(index) => Err(DiagnosticsError::NonFinite { array, row: index / width }),
        None => Ok(()),
    }
}

/// What recalibration does to highest-density regions, on the grid α = 0, 0.01, …, 1.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ConformalCurves {
    /// Credibility α' whose region covers α; `None` (in JSON null) where the region is everything.
    pub corrected: Vec<Option<f64>>,
    /// Coverage of the corrected regions, measured on pairs that they were not learnt from: each half of the pairs by the map of the other.
    pub coverage: Vec<f64>,
}

impl ConformalCurves {
    /// From the credibility levels u_i of the truths, [`Coverage::levels`](super::coverage::Coverage) of the highest-density coverage.
    pub fn of_levels(levels: &[f64], draws: usize) -> Self {
        let calibration = |levels: Vec<f64>| ConformalCalibration::of_scores(ConformalScore::HighestDensityRank, draws, levels);
        let threshold = |by: &ConformalCalibration, k: usize| by.threshold(alpha(k)).unwrap_or(f64::INFINITY);
        let all = calibration(levels.to_vec());
        let corrected = (0..=ALPHA_STEPS).map(|k| Some(threshold(&all, k)).filter(|t| *t < f64::INFINITY).map(|t| t.max(0.0)));
        let half = |parity: usize| levels.iter().skip(parity).step_by(2).copied().collect::<Vec<f64>>();
        let halves = [half(0), half(1)];
        let [even, odd] = [calibration(halves[0].clone()), calibration(halves[1].clone())];
        let covered = |k: usize| {
            let [by_even, by_odd] = [threshold(&even, k), threshold(&odd, k)];
            halves[0].iter().filter(|&&u| u <= by_odd).count() + halves[1].iter().filter(|&&u| u <= by_even).count()
        };
        let coverage = (0..=ALPHA_STEPS).map(|k| covered(k) as f64 / levels.len() as f64).collect();
        Self { corrected: corrected.collect(), coverage }
    }
}

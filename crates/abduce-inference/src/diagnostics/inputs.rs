//! What a validation starts from, checked once.

use super::DiagnosticsError;

/// Arrays of a validation, row-major: n test pairs (θ, x), S posterior draws each, d parameters, F features.
#[derive(Clone, Copy, Debug)]
pub struct ValidationInputs<'a> {
    /// Parameter names (d).
    pub parameters: &'a [String],
    /// True parameters (n, d), drawn from the prior.
    pub theta: &'a [f64],
    /// Posterior draws given each pair's x (n, S, d).
    pub samples: &'a [f64],
    /// Exact log q(θ_i | x_i) (n), in nats; -∞ where the posterior gives the truth no density.
    pub log_prob_theta: &'a [f64],
    /// log q of the first S' ≤ S draws of each pair (n, S'), for the highest-density coverage; fewer than all where they are costly.
    pub log_prob_samples: Option<&'a [f64]>,
    /// log p(θ_i) of the prior (n).
    pub prior_log_prob: &'a [f64],
    /// The prior's width, for the contraction.
    pub prior: PriorSpread<'a>,
    /// Features of the data (n, F), for the references that depend on x. Non-finite features count as the mean.
    pub x: Option<&'a [f64]>,
}

/// The prior's width.
#[derive(Clone, Copy, Debug)]
pub enum PriorSpread<'a> {
    /// Variance of each parameter (d).
    Variance(&'a [f64]),
    /// Draws of the prior (m, d), m ≥ 2.
    Draws(&'a [f64]),
}

/// The usable pairs of checked inputs: a view, nothing is copied or changed.
///
/// A pair with a NaN or infinite θ, draw or prior log-prob, or a NaN log q, is left out as a whole: dropping single draws would change the
/// set of possible ranks from pair to pair.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    inputs: ValidationInputs<'a>,
    kept: Vec<usize>,
    total: usize,
    draws: usize,
}

/// Fewest usable pairs for which the asymptotic p-values mean anything.
pub const MIN_PAIRS: usize = 20;

impl<'a> Pairs<'a> {
    /// Checks shapes and values. At most `max_excluded_fraction` of the pairs may be left out.
    pub fn new(inputs: ValidationInputs<'a>, max_excluded_fraction: f64) -> Result<Self, DiagnosticsError> {
        if !(0.0..1.0).contains(&max_excluded_fraction) {
            return Err(DiagnosticsError::Option {
                option: "max_excluded_fraction",
                value: max_excluded_fraction,
                expected: "a number in [0, 1)",
            });
        }
        let d = inputs.parameters.len();
        let total = rows("theta (n, d)", inputs.theta.len(), d)?;
        let draws = rows("samples (n, S, d)", inputs.samples.len(), total * d)?;
        if draws < 2 {
            return Err(DiagnosticsError::TooFewDraws { purpose: "validation", found: draws, needed: 2 });
        }
        expect_length("log_prob_theta (n)", inputs.log_prob_theta.len(), total)?;
        expect_length("prior_log_prob (n)", inputs.prior_log_prob.len(), total)?;
        if let Some(log_prob) = inputs.log_prob_samples {
            let scored = rows("log_prob_samples (n, S')", log_prob.len(), total)?;
            if scored > draws {
                expect_length("log_prob_samples (n, S')", log_prob.len(), total * draws)?;
            }
        }
        if let Some(x) = inputs.x {
            rows("x (n, F)", x.len(), total)?;
        }

        let mut kept = Vec::with_capacity(total);
        let mut first = None;
        for pair in 0..total {
            match defect(&inputs, pair, d, (total, draws)) {
                None => kept.push(pair),
                Some(array) => first = first.or(Some((pair, array))),
            }
        }
        let excluded = total - kept.len();
        let allowed = (max_excluded_fraction * total as f64) as usize;
        if let Some((first, array)) = first.filter(|_| excluded > allowed) {
            return Err(DiagnosticsError::TooManyExcluded { excluded, total, first, array, allowed });
        }
        if kept.len() < MIN_PAIRS {
            return Err(DiagnosticsError::TooFewPairs { purpose: "validation", found: kept.len(), needed: MIN_PAIRS });
        }
        let pairs = Self { inputs, kept, total, draws };
        for j in 0..d {
            let value = pairs.theta(0)[j];
            if (0..pairs.len()).all(|i| pairs.theta(i)[j] == value) {
                return Err(DiagnosticsError::ConstantParameter { name: inputs.parameters[j].clone() });
            }
        }
        Ok(pairs)
    }

    /// Usable pairs.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Never true: construction asks for [`MIN_PAIRS`].
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Pairs left out.
    pub fn excluded(&self) -> usize {
        self.total - self.kept.len()
    }

    /// Draws per pair, S.
    pub fn draws(&self) -> usize {
        self.draws
    }

    /// Number of parameters, d.
    pub fn parameters(&self) -> usize {
        self.inputs.parameters.len()
    }

    /// Name of parameter `j`.
    pub fn name(&self, j: usize) -> &'a str {
        &self.inputs.parameters[j]
    }

    /// Row of usable pair `i` in the input arrays. Random streams are indexed by it, so leaving a pair out changes no other pair's numbers.
    pub fn row(&self, i: usize) -> usize {
        self.kept[i]
    }

    /// True parameters of usable pair `i` (d).
    pub fn theta(&self, i: usize) -> &'a [f64] {
        let d = self.parameters();
        &self.inputs.theta[self.kept[i] * d..][..d]
    }

    /// Posterior draws of usable pair `i` (S, d).
    pub fn samples(&self, i: usize) -> &'a [f64] {
        let width = self.draws * self.parameters();
        &self.inputs.samples[self.kept[i] * width..][..width]
    }

    /// log q of the true parameters of usable pair `i`.
    pub fn log_prob_theta(&self, i: usize) -> f64 {
        self.inputs.log_prob_theta[self.kept[i]]
    }

    /// log q of the first draws of usable pair `i` (S').
    pub fn log_prob_samples(&self, i: usize) -> Option<&'a [f64]> {
        let scored = self.scored()?;
        self.inputs.log_prob_samples.map(|all| &all[self.kept[i] * scored..][..scored])
    }

    /// Draws per pair whose log q is known, S'.
    pub fn scored(&self) -> Option<usize> {
        self.inputs.log_prob_samples.map(|all| all.len() / self.total)
    }

    /// The prior's log density at the true parameters of usable pair `i`.
    pub fn prior_log_prob(&self, i: usize) -> f64 {
        self.inputs.prior_log_prob[self.kept[i]]
    }

    /// Features of usable pair `i` (F); `None` without features.
    pub fn x(&self, i: usize) -> Option<&'a [f64]> {
        let x = self.inputs.x?;
        let features = x.len() / self.total;
        (features > 0).then(|| &x[self.kept[i] * features..][..features])
    }

    /// Draws of the prior (m, d); `None` where the variance was given instead.
    pub fn prior_draws(&self) -> Option<&'a [f64]> {
        match self.inputs.prior {
            PriorSpread::Draws(draws) => Some(draws),
            PriorSpread::Variance(_) => None,
        }
    }

    /// Variance of the prior per parameter (d); sample variance (m - 1) where draws were given.
    pub fn prior_variance(&self) -> Result<Vec<f64>, DiagnosticsError> {
        let d = self.parameters();
        let variance = match self.inputs.prior {
            PriorSpread::Variance(variance) => {
                expect_length("prior variance (d)", variance.len(), d)?;
                variance.to_vec()
            }
            PriorSpread::Draws(draws) => {
                let m = rows("prior draws (m, d)", draws.len(), d)?;
                if m < 2 {
                    return Err(DiagnosticsError::TooFewDraws { purpose: "the prior's variance", found: m, needed: 2 });
                }
                (0..d).map(|j| super::predictions::mean_and_variance(draws.iter().skip(j).step_by(d).copied()).1).collect()
            }
        };
        match variance.iter().position(|&v| !(v > 0.0 && v.is_finite())) {
            Some(j) => Err(DiagnosticsError::PriorVariance { name: self.name(j).to_owned(), variance: variance[j] }),
            None => Ok(variance),
        }
    }
}

/// The array in which a pair is unusable.
fn defect(inputs: &ValidationInputs<'_>, pair: usize, d: usize, (total, draws): (usize, usize)) -> Option<&'static str> {
    let finite = |values: &[f64]| values.iter().all(|v| v.is_finite());
    if !finite(&inputs.theta[pair * d..][..d]) {
        Some("theta")
    } else if !finite(&inputs.samples[pair * draws * d..][..draws * d]) {
        Some("samples")
    } else if inputs.log_prob_theta[pair].is_nan() || inputs.log_prob_theta[pair] == f64::INFINITY {
        Some("log_prob_theta")
    } else if !inputs.prior_log_prob[pair].is_finite() {
        Some("prior_log_prob")
    } else if inputs
        .log_prob_samples
        .is_some_and(|all| all.chunks_exact(all.len() / total).nth(pair).is_some_and(|own| own.iter().any(|v| v.is_nan())))
    {
        Some("log_prob_samples")
    } else {
        None
    }
}

/// Number of rows of `width` values, at least one.
pub(super) fn rows(array: &'static str, length: usize, width: usize) -> Result<usize, DiagnosticsError> {
    if width == 0 || length == 0 || !length.is_multiple_of(width) {
        return Err(DiagnosticsError::Length { array, found: length, expected: format!("a positive multiple of {width}") });
    }
    Ok(length / width)
}

fn expect_length(array: &'static str, found: usize, expected: usize) -> Result<(), DiagnosticsError> {
    if found != expected {
        return Err(DiagnosticsError::Length { array, found, expected: expected.to_string() });
    }
    Ok(())
}

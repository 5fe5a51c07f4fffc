//! What the numbers mean, in plain words.

use super::gates::{COVERAGE_MIN_PAIRS, LOG_PROB_SIGMAS, MIN_CONTRACTION, SIGNIFICANCE};
use super::metrics::{Metrics, ParameterMetrics};
use super::uniformity::holm;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// The posterior has a defect; use it with that in mind.
    Warning,
    /// The posterior shouldn't be used.
    Error,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// How bad it is.
    pub severity: Severity,
    /// What was found, with its number.
    pub text: String,
    /// What to do or to keep in mind.
    pub hint: String,
}

/// Standard errors at which a shift or a width of the z-scores is named as the reason of a failed rank test.
const DIRECTION_SIGMAS: f64 = 3.0;

/// Reads the metrics aloud, worst first.
///
/// Whether a parameter is miscalibrated is decided by its rank tests (twice the smaller of KS and χ² p, Holm-adjusted over the parameters, at
/// 0.01); the z-scores only say in which direction.
pub fn findings(metrics: &Metrics) -> Vec<Warning> {
    let mut found = Vec::new();
    trust(metrics, &mut found);
    information(metrics, &mut found);
    calibration(metrics, &mut found);
    if found.iter().all(|w| w.severity == Severity::Info) {
        found.push(Warning {
            severity: Severity::Info,
            text: format!("calibrated: no test finds a defect with {} test pairs", metrics.n_pairs),
            hint: "more test pairs find smaller defects".into(),
        });
    }
    found.sort_by_key(|w| std::cmp::Reverse(w.severity));
    found
}

/// What the numbers can't speak for.
fn trust(metrics: &Metrics, found: &mut Vec<Warning>) {
    if metrics.n_excluded > 0 {
        found.push(Warning {
            severity: Severity::Warning,
            text: format!(
                "{} of {} test pairs left out for NaN or infinite values",
                metrics.n_excluded,
                metrics.n_excluded + metrics.n_pairs
            ),
            hint: "all numbers hold for the other pairs only; look at the pairs that fail".into(),
        });
    }
    if metrics.n_pairs < COVERAGE_MIN_PAIRS {
        found.push(Warning {
            severity: Severity::Info,
            text: format!("only {} test pairs: small defects stay unseen", metrics.n_pairs),
            hint: format!("the coverage gate needs {COVERAGE_MIN_PAIRS}"),
        });
    }
}

/// Whether the posterior learns from the data; calibration tests can't tell.
fn information(metrics: &Metrics, found: &mut Vec<Warning>) {
    let log_prob = &metrics.log_prob;
    if log_prob.n_zero_density > 0 {
        found.push(Warning {
            severity: Severity::Error,
            text: format!("{} true parameters have posterior density zero", log_prob.n_zero_density),
            hint: "the posterior's support doesn't hold the test parameters: compare the prior of the training with that of the test set"
                .into(),
        });
    }
    if metrics.parameters.iter().all(|p| p.contraction < MIN_CONTRACTION) {
        found.push(Warning {
            severity: Severity::Error,
            text: "the posterior ignores the data: no parameter is known better than from the prior".into(),
            hint: "ranks, coverage and TARP with random references pass the prior itself, so don't rely on them here; train longer or change the \
                   summary of the data"
                .into(),
        });
    } else {
        for p in metrics.parameters.iter().filter(|p| p.contraction < MIN_CONTRACTION) {
            found.push(Warning {
                severity: Severity::Info,
                text: format!("the data hardly constrain {} (contraction {:.2})", p.name, p.contraction),
                hint: "its posterior is about the prior".into(),
            });
        }
    }
    if let Some((mean, sem)) = log_prob.minus_prior_mean.zip(log_prob.minus_prior_sem).filter(|(m, s)| m - LOG_PROB_SIGMAS * s <= 0.0) {
        found.push(Warning {
            severity: Severity::Error,
            text: format!("held-out log-probability doesn't beat the prior's: {mean:.3} ± {sem:.3} nats over it"),
            hint: "a posterior that uses the data gives the truth more density than the prior does".into(),
        });
    }
}

/// Whether stated and true uncertainties agree.
fn calibration(metrics: &Metrics, found: &mut Vec<Warning>) {
    let either_rank_test: Vec<f64> = metrics.parameters.iter().map(|p| (2.0 * p.sbc_ks_p.min(p.sbc_chi2_p)).min(1.0)).collect();
    for (p, adjusted) in metrics.parameters.iter().zip(holm(&either_rank_test)) {
        if adjusted <= SIGNIFICANCE {
            directions(p, adjusted, metrics.n_pairs, found);
        }
    }
    let tarp = &metrics.tarp;
    if tarp.ks_p <= SIGNIFICANCE {
        let look = match tarp.atc / tarp.atc_sd.max(f64::MIN_POSITIVE) {
            t if t > DIRECTION_SIGMAS => ", and is too wide",
            t if t < -DIRECTION_SIGMAS => ", and is too narrow",
            _ => "",
        };
        found.push(Warning {
            severity: Severity::Warning,
            text: format!("the joint posterior fails TARP{look} (p = {:.1e}, area {:+.3})", tarp.ks_p, tarp.atc),
            hint: "widths, locations or correlations of the parameters taken together are off".into(),
        });
    } else if let Some(tarp_x) = metrics.tarp_x.as_ref().filter(|t| t.ks_p <= SIGNIFICANCE) {
        found.push(Warning {
            severity: Severity::Warning,
            text: format!(
                "the posterior leaves information in the data unused (TARP with references from the data: p = {:.1e})",
                tarp_x.ks_p
            ),
            hint: "calibrated on average, yet not for given data: train longer, or use a larger network".into(),
        });
    }
    if let Some(hpd) = metrics.hpd.as_ref().filter(|h| h.ks_p <= SIGNIFICANCE) {
        found.push(Warning {
            severity: Severity::Warning,
            text: format!("credible sets don't cover as they say: off by up to {:.2} (p = {:.1e})", hpd.max_abs_error, hpd.ks_p),
            hint: "don't read the 68 % and 95 % contours at face value".into(),
        });
    }
}

/// Says how one miscalibrated parameter is off.
fn directions(p: &ParameterMetrics, p_value: f64, n_pairs: usize, found: &mut Vec<Warning>) {
    let root_n = (n_pairs as f64).sqrt();
    // Standard errors of mean and standard deviation of n values, the latter for a near-normal z.
    let shift = p.z_mean / (p.z_sd / root_n);
    let width = (p.z_sd - 1.0) / (1.0 / (2.0f64.sqrt() * root_n));
    let mut warn = |text: String, hint: &str| found.push(Warning { severity: Severity::Warning, text, hint: hint.into() });
    let (shifted, misscaled) = (shift.abs() > DIRECTION_SIGMAS, width.abs() > DIRECTION_SIGMAS);
    if shifted {
        let side = if p.z_mean > 0.0 { "low" } else { "high" };
        warn(
            format!(
                "posterior biased in {}: too {side} by {:.2} of its standard deviations (rank p = {p_value:.1e})",
                p.name,
                p.z_mean.abs()
            ),
            "train longer or on more simulations; check that test and training simulations agree",
        );
    }
    if misscaled && width > 0.0 {
        warn(
            format!("posterior too narrow in {}: errors are {:.2} times the stated ones (rank p = {p_value:.1e})", p.name, p.z_sd),
            "overconfident: use more simulations, an ensemble, or stop the training earlier",
        );
    }
    if misscaled && width < 0.0 {
        warn(
            format!("posterior too wide in {}: errors are {:.2} times the stated ones (rank p = {p_value:.1e})", p.name, p.z_sd),
            "safe but wasteful: train longer, or use a more flexible density",
        );
    }
    if !shifted && !misscaled {
        warn(
            format!("posterior of {} has the wrong shape: ranks aren't uniform, though location and width fit (p = {p_value:.1e})", p.name),
            "skewness, tails or modes are off: use a more flexible density",
        );
    }
}

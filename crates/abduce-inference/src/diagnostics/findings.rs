//! What the numbers mean, in plain words.

use super::gates::{COVERAGE_MIN_PAIRS, LOG_PROB_SIGMAS, MIN_CONTRACTION, SIGNIFICANCE};
use super::metrics::{Metrics, ParameterMetrics};
use super::regions::RegionVariable;
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
    regional(metrics, &mut found);
    averaged(metrics, &mut found);
    observations(metrics, &mut found);
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

/// p-value of each parameter's ranks: twice the smaller of KS and χ², Holm-adjusted over the parameters.
fn adjusted_rank_p(metrics: &Metrics) -> Vec<f64> {
    holm(&metrics.parameters.iter().map(|p| (2.0 * p.sbc_ks_p.min(p.sbc_chi2_p)).min(1.0)).collect::<Vec<_>>())
}

/// Whether stated and true uncertainties agree.
fn calibration(metrics: &Metrics, found: &mut Vec<Warning>) {
    for (p, adjusted) in metrics.parameters.iter().zip(adjusted_rank_p(metrics)) {
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

/// Parameters that pass on average and fail in a region.
fn regional(metrics: &Metrics, found: &mut Vec<Warning>) {
    let Some(regions) = &metrics.regions else { return };
    let on_average = adjusted_rank_p(metrics);
    for (j, parameter) in metrics.parameters.iter().enumerate().filter(|(j, _)| on_average[*j] > SIGNIFICANCE) {
        let of_parameter = || regions.rejected.iter().filter(|region| region.parameter == j);
        let Some(worst) = of_parameter().next() else { continue };
        let n = worst.n_pairs as f64;
        let (shift, width) = (worst.z_mean * n.sqrt() / worst.z_sd, (worst.z_sd - 1.0) * (2.0 * n).sqrt());
        let how = match (shift.abs() > DIRECTION_SIGMAS, width.abs() > DIRECTION_SIGMAS) {
            (true, _) => {
                let side = if worst.z_mean > 0.0 { "low" } else { "high" };
                format!("too {side} by {:.2} of its standard deviations", worst.z_mean.abs())
            }
            (false, true) => format!("with errors {:.2} times the stated ones", worst.z_sd),
            (false, false) => "of the wrong shape".into(),
        };
        let variable = match worst.variable {
            RegionVariable::PosteriorMean(k) => {
                metrics.parameters.get(k).map_or_else(|| "the posterior mean".into(), |p| format!("the posterior mean of {}", p.name))
            }
            RegionVariable::Feature(f) => format!("feature {f} of the data"),
        };
        let others = match of_parameter().count() {
            1 => String::new(),
            count => format!(", the worst of {count} regions"),
        };
        found.push(Warning {
            severity: Severity::Warning,
            text: format!(
                "calibrated on average only in {}: where {variable} is {} to {} the posterior is {how} (adjusted p = {:.1e}{others})",
                parameter.name,
                compact(worst.low),
                compact(worst.high),
                worst.holm_p
            ),
            hint: "errors of different regions cancel in the average: train longer, use a larger network, or simulate more in that region"
                .into(),
        });
    }
}

/// Three significant digits, without an exponent where the number is of ordinary size.
fn compact(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.2e}");
    }
    let decade = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    format!("{value:.*}", (2.0 - decade).clamp(0.0, 5.0) as usize)
}

/// The prior that the posteriors average to.
fn averaged(metrics: &Metrics, found: &mut Vec<Warning>) {
    let Some(averaged) = &metrics.data_averaged else { return };
    for ((p, adjusted), j) in metrics.parameters.iter().zip(holm(&averaged.ks_p)).zip(0..) {
        if adjusted <= SIGNIFICANCE {
            let (shift, ratio) = (averaged.shift.get(j).copied().unwrap_or(0.0), averaged.sd_ratio.get(j).copied().unwrap_or(1.0));
            found.push(Warning {
                severity: Severity::Warning,
                text: format!(
                    "the posteriors of all test data don't average to the prior in {} (p = {adjusted:.1e}): shifted by {shift:+.2} prior \
                     standard deviations, {ratio:.2} times as wide",
                    p.name
                ),
                hint: "either the posterior is off, or the test parameters were not drawn from the prior that it was trained with".into(),
            });
        }
    }
}

/// What holds for the observations at hand.
fn observations(metrics: &Metrics, found: &mut Vec<Warning>) {
    if let Some(checks) = &metrics.misspecification {
        let strange: Vec<usize> = (0..checks.observations.len()).filter(|&o| checks.observations[o].adjusted_p <= SIGNIFICANCE).collect();
        let hint = "the posterior extrapolates there, and nothing tested on simulations speaks for it: look for an effect that the simulator lacks";
        if let Some((&first, many)) = strange.split_first().map(|(first, _)| (first, strange.len())) {
            let check = &checks.observations[first];
            let which = match (checks.observations.len(), many) {
                (1, _) => "the observation is".to_string(),
                (_, 1) => format!("observation {first} is"),
                (all, _) => format!("{many} of {all} observations are"),
            };
            let of = if many > 1 { format!(", of observation {first}") } else { String::new() };
            found.push(Warning {
                severity: Severity::Warning,
                text: format!(
                    "misspecified: {which} unlike the simulations (adjusted p = {:.1e}, {:.1} Mahalanobis distances out{of})",
                    check.adjusted_p, check.mahalanobis
                ),
                hint: hint.into(),
            });
        } else if let Some(p) = checks.joint_p.filter(|&p| p <= SIGNIFICANCE) {
            found.push(Warning {
                severity: Severity::Warning,
                text: format!(
                    "misspecified: the observations taken together are unlike the simulations (p = {p:.1e}), though none of them alone is"
                ),
                hint: hint.into(),
            });
        }
    }
    if let Some(tests) = &metrics.local_c2st {
        for test in tests.iter().filter(|test| test.adjusted_p <= SIGNIFICANCE) {
            let which = if tests.len() == 1 { "the observation".to_string() } else { format!("observation {}", test.observation) };
            found.push(Warning {
                severity: Severity::Warning,
                text: format!(
                    "the posterior of {which} fails a local test (L-C2ST: p = {:.1e}, statistic {:.2e} for {:.2e} by chance)",
                    test.adjusted_p, test.statistic, test.null_mean
                ),
                hint: "a classifier tells its draws from parameters that give such data: train longer, or use a more flexible density"
                    .into(),
            });
        }
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

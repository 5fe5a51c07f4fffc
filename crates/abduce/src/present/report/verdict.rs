//! The answer at the top: can this posterior be used?

use crate::present::labels::{printed, prose_label, sentence};
use crate::present::run::RunFiles;
use abduce_inference::diagnostics::{self, COVERAGE_MIN_PAIRS, Gate, GateMetrics, Metrics, Severity, Warning};
use abduce_inference::posterior::Novelty;
use abduce_report::html;
use abduce_report::html::{Status, Verdict};

/// The verdict and everything else worth saying.
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    pub(super) warnings: Vec<html::Warning>,
}

/// Reads the findings of the validation aloud: the worst one becomes the headline, the others stay warnings.
pub(super) fn judge(files: &RunFiles) -> Judgement {
    let observations = files.observations();
    let novelties = novelties(&files.novelties, observations);
    if files.abc.is_some() {
        let verdict = Verdict {
            status: Status::Neutral,
            headline: "An ABC sample: no test of calibration applies".into(),
            text: "It is the posterior of one observation. `abduce predict RUN --simulator …` compares data that it predicts with those observed.".into(),
        };
        return Judgement { verdict, warnings: shown(files.warnings.iter().cloned()) };
    }
    let Some(validation) = &files.validation else {
        let verdict = Verdict {
            status: Status::Neutral,
            headline: "Not validated: nothing is known yet about how far this posterior can be trusted".into(),
            text: "`abduce validate RUN --data test.yaml` tests it on held-out simulations; then write the report again.".into(),
        };
        return Judgement { verdict, warnings: shown(novelties.into_iter().chain(files.warnings.clone())) };
    };
    // Worst first, never empty; the last of findings that are all harmless says that the posterior is calibrated.
    let mut findings = diagnostics::findings(&with_labels(&validation.metrics, files));
    let worst = findings.first().map_or(Severity::Info, |finding| finding.severity);
    let mut headline = |opening: &str, status| {
        let worst = findings.remove(0);
        Verdict { status, headline: format!("{opening}: {}", printed(&worst.text)), text: sentence(&worst.hint) }
    };
    let verdict = match worst {
        Severity::Error => headline("Do not use this posterior", Status::Bad),
        Severity::Warning => headline("Use with care", Status::Caution),
        Severity::Info => {
            findings.pop();
            calibrated(&validation.metrics, files.novelties.len(), observations)
        }
    };
    // What a stage copied from the findings is said once, and with labels.
    let said = diagnostics::findings(&validation.metrics);
    let others = files.warnings.iter().filter(|warning| !said.contains(warning)).cloned();
    Judgement { verdict, warnings: shown(novelties.into_iter().chain(findings).chain(others)) }
}

/// No test finds a defect; observations unlike any simulation still call for care.
fn calibrated(metrics: &Metrics, outside: usize, observations: Option<usize>) -> Verdict {
    let log_prob = &metrics.log_prob;
    let gain = log_prob.minus_prior_mean.zip(log_prob.minus_prior_sem);
    let gained = gain.map_or_else(String::new, |(mean, sem)| {
        format!(" On average the data raise the log-probability of the true parameters by {mean:.2} ± {sem:.2} nats over the prior's.")
    });
    let tested = format!("No test finds a defect with {} held-out pairs of {} draws each.{gained}", metrics.n_pairs, metrics.n_draws);
    if outside == 0 {
        return Verdict { status: Status::Good, headline: "Calibrated: stated and true uncertainties agree".into(), text: tested };
    }
    let which = match observations {
        Some(1) => "the observation lies outside them".to_string(),
        Some(all) => format!("{outside} of {all} observations lie outside them"),
        None => format!("{outside} observations lie outside them"),
    };
    Verdict {
        status: Status::Caution,
        headline: format!("Calibrated on simulations, but {which}"),
        text: format!("{tested} That says nothing about data unlike any simulation, where a network extrapolates."),
    }
}

/// The metrics with parameters called by their labels, as mathematics in prose.
fn with_labels(metrics: &Metrics, files: &RunFiles) -> Metrics {
    let mut labelled = metrics.clone();
    for (metrics, parameter) in labelled.parameters.iter_mut().zip(files.parameters()) {
        metrics.name = prose_label(&parameter);
    }
    labelled
}

fn shown(warnings: impl Iterator<Item = Warning>) -> Vec<html::Warning> {
    let severity = |severity| match severity {
        Severity::Info => html::Severity::Notice,
        Severity::Warning => html::Severity::Warning,
        Severity::Error => html::Severity::Error,
    };
    warnings
        .map(|warning| html::Warning { severity: severity(warning.severity), text: sentence(&warning.text), hint: sentence(&warning.hint) })
        .collect()
}

/// Observations named one by one; more are counted.
const MAX_NAMED: usize = 3;

/// Observations outside the simulations, in plain words, the farthest first.
fn novelties(found: &[Novelty], observations: Option<usize>) -> Vec<Warning> {
    let hint = "what the posterior says there is extrapolation: check units, noise and selection of the observation, or widen the simulations \
                (rows and features are counted from 0)";
    let warning = |text: String| Warning { severity: Severity::Warning, text, hint: hint.into() };
    let mut farthest: Vec<&Novelty> = found.iter().collect();
    farthest.sort_by(|a, b| b.distance.total_cmp(&a.distance).then(a.row.cmp(&b.row)));
    let distance = |novelty: &Novelty| {
        let others = match novelty.features_outside {
            0 | 1 => String::new(),
            2 => ", and one other feature lies outside too".into(),
            all => format!(", and {} other features lie outside too", all - 1),
        };
        let number = if novelty.distance < 10.0 { format!("{:.1}", novelty.distance) } else { format!("{:.0}", novelty.distance) };
        format!("{number} standard deviations outside the simulations in feature {}{others}", novelty.feature)
    };
    // The hint is the same for all: it stands once.
    let hinted = |index: usize, text: String| if index == 0 { warning(text) } else { Warning { hint: String::new(), ..warning(text) } };
    match farthest.as_slice() {
        [] => Vec::new(),
        [only] if observations == Some(1) => vec![warning(format!("this observation lies {}", distance(only)))],
        few if few.len() <= MAX_NAMED => {
            let text = |novelty: &Novelty| format!("observation {} lies {}", novelty.row, distance(novelty));
            few.iter().enumerate().map(|(index, novelty)| hinted(index, text(novelty))).collect()
        }
        [first, ..] => {
            let of = observations.map_or_else(String::new, |all| format!(" of {all}"));
            let count = farthest.len();
            vec![warning(format!(
                "{count}{of} observations lie outside the simulations; the farthest is observation {}, {}",
                first.row,
                distance(first)
            ))]
        }
    }
}

/// Every gate of the validation, those that couldn't be evaluated included.
pub(super) fn gates(files: &RunFiles) -> Vec<html::Gate> {
    let Some(validation) = &files.validation else { return Vec::new() };
    Gate::ALL.into_iter().map(|gate| badge(gate, validation.metrics.gates.get(gate.name()))).collect()
}

fn badge(gate: Gate, found: Option<&GateMetrics>) -> html::Gate {
    let (quantity, meaning) = match gate {
        Gate::Coverage => ("p", "True values lie in the stated intervals as often as promised. The prior itself would pass."),
        Gate::LogProbBeatsPrior => {
            ("gain − 3 σ", "The posterior gives the true parameters more probability than the prior does, in nats per held-out pair.")
        }
        Gate::Contraction => ("contraction", "The data narrow at least one parameter: 0 is the prior's width, 1 certainty."),
    };
    let threshold = |found: &GateMetrics| format!("above {}", found.threshold);
    let (status, measured, required) = match found {
        Some(found) => {
            let value = found.value.map_or_else(|| "−∞".into(), |value| number(gate, value));
            (if found.pass { Status::Good } else { Status::Bad }, format!("{quantity} = {value}"), threshold(found))
        }
        None => (Status::Neutral, "not evaluated".into(), format!("at least {COVERAGE_MIN_PAIRS} test pairs")),
    };
    html::Gate { name: name(gate).into(), status, measured, required, meaning: meaning.into() }
}

fn name(gate: Gate) -> &'static str {
    match gate {
        Gate::Coverage => "Coverage",
        Gate::LogProbBeatsPrior => "Beats the prior",
        Gate::Contraction => "Learns from the data",
    }
}

fn number(gate: Gate, value: f64) -> String {
    printed(&match gate {
        Gate::Coverage if value < 1e-3 => format!("{value:.0e}"),
        Gate::Coverage if value < 0.1 => format!("{value:.3}"),
        Gate::Coverage | Gate::LogProbBeatsPrior | Gate::Contraction => format!("{value:.2}"),
    })
}

//! The matrix defect × diagnostic: each diagnostic rejects exactly what it can see.

use super::super::{Metrics, Severity, findings};
use super::{Defect, LinearGaussian};
use abduce_data::Seed;

const PAIRS: usize = 1000;
const DRAWS: usize = 199;

fn metrics_of(defect: Defect) -> Metrics {
    LinearGaussian::new(&[0.5, 0.3], PAIRS, DRAWS, defect, Seed(20)).validate(21).metrics
}

/// Whether each diagnostic rejects, at a level of 0.001 per test (so that the 40 cells together have a false-alarm rate below 4 %).
fn rejections(m: &Metrics) -> [(&'static str, bool); 9] {
    const LEVEL: f64 = 1e-3;
    let all = |test: &dyn Fn(&super::super::ParameterMetrics) -> bool| m.parameters.iter().all(test);
    let n = m.n_pairs as f64;
    [
        ("rank KS", all(&|p| p.sbc_ks_p < LEVEL)),
        ("rank chi2", all(&|p| p.sbc_chi2_p < LEVEL)),
        ("z mean", all(&|p| p.z_mean.abs() > 3.3 * p.z_sd / n.sqrt())),
        ("z width", all(&|p| (p.z_sd - 1.0).abs() > 3.3 / (2.0 * n).sqrt())),
        ("HPD coverage", m.hpd.as_ref().unwrap().ks_p < LEVEL),
        ("TARP", m.tarp.ks_p < LEVEL),
        ("TARP from x", m.tarp_x.as_ref().unwrap().ks_p < LEVEL),
        ("log-prob against the prior", !m.gates["log_prob_beats_prior"].pass),
        ("contraction", !m.gates["contraction"].pass),
    ]
}

#[test]
fn each_diagnostic_rejects_exactly_what_it_can_see() {
    #[rustfmt::skip]
    const SEES: [(&str, [bool; 5]); 9] = [
        //                              right  biased narrow wide   prior
        ("rank KS", [false, true, true, true, false]),
        ("rank chi2", [false, true, true, true, false]),
        ("z mean", [false, true, false, false, false]),
        ("z width", [false, false, true, true, false]),
        ("HPD coverage", [false, true, true, true, false]),
        ("TARP", [false, true, true, true, false]),
        ("TARP from x", [false, true, true, true, true]),
        ("log-prob against the prior", [false, false, false, false, true]),
        ("contraction", [false, false, false, false, true]),
    ];
    // A shift of one standard deviation: references lie on all sides, so to TARP a shift looks like a widening by its square, and half of this
    // one would stay unseen here.
    let defects = [Defect::None, Defect::Shifted(1.0), Defect::Scaled(0.6), Defect::Scaled(1.7), Defect::IgnoresData];
    for (column, defect) in defects.into_iter().enumerate() {
        let metrics = metrics_of(defect);
        for ((name, rejects), (expected_name, sees)) in rejections(&metrics).into_iter().zip(SEES) {
            assert_eq!(name, expected_name);
            assert_eq!(rejects, sees[column], "{name} on {defect:?}: {metrics:#?}");
        }
    }
}

#[test]
fn coverage_gate_passes_the_right_posterior_and_the_prior_and_fails_the_others() {
    for (defect, passes) in [
        (Defect::None, true),
        (Defect::Shifted(0.5), false),
        (Defect::Scaled(0.6), false),
        (Defect::Scaled(1.7), false),
        (Defect::IgnoresData, true),
    ] {
        let gate = &metrics_of(defect).gates["coverage"];
        assert_eq!(gate.pass, passes, "{defect:?}: {gate:?}");
        assert_eq!(gate.pass, gate.value.unwrap() > gate.threshold);
    }
}

#[test]
fn findings_name_the_defect() {
    let cases = [
        (Defect::None, Severity::Info, "calibrated"),
        (Defect::Shifted(0.5), Severity::Warning, "posterior biased in theta_1: too high by 0."),
        (Defect::Shifted(-0.5), Severity::Warning, "posterior biased in theta_1: too low by 0."),
        (Defect::Scaled(0.6), Severity::Warning, "posterior too narrow in theta_1"),
        (Defect::Scaled(1.7), Severity::Warning, "posterior too wide in theta_1"),
        (Defect::IgnoresData, Severity::Error, "the posterior ignores the data"),
    ];
    let named = ["biased in", "too narrow in", "too wide in", "ignores the data", "calibrated:"];
    for (defect, severity, text) in cases {
        let found = findings(&metrics_of(defect));
        assert_eq!(found[0].severity, severity, "{defect:?}: {found:#?}");
        assert!(found.iter().any(|w| w.text.starts_with(text)), "{defect:?}: {found:#?}");
        let others = named.into_iter().filter(|n| !text.contains(n.trim_end_matches(':')));
        for other in others {
            assert!(!found.iter().any(|w| w.text.contains(other)), "{defect:?} called `{other}`: {found:#?}");
        }
    }
}

/// The area's sign: above zero for too wide, below for too narrow; zero within its own error for right.
#[test]
fn area_to_the_calibrated_curve_tells_wide_from_narrow() {
    let area = |defect| metrics_of(defect).tarp;
    assert!(area(Defect::Scaled(1.7)).atc > 5.0 * area(Defect::Scaled(1.7)).atc_sd);
    assert!(area(Defect::Scaled(0.6)).atc < -5.0 * area(Defect::Scaled(0.6)).atc_sd);
    assert!(area(Defect::None).atc.abs() < 3.0 * area(Defect::None).atc_sd);
}

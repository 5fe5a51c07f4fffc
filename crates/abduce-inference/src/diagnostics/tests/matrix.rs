//! The matrix defect × diagnostic: each diagnostic rejects exactly what it can see.

use super::super::{
    DataAveragedMetrics, LocalC2stInputs, LocalC2stMetrics, LocalC2stOptions, Metrics, MisspecificationMetrics, Pairs, ParameterMetrics,
    PriorSpread, Severity, ValidationInputs, ValidationOptions, data_averaged_c2st, findings, local_c2st, misspecification,
    predictive_check, validate,
};
use super::{Claim, Defect, LinearGaussian, prior_draws};
use abduce_data::Seed;
use abduce_kernels::{Simd, Threads};

const PAIRS: usize = 1000;
const DRAWS: usize = 199;

fn metrics_of(defect: Defect) -> Metrics {
    LinearGaussian::new(&[0.5, 0.3], PAIRS, DRAWS, defect, Seed(20)).validate(21).metrics
}

/// A column of the matrix: what is wrong with the posterior, and the observation at hand.
#[derive(Clone, Copy, Debug)]
struct Case {
    defect: Defect,
    observation: [f64; 2],
}

const NOISE: [f64; 2] = [0.5, 0.3];
/// A datum like many others: the standard deviations of x are 1.12 and 1.04.
const USUAL: [f64; 2] = [0.9, 0.8];
/// Five standard deviations out in both features: no simulation is like it, though the posterior there is exact.
const UNLIKE_ANY: [f64; 2] = [5.6, -5.2];

/// Whether each diagnostic rejects, at a level of 0.001 per test (so that the cells together have a false-alarm rate of about 10 %); L-C2ST, of
/// 40 trainings, at 0.025, and the data-averaged C2ST above 0.55, four standard errors of an accuracy on 2000 points.
fn rejections(case: Case) -> [(&'static str, bool); 17] {
    const LEVEL: f64 = 1e-3;
    let Case { defect, observation } = case;
    let data = LinearGaussian::new(&NOISE, PAIRS, DRAWS, defect, Seed(20));
    let prior = prior_draws(5000, 2, Seed(22));
    let inputs = ValidationInputs { prior: PriorSpread::Draws(&prior), ..data.inputs() };
    let m = validate(&inputs, Seed(21), &ValidationOptions::default()).unwrap().metrics;
    let all = |test: &dyn Fn(&ParameterMetrics) -> bool| m.parameters.iter().all(test);
    let n = m.n_pairs as f64;
    let regions = m.regions.as_ref().unwrap();
    let pairs = Pairs::new(inputs, 0.0).unwrap();
    let averaged_c2st = data_averaged_c2st(&pairs, Seed(23), Simd::best(), &Threads::single()).unwrap().unwrap();

    // Draws, and data that they predict, for the observation.
    let mut rng = Seed(24).stream("observation", 0);
    let claims: Vec<Claim> = NOISE.iter().zip(observation).map(|(&sigma, x)| Claim::new(defect, sigma, x)).collect();
    let at_observation: Vec<f64> = (0..2000).flat_map(|_| claims.iter().map(|claim| claim.draw(&mut rng)).collect::<Vec<_>>()).collect();
    let x_rep: Vec<f64> = at_observation.iter().enumerate().map(|(i, theta)| theta + NOISE[i % 2] * rng.normal()).collect();
    let local = LocalC2stInputs {
        parameters: 2,
        theta: &data.theta,
        draws: &data.first_draws(),
        x: &data.x,
        observations: &observation,
        observation_draws: &at_observation,
    };
    let options = LocalC2stOptions { permutations: 39, ..LocalC2stOptions::default() };
    let local = local_c2st(&local, &options, Seed(25), Simd::best(), &Threads::single()).unwrap();
    // More simulations than test pairs: the smallest p-value has to reach below 0.001.
    let simulated = LinearGaussian::new(&NOISE, 4000, 0, Defect::None, Seed(26)).x;
    let unlike = misspecification(&simulated, &observation, 2, Seed(27)).unwrap().observations[0];
    let predictive = predictive_check(&x_rep, &observation, Seed(28)).unwrap();
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
        ("regions", (0..2).all(|j| regions.rejected.iter().any(|r| r.parameter == j && r.holm_p < LEVEL))),
        ("data-averaged KS", m.data_averaged.as_ref().unwrap().ks_p.iter().all(|&p| p < LEVEL)),
        ("data-averaged C2ST", averaged_c2st.score > 0.55),
        ("L-C2ST", local[0].p <= 0.025),
        ("predictive check", predictive.mahalanobis_p < LEVEL),
        ("unlike by MMD", unlike.mmd_p < LEVEL),
        ("unlike by neighbours", unlike.neighbour_p < LEVEL),
        ("unlike by Mahalanobis", unlike.mahalanobis_p < LEVEL),
    ]
}

#[test]
fn each_diagnostic_rejects_exactly_what_it_can_see() {
    #[rustfmt::skip]
    const SEES: [(&str, [bool; 7]); 17] = [
        //                              right  biased narrow wide   prior  average-only  observation unlike any simulation
        ("rank KS", [false, true, true, true, false, false, false]),
        ("rank chi2", [false, true, true, true, false, false, false]),
        ("z mean", [false, true, false, false, false, false, false]),
        ("z width", [false, false, true, true, false, false, false]),
        ("HPD coverage", [false, true, true, true, false, false, false]),
        // Its references lie around the prior's middle, which this defect pulls all posteriors towards.
        ("TARP", [false, true, true, true, false, true, false]),
        ("TARP from x", [false, true, true, true, true, true, false]),
        ("log-prob against the prior", [false, false, false, false, true, false, false]),
        ("contraction", [false, false, false, false, true, false, false]),
        ("regions", [false, true, true, true, false, true, false]),
        // What is within a posterior's width hardly shows in their average over all data.
        ("data-averaged KS", [false, true, false, false, false, false, false]),
        ("data-averaged C2ST", [false, true, false, false, false, false, false]),
        ("L-C2ST", [false, true, true, true, true, true, false]),
        // The posterior of one observation explains it, right or wrong, in a model with as many parameters as data.
        ("predictive check", [false, false, false, false, false, false, false]),
        ("unlike by MMD", [false, false, false, false, false, false, true]),
        ("unlike by neighbours", [false, false, false, false, false, false, true]),
        ("unlike by Mahalanobis", [false, false, false, false, false, false, true]),
    ];
    // A shift of one standard deviation: references lie on all sides, so to TARP a shift looks like a widening by its square, and half of this
    // one would stay unseen here.
    let posteriors =
        [Defect::None, Defect::Shifted(1.0), Defect::Scaled(0.6), Defect::Scaled(1.7), Defect::IgnoresData, Defect::AverageOnly(0.9)];
    let usual = posteriors.map(|defect| Case { defect, observation: USUAL });
    let mut wrong = Vec::new();
    for (column, case) in usual.into_iter().chain([Case { defect: Defect::None, observation: UNLIKE_ANY }]).enumerate() {
        for ((name, rejects), (expected_name, sees)) in rejections(case).into_iter().zip(SEES) {
            assert_eq!(name, expected_name);
            if rejects != sees[column] {
                wrong.push(format!("{name} on {case:?}: rejects is {rejects}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
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
        (Defect::AverageOnly(0.9), Severity::Warning, "calibrated on average only in theta_0: where the posterior mean of theta_0 is"),
    ];
    let named = ["biased in", "too narrow in", "too wide in", "ignores the data", "calibrated:", "on average only"];
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

/// Numbers that validation adds on request, each with a defect alone and without.
#[test]
fn findings_speak_of_the_observations_and_of_the_average() {
    let plain = metrics_of(Defect::None);
    let simulated = LinearGaussian::new(&NOISE, 2000, 0, Defect::None, Seed(26)).x;
    let unlike = |observations: &[f64]| MisspecificationMetrics::from(&misspecification(&simulated, observations, 2, Seed(1)).unwrap());
    let local = |p: f64| LocalC2stMetrics { observation: 3, statistic: 0.02, null_mean: 0.001, p, adjusted_p: p };
    let averaged = |ks_p: f64| DataAveragedMetrics {
        ks_p: vec![0.4, ks_p],
        shift: vec![0.0, 0.3],
        sd_ratio: vec![1.0, 0.8],
        sliced_w2: 0.2,
        sliced_w2_noise: 0.05,
        c2st: None,
    };
    let [usual, strange] = [USUAL, UNLIKE_ANY].map(|x| Metrics { misspecification: Some(unlike(&x)), ..plain.clone() });
    let two = Metrics { misspecification: Some(unlike(&[USUAL, UNLIKE_ANY].concat())), ..plain.clone() };
    let fails = |p| Metrics { local_c2st: Some(vec![local(p), local(0.5)]), ..plain.clone() };
    let average = |p| Metrics { data_averaged: Some(averaged(p)), ..plain.clone() };
    for quiet in [plain.clone(), usual, fails(0.02), average(0.01)] {
        assert!(findings(&quiet)[0].text.starts_with("calibrated:"), "{:#?}", findings(&quiet));
    }
    for (metrics, text) in [
        (strange, "misspecified: the observation is unlike the simulations (adjusted p = "),
        (two, "misspecified: observation 1 is unlike the simulations (adjusted p = "),
        (fails(0.0099), "the posterior of observation 3 fails a local test (L-C2ST: p = 9.9e-3, statistic 2.00e-2 for 1.00e-3 by chance)"),
        (
            average(0.001),
            "the posteriors of all test data don't average to the prior in theta_1 (p = 2.0e-3): shifted by +0.30 prior standard deviations, \
             0.80 times as wide",
        ),
    ] {
        let found = findings(&metrics);
        assert!(found.len() == 1 && found[0].severity == Severity::Warning && found[0].text.starts_with(text), "{found:#?}");
    }
}

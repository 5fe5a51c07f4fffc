//! L-C2ST: nominal for an exact posterior, local for one that is wrong somewhere.

use super::super::bands::ecdf;
use super::super::{DiagnosticsError, LocalC2st, LocalC2stInputs, LocalC2stOptions, local_c2st};
use super::{Claim, Defect, LinearGaussian};
use abduce_data::Seed;
use abduce_kernels::{Simd, Threads};

/// The tests of observations (m, 1) with 500 draws each, of the posterior `defect(x)`, from `n` pairs.
fn tests(
    n: usize,
    defect: impl Fn(f64) -> Defect,
    observations: &[f64],
    options: LocalC2stOptions,
    seed: u64,
    threads: &Threads,
) -> Vec<LocalC2st> {
    const SIGMA: f64 = 0.5;
    let pairs = LinearGaussian::new(&[SIGMA], n, 0, Defect::None, Seed(seed));
    let mut rng = Seed(seed).stream("local draws", 0);
    let mut draw = |x: f64| Claim::new(defect(x), SIGMA, x).draw(&mut rng);
    let draws: Vec<f64> = pairs.x.iter().map(|&x| draw(x)).collect();
    let observation_draws: Vec<f64> = observations.iter().flat_map(|&x| (0..500).map(|_| draw(x)).collect::<Vec<_>>()).collect();
    let inputs = LocalC2stInputs {
        parameters: 1,
        theta: &pairs.theta,
        draws: &draws,
        x: &pairs.x,
        observations,
        observation_draws: &observation_draws,
    };
    local_c2st(&inputs, &options, Seed(seed), Simd::best(), threads).unwrap()
}

/// 400 replicates of 60 pairs and 19 relabellings: P(p ≤ k/20) = k/20 with standard errors 0.011 (5 %), 0.022 (25 %), 0.025 (50 %); bounds at 3.5.
#[test]
fn p_values_of_an_exact_posterior_are_uniform() {
    let options = LocalC2stOptions { permutations: 19, max_epochs: 15 };
    let found: Vec<Vec<LocalC2st>> =
        (0..400).map(|r| tests(60, |_| Defect::None, &[0.3, -1.0], options, 3000 + r, &Threads::single())).collect();
    let plain: Vec<f64> = found.iter().map(|tests| tests[0].p).collect();
    let smallest = found.iter().map(|tests| tests.iter().map(|test| test.adjusted_p).fold(1.0, f64::min)).collect();
    for (name, p) in [("p", plain), ("smallest adjusted p", smallest)] {
        let rates = ecdf(&p, 20);
        for (k, bound) in [(1, 0.039), (5, 0.077), (10, 0.088)] {
            let level = k as f64 / 20.0;
            assert!((rates[k] - level).abs() < bound, "{name} rejects at {level} with rate {}", rates[k]);
        }
    }
}

/// The posterior is twice too wide where x > 0 alone. The statistic is large at x = 1 and stays near its null at x = -1.
#[test]
fn statistic_says_where_the_posterior_is_wrong() {
    let defect = |x: f64| if x > 0.0 { Defect::Scaled(2.0) } else { Defect::None };
    let options = LocalC2stOptions { permutations: 39, ..LocalC2stOptions::default() };
    let run = |threads| tests(1500, defect, &[1.0, -1.0], options, 1, &Threads::new(threads));
    let found = run(2);
    assert_eq!((found[0].p, found[0].adjusted_p), (0.025, 0.025));
    assert!(found[0].statistic > 4.0 * found[1].statistic, "{} {}", found[0].statistic, found[1].statistic);
    // The exact statistic at x = 1: p̂ = q/(q + p), its square distance from ½ averaged over q.
    let (right, wide) = (Claim::new(Defect::None, 0.5, 1.0), Claim::new(Defect::Scaled(2.0), 0.5, 1.0));
    let step = 1e-3;
    let integrand = |i: i32| {
        let theta = f64::from(i) * step;
        let (p, q) = (right.log_prob(theta).exp(), wide.log_prob(theta).exp());
        (q / (q + p) - 0.5).powi(2) * q * step
    };
    let exact: f64 = (-6000..8000).map(integrand).sum();
    // 3000 points teach a smoothed classifier: a third of the exact value is lost or gained.
    assert!((found[0].statistic / exact - 1.0).abs() < 0.35, "{} for {exact}", found[0].statistic);
    assert_eq!(run(1), found);
}

#[test]
fn arrays_that_do_not_fit_are_errors() {
    let (theta, x) = (vec![0.5; 30], vec![1.0; 60]);
    let varied: Vec<f64> = (0..30).map(f64::from).collect();
    let inputs =
        LocalC2stInputs { parameters: 1, theta: &varied, draws: &varied, x: &x, observations: &[0.0, 1.0], observation_draws: &[0.0; 10] };
    let run = |inputs: &LocalC2stInputs<'_>, options: LocalC2stOptions| {
        local_c2st(inputs, &options, Seed(0), Simd::best(), &Threads::single()).map(|found| found.len())
    };
    let quick = LocalC2stOptions { permutations: 1, max_epochs: 1 };
    assert_eq!(run(&inputs, quick), Ok(1));
    let none = LocalC2stOptions { permutations: 0, max_epochs: 1 };
    assert!(matches!(run(&inputs, none), Err(DiagnosticsError::Option { option: "permutations", .. })));
    let few = LocalC2stInputs { theta: &theta[..19], draws: &theta[..19], x: &x[..38], ..inputs };
    assert!(matches!(run(&few, quick), Err(DiagnosticsError::TooFewPairs { found: 19, .. })));
    let flat = LocalC2stInputs { theta: &theta, draws: &theta, ..inputs };
    assert_eq!(run(&flat, quick), Err(DiagnosticsError::ConstantDimension { dimension: 0 }));
    let short = LocalC2stInputs { observations: &[0.0; 3], ..inputs };
    assert!(matches!(run(&short, quick), Err(DiagnosticsError::Length { array: "observations (m, F)", .. })));
}

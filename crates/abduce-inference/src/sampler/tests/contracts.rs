//! What every sampler promises: bytes, independence, counts, errors.

use super::*;

fn short() -> Schedule {
    Schedule { num_chains: 8, warmup_steps: 30, thin: 2, draws: 20 }
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    for method in all_methods() {
        let runs: Vec<Chains> = [1, 2, 3]
            .into_iter()
            .map(|threads| {
                let mut target = shifted_normals(3, 5);
                target.threads = Threads::new(threads);
                let starts = scattered(&target, 8, &[2.0; 3], &[1.0; 3]);
                method.sample(&target, &starts, &short(), Seed(0)).unwrap()
            })
            .collect();
        assert!(runs.iter().all(|run| *run == runs[0]), "{method:?}");
        let target = shifted_normals(3, 5);
        let starts = scattered(&target, 8, &[2.0; 3], &[1.0; 3]);
        assert_ne!(method.sample(&target, &starts, &short(), Seed(1)).unwrap().draws, runs[0].draws);
    }
}

/// Target 3 of a set, alone, under its number in the set.
struct Alone<'a>(&'a Analytic, usize);

impl Target for Alone<'_> {
    fn dimension(&self) -> usize {
        self.0.dimension
    }

    fn count(&self) -> usize {
        1
    }

    fn log_density(&self, points: &[f64], of: &[usize], out: &mut [f64]) {
        self.0.log_density(points, &vec![self.1; of.len()], out);
    }

    fn log_density_gradient(&self, points: &[f64], of: &[usize], out: &mut [f64], gradient: &mut [f64]) {
        self.0.log_density_gradient(points, &vec![self.1; of.len()], out, gradient);
    }

    fn stream(&self, _: usize) -> u64 {
        self.1 as u64
    }
}

#[test]
fn a_target_does_not_see_the_others_in_the_batch() {
    let target = shifted_normals(2, 4);
    let starts = scattered(&target, 8, &[1.0; 2], &[2.0; 2]);
    for method in all_methods() {
        let together = method.sample(&target, &starts, &short(), Seed(3)).unwrap();
        let alone = method.sample(&Alone(&target, 3), &starts[3 * 16..], &short(), Seed(3)).unwrap();
        assert_eq!(together.of_target(3), alone.of_target(0), "{method:?}");
        assert_eq!(together.report[3], alone.report[0], "{method:?}");
    }
}

#[test]
fn every_evaluation_is_counted_and_log_densities_belong_to_their_draws() {
    for method in all_methods() {
        let target = shifted_normals(2, 3);
        let starts = scattered(&target, 8, &[1.0; 2], &[1.0; 2]);
        let chains = method.sample(&target, &starts, &short(), Seed(5)).unwrap();
        // HMC and NUTS ask for the starts' values and then their gradients; both are calls of the density.
        let counted: u64 = chains.report.iter().map(|r| r.evaluations).sum();
        assert_eq!(counted, target.rows.load(Ordering::Relaxed), "{method:?}");
        assert_eq!((chains.draws.len(), chains.log_density.len()), (3 * 8 * 20 * 2, 3 * 8 * 20));
        for (i, (point, &value)) in chains.draws.chunks_exact(2).zip(&chains.log_density).enumerate() {
            let t = (i / 160) as f64;
            let expected = -0.5 * ((point[0] - t).powi(2) + (point[1] - t).powi(2));
            assert!((value - expected).abs() < 1e-12, "{method:?}: {value} against {expected}");
        }
    }
}

/// NaN below zero: the chains sample the half-normal above it, mean √(2/π), and say how often they were told NaN.
#[test]
fn nan_counts_as_impossible_and_is_counted() {
    let target = Analytic::new(1, 1, |_, x, g| {
        g[0] = -x[0];
        if x[0] < 0.0 { f64::NAN } else { -0.5 * x[0] * x[0] }
    });
    let starts: Vec<f64> = (0..20).map(|i| 0.1 + 0.1 * f64::from(i)).collect();
    let schedule = Schedule { num_chains: 20, warmup_steps: 200, thin: 2, draws: 300 };
    for method in all_methods() {
        let chains = method.sample(&target, &starts, &schedule, Seed(8)).unwrap();
        assert!(chains.draws.iter().all(|&x| x >= 0.0));
        assert!(chains.report[0].non_finite > 0, "{method:?}");
        // A trajectory that runs into the wall has left its level set.
        let hamiltonian = matches!(method, Method::Hmc(_) | Method::Nuts(_));
        assert_eq!(chains.report[0].divergences > 0, hamiltonian, "{method:?}");
        let (mean, error) = convergence::mean_and_mcse(&chains.parameter(0, 0), 20);
        let z = (mean - (2.0 / std::f64::consts::PI).sqrt()) / error;
        assert!(z.abs() < 3.0, "{method:?}: {mean} ± {error}");
    }
}

#[test]
fn impossible_starts_are_refused_with_numbers() {
    let target = Analytic::new(1, 2, |_, x, g| {
        g[0] = 0.0;
        if x[0].abs() < 1.0 { 0.0 } else { f64::NEG_INFINITY }
    });
    let schedule = Schedule { num_chains: 4, ..short() };
    let starts = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 7.0, f64::NAN];
    for method in all_methods() {
        let error = method.sample(&target, &starts, &schedule, Seed(0)).unwrap_err();
        assert_eq!(error, SamplerError::Start { target: 1, chain: 2, log_density: f64::NEG_INFINITY, bad: 2, total: 8 });
        let text = error.to_string();
        assert_eq!(text, "target 1, chain 2: the log-density at the start is -inf; 2 of 8 starts are outside the support");
        let error = method.sample(&target, &starts[1..], &schedule, Seed(0)).unwrap_err();
        assert_eq!(error, SamplerError::Shape { what: "starts (targets, chains, d)", found: 7, expected: 8 });
    }
}

#[test]
fn walkers_must_be_enough_even_and_not_in_a_plane() {
    let target = shifted_normals(3, 1);
    let run = |chains: usize, starts: &[f64]| {
        let schedule = Schedule { num_chains: chains, ..short() };
        stretch(&target, starts, &schedule, &StretchOptions::default(), Seed(0)).unwrap_err()
    };
    assert_eq!(run(4, &[0.0; 12]), SamplerError::Walkers { num_chains: 4, dimension: 3 });
    assert_eq!(run(7, &[0.0; 21]), SamplerError::Walkers { num_chains: 7, dimension: 3 });
    let mut flat = scattered(&target, 8, &[0.0; 3], &[1.0; 3]);
    flat.chunks_exact_mut(3).for_each(|x| x[2] = x[0] - 2.0 * x[1]);
    assert_eq!(run(8, &flat), SamplerError::FlatStarts { target: 0, parameter: 2 });
}

#[test]
fn options_out_of_range_are_named() {
    let target = shifted_normals(1, 1);
    let starts = [0.0, 0.1, 0.2, 0.3];
    let named = |method: Method, schedule: Schedule| match method.sample(&target, &starts, &schedule, Seed(0)) {
        Err(SamplerError::Option { option, .. }) => option,
        other => panic!("{other:?}"),
    };
    let good = Schedule { num_chains: 4, ..short() };
    assert_eq!(named(Method::Slice(SliceOptions { init_width: Some(0.0), ..SliceOptions::default() }), good), "init_width");
    assert_eq!(named(Method::Slice(SliceOptions { max_step_out: 0, ..SliceOptions::default() }), good), "max_step_out");
    assert_eq!(named(Method::Stretch(StretchOptions { a: 1.0 }), good), "a");
    assert_eq!(named(Method::Hmc(HmcOptions { target_accept: 1.0, ..HmcOptions::default() }), good), "target_accept");
    assert_eq!(named(Method::Hmc(HmcOptions { max_steps: 0, ..HmcOptions::default() }), good), "max_steps");
    assert_eq!(named(Method::Nuts(NutsOptions { max_tree_depth: 0, ..NutsOptions::default() }), good), "max_tree_depth");
    assert_eq!(named(Method::Slice(SliceOptions::default()), Schedule { thin: 0, ..good }), "thin");
    assert_eq!(named(Method::Slice(SliceOptions::default()), Schedule { draws: 0, ..good }), "draws");
}

/// Two modes forty standard deviations apart: no sampler crosses, and the report says so. The ranks of either half of the chains are those of
/// a half-normal, variance 1 − 2/π, so R̂ → (1 − 2/π)^{−1/2} = 1.66.
#[test]
fn chains_that_have_not_mixed_are_refused() {
    let target = Analytic::new(1, 1, |_, x, g| {
        let centre = if x[0] < 0.0 { -20.0 } else { 20.0 };
        g[0] = centre - x[0];
        -0.5 * (x[0] - centre).powi(2)
    });
    let starts: Vec<f64> = (0..8).map(|c| if c % 2 == 0 { 20.0 } else { -20.0 } + 0.1 * f64::from(c)).collect();
    let schedule = Schedule { num_chains: 8, warmup_steps: 50, thin: 1, draws: 100 };
    let chains = nuts(&target, &starts, &schedule, &NutsOptions::default(), Seed(1)).unwrap();
    let error = chains.require(1.01, 100.0).unwrap_err();
    assert!(matches!(error, SamplerError::NotConverged { target: 0, parameter: 0, r_hat, .. } if r_hat > 1.5), "{error}");
    let chains = slice(&shifted_normals(1, 1), &starts, &Schedule { draws: 400, ..schedule }, &SliceOptions::default(), Seed(1)).unwrap();
    chains.require(1.01, 400.0).unwrap();
    assert!(chains.require(1.01, 1e6).is_err());
}

/// A bracket of 10⁻⁶ or 10⁶ standard deviations adapts within a few sweeps; a coordinate then takes about 2 questions for the ends, 1 for
/// stepping out and 2 inside.
#[test]
fn slice_widths_adapt_from_absurd_values() {
    let target = shifted_normals(2, 1);
    let starts = scattered(&target, 10, &[0.0; 2], &[1.0; 2]);
    let warm = Schedule { num_chains: 10, warmup_steps: 100, thin: 1, draws: 1 };
    for width in [1e-6, 1e6] {
        let options = SliceOptions { init_width: Some(width), ..SliceOptions::default() };
        let evaluations = |draws| slice(&target, &starts, &Schedule { draws, ..warm }, &options, Seed(2)).unwrap().report[0].evaluations;
        let per_coordinate = (evaluations(501) - evaluations(1)) as f64 / (500.0 * 10.0 * 2.0);
        assert!((3.0..6.5).contains(&per_coordinate), "width {width}: {per_coordinate} evaluations per coordinate");
    }
}

#[test]
fn methods_and_schedules_read_and_write_as_json() {
    for method in all_methods() {
        let text = serde_json::to_string(&method).unwrap();
        assert_eq!(serde_json::from_str::<Method>(&text).unwrap(), method);
    }
    let schedule: Schedule = serde_json::from_str(r#"{"num_chains": 6, "burn_in": 50}"#).unwrap();
    assert_eq!(schedule, Schedule { num_chains: 6, warmup_steps: 50, ..Schedule::default() });
    assert!(serde_json::from_str::<Schedule>(r#"{"chains": 6}"#).is_err());
}

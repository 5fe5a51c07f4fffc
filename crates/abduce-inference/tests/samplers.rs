//! Every sampler on every kind of network, against the moments that a grid gives of those very networks: what the networks have got wrong plays no part.

#![allow(clippy::unwrap_used)] // helpers of tests

use abduce_data::{Array, PairSource, ParameterInfo, Scaling, Seed, Split};
use abduce_density::{ClassifierSpec, DensitySpec};
use abduce_inference::posterior::{ChainOptions, Posterior, PosteriorError, Refinement, VariationalFamily, VariationalOptions};
use abduce_inference::prior::{Prior, PriorSpec};
use abduce_inference::sampler::{Divergence, HmcOptions, Method, NutsOptions, SliceOptions, StretchOptions};
use abduce_inference::training::{Engine, NetSpec, NetworkSpec, NoCheckpoints, RatioLoss, Silent, TrainingTask, train_ensemble};
use abduce_nn::trainer::TrainConfig;
use abduce_nn::{Compute, EmbeddingSpec};

/// θ ~ U[−2, 2]², x = θ + N(0, 0.5²): posteriors that the box cuts where x is near its edge.
const X: [f32; 2] = [0.4, -1.6];
const DRAWS: usize = 4000;

fn train(engine: Engine, network: NetworkSpec, compute: &Compute) -> Posterior {
    let mut rng = Seed(1).stream("pairs", 0);
    let theta: Vec<f32> = (0..8000).map(|_| 4.0 * rng.uniform() as f32 - 2.0).collect();
    let x = theta.iter().map(|&t| t + 0.5 * rng.normal() as f32).collect();
    let array = |values| Array::new(vec![4000, 2], values).unwrap();
    let source = PairSource::from_arrays(array(theta), array(x)).unwrap();
    let spec = serde_json::json!({"uniform": {"low": [-2.0, -2.0], "high": [2.0, 2.0]}});
    let task = TrainingTask {
        engine,
        name: "",
        prior: &Prior::new(serde_json::from_value::<PriorSpec>(spec).unwrap()).unwrap(),
        proposal: None,
        parameters: &ParameterInfo::numbered(2),
        source: &source,
        split: &Split::by_fraction(source.kept(), 0.1, Seed(1)).unwrap(),
        nets: &[NetSpec { network, embedding: EmbeddingSpec::Identity, signature: String::new() }],
        train: TrainConfig { batch_size: 100, learning_rate: 2e-3, max_epochs: Some(20), ..TrainConfig::default() },
        x_scaling: Scaling::Independent,
        buffer_bytes: 1 << 20,
        start: None,
        seed: Seed(5),
    };
    train_ensemble(&task, compute, &NoCheckpoints, &Silent).unwrap().posterior
}

/// Means and standard deviations of the networks' posterior of `X`, by the midpoint rule on 160² cells: an eighth of a standard deviation each.
fn by_grid(posterior: &Posterior, compute: &Compute) -> [(f64, f64); 2] {
    let n = 160;
    let node = |k: usize| (-2.0 + 4.0 * (k as f64 + 0.5) / n as f64) as f32;
    let theta: Vec<f32> = (0..n * n).flat_map(|i| [node(i / n), node(i % n)]).collect();
    let log_density = posterior.log_prob(compute, &theta, &X, |_| 0).unwrap();
    let top = log_density.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mass: Vec<f64> = log_density.iter().map(|l| (l - top).exp()).collect();
    let total: f64 = mass.iter().sum();
    [0, 1].map(|j| {
        let expect =
            |f: &dyn Fn(f64) -> f64| mass.iter().zip(theta.chunks_exact(2)).map(|(m, t)| m * f(f64::from(t[j]))).sum::<f64>() / total;
        let mean = expect(&|t| t);
        (mean, expect(&|t| (t - mean).powi(2)).sqrt())
    })
}

fn assert_moments(theta: &[f32], exact: &[(f64, f64); 2], tolerance: f64, what: &str) {
    assert!(theta.iter().all(|t| t.abs() <= 2.0), "{what}: a draw lies outside the prior");
    for (j, (mean, sd)) in exact.iter().enumerate() {
        let values = || theta.iter().skip(j).step_by(2).map(|&t| f64::from(t));
        let n = (theta.len() / 2) as f64;
        let found = values().sum::<f64>() / n;
        let spread = (values().map(|v| (v - found).powi(2)).sum::<f64>() / n).sqrt();
        let (bias, ratio) = ((found - mean) / sd, spread / sd);
        assert!(bias.abs() < tolerance && (ratio - 1.0).abs() < tolerance, "{what}, parameter {j}: bias {bias}, spread {ratio}");
    }
}

/// At least 1 000 effective draws of 4 000: standard errors of 0.03 (mean) and 0.02 (spread) of a standard deviation, so 0.12 is four of them. A flow that is fitted
/// to a posterior cut by the prior's edge may miss by another 0.05.
#[test]
fn every_sampler_draws_what_the_networks_say() {
    let compute = Compute::with_threads(2);
    let maf = || NetworkSpec::Density(DensitySpec::Maf { transforms: 2, hidden: vec![24] });
    let kinds = [
        ("NPE", Engine::Npe, maf()),
        ("NLE", Engine::Nle, maf()),
        ("NRE", Engine::Nre(RatioLoss::DEFAULT), NetworkSpec::Classifier(ClassifierSpec::Mlp { hidden: vec![24, 24] })),
    ];
    let posteriors = kinds.map(|(name, engine, network)| (name, train(engine, network, &compute)));
    let grids: Vec<_> = posteriors.iter().map(|(_, posterior)| by_grid(posterior, &compute)).collect();
    let chains = [
        ("slice", Method::Slice(SliceOptions::default()), 4),
        ("emcee", Method::Stretch(StretchOptions::default()), 6),
        ("hmc", Method::Hmc(HmcOptions::default()), 1),
        ("nuts", Method::Nuts(NutsOptions::default()), 1),
    ];
    for ((name, posterior), exact) in posteriors.iter().zip(&grids) {
        for (method, sampler, thin) in chains {
            let options = ChainOptions { method: sampler, num_chains: Some(20), warmup_steps: 200, thin, ..ChainOptions::default() };
            let drawn = posterior.sample_chains(&compute, &X, 1, DRAWS, &options, Seed(4)).unwrap();
            let report = &drawn.report[0];
            assert!(report.has_converged() && report.min_ess() > 1000.0, "{name}, {method}: {report:?}");
            assert_moments(&drawn.theta, exact, 0.12, &format!("{name}, {method}"));
        }
        for divergence in [Divergence::Reverse, Divergence::Forward] {
            let family = VariationalFamily::named("maf").unwrap();
            let options = VariationalOptions { family, divergence, n_particles: 128, max_num_iters: 300, ..VariationalOptions::default() };
            let fit = posterior.sample_variational(&compute, &X, 1, DRAWS, &options, Seed(3)).unwrap();
            assert_moments(&fit.theta, exact, 0.17, &format!("{name}, vi, {divergence:?}"));
            let weights = fit.report[0].weights;
            assert!(weights.k_hat < 0.7 && weights.ess > 0.8 * DRAWS as f64, "{name}, vi, {divergence:?}: {weights:?}");
        }
        let direct = posterior.sample(&compute, &X, DRAWS, Seed(2));
        if *name == "NPE" {
            assert_moments(&direct.unwrap(), exact, 0.12, "NPE, direct");
        } else {
            assert!(matches!(direct, Err(PosteriorError::NeedsSampler(_))), "{name} can't be drawn from directly");
        }
    }
    // Draws of the density, weighted by each of the others.
    let [(_, density), rest @ ..] = &posteriors;
    for ((name, target), exact) in rest.iter().zip(&grids[1..]) {
        let refined = density.refine(&compute, Refinement::Networks(target), &X, (20_000, DRAWS), Seed(4)).unwrap();
        assert!(refined.report[0].k_hat < 0.7, "{name}: {:?}", refined.report);
        assert_moments(&refined.theta, exact, 0.12, &format!("{name}, importance"));
        assert!(target.refine(&compute, Refinement::Networks(density), &X, (100, 10), Seed(4)).is_err(), "{name} proposes nothing");
    }
}

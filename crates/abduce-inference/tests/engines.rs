//! Every engine on a linear Gaussian model, where likelihood, evidence and posterior are known.
//!
//! θ ~ N(0, 1)², x = θ + N(0, 0.5²): p(x | θ) = N(θ, 0.25), p(x) = N(0, 1.25), p(θ | x) = N(0.8 x, 0.2).

#![allow(clippy::unwrap_used)] // helpers of tests

use abduce_data::{Array, PairSource, ParameterInfo, Scaling, Seed, Split};
use abduce_density::{ClassifierSpec, DensitySpec};
use abduce_diffusion::{NoiseSchedule, TimeEmbedding};
use abduce_inference::posterior::{ChainOptions, Kind, Posterior, PosteriorError, Refinement, VariationalFamily, VariationalOptions};
use abduce_inference::prior::{Prior, PriorSpec};
use abduce_inference::sampler::Divergence;
use abduce_inference::sequential::{AtomicLoss, FirstRound, NoRounds, Restart, SequentialTask, Strategy, train_sequential};
use abduce_inference::training::{
    Engine, NetSpec, NetworkSpec, NoCheckpoints, RatioLoss, Silent, Trained, TrainingError, TrainingTask, train_ensemble,
};
use abduce_nn::trainer::{Schedule, TrainConfig};
use abduce_nn::{Compute, EmbeddingSpec};

const D: usize = 2;

fn pairs(n: usize, seed: u64) -> (Vec<f32>, Vec<f32>) {
    let mut rng = Seed(seed).stream("pairs", 0);
    let theta: Vec<f32> = (0..n * D).map(|_| rng.normal() as f32).collect();
    let x = theta.iter().map(|&t| t + 0.5 * rng.normal() as f32).collect();
    (theta, x)
}

fn prior() -> Prior {
    let spec = serde_json::json!({"normal": {"loc": [0.0, 0.0], "scale": [1.0, 1.0]}});
    Prior::new(serde_json::from_value::<PriorSpec>(spec).unwrap()).unwrap()
}

fn train(engine: Engine, network: NetworkSpec, nets: usize, compute: &Compute) -> Result<Trained, TrainingError> {
    let (theta, x) = pairs(6000, 1);
    let array = |values| Array::new(vec![6000, D], values).unwrap();
    train_on(&PairSource::from_arrays(array(theta), array(x)).unwrap(), engine, network, nets, compute)
}

fn train_on(source: &PairSource, engine: Engine, network: NetworkSpec, nets: usize, compute: &Compute) -> Result<Trained, TrainingError> {
    let split = Split::by_fraction(source.kept(), 0.1, Seed(1)).unwrap();
    let net = NetSpec { network, embedding: EmbeddingSpec::Identity, signature: String::new() };
    let task = TrainingTask {
        engine,
        name: "",
        prior: &prior(),
        proposal: None,
        parameters: &ParameterInfo::numbered(D),
        source,
        split: &split,
        nets: &vec![net; nets],
        train: TrainConfig {
            batch_size: 100,
            learning_rate: 2e-3,
            schedule: Schedule::Plateau { factor: 0.2, drops: 2 },
            stop_after_epochs: 4,
            max_epochs: Some(40),
            ..TrainConfig::default()
        },
        x_scaling: Scaling::Independent,
        buffer_bytes: 1 << 20,
        start: None,
        seed: Seed(5),
    };
    train_ensemble(&task, compute, &NoCheckpoints, &Silent)
}

fn maf() -> NetworkSpec {
    NetworkSpec::Density(DensitySpec::Maf { transforms: 2, hidden: vec![24] })
}

fn resnet() -> NetworkSpec {
    NetworkSpec::Classifier(ClassifierSpec::Resnet { hidden: 32, blocks: 2 })
}

fn log_normal(x: f32, mean: f32, variance: f64) -> f64 {
    -0.5 * (f64::from(x - mean).powi(2) / variance + (2.0 * std::f64::consts::PI * variance).ln())
}

fn log_prior(theta: &[f32]) -> f64 {
    theta.iter().map(|&t| log_normal(t, 0.0, 1.0)).sum()
}

fn log_likelihood(theta: &[f32], x: &[f32]) -> f64 {
    theta.iter().zip(x).map(|(&t, &x)| log_normal(x, t, 0.25)).sum()
}

/// Mean and standard deviation of learnt minus exact log-density over fresh pairs of the model.
fn errors(posterior: &Posterior, compute: &Compute, exact: impl Fn(&[f32], &[f32]) -> f64) -> (f64, f64) {
    let (theta, x) = pairs(2000, 2);
    let found = posterior.log_prob(compute, &theta, &x, |r| r).unwrap();
    let rows = theta.chunks_exact(D).zip(x.chunks_exact(D));
    let errors: Vec<f64> = found.iter().zip(rows).map(|(found, (theta, x))| found - exact(theta, x)).collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    (mean, (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / errors.len() as f64).sqrt())
}

/// A flow of some hundred weights on 6 000 pairs: the expected excess of the log-loss is about (weights)/(2 · 6000) ≈ 0.05 nats.
#[test]
fn the_likelihood_is_learnt_in_the_units_of_the_data() {
    let compute = Compute::with_threads(2);
    let posterior = train(Engine::Nle, maf(), 2, &compute).unwrap().posterior;
    assert_eq!(posterior.kind(), Kind::Nle);
    assert!(!posterior.is_normalised());
    let (mean, sd) = errors(&posterior, &compute, |theta, x| log_likelihood(theta, x) + log_prior(theta));
    assert!(mean.abs() < 0.05 && sd < 0.25, "{mean} ± {sd}");
    let refused = posterior.sample(&compute, &[0.0, 0.0], 10, Seed(1)).unwrap_err();
    assert!(matches!(refused, PosteriorError::NeedsSampler(_)), "{refused}");
}

/// Counts: x_j ~ Binomial(6, p), p = 1/(1 + e^{−θ_j}), whose probabilities are known. A density of the bare counts grows at them without bound (by some
/// nats within the first epochs), so that its values there say nothing of their probability.
#[test]
fn the_likelihood_of_counts_is_their_probability() {
    let compute = Compute::with_threads(2);
    let mut rng = Seed(21).stream("counts", 0);
    let mut pairs = |n: usize| -> (Vec<f32>, Vec<f32>) {
        let theta: Vec<f32> = (0..n * D).map(|_| rng.normal() as f32).collect();
        let x = theta.iter().map(|&t| (0..6).filter(|_| rng.uniform() < 1.0 / (1.0 + f64::from(-t).exp())).count() as f32).collect();
        (theta, x)
    };
    let array = |values| Array::new(vec![6000, D], values).unwrap();
    let (theta, x) = pairs(6000);
    let source = PairSource::from_arrays(array(theta), array(x)).unwrap();
    let network = NetworkSpec::Density(DensitySpec::Made { hidden: vec![32, 32], components: 8 });
    let posterior = train_on(&source, Engine::Nle, network, 1, &compute).unwrap().posterior;
    let (theta, x) = pairs(2000);
    let found = posterior.log_prob(&compute, &theta, &x, |r| r).unwrap();
    let choose = [1.0f64, 6.0, 15.0, 20.0, 15.0, 6.0, 1.0];
    let exact = |theta: &[f32], x: &[f32]| {
        let one = |(&t, &x): (&f32, &f32)| {
            choose[x as usize].ln() - f64::from(x) * (1.0 + f64::from(-t).exp()).ln() - f64::from(6.0 - x) * (1.0 + f64::from(t).exp()).ln()
        };
        theta.iter().zip(x).map(one).sum::<f64>()
    };
    let errors: Vec<f64> =
        found.iter().zip(theta.chunks_exact(D).zip(x.chunks_exact(D))).map(|(f, (t, x))| f - log_prior(t) - exact(t, x)).collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let sd = (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / errors.len() as f64).sqrt();
    // Smooth mixtures follow steps of a bounded density to a tenth of a nat or two per count.
    assert!(mean.abs() < 0.15 && sd < 0.35, "{mean} ± {sd}");
}

/// NRE-A, -C and the balanced loss give the ratio itself; NRE-B only its dependence on θ, so that its errors are compared within one x.
#[test]
fn every_ratio_loss_learns_the_ratio() {
    let compute = Compute::with_threads(2);
    let losses = [
        (RatioLoss::Binary { balance: 0.0 }, 0.35),
        // The balance trades sharpness for caution.
        (RatioLoss::Binary { balance: 1.0 }, 0.6),
        (RatioLoss::Contrastive { classes: 5, gamma: 1.0 }, 0.35),
        (RatioLoss::DEFAULT, f64::INFINITY),
    ];
    for (loss, tolerance) in losses {
        let posterior = train(Engine::Nre(loss), resnet(), 1, &compute).unwrap().posterior;
        let log_evidence = |x: &[f32]| x.iter().map(|&x| log_normal(x, 0.0, 1.25)).sum::<f64>();
        let exact = |theta: &[f32], x: &[f32]| log_likelihood(theta, x) - log_evidence(x) + log_prior(theta);
        let (mean, sd) = errors(&posterior, &compute, exact);
        assert!(mean.abs() < tolerance && sd < tolerance, "{loss:?}: {mean} ± {sd}");
        // For one x, over θ from its posterior: constants drop out.
        let x = [0.6f32, -0.3];
        let mut rng = Seed(7).stream("posterior", 0);
        let theta: Vec<f32> = (0..400 * D).map(|i| 0.8 * x[i % D] + 0.2f32.sqrt() * rng.normal() as f32).collect();
        let found = posterior.log_prob(&compute, &theta, &x, |_| 0).unwrap();
        let errors: Vec<f64> = found.iter().zip(theta.chunks_exact(D)).map(|(found, theta)| found - exact(theta, &x)).collect();
        let mean = errors.iter().sum::<f64>() / 400.0;
        let sd = (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / 400.0).sqrt();
        assert!(sd < 0.3, "{loss:?}: ± {sd}");
    }
}

/// With simulations of the prior the atomic loss has the posterior as its optimum, up to a factor that depends on x alone: a mixture of
/// densities that are normalised leaves little room for one.
#[test]
fn the_atomic_loss_learns_the_posterior() {
    let compute = Compute::with_threads(2);
    let posterior = train(Engine::Atomic { atoms: 10, prior_rows: 0 }, maf(), 1, &compute).unwrap().posterior;
    let exact = |theta: &[f32], x: &[f32]| theta.iter().zip(x).map(|(&t, &x)| log_normal(t, 0.8 * x, 0.2)).sum::<f64>();
    let (mean, sd) = errors(&posterior, &compute, exact);
    assert!(mean.abs() < 0.2 && sd < 0.35, "{mean} ± {sd}");
}

/// The target's gradient against central differences (step 1e-3 in f32 networks: rounding 1e-6/1e-3), the sum over independent data, and the
/// mixture of an ensemble.
#[test]
fn targets_are_the_posterior_with_its_gradient() {
    let compute = Compute::with_threads(2);
    let likelihood = train(Engine::Nle, maf(), 2, &compute).unwrap().posterior;
    let ratio = train(Engine::Nre(RatioLoss::DEFAULT), resnet(), 2, &compute).unwrap().posterior;
    let density = train(Engine::Npe, maf(), 2, &compute).unwrap().posterior;
    let x = [0.3f32, 0.1, -0.5, 0.9, 1.1, -0.2, 0.4, 0.4];
    for (posterior, trials) in [(&likelihood, 1), (&likelihood, 2), (&ratio, 1), (&ratio, 2), (&density, 1)] {
        let target = posterior.target(&compute, &x, trials).unwrap();
        assert_eq!(target.count(), 4 / trials);
        let mut rng = Seed(3).stream("points", 0);
        let n = 40;
        let points: Vec<f64> = (0..n * D).map(|_| rng.normal()).collect();
        let of: Vec<usize> = (0..n).map(|r| (r * 7) % target.count()).collect();
        let (mut value, mut gradient) = (vec![0.0; n], vec![0.0; n * D]);
        target.evaluate(&points, &of, &mut value, Some(&mut gradient));
        let mut plain = vec![0.0; n];
        target.evaluate(&points, &of, &mut plain, None);
        assert!(plain.iter().zip(&value).all(|(a, b)| (a - b).abs() < 1e-5));
        for j in 0..D {
            let moved = |step: f64| {
                let points: Vec<f64> = points.iter().enumerate().map(|(i, p)| if i % D == j { p + step } else { *p }).collect();
                let mut out = vec![0.0; n];
                target.evaluate(&points, &of, &mut out, None);
                out
            };
            let (above, below) = (moved(4e-3), moved(-4e-3));
            // A difference across a kink of a ReLU is no derivative: that concerns few of the points.
            let slope = |r: usize| (above[r] - below[r]) / 8e-3;
            let far = |r: &usize| (slope(*r) - gradient[*r * D + j]).abs() > 0.02 * (1.0 + slope(*r).abs());
            let allowed = if posterior.kind() == Kind::Nre { n / 5 } else { 0 };
            assert!((0..n).filter(far).count() <= allowed, "{:?}, {trials} data", posterior.kind());
        }
        // Differences of log π over z are those of the posterior's log-density over θ, the constant Jacobian aside.
        if trials == 1 {
            let theta: Vec<f32> = points
                .iter()
                .enumerate()
                .map(|(i, z)| (z * posterior.theta_scale.std()[i % D] + posterior.theta_scale.mean()[i % D]) as f32)
                .collect();
            let log_prob = posterior.log_prob(&compute, &theta, &x, |r| of[r]).unwrap();
            let shift = log_prob[0] - value[0];
            assert!(log_prob.iter().zip(&value).all(|(p, v)| (p - v - shift).abs() < 1e-3), "{:?}", posterior.kind());
        }
    }
    assert!(matches!(density.target(&compute, &x, 2), Err(PosteriorError::OneDatum { trials: 2 })));
    assert!(matches!(likelihood.target(&compute, &x, 3), Err(PosteriorError::Trials { rows: 4, trials: 3 })));
}

/// Fits to a likelihood and to a density, and weights: posterior N(0.8 x, 0.2), evidence N(x; 0, 1.25) of each coordinate.
#[test]
fn fits_and_weights_give_the_known_posterior() {
    let compute = Compute::with_threads(2);
    let likelihood = train(Engine::Nle, maf(), 1, &compute).unwrap().posterior;
    let density = train(Engine::Npe, maf(), 1, &compute).unwrap().posterior;
    let x = [0.6f32, -0.3, 1.5, -1.0];
    let check = |theta: &[f32], tolerance: f32, what: &str| {
        for (observation, theta) in theta.chunks_exact(theta.len() / 2).enumerate() {
            for j in 0..D {
                let values = || theta.iter().skip(j).step_by(D);
                let n = values().count() as f32;
                let mean = values().sum::<f32>() / n;
                let variance = values().map(|t| (t - mean).powi(2)).sum::<f32>() / n;
                let exact = 0.8 * x[observation * D + j];
                assert!((mean - exact).abs() < tolerance, "{what}: mean {mean} instead of {exact}");
                assert!((variance / 0.2 - 1.0).abs() < 2.0 * tolerance, "{what}: variance {variance}");
            }
        }
    };
    let log_evidence = |observation: usize| x[observation * D..][..D].iter().map(|&x| log_normal(x, 0.0, 1.25)).sum::<f64>();
    for (posterior, family, divergence) in [
        (&likelihood, "maf", Divergence::Reverse),
        (&likelihood, "maf", Divergence::Forward),
        (&likelihood, "gaussian", Divergence::Reverse),
        (&density, "gaussian_diag", Divergence::Forward),
    ] {
        let options = VariationalOptions {
            family: VariationalFamily::named(family).unwrap(),
            divergence,
            n_particles: 64,
            max_num_iters: 200,
            ..VariationalOptions::default()
        };
        let fit = posterior.sample_variational(&compute, &x, 1, 4000, &options, Seed(3)).unwrap();
        // The networks' own errors: 6 000 pairs know a mean to 0.02 and a width to some per cent.
        check(&fit.theta, 0.1, family);
        for (observation, report) in fit.report.iter().enumerate() {
            let exact = if posterior.kind() == Kind::Nle { log_evidence(observation) } else { 0.0 };
            assert!((report.weights.log_evidence - exact).abs() < 0.1, "{family}: {report:?}, exact {exact}");
            assert!(report.elbo <= report.weights.log_evidence + 1e-9 && report.weights.ess > 0.8 * 4000.0, "{family}: {report:?}");
        }
        let one = posterior.sample_variational(&Compute::with_threads(1), &x[..D], 1, 4000, &options, Seed(3)).unwrap();
        assert_eq!(one.theta, fit.theta[..4000 * D], "{family}: neither threads nor neighbours change a draw");
    }

    let exact = |theta: &[f64], x: &[f64]| theta.iter().zip(x).map(|(t, x)| log_normal(*x as f32, *t as f32, 0.25)).sum();
    let prior = prior();
    let target = Refinement::Likelihood { prior: &prior, log_likelihood: &exact };
    let refined = density.refine(&compute, target, &x, (20_000, 4000), Seed(4)).unwrap();
    // 4 000 choices: standard errors 0.45/√4000 = 0.007 of the mean, 0.022 of the relative variance.
    check(&refined.theta, 0.035, "known likelihood");
    for (observation, report) in refined.report.iter().enumerate() {
        let error = report.log_evidence - log_evidence(observation);
        assert!(error.abs() < 4.0 * report.log_evidence_error + 1e-4, "{report:?}, off by {error}");
        assert!(report.ess > 10_000.0 && report.log_evidence_error < 0.02, "{report:?}");
    }
    let refined = density.refine(&compute, Refinement::Networks(&likelihood), &x, (20_000, 4000), Seed(4)).unwrap();
    check(&refined.theta, 0.1, "learnt likelihood");
    let wrong = likelihood.refine(&compute, Refinement::Networks(&density), &x, (100, 10), Seed(4)).unwrap_err();
    assert!(wrong.to_string().contains("a likelihood"), "{wrong}");
}

#[test]
fn files_keep_every_kind() {
    let compute = Compute::with_threads(2);
    let folder = std::env::temp_dir().join(format!("abduce-engines-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (theta, x) = pairs(20, 3);
    for (engine, network) in [(Engine::Nle, maf()), (Engine::Nre(RatioLoss::DEFAULT), resnet()), (Engine::Npe, maf())] {
        let posterior = train(engine, network, 1, &compute).unwrap().posterior;
        let path = folder.join("posterior.safetensors");
        posterior.save(&path).unwrap();
        let loaded = Posterior::load(&path).unwrap();
        assert_eq!(loaded.kind(), posterior.kind());
        let scores = |p: &Posterior| p.log_prob(&compute, &theta, &x, |r| r).unwrap();
        assert_eq!(scores(&loaded), scores(&posterior));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_network_of_the_wrong_sort_is_refused() {
    let compute = Compute::with_threads(1);
    let error = train(Engine::Nre(RatioLoss::DEFAULT), maf(), 1, &compute).unwrap_err();
    assert!(error.to_string().contains("maf is a density, this engine learns with a classifier"), "{error}");
    let error = train(Engine::Nle, resnet(), 1, &compute).unwrap_err();
    assert!(error.to_string().contains("resnet is a classifier, this engine learns with a density"), "{error}");
}

/// Means and standard deviations of draws θ (n, d) of one observation against N(0.8 x, 0.2), in units of the exact standard deviation.
fn assert_moments(theta: &[f32], x: &[f32], tolerance: f64, what: &str) {
    for (j, &x) in x.iter().enumerate() {
        let values = || theta.iter().skip(j).step_by(D).map(|&t| f64::from(t));
        let n = (theta.len() / D) as f64;
        let mean = values().sum::<f64>() / n;
        let sd = (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        let (bias, spread) = ((mean - 0.8 * f64::from(x)) / 0.2f64.sqrt(), sd / 0.2f64.sqrt());
        assert!(bias.abs() < tolerance && (spread - 1.0).abs() < tolerance, "{what}, parameter {j}: bias {bias}, spread {spread}");
    }
}

/// 2 000 draws with R̂ < 1.01: Monte Carlo errors of 0.03; what remains is the networks' error. The same draws whatever the threads, and whichever
/// observations stand beside.
#[test]
fn chains_draw_from_likelihoods_and_ratios() {
    let compute = Compute::with_threads(2);
    let x = [0.6f32, -0.3, -1.0, 0.2];
    let options = ChainOptions::default();
    for (engine, network) in [(Engine::Nle, maf()), (Engine::Nre(RatioLoss::DEFAULT), resnet())] {
        let posterior = train(engine, network, 1, &compute).unwrap().posterior;
        let drawn = posterior.sample_chains(&compute, &x, 1, 2000, &options, Seed(4)).unwrap();
        assert_eq!((drawn.theta.len(), drawn.report.len()), (2 * 2000 * D, 2));
        for (i, report) in drawn.report.iter().enumerate() {
            assert!(report.r_hat.iter().all(|r| *r < 1.02) && report.min_ess() > 400.0, "{report:?}");
            assert_moments(&drawn.theta[i * 2000 * D..(i + 1) * 2000 * D], &x[i * D..(i + 1) * D], 0.2, &format!("{engine:?}"));
        }
        let single = posterior.sample_chains(&Compute::with_threads(1), &x[..D], 1, 2000, &options, Seed(4)).unwrap();
        assert_eq!(single.theta, drawn.theta[..2000 * D]);
    }
}

/// Four independent data of one observation: θ ~ N(0, 1), x_j = θ + N(0, 0.25): posterior N(4 x̄/(4 + 0.25), 0.25/4.25).
#[test]
fn independent_data_narrow_the_posterior() {
    let compute = Compute::with_threads(2);
    let posterior = train(Engine::Nle, maf(), 1, &compute).unwrap().posterior;
    let x = [0.5f32, 0.1, 0.7, -0.1, 0.3, 0.2, 0.9, 0.0];
    let drawn = posterior.sample_chains(&compute, &x, 4, 2000, &ChainOptions::default(), Seed(2)).unwrap();
    for (j, mean) in [(0, 0.6), (1, 0.05)] {
        let values = || drawn.theta.iter().skip(j).step_by(D).map(|&t| f64::from(t));
        let found = values().sum::<f64>() / 2000.0;
        let sd = (values().map(|v| (v - found).powi(2)).sum::<f64>() / 2000.0).sqrt();
        let exact = (0.25f64 / 4.25).sqrt();
        // Errors of the likelihood add up over four data.
        assert!((found - mean * 4.0 / 4.25).abs() < 0.5 * exact && (sd / exact - 1.0).abs() < 0.25, "{j}: {found} ± {sd}");
    }
}

/// Three rounds of 1 000 simulations each, for one observation.
#[test]
fn every_sequential_strategy_finds_the_posterior() {
    let compute = Compute::with_threads(2);
    let x_obs = [0.6f32, -0.3];
    let net = |network| vec![NetSpec { network, embedding: EmbeddingSpec::Identity, signature: String::new() }];
    let strategies = [
        (Strategy::Atomic { atoms: 10, loss: AtomicLoss::Atoms }, maf(), FirstRound::Kept),
        (Strategy::Atomic { atoms: 10, loss: AtomicLoss::WithPriorPairs }, maf(), FirstRound::Kept),
        (Strategy::Corrected, maf(), FirstRound::Kept),
        (Strategy::Weighted, maf(), FirstRound::Kept),
        (Strategy::Weighted, maf(), FirstRound::Discarded),
        (Strategy::Truncated { cut: 1e-4 }, maf(), FirstRound::Kept),
        (Strategy::Likelihood, maf(), FirstRound::Kept),
        (Strategy::Likelihood, maf(), FirstRound::Discarded),
        (Strategy::Ratio(RatioLoss::DEFAULT), resnet(), FirstRound::Kept),
    ];
    let train = TrainConfig { batch_size: 100, learning_rate: 2e-3, stop_after_epochs: 10, max_epochs: Some(60), ..TrainConfig::default() };
    for (strategy, network, first_round) in strategies {
        let task = SequentialTask {
            strategy,
            rounds: 3,
            simulations: 1000,
            x_obs: &x_obs,
            x_shape: &[D],
            name: "",
            prior: &prior(),
            parameters: &ParameterInfo::numbered(D),
            nets: &net(network),
            train,
            train_before: TrainConfig { stop_after_epochs: 5, ..train },
            validation_fraction: 0.1,
            restart: Restart::Warm,
            first_round,
            chains: ChainOptions::default(),
            x_scaling: Scaling::Independent,
            seed: Seed(8),
        };
        let mut asked = Vec::new();
        let mut simulate = |theta: &[f32], first: usize| {
            asked.push((first, theta.len() / D));
            let row = |(i, &t): (usize, &f32)| t + 0.5 * Seed(9).stream("x", (first * D + i) as u64).normal() as f32;
            Ok(theta.iter().enumerate().map(row).collect())
        };
        let trained = train_sequential(&task, &compute, &mut simulate, &NoRounds, &Silent).unwrap();
        assert_eq!(asked, [(0, 1000), (1000, 1000), (2000, 1000)]);
        // Nine tenths of the pairs, by batches of 100.
        let batches = match (strategy, first_round) {
            (Strategy::Corrected, _) => 9,
            (_, FirstRound::Discarded) => 18,
            _ => 27,
        };
        assert_eq!(trained.progress[0].steps as usize, batches * trained.progress[0].history.len());
        let posterior = trained.posterior;
        let draws = match posterior.is_normalised() {
            true => posterior.sample(&compute, &x_obs, 4000, Seed(1)).unwrap(),
            false => posterior.sample_chains(&compute, &x_obs, 1, 4000, &ChainOptions::default(), Seed(1)).unwrap().theta,
        };
        assert_moments(&draws, &x_obs, 0.25, &format!("{strategy:?}, {first_round:?}"));
        if strategy == Strategy::Corrected {
            assert_corrected(&posterior, &compute, &x_obs);
        }
    }
}

/// A density that was learnt under a Gaussian p̃: the ratio p(x | θ)/p(x) up to a function of x, its gradient, and its file. The quotient is compared over the
/// posterior's bulk, where the density's own error is a few tenths of a nat.
fn assert_corrected(posterior: &Posterior, compute: &Compute, x_obs: &[f32]) {
    assert_eq!(posterior.kind(), Kind::Nre);
    let mut rng = Seed(5).stream("bulk", 0);
    let theta: Vec<f32> = (0..200 * D).map(|i| 0.8 * x_obs[i % D] + 0.2f32.sqrt() * rng.normal() as f32).collect();
    let found = posterior.log_prob(compute, &theta, x_obs, |_| 0).unwrap();
    let rows = theta.chunks_exact(D);
    let errors: Vec<f64> = found.iter().zip(rows).map(|(f, t)| f - log_likelihood(t, x_obs) - log_prior(t)).collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let sd = (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / errors.len() as f64).sqrt();
    assert!(sd < 0.3, "{sd}");
    let target = posterior.target(compute, x_obs, 1).unwrap();
    // One point in the bulk, one far beyond what was simulated, where the correction is constant.
    for z in [[0.3, -0.2], [40.0, 35.0]] {
        let at = |z: &[f64]| {
            let mut out = [0.0];
            target.evaluate(z, &[0], &mut out, None);
            out[0]
        };
        let (mut value, mut gradient) = ([0.0], [0.0; D]);
        target.evaluate(&z, &[0], &mut value, Some(&mut gradient));
        for j in 0..D {
            let mut moved = [z, z];
            (moved[0][j], moved[1][j]) = (z[j] + 4e-3, z[j] - 4e-3);
            let slope = (at(&moved[0]) - at(&moved[1])) / 8e-3;
            // Differences of scores of 1e4 in single precision know a slope to 0.2.
            let tolerance = if z[0] > 10.0 { 1.0 } else { 0.02 } * (1.0 + 0.02 * slope.abs());
            assert!((slope - gradient[j]).abs() < tolerance + 0.02 * slope.abs(), "{z:?}: {slope} against {}", gradient[j]);
        }
    }
    let path = std::env::temp_dir().join(format!("abduce-corrected-{}.safetensors", std::process::id()));
    posterior.save(&path).unwrap();
    let loaded = Posterior::load(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(loaded.log_prob(compute, &theta, x_obs, |_| 0).unwrap(), found);
}

/// Flow matching and a score model regress the vector field whose flow is the posterior; their densities are integrated exactly.
#[test]
fn vector_fields_learn_the_posterior() {
    let compute = Compute::with_threads(2);
    for schedule in [NoiseSchedule::flow_matching(), NoiseSchedule::vp()] {
        let field = abduce_diffusion::NetworkSpec::Mlp { layers: 3, hidden: 32, time: TimeEmbedding::default() };
        let network = NetworkSpec::Field { schedule, network: field };
        let posterior = train(Engine::Field, network, 1, &compute).unwrap().posterior;
        assert!(posterior.is_normalised());
        let (theta, x) = pairs(300, 2);
        let found = posterior.log_prob(&compute, &theta, &x, |r| r).unwrap();
        let exact = |theta: &[f32], x: &[f32]| theta.iter().zip(x).map(|(&t, &x)| log_normal(t, 0.8 * x, 0.2)).sum::<f64>();
        let rows = theta.chunks_exact(D).zip(x.chunks_exact(D));
        let mean = found.iter().zip(rows).map(|(found, (theta, x))| found - exact(theta, x)).sum::<f64>() / 300.0;
        // The mean of ln q − ln p over the model is minus the divergence: small, and negative but for the error of 300 pairs.
        assert!((-0.15..0.05).contains(&mean), "{}: {mean}", schedule.name());
        let draws = posterior.sample(&compute, &[0.6, -0.3], 2000, Seed(1)).unwrap();
        assert_moments(&draws, &[0.6, -0.3], 0.25, schedule.name());
    }
}

/// θ ~ N(0, 1)², x = θ_0 + θ_1 + N(0, 0.5²): given θ_1 = b the posterior of θ_0 is N(0.8 (x − b), 0.2), for a likelihood, a ratio and a density.
#[test]
fn conditional_posteriors_are_those_of_the_joint() {
    let compute = Compute::with_threads(2);
    let mut rng = Seed(11).stream("sums", 0);
    let theta: Vec<f32> = (0..6000 * D).map(|_| rng.normal() as f32).collect();
    let x: Vec<f32> = theta.chunks_exact(D).map(|t| t[0] + t[1] + 0.5 * rng.normal() as f32).collect();
    let source = PairSource::from_arrays(Array::new(vec![6000, D], theta).unwrap(), Array::new(vec![6000, 1], x).unwrap()).unwrap();
    for (engine, network) in [(Engine::Nle, maf()), (Engine::Nre(RatioLoss::DEFAULT), resnet()), (Engine::Npe, maf())] {
        let posterior = train_on(&source, engine, network, 1, &compute).unwrap().posterior;
        let observations = [1.0f32, -0.5];
        let options = ChainOptions::default();
        let found = posterior.sample_conditional(&compute, (&observations, 1), &[(1, 0.7)], 1000, &options, Seed(3)).unwrap();
        assert_eq!((found.theta.len(), found.report[0].r_hat.len()), (2 * 1000 * D, 1));
        for (x, draws) in observations.iter().zip(found.theta.chunks_exact(1000 * D)) {
            assert!(draws.chunks_exact(D).all(|t| t[1] == 0.7));
            let free: Vec<f64> = draws.iter().step_by(D).map(|&t| f64::from(t)).collect();
            let mean = free.iter().sum::<f64>() / 1000.0;
            let sd = (free.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / 1000.0).sqrt();
            let exact = 0.8 * (f64::from(*x) - 0.7);
            // What such a network is off by (see the errors of log-densities above): a fifth of the standard deviation.
            assert!((mean - exact).abs() < 0.12 && (sd - 0.447).abs() < 0.09, "{:?}: {mean} ± {sd}, expected {exact}", posterior.kind());
        }
        let refused = |given: &[(usize, f64)]| {
            posterior.sample_conditional(&compute, (&observations, 1), given, 10, &options, Seed(3)).unwrap_err().to_string()
        };
        assert!(refused(&[]).contains("0 different ones are fixed by 0 conditions"));
        assert!(refused(&[(0, 0.0), (1, 0.0)]).contains("one left"));
        assert!(refused(&[(0, f64::NAN)]).contains("parameter 0 can't be NaN"));
    }
}

/// The maximum of likelihood times prior (and of a density) is the mean 0.8 x of the Gaussian posterior, for one datum and for four with mean x̄:
/// 16 x̄/17.
#[test]
fn maxima_are_those_of_the_posterior() {
    let compute = Compute::with_threads(2);
    for (engine, network) in [(Engine::Nle, maf()), (Engine::Nre(RatioLoss::DEFAULT), resnet()), (Engine::Npe, maf())] {
        let posterior = train(engine, network, 1, &compute).unwrap().posterior;
        let x = [0.6f32, -0.3, -1.0, 0.4];
        let found = posterior.map(&compute, &x, 1, Seed(2)).unwrap();
        for (map, x) in found.iter().zip(x.chunks_exact(D)) {
            let off: Vec<f64> = map.theta.iter().zip(x).map(|(t, x)| t - 0.8 * f64::from(*x)).collect();
            // A third of the posterior's standard deviation 0.447, where the exact log-density is 0.06 below its maximum; without the prior a likelihood
            // would have its maximum at x, 0.2 away from 0.8 x for the last observation.
            assert!(off.iter().all(|o| o.abs() < 0.15), "{:?}: {:?} for {x:?}", posterior.kind(), map.theta);
            let theta: Vec<f32> = map.theta.iter().map(|&t| t as f32).collect();
            let near: Vec<f32> = theta.iter().map(|t| t + 0.05).collect();
            let at = |theta: &[f32]| posterior.log_prob(&compute, theta, x, |_| 0).unwrap()[0];
            assert!((at(&theta) - map.log_prob).abs() < 1e-5 && at(&near) < map.log_prob);
        }
        if posterior.kind() != Kind::Npe {
            let x = [0.9f32, 0.1, 1.1, -0.2, 0.5, 0.3, 0.7, -0.4];
            let means = [0.8, -0.05];
            let map = &posterior.map(&compute, &x, 4, Seed(2)).unwrap()[0];
            let off = map.theta.iter().zip(means).map(|(t, mean)| (t - mean * 16.0 / 17.0).abs());
            // The standard deviation is 0.24 now, and errors of four likelihoods add up.
            assert!(off.fold(0.0, f64::max) < 0.15, "{:?}: {:?}", posterior.kind(), map.theta);
        }
    }
}

/// Five data of one θ through a score model: N(20 x̄/21, 1/21), from a network trained on single data.
#[test]
fn scores_of_several_data_compose() {
    let compute = Compute::with_threads(2);
    let network = |schedule| NetworkSpec::Field {
        schedule,
        network: abduce_diffusion::NetworkSpec::Mlp { layers: 3, hidden: 48, time: TimeEmbedding::default() },
    };
    let x = [1.1f32, -0.6, 0.3, -0.1, 0.8, 0.4, 0.9, -0.7, 0.4, 0.0];
    let means: Vec<f64> = (0..D).map(|j| x.iter().skip(j).step_by(D).map(|&v| f64::from(v)).sum::<f64>() / 5.0).collect();
    let flow = train(Engine::Field, network(NoiseSchedule::flow_matching()), 1, &compute).unwrap().posterior;
    let density = train(Engine::Npe, maf(), 1, &compute).unwrap().posterior;
    for posterior in [&flow, &density] {
        let refused = posterior.sample_composed(&compute, (&x, 5), 10, &abduce_diffusion::Langevin::default(), Seed(5));
        assert!(matches!(refused, Err(PosteriorError::OneDatum { trials: 5 })));
    }
    let posterior = train(Engine::Field, network(NoiseSchedule::vp()), 1, &compute).unwrap().posterior;
    let method = abduce_diffusion::Langevin { levels: 200, ..abduce_diffusion::Langevin::default() };
    let theta = posterior.sample_composed(&compute, (&x, 5), 400, &method, Seed(5)).unwrap();
    for (j, mean_x) in means.iter().enumerate() {
        let own: Vec<f64> = theta.iter().skip(j).step_by(D).map(|&t| f64::from(t)).collect();
        let mean = own.iter().sum::<f64>() / 400.0;
        let sd = (own.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / 400.0).sqrt();
        let (exact, exact_sd) = (mean_x * 20.0 / 21.0, (1.0f64 / 21.0).sqrt());
        // Of five learnt means each is off by a fifth of a standard deviation at most, and they add up.
        assert!((mean - exact).abs() < 0.16 && (0.75..1.4).contains(&(sd / exact_sd)), "{mean} ± {sd}, expected {exact} ± {exact_sd}");
    }
    // However well the networks have learnt: draws follow Π q(θ | x_i)/p(θ)⁴ of these very networks, whose moments a grid gives. The standard errors of
    // 400 draws are 0.011 and 0.008 and the steps' own error is some per cent of the variance; without the prior's factor the mean is 0.1 off.
    let grid: Vec<f32> =
        (0..225).flat_map(|i| [(i % 15, 0.6), (i / 15, -0.2)].map(|(k, centre)| centre + 0.15 * (k as f32 - 7.0))).collect();
    let log_density = posterior.log_prob_of_trials(&compute, &grid, &x).unwrap();
    let top = log_density.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mass: Vec<f64> = log_density.iter().map(|l| (l - top).exp()).collect();
    let total: f64 = mass.iter().sum();
    for j in 0..D {
        let expect =
            |f: &dyn Fn(f64) -> f64| mass.iter().zip(grid.chunks_exact(D)).map(|(m, t)| m * f(f64::from(t[j]))).sum::<f64>() / total;
        let exact = expect(&|t| t);
        let exact_sd = expect(&|t| (t - exact).powi(2)).sqrt();
        let own: Vec<f64> = theta.iter().skip(j).step_by(D).map(|&t| f64::from(t)).collect();
        let mean = own.iter().sum::<f64>() / 400.0;
        let sd = (own.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / 400.0).sqrt();
        assert!(
            (mean - exact).abs() < 0.06 && (0.8..1.25).contains(&(sd / exact_sd)),
            "{mean} ± {sd}, the networks say {exact} ± {exact_sd}"
        );
    }
    // The density of several data is Σ ln q − (n − 1) ln p.
    let at = [0.4f32, -0.1];
    let sum: f64 = x.chunks_exact(D).map(|x| posterior.log_prob(&compute, &at, x, |_| 0).unwrap()[0]).sum();
    let found = posterior.log_prob_of_trials(&compute, &at, &x).unwrap()[0];
    assert!((found - (sum - 4.0 * log_prior(&at))).abs() < 1e-3, "{found}");
}

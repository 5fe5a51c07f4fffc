//! Ordered summaries on a linear Gaussian model, where what k summaries can tell is known.
//!
//! θ ~ N(0, 1)³, x = U diag(√λ) θ + N(0, 1)⁵⁰ with orthonormal columns of U: u_iᵀx tells θ_i alone, θ_i | x ~ N(√λ_i u_iᵀx/(1 + λ_i), 1/(1 + λ_i)), and the
//! best k summaries are the first k of them: I_k = ½ Σ_{i ≤ k} ln(1 + λ_i).

#![allow(clippy::unwrap_used)] // helpers of tests

use abduce_data::{Array, PairSource, ParameterInfo, Scaling, Seed, Split};
use abduce_density::DensitySpec;
use abduce_inference::prior::{Prior, PriorSpec};
use abduce_inference::training::{
    Engine, NetSpec, NetworkSpec, NoCheckpoints, RatioLoss, Silent, Trained, TrainingError, TrainingTask, train_ensemble,
};
use abduce_nn::trainer::{Schedule, TrainConfig};
use abduce_nn::widths::Weights;
use abduce_nn::{ActivationName, Compute, EmbeddingSpec};

const D: usize = 3;
const N: usize = 50;
const LAMBDA: [f64; D] = [100.0, 10.0, 1.0];

/// Orthonormal columns in rows: (3, 50).
fn axes() -> Vec<Vec<f64>> {
    let mut rng = Seed(9).stream("axes", 0);
    let mut axes: Vec<Vec<f64>> = Vec::new();
    for _ in 0..D {
        let mut v: Vec<f64> = (0..N).map(|_| rng.normal()).collect();
        for u in &axes {
            let dot: f64 = v.iter().zip(u).map(|(a, b)| a * b).sum();
            v.iter_mut().zip(u).for_each(|(a, b)| *a -= dot * b);
        }
        let norm = v.iter().map(|a| a * a).sum::<f64>().sqrt();
        axes.push(v.iter().map(|a| a / norm).collect());
    }
    axes
}

/// Pairs; with `first`, a value u₁ᵀx before the others.
fn pairs(n: usize, seed: u64, first: usize) -> (Vec<f32>, Vec<f32>) {
    let (axes, mut rng) = (axes(), Seed(seed).stream("pairs", 0));
    let (mut theta, mut x) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let t: Vec<f64> = (0..D).map(|_| rng.normal()).collect();
        let row: Vec<f64> = (0..N).map(|j| (0..D).map(|i| axes[i][j] * LAMBDA[i].sqrt() * t[i]).sum::<f64>() + rng.normal()).collect();
        x.extend((0..first).map(|i| axes[i].iter().zip(&row).map(|(u, x)| u * x).sum::<f64>() as f32));
        x.extend(row.iter().map(|&v| v as f32));
        theta.extend(t.iter().map(|&t| t as f32));
    }
    (theta, x)
}

fn log_normal(x: f64, mean: f64, variance: f64) -> f64 {
    -0.5 * ((x - mean).powi(2) / variance + (2.0 * std::f64::consts::PI * variance).ln())
}

/// ln p(θ | u₁ᵀx .. u_kᵀx).
fn exact(theta: &[f32], x: &[f32], k: usize) -> f64 {
    let axes = axes();
    (0..D)
        .map(|i| {
            let along: f64 = axes[i].iter().zip(x).map(|(u, &x)| u * f64::from(x)).sum();
            let (mean, variance) = if i < k { (LAMBDA[i].sqrt() * along / (1.0 + LAMBDA[i]), 1.0 / (1.0 + LAMBDA[i])) } else { (0.0, 1.0) };
            log_normal(f64::from(theta[i]), mean, variance)
        })
        .sum()
}

fn train(engine: Engine, fixed: usize, latents: usize, rows: usize) -> Result<Trained, TrainingError> {
    let (theta, x) = pairs(rows, 1, fixed);
    let source = PairSource::from_arrays(Array::new(vec![rows, D], theta).unwrap(), Array::new(vec![rows, N + fixed], x).unwrap()).unwrap();
    let split = Split::by_fraction(source.kept(), 0.1, Seed(1)).unwrap();
    let prior = serde_json::json!({"normal": {"loc": [0.0, 0.0, 0.0], "scale": [1.0, 1.0, 1.0]}});
    let network = Box::new(EmbeddingSpec::Fcn { hidden: vec![latents], activation: ActivationName::SiLU });
    let net = NetSpec {
        // One component is exact: at any width the posterior is a Gaussian with a linear mean.
        network: NetworkSpec::Density(DensitySpec::Mdn { hidden: vec![32], components: 1 }),
        embedding: EmbeddingSpec::Iob { network, fixed, weights: Weights::Linear },
        signature: String::new(),
    };
    let task = TrainingTask {
        engine,
        name: "",
        prior: &Prior::new(serde_json::from_value::<PriorSpec>(prior).unwrap()).unwrap(),
        proposal: None,
        parameters: &ParameterInfo::numbered(D),
        source: &source,
        split: &split,
        nets: &[net],
        train: TrainConfig {
            batch_size: 200,
            learning_rate: 5e-3,
            schedule: Schedule::Cosine { epochs: 200 },
            stop_after_epochs: 200,
            ..TrainConfig::default()
        },
        x_scaling: Scaling::Independent,
        buffer_bytes: 1 << 20,
        start: None,
        seed: Seed(5),
    };
    train_ensemble(&task, &Compute::with_threads(2), &NoCheckpoints, &Silent)
}

/// The bar of 0.05 nat: some thousand weights on 18 000 pairs cost about 1000/(2 · 18 000) = 0.03 nat; the mean over 3 000 pairs of the difference to
/// the exact density at the same pairs has a standard error below 0.01.
#[test]
fn one_training_gives_the_exact_information_curve() {
    let trained = train(Engine::Npe, 0, 6, 20_000).unwrap();
    let compute = Compute::with_threads(2);
    let (theta, x) = pairs(3000, 2, 0);
    for k in 0..=6 {
        let found = trained.posterior.at_width(k).unwrap().log_prob(&compute, &theta, &x, |r| r).unwrap();
        let rows = theta.chunks_exact(D).zip(x.chunks_exact(N));
        let difference = found.iter().zip(rows).map(|(found, (theta, x))| found - exact(theta, x, k)).sum::<f64>() / 3000.0;
        assert!(difference.abs() < 0.05, "width {k}: {difference} nat from the exact curve");
    }
    assert!(trained.posterior.at_width(7).is_none());
    let curve = trained.information.unwrap();
    assert_eq!((curve.matter, curve.matter_interval), (3, [3, 3]), "{curve:?}");
    let mut want = 0.0;
    for (k, lambda) in LAMBDA.iter().enumerate() {
        want += 0.5 * (1.0 + lambda).ln();
        // 2 000 validation pairs: four standard errors and the bar.
        let allowed = 0.05 + 4.0 * curve.standard_errors[k + 1];
        assert!((curve.nats[k + 1] - want).abs() < allowed, "{} instead of {want}", curve.nats[k + 1]);
    }
}

/// With the best summary fixed, the ordered ones add the other two: the curve begins at I₁.
#[test]
fn fixed_summaries_stand_before_the_ordered_ones() {
    let trained = train(Engine::Npe, 1, 4, 10_000).unwrap();
    let curve = trained.information.unwrap();
    let first = 0.5 * (1.0 + LAMBDA[0]).ln();
    assert!((curve.nats[0] - first).abs() < 0.07 + 4.0 * curve.standard_errors[0], "{} instead of {first}", curve.nats[0]);
    assert_eq!(curve.matter, 2, "{curve:?}");
}

#[test]
fn what_can_not_be_ordered_is_refused() {
    assert!(matches!(train(Engine::Nle, 0, 4, 200), Err(TrainingError::OrderedEngine { net: 0 })));
    // A ratio wants a classifier in the first place.
    assert!(train(Engine::Nre(RatioLoss::DEFAULT), 0, 4, 200).is_err());
}

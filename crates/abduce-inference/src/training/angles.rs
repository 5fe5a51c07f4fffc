//! Posteriors of angles, end to end, against von Mises distributions.

use super::{Engine, NetSpec, NetworkSpec, NoCheckpoints, Silent, TrainingError, TrainingTask, train_ensemble};
use crate::prior::{Bounds, Prior, PriorSpec};
use abduce_data::{Array, PairSource, ParameterInfo, Scaling, Seed, Split};
use abduce_density::DensitySpec;
use abduce_nn::trainer::TrainConfig;
use abduce_nn::{Compute, EmbeddingSpec};

const SPREAD: f64 = 0.4;

/// θ in degrees, uniform; x = (cos θ, sin θ) + normal noise of width `SPREAD`.
fn table(rows: usize, seed: u64) -> (Vec<f32>, Vec<f32>) {
    let mut rng = Seed(seed).stream("angles", 0);
    let (mut theta, mut x) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let degrees = 360.0 * rng.uniform();
        theta.push(degrees as f32);
        let (sin, cos) = degrees.to_radians().sin_cos();
        x.extend([cos, sin].map(|c| (c + SPREAD * rng.normal()) as f32));
    }
    (theta, x)
}

fn prior() -> Prior {
    Prior::new(PriorSpec::Uniform(Bounds { low: 0.0.into(), high: 360.0.into() })).unwrap()
}

fn ncsf() -> DensitySpec {
    DensitySpec::Ncsf { transforms: 2, hidden: vec![24, 24], bins: 8 }
}

fn fit(prior: &Prior, densities: &[DensitySpec], rows: usize) -> Result<super::Trained, TrainingError> {
    let (theta, x) = table(rows, 1);
    let source = PairSource::from_arrays(Array::new(vec![rows, 1], theta).unwrap(), Array::new(vec![rows, 2], x).unwrap()).unwrap();
    let split = Split::by_fraction(source.kept(), 0.1, Seed(1)).unwrap();
    let net = |density: &DensitySpec| NetSpec {
        network: NetworkSpec::Density(density.clone()),
        embedding: EmbeddingSpec::Identity,
        signature: String::new(),
    };
    let task = TrainingTask {
        engine: Engine::Npe,
        start: None,
        name: "",
        prior,
        proposal: None,
        parameters: &[ParameterInfo::named("phase")],
        source: &source,
        split: &split,
        nets: &densities.iter().map(net).collect::<Vec<_>>(),
        train: TrainConfig { learning_rate: 3e-3, max_epochs: Some(25), ..TrainConfig::default() },
        x_scaling: Scaling::Independent,
        buffer_bytes: abduce_data::batches::BUFFER_BYTES,
        seed: Seed(1),
    };
    train_ensemble(&task, &Compute::with_threads(1), &NoCheckpoints, &Silent)
}

/// ln p(θ | x) per degree: von Mises with concentration |x|/σ² about the direction of x.
fn exact(theta: f64, x: &[f32]) -> f64 {
    let log_weight = |degrees: f64| {
        let (sin, cos) = degrees.to_radians().sin_cos();
        (f64::from(x[0]) * cos + f64::from(x[1]) * sin) / (SPREAD * SPREAD)
    };
    // A smooth periodic integrand: the sum over 360 points is exact to rounding.
    let total: f64 = (0..360).map(|i| log_weight(f64::from(i)).exp()).sum();
    log_weight(theta) - total.ln()
}

#[test]
fn posteriors_of_angles_are_normalised_round_the_circle_and_near_the_exact_ones() {
    let trained = fit(&prior(), &[ncsf()], 3000).unwrap();
    let (compute, posterior) = (Compute::with_threads(1), &trained.posterior);
    let (theta, x) = table(400, 2);
    let log_q = posterior.log_prob(&compute, &theta, &x, |row| row).unwrap();
    let lost = (0..theta.len()).map(|row| exact(f64::from(theta[row]), &x[2 * row..2 * row + 2]) - log_q[row]).sum::<f64>() / 400.0;
    // 3000 pairs fix the few parameters that matter to some 0.02 nats; a density that leaks over a seam or loses the period loses 0.3 and more.
    assert!((-0.02..0.1).contains(&lost), "{lost:.3} nats below the exact posterior");

    for x in [[1.0f32, 0.05], [1.0, -0.05], [-0.9, 0.3], [0.1, 0.1]] {
        let grid: Vec<f32> = (0..3600).map(|i| (i as f32 + 0.5) / 10.0).collect();
        let mass: f64 = posterior.log_prob(&compute, &grid, &x, |_| 0).unwrap().iter().map(|l| l.exp() / 10.0).sum();
        assert!((mass - 1.0).abs() < 2e-3, "{x:?}: ∫q = {mass}");
        let seam = posterior.log_prob(&compute, &[0.01, 359.99], &x, |_| 0).unwrap();
        // 0.02 degrees apart on the circle; slopes are some 0.1 per degree.
        assert!((seam[0] - seam[1]).abs() < 0.02, "{x:?}: {seam:?} on both sides of the seam");
        let draws = posterior.sample(&compute, &x, 4000, Seed(3)).unwrap();
        assert!(draws.iter().all(|t| (0.0..=360.0).contains(t)));
        // x in the seam's direction: draws on both sides of it.
        let above = draws.iter().filter(|&&t| t < 180.0).count();
        assert!(x[0] < 0.5 || (1000..3000).contains(&above), "{x:?}: {above} of 4000 draws in the upper half");
    }
}

#[test]
fn what_is_no_angle_is_refused() {
    let unbounded = Prior::new(serde_json::from_value(serde_json::json!({"normal": {"loc": 180.0, "scale": 100.0}})).unwrap()).unwrap();
    assert!(matches!(fit(&unbounded, &[ncsf()], 50), Err(TrainingError::NotPeriodic(name)) if name == "phase"));
    let maf = DensitySpec::Maf { transforms: 1, hidden: vec![4] };
    assert!(matches!(fit(&prior(), &[ncsf(), maf], 50), Err(TrainingError::MixedSpaces)));
}

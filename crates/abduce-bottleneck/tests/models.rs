//! Trained bottlenecks against what is known exactly, cut models, and files.

#![allow(clippy::unwrap_used)] // helpers of tests

use abduce_bottleneck::baseline::{Grown, PrincipalAxes, separate};
use abduce_bottleneck::{Bottleneck, BottleneckError, Compressor, Fit, Head, ModelSpec, Net, Plan, Rows, Schedule, Summary, Weights, fit};
use abduce_data::{Array, ModelFile, Scaling, Seed};
use abduce_nn::trainer::TrainConfig;
use abduce_nn::{Compute, trainer};
use std::ops::ControlFlow;

fn plan(epochs: usize, batch_size: usize, learning_rate: f32) -> Plan {
    let schedule = trainer::Schedule::Cosine { epochs };
    let train = TrainConfig { batch_size, learning_rate, schedule, stop_after_epochs: epochs, ..TrainConfig::default() };
    Plan { train, ..Plan::default() }
}

fn train(model: &Bottleneck, plan: &Plan, rows: Rows<'_>, n: usize, threads: usize) -> Fit {
    let all: Vec<usize> = (0..n).collect();
    let (validation, training) = all.split_at(n / 10);
    fit(model, &Compute::with_threads(threads), plan, rows, (training, validation), |_| ControlFlow::Continue(())).unwrap()
}

fn means(losses: &[f32], widths: usize) -> Vec<f64> {
    let n = (losses.len() / widths) as f64;
    (0..widths).map(|k| losses.iter().skip(k).step_by(widths).map(|&l| f64::from(l)).sum::<f64>() / n).collect()
}

/// Normal rows with variances 0.85^i along random orthonormal axes of R²⁰.
fn gaussian(n: usize) -> Vec<f32> {
    const D: usize = 20;
    let mut rng = Seed(4).stream("gaussian", 0);
    let mut axes: Vec<Vec<f64>> = Vec::new();
    for _ in 0..D {
        let mut v: Vec<f64> = (0..D).map(|_| rng.normal()).collect();
        for u in &axes {
            let dot: f64 = v.iter().zip(u).map(|(a, b)| a * b).sum();
            v.iter_mut().zip(u).for_each(|(a, b)| *a -= dot * b);
        }
        let norm = v.iter().map(|a| a * a).sum::<f64>().sqrt();
        axes.push(v.iter().map(|a| a / norm).collect());
    }
    let mut rows = Vec::with_capacity(n * D);
    for _ in 0..n {
        let z: Vec<f64> = (0..D).map(|i| 0.85f64.powi(i as i32).sqrt() * rng.normal()).collect();
        rows.extend((0..D).map(|j| (0..D).map(|i| axes[i][j] * z[i]).sum::<f64>() as f32));
    }
    rows
}

/// Largest angle in degrees between the span of the first k columns of `decoder` (20, K) and of the first k rows of `axes` (20, 20): its sine is the
/// largest part of a unit vector of the one span that lies outside the other; with an orthonormal basis of the first, ‖(1 − P) q‖ of each basis
/// vector, added in quadrature, bounds it from above.
fn angle(decoder: &[f32], latents: usize, axes: &[f64], k: usize) -> f64 {
    const D: usize = 20;
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let mut outside = 0.0;
    for j in 0..k {
        let mut v: Vec<f64> = (0..D).map(|i| f64::from(decoder[i * latents + j])).collect();
        for u in &basis {
            let dot: f64 = v.iter().zip(u).map(|(a, b)| a * b).sum();
            v.iter_mut().zip(u).for_each(|(a, b)| *a -= dot * b);
        }
        let norm = v.iter().map(|a| a * a).sum::<f64>().sqrt();
        v.iter_mut().for_each(|a| *a /= norm);
        let inside: f64 = axes.chunks_exact(D).take(k).map(|axis| axis.iter().zip(&v).map(|(a, b)| a * b).sum::<f64>().powi(2)).sum();
        outside += (1.0 - inside).max(0.0);
        basis.push(v);
    }
    outside.sqrt().asin().to_degrees()
}

/// The bar of the method: a linear bottleneck is principal component analysis, at every width at once.
#[test]
fn a_linear_bottleneck_is_principal_component_analysis() {
    let (n, latents) = (4000, 20);
    let x = gaussian(n);
    let rows = Rows { x: &x, y: None };
    let compute = Compute::with_threads(2);
    // Both on the rows that they were fitted to.
    let training = &x[n / 10 * 20..];
    let axes = PrincipalAxes::fit(compute.simd, training, 20).unwrap();
    let widths: Vec<usize> = (0..=latents).collect();
    let best = axes.losses(training, &widths);
    let best: Vec<f64> = (0..=latents).map(|k| best.iter().skip(k).step_by(latents + 1).sum::<f64>() / (n - n / 10) as f64).collect();
    let model = Bottleneck::new(ModelSpec::autoencoder(20, latents, Net::linear(), Net::linear(), Head::Mse)).unwrap();
    for weights in [Weights::Linear, Weights::Geometric { p: 0.2 }] {
        let fitted = train(&model, &Plan { weights: weights.clone(), ..plan(30, 100, 1e-2) }, rows, n, 2);
        let ours = means(&model.losses(&compute, &fitted.params, Rows { x: training, y: None }, &widths), latents + 1);
        for k in 0..latents {
            assert!(ours[k] < 1.01 * best[k] && ours[k] > 0.9999 * best[k], "{weights:?}, width {k}: {} against {}", ours[k], best[k]);
        }
        // Nothing is lost at full width: PCA's error is rounding there.
        assert!(ours[latents] < 1e-6 * best[0], "{} of {}", ours[latents], best[0]);
        let open = model.layout().parameters().iter().find(|p| p.name == "decoder.open.weight").unwrap().range.clone();
        for k in 1..=latents {
            let degrees = angle(&fitted.params[open.clone()], latents, axes.axes(), k);
            assert!(degrees < 2.0, "{weights:?}, width {k}: {degrees}°");
        }
    }
}

/// Rows in a plane of R⁵ with one constant column, K larger than what they need: nothing blows up, two latents say all, and a latent that no width with weight
/// opens keeps its start.
#[test]
fn flat_data_and_widths_without_weight_are_no_trouble_to_linear_codes() {
    let n = 400;
    let mut rng = Seed(5).stream("plane", 0);
    let x: Vec<f32> = (0..n)
        .flat_map(|_| {
            let (a, b) = (2.0 * rng.normal() as f32, rng.normal() as f32);
            [a, b, a + b, a - b, 3.0]
        })
        .collect();
    let model = Bottleneck::new(ModelSpec::autoencoder(5, 4, Net::linear(), Net::linear(), Head::Mse)).unwrap();
    let weights = Weights::Custom { rho: vec![1.0, 1.0, 1.0, 1.0, 0.0] };
    let plan = Plan { weights, ..plan(10, 50, 1e-2) };
    let fitted = train(&model, &plan, Rows { x: &x, y: None }, n, 1);
    let losses = means(&model.losses(&Compute::with_threads(1), &fitted.params, Rows { x: &x, y: None }, &[0, 1, 2, 3]), 4);
    assert!(losses[2] < 1e-8 * losses[0] && losses[3] < 1e-8 * losses[0] && losses[1] < losses[0], "{losses:?}");
    let encoder = model.layout().parameters().iter().find(|p| p.name == "encoder.code.weight").unwrap().range.clone();
    let last = encoder.end - 5..encoder.end;
    assert_eq!(fitted.params[last.clone()], model.layout().initialise(plan.seed)[last]);
}

/// y = x₁ + N(0, 0.3²) with a Gaussian head: −log q is the entropy ½ ln(2πe σ²) with σ² = 1.09 without the code and 0.09 with one latent. The same numbers
/// of a flow head. 6 000 rows and some hundred weights: 0.05 nat.
#[test]
fn likelihood_heads_reach_the_entropy_at_every_width() {
    let n = 6000;
    let mut rng = Seed(1).stream("regression", 0);
    let x: Vec<f32> = (0..2 * n).map(|_| rng.normal() as f32).collect();
    let y: Vec<f32> = x.chunks_exact(2).map(|x| x[0] + 0.3 * rng.normal() as f32).collect();
    let flow = Head::Flow { density: abduce_density::DensitySpec::Maf { transforms: 1, hidden: vec![16] } };
    for head in [Head::Gaussian, flow] {
        let model = Bottleneck::new(ModelSpec::supervised(2, 1, 2, Net::linear(), Net::mlp(vec![16]), head.clone())).unwrap();
        let rows = Rows { x: &x, y: Some(&y) };
        let schedule = if matches!(head, Head::Gaussian) { Schedule::Sum } else { Schedule::Stratified };
        let fitted = train(&model, &Plan { schedule, ..plan(25, 100, 1e-2) }, rows, n, 1);
        let losses = means(&model.losses(&Compute::with_threads(1), &fitted.params, rows, &[0, 1, 2]), 3);
        let entropy = |variance: f64| 0.5 * (std::f64::consts::TAU * std::f64::consts::E * variance).ln();
        for (loss, want) in losses.iter().zip([entropy(1.09), entropy(0.09), entropy(0.09)]) {
            assert!((loss - want).abs() < 0.05, "{}: {losses:?}, want {want}", head.name());
        }
    }
}

/// A parabola in the plane is one-dimensional. One latent of an ordered code follows it far better than the principal axis; networks trained for that width alone
/// leave nothing. The distance between the two is the price of the order, which widths below the intrinsic dimension and short trainings pay.
#[test]
fn one_latent_follows_a_curve() {
    let n = 2000;
    let mut rng = Seed(2).stream("parabola", 0);
    let x: Vec<f32> = (0..n)
        .flat_map(|_| {
            let t = 2.0 * rng.uniform() - 1.0;
            [t as f32, (1.5 * t * t) as f32]
        })
        .collect();
    let spec = ModelSpec::autoencoder(2, 2, Net::mlp(vec![32, 32]), Net::mlp(vec![32, 32]), Head::Mse);
    let (rows, compute) = (Rows { x: &x, y: None }, Compute::with_threads(2));
    let model = Bottleneck::new(spec.clone()).unwrap();
    let fitted = train(&model, &plan(40, 50, 3e-3), rows, n, 2);
    let ours = means(&model.losses(&compute, &fitted.params, rows, &[1]), 1)[0];
    let axes = PrincipalAxes::fit(compute.simd, &x, 2).unwrap();
    let pca = axes.losses(&x, &[1]).iter().sum::<f64>() / n as f64;
    let all: Vec<usize> = (0..n).collect();
    let (single, fitted) = separate(&spec, 1, &compute, &plan(40, 50, 3e-3), rows, (&all[200..], &all[..200])).unwrap();
    let alone = means(&single.losses(&compute, &fitted.params, rows, &[1]), 1)[0];
    assert!(ours < 0.25 * pca && alone < 0.002 * pca, "{ours}, {alone} against {pca}");
    // The code and its way back of principal axes.
    let back = axes.decode(&axes.encode(&x, 1), 1);
    let error = x.iter().zip(&back).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / (2 * n) as f64;
    assert!((error - pca).abs() < 1e-6 * pca);
}

/// Linear networks grown latent by latent find the principal axes too, and their latents are uncorrelated: greedily, each takes most of what is left.
#[test]
fn grown_linear_latents_are_principal() {
    let n = 2000;
    let x = gaussian(n);
    let spec = ModelSpec::autoencoder(20, 3, Net::linear(), Net::linear(), Head::Mse);
    let (rows, compute) = (Rows { x: &x, y: None }, Compute::with_threads(2));
    let all: Vec<usize> = (0..n).collect();
    let grown = Grown::fit(&spec, 1.0, &compute, &plan(60, 50, 1e-2), rows, (&all[200..], &all[..200])).unwrap();
    let ours = means(&grown.losses(&compute, rows), 3);
    let axes = PrincipalAxes::fit(compute.simd, &x, 20).unwrap();
    let best = axes.losses(&x, &[1, 2, 3]);
    for k in 0..3 {
        let best = best.iter().skip(k).step_by(3).sum::<f64>() / n as f64;
        assert!(ours[k] < 1.03 * best && ours[k] > 0.999 * best, "{} latents: {} against {best}", k + 1, ours[k]);
    }
    let codes = grown.encode(&compute, &x);
    let column = |j: usize| codes.iter().skip(j).step_by(3).map(|&v| f64::from(v)).collect::<Vec<_>>();
    let correlation = |a: &[f64], b: &[f64]| {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let centred = |a: &[f64]| {
            let mean = a.iter().sum::<f64>() / a.len() as f64;
            a.iter().map(|v| v - mean).collect::<Vec<_>>()
        };
        let (a, b) = (centred(a), centred(b));
        dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
    };
    // Chance correlations of 64 rows are 0.125; those of 2 000 rows are what is left.
    assert!(correlation(&column(0), &column(1)).abs() < 0.15 && correlation(&column(1), &column(2)).abs() < 0.15);
    let refused = Grown::fit(&ModelSpec { head: Head::Gaussian, ..spec }, 1.0, &compute, &plan(1, 50, 1e-2), rows, (&all, &all));
    assert!(matches!(refused, Err(BottleneckError::Unavailable { .. })));
}

fn compressor() -> (Compressor, Array) {
    let n = 300;
    let mut rng = Seed(3).stream("rows", 0);
    let data: Vec<f32> = (0..n)
        .flat_map(|_| {
            let t = rng.normal() as f32;
            [10.0 + t, 2.0 * t, t * t, rng.normal() as f32, 7.0, t.sin()]
        })
        .collect();
    let x = Array::new(vec![n, 2, 3], data).unwrap();
    let spec = ModelSpec::autoencoder(6, 4, Net::mlp(vec![8]), Net::mlp(vec![8, 9]), Head::Gaussian);
    let rows = || x.data().chunks_exact(6);
    let (x_scale, y_scale) = Compressor::scales(&spec, Scaling::Independent, rows(), rows()).unwrap();
    let mut scaled = x.data().to_vec();
    x_scale.forward(&mut scaled).unwrap();
    let model = Bottleneck::new(spec).unwrap();
    let fitted = train(&model, &plan(3, 50, 1e-2), Rows { x: &scaled, y: None }, n, 1);
    let summary = Summary {
        weights: Weights::Linear,
        schedule: Schedule::Sum,
        seed: 0,
        training_rows: 270,
        test_rows: 30,
        held_out: vec![1.0, 0.5, 0.4, 0.3, 0.2],
        mean_loss: None,
    };
    let params = fitted.params;
    let (shape, target_shape, columns) = (vec![2, 3], vec![2, 3], Vec::new());
    (Compressor { model, params, x_scale, y_scale, shape, target_shape, columns, summary }, x)
}

#[test]
fn one_file_serves_every_width_and_can_be_cut() {
    let (whole, x) = compressor();
    let compute = Compute::with_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    whole.save(&path).unwrap();
    let loaded = Compressor::load(&path).unwrap();
    assert_eq!((&loaded.params, &loaded.summary, loaded.model.spec()), (&whole.params, &whole.summary, whole.model.spec()));
    let codes = whole.encode(&compute, &x, 4).unwrap();
    assert_eq!(loaded.encode(&compute, &x, 4).unwrap(), codes);
    for width in 1..=4 {
        let cut = whole.truncate(width).unwrap();
        cut.save(&path).unwrap();
        let cut = Compressor::load(&path).unwrap();
        assert_eq!((cut.latents(), cut.summary.held_out.len()), (width, width + 1));
        let short = cut.encode(&compute, &x, width).unwrap();
        assert_eq!(short, whole.encode(&compute, &x, width).unwrap());
        for open in 0..=width {
            let (ours, theirs) = (cut.decode(&compute, &short, open).unwrap(), whole.decode(&compute, &codes, open).unwrap());
            assert_eq!(ours.shape(), [300, 2, 3]);
            // Sums of fewer zeros: rounding of the units of the data.
            assert!(ours.data().iter().zip(theirs.data()).all(|(a, b)| (a - b).abs() < 1e-4), "width {width}, open {open}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (whole, x) = compressor();
    let compute = Compute::with_threads(1);
    assert!(matches!(whole.encode(&compute, &x, 5), Err(BottleneckError::Size { value: 5, .. })));
    assert!(matches!(whole.truncate(0), Err(BottleneckError::Size { .. })));
    let narrow = Array::new(vec![2, 5], vec![0.0; 10]).unwrap();
    assert!(matches!(whole.encode(&compute, &narrow, 1), Err(BottleneckError::Width { found: 5, expected: 6, .. })));
    assert!(matches!(whole.decode(&compute, &narrow, 2), Err(BottleneckError::Width { .. })));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    ModelFile { metadata: serde_json::json!({"kind": "posterior"}), tensors: Vec::new() }.save(&path).unwrap();
    assert!(matches!(Compressor::load(&path), Err(BottleneckError::File { .. })));

    let model = |head| Bottleneck::new(ModelSpec::supervised(2, 1, 2, Net::linear(), Net::linear(), head)).unwrap();
    let all = [0, 1, 2];
    let tried = |head, y: &[f32]| {
        let rows = Rows { x: &[0.0; 6], y: Some(y) };
        fit(&model(head), &Compute::with_threads(1), &Plan::default(), rows, (&all, &all), |_| ControlFlow::Continue(())).unwrap_err()
    };
    assert!(matches!(tried(Head::Bce, &[0.0, 1.5, 0.0]), BottleneckError::Target { row: 1, .. }));
    assert!(matches!(tried(Head::CrossEntropy { classes: 2 }, &[0.0, 1.0, 2.0]), BottleneckError::Target { row: 2, .. }));
    assert!(matches!(tried(Head::Mse, &[0.0, f32::NAN, 2.0]), BottleneckError::Target { row: 1, .. }));
    assert!(matches!(tried(Head::Mse, &[0.0, 2.0]), BottleneckError::Rows { x: 3, y: 2 }));
    assert!(Bottleneck::new(ModelSpec::autoencoder(3, 0, Net::linear(), Net::linear(), Head::Mse)).is_err());
}

/// Same bytes for any number of threads, for the sum and for drawn widths.
#[test]
fn threads_leave_the_bytes_alone() {
    let x = gaussian(500);
    let model = Bottleneck::new(ModelSpec::autoencoder(20, 5, Net::mlp(vec![9]), Net::mlp(vec![9]), Head::Mse)).unwrap();
    for schedule in [Schedule::Sum, Schedule::PerSample, Schedule::Stratified, Schedule::UnitSweep { tolerance: 0.2 }] {
        let plan = Plan { schedule, ..plan(12, 150, 1e-2) };
        let [one, three] = [1, 3].map(|threads| train(&model, &plan, Rows { x: &x, y: None }, 500, threads));
        assert_eq!((one.params, one.progress), (three.params, three.progress), "{schedule:?}");
        // NaN, where no held-out row had a width, is not equal to itself.
        assert_eq!(format!("{:?}", one.held_out), format!("{:?}", three.held_out));
    }
}

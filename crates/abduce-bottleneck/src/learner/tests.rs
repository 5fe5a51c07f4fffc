//! The step against numbers computed by torch in f64, and the identities between schedules.

use super::*;
use crate::{Head, ModelSpec, Net, Weights};
use abduce_data::npz::Npz;
use abduce_nn::ActivationName;
use abduce_nn::adam::{Adam, AdamConfig};
use std::path::PathBuf;

const ROWS: usize = 6;
const FEATURES: usize = 5;
const LATENTS: usize = 4;
/// Ours against the names in the file.
const NAMES: [(&str, &str); 4] = [("encoder.0", "enc0"), ("encoder.code", "enc2"), ("decoder.open", "dec0"), ("decoder.out", "dec2")];

fn golden(name: &str) -> Option<Npz> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden/bottleneck")).join(name);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(Npz::open(&path).expect("a readable archive"))
}

fn read(file: &mut Npz, name: &str) -> Vec<f64> {
    file.read::<f64>(name).expect("an array of the archive").into_data()
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

/// Differences below 1e-5 of the largest element: a few roundings of sums of tens of terms in f32.
fn close(what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let size = want.iter().fold(0.0f64, |a, w| a.max(w.abs())).max(1e-12);
    for (i, (&g, w)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(g) - w).abs() <= tolerance * size, "{what}, element {i}: {g} instead of {w}");
    }
}

fn model(activation: Option<ActivationName>) -> Bottleneck {
    let net = || Net::Dense { hidden: vec![7], activation };
    Bottleneck::new(ModelSpec::autoencoder(FEATURES, LATENTS, net(), net(), Head::Mse)).expect("a valid model")
}

/// The file's arrays with this prefix in the order of the model's flat vector.
fn flat(model: &Bottleneck, file: &mut Npz, prefix: &str) -> Vec<f64> {
    let mut out = vec![0.0; model.layout().len()];
    for p in model.layout().parameters() {
        let (layer, kind) = p.name.rsplit_once('.').expect("a dotted name");
        let theirs = NAMES.iter().find(|(ours, _)| *ours == layer).expect("a layer of the file").1;
        out[p.range.clone()].copy_from_slice(&read(file, &format!("{prefix}{theirs}.{kind}")));
    }
    out
}

fn learner<'a>(model: &'a Bottleneck, weights: &Weights, schedule: Schedule) -> WidthLearner<'a> {
    let rho = weights.rho(LATENTS, 0).expect("valid weights");
    WidthLearner::new(model, &Compute::with_threads(1), rho, schedule, Seed(1))
}

#[test]
fn losses_and_gradients_are_those_of_torch() {
    let cases = [("ae_relu.npz", Some(ActivationName::ReLU)), ("ae_silu.npz", Some(ActivationName::SiLU)), ("ae_linear.npz", None)];
    for (name, activation) in cases {
        let Some(mut file) = golden(name) else { return };
        let model = model(activation);
        let params = single(&flat(&model, &mut file, "param."));
        let x = single(&read(&mut file, "x"));
        let compute = Compute::with_threads(1);

        let codes = model.encode(&compute, &params, &x);
        close("code", &codes, &read(&mut file, "code"), 1e-5);
        let widths = [0, 1, 2, 3, 4];
        let losses = model.losses(&compute, &params, crate::Rows { x: &x, y: None }, &widths);
        close("losses per row and width", &losses, &read(&mut file, "sample_mse"), 1e-5);
        let outputs = read(&mut file, "outputs");
        for k in widths {
            let want: Vec<f64> = (0..ROWS).flat_map(|b| outputs[(b * 5 + k) * FEATURES..][..FEATURES].to_vec()).collect();
            close("reconstruction", &model.decode(&compute, &params, &codes, k).expect("an output"), &want, 1e-5);
        }

        let rows = Rows { inputs: vec![x.clone()], ..Rows::default() };
        for (prefix, weights) in [("uniform", Weights::Linear), ("geometric", Weights::Geometric { p: 0.5 })] {
            let mut learner = learner(&model, &weights, Schedule::Sum);
            let rho = read(&mut file, &format!("{prefix}.rho"));
            assert!(learner.rho.iter().zip(&rho).all(|(a, b)| (a - b).abs() < 1e-14));
            let (loss, _) = learner.step(&params, &rows, ROWS, Seed(0));
            let want = read(&mut file, &format!("{prefix}.loss"))[0];
            assert!((loss - want).abs() < 1e-5 * want, "{name} {prefix}: {loss} instead of {want}");
            close("gradient", learner.gradient(), &flat(&model, &mut file, &format!("{prefix}.grad.")), 1e-5);
        }

        let mut learner = learner(&model, &Weights::Linear, Schedule::PerSample);
        learner.widths = single(&read(&mut file, "per_sample.widths"));
        let (loss, _) = learner.run(&params, &rows, ROWS, Seed(0));
        let want = read(&mut file, "per_sample.loss")[0];
        assert!((loss - want).abs() < 1e-5 * want, "{name} per sample: {loss} instead of {want}");
        close("gradient per sample", learner.gradient(), &flat(&model, &mut file, "per_sample.grad."), 1e-5);
    }
}

#[test]
fn ten_adam_steps_end_where_torch_ends() {
    let Some(mut file) = golden("ae_silu.npz") else { return };
    let model = model(Some(ActivationName::SiLU));
    let mut params = single(&flat(&model, &mut file, "param."));
    let rows = Rows { inputs: vec![single(&read(&mut file, "x"))], ..Rows::default() };
    let mut learner = learner(&model, &Weights::Linear, Schedule::Sum);
    let mut adam = Adam::new(AdamConfig { clip_max_norm: f32::INFINITY, ..AdamConfig::default() }, params.len());
    let want = read(&mut file, "adam.loss");
    for (step, want) in want.iter().enumerate() {
        let (loss, norm) = learner.step(&params, &rows, ROWS, Seed(0));
        // Adam divides small gradients by their own size, which magnifies their rounding.
        assert!((loss - want).abs() < 1e-4 * want, "step {step}: {loss} instead of {want}");
        if step < 10 {
            let compute = &learner.compute;
            adam.step(compute.simd, &compute.threads.clone(), 1e-2, &mut params, learner.spread.gradient(), norm);
        }
    }
    close("end weights", &params, &flat(&model, &mut file, "adam.final."), 1e-4);
}

#[test]
fn the_mask_is_that_of_the_paper() {
    use abduce_nn::layers::{OpenWidths, Told};
    use abduce_nn::{GraphBuilder, Layout};
    let Some(mut file) = golden("layer.npz") else { return };
    let (z, all) = (single(&read(&mut file, "z")), read(&mut file, "forward_all"));
    let (upstream, want) = (single(&read(&mut file, "upstream")), read(&mut file, "grad_z"));
    let mut layout = Layout::new();
    let mut g = GraphBuilder::new(&mut layout);
    let (code, width) = (g.input(LATENTS), g.input(1));
    let open = g.apply(OpenWidths { fixed: 0, told: Told::Nothing }, &[code, width]);
    let graph = std::sync::Arc::new(g.finish(&[open]));
    let mut frame = Frame::new(&graph, Purpose::InputGradient(0), 64);
    let mut total = vec![0.0f32; ROWS * LATENTS];
    for k in 0..=LATENTS {
        frame.begin(ROWS);
        let lanes = frame.lanes();
        frame.fill_input(0, &z);
        frame.input_mut(1).fill(k as f32);
        frame.forward(abduce_kernels::Simd::best(), &[]);
        let slice: Vec<f32> = (0..ROWS).flat_map(|b| upstream[(b * 5 + k) * LATENTS..][..LATENTS].to_vec()).collect();
        for b in 0..ROWS {
            for j in 0..LATENTS {
                assert_eq!(f64::from(frame.output(0)[j * lanes + b]), all[(b * 5 + k) * LATENTS + j]);
            }
        }
        let gradient = frame.output_gradient_mut(0);
        gradient.fill(0.0);
        (0..ROWS * LATENTS).for_each(|at| gradient[at % LATENTS * lanes + at / LATENTS] = slice[at]);
        frame.backward(abduce_kernels::Simd::best(), &[], None);
        let by_z = frame.input_gradient(0).expect("asked for");
        (0..ROWS * LATENTS).for_each(|at| total[at] += by_z[at % LATENTS * lanes + at / LATENTS]);
    }
    close("gradient of the code", &total, &want, 1e-6);
}

/// Rows repeated once per width, each at its own width, give the gradient of the sum: what makes nested and triangular dropout estimates of it.
#[test]
fn one_width_per_row_averages_to_the_sum() {
    let model = model(Some(ActivationName::SiLU));
    let params = model.layout().initialise(Seed(3));
    let mut rng = Seed(4).stream("x", 0);
    let x: Vec<f32> = (0..ROWS * FEATURES).map(|_| rng.normal() as f32).collect();
    let mut sum = learner(&model, &Weights::Linear, Schedule::Sum);
    let (loss, _) = sum.step(&params, &Rows { inputs: vec![x.clone()], ..Rows::default() }, ROWS, Seed(0));
    let repeated: Vec<f32> = x.chunks_exact(FEATURES).flat_map(|row| row.repeat(LATENTS + 1)).collect();
    let mut each = learner(&model, &Weights::Linear, Schedule::PerSample);
    each.widths = (0..ROWS * (LATENTS + 1)).map(|r| (r % (LATENTS + 1)) as f32).collect();
    let (other, _) = each.run(&params, &Rows { inputs: vec![repeated], ..Rows::default() }, ROWS * (LATENTS + 1), Seed(0));
    assert!((loss - other).abs() < 1e-6 * loss, "{loss} against {other}");
    let want: Vec<f64> = sum.gradient().iter().map(|&g| f64::from(g)).collect();
    close("gradient", each.gradient(), &want, 1e-5);
}

/// With one latent's width alone the bottleneck is an ordinary autoencoder of that width: closed latents get no gradient at all.
#[test]
fn closed_latents_are_not_trained() {
    let model = model(Some(ActivationName::SiLU));
    let params = model.layout().initialise(Seed(3));
    let x: Vec<f32> = (0..ROWS * FEATURES).map(|i| (i as f32).sin()).collect();
    let weights = Weights::Custom { rho: vec![0.0, 0.0, 1.0, 0.0, 0.0] };
    let mut learner = learner(&model, &weights, Schedule::Sum);
    learner.step(&params, &Rows { inputs: vec![x], ..Rows::default() }, ROWS, Seed(0));
    let gradient = |name: &str| {
        let p = model.layout().parameters().iter().find(|p| p.name == name).expect("a parameter");
        (learner.gradient()[p.range.clone()].to_vec(), p.shape.clone())
    };
    let (code, shape) = gradient("encoder.code.weight");
    for (j, row) in code.chunks_exact(shape[1]).enumerate() {
        assert_eq!(row.iter().all(|&g| g == 0.0), j >= 2, "latent {j}");
    }
    let (open, shape) = gradient("decoder.open.weight");
    for row in open.chunks_exact(shape[1]) {
        assert!(row[2..].iter().all(|&g| g == 0.0));
    }
}

/// Latents that unit sweeping has frozen stay open, and their own weights stand still.
#[test]
fn frozen_latents_stand_still() {
    let model = model(Some(ActivationName::SiLU));
    let params = model.layout().initialise(Seed(3));
    let x: Vec<f32> = (0..ROWS * FEATURES).map(|i| (i as f32).sin()).collect();
    let mut learner = learner(&model, &Weights::Geometric { p: 0.5 }, Schedule::UnitSweep { tolerance: 0.01 });
    learner.frozen = 2;
    learner.law = WidthLaw::above(&learner.rho, 2);
    learner.step(&params, &Rows { inputs: vec![x], ..Rows::default() }, ROWS, Seed(0));
    assert!(learner.widths.iter().all(|&w| w > 2.0), "{:?}", learner.widths);
    let p = model.layout().parameters().iter().find(|p| p.name == "encoder.code.weight").expect("a parameter");
    for (j, row) in learner.gradient()[p.range.clone()].chunks_exact(p.shape[1]).enumerate() {
        assert!(j == 3 || row.iter().all(|&g| g == 0.0) == (j < 2), "latent {j}");
    }
}

/// The loss is a function of thousands of f32 roundings; along a direction v of unit length its slope by central differences of step 1e-2 agrees with
/// g·v to the third derivative's 1e-4.
#[test]
fn gradients_of_every_head_are_slopes_of_its_loss() {
    use abduce_density::DensitySpec;
    let mut rng = Seed(8).stream("heads", 0);
    let n = 40;
    let x: Vec<f32> = (0..n * FEATURES).map(|_| rng.normal() as f32).collect();
    let reals: Vec<f32> = (0..n * 3).map(|_| rng.normal() as f32).collect();
    let shares: Vec<f32> = (0..n * 3).map(|_| rng.uniform() as f32).collect();
    let classes: Vec<f32> = (0..n).map(|_| rng.below(4) as f32).collect();
    let flow = DensitySpec::Maf { transforms: 2, hidden: vec![8] };
    for (head, targets, y) in [
        (Head::Mse, 3, &reals),
        (Head::Bce, 3, &shares),
        (Head::CrossEntropy { classes: 4 }, 1, &classes),
        (Head::Gaussian, 3, &reals),
        (Head::Flow { density: flow }, 3, &reals),
    ] {
        for schedule in [Schedule::Sum, Schedule::Stratified] {
            let spec = ModelSpec::supervised(FEATURES, targets, LATENTS, Net::mlp(vec![7]), Net::mlp(vec![7]), head.clone());
            let model = Bottleneck::new(spec).expect("a valid model");
            let params: Vec<f32> = model.layout().initialise(Seed(3)).iter().map(|v| 1.5 * v).collect();
            let rows = Rows { inputs: vec![x.clone(), y.clone()], ..Rows::default() };
            let mut learner = learner(&model, &Weights::Linear, schedule);
            learner.draw(n);
            // Weights that a mask holds at zero are no direction to go in.
            let free = |i: usize| model.layout().gradient_mask().map_or(1.0, |mask| mask[i]);
            let direction: Vec<f32> = (0..params.len()).map(|i| free(i) * rng.normal() as f32).collect();
            let length = direction.iter().map(|v| v * v).sum::<f32>().sqrt();
            let mut at = |step: f32| {
                let moved: Vec<f32> = params.iter().zip(&direction).map(|(p, v)| p + step * v / length).collect();
                learner.run(&moved, &rows, n, Seed(0)).0
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            at(0.0);
            let dot: f64 = learner.gradient().iter().zip(&direction).map(|(g, v)| f64::from(g * v / length)).sum();
            assert!((slope - dot).abs() < 2e-3 * (0.1 + slope.abs()), "{} {schedule:?}: {dot} instead of {slope}", head.name());
        }
    }
}

/// The same for convolutions, whose chunks are smaller and whose weights are prepared once per step.
#[test]
fn gradients_of_convolutions_are_slopes_of_the_loss() {
    let net = |channels: Vec<usize>| Net::Conv { shape: vec![2, 4, 8], channels, hidden: vec![6], activation: ActivationName::SiLU };
    let model = Bottleneck::new(ModelSpec::autoencoder(64, 3, net(vec![3, 5]), net(vec![5, 3]), Head::Mse)).expect("a valid model");
    let mut rng = Seed(8).stream("images", 0);
    let (n, params) = (70, model.layout().initialise(Seed(3)));
    let rows = Rows { inputs: vec![(0..n * 64).map(|_| rng.normal() as f32).collect()], ..Rows::default() };
    let rho = Weights::Linear.rho(3, 0).expect("valid weights");
    let mut learner = WidthLearner::new(&model, &Compute::with_threads(1), rho, Schedule::Sum, Seed(1));
    let direction: Vec<f32> = params.iter().map(|_| rng.normal() as f32).collect();
    let length = direction.iter().map(|v| v * v).sum::<f32>().sqrt();
    let mut at = |step: f32| {
        let moved: Vec<f32> = params.iter().zip(&direction).map(|(p, v)| p + step * v / length).collect();
        learner.run(&moved, &rows, n, Seed(0)).0
    };
    let slope = (at(2e-2) - at(-2e-2)) / 4e-2;
    at(0.0);
    let dot: f64 = learner.gradient().iter().zip(&direction).map(|(g, v)| f64::from(g * v / length)).sum();
    assert!((slope - dot).abs() < 2e-3 * (0.1 + slope.abs()), "{dot} instead of {slope}");
    // Sides that can't be halved twice, and images of another size.
    let odd = Net::Conv { shape: vec![1, 6, 6], channels: vec![2, 2], hidden: vec![], activation: ActivationName::SiLU };
    let spec = |net: Net| ModelSpec::autoencoder(36, 2, net.clone(), net, Head::Mse);
    assert!(matches!(Bottleneck::new(spec(odd)), Err(crate::BottleneckError::Halves { side: 6, times: 2 })));
    assert!(matches!(Bottleneck::new(spec(net(vec![2, 2]))), Err(crate::BottleneckError::Shape(_))));
}

/// The efficient Matryoshka classifier: at width m the logits are W[:, :m] z[:m] + b with one W for all widths.
#[test]
fn a_linear_classifier_of_ordered_codes_is_a_matryoshka() {
    let spec = ModelSpec::supervised(FEATURES, 1, LATENTS, Net::mlp(vec![7]), Net::linear(), Head::CrossEntropy { classes: 3 });
    let model = Bottleneck::new(spec).expect("a valid model");
    let params = model.layout().initialise(Seed(2));
    let x: Vec<f32> = (0..ROWS * FEATURES).map(|i| (1.7 * i as f32).sin()).collect();
    let compute = Compute::with_threads(1);
    let codes = model.encode(&compute, &params, &x);
    let find = |name: &str| &params[model.layout().parameters().iter().find(|p| p.name == name).expect("a parameter").range.clone()];
    let (w, b) = (find("decoder.open.weight"), find("decoder.open.bias"));
    for m in 0..=LATENTS {
        let probabilities = model.decode(&compute, &params, &codes, m).expect("an output");
        for (z, p) in codes.chunks_exact(LATENTS).zip(probabilities.chunks_exact(3)) {
            let logits: Vec<f64> =
                (0..3).map(|c| f64::from(b[c]) + (0..m).map(|j| f64::from(w[c * LATENTS + j] * z[j])).sum::<f64>()).collect();
            let sum: f64 = logits.iter().map(|l| l.exp()).sum();
            for (l, p) in logits.iter().zip(p) {
                assert!((l.exp() / sum - f64::from(*p)).abs() < 1e-6, "width {m}");
            }
        }
    }
}

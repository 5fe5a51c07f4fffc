//! Networks and their training graphs against an f64 evaluation of their formulas, gradients by central differences.

use abduce_data::{Rng, Seed};
use abduce_diffusion::schedule::Marginal;
use abduce_diffusion::{
    Architecture, FieldEstimator, Langevin, NetworkSpec, NoiseSchedule, Objective, ReverseSde, Sampler, SolveError, TimeEmbedding,
    Tolerance,
};
use abduce_kernels::Simd;
use abduce_kernels::transpose::features_from_rows;
use abduce_nn::{Compute, EmbeddingSpec, Frame, Layout, Purpose};

const D: usize = 3;
const CONTEXT: usize = 2;
const ROWS: usize = 5;

/// Named parameters in f64.
struct Weights<'a> {
    layout: &'a Layout,
    values: &'a [f64],
}

impl Weights<'_> {
    fn get(&self, name: &str) -> &[f64] {
        let parameter = self.layout.parameters().iter().find(|p| p.name == name).unwrap_or_else(|| panic!("no parameter {name}"));
        &self.values[parameter.range.clone()]
    }

    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let (weight, bias) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
        bias.iter().enumerate().map(|(o, b)| b + weight[o * x.len()..][..x.len()].iter().zip(x).map(|(w, x)| w * x).sum::<f64>()).collect()
    }
}

fn normalise(x: &[f64]) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    x.iter().map(|x| (x - mean) / (variance + 1e-5).sqrt()).collect()
}

/// x Φ(x) with Φ from libm's erf.
fn gelu(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// F(y, label, c) by the formulas of [`NetworkSpec`].
fn reference(spec: &NetworkSpec, w: &Weights<'_>, y: &[f64], label: f64, c: &[f64]) -> Vec<f64> {
    let (NetworkSpec::Mlp { layers, time, .. } | NetworkSpec::AdaMlp { layers, time, .. }) = spec else { panic!("unknown network") };
    let half = time.features / 2;
    let omega = |k: usize| f64::from(time.max_frequency.powf(k as f64 / (half - 1) as f64) as f32);
    let waves: Vec<f64> = (0..half).map(|k| (omega(k) * label).sin()).chain((0..half).map(|k| (omega(k) * label).cos())).collect();
    let add = |h: &[f64], a: &[f64]| h.iter().zip(a).map(|(h, a)| h + a).collect::<Vec<f64>>();
    match spec {
        NetworkSpec::Mlp { .. } => {
            let norm = |name: &str, h: &[f64]| -> Vec<f64> {
                let (gain, shift) = (w.get(&format!("{name}.gain")), w.get(&format!("{name}.shift")));
                normalise(h).iter().zip(gain.iter().zip(shift)).map(|(x, (g, s))| x * g + s).collect()
            };
            let mut h = w.linear("field.initial", &[y, &waves, c].concat());
            for b in 0..layers - 1 {
                let a = gelu(&norm(&format!("field.blocks.{b}.norm"), &h));
                h = add(&h, &w.linear(&format!("field.blocks.{b}.linear"), &a));
            }
            w.linear("field.final", &gelu(&norm("field.norm", &h)))
        }
        _ => {
            let e: Vec<f64> = w.linear("field.condition", &[&waves, c].concat()).iter().map(|x| x * sigmoid(*x)).collect();
            let film = |name: &str, h: &[f64]| -> Vec<f64> {
                let m = w.linear(name, &e);
                normalise(h).iter().enumerate().map(|(k, x)| x * (1.0 + m[k]) + m[h.len() + k]).collect()
            };
            let mut h = w.linear("field.initial", y);
            for b in 0..layers - 1 {
                let a = w.linear(&format!("field.blocks.{b}.linear"), &gelu(&film(&format!("field.blocks.{b}.film"), &h)));
                let gate = w.linear(&format!("field.blocks.{b}.gate"), &e);
                h = h.iter().zip(a.iter().zip(&gate)).map(|(h, (a, g))| h + a * sigmoid(*g)).collect();
            }
            w.linear("field.final", &gelu(&film("field.film", &h)))
        }
    }
}

fn specs() -> [NetworkSpec; 2] {
    let time = TimeEmbedding { features: 4, max_frequency: 10.0 };
    [NetworkSpec::Mlp { layers: 3, hidden: 7, time }, NetworkSpec::AdaMlp { layers: 3, hidden: 7, time }]
}

fn estimator(network: NetworkSpec) -> FieldEstimator {
    let schedule = NoiseSchedule::vp();
    let embedding = EmbeddingSpec::Fcn { hidden: vec![4], activation: abduce_nn::ActivationName::Tanh };
    FieldEstimator::new(Architecture { schedule, network, embedding, features: D, context: CONTEXT }).expect("a valid architecture")
}

fn normals(rng: &mut Rng, n: usize, scale: f64) -> Vec<f32> {
    (0..n).map(|_| (scale * rng.normal()) as f32).collect()
}

/// Minus the loss of all rows by its definition, from tables in the order of the graph's inputs.
fn loss(estimator: &FieldEstimator, params: &[f64], tables: &[Vec<f32>]) -> f64 {
    let spec = &estimator.architecture().network;
    let w = Weights { layout: estimator.layout(), values: params };
    let row = |table: &[f32], r: usize| {
        let width = table.len() / ROWS;
        table[r * width..(r + 1) * width].iter().map(|&v| f64::from(v)).collect::<Vec<_>>()
    };
    (0..ROWS)
        .map(|r| {
            let (y, label, target, coefficients) = (row(&tables[0], r), row(&tables[1], r)[0], row(&tables[2], r), row(&tables[3], r));
            let c = w.linear("embedding.0", &row(&tables[tables.len() - 1], r));
            let f = reference(spec, &w, &y, label, &c);
            let square: f64 = f.iter().zip(&target).map(|(f, t)| (f - t).powi(2)).sum();
            let control: f64 = if tables.len() == 7 {
                let clean = reference(spec, &w, &row(&tables[4], r), label, &c);
                clean.iter().zip(row(&tables[5], r)).map(|(f, k)| f * k).sum()
            } else {
                0.0
            };
            -(coefficients[0] * square + coefficients[1] - control)
        })
        .sum()
}

/// Both networks, with and without control variate, at every SIMD level: value of the loss, and its gradient by every parameter.
#[test]
fn losses_and_gradients_are_those_of_the_formulas() {
    for network in specs() {
        let estimator = estimator(network);
        let mut rng = Seed(11).stream("network", 0);
        // Every parameter away from its start, so that no path is switched off.
        let params = normals(&mut rng, estimator.layout().len(), 0.5);
        let params64: Vec<f64> = params.iter().map(|&p| f64::from(p)).collect();
        for controlled in [None, Some(0.3)] {
            let objective = Objective { control_variate_below: controlled, ..Objective::of(&NoiseSchedule::vp()) };
            let graph = estimator.joint(&objective);
            let widths = graph.input_features();
            assert_eq!(widths.len(), if controlled.is_some() { 7 } else { 5 });
            let tables: Vec<Vec<f32>> = widths.iter().map(|w| normals(&mut rng, ROWS * w, 0.8)).collect();
            let want = loss(&estimator, &params64, &tables);
            let slopes: Vec<f64> = (0..params.len())
                .map(|p| {
                    let at = |delta: f64| {
                        let mut moved = params64.clone();
                        moved[p] += delta;
                        loss(&estimator, &moved, &tables)
                    };
                    (at(1e-5) - at(-1e-5)) / 2e-5
                })
                .collect();
            for simd in Simd::all() {
                let mut frame = Frame::new(graph, Purpose::Train, 16);
                frame.begin(ROWS);
                let lanes = frame.lanes();
                for (i, (table, width)) in tables.iter().zip(&widths).enumerate() {
                    features_from_rows(table, ROWS, *width, frame.input_mut(i), lanes);
                }
                frame.forward(simd, &params);
                let got: f64 = frame.output(0)[..ROWS].iter().map(|&v| f64::from(v)).sum();
                assert!((got - want).abs() < 1e-4 * (1.0 + want.abs()), "{simd}: {got} instead of {want}");
                let seed = frame.output_gradient_mut(0);
                seed.fill(0.0);
                seed[..ROWS].fill(1.0);
                let mut gradient = vec![0.0; params.len()];
                frame.backward(simd, &params, Some(&mut gradient));
                let error: f64 = gradient.iter().zip(&slopes).map(|(g, s)| (f64::from(*g) - s).powi(2)).sum();
                let norm: f64 = slopes.iter().map(|s| s * s).sum();
                // Single precision through a dozen layers.
                assert!(error.sqrt() < 1e-4 * norm.sqrt(), "{simd}: gradient errs by {:.1e} of {:.1e}", error.sqrt(), norm.sqrt());
            }
        }
    }
}

/// The graph of samplers against the same reference, through the score: -(y sin φ - F cos φ)/σ.
#[test]
fn scores_are_those_of_the_network() {
    for network in specs() {
        let estimator = estimator(network);
        let mut rng = Seed(12).stream("network", 1);
        let params = normals(&mut rng, estimator.layout().len(), 0.5);
        let params64: Vec<f64> = params.iter().map(|&p| f64::from(p)).collect();
        let (theta, x) = (normals(&mut rng, 70 * D, 1.0), normals(&mut rng, 3 * CONTEXT, 1.0));
        let t = 0.4;
        let got = estimator.score(&Compute::with_threads(2), &params, &theta, &x, |r| r % 3, t);
        let at = estimator.architecture().schedule.marginal(t);
        let w = Weights { layout: estimator.layout(), values: &params64 };
        for r in 0..70 {
            let y: Vec<f64> = theta[r * D..(r + 1) * D].iter().map(|&v| f64::from(v) / at.total).collect();
            let datum: Vec<f64> = x[r % 3 * CONTEXT..][..CONTEXT].iter().map(|&v| f64::from(v)).collect();
            let f = reference(&estimator.architecture().network, &w, &y, t, &w.linear("embedding.0", &datum));
            for k in 0..D {
                let want = -(y[k] * at.sin - f[k] * at.cos) / at.std;
                assert!((f64::from(got[r * D + k]) - want).abs() < 1e-4 * (1.0 + want.abs()), "{} instead of {want}", got[r * D + k]);
            }
        }
    }
}

/// Weights that are no numbers give errors, from every sampler, never draws.
#[test]
fn unusable_weights_are_reported() {
    let estimator = estimator(specs()[0].clone());
    let params = vec![f32::NAN; estimator.layout().len()];
    let (compute, x) = (Compute::with_threads(1), [0.1, 0.2]);
    let want = |rows: usize| Some(SolveError::Rows { failed: rows, rows, first: 0 });
    for sampler in [Sampler::default(), Sampler::Sde(ReverseSde { steps: 3, ..ReverseSde::default() })] {
        assert_eq!(estimator.sample(&compute, &params, &x, &[7], &sampler, Seed(1)).err(), want(7));
    }
    assert_eq!(estimator.log_prob(&compute, &params, &[0.0; 6], &x, |_| 0, Tolerance::default()).err(), want(2));
    let (prior, method) = (|_: &[f64], _: &Marginal, out: &mut [f64]| out.fill(0.0), Langevin { levels: 2, steps: 1, step_size: 0.3 });
    assert_eq!(estimator.sample_composed(&compute, &params, &x, 4, &prior, &method, Seed(1)).err(), want(4));
    let nothing = estimator.sample_composed(&compute, &params, &[], 4, &prior, &method, Seed(1));
    assert_eq!(nothing.err(), Some(SolveError::NoObservation));
}

#[test]
fn architectures_survive_serialisation_and_bad_ones_are_errors() {
    for network in specs() {
        let architecture = Architecture { network, ..Architecture::score(NoiseSchedule::sub_vp(), 2, 3) };
        let text = serde_json::to_string(&architecture).unwrap();
        assert_eq!(serde_json::from_str::<Architecture>(&text).unwrap(), architecture);
    }
    let error = |architecture: Architecture| FieldEstimator::new(architecture).unwrap_err().to_string();
    let fine = Architecture::flow_matching(2, 3);
    assert_eq!(error(Architecture { features: 0, ..fine.clone() }), "the number of parameters is 0, expected 1 to 4096");
    let odd = TimeEmbedding { features: 7, max_frequency: 10.0 };
    let network = NetworkSpec::Mlp { layers: 2, hidden: 8, time: odd };
    assert_eq!(
        error(Architecture { network, ..fine.clone() }),
        "vector-field network: time features (an even number) is 7, expected 6 to 6"
    );
    let network = NetworkSpec::AdaMlp { layers: 0, hidden: 8, time: TimeEmbedding::default() };
    assert_eq!(error(Architecture { network, ..fine.clone() }), "vector-field network: number of layers is 0, expected 1 to 64");
    let schedule = NoiseSchedule::Ve { sigma_min: -1.0, sigma_max: 10.0 };
    assert!(error(Architecture { schedule, ..fine }).contains("sigma_min is -1"));
}

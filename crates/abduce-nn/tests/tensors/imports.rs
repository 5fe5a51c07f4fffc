//! Weights of torch networks from safetensors files (`benches/peers/sequential_fixture.py`).

use abduce_data::{Array, read_tensors};
use abduce_kernels::Simd;
use abduce_nn::import::{ImportError, Module, Torus, sequential};
use abduce_nn::{ActivationName, Frame, Purpose};
use std::path::Path;

fn file() -> Vec<(String, Array)> {
    read_tensors(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sequential.safetensors")).unwrap()
}

fn activation(name: ActivationName) -> Module {
    Module::Activation { name }
}

fn encoder() -> Vec<Module> {
    vec![
        Module::Conv { stride: 1, padding: 1, periodic: Torus::Yes },
        Module::GroupNorm { groups: 3 },
        activation(ActivationName::SiLU),
        Module::MaxPool { size: 2 },
        Module::Conv { stride: 2, padding: 1, periodic: Torus::No },
        activation(ActivationName::ReLU),
        Module::Flatten,
        Module::Linear,
        Module::LayerNorm,
        activation(ActivationName::GELU),
        Module::Identity,
        Module::Linear,
    ]
}

fn check(prefix: &str, modules: &[Module], in_shape: &[usize]) {
    let tensors = file();
    let tensor = |name: &str| tensors.iter().find(|(n, _)| n == name).unwrap().1.data().to_vec();
    let (x, want) = (tensor(&format!("input {prefix}")), tensor(&format!("output {prefix}")));
    let network = sequential(modules, in_shape, prefix, &tensors).unwrap();
    let rows = x.len() / in_shape.iter().product::<usize>();
    for simd in Simd::all() {
        let mut frame = Frame::new(&network.graph, Purpose::Evaluate, rows);
        frame.begin(rows);
        frame.fill_input(0, &x);
        frame.forward(simd, &network.params);
        let (lanes, out) = (frame.lanes(), want.len() / rows);
        for (i, want) in want.iter().enumerate() {
            let got = frame.output(0)[i % out * lanes + i / out];
            // Half a dozen layers in f32 on either side.
            assert!((got - want).abs() < 1e-5 * (1.0 + want.abs()), "{prefix} {i} at {simd}: {got} instead of {want}");
        }
    }
}

#[test]
fn outputs_are_those_of_torch() {
    check("a.", &encoder(), &[2, 8, 8]);
    let decoder = [
        Module::Linear,
        activation(ActivationName::Tanh),
        Module::Unflatten { shape: vec![3, 4] },
        Module::ConvTranspose { stride: 2, padding: 1, output_padding: 1 },
        Module::AvgPool { size: 3 },
        Module::Conv { stride: 1, padding: 0, periodic: Torus::No },
        Module::GlobalAvgPool,
    ];
    check("b.", &decoder, &[5]);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let tensors = file();
    let error = |modules: &[Module], shape: &[usize]| sequential(modules, shape, "a.", &tensors).unwrap_err();
    let mut short = encoder();
    short.pop();
    assert_eq!(error(&short, &[2, 8, 8]), ImportError::LeftOver(vec!["a.11.weight".into()]));
    let mut flat = encoder();
    flat[6] = Module::Identity;
    assert_eq!(error(&flat, &[2, 8, 8]).to_string(), "module 7 (Linear) takes flattened features; put a `Flatten` before it");
    assert!(matches!(error(&encoder(), &[3, 8, 8]), ImportError::Shape { module: 0, .. }));
    assert!(matches!(error(&encoder(), &[2, 16, 8]), ImportError::Shape { module: 7, .. }));
    let mut more = encoder();
    more.push(Module::Linear);
    assert!(matches!(error(&more, &[2, 8, 8]), ImportError::Missing { module: 12, .. }));
}

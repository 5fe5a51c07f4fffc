//! Losses and gradients of torch for the same weights and data: a masked autoregressive flow, and sbi's neural spline flow from nflows.
//!
//! Fixtures and their formulae: `benches/peers/step_fixture.py --small`. Parameters and gradients are flat, in the order of torch's
//! `named_parameters`; [`Torch`] takes them off one after the other and puts them where ours are.

use abduce_data::npz::Npz;
use abduce_density::{Architecture, DensitySpec, Estimator, SplineSpec};
use abduce_kernels::transpose::features_from_rows;
use abduce_kernels::{Simd, Threads};
use abduce_nn::{EmbeddingSpec, Step};
use std::path::Path;

/// Torch's parameters, their gradients, and how far they have been taken.
struct Torch {
    values: Vec<f32>,
    gradients: Vec<f32>,
    taken: usize,
}

/// Ours: the flat vector, the gradients expected in it, and which elements have been set.
struct Ours {
    estimator: Estimator,
    params: Vec<f32>,
    want: Vec<f32>,
    filled: Vec<bool>,
}

impl Ours {
    fn new(density: DensitySpec, features: usize, context: usize) -> Self {
        let estimator =
            Estimator::new(Architecture { density, embedding: EmbeddingSpec::Identity, features, context }).expect("a valid architecture");
        let n = estimator.layout().len();
        Self { estimator, params: vec![0.0; n], want: vec![0.0; n], filled: vec![false; n] }
    }

    /// Torch's next tensor goes to ours of this name; element (row, column) of torch's to the row and column that `place` gives.
    fn fill(&mut self, torch: &mut Torch, name: &str, place: impl Fn(usize, usize) -> (usize, usize)) {
        let parameter = self.estimator.layout().parameters().iter().find(|p| p.name == name).unwrap_or_else(|| panic!("no `{name}`"));
        let columns = if parameter.shape.len() == 2 { parameter.shape[1] } else { 1 };
        for p in 0..parameter.range.len() {
            let (row, column) = place(p / columns, p % columns);
            let to = parameter.range.start + row * columns + column;
            self.params[to] = torch.values[torch.taken + p];
            self.want[to] = torch.gradients[torch.taken + p];
            assert!(!std::mem::replace(&mut self.filled[to], true), "`{name}` is filled twice");
        }
        torch.taken += parameter.range.len();
    }
}

const SAME: fn(usize, usize) -> (usize, usize) = |row, column| (row, column);

struct Fixture {
    torch: Torch,
    x: Vec<f32>,
    context: Vec<f32>,
    loss: f64,
    log_q: Vec<f64>,
}

fn open(name: &str) -> Fixture {
    let mut npz = Npz::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).expect("a fixture");
    let has_context = npz.names().iter().any(|n| n == "input.context");
    let mut f32s = |name: &str| npz.read::<f32>(name).expect("an array").into_data();
    let torch = Torch { values: f32s("param"), gradients: f32s("grad64"), taken: 0 };
    let (x, context) = (f32s("input.x"), if has_context { f32s("input.context") } else { Vec::new() });
    let mut f64s = |name: &str| npz.read::<f64>(name).expect("an array").into_data();
    Fixture { torch, x, context, loss: f64s("loss64")[0], log_q: f64s("logq64") }
}

/// Loss to 1e-5, each log q to 1e-5 relative, each gradient tensor to ‖Δg‖/‖g‖ ≤ 1e-4: torch's own float32 gradients err by up to 2e-5.
fn check(fixture: &Fixture, ours: &Ours, what: &str) {
    assert_eq!(fixture.torch.taken, fixture.torch.values.len(), "all of torch's parameters are used");
    assert!(ours.filled.iter().all(|&f| f), "all of our parameters are set");
    let rows = fixture.log_q.len();
    let (features, context) = (fixture.x.len() / rows, fixture.context.len() / rows);
    let layout = ours.estimator.layout();
    for simd in Simd::all() {
        let mut step = Step::new(ours.estimator.joint(), layout.len(), layout.gradient_mask(), simd, &Threads::single());
        let (loss, _) = step.fused(
            &ours.params,
            rows,
            |range, frame| {
                let lanes = frame.lanes();
                features_from_rows(&fixture.x[range.start * features..], range.len(), features, frame.input_mut(0), lanes);
                if context > 0 {
                    features_from_rows(&fixture.context[range.start * context..], range.len(), context, frame.input_mut(1), lanes);
                }
            },
            |range, frame| {
                for (got, want) in frame.output(0).iter().zip(&fixture.log_q[range.clone()]) {
                    assert!((f64::from(*got) - want).abs() < 1e-5 * (1.0 + want.abs()), "{what} at {simd}: log q {got}, torch {want}");
                }
                let part: f64 = frame.output(0)[..range.len()].iter().map(|&l| -f64::from(l)).sum();
                let seed = frame.output_gradient_mut(0);
                seed.fill(0.0);
                seed[..range.len()].fill(-1.0 / rows as f32);
                part / rows as f64
            },
        );
        assert!((loss - fixture.loss).abs() < 1e-5 * fixture.loss.abs(), "{what} at {simd}: loss {loss}, torch {}", fixture.loss);
        for parameter in layout.parameters() {
            let (got, want) = (&step.gradient()[parameter.range.clone()], &ours.want[parameter.range.clone()]);
            let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
            let error = norm(&mut got.iter().zip(want).map(|(g, w)| f64::from(*g) - f64::from(*w)));
            let size = norm(&mut want.iter().map(|&w| f64::from(w)));
            assert!(
                size > 0.0 && error <= 1e-4 * size,
                "{what} at {simd}: gradient of {} errs by {error:.1e} of {size:.1e}",
                parameter.name
            );
        }
    }
}

/// Torch reverses the features before every transform but the first; ours keep their order and reverse the degrees, so in odd transforms
/// the columns of the first layer and the rows of the last are reversed.
#[test]
fn masked_autoregressive_flow() {
    const FEATURES: usize = 8;
    let mut fixture = open("w1.npz");
    let mut ours = Ours::new(DensitySpec::Maf { transforms: 5, hidden: vec![8, 8] }, FEATURES, 0);
    for t in 0..5 {
        let feature = |f: usize| if t % 2 == 1 { FEATURES - 1 - f } else { f };
        // Shifts, then scales.
        let raw = |row: usize| row / FEATURES * FEATURES + feature(row % FEATURES);
        for (layer, first, last) in [(0, true, false), (1, false, false), (2, false, true)] {
            let place = |row: usize, column: usize| (if last { raw(row) } else { row }, if first { feature(column) } else { column });
            ours.fill(&mut fixture.torch, &format!("transforms.{t}.{layer}.weight"), place);
            ours.fill(&mut fixture.torch, &format!("transforms.{t}.{layer}.bias"), |row, _| (if last { raw(row) } else { row }, 0));
        }
    }
    check(&fixture, &ours, "MAF");
}

#[test]
fn neural_spline_flow_of_sbi() {
    let mut fixture = open("w2.npz");
    let spline = SplineSpec { bins: 10, bound: 3.0 };
    let mut ours = Ours::new(DensitySpec::Nsf { transforms: 5, hidden: 6, blocks: 2, spline }, 5, 10);
    for t in 0..5 {
        let coupling = format!("transforms.{}", 2 * t);
        for layer in ["initial", "blocks.0.context", "blocks.0.0", "blocks.0.1", "blocks.1.context", "blocks.1.0", "blocks.1.1", "final"] {
            for part in ["weight", "bias"] {
                ours.fill(&mut fixture.torch, &format!("{coupling}.{layer}.{part}"), SAME);
            }
        }
        for part in ["bias", "lower", "upper", "diagonal"] {
            ours.fill(&mut fixture.torch, &format!("transforms.{}.{part}", 2 * t + 1), SAME);
        }
    }
    check(&fixture, &ours, "NSF");
}

//! Whole networks against losses and gradients of torch, computed in float64 by `benches/peers/layer_bench.py`.

use crate::workloads::{Size, build, mean_square};
use abduce_data::npz::Npz;
use abduce_kernels::{Simd, Threads};
use abduce_nn::Step;
use std::path::Path;

#[test]
fn losses_and_gradients_are_those_of_torch() {
    for name in ["CNN", "W3", "W4", "W5"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{}.npz", name.to_lowercase()));
        let mut file = Npz::open(&path).unwrap();
        let mut vector = |key: &str| file.read::<f32>(key).unwrap().into_data();
        let (x, target, params, want) = (vector("x"), vector("target"), vector("param"), vector("gradient"));
        let loss = file.read::<f64>("loss").unwrap().into_data()[0];
        let workload = build(name, Size::Small).unwrap().expect("a known name");
        assert_eq!(params.len(), workload.layout.len(), "{name}");
        for simd in Simd::all() {
            let mut step = Step::new(&workload.graph, params.len(), None, simd, &Threads::single());
            let (width, out) = (x.len() / workload.rows, target.len() / workload.rows);
            let (got, _) = step.fused(
                &params,
                workload.rows,
                |rows, frame| frame.fill_input(0, &x[rows.start * width..]),
                |rows, frame| mean_square(frame, &target[rows.start * out..rows.end * out], target.len()),
            );
            assert!((got - loss).abs() < 1e-5 * loss, "{name} at {simd}: loss {got} instead of {loss}");
            for parameter in workload.layout.parameters() {
                let (got, want) = (&step.gradient()[parameter.range.clone()], &want[parameter.range.clone()]);
                let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
                let (error, size) = (norm(&mut got.iter().zip(want).map(|(g, w)| g - w)), norm(&mut want.iter().copied()));
                // A dozen layers of f32 rounding; vanishing gradients (a key's bias, a bias before a normalisation) in absolute terms.
                assert!(error < 1e-4 * size + 1e-6, "{name} at {simd}: `{}` errs by {error:.1e} of {size:.1e}", parameter.name);
            }
        }
    }
}

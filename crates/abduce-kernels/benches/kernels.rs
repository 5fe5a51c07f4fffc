//! The two hot kernels at every SIMD level: the product of a hidden layer, and splines.

use abduce_kernels::gemm::{Into, MatMul};
use abduce_kernels::spline::{Ends, Spline};
use abduce_kernels::{LANES, Simd};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;

fn values(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.37).sin()).collect()
}

fn matmul(c: &mut Criterion) {
    let shape = MatMul { rows: 50, cols: 64, depth: 50 };
    let (a, b) = (values(50 * 50), values(50 * 64));
    let mut out = vec![0.0; 50 * 64];
    let mut group = c.benchmark_group("matmul 50x50x64");
    for simd in Simd::all() {
        group.bench_function(simd.name(), |bench| bench.iter(|| simd.matmul(shape, black_box(&a), &b, &mut out, Into::Overwrite)));
    }
}

fn splines(c: &mut Criterion) {
    const ROWS: usize = 4 * LANES;
    let spline = Spline { bins: 10, bound: 3.0, min_width: 1e-3, min_height: 1e-3, min_slope: 1e-3, scale: 0.14, ends: Ends::Identity };
    let (raw, x, ones) = (values(spline.parameters() * ROWS), values(ROWS), vec![1.0; ROWS]);
    let (mut y, mut ladj) = (vec![0.0; ROWS], vec![0.0; ROWS]);
    let (mut grad_raw, mut grad_x) = (vec![0.0; raw.len()], vec![0.0; ROWS]);
    for simd in Simd::all() {
        let mut group = c.benchmark_group(format!("spline 64 rows, 10 bins, {simd}"));
        group.bench_function("forward", |b| b.iter(|| simd.spline_forward(&spline, black_box(&raw), &x, &mut y, &mut ladj)));
        group.bench_function("inverse", |b| b.iter(|| simd.spline_inverse(&spline, black_box(&raw), &x, &mut y, &mut ladj)));
        group.bench_function("backward", |b| {
            b.iter(|| simd.spline_backward(&spline, black_box(&raw), &x, (&ones, &ones), &mut grad_raw, &mut grad_x));
        });
    }
}

fn quick() -> Criterion {
    Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600))
}

criterion_group! { name = benches; config = quick(); targets = matmul, splines }
criterion_main!(benches);

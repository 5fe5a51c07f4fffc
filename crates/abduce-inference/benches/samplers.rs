//! What a sampler costs beside the density: batched slice sampling and NUTS of 1000 targets × 20 chains in 5 dimensions with a density of a few
//! operations. Reported per evaluation of the density.

use abduce_data::Seed;
use abduce_inference::sampler::{NutsOptions, Schedule, SliceOptions, Target, nuts, slice};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;

const TARGETS: usize = 1000;
const CHAINS: usize = 20;
const DIMENSION: usize = 5;

/// N(0, 1) in every coordinate: the cheapest density that keeps a sampler busy.
struct Normal;

impl Target for Normal {
    fn dimension(&self) -> usize {
        DIMENSION
    }

    fn count(&self) -> usize {
        TARGETS
    }

    fn log_density(&self, points: &[f64], _: &[usize], out: &mut [f64]) {
        for (x, out) in points.as_chunks::<DIMENSION>().0.iter().zip(out) {
            *out = -0.5 * x.iter().map(|x| x * x).sum::<f64>();
        }
    }

    fn log_density_gradient(&self, points: &[f64], of: &[usize], out: &mut [f64], gradient: &mut [f64]) {
        self.log_density(points, of, out);
        gradient.iter_mut().zip(points).for_each(|(g, x)| *g = -x);
    }
}

fn steps(c: &mut Criterion) {
    let mut rng = Seed(1).stream("bench", 0);
    let starts: Vec<f64> = (0..TARGETS * CHAINS * DIMENSION).map(|_| rng.normal()).collect();
    // One draw: the report costs next to nothing.
    let schedule = Schedule { num_chains: CHAINS, warmup_steps: 0, thin: 20, draws: 1 };
    let mut group = c.benchmark_group("1000 targets x 20 chains x 20 steps in 5 dimensions, per evaluation");
    let options = SliceOptions { init_width: Some(2.0), ..SliceOptions::default() };
    let run = || slice(&Normal, &starts, &schedule, &options, Seed(2)).expect("good starts");
    let evaluations = |report: &[abduce_inference::sampler::Convergence]| report.iter().map(|r| r.evaluations).sum();
    group.throughput(Throughput::Elements(evaluations(&run().report)));
    group.bench_function("slice", |b| b.iter(run));
    let options = NutsOptions::default();
    let run = || nuts(&Normal, &starts, &schedule, &options, Seed(2)).expect("good starts");
    group.throughput(Throughput::Elements(evaluations(&run().report)));
    group.bench_function("nuts", |b| b.iter(run));
    let points = starts.clone();
    let (of, mut out) = (vec![0; TARGETS * CHAINS], vec![0.0; TARGETS * CHAINS]);
    group.throughput(Throughput::Elements((TARGETS * CHAINS) as u64));
    group.bench_function("the density alone", |b| b.iter(|| Normal.log_density(&points, &of, &mut out)));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    targets = steps
}
criterion_main!(benches);

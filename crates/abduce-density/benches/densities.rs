//! One training step, draws and scores: W1 (MAF) and W2 (spline flow) of `benches/peers`, and the other flows at W2's size.

use abduce_data::Seed;
use abduce_density::{Architecture, DensitySpec, Estimator, SplineSpec};
use abduce_kernels::transpose::features_from_rows;
use abduce_nn::adam::{Adam, AdamConfig};
use abduce_nn::{Compute, EmbeddingSpec, Frame, Step};
use criterion::{Criterion, criterion_group, criterion_main};
use std::ops::Range;
use std::time::Duration;

const BATCH: usize = 200;
const DRAWS: usize = 10_000;

struct Workload {
    name: &'static str,
    estimator: Estimator,
    params: Vec<f32>,
    theta: Vec<f32>,
    x: Vec<f32>,
}

impl Workload {
    fn new(name: &'static str, density: DensitySpec, features: usize, context: usize) -> Self {
        let estimator =
            Estimator::new(Architecture { density, embedding: EmbeddingSpec::Identity, features, context }).expect("a valid architecture");
        let params = estimator.layout().initialise(Seed(1));
        let mut rng = Seed(1).stream("bench", 0);
        let mut normals = |n: usize| (0..n).map(|_| rng.normal() as f32).collect();
        Self { name, params, theta: normals(BATCH * features), x: normals(BATCH * context), estimator }
    }

    fn fill(&self, rows: Range<usize>, frame: &mut Frame) {
        for (i, table) in [&self.theta, &self.x].into_iter().enumerate().filter(|(_, table)| !table.is_empty()) {
            let (width, lanes) = (table.len() / BATCH, frame.lanes());
            features_from_rows(&table[rows.start * width..], rows.len(), width, frame.input_mut(i), lanes);
        }
    }
}

/// Name, density, dimensions of θ and x.
fn workloads() -> Vec<Workload> {
    let (transforms, hidden, bound) = (5, || vec![50, 50], 5.0);
    vec![
        Workload::new("maf", DensitySpec::Maf { transforms, hidden: hidden() }, 8, 0),
        Workload::new("nsf", DensitySpec::Nsf { transforms, hidden: 50, blocks: 2, spline: SplineSpec::default() }, 5, 10),
        Workload::new("gf", DensitySpec::Gf { transforms, hidden: hidden(), components: 8 }, 5, 10),
        Workload::new("ncsf", DensitySpec::Ncsf { transforms, hidden: hidden(), bins: 10 }, 5, 10),
        Workload::new("sospf", DensitySpec::Sospf { transforms, hidden: hidden(), polynomials: 3, degree: 4, bound }, 5, 10),
        Workload::new("bpf", DensitySpec::Bpf { transforms, hidden: hidden(), degree: 16, bound }, 5, 10),
        Workload::new("naf", DensitySpec::Naf { transforms, hidden: hidden(), signal: 16 }, 5, 10),
        Workload::new("unaf", DensitySpec::Unaf { transforms, hidden: hidden(), signal: 16, bound }, 5, 10),
        Workload::new("cnf", DensitySpec::Cnf { hidden: 50, frequencies: 3, steps: 16 }, 5, 10),
    ]
}

/// Mean of -log q over the rows of one chunk, and its gradient.
fn loss(rows: usize, frame: &mut Frame) -> f64 {
    let total: f64 = frame.output(0)[..rows].iter().map(|&l| -f64::from(l)).sum();
    let seed = frame.output_gradient_mut(0);
    seed.fill(0.0);
    seed[..rows].fill(-1.0 / BATCH as f32);
    total / BATCH as f64
}

fn steps(c: &mut Criterion) {
    for workload in workloads() {
        let mut group = c.benchmark_group(format!("{} step, batch {BATCH}", workload.name));
        for threads in [1, 2] {
            let compute = Compute::with_threads(threads);
            let layout = workload.estimator.layout();
            let mut step = Step::new(workload.estimator.joint(), layout.len(), layout.gradient_mask(), compute.simd, &compute.threads);
            let (mut adam, mut params) = (Adam::new(AdamConfig::default(), layout.len()), workload.params.clone());
            group.bench_function(format!("{threads} threads"), |b| {
                b.iter(|| {
                    let fill = |rows: Range<usize>, frame: &mut Frame| workload.fill(rows, frame);
                    let (_, norm) = step.fused(&params, BATCH, fill, |rows, frame| loss(rows.len(), frame));
                    adam.step(compute.simd, &compute.threads, 5e-4, &mut params, step.gradient(), norm);
                });
            });
        }
    }
}

fn draws_and_scores(c: &mut Criterion) {
    let compute = Compute::with_threads(1);
    for Workload { name, estimator, params, x, .. } in workloads() {
        let one = &x[..estimator.architecture().context];
        let draws = estimator.sample(&compute, &params, one, &[DRAWS], Seed(2));
        let mut group = c.benchmark_group(format!("{name}, {DRAWS} rows, 1 thread"));
        group.bench_function("sample", |b| b.iter(|| estimator.sample(&compute, &params, one, &[DRAWS], Seed(2))));
        group.bench_function("log_prob", |b| b.iter(|| estimator.log_prob(&compute, &params, &draws, one, |_| 0)));
    }
}

fn quick() -> Criterion {
    Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1))
}

criterion_group! { name = benches; config = quick(); targets = steps, draws_and_scores }
criterion_main!(benches);

//! One training step, draws and densities of flow matching with the default network, 5 parameters and 10 data.

use abduce_data::Seed;
use abduce_diffusion::{Architecture, FieldEstimator, NoiseRole, NoiseSchedule, NoisyRows, Objective, ReverseSde, Sampler, Tolerance};
use abduce_kernels::transpose::features_from_rows;
use abduce_nn::adam::{Adam, AdamConfig};
use abduce_nn::trainer::{RowSource, Rows};
use abduce_nn::{Compute, Frame, Step};
use criterion::{Criterion, criterion_group, criterion_main};
use std::convert::Infallible;
use std::ops::Range;
use std::time::Duration;

const BATCH: usize = 200;
const DRAWS: usize = 10_000;
const FEATURES: usize = 5;
const CONTEXT: usize = 10;

/// The same normal pairs over and over.
struct Pairs {
    theta: Vec<f32>,
    x: Vec<f32>,
}

impl Pairs {
    fn new() -> Self {
        let mut rng = Seed(1).stream("bench", 0);
        let mut normals = |n: usize| (0..n).map(|_| rng.normal() as f32).collect();
        Self { theta: normals(BATCH * FEATURES), x: normals(BATCH * CONTEXT) }
    }
}

impl RowSource for Pairs {
    type Error = Infallible;

    fn start(&mut self, _epoch: u64) {}

    fn next(&mut self, rows: &mut Rows) -> Result<usize, Infallible> {
        rows.inputs.resize_with(2, Vec::new);
        rows.inputs[0].clone_from(&self.theta);
        rows.inputs[1].clone_from(&self.x);
        Ok(BATCH)
    }
}

fn steps(c: &mut Criterion) {
    let mut group = c.benchmark_group(format!("step with its noise, batch {BATCH}, 1 thread"));
    for schedule in [NoiseSchedule::flow_matching(), NoiseSchedule::ve()] {
        let estimator = FieldEstimator::new(Architecture::score(schedule, FEATURES, CONTEXT)).expect("a valid architecture");
        let (layout, compute, objective) = (estimator.layout(), Compute::with_threads(1), Objective::of(&schedule));
        let graph = estimator.joint(&objective);
        let widths = graph.input_features();
        let mut params = layout.initialise(Seed(1));
        let mut step = Step::new(graph, layout.len(), layout.gradient_mask(), compute.simd, &compute.threads);
        let mut adam = Adam::new(AdamConfig::default(), layout.len());
        let mut source = NoisyRows::new(Pairs::new(), FEATURES, schedule, objective, NoiseRole::Training, Seed(2));
        source.start(0);
        let mut rows = Rows::default();
        group.bench_function(schedule.name(), |b| {
            b.iter(|| {
                let Ok(_) = source.next(&mut rows);
                let fill = |range: Range<usize>, frame: &mut Frame| {
                    let lanes = frame.lanes();
                    for (i, (table, &width)) in rows.inputs.iter().zip(&widths).enumerate() {
                        features_from_rows(&table[range.start * width..], range.len(), width, frame.input_mut(i), lanes);
                    }
                };
                let loss = |range: Range<usize>, frame: &mut Frame| {
                    let seed = frame.output_gradient_mut(0);
                    seed.fill(0.0);
                    seed[..range.len()].fill(-1.0 / BATCH as f32);
                    0.0
                };
                let (_, norm) = step.fused(&params, BATCH, fill, loss);
                adam.step(compute.simd, &compute.threads, 5e-4, &mut params, step.gradient(), norm);
            });
        });
    }
}

fn draws_and_scores(c: &mut Criterion) {
    let estimator = FieldEstimator::new(Architecture::flow_matching(FEATURES, CONTEXT)).expect("a valid architecture");
    let (params, compute, x) = (estimator.layout().initialise(Seed(1)), Compute::with_threads(1), Pairs::new().x);
    let x = &x[..CONTEXT];
    let samplers = [
        ("flow", Sampler::default()),
        ("100 steps of the reverse equation", Sampler::Sde(ReverseSde { steps: 100, ..ReverseSde::default() })),
    ];
    let mut group = c.benchmark_group("flow_matching, untrained, 1 thread");
    for (name, sampler) in samplers {
        group.bench_function(format!("{DRAWS} draws, {name}"), |b| {
            b.iter(|| estimator.sample(&compute, &params, x, &[DRAWS], &sampler, Seed(2)))
        });
    }
    let draws = estimator.sample(&compute, &params, x, &[1000], &Sampler::default(), Seed(2)).expect("finite weights");
    group.bench_function("1000 densities", |b| {
        b.iter(|| estimator.log_prob(&compute, &params, &draws, x, |_| 0, Tolerance::default()));
    });
}

fn quick() -> Criterion {
    Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1))
}

criterion_group! { name = benches; config = quick(); targets = steps, draws_and_scores }
criterion_main!(benches);

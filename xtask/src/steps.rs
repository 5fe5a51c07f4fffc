//! One training step against torch on the same weights and batch, in alternating turns.

use crate::Outcome;
use crate::peer::{Comparison, median_ms};
use abduce_data::Seed;
use abduce_data::npz::Npz;
use abduce_density::{Architecture, DensitySpec, Estimator, SplineSpec};
use abduce_kernels::transpose::features_from_rows;
use abduce_kernels::{Simd, Threads};
use abduce_nn::adam::{Adam, AdamConfig};
use abduce_nn::{EmbeddingSpec, Step};
use std::error::Error;
use std::process::Command;

pub(crate) fn run(options: &Comparison) -> Outcome {
    let mut own = Own::new(options)?;
    let arguments = |command: &mut Command| {
        command.arg(if options.compile { "--compile" } else { "--eager" }).arg("--fixture").arg(&options.fixture);
    };
    options.run("benches/peers/step_bench.py", arguments, (20, 40), |steps| own.turn(steps))
}

/// Our side. Weights are our own start: the time of a step does not depend on them, and that values and gradients agree with torch is a
/// test of the density crate.
struct Own {
    estimator: Estimator,
    x: Vec<f32>,
    context: Vec<f32>,
    params: Vec<f32>,
    step: Step,
    adam: Adam,
    simd: Simd,
    threads: Threads,
}

const BATCH: usize = 200;

impl Own {
    fn new(options: &Comparison) -> Result<Self, Box<dyn Error>> {
        let (density, features, context) = match options.workload.as_str() {
            "W1" => (DensitySpec::Maf { transforms: 5, hidden: vec![50, 50] }, 8, 0),
            "W2" => (DensitySpec::Nsf { transforms: 5, hidden: 50, blocks: 2, spline: SplineSpec::default() }, 5, 10),
            other => return Err(format!("workload {other}: expected W1 or W2").into()),
        };
        let mut inputs = Npz::open(&options.fixture)?;
        let x = inputs.read::<f32>("input.x")?.into_data();
        let c = if context > 0 { inputs.read::<f32>("input.context")?.into_data() } else { Vec::new() };
        let estimator = Estimator::new(Architecture { density, embedding: EmbeddingSpec::Identity, features, context })?;
        let (simd, threads) = (Simd::best(), Threads::new(options.threads));
        let layout = estimator.layout();
        Ok(Self {
            params: layout.initialise(Seed(1)),
            step: Step::new(estimator.joint(), layout.len(), layout.gradient_mask(), simd, &threads),
            adam: Adam::new(AdamConfig::default(), layout.len()),
            estimator,
            x,
            context: c,
            simd,
            threads,
        })
    }

    /// Median milliseconds of `steps` steps from the start.
    fn turn(&mut self, steps: usize) -> f64 {
        let layout = self.estimator.layout();
        self.params = layout.initialise(Seed(1));
        self.adam = Adam::new(AdamConfig::default(), layout.len());
        for _ in 0..3 {
            self.one();
        }
        median_ms(steps, || self.one())
    }

    fn one(&mut self) {
        let (x, c) = (&self.x, &self.context);
        let (_, norm) = self.step.fused(
            &self.params,
            BATCH,
            |rows, frame| {
                let lanes = frame.lanes();
                let width = x.len() / BATCH;
                features_from_rows(&x[rows.start * width..], rows.len(), width, frame.input_mut(0), lanes);
                if !c.is_empty() {
                    let width = c.len() / BATCH;
                    features_from_rows(&c[rows.start * width..], rows.len(), width, frame.input_mut(1), lanes);
                }
            },
            |rows, frame| {
                let score: f64 = frame.output(0)[..rows.len()].iter().map(|&s| f64::from(s)).sum();
                let gradient = frame.output_gradient_mut(0);
                gradient.fill(0.0);
                gradient[..rows.len()].fill(-1.0 / BATCH as f32);
                -score / BATCH as f64
            },
        );
        self.adam.step(self.simd, &self.threads, 5e-4, &mut self.params, self.step.gradient(), norm);
    }
}

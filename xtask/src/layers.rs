//! Training steps of large networks against torch: first that both compute the same gradient, then how long they take in alternating turns.

use crate::Outcome;
use crate::peer::{Comparison, median_ms};
use crate::workloads::{Size, Workload, build, mean_square};
use abduce_data::npz::Npz;
use abduce_kernels::{Simd, Threads};
use abduce_nn::Step;
use abduce_nn::adam::{Adam, AdamConfig};
use std::error::Error;
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    comparison: Comparison,
    /// Instruction set.
    #[arg(long)]
    simd: Option<Simd>,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let (comparison, simd) = (&options.comparison, options.simd.unwrap_or_else(Simd::best));
    let mut own = Own::new(comparison, simd)?;
    println!("{}", own.agreement());
    let arguments = |command: &mut Command| {
        command.args(comparison.compile.then_some("--compile"));
    };
    comparison.run("benches/peers/layer_bench.py", arguments, (8, 6), |steps| own.turn(steps))
}

struct Own {
    workload: Workload,
    x: Vec<f32>,
    target: Vec<f32>,
    start: Vec<f32>,
    params: Vec<f32>,
    exact: (Vec<f32>, f64),
    step: Step,
    adam: Adam,
    simd: Simd,
    threads: Threads,
}

impl Own {
    fn new(options: &Comparison, simd: Simd) -> Result<Self, Box<dyn Error>> {
        let workload = build(&options.workload, Size::Full)?.ok_or_else(|| format!("no workload {}", options.workload))?;
        let mut file = Npz::open(&options.fixture)?;
        let mut vector = |key: &str| file.read::<f32>(key).map(abduce_data::Array::into_data);
        let (x, target, start, gradient) = (vector("x")?, vector("target")?, vector("param")?, vector("gradient")?);
        let loss = file.read::<f64>("loss")?.into_data()[0];
        if start.len() != workload.layout.len() {
            return Err(format!("the fixture has {} parameters, {} has {}", start.len(), options.workload, workload.layout.len()).into());
        }
        let threads = Threads::new(options.threads);
        Ok(Self {
            step: Step::new(&workload.graph, start.len(), None, simd, &threads),
            adam: Adam::new(AdamConfig::default(), start.len()),
            params: start.clone(),
            exact: (gradient, loss),
            workload,
            x,
            target,
            start,
            simd,
            threads,
        })
    }

    /// How far loss and gradient are from torch's in float64.
    fn agreement(&mut self) -> String {
        let (loss, _) = self.gradient();
        let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let (got, want) = (self.step.gradient(), &self.exact.0);
        let error = norm(&mut got.iter().zip(want).map(|(g, w)| g - w)) / norm(&mut want.iter().copied());
        format!("loss {loss:.6} (torch {:.6}), gradient errs by {error:.1e} of its norm", self.exact.1)
    }

    fn gradient(&mut self) -> (f64, f64) {
        let (x, target, rows) = (&self.x, &self.target, self.workload.rows);
        let (width, out) = (x.len() / rows, target.len() / rows);
        self.step.fused(
            &self.params,
            rows,
            |rows, frame| frame.fill_input(0, &x[rows.start * width..]),
            |rows, frame| mean_square(frame, &target[rows.start * out..rows.end * out], target.len()),
        )
    }

    /// Median milliseconds of `steps` steps from the start.
    fn turn(&mut self, steps: usize) -> f64 {
        self.params.copy_from_slice(&self.start);
        self.adam = Adam::new(AdamConfig::default(), self.params.len());
        self.one();
        median_ms(steps, || self.one())
    }

    fn one(&mut self) {
        let (_, norm) = self.gradient();
        self.adam.step(self.simd, &self.threads, 5e-4, &mut self.params, self.step.gradient(), norm);
    }
}

//! Training steps of large networks against torch: first that both compute the same gradient, then how long they take in alternating turns.

use crate::Outcome;
use crate::cells::median;
use crate::peer::Peer;
use crate::workloads::{Size, Workload, build, mean_square};
use abduce_data::npz::Npz;
use abduce_kernels::{Simd, Threads};
use abduce_nn::Step;
use abduce_nn::adam::{Adam, AdamConfig};
use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// CNN, W3, W4, W5 or CONV512: see benches/peers/layer_workloads.py.
    #[arg(long)]
    workload: String,
    /// Inputs, weights and torch's gradient, made by benches/peers/layer_bench.py --fixture.
    #[arg(long)]
    fixture: PathBuf,
    /// The Python that has torch; without it only our own step is timed.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Threads on both sides.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Compare with torch.compile instead of eager torch.
    #[arg(long)]
    compile: bool,
    /// Instruction set.
    #[arg(long)]
    simd: Option<Simd>,
    /// Alternating pairs.
    #[arg(long, default_value_t = 8)]
    pairs: usize,
    /// Steps per turn.
    #[arg(long, default_value_t = 6)]
    steps: usize,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let mut own = Own::new(options)?;
    println!("{}", own.agreement());
    let what = format!("{} {} threads", options.workload, options.threads);
    let Some(python) = &options.python else {
        println!("{what}: {:.3} ms", median((0..options.pairs).map(|_| own.turn(options.steps))));
        return Ok(());
    };
    let mut command = Command::new(python);
    command
        .arg("benches/peers/layer_bench.py")
        .args(["--workload", &options.workload, "--threads", &options.threads.to_string()])
        .args(options.compile.then_some("--compile"));
    Peer::start(&mut command)?.compare(&what, options.pairs, options.steps, |steps| own.turn(steps))
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
    fn new(options: &Options) -> Result<Self, Box<dyn Error>> {
        let workload = build(&options.workload, Size::Full)?.ok_or_else(|| format!("no workload {}", options.workload))?;
        let mut file = Npz::open(&options.fixture)?;
        let mut vector = |key: &str| file.read::<f32>(key).map(abduce_data::Array::into_data);
        let (x, target, start, gradient) = (vector("x")?, vector("target")?, vector("param")?, vector("gradient")?);
        let loss = file.read::<f64>("loss")?.into_data()[0];
        if start.len() != workload.layout.len() {
            return Err(format!("the fixture has {} parameters, {} has {}", start.len(), options.workload, workload.layout.len()).into());
        }
        let (simd, threads) = (options.simd.unwrap_or_else(Simd::best), Threads::new(options.threads));
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
        let one = |own: &mut Self| {
            let start = Instant::now();
            own.one();
            start.elapsed().as_secs_f64() * 1e3
        };
        median((0..steps).map(|_| one(self)).collect::<Vec<_>>())
    }

    fn one(&mut self) {
        let (_, norm) = self.gradient();
        self.adam.step(self.simd, &self.threads, 5e-4, &mut self.params, self.step.gradient(), norm);
    }
}

//! NLE, NRE and SNPE with the settings of sbi 0.27, timed: our side of `benches/peers/methods_run.py`.

use crate::Outcome;
use crate::published::Method;
use crate::sbibm::{Effort, train, train_for};
use abduce_data::{Seed, npy};
use abduce_inference::posterior::ChainOptions;
use abduce_inference::sampler::{self, SliceOptions};
use abduce_nn::trainer::TrainConfig;
use abduce_nn::{Compute, EmbeddingSpec};
use std::path::PathBuf;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Methods.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "nle,nre,snpe")]
    methods: Vec<Method>,
    /// The task.
    #[arg(long, default_value = "slcp")]
    task: String,
    /// Simulations, of a sequential method in all its rounds.
    #[arg(long, default_value_t = 10_000)]
    n: usize,
    /// Training seeds.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    seeds: Vec<u64>,
    /// Draws per observation.
    #[arg(long, default_value_t = 1000)]
    draws: usize,
    /// Steps of the chains before the first draw.
    #[arg(long, default_value_t = 200)]
    warmup: usize,
    /// Of the steps after that, each so many-th is kept.
    #[arg(long, default_value_t = 10)]
    thin: usize,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// The folder with one sub-folder per task: observation.npy (10, …).
    #[arg(long, default_value = "../shared/data/sbibm")]
    references: PathBuf,
}

/// As the peer's script sets its sampler.
const CHAINS: ChainOptions = ChainOptions {
    method: sampler::Method::Slice(SliceOptions { init_width: None, max_step_out: 64 }),
    num_chains: Some(20),
    warmup_steps: 200,
    thin: 10,
    start_batches: 100,
    extensions: 0,
};

/// Trains and draws once per method and seed; sequential methods for the first observation, the others for all of them.
pub(crate) fn run(options: &Options) -> Outcome {
    let observations = npy::read::<f32>(&options.references.join(&options.task).join("observation.npy"))?;
    let compute = Compute::with_threads(options.threads);
    println!("| method | seed | epochs | train s | draw s | total s | largest R-hat |\n|---|---|---|---|---|---|---|");
    for &method in &options.methods {
        for &seed in &options.seeds {
            let train_config = TrainConfig { batch_size: 200, ..TrainConfig::default() };
            let effort = Effort::single(options.n, seed, options.threads, train_config);
            let start = Instant::now();
            let trained = if method.is_sequential() {
                train_for(&effort, &compute, method, &options.task, observations.row(0), 0)?
            } else {
                train(&effort, &compute, method, &options.task, &EmbeddingSpec::Identity)?
            };
            let train_seconds = start.elapsed().as_secs_f64();
            let x = if method.is_sequential() { observations.row(0) } else { observations.data() };
            let seed_of_draws = Seed(seed).derive("posterior", 0);
            let mut largest = f64::NAN;
            if trained.posterior.is_normalised() {
                trained.posterior.sample(&compute, x, options.draws, seed_of_draws)?;
            } else {
                let chains = ChainOptions { warmup_steps: options.warmup, thin: options.thin, ..CHAINS };
                let chains = trained.posterior.sample_chains(&compute, x, 1, options.draws, &chains, seed_of_draws)?;
                largest = chains.report.iter().map(|c| c.worst().1).fold(f64::NEG_INFINITY, f64::max);
            }
            let total = start.elapsed().as_secs_f64();
            let epochs: usize = trained.progress.iter().map(|p| p.history.len()).sum();
            println!("| {method:?} | {seed} | {epochs} | {train_seconds:.1} | {:.2} | {total:.1} | {largest:.4} |", total - train_seconds);
        }
    }
    Ok(())
}

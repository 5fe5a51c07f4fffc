//! A whole NPE run with the settings of sbi 0.27, on arrays that the peer reads too.

use crate::Outcome;
use crate::cells::folder;
use abduce_data::{Array, PairSource, Scaling, Seed, Split, npy};
use abduce_density::{DensitySpec, SplineSpec};
use abduce_inference::simulator::{Simulator, named, simulate_table};
use abduce_inference::training::{Engine, NetSpec, NetworkSpec, NoCheckpoints, Silent, TrainingTask, train_ensemble};
use abduce_nn::trainer::TrainConfig;
use abduce_nn::{Compute, EmbeddingSpec};
use std::error::Error;
use std::num::NonZeroUsize;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The task.
    #[arg(long, default_value = "slcp")]
    task: String,
    /// Simulations.
    #[arg(long, default_value_t = 10_000)]
    n: usize,
    /// Training seeds.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3,4,5")]
    seeds: Vec<u64>,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Held-out pairs.
const TEST: usize = 5000;

fn table(simulator: &dyn Simulator, n: usize, seed: u64) -> Result<(Array, Array), Box<dyn Error>> {
    let table = simulate_table(simulator, n, Seed(seed), NonZeroUsize::MIN);
    let mut shape = vec![n];
    shape.extend(simulator.data_shape());
    Ok((Array::new(vec![n, simulator.prior().parameters()], table.theta)?, Array::new(shape, table.x)?))
}

/// Writes theta.npy, x.npy, test_theta.npy, test_x.npy for the peer, trains, and prints times and held-out log-probabilities.
pub(crate) fn run(options: &Options) -> Outcome {
    let simulator = named(&options.task).ok_or("unknown task")?;
    let folder = folder("run")?.join(&options.task);
    std::fs::create_dir_all(&folder)?;
    let (theta, x) = table(simulator.as_ref(), options.n, 1)?;
    let (test_theta, test_x) = table(simulator.as_ref(), TEST, 2)?;
    for (name, array) in [("theta", &theta), ("x", &x), ("test_theta", &test_theta), ("test_x", &test_x)] {
        npy::write(&folder.join(format!("{name}.npy")), array)?;
    }
    println!("arrays in {}", folder.display());
    let source = PairSource::from_arrays(theta, x)?;
    let compute = Compute::with_threads(options.threads);
    let net = NetSpec {
        network: NetworkSpec::Density(DensitySpec::Nsf { transforms: 5, hidden: 50, blocks: 2, spline: SplineSpec::default() }),
        embedding: EmbeddingSpec::Identity,
        signature: String::new(),
    };
    println!(
        "| seed | epochs | s per epoch | total s | held-out log q, mean | its SE | 10 x 10 000 draws s |\n|---|---|---|---|---|---|---|"
    );
    for &seed in &options.seeds {
        let split = Split::by_fraction(source.kept(), 0.1, Seed(seed))?;
        let task = TrainingTask {
            engine: Engine::Npe,
            name: "",
            prior: simulator.prior(),
            proposal: None,
            parameters: &simulator.parameters(),
            source: &source,
            split: &split,
            nets: std::slice::from_ref(&net),
            train: TrainConfig { batch_size: 200, ..TrainConfig::default() },
            x_scaling: Scaling::Independent,
            buffer_bytes: abduce_data::batches::BUFFER_BYTES,
            start: None,
            seed: Seed(seed),
        };
        let start = Instant::now();
        let trained = train_ensemble(&task, &compute, &NoCheckpoints, &Silent)?;
        let seconds = start.elapsed().as_secs_f64();
        let epochs = trained.progress[0].history.len();
        let log_q = trained.posterior.log_prob(&compute, test_theta.data(), test_x.data(), |r| r)?;
        let mean = log_q.iter().sum::<f64>() / TEST as f64;
        let variance = log_q.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / (TEST - 1) as f64;
        let start = Instant::now();
        trained.posterior.sample(&compute, &test_x.data()[..10 * trained.posterior.x_len()], 10_000, Seed(seed))?;
        let draw_seconds = start.elapsed().as_secs_f64();
        let se = (variance / TEST as f64).sqrt();
        println!("| {seed} | {epochs} | {:.3} | {seconds:.1} | {mean:.3} | {se:.3} | {draw_seconds:.3} |", seconds / epochs as f64);
    }
    Ok(())
}

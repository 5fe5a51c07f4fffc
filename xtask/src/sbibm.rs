//! The sbi benchmark (Lueckmann et al. 2021, arXiv:2101.04653): C2ST against 10 000 reference draws for each of 10 observations.

use crate::Outcome;
use crate::cells::{cell, folder, median};
use abduce_data::{PairSource, Scaling, Seed, Split, npy};
use abduce_density::{DensitySpec, SplineSpec};
use abduce_inference::diagnostics::c2st;
use abduce_inference::npe::{Engine, NetSpec, NetworkSpec, NoCheckpoints, NpeTask, Silent, Trained, train_npe};
use abduce_inference::simulator::{named, simulate_table};
use abduce_nn::trainer::{Schedule, TrainConfig};
use abduce_nn::{Compute, EmbeddingSpec};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

/// Published NPE values (mean over 10 observations) at 1 000 and 10 000 simulations; gaussian_mixture by the rerun.
const PUBLISHED: [(&str, f64, f64); 5] = [
    ("two_moons", 0.725, 0.606),
    ("gaussian_linear", 0.694, 0.552),
    ("gaussian_mixture", 0.716, 0.615),
    ("slcp", 0.975, 0.901),
    ("sir", 0.815, 0.680),
];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Tasks; all five if none is given.
    #[arg(long, value_delimiter = ',')]
    tasks: Vec<String>,
    /// Numbers of simulations.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    n: Vec<usize>,
    /// Training seeds.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3,4,5")]
    seeds: Vec<u64>,
    /// Networks per ensemble; the first one alone is the single network.
    #[arg(long, default_value_t = 4)]
    ensemble: usize,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// The folder with one sub-folder per task: observation.npy (10, …) and reference_posterior.npy (10, 10000, d).
    #[arg(long, default_value = "../shared/data/sbibm")]
    references: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Cell {
    task: String,
    n: usize,
    seed: u64,
    /// C2ST per observation of the first network alone, and of the ensemble.
    single: Vec<f64>,
    ensemble: Vec<f64>,
    weights: Vec<f64>,
    epochs: Vec<usize>,
    best_validation: Vec<f64>,
    train_seconds: f64,
}

pub(crate) fn run(options: &Options) -> Outcome {
    if !options.references.is_dir() {
        println!("skipped: no reference posteriors in {}", options.references.display());
        return Ok(());
    }
    let folder = folder("sbibm")?;
    let compute = Compute::with_threads(options.threads);
    let wanted = |task: &str| options.tasks.is_empty() || options.tasks.iter().any(|t| t == task);
    println!("| task | simulations | seeds | published | one network | ensemble of {} | epochs | train s |", options.ensemble);
    println!("|---|---|---|---|---|---|---|---|");
    for (task, at_1k, at_10k) in PUBLISHED.iter().filter(|(task, ..)| wanted(task)) {
        for &n in &options.n {
            let mut cells = Vec::new();
            for &seed in &options.seeds {
                cells
                    .push(cell(&folder, &format!("{task}-{n}-{seed}-{}", options.ensemble), || measure(options, &compute, task, n, seed))?);
            }
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            let published = match n {
                1000 => *at_1k,
                10_000 => *at_10k,
                _ => f64::NAN,
            };
            println!(
                "| {task} | {n} | {} | {published:.3} | {:.3} | {:.3} | {:.0} | {:.0} |",
                cells.len(),
                median(cells.iter().map(|c| mean(&c.single))),
                median(cells.iter().map(|c| mean(&c.ensemble))),
                median(cells.iter().map(|c| c.epochs[0] as f64)),
                median(cells.iter().map(|c| c.train_seconds)),
            );
        }
    }
    Ok(())
}

/// The network of the comparison: one coupling NSF, 5 transforms, 50 hidden, 10 bins. Batches and schedule are our defaults for a
/// benchmark run; none of them was chosen on the reference posteriors.
fn train(options: &Options, compute: &Compute, task: &str, n: usize, seed: u64) -> Result<Trained, Box<dyn Error>> {
    let simulator = named(task).ok_or("unknown task")?;
    let seed = Seed(seed);
    let threads = NonZeroUsize::new(options.threads).ok_or("no thread")?;
    let table = simulate_table(simulator.as_ref(), n, seed, threads);
    let d = simulator.prior().parameters();
    let mut shape = vec![n];
    shape.extend(simulator.data_shape());
    let theta = abduce_data::Array::new(vec![n, d], table.theta)?;
    let source = PairSource::from_arrays(theta, abduce_data::Array::new(shape, table.x)?)?;
    let split = Split::by_fraction(source.kept(), 0.1, seed)?;
    let net = NetSpec {
        network: NetworkSpec::Density(DensitySpec::Nsf { transforms: 5, hidden: 50, blocks: 2, spline: SplineSpec::default() }),
        embedding: EmbeddingSpec::Identity,
        signature: String::new(),
    };
    let task = NpeTask {
        engine: Engine::Npe,
        name: "",
        prior: simulator.prior(),
        proposal: None,
        parameters: &simulator.parameters(),
        source: &source,
        split: &split,
        nets: &vec![net; options.ensemble],
        train: TrainConfig {
            batch_size: (n / 50).clamp(50, 512),
            schedule: Schedule::Plateau { factor: 0.2, drops: 2 },
            ..TrainConfig::default()
        },
        x_scaling: Scaling::Independent,
        buffer_bytes: abduce_data::batches::BUFFER_BYTES,
        start: None,
        seed,
    };
    Ok(train_npe(&task, compute, &NoCheckpoints, &Silent)?)
}

fn measure(options: &Options, compute: &Compute, task: &str, n: usize, seed: u64) -> Result<Cell, Box<dyn Error>> {
    let start = Instant::now();
    let trained = train(options, compute, task, n, seed)?;
    let train_seconds = start.elapsed().as_secs_f64();
    let references = options.references.join(task);
    let observations = npy::read::<f32>(&references.join("observation.npy"))?;
    let reference = npy::read::<f32>(&references.join("reference_posterior.npy"))?;
    let (draws, d) = (reference.shape()[1], reference.shape()[2]);
    let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let score = |posterior: &abduce_inference::posterior::Posterior| -> Result<Vec<f64>, Box<dyn Error>> {
        let samples = posterior.sample(compute, observations.data(), draws, Seed(seed).derive("posterior", 0))?;
        (0..observations.rows())
            .map(|i| {
                let own = &samples[i * draws * d..(i + 1) * draws * d];
                Ok(c2st(&wide(reference.row(i)), &wide(own), d, Seed(1), compute.simd, &compute.threads)?.score)
            })
            .collect()
    };
    let single = score(&trained.posterior.member(0))?;
    let ensemble = if options.ensemble > 1 { score(&trained.posterior)? } else { single.clone() };
    Ok(Cell {
        task: task.to_owned(),
        n,
        seed,
        single,
        ensemble,
        weights: trained.posterior.weights.clone(),
        epochs: trained.progress.iter().map(|p| p.history.len()).collect(),
        best_validation: trained.progress.iter().filter_map(|p| p.best_validation()).collect(),
        train_seconds,
    })
}

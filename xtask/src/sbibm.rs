//! The sbi benchmark (Lueckmann et al. 2021, arXiv:2101.04653): C2ST against 10 000 reference draws for each of 10 observations.

use crate::Outcome;
use crate::cells::{cell, folder, median};
use crate::published::{Likelihood, Method, Protocol, tasks};
use abduce_data::{Array, PairSource, Scaling, Seed, Split, npy};
use abduce_inference::abc::{
    Accept, Adjustment, Bandwidth, Decay, KernelDensity, Leftover, RejectionAbc, SmcAbc, Summaries, rejection_abc, smc_abc,
};
use abduce_inference::diagnostics::c2st;
use abduce_inference::posterior::{ChainOptions, Posterior};
use abduce_inference::sampler::{self, SliceOptions};
use abduce_inference::sequential::{AtomicLoss, FirstRound, NoRounds, Restart, SequentialTask, Strategy, train_sequential};
use abduce_inference::simulator::{self, named, simulate_table};
use abduce_inference::training::{Engine, NetSpec, NoCheckpoints, RatioLoss, Silent, Trained, TrainingTask, train_ensemble};
use abduce_nn::trainer::TrainConfig;
use abduce_nn::{Compute, EmbeddingSpec};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

/// Average of the weights of vector fields.
const AVERAGE_DECAY: f32 = 0.995;
/// Rounds of the sequential methods.
const ROUNDS: usize = 10;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How networks are trained, and whose table the scores go beside.
    #[arg(long, value_enum, default_value = "benchmark")]
    protocol: Protocol,
    /// Methods.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "npe")]
    methods: Vec<Method>,
    /// Part K of P of the cells, written K/P with K from 0: for several processes or machines; without it all.
    #[arg(long, value_parser = part, default_value = "0/1")]
    part: (usize, usize),
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
    /// Decay per step of the average of a vector field's weights; 0 for none.
    #[arg(long, default_value_t = AVERAGE_DECAY)]
    average: f32,
    /// Density of NLE and SNLE.
    #[arg(long, value_enum, default_value_t = Likelihood::Maf)]
    likelihood: Likelihood,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// The folder with one sub-folder per task: observation.npy (10, …) and reference_posterior.npy (10, 10000, d).
    #[arg(long, default_value = "../shared/data/sbibm")]
    references: PathBuf,
}

#[derive(Default, Serialize, Deserialize)]
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
    /// Of a sequential method the mean over observations, draws included.
    train_seconds: f64,
    /// Drawing for all observations, of the single network.
    #[serde(default)]
    sample_seconds: f64,
}

impl Cell {
    fn keep(&mut self, trained: &Trained) {
        self.weights.clone_from(&trained.posterior.weights);
        self.epochs = trained.progress.iter().map(|p| p.history.len()).collect();
        self.best_validation = trained.progress.iter().filter_map(|p| p.best_validation()).collect();
    }
}

pub(crate) fn run(options: &Options) -> Outcome {
    if !options.references.is_dir() {
        println!("skipped: no reference posteriors in {}", options.references.display());
        return Ok(());
    }
    let folder = folder("sbibm")?;
    let compute = Compute::with_threads(options.threads);
    let wanted = |task: &str| options.tasks.is_empty() || options.tasks.iter().any(|t| t == task);
    println!(
        "| method | task | simulations | seeds | published | one network | ensemble of {} | epochs | held out | train s |",
        options.ensemble
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut number = 0;
    for &method in &options.methods {
        for task in tasks().filter(|task| wanted(task)) {
            for &n in &options.n {
                let mut cells = Vec::new();
                for &seed in &options.seeds {
                    number += 1;
                    // Cells of plain NPE were named before there were other methods.
                    let prefix = if method == Method::Npe { String::new() } else { format!("{}-", method.name()) };
                    let unusual = method.is_field() && options.average != AVERAGE_DECAY;
                    let mut suffix = if unusual { format!("-average{}", options.average) } else { String::new() };
                    if matches!(method, Method::Nle | Method::Snle) && options.likelihood != Likelihood::Maf {
                        suffix.push_str(&format!("-{:?}", options.likelihood).to_lowercase());
                    }
                    if options.protocol == Protocol::LtuIli {
                        suffix.push_str("-ltu-ili");
                    }
                    let name = format!("{prefix}{task}-{n}-{seed}-{}{suffix}", options.ensemble);
                    if number % options.part.1 == options.part.0 || folder.join(format!("{name}.json")).exists() {
                        cells.push(cell(&folder, &name, || measure(options, &compute, method, task, n, seed))?);
                    }
                }
                if cells.is_empty() {
                    continue;
                }
                println!(
                    "| {} | {task} | {n} | {} | {:.3} | {:.3} | {:.3} | {:.0} | {:.3} | {:.0} |",
                    method.name(),
                    cells.len(),
                    options.protocol.published(method, task, n),
                    median(cells.iter().map(|c| options.protocol.score(&c.single))),
                    median(cells.iter().map(|c| options.protocol.score(&c.ensemble))),
                    median(cells.iter().map(|c| c.epochs.first().map_or(0.0, |&epochs| epochs as f64))),
                    median(cells.iter().map(|c| c.best_validation.first().copied().unwrap_or(f64::NAN))),
                    median(cells.iter().map(|c| c.train_seconds)),
                );
            }
        }
    }
    Ok(())
}

fn part(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once('/').and_then(|(k, p)| Some((k.parse().ok()?, p.parse().ok()?)));
    parsed.filter(|&(k, p): &(usize, usize)| k < p).ok_or_else(|| format!("`{text}`: expected K/P with K below P, such as 0/4"))
}

fn nets(method: Method, likelihood: Likelihood, count: usize, embedding: &EmbeddingSpec) -> Vec<NetSpec> {
    vec![NetSpec { network: method.network(likelihood), embedding: embedding.clone(), signature: String::new() }; count]
}

/// How much is trained, and how: what a run of any method has to be told.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) n: usize,
    pub(crate) seed: u64,
    /// Networks per ensemble.
    pub(crate) ensemble: usize,
    pub(crate) likelihood: Likelihood,
    pub(crate) threads: usize,
    pub(crate) train: TrainConfig,
    /// The rounds before the last one of a sequential method.
    pub(crate) train_before: TrainConfig,
}

impl Effort {
    /// One network, trained alike in all rounds.
    pub(crate) const fn single(n: usize, seed: u64, threads: usize, train: TrainConfig) -> Self {
        Self { n, seed, ensemble: 1, likelihood: Likelihood::Maf, threads, train, train_before: train }
    }
}

/// Trains an amortised method on the task's simulations, seen through `embedding`.
pub(crate) fn train(
    effort: &Effort,
    compute: &Compute,
    method: Method,
    task: &str,
    embedding: &EmbeddingSpec,
) -> Result<Trained, Box<dyn Error>> {
    let simulator = named(task).ok_or("unknown task")?;
    let (n, seed) = (effort.n, Seed(effort.seed));
    let threads = NonZeroUsize::new(effort.threads).ok_or("no thread")?;
    let table = simulate_table(simulator.as_ref(), n, seed, threads);
    let d = simulator.prior().parameters();
    let mut shape = vec![n];
    shape.extend(simulator.data_shape());
    let theta = Array::new(vec![n, d], table.theta)?;
    let source = PairSource::from_arrays(theta, Array::new(shape, table.x)?)?;
    let split = Split::by_fraction(source.kept(), 0.1, seed)?;
    let engine = match method {
        Method::Nle => Engine::Nle,
        Method::Nre => Engine::Nre(RatioLoss::DEFAULT),
        Method::Fmpe | Method::Npse => Engine::Field,
        _ => Engine::Npe,
    };
    let task = TrainingTask {
        engine,
        name: "",
        prior: simulator.prior(),
        proposal: None,
        parameters: &simulator.parameters(),
        source: &source,
        split: &split,
        nets: &nets(method, effort.likelihood, effort.ensemble, embedding),
        train: effort.train,
        x_scaling: Scaling::Independent,
        buffer_bytes: abduce_data::batches::BUFFER_BYTES,
        start: None,
        seed,
    };
    Ok(train_ensemble(&task, compute, &NoCheckpoints, &Silent)?)
}

/// A sequential run for one observation.
pub(crate) fn train_for(
    effort: &Effort,
    compute: &Compute,
    method: Method,
    task: &str,
    x_obs: &[f32],
    observation: usize,
) -> Result<Trained, Box<dyn Error>> {
    let simulator = named(task).ok_or("unknown task")?;
    let n = effort.n;
    let seed = Seed(effort.seed).derive("observation", observation as u64);
    let strategy = match method {
        Method::Snle => Strategy::Likelihood,
        Method::Snre => Strategy::Ratio(RatioLoss::DEFAULT),
        Method::Tsnpe => Strategy::Truncated { cut: 1e-4 },
        _ => Strategy::Atomic { atoms: 10, loss: AtomicLoss::Atoms },
    };
    let x_shape = simulator.data_shape();
    let task = SequentialTask {
        strategy,
        rounds: ROUNDS,
        simulations: n / ROUNDS,
        x_obs,
        x_shape: &x_shape,
        name: "",
        prior: simulator.prior(),
        parameters: &simulator.parameters(),
        nets: &nets(method, effort.likelihood, effort.ensemble, &EmbeddingSpec::Identity),
        train: effort.train,
        train_before: effort.train_before,
        validation_fraction: 0.1,
        restart: Restart::Warm,
        first_round: FirstRound::default(),
        chains: CHAINS,
        x_scaling: Scaling::Independent,
        seed,
    };
    let mut simulate = simulate(simulator.as_ref(), seed);
    Ok(train_sequential(&task, compute, &mut simulate, &NoRounds, &Silent)?)
}

/// A task as what sequential methods ask.
fn simulate(simulator: &dyn simulator::Simulator, seed: Seed) -> impl FnMut(&[f32], usize) -> Result<Vec<f32>, String> {
    let (d, width) = (simulator.prior().parameters(), simulator.data_shape().iter().product::<usize>());
    move |theta: &[f32], first: usize| {
        let mut x = vec![f32::NAN; theta.len() / d * width];
        for (i, (theta, x)) in theta.chunks_exact(d).zip(x.chunks_exact_mut(width)).enumerate() {
            let theta: Vec<f64> = theta.iter().map(|&t| f64::from(t)).collect();
            let mut rng = seed.stream("simulate", (first + i) as u64);
            if simulator.simulate(&theta, &mut rng, x) != simulator::Outcome::Done {
                x.fill(f32::NAN);
            }
        }
        Ok(x)
    }
}

/// ABC with the benchmark's options: of rejection the closest 100; populations of 100 particles (1 000 from 100 000 simulations on), a first one out of five
/// times as many, each with a fifth of the last one's distances and half of its covariance; both smoothed with a cross-validated width.
fn accept(method: Method, (task, n, seed): (&str, usize, u64), x_obs: &[f32], draws: usize) -> Result<Vec<f32>, Box<dyn Error>> {
    let simulator = named(task).ok_or("unknown task")?;
    let seed = Seed(seed);
    let x: Vec<f64> = x_obs.iter().map(|&v| f64::from(v)).collect();
    let (prior, summaries, adjustment) = (simulator.prior(), Summaries::Data, Adjustment::None);
    let mut simulate = simulate(simulator.as_ref(), seed);
    let particles = if n < 100_000 { 100 } else { 1000 };
    let sample = if method == Method::RejAbc {
        let options = RejectionAbc { simulations: n, accept: Accept::Quantile(100.0 / n as f64), summaries, adjustment, trials: 1 };
        rejection_abc(prior, &x, &options, &mut simulate, seed)?
    } else {
        let options = SmcAbc {
            particles,
            initial: 5 * particles,
            simulations: n,
            leftover: Leftover::Fill,
            decay: Decay::Quantile(0.2),
            kernel_variance_scale: 0.5,
            ess_min: None,
            summaries,
            adjustment,
            trials: 1,
        };
        smc_abc(prior, &x, &options, &mut simulate, seed)?.0
    };
    let density = KernelDensity::new(&sample, prior.support(), Bandwidth::CrossValidated)?;
    let mut theta = vec![0.0; prior.parameters()];
    let mut rng = seed.stream("kernels", 0);
    let mut out = Vec::with_capacity(draws * theta.len());
    for _ in 0..draws {
        density.sample(&mut rng, &mut theta);
        out.extend(theta.iter().map(|&t| t as f32));
    }
    Ok(out)
}

/// 100 chains, as in the benchmark.
const CHAINS: ChainOptions = ChainOptions {
    method: sampler::Method::Slice(SliceOptions { init_width: None, max_step_out: 64 }),
    num_chains: Some(100),
    warmup_steps: 100,
    thin: 10,
    start_batches: 100,
    extensions: 3,
};

fn draws_of(posterior: &Posterior, compute: &Compute, x: &[f32], draws: usize, seed: u64) -> Result<Vec<f32>, Box<dyn Error>> {
    let seed = Seed(seed).derive("posterior", 0);
    if posterior.is_normalised() {
        return Ok(posterior.sample(compute, x, draws, seed)?);
    }
    Ok(posterior.sample_chains(compute, x, 1, draws, &CHAINS, seed)?.theta)
}

fn measure(options: &Options, compute: &Compute, method: Method, task: &str, n: usize, seed: u64) -> Result<Cell, Box<dyn Error>> {
    let references = options.references.join(task);
    let observations = npy::read::<f32>(&references.join("observation.npy"))?;
    let reference = npy::read::<f32>(&references.join("reference_posterior.npy"))?;
    let (draws, d) = (reference.shape()[1], reference.shape()[2]);
    let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let score = |samples: &[f32], i: usize| -> Result<f64, Box<dyn Error>> {
        Ok(c2st(&wide(reference.row(i)), &wide(samples), d, Seed(1), compute.simd, &compute.threads)?.score)
    };
    let mut cell = Cell { task: task.to_owned(), n, seed, ..Cell::default() };
    let ema_decay = (method.is_field() && options.average > 0.0).then_some(options.average);
    let effort = Effort {
        n,
        seed,
        ensemble: options.ensemble,
        likelihood: options.likelihood,
        threads: options.threads,
        train: TrainConfig { ema_decay, ..options.protocol.training(n, method) },
        train_before: TrainConfig { ema_decay, ..options.protocol.training_before(n, method) },
    };
    let start = Instant::now();
    if method.is_abc() {
        for i in 0..observations.rows() {
            let begun = Instant::now();
            let own = accept(method, (task, n, seed), observations.row(i), draws)?;
            cell.train_seconds += begun.elapsed().as_secs_f64() / observations.rows() as f64;
            cell.single.push(score(&own, i)?);
        }
        cell.ensemble.clone_from(&cell.single);
        return Ok(cell);
    }
    if method.is_sequential() {
        for i in 0..observations.rows() {
            let begun = Instant::now();
            let trained = train_for(&effort, compute, method, task, observations.row(i), i)?;
            let own = draws_of(&trained.posterior, compute, observations.row(i), draws, seed)?;
            cell.train_seconds += begun.elapsed().as_secs_f64() / observations.rows() as f64;
            cell.single.push(score(&own, i)?);
            cell.keep(&trained);
        }
        cell.ensemble.clone_from(&cell.single);
        return Ok(cell);
    }
    let trained = train(&effort, compute, method, task, &EmbeddingSpec::Identity)?;
    cell.keep(&trained);
    let scores = |posterior: &Posterior| -> Result<(Vec<f64>, f64), Box<dyn Error>> {
        let begun = Instant::now();
        let samples = draws_of(posterior, compute, observations.data(), draws, seed)?;
        let seconds = begun.elapsed().as_secs_f64();
        let all = (0..observations.rows()).map(|i| score(&samples[i * draws * d..(i + 1) * draws * d], i));
        Ok((all.collect::<Result<_, _>>()?, seconds))
    };
    cell.train_seconds = start.elapsed().as_secs_f64();
    (cell.single, cell.sample_seconds) = scores(&trained.posterior.member(0))?;
    cell.ensemble = if options.ensemble > 1 { scores(&trained.posterior)?.0 } else { cell.single.clone() };
    Ok(cell)
}

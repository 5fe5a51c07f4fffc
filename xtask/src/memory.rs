//! Training on files larger than memory: anonymous memory and throughput against the same rows in memory.

use crate::Outcome;
use crate::cells::folder;
use abduce_data::npy::{write_header, write_values};
use abduce_data::{PairSource, ParameterInfo, Scaling, Seed, Split};
use abduce_density::DensitySpec;
use abduce_inference::prior::{Bounds, PerParameter, Prior, PriorSpec};
use abduce_inference::training::{Engine, NetSpec, NetworkSpec, NoCheckpoints, TrainingTask, train_ensemble};
use abduce_nn::trainer::TrainConfig;
use abduce_nn::{Compute, EmbeddingSpec};
use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Rows.
    #[arg(long, default_value_t = 1_000_000)]
    rows: usize,
    /// Features of x.
    #[arg(long, default_value_t = 100)]
    features: usize,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Also train from memory, for the ratio of throughputs.
    #[arg(long)]
    compare: bool,
}

const PARAMETERS: usize = 5;

pub(crate) fn run(options: &Options) -> Outcome {
    let folder = folder("memory")?;
    let (theta, x) = (folder.join("theta.npy"), folder.join("x.npy"));
    write_pairs(options, &theta, &x)?;
    let from_files = measure(options, &theta, &x, 0)?;
    println!("{} x {} from files: {}", options.rows, options.features, from_files);
    if options.compare {
        let from_memory = measure(options, &theta, &x, usize::MAX)?;
        println!("the same from memory: {from_memory}");
        println!("throughput, files over memory: {:.2}", from_memory.seconds / from_files.seconds);
    }
    std::fs::remove_file(theta)?;
    std::fs::remove_file(x)?;
    Ok(())
}

/// x_j = θ_{j mod 5} + noise, written row by row.
fn write_pairs(options: &Options, theta: &Path, x: &Path) -> Outcome {
    let mut rng = Seed(1).stream("memory", 0);
    let mut rows = vec![0.0f32; PARAMETERS * options.rows];
    rows.fill_with(|| rng.uniform() as f32);
    abduce_data::artefact::write_atomic(theta, |out| {
        write_header::<f32>(out, &[options.rows, PARAMETERS])?;
        write_values(out, &rows)
    })?;
    abduce_data::artefact::write_atomic(x, |out| {
        write_header::<f32>(out, &[options.rows, options.features])?;
        let mut row = vec![0.0f32; options.features];
        for theta in rows.chunks_exact(PARAMETERS) {
            for (j, value) in row.iter_mut().enumerate() {
                *value = theta[j % PARAMETERS] + rng.uniform() as f32;
            }
            write_values(out, &row)?;
        }
        Ok(())
    })?;
    Ok(())
}

struct Measured {
    seconds: f64,
    anonymous_mb: usize,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} s per epoch, at most {} MB of anonymous memory", self.seconds, self.anonymous_mb)
    }
}

fn measure(options: &Options, theta: &Path, x: &Path, memory_bytes: usize) -> Result<Measured, Box<dyn Error>> {
    let (stop, peak) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                peak.fetch_max(anonymous_kb(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let seconds = train(options, theta, x, memory_bytes);
        stop.store(true, Ordering::Relaxed);
        Ok(Measured { seconds: seconds?, anonymous_mb: peak.load(Ordering::Relaxed) / 1024 })
    })
}

/// Seconds of the second of two epochs.
fn train(options: &Options, theta: &Path, x: &Path, memory_bytes: usize) -> Result<f64, Box<dyn Error>> {
    let source = PairSource::open(theta, x, memory_bytes)?;
    let split = Split::by_fraction(source.kept(), 0.1, Seed(1))?;
    let bounds = |v: f64| PerParameter::Each(vec![v; PARAMETERS]);
    let prior = Prior::new(PriorSpec::Uniform(Bounds { low: bounds(0.0), high: bounds(1.0) }))?;
    let net = NetSpec {
        network: NetworkSpec::Density(DensitySpec::Maf { transforms: 5, hidden: vec![50, 50] }),
        embedding: EmbeddingSpec::Identity,
        signature: String::new(),
    };
    let task = TrainingTask {
        engine: Engine::Npe,
        name: "",
        prior: &prior,
        proposal: None,
        parameters: &ParameterInfo::numbered(PARAMETERS),
        source: &source,
        split: &split,
        nets: &[net],
        train: TrainConfig { batch_size: 512, max_epochs: Some(2), ..TrainConfig::default() },
        x_scaling: Scaling::Independent,
        buffer_bytes: abduce_data::batches::BUFFER_BYTES,
        start: None,
        seed: Seed(1),
    };
    let clock = Clock::default();
    train_ensemble(&task, &Compute::with_threads(options.threads), &NoCheckpoints, &clock)?;
    let ends = clock.0.into_inner().map_err(|_| "an epoch panicked")?;
    Ok((ends[1] - ends[0]).as_secs_f64())
}

/// When epochs ended.
#[derive(Default)]
struct Clock(std::sync::Mutex<Vec<Instant>>);

impl abduce_inference::training::Observer for Clock {
    fn epoch(&self, _net: usize, _state: &abduce_nn::trainer::TrainState) -> std::ops::ControlFlow<()> {
        if let Ok(mut ends) = self.0.lock() {
            ends.push(Instant::now());
        }
        std::ops::ControlFlow::Continue(())
    }
}

/// RssAnon of this process.
fn anonymous_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

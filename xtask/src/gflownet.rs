//! Hypergrids by trajectory balance with the settings of torchgfn, judged by the exact distribution.

use crate::Outcome;
use crate::cells::median;
use abduce_data::Seed;
use abduce_gflownet::environment::Hypergrid;
use abduce_gflownet::{Enumerable, Loss, Policy, PolicySpec, ReplayConfig, TrainConfig, exact, train};
use abduce_nn::Compute;
use std::ops::ControlFlow;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Trajectories of a run.
    #[arg(long, default_value_t = 32_000)]
    trajectories: usize,
    /// Training seeds.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3,4,5")]
    seeds: Vec<u64>,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Half of every batch from a memory of this many ends; 0: none.
    #[arg(long, default_value_t = 0)]
    replay: usize,
}

/// (dimensions, height, batch), torchgfn's exact L1 and ms per iteration on one thread.
const CASES: [(usize, usize, usize, &str, f64); 3] = [(2, 8, 16, "0.040", 16.3), (2, 8, 128, "0.0021", 35.0), (4, 8, 128, "0.285", 54.0)];

/// Learned P_B, MLP 2 × 256, Adam 1e-3, log Z at 0.1, clipping at 1, on-policy.
pub(crate) fn run(options: &Options) -> Outcome {
    let compute = Compute::with_threads(options.threads);
    println!("| grid | batch | iterations | exact L1, mean [seeds] | error of log Z | ms per iteration, median | torchgfn L1, ms |");
    println!("|---|---|---|---|---|---|---|");
    for (dimensions, height, batch, peer_l1, peer_ms) in CASES {
        let env = Hypergrid { dimensions, height, ..Hypergrid::default() };
        let iterations = options.trajectories / batch;
        let loss = Loss::TrajectoryBalance {};
        let policy = Policy::new(&PolicySpec::default(), loss.exit(), &env, &[]);
        let replay = ReplayConfig { capacity: options.replay, ..ReplayConfig::default() };
        let config = TrainConfig { iterations, batch, replay, ..TrainConfig::default() };
        let (mut l1, mut log_z, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for &seed in &options.seeds {
            let mut last = Instant::now();
            let trained = train(&env, &policy, &loss, &config, &compute, Seed(seed), &mut |_, _| {
                times.push(1e3 * last.elapsed().as_secs_f64());
                last = Instant::now();
                ControlFlow::Continue(())
            })?;
            let found = exact(&env, &policy, &compute, &trained.params);
            l1.push(found.l1);
            log_z.push((trained.log_z.unwrap_or(f64::NAN) - found.log_z).abs());
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let each: Vec<String> = l1.iter().map(|l| format!("{l:.4}")).collect();
        println!(
            "| {height}^{dimensions} ({} states) | {batch} | {iterations} | {:.4} [{}] | {:.4} | {:.2} | {peer_l1}, {peer_ms} |",
            env.states().len(),
            mean(&l1),
            each.join(", "),
            mean(&log_z),
            median(times.iter().copied()),
        );
    }
    Ok(())
}

//! Ordered against plain summaries of the same size: C2ST against draws of the exact posterior, and how many summaries matter.

use crate::Outcome;
use crate::cells::{cell, folder, median};
use crate::published::{Method, Protocol};
use crate::sbibm::{Effort, train};
use abduce_data::{Seed, npy};
use abduce_inference::diagnostics::c2st;
use abduce_inference::simulator::{named, simulate_table};
use abduce_nn::widths::Weights;
use abduce_nn::{ActivationName, Compute, EmbeddingSpec};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

const TASKS: [&str; 2] = ["slcp", "ltu_ili_toy"];
/// Observations of the toy.
const OBSERVATIONS: usize = 10;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Tasks: slcp, ltu_ili_toy.
    #[arg(long, value_delimiter = ',', default_values = TASKS)]
    tasks: Vec<String>,
    /// Simulations.
    #[arg(long, default_value_t = 3000)]
    n: usize,
    /// Training seeds.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    seeds: Vec<u64>,
    /// Most summaries.
    #[arg(long, default_value_t = 8)]
    latents: usize,
    /// Draws per observation.
    #[arg(long, default_value_t = 3000)]
    draws: usize,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// The folder with one sub-folder per task: observation.npy (10, …) and reference_posterior.npy (10, 10000, d).
    #[arg(long, default_value = "../shared/data/sbibm")]
    references: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Cell {
    /// C2ST per observation.
    c2st: Vec<f64>,
    /// Held-out ln q of the best epoch; of ordered summaries the mean over widths, no figure to compare.
    best_validation: f64,
    /// How many summaries matter, its interval, and nats by their number: ordered ones only.
    matter: Option<(usize, [usize; 2], Vec<f64>)>,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let folder = folder("ordered")?;
    let compute = Compute::with_threads(options.threads);
    println!("| task | summaries | seeds | C2ST, median [range] | matter | nats by number of summaries |\n|---|---|---|---|---|---|");
    for task in &options.tasks {
        let plain = EmbeddingSpec::Fcn { hidden: vec![64, 64, options.latents], activation: ActivationName::SiLU };
        let ordered = EmbeddingSpec::Iob { network: Box::new(plain.clone()), fixed: 0, weights: Weights::Linear };
        let Some(observed) = observed(task, options.draws, &options.references)? else {
            println!("skipped: no reference posteriors of {task} in {}", options.references.display());
            continue;
        };
        for (name, embedding) in [("plain", &plain), ("ordered", &ordered)] {
            let mut cells: Vec<Cell> = Vec::new();
            for &seed in &options.seeds {
                let file = format!("{task}-{name}-{}-{}-{}-{seed}", options.n, options.latents, options.draws);
                cells.push(cell(&folder, &file, || measure(options, &compute, task, embedding, &observed, seed))?);
            }
            let mean = |cell: &Cell| cell.c2st.iter().sum::<f64>() / cell.c2st.len() as f64;
            let (low, high) = cells.iter().map(mean).fold((1.0f64, 0.0f64), |(l, h), c| (l.min(c), h.max(c)));
            let matter: Vec<String> =
                cells.iter().filter_map(|c| c.matter.as_ref()).map(|(k, [a, b], _)| format!("{k} ({a} to {b})")).collect();
            let nats = cells
                .first()
                .and_then(|c| c.matter.as_ref())
                .map(|(_, _, nats)| nats.iter().map(|v| format!("{v:.2}")).collect::<Vec<_>>());
            println!(
                "| {task} | {name} | {} | {:.3} [{low:.3} .. {high:.3}] | {} | {} |",
                cells.len(),
                median(cells.iter().map(mean)),
                matter.join(", "),
                nats.unwrap_or_default().join(" ")
            );
        }
    }
    Ok(())
}

/// Observations and exact draws for each.
struct Observed {
    x: Vec<f32>,
    draws: Vec<Vec<f64>>,
}

fn observed(task: &str, draws: usize, references: &Path) -> Result<Option<Observed>, Box<dyn Error>> {
    if task == "ltu_ili_toy" {
        return Ok(Some(toy(draws)?));
    }
    let references = references.join(task);
    if !references.is_dir() {
        return Ok(None);
    }
    let x = npy::read::<f32>(&references.join("observation.npy"))?.into_data();
    let all = npy::read::<f32>(&references.join("reference_posterior.npy"))?;
    let d = all.shape()[2];
    let draws = (0..all.rows()).map(|i| all.row(i).iter().take(draws * d).map(|&v| f64::from(v)).collect()).collect();
    Ok(Some(Observed { x, draws }))
}

/// Observations of the toy and draws of their posteriors. y = A θ + N(0, 1) with θ ~ U[0, 1]³: a Gaussian with mean (AᵀA)⁻¹Aᵀy and precision AᵀA, cut to the
/// box; a draw is one of the Gaussian that lies inside.
fn toy(draws: usize) -> Result<Observed, Box<dyn Error>> {
    const D: usize = 3;
    let simulator = named("ltu_ili_toy").ok_or("unknown task")?;
    let table = simulate_table(simulator.as_ref(), OBSERVATIONS, Seed(1_000_003), NonZeroUsize::MIN);
    let rows: Vec<[f64; D]> = (0..10).map(f64::from).map(|t: f64| [3.0 * t.sin(), t * t, -2.0 * t]).collect();
    // L of AᵀA = L Lᵀ.
    let mut lower = [[0.0f64; D]; D];
    for i in 0..D {
        for j in 0..=i {
            let rest = rows.iter().map(|a| a[i] * a[j]).sum::<f64>() - (0..j).map(|k| lower[i][k] * lower[j][k]).sum::<f64>();
            lower[i][j] = if i == j { rest.sqrt() } else { rest / lower[j][j] };
        }
    }
    // θ = L⁻ᵀ (L⁻¹ Aᵀ y + z).
    let back = |mut v: [f64; D]| {
        for i in (0..D).rev() {
            v[i] = (v[i] - (i + 1..D).map(|k| lower[k][i] * v[k]).sum::<f64>()) / lower[i][i];
        }
        v
    };
    let mut all = Vec::new();
    for (o, y) in table.x.chunks_exact(rows.len()).enumerate() {
        let mut whitened = [0.0; D];
        for i in 0..D {
            let along: f64 = rows.iter().zip(y).map(|(a, &y)| a[i] * f64::from(y)).sum();
            whitened[i] = (along - (0..i).map(|k| lower[i][k] * whitened[k]).sum::<f64>()) / lower[i][i];
        }
        let mut rng = Seed(7).stream("exact", o as u64);
        let mut own = Vec::with_capacity(draws * D);
        while own.len() < draws * D {
            let theta = back(whitened.map(|m| m + rng.normal()));
            if theta.iter().all(|t| (0.0..=1.0).contains(t)) {
                own.extend(theta);
            }
        }
        all.push(own);
    }
    Ok(Observed { x: table.x, draws: all })
}

fn measure(
    options: &Options,
    compute: &Compute,
    task: &str,
    embedding: &EmbeddingSpec,
    observed: &Observed,
    seed: u64,
) -> Result<Cell, Box<dyn Error>> {
    let training = Protocol::Benchmark.training(options.n, Method::Npe);
    let effort = Effort::single(options.n, seed, options.threads, training);
    let trained = train(&effort, compute, Method::Npe, task, embedding)?;
    let draws = trained.posterior.sample(compute, &observed.x, options.draws, Seed(seed).derive("posterior", 0))?;
    let own = draws.chunks_exact(draws.len() / observed.draws.len());
    let mut scores = Vec::new();
    for (own, exact) in own.zip(&observed.draws) {
        let d = own.len() / options.draws;
        let own: Vec<f64> = own.iter().map(|&v| f64::from(v)).collect();
        scores.push(c2st(exact, &own, d, Seed(1), compute.simd, &compute.threads)?.score);
    }
    let best_validation = trained.progress.iter().find_map(|p| p.best_validation()).unwrap_or(f64::NAN);
    let matter = trained.information.map(|curve| (curve.matter, curve.matter_interval, curve.nats));
    Ok(Cell { c2st: scores, best_validation, matter })
}

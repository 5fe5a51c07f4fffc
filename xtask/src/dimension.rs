//! Intrinsic dimension: the table of the twelve manifolds, clouds that no setting was chosen on, and times.

use crate::Outcome;
use crate::cells::{cell, folder, median};
use crate::manifolds::{Manifold, others, visible};
use abduce_data::{Array, Seed, npy};
use abduce_dimension::{Cloud, CombinedSettings, Crew, Method, Neighbours, combined, survey};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to run.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "visible,others,times")]
    parts: Vec<Part>,
    /// Points per cloud.
    #[arg(long, value_delimiter = ',', default_value = "2500,10000")]
    n: Vec<usize>,
    /// Seeds of the clouds that are drawn here, and of the estimates.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    seeds: Vec<u64>,
    /// Folder with the samples `NAME_n2500.npy`, which serve as seed 0 of the visible manifolds.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Standard deviation of noise added to each value, as a share of the cloud's rms.
    #[arg(long, default_value_t = 0.0)]
    noise: f64,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Visible,
    Others,
    Times,
}

#[derive(Serialize, Deserialize)]
struct Cell {
    dimension: usize,
    columns: usize,
    combined: f64,
    interval: [f64; 2],
    peers: Vec<(String, f64)>,
    seconds: f64,
}

/// Methods beside the combined one.
const PEERS: [Method; 8] =
    [Method::Lpca, Method::TwoNn, Method::Mle, Method::CorrInt, Method::MindMl, Method::Tle, Method::Gride, Method::FisherS];

/// Runs the parts and prints their tables.
pub(crate) fn run(options: &Options) -> Outcome {
    let crew = Crew::with_threads(options.threads);
    for &n in &options.n {
        if options.parts.contains(&Part::Visible) {
            table(options, "visible", &visible(), n, &crew)?;
        }
        if options.parts.contains(&Part::Others) {
            table(options, "others", &others(), n, &crew)?;
        }
    }
    if options.parts.contains(&Part::Times) {
        times(&crew)?;
    }
    Ok(())
}

fn table(options: &Options, part: &str, manifolds: &[Manifold], n: usize, crew: &Crew) -> Outcome {
    let folder = folder("dimension")?;
    let files = options.data.as_ref().filter(|_| part == "visible" && n == 2500);
    let mut seeds: Vec<u64> = files.iter().map(|_| 0).collect();
    seeds.extend(&options.seeds);
    let mut rows = Vec::new();
    for manifold in manifolds {
        for &seed in &seeds {
            let name = format!("{part}-{}-{n}-{}-{seed}", manifold.name.replace(['/', ' '], "_"), options.noise);
            rows.push((
                manifold,
                cell(&folder, &name, || {
                    let mut array = match files {
                        Some(files) if seed == 0 => npy::read::<f64>(&files.join(format!("{}_n2500.npy", manifold.name)))?,
                        _ => {
                            let (columns, values) = manifold.draw(n, &mut Seed(seed).stream(manifold.name, n as u64));
                            Array::new(vec![n, columns], values)?
                        }
                    };
                    if options.noise > 0.0 {
                        let mean = array.data().iter().sum::<f64>() / array.data().len() as f64;
                        let rms = (array.data().iter().map(|v| (v - mean).powi(2)).sum::<f64>() / array.data().len() as f64).sqrt();
                        let mut rng = Seed(seed).stream("noise", n as u64);
                        array.data_mut().iter_mut().for_each(|v| *v += options.noise * rms * rng.normal());
                    }
                    measure(manifold.dimension, &array, seed, crew)
                })?,
            ));
        }
    }
    println!("\n{part}, n = {n}, noise {} of the rms, {} cloud(s) each\n", options.noise, seeds.len());
    println!("| manifold | d | D | combined | 95 % |{}", PEERS.map(|m| format!(" {} |", m.name())).concat());
    println!("|---|---|---|---|---|{}", "---|".repeat(PEERS.len()));
    for (manifold, cell) in &rows {
        let peers: String = cell.peers.iter().map(|(_, d)| format!(" {d:.1} |")).collect();
        let [low, high] = cell.interval;
        println!("| {} | {} | {} | {:.2} | [{low:.1}, {high:.1}] |{peers}", manifold.name, cell.dimension, cell.columns, cell.combined);
    }
    let error = |estimate: f64, d: usize| 100.0 * (estimate / d as f64 - 1.0).abs();
    let count = rows.len() as f64;
    let mean = |f: &dyn Fn(&Cell) -> f64| rows.iter().map(|(_, cell)| f(cell)).sum::<f64>() / count;
    let share = |f: &dyn Fn(&Cell) -> bool| rows.iter().filter(|(_, cell)| f(cell)).count();
    let peers: String = (0..PEERS.len()).map(|i| format!(" {:.1} |", mean(&|cell| error(cell.peers[i].1, cell.dimension)))).collect();
    println!("| **mean abs % error** | | | **{:.2}** | |{peers}", mean(&|cell| error(cell.combined, cell.dimension)));
    let right: String =
        (0..PEERS.len()).map(|i| format!(" {} |", share(&|cell| cell.peers[i].1.round() == cell.dimension as f64))).collect();
    println!("| rounds right, of {} | | | {} | |{right}", rows.len(), share(&|cell| cell.combined.round() == cell.dimension as f64));
    let covered = share(&|cell| cell.interval[0] <= cell.dimension as f64 && cell.dimension as f64 <= cell.interval[1]);
    println!(
        "\nintervals of 95 % that hold the truth: {covered} of {}; seconds of the combined estimate: median {:.1}, largest {:.1}",
        rows.len(),
        median(rows.iter().map(|(_, cell)| cell.seconds)),
        rows.iter().fold(0.0f64, |m, (_, cell)| m.max(cell.seconds))
    );
    Ok(())
}

fn measure(dimension: usize, array: &Array<f64>, seed: u64, crew: &Crew) -> Result<Cell, Box<dyn std::error::Error>> {
    let cloud = Cloud::new(array)?;
    let settings = CombinedSettings { seed: Seed(seed), ..CombinedSettings::default() };
    let start = Instant::now();
    let found = combined(&cloud, settings, crew)?;
    let seconds = start.elapsed().as_secs_f64();
    let peers = survey(&cloud, &PEERS, settings, crew)?.findings;
    let peers = peers.iter().map(|f| (f.method.name().to_owned(), f.estimate.as_ref().map_or(f64::NAN, |e| e.dimension))).collect();
    Ok(Cell { dimension, columns: array.row_len(), combined: found.dimension, interval: found.interval, peers, seconds })
}

/// N = 20 000 points of a 5-dimensional plane with noise in D = 50, each estimator with its own search: the median of five runs.
fn times(crew: &Crew) -> Outcome {
    let (n, columns) = (20_000, 50);
    let mut rng = Seed(1).stream("times", 0);
    let axes: Vec<f64> = (0..5 * columns).map(|_| rng.normal()).collect();
    let mut values = Vec::with_capacity(n * columns);
    for _ in 0..n {
        let x: Vec<f64> = (0..5).map(|_| rng.uniform()).collect();
        values.extend((0..columns).map(|j| (0..5).map(|i| x[i] * axes[i * columns + j]).sum::<f64>() + 0.01 * rng.normal()));
    }
    let array = Array::new(vec![n, columns], values)?;
    println!("\nN = {n}, D = {columns}, {} threads, {}, seconds, median of 5 [least .. most]\n", crew.threads.count(), crew.simd);
    println!("| step | seconds |\n|---|---|");
    let print = |name: &str, times: &[f64]| {
        let (low, high) = times.iter().fold((f64::INFINITY, 0.0f64), |(l, h), t| (l.min(*t), h.max(*t)));
        println!("| {name} | {:.3} [{low:.3} .. {high:.3}] |", median(times.iter().copied()));
    };
    let timed = |f: &mut dyn FnMut() -> Outcome| -> Result<Vec<f64>, Box<dyn std::error::Error>> {
        (0..5)
            .map(|_| {
                let start = Instant::now();
                f()?;
                Ok(start.elapsed().as_secs_f64())
            })
            .collect()
    };
    print("cleaning", &timed(&mut || Ok(Cloud::new(&array).map(|_| ())?))?);
    let cloud = Cloud::new(&array)?;
    for (name, k) in [("2 neighbours (TwoNN, GRIDE)", 2), ("20 (MLE, MADA)", 20), ("64 (GRIDE by scale)", 64), ("100 (MOM, ESS)", 100)] {
        print(name, &timed(&mut || Ok(Neighbours::of_all(&cloud, k, crew).map(|_| ())?))?);
    }
    for method in [Method::CorrInt, Method::Tle, Method::Lpca, Method::FisherS] {
        let run = &mut || Ok(survey(&cloud, &[method], CombinedSettings::default(), crew).map(|_| ())?);
        print(&format!("{} with 64 neighbours", method.name()), &timed(run)?);
    }
    let small = cloud.subset(&(0..2000).collect::<Vec<_>>());
    print("ESS, N = 2 000", &timed(&mut || Ok(survey(&small, &[Method::Ess], CombinedSettings::default(), crew).map(|_| ())?))?);
    let ten = cloud.subset(&(0..10_000).collect::<Vec<_>>());
    print("combined, N = 10 000", &timed(&mut || Ok(combined(&ten, CombinedSettings::default(), crew).map(|_| ())?))?);
    Ok(())
}

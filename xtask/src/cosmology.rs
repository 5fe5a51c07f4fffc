//! Particle-mesh runs, haloes and estimators: how fast, how large, and how right.

use crate::Outcome;
use abduce_cosmology::Cosmology;
use abduce_cosmology::background::Radiation;
use abduce_cosmology::fft::MeshFft;
use abduce_cosmology::growth::Growth;
use abduce_cosmology::halos::{FriendsOfFriends, Spheres, friends_of_friends, spherical_overdensity};
use abduce_cosmology::initial::{Derivative, LinearField, ModeCut, Order, WhiteNoise};
use abduce_cosmology::massfunction::{Concentration, HaloPopulation, MassDefinition, MassFunction};
use abduce_cosmology::mesh::{Convention, Grid, Scheme, Weights, deposit};
use abduce_cosmology::pm::{
    Estimate, Forecast, Kernel, LatticeStart, PmError, PmOptions, Progress, Schedule, ShortRange, Snapshot, Solver, Spacing,
};
use abduce_cosmology::power::{LinearPower, Oscillations};
use abduce_cosmology::statistics::{Binning, BispectrumPlan, Interlacing, PowerOptions, Triangle, modes_of_points, power_spectrum};
use abduce_data::{Array, Seed, npy};
use abduce_kernels::Threads;
use clap::{Args, ValueEnum};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Painting, power, bispectrum and friends of friends of 128³ particles, and a step of the run that made them.
    Speed,
    /// P_l of an interlaced N = 128 mesh against one of N = 512.
    Interlacing,
    /// Friends of friends against Bhattacharya et al. 2011, spheres against Tinker et al. 2008 and Diemer & Joyce 2019.
    MassFunction,
    /// Time and memory of a run against its estimate.
    Estimate,
}

#[derive(Args)]
pub(crate) struct Options {
    /// What to check.
    what: What,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Particles per side.
    #[arg(long, default_value_t = 128)]
    particles: usize,
    /// Side of the box [Mpc/h].
    #[arg(long, default_value_t = 500.0)]
    box_size: f64,
    /// Mesh cells per particle and side.
    #[arg(long, default_value_t = 1)]
    mesh_factor: usize,
    /// Steps.
    #[arg(long, default_value_t = 10)]
    steps: usize,
    /// Scale factor of the start.
    #[arg(long, default_value_t = 0.1)]
    start: f64,
    /// Kernel of the force: 1_4, 3_4, 5_4, gadget, optimal, naive, eastwood.
    #[arg(long, default_value = "optimal", value_parser = named::<Kernel>)]
    kernel: Kernel,
    /// Steps equal in a (linear) or in ln a (logarithmic).
    #[arg(long, default_value = "linear", value_parser = named::<Spacing>)]
    spacing: Spacing,
    /// P³M: adds forces of pairs, softened at this many spacings.
    #[arg(long)]
    pairs: Option<f64>,
    /// Seeds.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    seeds: Vec<u64>,
    /// Writes the positions of the first run as npy, for peers.
    #[arg(long)]
    save: Option<PathBuf>,
}

/// A value by the name that files give it.
fn named<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(name.into()).map_err(|error| error.to_string())
}

impl Options {
    fn solver(&self) -> PmOptions {
        let short_range = self.pairs.map(|softening| ShortRange { softening, ..ShortRange::default() });
        PmOptions { mesh_factor: self.mesh_factor, kernel: self.kernel, short_range, ..PmOptions::default() }
    }

    fn simulate(&self, seed: u64, last: f64, threads: &Threads) -> Result<Snapshot, PmError> {
        let cosmology = Cosmology::QUIJOTE;
        let growth = Growth::new(&cosmology, Radiation::Neglected)?;
        let power = LinearPower::eisenstein_hu(&cosmology, Oscillations::Wiggles)?;
        let noise = WhiteNoise::gaussian(Seed(seed));
        let begun = Instant::now();
        let field = LinearField::<f32>::draw(&power, self.particles, self.box_size, &noise, ModeCut::Cube, threads)?;
        let perturbation = field.perturbation(Order::Second, Derivative::Spectral, threads)?;
        drop(field);
        let start = perturbation.at(&growth, self.start, threads)?;
        drop(perturbation);
        let lattice = LatticeStart {
            per_side: self.particles,
            box_size_mpc_h: self.box_size,
            displacements: &start.displacements,
            momenta: &start.momenta,
            perturbation: None,
        };
        let schedule = Schedule::spaced(self.start, last, self.steps, self.spacing, &[])?;
        let solver = self.solver();
        let spacing = self.box_size / self.particles as f64;
        let forecast = Forecast::new(&schedule, &[last], &solver, spacing, &growth, &power);
        let mut solver = Solver::new(&lattice, &growth, schedule, &solver, threads)?;
        drop(start);
        println!("initial conditions {:.2} s", begun.elapsed().as_secs_f64());
        let mut times = Vec::new();
        let mut clock = Instant::now();
        let mut kept = None;
        let mut on_pairs = Duration::ZERO;
        let mut first = [(Duration::ZERO, Duration::ZERO); 3];
        let progress = |at: Progress| {
            let time = clock.elapsed();
            if at.done == 0 {
                println!("first force {:.3} s", time.as_secs_f64());
            } else if at.done <= first.len() {
                first[at.done - 1] = (time, at.on_pairs - on_pairs);
                if at.done == first.len() {
                    println!("about {:.2} s for {} steps", forecast.duration(first).as_secs_f64(), at.steps);
                }
            }
            if at.done > 0 {
                times.push(time.as_secs_f64());
            }
            on_pairs = at.on_pairs;
            clock = Instant::now();
            ControlFlow::Continue(())
        };
        solver.run(&[last], threads, progress, |snapshot| {
            kept = Some(snapshot);
            Ok::<(), PmError>(())
        })?;
        let total: f64 = times.iter().sum();
        println!("steps: {times:.3?}");
        times.sort_by(f64::total_cmp);
        println!("steps: {total:.2} s in all, median {:.3} s, best {:.3} s", times[times.len() / 2], times[0]);
        kept.ok_or(PmError::Range { name: "snapshots", value: 0.0, range: "1" })
    }
}

/// Best and median of some repetitions in seconds.
fn time(what: &str, mut work: impl FnMut() -> Result<(), Box<dyn std::error::Error>>) -> Outcome {
    let mut times = Vec::new();
    for _ in 0..7 {
        let begun = Instant::now();
        work()?;
        times.push(begun.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    println!("{what:40} best {:.4} s, median {:.4} s", times[0], times[3]);
    Ok(())
}

/// A result that was only to be timed.
fn keep<T, E: std::error::Error + 'static>(result: Result<T, E>) -> Outcome {
    result.map(drop).map_err(Into::into)
}

pub(crate) fn run(options: &Options) -> Outcome {
    let threads = Threads::new(options.threads);
    match options.what {
        What::Speed => speed(options, &threads),
        What::Interlacing => interlacing(options, &threads),
        What::MassFunction => mass_function(options, &threads),
        What::Estimate => estimate(options, &threads),
    }
}

fn speed(options: &Options, threads: &Threads) -> Outcome {
    let snapshot = options.simulate(options.seeds[0], 2.0 / 3.0, threads)?;
    println!("peak memory {:.1} bytes per particle", peak_bytes()? / options.particles.pow(3) as f64);
    let points = &snapshot.positions;
    if let Some(path) = &options.save {
        npy::write(path, &Array::new(vec![points.len(), 3], points.as_flattened().to_vec())?)?;
    }
    let grid = Grid::new(options.particles, options.box_size)?;
    let fft = MeshFft::new([grid.cells(); 3])?;
    time("CIC", || keep(deposit(points, Weights::Equal, grid, Scheme::Cic, Convention::Cells, 0.0, threads)))?;
    time("TSC", || keep(deposit(points, Weights::Equal, grid, Scheme::Tsc, Convention::Cells, 0.0, threads)))?;
    let modes = modes_of_points(points, Weights::Equal, grid, Scheme::Cic, Interlacing::Off, &fft, threads)?;
    let mesh = deposit(points, Weights::Equal, grid, Scheme::Cic, Convention::Cells, 0.0, threads)?;
    time("P_0,2,4 of a mesh", || {
        let modes = abduce_cosmology::statistics::modes_of_field(&mesh, grid, Some(Scheme::Cic), &fft, threads)?;
        keep(power_spectrum(&modes, &PowerOptions::along_z(), threads))
    })?;
    time("P_0,2,4 of particles, interlaced TSC", || {
        let modes = modes_of_points(points, Weights::Equal, grid, Scheme::Tsc, Interlacing::On, &fft, threads)?;
        keep(power_spectrum(&modes, &PowerOptions::along_z(), threads))
    })?;
    let triangles = || -> Vec<Triangle> {
        (0..8).map(|i| Triangle::from_angle(0.2, 0.3, 0.1 + (std::f64::consts::PI - 0.2) * f64::from(i) / 7.0)).collect()
    };
    let kf = grid.fundamental_h_per_mpc();
    let plan = BispectrumPlan::new(grid, triangles(), kf, None, threads)?;
    time("B, 8 angles, triangles counted anew", || {
        let plan = BispectrumPlan::new(grid, triangles(), kf, None, threads)?;
        keep(plan.measure(&modes, threads))
    })?;
    time("B, 8 angles", || keep(plan.measure(&modes, threads)))?;
    time("friends of friends", || keep(friends_of_friends(points, options.box_size, &FriendsOfFriends::default(), threads)))
}

fn interlacing(options: &Options, threads: &Threads) -> Outcome {
    let snapshot = options.simulate(options.seeds[0], 1.0, threads)?;
    let measure = |cells: usize, interlacing| -> Result<_, Box<dyn std::error::Error>> {
        let grid = Grid::new(cells, options.box_size)?;
        let fft = MeshFft::new([cells; 3])?;
        let modes = modes_of_points(&snapshot.positions, Weights::Equal, grid, Scheme::Tsc, interlacing, &fft, threads)?;
        let settings = PowerOptions { binning: Binning { first: 1.0, width: 2.0 }, ..PowerOptions::along_z() };
        Ok(power_spectrum(&modes, &settings, threads)?)
    };
    let truth = measure(512, Interlacing::On)?;
    let nyquist = Grid::new(128, options.box_size)?.nyquist_h_per_mpc();
    for interlacing in [Interlacing::On, Interlacing::Off] {
        let found = measure(128, interlacing)?;
        let mut worst = [0.0f64; 3];
        for bin in (0..found.p0.len()).take_while(|&bin| found.k_h_per_mpc[bin] < 0.95 * nyquist) {
            for (worst, (a, b)) in worst.iter_mut().zip([(&found.p0, &truth.p0), (&found.p2, &truth.p2), (&found.p4, &truth.p4)]) {
                *worst = worst.max((a[bin] - b[bin]).abs() / truth.p0[bin]);
            }
        }
        println!("{interlacing:?}: largest |P_l - truth|/P_0 below 0.95 of Nyquist: {worst:.5?}");
    }
    Ok(())
}

/// Haloes in bins of mass, beside a mass function.
struct Counts {
    what: &'static str,
    kind: MassFunction,
    edges: Vec<f64>,
    found: Vec<usize>,
    /// Concentrations of 200c haloes, bin by bin.
    concentrations: Vec<Vec<f64>>,
}

impl Counts {
    /// Eight bins of 100 to 2 000 particles of `m_p`.
    fn new(what: &'static str, kind: MassFunction, m_p: f64) -> Self {
        let edges = (0..=8).map(|i| m_p * 100.0 * 20f64.powf(f64::from(i) / 8.0)).collect();
        Self { what, kind, edges, found: vec![0; 8], concentrations: vec![Vec::new(); 8] }
    }

    fn bin(&self, mass: f64) -> Option<usize> {
        (0..8).find(|&bin| self.edges[bin] <= mass && mass < self.edges[bin + 1])
    }

    fn add(&mut self, mass: f64) {
        if let Some(bin) = self.bin(mass) {
            self.found[bin] += 1;
        }
    }

    fn print(&mut self, haloes: &HaloPopulation, m_p: f64, volume: f64) -> Outcome {
        println!("{}", self.what);
        for bin in 0..8 {
            let (low, high) = (self.edges[bin].ln(), self.edges[bin + 1].ln());
            let h = (high - low) / 64.0;
            let middle = |i: i32| (low + (f64::from(i) + 0.5) * h).exp();
            let integral: f64 = (0..64).map(|i| haloes.mass_function(self.kind, middle(i), 1.0) * h).sum();
            let count = self.found[bin];
            let [from, to] = [bin, bin + 1].map(|edge| self.edges[edge] / m_p);
            print!("{from:6.0} to {to:6.0} particles: {count:6} haloes, {:.3} of the fit", count as f64 / (integral * volume));
            let c = &mut self.concentrations[bin];
            if !c.is_empty() {
                // Where the profile is not peaked the concentration is not a number: it counts as low.
                c.sort_by(|a, b| a.is_nan().cmp(&b.is_nan()).reverse().then(a.total_cmp(b)));
                let peaked = c.iter().filter(|c| !c.is_nan()).count() as f64 / c.len() as f64;
                let relation = haloes.concentration(Concentration::DiemerJoyce19, (0.5 * (low + high)).exp(), 1.0)?;
                print!(", median concentration {:.2} ({relation:.2} by the relation), {:.2} peaked", c[c.len() / 2], peaked);
            }
            println!();
        }
        Ok(())
    }
}

fn mass_function(options: &Options, threads: &Threads) -> Outcome {
    let cosmology = Cosmology::QUIJOTE;
    let power = LinearPower::eisenstein_hu(&cosmology, Oscillations::Wiggles)?;
    let haloes = HaloPopulation::new(&cosmology, &power)?;
    let m_p = cosmology.particle_mass_msun_h(options.particles, options.box_size);
    let [critical, mean] = [MassDefinition::Critical(200.0), MassDefinition::Mean(200.0)];
    let fof = MassFunction::Bhattacharya11;
    let mut tables = [
        Counts::new("friends of friends, N, of Bhattacharya et al. 2011", fof, m_p),
        Counts::new("friends of friends, N (1 - N^-0.65), of Bhattacharya et al. 2011", fof, m_p),
        Counts::new("friends of friends, N (1 - N^-0.6), of Bhattacharya et al. 2011", fof, m_p),
        Counts::new("M200m of Tinker et al. 2008", MassFunction::Tinker08(mean), m_p),
        Counts::new("M200c of Tinker et al. 2008", MassFunction::Tinker08(critical), m_p),
    ];
    for &seed in &options.seeds {
        let snapshot = options.simulate(seed, 1.0, threads)?;
        let settings = FriendsOfFriends { linking: 0.2, min_particles: 50 };
        let groups = friends_of_friends(&snapshot.positions, options.box_size, &settings, threads)?;
        for g in 0..groups.len() {
            let n = groups.members(g).len() as f64;
            tables[0].add(n * m_p);
            tables[1].add(n * (1.0 - n.powf(-0.65)) * m_p);
            tables[2].add(n * (1.0 - n.powf(-0.6)) * m_p);
        }
        for (definition, table) in [(mean, 3), (critical, 4)] {
            let spheres = Spheres {
                points: &snapshot.positions,
                velocities: &snapshot.velocities,
                box_size_mpc_h: options.box_size,
                particle_mass_msun_h: m_p,
                density: definition.comoving_density(haloes.growth().background(), 1.0),
                a: 1.0,
                min_particles: 50,
            };
            let length = settings.length_mpc_h(snapshot.positions.len(), options.box_size);
            let found = spherical_overdensity(&groups, &spheres, length, threads)?;
            for halo in (0..found.len()).filter(|&halo| found.parents[halo] < 0) {
                let mass = found.masses_msun_h[halo];
                tables[table].add(mass);
                if let Some(bin) = tables[table].bin(mass).filter(|_| definition == critical) {
                    tables[table].concentrations[bin].push(f64::from(found.concentrations[halo]));
                }
            }
        }
    }
    let volume = options.box_size.powi(3) * options.seeds.len() as f64;
    tables.iter_mut().try_for_each(|table| table.print(&haloes, m_p, volume))
}

fn estimate(options: &Options, threads: &Threads) -> Outcome {
    let estimate = Estimate::new(options.particles, &options.solver(), threads.count());
    println!("estimate {:.3} GB", estimate.peak as f64 / 1e9);
    options.simulate(options.seeds[0], 1.0, threads)?;
    println!("measured {:.3} GB", peak_bytes()? / 1e9);
    Ok(())
}

/// The most memory that this process has held.
fn peak_bytes() -> Result<f64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kilobytes: f64 = line.split_whitespace().next().ok_or("no number")?.parse()?;
    Ok(kilobytes * 1024.0)
}

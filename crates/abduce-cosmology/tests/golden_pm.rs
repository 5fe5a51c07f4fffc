//! A particle-mesh run against one in double precision (JaxPM with exact growth factors).

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod golden;

use abduce_cosmology::Cosmology;
use abduce_cosmology::background::Radiation;
use abduce_cosmology::fft::{Complex, MeshFft, wave_number};
use abduce_cosmology::growth::Growth;
use abduce_cosmology::mesh::{Grid, Scheme, Weights};
use abduce_cosmology::pm::{Factors, Kernel, LatticeStart, PmError, PmOptions, Schedule, ShortRange, Snapshot, Solver, Spacing, Stepping};
use abduce_cosmology::statistics::{Binning, Interlacing, PowerOptions, modes_of_points, power_spectrum};
use abduce_data::npy;
use abduce_kernels::Threads;
use std::ops::ControlFlow;

const N: usize = 64;
const L: f64 = 200.0;

/// Displacement fields s1 = −∇φ₁ and s2 = ∇φ₂ of a linear density, with the four-point derivative of the reference, in f64 and Mpc/h.
fn perturbation(delta: &[f64]) -> [Vec<[f64; 3]>; 2] {
    let fft = MeshFft::<f64>::new([N; 3]).unwrap();
    let threads = Threads::new(2);
    let half = N / 2 + 1;
    let w = |i: usize| std::f64::consts::TAU * wave_number(i, N) as f64 / N as f64;
    let derivative = |i: usize| (8.0 * w(i).sin() - (2.0 * w(i)).sin()) / 6.0;
    let indices = |at: usize| [at / (N * half), at / half % N, at % half];
    let zero = Complex { re: 0.0, im: 0.0 };
    let potential = |field: &[f64]| {
        let mut modes = vec![zero; fft.modes()];
        fft.forward(field, &mut modes, &threads).unwrap();
        for (at, mode) in modes.iter_mut().enumerate() {
            let w2: f64 = indices(at).iter().map(|&i| w(i) * w(i)).sum();
            *mode = if w2 > 0.0 { -*mode / w2 } else { zero };
        }
        modes
    };
    let real = |modes: &[Complex<f64>], factor: &dyn Fn([usize; 3]) -> Complex<f64>| {
        let mut modes: Vec<_> = modes.iter().enumerate().map(|(at, mode)| mode * factor(indices(at))).collect();
        let mut field = vec![0.0; N * N * N];
        fft.inverse(&mut modes, &mut field, &threads).unwrap();
        field
    };
    let cell = L / N as f64;
    let gradient = |modes: &[Complex<f64>], sign: f64| {
        let components: Vec<Vec<f64>> = (0..3).map(|axis| real(modes, &|i| Complex { re: 0.0, im: derivative(i[axis]) })).collect();
        (0..N * N * N).map(|at| std::array::from_fn(|axis| sign * cell * components[axis][at])).collect()
    };
    let phi1 = potential(delta);
    let shear = |a: usize, b: usize| real(&phi1, &|i| Complex { re: -derivative(i[a]) * derivative(i[b]), im: 0.0 });
    let mut source = vec![0.0; N * N * N];
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let (aa, bb, ab) = (shear(a, a), shear(b, b), shear(a, b));
        for at in 0..source.len() {
            source[at] += aa[at] * bb[at] - ab[at] * ab[at];
        }
    }
    [gradient(&phi1, -1.0), gradient(&potential(&source), 1.0)]
}

struct Start {
    growth: Growth,
    s: [Vec<[f64; 3]>; 2],
}

impl Start {
    fn new(folder: &std::path::Path) -> Self {
        let delta = npy::read::<f64>(&folder.join("delta_lin_z0.npy")).unwrap();
        Self { growth: Growth::new(&Cosmology::QUIJOTE, Radiation::Neglected).unwrap(), s: perturbation(delta.data()) }
    }

    /// Displacements and momenta at `a`.
    fn at(&self, a: f64) -> [Vec<[f32; 3]>; 2] {
        let at = self.growth.at(a);
        let momentum = a * a * self.growth.background().e(a);
        let sum = |d1: f64, d2: f64| {
            let row = |(s1, s2): (&[f64; 3], &[f64; 3])| std::array::from_fn(|axis| (d1 * s1[axis] + d2 * s2[axis]) as f32);
            self.s[0].iter().zip(&self.s[1]).map(row).collect()
        };
        [sum(at.d1, at.d2), sum(momentum * at.f1 * at.d1, momentum * at.f2 * at.d2)]
    }

    fn run(&self, schedule: &Schedule, options: &PmOptions, wanted: &[f64], threads: &Threads) -> Vec<Snapshot> {
        let [displacements, momenta] = self.at(schedule.scale_factors()[0]);
        let single = |s: &[[f64; 3]]| s.iter().map(|s| s.map(|x| x as f32)).collect::<Vec<[f32; 3]>>();
        let fields = [single(&self.s[0]), single(&self.s[1])];
        let perturbation = (options.stepping == Stepping::Cola).then_some([&fields[0][..], &fields[1][..]]);
        let start = LatticeStart { per_side: N, box_size_mpc_h: L, displacements: &displacements, momenta: &momenta, perturbation };
        let mut solver = Solver::new(&start, &self.growth, schedule.clone(), options, threads).unwrap();
        let mut snapshots = Vec::new();
        let keep = |snapshot| {
            snapshots.push(snapshot);
            Ok::<(), PmError>(())
        };
        assert!(solver.run(wanted, threads, |_| ControlFlow::Continue(()), keep).unwrap());
        snapshots
    }
}

#[test]
fn factors_are_those_of_the_reference() {
    let Some(folder) = golden::folder("pm") else { return };
    let text = std::fs::read_to_string(folder.join("factors.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&text).unwrap();
    let growth = Growth::new(&Cosmology::QUIJOTE, Radiation::Neglected).unwrap();
    for step in reference["steps"].as_array().unwrap() {
        let value = |name: &str| step[name].as_f64().unwrap();
        let found = Factors::new(&growth, Stepping::FastPm, value("a_i"), value("a_f"));
        for (found, expected) in
            [(found.kick1, value("kick1")), (found.drift, value("drift1") + value("drift2")), (found.kick2, value("kick2"))]
        {
            // Growth is right to 1e-9, and differences of it lose a digit.
            assert!((found / expected - 1.0).abs() < 1e-7, "{found} against {expected}");
        }
    }
}

#[test]
fn ten_steps_end_where_double_precision_does() {
    let Some(folder) = golden::folder("pm") else { return };
    let start = Start::new(&folder);
    let schedule = Schedule::spaced(0.1, 1.0, 10, Spacing::Linear, &[]).unwrap();
    let threads = Threads::new(2);
    let snapshot = start.run(&schedule, &PmOptions::default(), &[1.0], &threads).remove(0);
    let alone = start.run(&schedule, &PmOptions::default(), &[0.1 + 0.9 * 0.5, 1.0][1..], &Threads::single()).remove(0);
    assert_eq!(snapshot, alone, "threads change nothing");

    let table = golden::columns(folder.join("particles_1000.csv"));
    let cell = L / N as f64;
    let (mut squares, mut largest, mut momentum) = (0.0f64, 0.0f64, 0.0f64);
    for row in 0..table["index"].len() {
        let index = table["index"][row] as usize;
        for (axis, name) in ["x", "y", "z"].into_iter().enumerate() {
            // Their lattice lies at i h, ours at (i + 1/2) h; theirs is not wrapped.
            let d = f64::from(snapshot.positions[index][axis]) - 0.5 * cell - table[&format!("{name}1")][row];
            let d = (d - L * (d / L).round()) / cell;
            squares += d * d;
            largest = largest.max(d.abs());
            let p = f64::from(snapshot.velocities[index][axis]) / 100.0;
            momentum = momentum.max((p - table[&format!("p{name}1")][row]).abs());
        }
    }
    let rms = (squares / table["index"].len() as f64).sqrt();
    // The acceptance bounds; JaxPM itself in f32 is 4e-6 from f64 in rms.
    assert!(rms < 1e-4 && largest < 1e-2, "rms {rms}, largest {largest} cells");
    assert!(rms < 1e-5 && largest < 5e-4, "rms {rms}, largest {largest} cells");
    // Rms momentum is 4.8 Mpc/h.
    assert!(momentum < 1e-3, "{momentum}");

    // The power at the nodes there is that at the centres of cells here.
    let table = golden::columns(folder.join("pk.csv"));
    let grid = Grid::new(N, L).unwrap();
    let fft = MeshFft::new([N; 3]).unwrap();
    let modes = modes_of_points(&snapshot.positions, Weights::Equal, grid, Scheme::Cic, Interlacing::Off, &fft, &threads).unwrap();
    let found = power_spectrum(&modes, &PowerOptions::along_z(), &threads).unwrap();
    for bin in (0..found.p0.len()).filter(|&bin| found.k_h_per_mpc[bin] < 0.5 * grid.nyquist_h_per_mpc()) {
        let ratio = found.p0[bin] / table["P_a1_deconv"][bin];
        assert!((ratio - 1.0).abs() < 1e-4, "k = {}: {ratio}", found.k_h_per_mpc[bin]);
    }
}

/// The largest modes grow as D: measured as the ratio of power between the end and the start of the same run. Their coupling to smaller ones
/// is the only true departure, and shrinks with the amplitude: the field is taken a hundredth as strong.
#[test]
fn large_modes_grow_linearly_for_any_number_of_steps() {
    let Some(folder) = golden::folder("pm") else { return };
    let mut start = Start::new(&folder);
    start.s[0].iter_mut().flatten().for_each(|s| *s *= 0.01);
    start.s[1].iter_mut().flatten().for_each(|s| *s *= 1e-4);
    let grid = Grid::new(N, L).unwrap();
    let fft = MeshFft::new([N; 3]).unwrap();
    let threads = Threads::new(2);
    let power = |positions: &[[f32; 3]]| {
        let modes = modes_of_points(positions, Weights::Equal, grid, Scheme::Cic, Interlacing::Off, &fft, &threads).unwrap();
        // The six modes (1, 0, 0) alone: on a mesh of spacing h a mode k is pulled too weakly by about 0.3 (kh)².
        let options = PowerOptions { binning: Binning { first: 1.0, width: 0.2 }, ..PowerOptions::along_z() };
        power_spectrum(&modes, &options, &threads).unwrap().p0[0]
    };
    let [displacements, _] = start.at(0.1);
    let first: Vec<[f32; 3]> = (0..N * N * N)
        .map(|at| {
            let q = [at / (N * N), at / N % N, at % N];
            std::array::from_fn(|axis| ((q[axis] as f64 + 0.5) * L / N as f64 + f64::from(displacements[at][axis])).rem_euclid(L) as f32)
        })
        .collect();
    let before = power(&first);
    let expected = 1.0 / start.growth.at(0.1).d1;
    let pairs = Some(ShortRange::default());
    for (stepping, short_range, steps) in [
        (Stepping::FastPm, None, 3),
        (Stepping::FastPm, None, 10),
        (Stepping::FastPm, None, 20),
        (Stepping::Cola, None, 3),
        (Stepping::FastPm, pairs, 3),
        (Stepping::FastPm, pairs, 10),
    ] {
        let schedule = Schedule::spaced(0.1, 1.0, steps, Spacing::Linear, &[]).unwrap();
        let options = PmOptions { stepping, short_range, mesh_factor: 2, ..PmOptions::default() };
        let after = power(&start.run(&schedule, &options, &[1.0], &threads)[0].positions);
        let growth = (after / before).sqrt() / expected;
        // The acceptance bound.
        assert!((growth - 1.0).abs() < 1e-3, "{stepping:?}, {short_range:?}, {steps} steps: {growth}");
    }
    // Plain leapfrog with three steps is far off: the test can tell.
    let schedule = Schedule::spaced(0.1, 1.0, 3, Spacing::Linear, &[]).unwrap();
    let options = PmOptions { stepping: Stepping::Leapfrog, ..PmOptions::default() };
    let after = power(&start.run(&schedule, &options, &[1.0], &threads)[0].positions);
    assert!(((after / before).sqrt() / expected - 1.0).abs() > 1e-2);
}

/// Every kernel, several snapshots, and the same end with and without the snapshots between; the sum of momenta stays what it was.
#[test]
fn snapshots_do_not_disturb_and_momentum_is_kept() {
    let Some(folder) = golden::folder("pm") else { return };
    let start = Start::new(&folder);
    let threads = Threads::new(2);
    let schedule = Schedule::spaced(0.1, 1.0, 5, Spacing::Linear, &[0.5]).unwrap();
    let kernels =
        [Kernel::ExactFour, Kernel::ThreeFour, Kernel::FiveFour, Kernel::Gadget, Kernel::Optimal, Kernel::Naive, Kernel::Eastwood];
    let plain = kernels.map(|kernel| PmOptions { kernel, ..PmOptions::default() });
    let pairs = PmOptions { short_range: Some(ShortRange { softening: 0.3, ..ShortRange::default() }), ..PmOptions::default() };
    for options in plain.into_iter().chain([pairs]) {
        let kernel = (options.kernel, options.short_range);
        let both = start.run(&schedule, &options, &[0.5, 1.0], &threads);
        let end = start.run(&schedule, &options, &[1.0], &threads);
        assert_eq!(both[0].a, 0.5);
        let (mut total, mut squares, mut apart) = ([0.0f64; 3], 0.0f64, 0.0f64);
        for (a, b) in both[1].velocities.iter().zip(&end[0].velocities) {
            for axis in 0..3 {
                total[axis] += f64::from(a[axis]);
                squares += f64::from(a[axis]).powi(2);
                apart = apart.max(f64::from((a[axis] - b[axis]).abs()));
            }
        }
        let rms = (squares / (3.0 * both[1].velocities.len() as f64)).sqrt();
        // One pass or two differ by rounding, which orbits amplify: a few km/s of some hundred at worst.
        assert!(apart < 0.02 * rms, "{kernel:?}: {apart} of {rms}");
        let mean = total.iter().map(|t| t.abs()).fold(0.0, f64::max) / both[1].velocities.len() as f64;
        // Painting and reading by the same weights with an odd kernel: forces cancel pairwise up to rounding, 1e-5 of the rms force as accepted.
        assert!(mean < 1e-5 * rms, "{kernel:?}: {mean} of {rms}");
    }
}

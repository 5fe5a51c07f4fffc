//! Mesh and pairs together against Ewald sums in f64.

use super::*;
use crate::mesh::Grid;
use crate::pm::force::{ForceMesh, Kick};
use crate::pm::kernel::{Kernel, Softening};
use crate::pm::particles::TURN;
use crate::pm::{LatticeStart, PmOptions, Solver};
use abduce_data::Seed;
use std::f64::consts::PI;

/// Error function by its series for small and the continued fraction for large arguments.
fn erfc(x: f64) -> f64 {
    if x < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return 1.0 - 2.0 / PI.sqrt() * sum;
    }
    let fraction = (1..60).rev().fold(x, |below, n| x + f64::from(n) / 2.0 / below);
    libm::exp(-x * x) / (PI.sqrt() * fraction)
}

/// −∇∇⁻²δ at each of `points` in a box of side 1, each of which is a δ-function of volume `volume`: the sum over all periodic images on a uniform
/// background, with Plummer's softening for the nearest image of a pair that is closer than `reach`.
fn ewald(points: &[[f64; 3]], volume: f64, softening: f64, reach: f64) -> Vec<[f64; 3]> {
    // Terms left out are below 1e-10 of the force between neighbours: erfc(5.5 · 1.5) and exp(−(π 9/5.5)²).
    let alpha = 5.5;
    let most = 9i32;
    let mut found = vec![[0.0; 3]; points.len()];
    for (i, p) in points.iter().enumerate() {
        for (j, q) in points.iter().enumerate() {
            if i == j {
                continue;
            }
            let near: [f64; 3] = std::array::from_fn(|axis| (p[axis] - q[axis]) - (p[axis] - q[axis]).round());
            for image in 0..27 {
                let d: [f64; 3] = std::array::from_fn(|axis| near[axis] + f64::from(image / 3i32.pow(axis as u32) % 3 - 1));
                let r2: f64 = d.iter().map(|d| d * d).sum();
                let r = r2.sqrt();
                if alpha * r > 6.0 {
                    continue;
                }
                let mut pull = (erfc(alpha * r) + 2.0 * alpha * r / PI.sqrt() * libm::exp(-alpha * alpha * r2)) / (r2 * r);
                if r < reach {
                    pull += (r2 + softening * softening).powf(-1.5) - 1.0 / (r2 * r);
                }
                for axis in 0..3 {
                    found[i][axis] -= volume / (4.0 * PI) * d[axis] * pull;
                }
            }
        }
    }
    for kx in -most..=most {
        for ky in -most..=most {
            for kz in -most..=most {
                let k = [kx, ky, kz].map(|n| 2.0 * PI * f64::from(n));
                let k2: f64 = k.iter().map(|k| k * k).sum();
                if k2 == 0.0 {
                    continue;
                }
                let phase = |p: &[f64; 3]| (0..3).map(|axis| k[axis] * p[axis]).sum::<f64>();
                let (sine, cosine) = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + phase(p).sin(), sum.1 + phase(p).cos()));
                let weight = volume * libm::exp(-k2 / (4.0 * alpha * alpha)) / k2;
                for (p, found) in points.iter().zip(&mut found) {
                    // Σ_j sin k·(x_i − x_j)
                    let sum = phase(p).sin() * cosine - phase(p).cos() * sine;
                    (0..3).for_each(|axis| found[axis] -= weight * k[axis] * sum);
                }
            }
        }
    }
    found
}

/// The force on each of n³ points of a box of side 1, in Mpc/h for a box of 1 Mpc/h, and the points as the particles hold them.
fn forces(points: &[[f64; 3]], cells: usize, options: &ShortRange, threads: usize) -> (Vec<[f64; 3]>, Vec<[f64; 3]>) {
    let n = libm::cbrt(points.len() as f64).round() as usize;
    let lattice = |i: usize| [i / (n * n), i / n % n, i % n].map(|q| (q as f64 + 0.5) / n as f64);
    let displacements: Vec<[f32; 3]> =
        points.iter().enumerate().map(|(i, p)| std::array::from_fn(|axis| (p[axis] - lattice(i)[axis]) as f32)).collect();
    let threads = Threads::new(threads);
    let momenta = vec![[0.0; 3]; points.len()];
    let start = LatticeStart { per_side: n, box_size_mpc_h: 1.0, displacements: &displacements, momenta: &momenta, perturbation: None };
    let mut particles = Particles::new(&start, &threads).unwrap();
    particles.drift_and_sort(0.0, [0.0; 2], cells, &threads);
    let grid = Grid::new(cells, 1.0).unwrap();
    let mut mesh = ForceMesh::new(grid, Kernel::default(), Softening::None, Some(options.split_cells)).unwrap();
    mesh.solve(&particles, &threads).unwrap();
    mesh.kick(&mut particles, Kick { factor: 1.0, lpt: [0.0; 2] }, &threads).unwrap();
    let mut pairs = Pairs::new(options, cells, &particles).unwrap();
    pairs.kick(&mut particles, 1.0, &threads);
    let (mut found, mut at) = (vec![[0.0; 3]; points.len()], vec![[0.0; 3]; points.len()]);
    for chunk in &particles.chunks {
        for ((id, p), x) in chunk.id.iter().zip(&chunk.p).zip(&chunk.x) {
            found[*id as usize] = p.map(f64::from);
            at[*id as usize] = x.map(|x| f64::from(x) / TURN);
        }
    }
    (found, at)
}

fn length(v: [f64; 3]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn difference(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|axis| a[axis] - b[axis])
}

#[test]
fn the_reference_knows_its_functions() {
    for (x, expected) in [(0.5, 0.479_500_122_186_953_5), (2.0, 4.677_734_981_063_13e-3), (3.0, 2.209_049_699_858_544e-5)] {
        assert!((erfc(x) / expected - 1.0).abs() < 1e-9, "{x}: {}", erfc(x));
    }
    // A lattice of points, each at a centre of symmetry, pulls nowhere.
    let lattice: Vec<[f64; 3]> = (0..8).map(|i| [i / 4, i / 2 % 2, i % 2].map(|q| f64::from(q) / 2.0 + 0.1)).collect();
    assert!(ewald(&lattice, 0.125, 0.0, 0.0).iter().all(|&f| length(f) < 1e-9));
}

/// Two particles at any separation and direction, six more far from them, on a mesh of 40 cells: from within the softening, across the split and the
/// cut-off, to half the box through its corner. The error is given in units of Newton's softened force between the two.
#[test]
fn a_pair_pulls_as_newton_says_at_every_separation() {
    let cells = 40;
    let options = ShortRange::default();
    let softening = options.softening / 2.0;
    let cutoff = options.split_cells * options.cutoff_splits / cells as f64;
    let volume = 1.0 / 8.0;
    let mut rng = Seed(11).stream("pairs", 0);
    let (mut worst_inside, mut worst_outside, mut squares, mut count) = (0.0f64, 0.0f64, 0.0, 0);
    for step in 0..60 {
        // From 0.1 to 20 cells.
        let r = 0.0025 * 200f64.powf(f64::from(step) / 59.0);
        let direction = crate::galaxies::nfw::direction(&mut rng);
        let first: [f64; 3] = std::array::from_fn(|_| rng.uniform() * 0.1);
        let mut points = vec![first, std::array::from_fn(|axis| first[axis] + r * direction[axis])];
        points.extend((0..6).map(|_| std::array::from_fn(|axis| first[axis] + 0.5 + 0.1 * (rng.uniform() - 0.5))));
        let (found, at) = forces(&points, cells, &options, 1);
        let expected = ewald(&at, volume, softening, cutoff);
        let newton = volume / (4.0 * PI) * r / (r * r + softening * softening).powf(1.5);
        for i in 0..2 {
            let error = length(difference(found[i], expected[i])) / newton;
            // Far away the force of a pair is no measure of what the mesh does to the other six: the forces between neighbours are.
            if r < cutoff {
                worst_inside = worst_inside.max(error)
            } else if r < 2.0 * cutoff {
                worst_outside = worst_outside.max(error)
            }
            if r < 2.0 * cutoff {
                (squares, count) = (squares + error * error, count + 1);
            }
        }
    }
    let rms = (squares / f64::from(count)).sqrt();
    println!("inside {worst_inside:.4}, outside {worst_outside:.4}, rms {rms:.4}");
    assert!(worst_inside < 0.02 && worst_outside < 0.02 && rms < 0.008, "{worst_inside} {worst_outside} {rms}");
}

/// 512 particles, half of them in clumps, against the sum over all pairs and images; momentum; threads.
#[test]
fn a_crowd_pulls_as_the_sum_of_its_pairs_says() {
    let mut rng = Seed(5).stream("crowd", 0);
    let mut points: Vec<[f64; 3]> = Vec::new();
    while points.len() < 512 {
        let centre: [f64; 3] = std::array::from_fn(|_| rng.uniform());
        points.push(centre);
        if points.len().is_multiple_of(4) {
            let members = (512 - points.len()).min(5);
            points.extend((0..members).map(|_| centre.map(|c| (c + 0.01 * rng.normal()).rem_euclid(1.0))));
        }
    }
    let cells = 32;
    for split_cells in [1.25, 2.0] {
        let options = ShortRange { split_cells, ..ShortRange::default() };
        let (found, at) = forces(&points, cells, &options, 1);
        let expected = ewald(&at, 1.0 / 512.0, options.softening / 8.0, split_cells * options.cutoff_splits / cells as f64);
        let mean_square = |v: &mut dyn Iterator<Item = [f64; 3]>| v.map(|v| length(v).powi(2)).sum::<f64>() / 512.0;
        let size = mean_square(&mut expected.iter().copied()).sqrt();
        let error = mean_square(&mut found.iter().zip(&expected).map(|(&a, &b)| difference(a, b))).sqrt() / size;
        // A mesh error falls with the split; what the cut-off leaves out stays.
        println!("split {split_cells}: rms error {error:.5} of the rms force");
        assert!(error < 0.0015, "{split_cells}: {error}");

        let total = found.iter().fold([0.0; 3], |sum, f| std::array::from_fn(|axis| sum[axis] + f[axis]));
        // 512 sums of f32 values.
        assert!(length(total) < 1e-5 * 512.0 * size, "{total:?} {size}");
        for threads in [2, 3] {
            assert!(forces(&points, cells, &options, threads).0 == found, "{threads} threads");
        }
    }
}

/// h by its polynomial against its definition, and what the f32 law makes of it: to 1e-5 of Newton's force at the cut-off.
#[test]
fn the_law_is_newton_less_what_the_mesh_carries() {
    let options = ShortRange { cutoff_splits: 6.0, softening: 1e-4, ..ShortRange::default() };
    let (cells, n) = (64, 32);
    let law = Law::new(&options, cells, n, 1.0);
    for step in 1..=90 {
        let r_cells = 0.083 * f64::from(step);
        let u = r_cells / (2.0 * options.split_cells);
        let mut near = [[FAR; LANES]; 3];
        (near[0][3], near[1][3], near[2][3]) = (law.from((r_cells / cells as f64 * TURN) as u32, 0), 0.0, 0.0);
        let mut pulls = [[0.0; 3]];
        Simd::best().central_forces(&law.force, [&[0.0]; 3], near.each_ref().map(|x| &x[..]), &mut pulls);
        let [found, y, z] = pulls[0];
        let found = f64::from(found) * law.strength;
        let r = r_cells / cells as f64;
        let newton = 1.0 / ((n as f64).powi(3) * 4.0 * PI * r * r);
        let expected = if u < 3.0 { newton * (erfc(u) + 2.0 * u / PI.sqrt() * libm::exp(-u * u)) } else { 0.0 };
        assert!((found - expected).abs() < 1e-5 * newton && y == 0.0 && z == 0.0, "{r_cells} cells: {found} {expected}");
        assert!((law::smooth_part(u * u) * u.powi(3) - (1.0 - erfc(u) - 2.0 * u / PI.sqrt() * libm::exp(-u * u))).abs() < 1e-11);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    for options in [
        ShortRange { softening: 0.0, ..ShortRange::default() },
        ShortRange { softening: f64::NAN, ..ShortRange::default() },
        ShortRange { split_cells: 0.5, ..ShortRange::default() },
        ShortRange { cutoff_splits: 9.0, ..ShortRange::default() },
    ] {
        assert!(options.check(64).is_err(), "{options:?}");
    }
    let growth = crate::growth::Growth::new(&crate::Cosmology::QUIJOTE, crate::background::Radiation::Neglected).unwrap();
    let schedule = crate::pm::Schedule::new(vec![0.5, 1.0]).unwrap();
    let rows = vec![[0.0; 3]; 512];
    let start = LatticeStart { per_side: 8, box_size_mpc_h: 100.0, displacements: &rows, momenta: &rows, perturbation: None };
    let with = |kernel, mesh_factor| {
        let options = PmOptions { kernel, mesh_factor, short_range: Some(ShortRange::default()), ..PmOptions::default() };
        Solver::new(&start, &growth, schedule.clone(), &options, &Threads::single()).map(drop)
    };
    assert!(matches!(with(Kernel::Gadget, 2), Err(PmError::SplitKernel)));
    assert!(matches!(with(Kernel::default(), 1), Err(PmError::Range { .. })));
    assert!(with(Kernel::default(), 2).is_ok());
    assert!(ShortRange::default().check(14).is_err() && ShortRange::default().check(15).is_ok());
}

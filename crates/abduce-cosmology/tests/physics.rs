//! Laws that no reference code is needed for: alias images, redshift space, tree level.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use abduce_cosmology::Cosmology;
use abduce_cosmology::background::{Background, Radiation};
use abduce_cosmology::fft::MeshFft;
use abduce_cosmology::galaxies::redshift_space_from_real;
use abduce_cosmology::growth::Growth;
use abduce_cosmology::initial::{Amplitudes, Derivative, LinearField, ModeCut, Order, Phases, WhiteNoise};
use abduce_cosmology::mesh::{Convention, Grid, Scheme, Weights, deposit, interpolate};
use abduce_cosmology::power::{LinearPower, Oscillations};
use abduce_cosmology::statistics::{Interlacing, PowerOptions, modes_of_points, power_spectrum};
use abduce_data::Seed;
use abduce_kernels::Threads;

const N: usize = 64;
const L: f64 = 1000.0;

/// Positions and velocities of first-order perturbation theory at z = 0.
fn particles(amplitude: f64) -> (Vec<[f32; 3]>, Vec<[f32; 3]>) {
    let cosmology = Cosmology::QUIJOTE;
    let growth = Growth::new(&cosmology, Radiation::Neglected).unwrap();
    let power = LinearPower::eisenstein_hu(&cosmology, Oscillations::Wiggles).unwrap().scaled(amplitude * amplitude).unwrap();
    let noise = WhiteNoise { seed: Seed(7), amplitudes: Amplitudes::Fixed, phases: Phases::Original };
    let threads = Threads::new(2);
    let field = LinearField::<f32>::draw(&power, N, L, &noise, ModeCut::Cube, &threads).unwrap();
    let start = field.perturbation(Order::First, Derivative::Spectral, &threads).unwrap().at(&growth, 1.0, &threads).unwrap();
    let positions = (0..N * N * N)
        .map(|at| {
            let q = [at / (N * N), at / N % N, at % N];
            std::array::from_fn(|axis| {
                let x = (q[axis] as f64 + 0.5) * L / N as f64 + f64::from(start.displacements[at][axis]);
                let x = x.rem_euclid(L) as f32;
                if f64::from(x) >= L { 0.0 } else { x }
            })
        })
        .collect();
    (positions, start.momenta.iter().map(|p| p.map(|p| 100.0 * p)).collect())
}

/// Kaiser (1987): P_0/P = 1 + 2β/3 + β²/5 and P_2/P = 4β/3 + 4β²/7 for β = f, on a field so weak that nothing else happens.
#[test]
fn redshift_space_has_kaisers_multipoles() {
    let (positions, velocities) = particles(0.02);
    let background = Background::new(&Cosmology::QUIJOTE, Radiation::Neglected).unwrap();
    let f = Growth::new(&Cosmology::QUIJOTE, Radiation::Neglected).unwrap().at(1.0).f1;
    let grid = Grid::new(N, L).unwrap();
    let fft = MeshFft::new([N; 3]).unwrap();
    let threads = Threads::new(2);
    for axis in 0..3 {
        let seen = redshift_space_from_real(&positions, &velocities, L, &background, 1.0, axis).unwrap();
        let measure = |points: &[[f32; 3]]| {
            let modes = modes_of_points(points, Weights::Equal, grid, Scheme::Cic, Interlacing::Off, &fft, &threads).unwrap();
            power_spectrum(&modes, &PowerOptions { line_of_sight: axis, ..PowerOptions::along_z() }, &threads).unwrap()
        };
        let (real, redshift) = (measure(&positions), measure(&seen));
        // Amplitudes are fixed, so that only the directions of few modes scatter: μ² and μ⁴ averaged over bins 2 to 5 (k < 0.04) with some 500 modes.
        let sum = |p: &[f64]| {
            (1..5).map(|bin| p[bin] / real.p0[bin] * real.modes[bin]).sum::<f64>() / (1..5).map(|bin| real.modes[bin]).sum::<f64>()
        };
        let (p0, p2) = (sum(&redshift.p0), sum(&redshift.p2));
        assert!((p0 / (1.0 + 2.0 * f / 3.0 + f * f / 5.0) - 1.0).abs() < 0.03, "axis {axis}: {p0}");
        assert!((p2 / (4.0 * f / 3.0 + 4.0 * f * f / 7.0) - 1.0).abs() < 0.12, "axis {axis}: {p2}");
    }
}

/// Random points have no power but their shot noise, flat up to the Nyquist wave number once the window is divided out of an interlaced mesh.
#[test]
fn shot_noise_is_flat_and_interlacing_takes_images_out() {
    let mut rng = Seed(1).stream("points", 0);
    let points: Vec<[f32; 3]> = (0..1_000_000).map(|_| std::array::from_fn(|_| (rng.uniform() * L) as f32)).collect();
    let threads = Threads::new(2);
    let grid = Grid::new(N, L).unwrap();
    let fft = MeshFft::new([N; 3]).unwrap();
    // A wave of 0.4 Nyquist frequencies beyond the mesh: weights 1 + cos(k x) with n = 45 alias to n = 45 − 64 = −19.
    let k = std::f64::consts::TAU * 45.0 / L;
    let weights: Vec<f32> = points.iter().map(|p| 1.0 + (k * f64::from(p[0])).cos() as f32).collect();
    let image = |interlacing| {
        let modes = modes_of_points(&points, Weights::Each(&weights), grid, Scheme::Tsc, interlacing, &fft, &threads).unwrap();
        let at = modes.values[19 * N * (N / 2 + 1)];
        f64::from(at.norm()) / grid.values() as f64
    };
    // δ has amplitude 1/2 there, times the window at n = 45, sinc³(45π/64) = 0.0488.
    let expected = 0.5 * (f64::sin(45.0 * std::f64::consts::PI / 64.0) / (45.0 * std::f64::consts::PI / 64.0)).powi(3);
    assert!((image(Interlacing::Off) / expected - 1.0).abs() < 0.15, "{} {expected}", image(Interlacing::Off));
    assert!(image(Interlacing::On) < 0.15 * expected, "{} {expected}", image(Interlacing::On));

    let modes = modes_of_points(&points, Weights::Equal, grid, Scheme::Pcs, Interlacing::On, &fft, &threads).unwrap();
    assert!((modes.shot_noise - 1e9 / 1e6).abs() < 1e-9);
    let found = power_spectrum(&modes, &PowerOptions::along_z(), &threads).unwrap();
    // Far from the Nyquist wave number, where the even images of this scheme are below 1 %: within 4.5 standard errors.
    for bin in 0..16 {
        let error = 4.5 / found.modes[bin].sqrt() + 0.01;
        assert!((found.p0[bin] / found.shot_noise - 1.0).abs() < error, "bin {bin}: {}", found.p0[bin] / found.shot_noise);
    }
}

/// Σ_x painted(x) f(x) = Σ_points f(point): reading is the transpose of painting, in either convention.
#[test]
fn reading_is_the_transpose_of_painting() {
    let mut rng = Seed(2).stream("points", 0);
    let points: Vec<[f32; 3]> = (0..500).map(|_| std::array::from_fn(|_| (rng.uniform() * 10.0) as f32)).collect();
    let grid = Grid::new(9, 10.0).unwrap();
    let field: Vec<f32> = (0..grid.values()).map(|_| rng.normal() as f32).collect();
    for scheme in Scheme::ALL {
        for convention in [Convention::Cells, Convention::Nodes] {
            let painted = deposit(&points, Weights::Equal, grid, scheme, convention, 0.0, &Threads::new(2)).unwrap();
            let read = interpolate(&field, grid, scheme, convention, &points, &Threads::new(2)).unwrap();
            let left: f64 = painted.iter().zip(&field).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let right: f64 = read.iter().map(|&value| f64::from(value)).sum();
            // 500 values of order 1 with f32 weights.
            assert!((left - right).abs() < 1e-4, "{scheme:?} {convention:?}: {left} {right}");
        }
    }
    // The test of the convention: a point at 10.5 h.
    let grid = Grid::new(16, 16.0).unwrap();
    let at = |scheme, convention| deposit(&[[10.5; 3]], Weights::Equal, grid, scheme, convention, 0.0, &Threads::single()).unwrap();
    let cell = |i: usize, j: usize, k: usize| (i * 16 + j) * 16 + k;
    assert_eq!(at(Scheme::Cic, Convention::Cells)[cell(10, 10, 10)], 1.0);
    assert_eq!(at(Scheme::Ngp, Convention::Nodes)[cell(11, 11, 11)], 1.0);
    let halves = at(Scheme::Cic, Convention::Nodes);
    assert!([10, 11].iter().all(|&i| halves[cell(i, 10, 11)] == 0.125));
    assert!(deposit(&[[f32::NAN; 3]], Weights::Equal, grid, Scheme::Cic, Convention::Cells, 0.0, &Threads::single()).is_err());
    assert!(deposit(&[[16.5; 3]], Weights::Equal, grid, Scheme::Cic, Convention::Cells, 0.0, &Threads::single()).is_err());
    assert!(deposit(&[[16.0; 3]], Weights::Equal, grid, Scheme::Pcs, Convention::Cells, 0.5, &Threads::single()).is_ok());
}

use super::*;
use crate::background::Radiation;
use crate::cosmology::Cosmology;
use crate::golden;
use crate::growth::Growth;
use crate::power::Oscillations;
use abduce_data::{Seed, npy};
use std::path::Path;

fn power() -> LinearPower {
    LinearPower::eisenstein_hu(&Cosmology::QUIJOTE, Oscillations::Wiggles).unwrap()
}

fn draw(side: usize, noise: WhiteNoise) -> LinearField<f64> {
    LinearField::draw(&power(), side, 100.0, &noise, ModeCut::Cube, &Threads::new(2)).unwrap()
}

/// Modes of both meshes agree up to the factor of their normalisations, n³, below the smaller one's Nyquist frequency.
#[test]
fn meshes_share_their_modes() {
    let noise = WhiteNoise::gaussian(Seed(4));
    let (small, large) = (draw(12, noise), draw(30, noise));
    let index = |n: [i64; 3], side: usize| {
        let wrap = |i: i64| i.rem_euclid(side as i64) as usize;
        (wrap(n[0]) * side + wrap(n[1])) * (side / 2 + 1) + n[2] as usize
    };
    let scale = (30f64 / 12.0).powi(3);
    for nx in -5..=5i64 {
        for ny in -5..=5 {
            for nz in 0..=5 {
                let (a, b) = (small.modes()[index([nx, ny, nz], 12)] * scale, large.modes()[index([nx, ny, nz], 30)]);
                assert!((a - b).norm() <= 1e-12 * b.norm(), "{nx} {ny} {nz}");
            }
        }
    }
}

/// A mesh whose modes are Hermitian gives them back; threads change nothing.
#[test]
fn the_field_is_real() {
    for side in [8, 9] {
        let field = draw(side, WhiteNoise::gaussian(Seed(2)));
        let mut density = vec![0.0; side * side * side];
        field.density(&mut density, &Threads::single()).unwrap();
        let back = LinearField::from_density(&density, side, 100.0, &Threads::new(3)).unwrap();
        let largest = field.modes().iter().map(|mode| mode.norm()).fold(0.0, f64::max);
        for (a, b) in field.modes().iter().zip(back.modes()) {
            assert!((a - b).norm() < 1e-12 * largest, "{side}: {a} {b}");
        }
    }
}

/// Fixed modes have exactly the mean power; the inverted field is the negative one. Of Rayleigh amplitudes, |g|² has mean 1 and variance 1: 29 000
/// modes of 4 standard errors.
#[test]
fn amplitudes_are_as_asked() {
    let fixed = WhiteNoise { amplitudes: Amplitudes::Fixed, ..WhiteNoise::gaussian(Seed(1)) };
    let field = draw(16, fixed);
    let power = power();
    for_each_mode(&mut field.modes().to_vec(), 16, &Threads::single(), |n, mode| {
        if n != [0; 3] {
            let k = TAU / 100.0 * (squared(n) as f64).sqrt();
            let expected = power.at(k) * 16f64.powi(6) / 1e6;
            assert!((mode.norm_sqr() / expected - 1.0).abs() < 1e-10);
        }
    });
    let inverted = draw(16, WhiteNoise { phases: Phases::Inverted, ..fixed });
    assert!(field.modes().iter().zip(inverted.modes()).all(|(a, b)| (a + b).norm() <= 1e-12 * a.norm()));

    let side = 38;
    let gaussian = draw(side, WhiteNoise::gaussian(Seed(3)));
    let mut squares = Vec::new();
    let width = side / 2 + 1;
    for (index, mode) in gaussian.modes().iter().enumerate() {
        let (ix, iy, iz) = (index / (side * width), index / width % side, index % width);
        if iz != 0 && 2 * iz != side {
            let n = [crate::fft::wave_number(ix, side), crate::fft::wave_number(iy, side), iz as i64];
            let k = TAU / 100.0 * (squared(n) as f64).sqrt();
            squares.push(mode.norm_sqr() / (power.at(k) * (side as f64).powi(6) / 1e6));
        }
    }
    let count = squares.len() as f64;
    let mean = squares.iter().sum::<f64>() / count;
    assert!((mean - 1.0).abs() < 4.0 / count.sqrt(), "{mean}");
}

#[test]
fn the_sphere_leaves_out_the_corners() {
    let noise = WhiteNoise::gaussian(Seed(5));
    let field = LinearField::<f32>::draw(&power(), 8, 100.0, &noise, ModeCut::Sphere, &Threads::single()).unwrap();
    for_each_mode(&mut field.modes().to_vec(), 8, &Threads::single(), |n, mode| {
        assert_eq!(mode.norm_sqr() > 0.0, n != [0; 3] && squared(n) <= 16, "{n:?}");
    });
}

/// White noise of unit variance times the spectrum is what the modes of the same noise give.
#[test]
fn imported_noise_is_coloured() {
    let side = 8;
    let flat = LinearPower::from_table(&[1e-3, 1e-2, 1.0, 10.0], &[1e6 / 512.0; 4]).unwrap();
    let noise: Vec<f64> = (0..512).map(|i| ((i * 37 % 101) as f64 - 50.0) / 29.0).collect();
    let field = LinearField::from_white_noise(&noise, &flat, side, 100.0, ModeCut::Cube, &Threads::single()).unwrap();
    let mut density = vec![0.0; 512];
    field.density(&mut density, &Threads::single()).unwrap();
    let mean = noise.iter().sum::<f64>() / 512.0;
    // P n³/L³ = 1: the noise itself without its mean.
    assert!(density.iter().zip(&noise).all(|(d, w)| (d - (w - mean)).abs() < 1e-12));
}

/// One plane wave: x − q = −D ∇φ₁ = −(A D/k) sin(kx) for δ = A cos(kx), and no second order.
#[test]
fn a_plane_wave_is_displaced_as_zeldovich_says() {
    let (side, size) = (16, 50.0);
    let centre = |i: usize| TAU * i as f64 / side as f64;
    let density: Vec<f64> = (0..side * side * side).map(|cell| 0.3 * centre(cell % side).cos()).collect();
    let field = LinearField::from_density(&density, side, size, &Threads::single()).unwrap();
    let perturbation = field.perturbation(Order::Second, Derivative::Spectral, &Threads::new(2)).unwrap();
    let growth = Growth::new(&Cosmology { omega_m: 1.0, ..Cosmology::QUIJOTE }, Radiation::Neglected).unwrap();
    let start = perturbation.at(&growth, 0.25, &Threads::single()).unwrap();
    for (cell, x) in start.displacements.iter().enumerate() {
        let expected = -0.25 * 0.3 * size / TAU * centre(cell % side).sin();
        assert!(x[0].abs() < 1e-12 && x[1].abs() < 1e-12 && (x[2] - expected).abs() < 1e-10);
        // EdS: p = a² E f D s₁ = √a x.
        assert!((start.momenta[cell][2] - 0.5 * x[2]).abs() < 1e-9);
    }
}

/// JaxPM in double precision: 1e-6 cells of 3.125 Mpc/h; the printed positions have 10 digits.
#[test]
fn second_order_is_the_golden_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/cosmology/pm/delta_lin_z0.npy");
    let Some(rows) = golden::rows("pm/particles_1000.csv") else { return };
    let density = npy::read::<f64>(&path).unwrap();
    let threads = Threads::new(2);
    let field = LinearField::from_density(density.data(), 64, 200.0, &threads).unwrap();
    let growth = Growth::new(&Cosmology::QUIJOTE, Radiation::Neglected).unwrap();
    let start = field.perturbation(Order::Second, Derivative::FourPoint, &threads).unwrap().at(&growth, 0.1, &threads).unwrap();
    for row in rows {
        let numbers: Vec<f64> = row.iter().map(|cell| cell.parse().unwrap()).collect();
        for axis in 0..3 {
            // The reference's lattice points are nodes.
            let x = numbers[1 + axis] * 3.125 + start.displacements[numbers[0] as usize][axis];
            assert!((x - numbers[4 + axis]).abs() < 3e-6, "{x} {}", numbers[4 + axis]);
            assert!((start.momenta[numbers[0] as usize][axis] - numbers[7 + axis]).abs() < 3e-6);
        }
    }
}

/// S₃ = <δ³>/<δ²>² of the evolved density of an Einstein-de Sitter universe: 34/7 at second order, 4 in the Zel'dovich approximation
/// (Peebles 1980; Bouchet et al. 1995), for initial conditions without structure below the mesh.
///
/// Particles carry δ = 1/J − 1, J = det(1 + ∂s), and Eulerian averages are Lagrangian ones weighted by J, so no mesh smooths the result. Averaged
/// over a field and its negative, the Gaussian part of <δ³> cancels. Noise that is left: some 1 % for 7000 modes; corrections of order σ² = 4e-4.
#[test]
fn skewness_of_second_order_fields() {
    let side = 24;
    let threads = Threads::new(2);
    // White power up to k = 0.5 Nyquist, so that products of two modes fit on the mesh; amplitude for σ = 0.02.
    let k: Vec<f64> = (0..8).map(|i| 0.01 * 3f64.powi(i)).collect();
    let flat = LinearPower::from_table(&k, &[1.0; 8]).unwrap();
    let growth = Growth::new(&Cosmology { omega_m: 1.0, ..Cosmology::QUIJOTE }, Radiation::Neglected).unwrap();
    let skewness = |order: Order| {
        let (mut third, mut second) = (0.0, 0.0);
        for phases in [Phases::Original, Phases::Inverted] {
            let noise = WhiteNoise { phases, ..WhiteNoise::gaussian(Seed(8)) };
            let mut field = LinearField::<f64>::draw(&flat, side, 100.0, &noise, ModeCut::Cube, &threads).unwrap();
            for_each_mode(&mut field.modes, side, &threads, |n, mode| {
                if squared(n) > 36 {
                    *mode *= 0.0;
                }
            });
            let mut density = vec![0.0; side * side * side];
            field.density(&mut density, &threads).unwrap();
            let sigma = (density.iter().map(|d| d * d).sum::<f64>() / density.len() as f64).sqrt();
            field.modes.iter_mut().for_each(|mode| *mode *= 0.02 / sigma);
            let start = field.perturbation(order, Derivative::Spectral, &threads).unwrap().at(&growth, 1.0, &threads).unwrap();
            // ∂_j s_i, spectrally.
            let mut jacobian = vec![[[0.0; 3]; 3]; density.len()];
            for i in 0..3 {
                let component: Vec<f64> = start.displacements.iter().map(|s| s[i]).collect();
                let as_field = LinearField::from_density(&component, side, 100.0, &threads).unwrap();
                for j in 0..3 {
                    let mut modes = as_field.modes.clone();
                    for_each_mode(&mut modes, side, &threads, |n, mode| {
                        let k = if 2 * n[j].unsigned_abs() as usize == side { 0.0 } else { TAU / 100.0 * n[j] as f64 };
                        *mode *= Complex { re: 0.0, im: k };
                    });
                    let mut mesh = vec![0.0; density.len()];
                    as_field.fft.inverse(&mut modes, &mut mesh, &threads).unwrap();
                    jacobian.iter_mut().zip(&mesh).for_each(|(matrix, value)| matrix[i][j] = *value);
                }
            }
            for m in jacobian {
                let a = |i: usize, j: usize| m[i][j] + f64::from(i == j);
                let minor = |i: usize, j: usize| a(1, i) * a(2, j) - a(1, j) * a(2, i);
                let det = a(0, 0) * minor(1, 2) - a(0, 1) * minor(0, 2) + a(0, 2) * minor(0, 1);
                let delta = 1.0 / det - 1.0;
                third += det * delta.powi(3);
                second += det * delta * delta;
            }
        }
        let count = 2.0 * (side * side * side) as f64;
        (third / count) / (second / count).powi(2)
    };
    let (zeldovich, second) = (skewness(Order::First), skewness(Order::Second));
    assert!((zeldovich / 4.0 - 1.0).abs() < 0.06, "{zeldovich}");
    assert!((second / (34.0 / 7.0) - 1.0).abs() < 0.06, "{second}");
    // The difference, 6/7, has little noise of its own.
    assert!(((second - zeldovich) / (6.0 / 7.0) - 1.0).abs() < 0.06, "{}", second - zeldovich);
}

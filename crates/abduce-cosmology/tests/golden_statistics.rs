//! Power spectra and bispectra against Pylians.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod golden;

use abduce_cosmology::fft::MeshFft;
use abduce_cosmology::mesh::{Convention, Grid, Scheme, Weights, density_contrast, deposit};
use abduce_cosmology::statistics::power::SelfConjugate;
use abduce_cosmology::statistics::{BispectrumPlan, PowerOptions, PowerSpectrum, Triangle, modes_of_field, power_spectrum};
use abduce_data::npy;
use abduce_kernels::Threads;
use std::collections::BTreeMap;

/// `tolerance` is that of the bins beyond the Nyquist wave number, 32 k_F. Pylians keeps sums in f64 but the transform in f32, as we do: 1e-4 of P_0 is the acceptance bound, and two f32 transforms differ by some 1e-6.
fn compare(found: &PowerSpectrum, table: &BTreeMap<String, Vec<f64>>, columns: [&str; 3], tolerance: f64) {
    assert_eq!(found.k_h_per_mpc.len(), table["k_h_per_Mpc"].len());
    for bin in 0..found.modes.len() {
        assert_eq!(found.modes[bin], table["Nmodes"][bin], "bin {bin}");
        assert!((found.k_h_per_mpc[bin] / table["k_h_per_Mpc"][bin] - 1.0).abs() < 1e-7, "bin {bin}");
        let p0 = table[columns[0]][bin];
        let tolerance = if bin < 32 { 1e-5 } else { tolerance };
        for (values, column) in [&found.p0, &found.p2, &found.p4].into_iter().zip(columns) {
            let difference = (values[bin] - table[column][bin]).abs() / p0;
            assert!(difference < tolerance, "{column}, bin {bin}: {difference}");
        }
    }
}

#[test]
fn multipoles_of_a_field_are_those_of_pylians() {
    let Some(folder) = golden::folder("mesh") else { return };
    let field = npy::read::<f32>(&folder.join("field_delta.npy")).unwrap();
    let grid = Grid::new(64, 200.0).unwrap();
    let fft = MeshFft::new([64; 3]).unwrap();
    let table = golden::columns(folder.join("field_pk.csv"));
    for (window, name) in [(None, "None"), (Some(Scheme::Cic), "CIC")] {
        for line_of_sight in [2, 0] {
            let modes = modes_of_field(field.data(), grid, window, &fft, &Threads::new(2)).unwrap();
            let options = PowerOptions { line_of_sight, self_conjugate: SelfConjugate::Full, ..PowerOptions::default() };
            let found = power_spectrum(&modes, &options, &Threads::new(2)).unwrap();
            assert_eq!(found, power_spectrum(&modes, &options, &Threads::single()).unwrap());
            let columns = [0, 2, 4].map(|l| format!("P{l}_axis{line_of_sight}_{name}"));
            compare(&found, &table, [&columns[0], &columns[1], &columns[2]], 1e-5);
            // Counting every point of k-space alike changes only the bins of self-conjugate modes.
            let fair = power_spectrum(&modes, &PowerOptions { self_conjugate: SelfConjugate::Half, ..options }, &Threads::new(2)).unwrap();
            let changed = (0..fair.p0.len()).filter(|&bin| fair.p0[bin] != found.p0[bin]).count();
            assert_eq!(changed, 2, "(N/2, 0, 0) and (N/2, N/2, 0); the corner is alone in its bin");
        }
    }
}

#[test]
fn multipoles_of_particles_are_those_of_pylians() {
    let Some(folder) = golden::folder("mesh") else { return };
    let points = npy::read::<f32>(&folder.join("particles_pos.npy")).unwrap();
    let points = points.data().as_chunks::<3>().0;
    let grid = Grid::new(64, 100.0).unwrap();
    let fft = MeshFft::new([64; 3]).unwrap();
    let table = golden::columns(folder.join("particles_pk.csv"));
    for (scheme, name) in [(Scheme::Cic, "CIC"), (Scheme::Tsc, "TSC")] {
        let threads = Threads::new(2);
        let mut mesh = deposit(points, Weights::Equal, grid, scheme, Convention::Nodes, 0.0, &threads).unwrap();
        density_contrast(&mut mesh, &threads).unwrap();
        let modes = modes_of_field(&mesh, grid, Some(scheme), &fft, &threads).unwrap();
        let options = PowerOptions { self_conjugate: SelfConjugate::Full, ..PowerOptions::along_z() };
        let found = power_spectrum(&modes, &options, &threads).unwrap();
        let columns = [0, 2, 4].map(|l| format!("P{l}_{name}"));
        // Pylians paints with coordinates rounded to f32 cells: the window makes 1e-4 of that in the corner.
        compare(&found, &table, [&columns[0], &columns[1], &columns[2]], 1e-3);
    }
}

#[test]
fn bispectra_are_those_of_pylians() {
    let Some(folder) = golden::folder("mesh") else { return };
    let field = npy::read::<f32>(&folder.join("field_delta.npy")).unwrap();
    let grid = Grid::new(64, 200.0).unwrap();
    let fft = MeshFft::new([64; 3]).unwrap();
    let threads = Threads::new(2);
    let modes = modes_of_field(field.data(), grid, None, &fft, &threads).unwrap();
    let table = golden::columns(folder.join("field_bispectrum.csv"));
    for k in [0.15, 0.3] {
        let rows: Vec<usize> = (0..table["k1"].len()).filter(|&row| table["k1"][row] == k).collect();
        let triangles = rows.iter().map(|&row| Triangle::from_angle(k, k, table["theta"][row])).collect();
        let plan = BispectrumPlan::new(grid, triangles, grid.fundamental_h_per_mpc(), Some(2), &threads).unwrap();
        let found = plan.measure(&modes, &threads).unwrap();
        assert_eq!(found, plan.measure(&modes, &Threads::single()).unwrap());
        let powers = golden::columns(folder.join(format!("field_bispectrum_pk_k{k}.csv")));
        let reduced = found.reduced();
        for (t, &row) in rows.iter().enumerate() {
            assert!((found.triangles[t].sides_h_per_mpc[2] / table["k3"][row] - 1.0).abs() < 1e-7);
            // Where the third shell reaches k = 0, Pylians counts that mode and the pairs k1 = −k2 with it; they are no triangles.
            let modes_in = |k: f64| {
                let waves = -32i64..32;
                let shell = |n2: i64| {
                    let wave = (n2 as f64).sqrt() * grid.fundamental_h_per_mpc();
                    (wave - k).abs() < grid.fundamental_h_per_mpc()
                };
                let all = waves.clone().flat_map(|x| waves.clone().flat_map(move |y| (-32i64..32).map(move |z| x * x + y * y + z * z)));
                all.filter(|&n2| shell(n2)).count() as f64
            };
            let k3 = found.triangles[t].sides_h_per_mpc[2];
            let (mut b, mut q, mut p3) = (found.b0[t], reduced[t], found.powers[t][2]);
            if k3 < grid.fundamental_h_per_mpc() {
                b *= found.counts[t] / (found.counts[t] + modes_in(k));
                p3 *= (modes_in(k3) - 1.0) / modes_in(k3);
                q = b / (found.powers[t][0] * (found.powers[t][0] + 2.0 * p3));
            }
            // Both use f32 transforms; the acceptance bound is 1e-3, an independent f64 code agrees with the table to 3e-7.
            assert!((b / table["B"][row] - 1.0).abs() < 2e-5, "{k} {t}: {b} against {}", table["B"][row]);
            assert!((q / table["Q"][row] - 1.0).abs() < 2e-5);
            assert!((p3 / powers["P"][t + 2] - 1.0).abs() < 1e-5, "{p3} {}", powers["P"][t + 2]);
            assert!((found.powers[t][0] / powers["P"][0] - 1.0).abs() < 1e-5);
        }
    }
}

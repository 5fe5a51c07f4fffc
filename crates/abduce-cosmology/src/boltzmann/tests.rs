use super::*;
use crate::golden;

fn corner(index: u32) -> Cosmology {
    let pick = |bit: u32, low, high| if index >> bit & 1 == 0 { low } else { high };
    Cosmology::lcdm(pick(0, 0.1, 0.5), pick(1, 0.03, 0.07), pick(2, 0.5, 0.9), pick(3, 0.8, 1.2), 0.8)
}

/// Largest |ln ratio| over 1e-3 < k < 10 after the σ8s have been made equal, and where.
fn difference(a: &LinearPower, b: &LinearPower) -> (f64, f64) {
    (0..400)
        .map(|i| 1e-3 * 1e4f64.powf(f64::from(i) / 399.0))
        .map(|k| ((a.at(k) / b.at(k)).ln(), k))
        .fold((0.0, 0.0), |worst, at| if at.0.abs() > f64::abs(worst.0) { at } else { worst })
}

/// CAMB at twelve models of the Quijote hypercube, 0.5 % for 1e-3 < k < 10 and 1 % elsewhere.
#[test]
fn matter_power_is_cambs() {
    let Some(cosmologies) = golden::cosmologies() else { return };
    let rows = golden::rows("linear/linear_pk_z0.csv").unwrap();
    for (index, (name, cosmology)) in cosmologies.into_iter().enumerate() {
        let start = std::time::Instant::now();
        let power = LinearPower::boltzmann(&cosmology, &Threads::single()).unwrap();
        let time = start.elapsed();
        let mut worst = [(0.0f64, 0.0); 2];
        for row in &rows {
            let (k, p): (f64, f64) = (row[0].parse().unwrap(), row[index + 1].parse().unwrap());
            let ratio = (power.at(k) / p).ln();
            let inside = (1e-3..10.0).contains(&k);
            let worst = &mut worst[usize::from(inside)];
            if ratio.abs() > worst.0.abs() {
                *worst = (ratio, k);
            }
        }
        println!("{name} {worst:?} {time:?}");
    }
}

#[test]
fn convergence_at_corners() {
    let tight = Precision {
        tolerance: 1e-7,
        photon_moments: 25,
        neutrino_moments: 40,
        streaming_waves: 200.0,
        photon_waves: 300.0,
        streaming_depth: 0.02,
        diffusion_exponent: 16.0,
        start_k_time: 1e-3,
        start_time_mpc: 0.02,
        modes_per_oscillation: 24.0,
        modes_per_decade: 24.0,
        ..Precision::default()
    };
    for index in [0, 1, 2, 4, 6, 7] {
        let model = corner(index);
        let power = |p: &Precision| MatterTransfer::new(&model, &[1.0], p, &Threads::new(2)).unwrap().power().unwrap().remove(0);
        let reference = power(&tight);
        let default = Precision::default();
        let start = std::time::Instant::now();
        let base = power(&default);
        let time = start.elapsed();
        println!("corner {index} {:?} {time:?}", difference(&base, &reference));
        for (name, precision) in [
            ("tolerance", Precision { tolerance: 1e-7, ..default }),
            ("photon lmax", Precision { photon_moments: 25, ..default }),
            ("neutrino lmax", Precision { neutrino_moments: 40, ..default }),
            ("streaming", Precision { streaming_waves: 200.0, ..default }),
            ("photon waves", Precision { photon_waves: 300.0, ..default }),
            ("depth", Precision { streaming_depth: 0.02, ..default }),
            ("diffusion", Precision { diffusion_exponent: 16.0, ..default }),
            ("start", Precision { start_k_time: 1e-3, start_time_mpc: 0.02, ..default }),
            ("modes", Precision { modes_per_oscillation: 24.0, modes_per_decade: 24.0, ..default }),
        ] {
            println!("   {name} {:?}", difference(&power(&precision), &base));
        }
    }
}

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
        if name == "fid" || name == "c11" || name == "c03" {
            for row in rows.iter().step_by(4) {
                let (k, p): (f64, f64) = (row[0].parse().unwrap(), row[index + 1].parse().unwrap());
                println!("{k:.5} {:.5}", (power.at(k) / p).ln());
            }
        }
    }
}

#[test]
fn scan() {
    let rows = golden::rows("linear/linear_pk_z0.csv").unwrap();
    let cosmologies = golden::cosmologies().unwrap();
    let d = Precision::default();
    for (name, p) in [
        ("default", d),
        ("tol 1e-6", Precision { tolerance: 1e-6, ..d }),
        ("modes 28", Precision { modes_per_oscillation: 28.0, modes_per_decade: 32.0, ..d }),
    ] {
        println!("{name}");
        for index in [0usize, 3, 11] {
            let start = std::time::Instant::now();
            let power = MatterTransfer::new(&cosmologies[index].1, &[1.0], &p, &Threads::single()).unwrap().power().unwrap().remove(0);
            let time = start.elapsed();
            print!("   {} {time:?}", cosmologies[index].0);
            for (low, high) in
                [(0.0, 1e-3), (1e-3, 1e-2), (1e-2, 0.03), (0.03, 0.1), (0.1, 0.3), (0.3, 1.0), (1.0, 3.0), (3.0, 10.0), (10.0, 20.1)]
            {
                let mut worst = 0.0f64;
                for row in &rows {
                    let (k, p): (f64, f64) = (row[0].parse().unwrap(), row[index + 1].parse().unwrap());
                    let ratio = (power.at(k) / p).ln();
                    if (low..high).contains(&k) && ratio.abs() > worst.abs() {
                        worst = ratio;
                    }
                }
                print!(" {:+.2}", worst * 1e3);
            }
            println!();
            if name == "modes 28" {
                for row in &rows {
                    let (k, p): (f64, f64) = (row[0].parse().unwrap(), row[index + 1].parse().unwrap());
                    if (3e-3..0.2).contains(&k) || (0.4..0.6).contains(&k) {
                        print!("{k:.4} {:+.2}, ", 1e3 * (power.at(k) / p).ln());
                    }
                }
                println!();
            }
        }
    }
}

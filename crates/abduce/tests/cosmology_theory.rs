//! `abduce cosmology …`, as a user calls it.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod program;

use program::Workplace;

/// Rows of a CSV table behind its header.
fn table(text: &str, header: &str) -> Vec<Vec<f64>> {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(header));
    lines.map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect()).collect()
}

const POWER: &str = "k_h_per_mpc,p_mpc3_h3";

#[test]
fn spectra_are_written_read_back_and_drawn() {
    let place = Workplace::new();
    let range = ["--k-min", "1e-3", "--k-max", "5", "--points", "300"];
    let power = |args: &[&str]| place.ok(&[&["cosmology", "power"], args, &range].concat());

    assert_eq!(power(&["--omega-m", "0.3", "--h", "0.7", "-o", "deep/p.csv", "--plot", "p.png"]), "", "the table went to the file");
    let boltzmann = table(&String::from_utf8(place.read("deep/p.csv")).unwrap(), POWER);
    assert_eq!(boltzmann.len(), 300);
    assert!((boltzmann[0][0] - 1e-3).abs() < 1e-12 && (boltzmann[299][0] - 5.0).abs() < 1e-9);
    assert!(place.read("p.png").starts_with(b"\x89PNG"));

    // Within the fit's 5 % near the concordance model, both normalised by the same sigma8.
    let fit = table(&power(&["--model", "eisenstein-hu", "--omega-m", "0.3", "--h", "0.7"]), POWER);
    assert!(boltzmann.iter().zip(&fit).all(|(a, b)| a[0] == b[0] && (a[1] / b[1] - 1.0).abs() < 0.05));

    // A table gives itself back, and grows as the growth factor says.
    let again = table(&power(&["--model", "table", "--table", "deep/p.csv", "--omega-m", "0.3", "--h", "0.7"]), POWER);
    assert!(boltzmann.iter().zip(&again).all(|(a, b)| (a[1] / b[1] - 1.0).abs() < 1e-7));
    let earlier = table(&power(&["--model", "table", "--table", "deep/p.csv", "--omega-m", "0.3", "--z", "1"]), POWER);
    let growth =
        table(&place.ok(&["cosmology", "growth", "--omega-m", "0.3", "--z", "1"]), "a,z,e,comoving_distance_mpc_h,age_gyr_h,d1,f1,d2,f2");
    assert!((earlier[7][1] / again[7][1] / growth[0][5].powi(2) - 1.0).abs() < 1e-7);
    // The Boltzmann equations know radiation, which changes growth since z = 1 by some 1e-3.
    let earlier = table(&power(&["--omega-m", "0.3", "--h", "0.7", "--z", "1"]), POWER);
    assert!((earlier[150][1] / boltzmann[150][1] / growth[0][5].powi(2) - 1.0).abs() < 4e-3);
}

#[test]
fn designs_cover_their_ranges() {
    let place = Workplace::new();
    let rows = table(&place.ok(&["cosmology", "design", "-n", "20", "--kind", "maximin"]), "omega_m,omega_b,h,n_s,sigma8");
    let mut strata: Vec<usize> = rows.iter().map(|row| ((row[0] - 0.1) / 0.4 * 20.0) as usize).collect();
    strata.sort_unstable();
    assert_eq!(strata, (0..20).collect::<Vec<_>>());
    let two = ["--parameter", "w0:-1.3:-0.7", "--parameter", "s:0:2"];
    place.ok(&[&["cosmology", "design", "-n", "8", "--kind", "sobol", "-o", "theta.npy"], &two[..]].concat());
    let theta = place.array("theta.npy");
    assert_eq!(theta.shape(), [8, 2]);
    assert!(theta.data().chunks(2).all(|row| (-1.3..-0.7).contains(&row[0]) && (0.0..2.0).contains(&row[1])));
}

#[test]
fn wrong_requests_say_what_is_wrong() {
    let place = Workplace::new();
    place.write("bad.csv", "k,p\n0.1,5\n0.2,oops\n");
    for (status, args, parts) in [
        (2, &["power", "--omega-b", "0.5"][..], &["omega_b = 0.5 is outside [0.001, omega_m]"][..]),
        (2, &["power", "--h=-1"], &["h = -1 is outside"]),
        (2, &["power", "--z=-0.5"], &["z = -0.5 is outside [0, 99]"]),
        (2, &["power", "--k-min", "3", "--k-max", "2"], &["k from 3 to 2"]),
        (2, &["power", "--model", "eisenstein-hu", "--a-s", "2e-9"], &["needs sigma8", "--model boltzmann"]),
        (2, &["power", "--model", "table"], &["--table"]),
        (2, &["power", "--table", "x.csv"], &["--table goes with --model table"]),
        (1, &["power", "--model", "table", "--table", "none.csv"], &["cannot read", "none.csv"]),
        (1, &["power", "--model", "table", "--table", "bad.csv"], &["bad.csv: line 3", "`0.2,oops`"]),
        (2, &["power", "--model", "eisenstein-hu", "--plot", "p.pdf"], &["neither .svg nor .png"]),
        (2, &["growth", "--a-min", "2"], &["outside [1e-4, 1)"]),
        (2, &["design", "-n", "4", "--parameter", "x:1:0"], &["the interval from 1 to 0 is empty"]),
        (2, &["design", "-n", "4", "--parameter", "x:1"], &["write NAME:LOW:HIGH"]),
        (2, &["design", "-n", "0", "--kind", "maximin"], &["0 is not in 1"]),
    ] {
        place.fails(status, &[&["cosmology"], args].concat(), parts);
    }
}

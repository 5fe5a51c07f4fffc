//! `abduce dimension` as a user calls it.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod program;

use abduce_data::{Array, npy, npz};
use program::Workplace;

/// A curve in space: 300 points and what goes wrong with real files, a NaN row and a repeated row, in f64.
fn helix(place: &Workplace) {
    let mut values: Vec<f64> = (0..300)
        .flat_map(|i| {
            let t = 12.0 * (f64::from(i) * 0.754_877_666).fract();
            [t.cos(), t.sin(), 0.3 * t]
        })
        .collect();
    values.extend([f64::NAN, 0.0, 0.0]);
    values.extend_from_within(0..3);
    npy::write(&place.path("helix.npy"), &Array::new(vec![302, 3], values).unwrap()).unwrap();
}

#[test]
fn points_have_a_dimension_an_interval_and_a_curve() {
    let place = Workplace::new();
    helix(&place);
    let ended = place.run(&["dimension", "helix.npy", "--json", "--references", "60", "--plot", "scale.svg"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("1 of 302 rows hold NaN") && ended.stderr.contains("1 of 302 rows repeat"), "{}", ended.stderr);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&report["method"], &report["points"]), (&"combined".into(), &300.into()));
    assert!((report["dimension"].as_f64().unwrap() - 1.0).abs() < 0.1, "{report}");
    let [low, high] = [0, 1].map(|i| report["interval"][i].as_f64().unwrap());
    assert!(low <= 1.0 && 1.0 <= high);
    assert_eq!(report["scales"].as_array().unwrap().len(), 6);
    assert!(String::from_utf8(place.read("scale.svg")).unwrap().starts_with("<svg"));
    // The same bytes on one thread.
    let again = place.ok(&["dimension", "helix.npy", "--json", "--references", "60", "--threads", "1", "--quiet"]);
    assert_eq!(again, ended.stdout);
    let table = place.ok(&["dimension", "helix.npy", "--method", "gride,mle,lpca", "--quiet"]);
    assert!(table.contains("GRIDE") && table.contains("rules on the spectrum") && table.contains("neighbours"), "{table}");
    place.write("points.csv", "a,b\n".to_owned() + &(0..40).map(|i| format!("{},{}\n", (i * 7) % 40, (i * 11) % 37)).collect::<String>());
    let csv: serde_json::Value = serde_json::from_str(&place.ok(&["dimension", "points.csv", "--method", "twonn", "--json"])).unwrap();
    assert_eq!(csv["combined"], serde_json::Value::Null);
    assert!(csv["dimension"].as_f64().unwrap() > 0.5);
}

#[test]
fn loss_curves_have_a_dimension_against_tolerance() {
    let place = Workplace::new();
    let widths = Array::new(vec![5], vec![0.0f64, 1.0, 2.0, 3.0, 4.0]).unwrap();
    let mean = [1.0, 0.4, 0.0012, 0.001, 0.001];
    let losses = (0..3 * 5 * 50).map(|p| mean[p / 50 % 5] * (0.9 + 0.2 * ((p * 37 % 50) as f64) / 50.0)).collect();
    let losses = Array::new(vec![3, 5, 50], losses).unwrap();
    npz::write(&place.path("losses.npz"), &[("widths", &widths), ("losses", &losses)]).unwrap();
    let report: serde_json::Value = serde_json::from_str(&place.ok(&["dimension", "losses.npz", "--method", "iob", "--json"])).unwrap();
    assert_eq!((&report["dimension"], &report["tolerance"]), (&2.into(), &0.01.into()));
    assert_eq!(report["authors_rule"]["dimension"], 2);
    let text = place.ok(&["dimension", "losses.npz", "--method", "iob", "--plot", "losses.png"]);
    assert!(text.contains("dimension 2") && place.read("losses.png").starts_with(b"\x89PNG"), "{text}");
}

#[test]
fn wrong_input_is_told() {
    let place = Workplace::new();
    helix(&place);
    place.save("same.npy", &[30, 2], |_| 1.0);
    place.fails(1, &["dimension", "same.npy"], &["1 distinct points are too few", "29 duplicates"]);
    place.fails(1, &["dimension", "missing.npy"], &["missing.npy"]);
    place.fails(2, &["dimension", "helix.npy", "--plot", "x.pdf"], &[".svg nor .png"]);
    place.fails(2, &["dimension", "helix.npy", "--method", "iob,mle"], &["ask for iob alone"]);
    place.fails(1, &["dimension", "helix.npy", "--method", "iob"], &["npz"]);
}

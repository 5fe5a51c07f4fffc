//! What the program says to bad input: the words that a user needs, a hint, and the exit status.

mod program;

use program::{INFER, Workplace};
use std::path::Path;

const TRAIN: [&str; 7] = ["train", "infer.yaml", "--data", "data.yaml", "-o", "run", "--quiet"];

/// A numpy file with this header dictionary and this many bytes of data.
fn npy(dictionary: &str, bytes: usize) -> Vec<u8> {
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(u16::try_from(dictionary.len()).unwrap_or(0).to_le_bytes());
    file.extend(dictionary.bytes());
    file.resize(file.len() + bytes, 0);
    file
}

#[test]
fn files_that_cannot_be_used() {
    let place = Workplace::simulated();
    let theta = place.read("sims/theta.npy");
    let header = |descr: &str, shape: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
    let cases: [(&str, Vec<u8>, &[&str]); 6] = [
        ("truncated", theta[..theta.len() / 2].to_vec(), &["theta.npy", "truncated", "copy or write it again"]),
        ("python objects", npy(&header("'|O'", "(500, 2)"), 4000), &["theta.npy", "Python objects", "numpy.save"]),
        ("absurd shape", npy(&header("'<f4'", "(99999999999, 99999999999)"), 100), &["theta.npy", "absurd"]),
        ("too large for its bytes", npy(&header("'<f4'", "(100000000000, 2)"), 100), &["theta.npy", "truncated", "800000000000"]),
        ("no npy", b"PK\x03\x04 not an array".to_vec(), &["theta.npy", "not an npy file", ".npz"]),
        ("other length", npy(&header("'<f4'", "(7, 2)"), 56), &["theta.npy has 7 rows but", "x.npy has 500"]),
    ];
    for (case, bytes, parts) in cases {
        println!("{case}");
        place.write("sims/theta.npy", bytes);
        place.fails(1, &TRAIN, parts);
    }
    place.write("data.yaml", "{in_dir: sims, theta_file: nothing.npy, x_file: x.npy}");
    place.fails(1, &TRAIN, &["nothing.npy: cannot read", "check the path"]);
    place.fails(2, &["train", "nothing.yaml", "--data", "data.yaml"], &["cannot read nothing.yaml"]);
    assert!(!place.path("run/posterior.safetensors").exists());
}

#[test]
fn values_that_cannot_be_used() {
    let place = Workplace::simulated();
    let x = |i: usize| (i % 13) as f32 * 0.1;
    let theta = |i: usize| ((i * 7) % 19) as f32 / 19.0;

    place.save("sims/theta.npy", &[500, 2], theta);
    place.save("sims/x.npy", &[500, 2], |i| if i % 100 == 40 { f32::NAN } else { x(i) });
    let ended = place.run(&["train", "infer.yaml", "--data", "data.yaml", "-o", "nan"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("10 of 500 pairs hold NaN or infinite values"), "{}", ended.stderr);
    assert!(String::from_utf8_lossy(&place.read("nan/warnings.json")).contains("10 of 500 pairs"));
    place.write("strict.yaml", "{in_dir: sims, theta_file: theta.npy, x_file: x.npy, nan_rows: error}");
    place.fails(1, &["train", "infer.yaml", "--data", "strict.yaml", "-o", "strict"], &["10 of 500 rows", "nan_rows: drop"]);

    place.save("sims/x.npy", &[500, 2], |_| f32::INFINITY);
    place.fails(1, &TRAIN, &["all 500 rows hold NaN or infinite values"]);

    place.save("sims/x.npy", &[500, 2], |i| if i % 2 == 1 { 4.0 } else { x(i) });
    let ended = place.run(&["train", "infer.yaml", "--data", "data.yaml", "-o", "constant"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("1 of 2 features of x are constant in the training pairs: 1"), "{}", ended.stderr);

    place.save("sims/theta.npy", &[500, 2], |i| if i == 6 { 1.5 } else { theta(i) });
    let parts = ["1 of 500 rows of theta lie outside the prior", "row 3, where theta_0 = 1.5 is not in [-1, 1]", "widen it"];
    place.fails(1, &["train", "infer.yaml", "--data", "data.yaml", "-o", "outside"], &parts);
    place.save("sims/theta.npy", &[500, 3], theta);
    place.fails(
        1,
        &["train", "infer.yaml", "--data", "data.yaml", "-o", "columns"],
        &["theta has 3 columns but the prior has 2 parameters"],
    );
}

#[test]
fn configurations_that_cannot_be_used() {
    let place = Workplace::new();
    place.write("infer.yaml", INFER.replace("hidden_features: 8, num_transforms", "hidden_featurs: 8, num_transforms"));
    place.fails(2, &TRAIN, &["hidden_featurs", "hidden_features", "infer.yaml:3"]);
    place.write("infer.yaml", INFER.replace("max_num_epochs: 5", "max_num_epochs: many"));
    place.fails(2, &TRAIN, &["max_num_epochs", "infer.yaml:4"]);
    place.fails(2, &["simulate", "two_mons", "-n", "5", "-o", "a"], &["no built-in task `two_mons`", "two_moons"]);
    place.fails(2, &["validate"], &["no posterior to validate"]);
    let ended = place.command(&["simulate", "slcp", "-n", "5", "-o", "a"]).env("ABDUCE_SIMD", "sse").output();
    assert!(
        ended.is_ok_and(|ended| ended.status.code() == Some(2) && String::from_utf8_lossy(&ended.stderr).contains("unknown SIMD level"))
    );
}

#[test]
fn posteriors_and_observations() {
    let place = Workplace::simulated();
    place.ok(&TRAIN);
    place.fails(1, &TRAIN, &["already holds a run", "--resume goes on with it"]);
    place.save("far.npy", &[2, 2], |i| if i == 3 { 50.0 } else { 0.1 });
    let ended = place.run(&["sample", "run", "--x", "far.npy", "-n", "10", "-o", "s.npy", "--quiet"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("observation 1 lies outside the simulations: feature 1 by "), "{}", ended.stderr);

    place.save("wide.npy", &[4, 3], |_| 0.0);
    place.fails(1, &["sample", "run", "--x", "wide.npy", "-o", "s.npy"], &["wide.npy has shape [4, 3]", "shape [2]"]);
    place.save("nan.npy", &[2, 2], |i| if i == 2 { f32::NAN } else { 0.0 });
    place.fails(1, &["sample", "run", "--x", "nan.npy", "-o", "s.npy"], &["row 1: feature 0 is NaN"]);
    place.fails(1, &["sample", "nowhere", "--x", "far.npy", "-o", "s.npy"], &["no trained posterior", "nowhere", "abduce train"]);
    place.fails(
        2,
        &["sample", "run", "--x", "far.npy", "-o", "s.npy", "--method", "gibbs"],
        &["invalid value 'gibbs'", "possible values: direct, slice, emcee, hmc, nuts"],
    );
    place.save("theta.npy", &[3, 2], |_| 0.0);
    place.fails(
        1,
        &["log-prob", "run", "--theta", "theta.npy", "--x", "far.npy", "-o", "l.npy"],
        &["theta has 3 rows and x has 2", "paired"],
    );

    // A file of a later format: the number stands in the header's JSON, in as many digits.
    let model = place.read("run/posterior.safetensors");
    let at = find(&model, b"format_version").unwrap_or(usize::MAX - 40);
    let digit = (at..model.len()).find(|&i| model[i].is_ascii_digit()).unwrap_or(0);
    let mut newer = model.clone();
    newer[digit] = b'9';
    place.write("newer.safetensors", newer);
    place.fails(1, &["sample", "newer.safetensors", "--x", "far.npy", "-o", "s.npy"], &["newer version", "its format is 9"]);
    place.write("cut.safetensors", &model[..model.len() / 2]);
    place.fails(1, &["sample", "cut.safetensors", "--x", "far.npy", "-o", "s.npy"], &["cut.safetensors", "damaged"]);
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[test]
fn a_full_disk() {
    if !Path::new("/dev/full").exists() {
        println!("skipped: no /dev/full here");
        return;
    }
    let place = Workplace::simulated();
    place.ok(&TRAIN);
    place.save("x.npy", &[2], |_| 0.1);
    place.fails(1, &["sample", "run", "--x", "x.npy", "-n", "50", "-o", "/dev/full"], &["/dev/full: cannot write", "make room"]);
}

//! Simulated universes through the program: stage by stage, wrong input, and suites that end with the same bytes whatever happens.

mod program;

use program::Workplace;
use std::time::Duration;

const UNIVERSE: &str = "\
simulation: {box_size: 100, particles: 32, mesh_factor: 2, steps: 6, redshifts: [1, 0]}
halos: {min_particles: 10}
galaxies: {log10_m_min: 13.2, log10_m1: 13.8, log10_m0: 12}
summary: {multipoles: [0, 2], bispectrum: {width: 0.2, k_max: 0.6}}
";

fn universe() -> Workplace {
    let place = Workplace::new();
    place.write("universe.yaml", UNIVERSE);
    place
}

#[test]
fn particles_haloes_galaxies_and_summaries() {
    let place = universe();
    let said = place.run(&["cosmology", "simulate", "universe.yaml", "-o", "sim", "--threads", "2"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.stderr.contains("of memory") && said.stderr.contains("7 steps"), "{}", said.stderr);
    place.ok(&["cosmology", "simulate", "universe.yaml", "-o", "again", "--threads", "1", "--quiet"]);
    let snapshot = "sim/snapshot-a1.000000.safetensors";
    assert!(place.read(snapshot) == place.read("again/snapshot-a1.000000.safetensors"), "threads change nothing");
    assert!(place.read(snapshot) != place.read("sim/snapshot-a0.500000.safetensors"));

    let said = place.run(&["cosmology", "halos", snapshot, "-c", "universe.yaml"]);
    assert!(said.status == 0 && said.stderr.contains("haloes (FoF b = 0.2)"), "{}", said.stderr);
    let halos = "sim/halos-a1.000000.safetensors";
    place.ok(&["cosmology", "galaxies", halos, "-c", "universe.yaml", "--quiet"]);
    let galaxies = "sim/galaxies-a1.000000.safetensors";
    place.ok(&["cosmology", "summary", snapshot, halos, galaxies, "-c", "universe.yaml", "--quiet", "-o", "found"]);
    for kind in ["snapshot", "halos", "galaxies"] {
        let text = String::from_utf8(place.read(&format!("found/summary-{kind}-a1.000000.json"))).unwrap();
        let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
        let p0 = summary["measured"]["power"]["p0"].as_array().unwrap();
        assert!(p0.len() > 5 && p0.iter().all(|p| p.as_f64().unwrap() > 0.0), "{kind}");
        assert!(place.read(&format!("found/summary-{kind}-a1.000000.png")).starts_with(b"\x89PNG"));
    }

    // A catalogue of other masses is refused, and so is one kind for another, a copy that broke off, and nonsense.
    place.fails(
        1,
        &["cosmology", "galaxies", halos, "-c", "universe.yaml", "--set", "halos.finder=m200c"],
        &["the definition of mass is FoF b = 0.2, expected M200c", "nothing was converted"],
    );
    place.fails(1, &["cosmology", "halos", halos], &["its content is a halo catalogue, expected a snapshot"]);
    let bytes = place.read(snapshot);
    place.write("cut.safetensors", &bytes[..bytes.len() - 1000]);
    place.fails(1, &["cosmology", "halos", "cut.safetensors"], &["truncated"]);
    place.write("nonsense.safetensors", [0xff; 64]);
    place.fails(1, &["cosmology", "halos", "nonsense.safetensors"], &["not a product of `abduce cosmology`"]);
    // Positions stand behind the header: one made NaN, one far outside.
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for (value, words) in [(f32::NAN, "not finite"), (1e4, "lies outside the box of 100 Mpc/h")] {
        let mut bad = bytes.clone();
        bad[start + 24..start + 28].copy_from_slice(&value.to_le_bytes());
        place.write("bad.safetensors", &bad);
        place.fails(1, &["cosmology", "halos", "bad.safetensors"], &["point 2 ", words]);
    }
    let text = String::from_utf8_lossy(&bytes[..start]).replace("Mpc/h comoving", "kpc/h comoving");
    place.write("units.safetensors", [text.as_bytes(), &bytes[start..]].concat());
    place.fails(1, &["cosmology", "halos", "units.safetensors"], &["the unit of lengths is kpc/h comoving"]);
    assert!(place.read(halos).len() > 100, "nothing that was there is lost");
}

#[test]
fn wrong_universes_are_told_where() {
    let place = universe();
    for (text, words) in [
        ("simulation: {particles: 64, paticles: 3}", "paticles"),
        ("simulation: {redshifts: [20]}", "the run goes from a = 0.1"),
        ("cosmology: {omega_m: 0.03}", "omega_b"),
        ("simulation: {transfer: table}", "needs a table"),
        ("summary: {multipoles: [1]}", "there is no multipole 1"),
    ] {
        place.write("wrong.yaml", text);
        place.fails(2, &["cosmology", "simulate", "wrong.yaml", "-o", "out"], &[words]);
    }
    place.fails(
        1,
        &[
            "cosmology",
            "simulate",
            "universe.yaml",
            "-o",
            "out",
            "--set",
            "simulation.memory_gib=0.01",
            "--set",
            "simulation.particles=128",
        ],
        &["the run needs", "simulation.memory_gib"],
    );
    place.fails(2, &["cosmology", "suite", "universe.yaml", "-o", "out"], &["has no section `design`"]);
    for (vary, words) in [
        ("{name: omega_x, low: 0, high: 1}", "there is no parameter `omega_x`"),
        ("{name: sigma8, low: 1, high: 0.5}", "is no range"),
        ("{name: alpha, low: 0.5, high: 1}", "changes nothing that is measured"),
        ("{name: omega_m, low: 0.01, high: 0.5}", "at an end of the ranges"),
    ] {
        place.write("wrong.yaml", format!("design: {{n: 4, vary: [{vary}]}}"));
        place.fails(2, &["cosmology", "suite", "wrong.yaml", "-o", "out"], &[words]);
    }
}

const SUITE: &str = "\
simulation: {box_size: 200, particles: 16, mesh_factor: 1, steps: 3}
summary: {multipoles: [0, 2]}
design: {n: 120, seed: 5, vary: [{name: omega_m, low: 0.1, high: 0.5}, {name: sigma8, low: 0.6, high: 1}]}
";

#[test]
fn a_killed_suite_ends_with_the_same_bytes_and_trains() {
    let place = Workplace::new();
    place.write("suite.yaml", SUITE);
    place.ok(&["cosmology", "suite", "suite.yaml", "-o", "whole", "--parallel", "1", "--shards", "1", "--quiet"]);
    let files = |folder: &str| ["theta.npy", "x.npy", "suite.json"].map(|name| place.read(&format!("{folder}/{name}")));
    let (theta, x) = (place.array("whole/theta.npy"), place.array("whole/x.npy"));
    assert_eq!((theta.rows(), x.rows()), (120, 120));
    assert!(x.data().iter().all(|value| value.is_finite()));

    // Workers killed without warning, one after the other, then the rest.
    place.ok(&["submit", "--plan", "--shards", "3", "suite", "suite.yaml", "-o", "killed", "--quiet"]);
    for shard in ["0", "1"] {
        let mut worker = place.command(&["worker", "killed", "--shard", shard, "--quiet"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(150));
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
    place.ok(&["cosmology", "suite", "suite.yaml", "-o", "killed", "--parallel", "2", "--quiet"]);
    assert!(files("killed") == files("whole"));
    let again = place.run(&["cosmology", "suite", "suite.yaml", "-o", "killed"]);
    assert!(again.status == 0 && again.stderr.contains("done before"), "{}", again.stderr);

    // A longer suite begins with the shorter one, and `abduce train` takes what is there.
    place.ok(&["cosmology", "suite", "suite.yaml", "-o", "longer", "--set", "design.n=130", "--quiet"]);
    assert_eq!(place.array("longer/x.npy").data()[..x.data().len()], *x.data());
    place.ok(&["train", "whole/infer.yaml", "--data", "whole/data.yaml", "-o", "run", "--set", "train_args.max_num_epochs=2", "--quiet"]);
    assert!(place.path("run/posterior.safetensors").exists());
}

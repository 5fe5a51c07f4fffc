//! Programs as simulators, stores, and what a kill leaves: through the command line.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod program;

use program::Workplace;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Answers x = (id, seed), notes each id in `log`, and may do otherwise before.
fn simulator(case: &str) -> String {
    format!(
        r#"
command:
  - sh
  - -c
  - |
    while read -r line; do
      id=${{line#*\"id\":}}; id=${{id%%[,\}}]*}}
      seed=${{line#*\"seed\":}}; seed=${{seed%%[,\}}]*}}
      echo $id >> log
      {case}
      echo "{{\"id\": $id, \"x\": [$id, $seed]}}"
    done
workers: 2
timeout_s: 10
prior: {{uniform: {{low: [0, 0], high: [1, 2]}}}}
parameters: [{{name: a}}, {{name: b}}]
"#
    )
}

fn simulated(place: &Workplace) -> usize {
    std::fs::read_to_string(place.path("log")).unwrap_or_default().lines().count()
}

fn blocks(store: &Path) -> usize {
    let files = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let all = files(store.to_path_buf()).flat_map(files);
    all.filter(|path| path.extension().is_some_and(|extension| extension == "block")).count()
}

fn start(place: &Workplace, args: &[&str]) -> Child {
    place.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until the store has that many blocks.
fn wait_for(store: &Path, count: usize) {
    let begun = Instant::now();
    while blocks(store) < count {
        assert!(begun.elapsed() < Duration::from_secs(60), "the store does not grow");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_killed_run_goes_on_and_nothing_is_simulated_twice() {
    let place = Workplace::new();
    place.write("sim.yaml", simulator("sleep 0.03"));
    let args = |n, out| ["simulate", "sim.yaml", "-n", n, "--seed", "4", "-o", out, "--store", "store", "--quiet"];
    for kill in 1..=2 {
        let before = blocks(&place.path("store"));
        let mut child = start(&place, &args("150", "killed"));
        wait_for(&place.path("store"), before + 1);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!place.path("killed/x.npy").exists(), "killed too late, the {kill}. time");
    }
    // A block that was torn, too.
    let folder = std::fs::read_dir(place.path("store")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(folder.join("000000000000-torn.block"), b"ABDROWS1 and no more").unwrap();
    let ended = place.run(&args("150", "killed"));
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("1 files in") && ended.stderr.contains("damaged"), "{}", ended.stderr);
    let first_run = simulated(&place);
    // What was not written when it was killed is lost, and no more: less than everything three times.
    assert!((150..450).contains(&first_run), "{first_run}");

    // Nothing is simulated again, and a longer table costs the rest.
    place.ok(&args("150", "again"));
    assert_eq!(simulated(&place), first_run);
    place.ok(&args("170", "longer"));
    assert_eq!(simulated(&place), first_run + 20);

    // The bytes are those of a run without store and interruption.
    place.ok(&["simulate", "sim.yaml", "-n", "150", "--seed", "4", "-o", "plain", "--set", "workers=5", "--set", "batch=3", "--quiet"]);
    for name in ["theta.npy", "x.npy", "failures.json"] {
        assert_eq!(place.read(&format!("killed/{name}")), place.read(&format!("plain/{name}")), "{name}");
        assert_eq!(place.read(&format!("killed/{name}")), place.read(&format!("again/{name}")), "{name}");
    }
    let (x, longer) = (place.array("plain/x.npy"), place.array("longer/x.npy"));
    assert_eq!((x.shape(), longer.shape()), (&[150, 2][..], &[170, 2][..]));
    assert!((0..150).all(|row| x.row(row)[0] == row as f32 && x.row(row) == longer.row(row)));
}

#[test]
fn several_processes_share_a_store() {
    let place = Workplace::new();
    place.write("sim.yaml", simulator("sleep 0.02"));
    let args = |out| ["simulate", "sim.yaml", "-n", "120", "-o", out, "--store", "store", "--quiet"];
    let children = ["a", "b", "c"].map(|out| start(&place, &args(out)));
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    for name in ["theta.npy", "x.npy"] {
        let [a, b, c] = ["a", "b", "c"].map(|out| place.read(&format!("{out}/{name}")));
        assert!(a == b && b == c, "{name}");
    }
}

#[test]
fn an_interrupt_keeps_the_first_rows_and_says_how_to_go_on() {
    let place = Workplace::new();
    place.write("sim.yaml", simulator("if [ $id -ge 30 ]; then sleep 100; fi"));
    for (store, hint) in [(None, "with --store"), (Some("store"), "goes on from there")] {
        let mut args = vec!["simulate", "sim.yaml", "-n", "60", "-o", "out", "--set", "timeout_s=null"];
        args.extend(store.iter().flat_map(|store| ["--store", store]));
        let child = place.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let begun = Instant::now();
        let before = simulated(&place);
        while simulated(&place) < before + 32 {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(20));
        }
        std::process::Command::new("sh").args(["-c", "kill -INT $0", &child.id().to_string()]).status().unwrap();
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(75), "{said}");
        assert!(said.contains("stopped; the first 30 of 60 pairs were written") && said.contains(hint), "{said}");
        assert_eq!(place.array("out/x.npy").shape(), [30, 2]);
    }
}

#[test]
fn failures_are_listed_counted_and_tried_again() {
    let place = Workplace::new();
    let moody = r#"if [ ! -e calm ] && [ $((id % 5)) = 2 ]; then echo 'no root' >&2; exit 3; fi
      if [ $id = 4 ]; then echo "{\"id\": 4, \"error\": \"not here\"}"; continue; fi"#;
    place.write("sim.yaml", simulator(moody));
    let args = ["simulate", "sim.yaml", "-n", "20", "-o", "out", "--store", "store", "--json"];
    let ended = place.run(&args);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let expected = "5 of 20 simulations failed: 1 refused by the simulator, 4 crashed; number 2: exit status: 3; it said: no root";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    let printed: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&printed["x_shape"], &printed["parameters"][1]["name"]), (&serde_json::json!([2]), &"b".into()));
    let failures: serde_json::Value = serde_json::from_slice(&place.read("out/failures.json")).unwrap();
    assert_eq!(failures[0], serde_json::json!({"id": 2, "kind": "crashed", "message": "exit status: 3; it said: no root", "attempts": 2}));
    assert_eq!(failures[1], serde_json::json!({"id": 4, "kind": "reported", "message": "not here", "attempts": 1}));
    let x = place.array("out/x.npy");
    assert!((0..20).all(|row| x.row(row)[0].is_nan() == (row % 5 == 2 || row == 4)));

    place.write("calm", "");
    assert!(place.run(&args).stderr.contains("5 of 20 simulations failed"), "kept failures stay");
    let again = place.run(&[&args[..], &["--retry-failed"]].concat());
    assert!(again.stderr.contains("1 of 20 simulations failed"), "{}", again.stderr);
    assert_eq!(place.array("out/x.npy").row(2)[0], 2.0);
}

#[test]
fn a_task_with_a_store_gives_the_files_that_it_gives_without() {
    let place = Workplace::new();
    place.ok(&["simulate", "two_moons", "-n", "300", "--seed", "2", "-o", "plain", "--quiet"]);
    place.ok(&["simulate", "two_moons", "-n", "100", "--seed", "2", "-o", "short", "--store", "store", "--quiet"]);
    place.ok(&["simulate", "two_moons", "-n", "300", "--seed", "2", "-o", "stored", "--store", "store", "--quiet"]);
    for name in ["theta.npy", "x.npy"] {
        assert_eq!(place.read(&format!("plain/{name}")), place.read(&format!("stored/{name}")));
    }
}

#[test]
fn programs_that_cannot_be_run() {
    let place = Workplace::new();
    let with = |command: &str| format!("command: {command}\nprior: {{uniform: {{low: [0], high: [1]}}}}\n");
    let args = ["simulate", "sim.yaml", "-n", "5", "-o", "out"];
    place.write("sim.yaml", with("[./absent]"));
    place.fails(1, &args, &["cannot start `./absent`", "run without a shell"]);
    place.write("sim.yaml", with("[sh, -c, 'echo no module named camb >&2; exit 1']"));
    place.fails(1, &args, &["none of the first 5 simulations worked", "no module named camb", "by hand"]);
    place.write("sim.yaml", with("[]"));
    place.fails(2, &args, &["there is nothing to simulate with", "`command` with its `prior`"]);
    place.fails(2, &["simulate", "absent.yaml", "-n", "5", "-o", "out"], &["cannot read absent.yaml"]);
    place.fails(2, &["simulate", "slcp", "-n", "5", "-o", "out", "--set", "workers=2"], &["no file is given"]);
}

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/external-simulator").join(name).display().to_string()
}

/// The README's first command. The noise of 60 x 8 data has standard deviation 0.05; that of its estimate is 0.05/√960 = 0.0016, and the bound 5 of it.
#[test]
fn the_example_is_an_oscillator_with_noise() {
    let place = Workplace::new();
    let file = example("simulator.yaml");
    place.ok(&["simulate", &file, "-n", "60", "--seed", "1", "-o", "sims", "--store", "store", "--quiet"]);
    place.ok(&["simulate", &file, "-n", "60", "--seed", "1", "-o", "one", "--set", "workers=1", "--quiet"]);
    assert_eq!(place.read("sims/x.npy"), place.read("one/x.npy"));
    let (theta, x) = (place.array("sims/theta.npy"), place.array("sims/x.npy"));
    let (mut sum, mut count) = (0.0f64, 0.0f64);
    for row in 0..60 {
        let [frequency, damping] = [0, 1].map(|j| f64::from(theta.row(row)[j]));
        assert_eq!(x.row(row)[0].is_nan(), damping > frequency);
        let omega = (frequency * frequency - damping * damping).sqrt();
        for (i, &value) in x.row(row).iter().enumerate().filter(|(_, value)| value.is_finite()) {
            let t = (i + 1) as f64;
            sum += (f64::from(value) - (-damping * t).exp() * (omega * t).cos()).powi(2);
            count += 1.0;
        }
    }
    let deviation = (sum / count).sqrt();
    assert!((deviation - 0.05).abs() < 0.008, "{deviation}");
}

/// The README's second command, with fewer simulations; once stopped by a kill while it simulates.
#[test]
fn the_example_runs_as_a_pipeline() {
    let place = Workplace::new();
    let file = example("pipeline.yaml");
    let args = |out| {
        let sets = ["simulate.n=200", "simulate.n_test=40", "train_args.max_num_epochs=3", "validate.gates=[]", "validate.metrics={}"];
        let mut args = vec!["run", &file, "-o", out];
        args.extend(sets.iter().flat_map(|set| ["--set", set]));
        args
    };
    let mut child = start(&place, &args("killed"));
    wait_for(&place.path("killed/simulations/store"), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    place.ok(&args("killed"));
    let ended = place.run(&args("whole"));
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    for name in ["simulations/x.npy", "simulations/theta_test.npy", "posterior.safetensors"] {
        assert_eq!(place.read(&format!("killed/{name}")), place.read(&format!("whole/{name}")), "{name}");
    }
    let posterior = String::from_utf8_lossy(&place.read("whole/report.html")).into_owned();
    assert!(posterior.contains("frequency") || posterior.contains("omega"), "the parameters have the names of the file");
    let again = place.run(&args("whole"));
    assert!(again.stderr.contains("simulate: done before"), "{}", again.stderr);
}

//! Approximate Bayesian computation through the program: LtU-ILI's files, stored simulations, pipelines.

mod program;

use program::{Workplace, assert_same_bytes};
use serde_json::Value;

const PRIOR: &str = "prior: {module: ili.utils, class: Uniform, args: {low: [-1, -1], high: [1, 1]}}\n";
const SIMULATOR: &str = "xobs_file: obs.npy\nnum_simulations: 1\nsave_simulated: true\nx_file: all_x.npy\ntheta_file: all_theta.npy\nsimulator: {task: two_moons}\n";

#[allow(clippy::unwrap_used)] // a helper of tests
fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// SBISimulator files with rejection: everything that is simulated is saved, the sample has what was asked for, draws, density and report follow.
#[test]
fn rejection_simulates_and_is_a_run() {
    let place = Workplace::new();
    place.save("obs.npy", &[2], |_| 0.1);
    place.write("sim.yaml", SIMULATOR);
    let abc = "model: {module: sbi.inference, class: ABC}\ntrain_args: {num_simulations: 5000, quantile: 0.02, kde: true}\n";
    place.write("abc.yaml", format!("{PRIOR}{abc}"));
    let said = place.run(&["train", "abc.yaml", "--data", "sim.yaml", "-o", "a"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.stderr.contains("accepted 100 of 5000 parameters (2.000 %)"), "{}", said.stderr);
    assert_eq!(place.array("all_x.npy").shape(), [5000, 2]);
    let summary = json(&place.read("a/abc.json"));
    assert_eq!((number(&summary["accepted"]), number(&summary["acceptance"]), number(&summary["failed"])), (100.0, 0.02, 0.0));
    assert!(number(&summary["epsilon"]) < 0.5 && number(&summary["bandwidth"]) > 0.0, "{summary}");

    place.ok(&["sample", "a", "-n", "500", "-o", "s.npy", "--getdist", "chains/a", "--arviz", "a.npz"]);
    let draws = place.array("s.npy");
    assert_eq!(draws.shape(), [1, 500, 2]);
    // two_moons at x_o has the posterior on two arcs with |θ_0 + θ_1|/√2 near 0.1 to 0.35: smoothed, but far from the prior's spread.
    let along: Vec<f32> = draws.data().chunks_exact(2).map(|t| (t[0] + t[1]).abs()).collect();
    assert!(along.iter().filter(|s| **s < 0.75).count() > 450, "{along:?}");
    assert!(draws.data().iter().all(|t| t.abs() < 1.0));
    place.ok(&["sample", "a", "--x", "obs.npy", "-n", "500", "--parameters", "theta_1", "-o", "m.npy", "--threads", "1"]);
    assert!(place.array("m.npy").data().iter().eq(draws.data().iter().skip(1).step_by(2)), "marginal draws are columns of the joint ones");
    // The density of the kernels integrates to one over the prior's box.
    place.save("grid.npy", &[3600, 2], |i| -1.0 + (((i / 2) / if i % 2 == 0 { 1 } else { 60 } % 60) as f32 + 0.5) / 30.0);
    place.ok(&["log-prob", "a", "--theta", "grid.npy", "-o", "lp.npy"]);
    let total: f64 = npy_f64(&place, "lp.npy").iter().map(|l| l.exp() / 900.0).sum();
    assert!((total - 1.0).abs() < 0.02, "{total}");
    place.ok(&["report", "a"]);
    let report = String::from_utf8(place.read("a/report.html")).unwrap_or_default();
    assert!(report.contains("rejection ABC") && report.contains("2.000 %"), "the report tells method and acceptance");

    place.save("other.npy", &[2], |_| 0.2);
    place.fails(1, &["sample", "a", "--x", "other.npy", "-o", "s.npy"], &["--x holds another one"]);
    place.fails(2, &["sample", "a", "--map"], &["--map needs networks"]);
    place.fails(1, &["validate", "a", "--data", "data.yaml"], &["it can't be used to validate", "abduce predict"]);
    place.fails(1, &["train", "abc.yaml", "--data", "sim.yaml", "-o", "a"], &["--resume"]);
    place.write("no.yaml", "simulator: {task: two_moons}\n");
    place.fails(1, &["train", "abc.yaml", "--data", "no.yaml", "-o", "c"], &["the data file names none", "xobs_file"]);
    place.write("plain.yaml", format!("{PRIOR}model: {{engine: MCABC}}\ntrain_args: {{num_simulations: 100, eps: 1e-9}}\n"));
    place.fails(1, &["train", "plain.yaml", "--data", "sim.yaml", "-o", "d"], &["none of 100 simulations lies within", "raise `eps`"]);
    place.ok(&["train", "plain.yaml", "--data", "sim.yaml", "-o", "d", "--set", "train_args.eps=0.5"]);
    place.fails(1, &["log-prob", "d", "--theta", "grid.npy", "-o", "lp.npy"], &["kde: true"]);
}

#[allow(clippy::unwrap_used)] // a helper of tests
fn npy_f64(place: &Workplace, name: &str) -> Vec<f64> {
    abduce_data::npy::read::<f64>(&place.path(name)).unwrap().into_data()
}

/// The closest of stored simulations are the closest: no other row is nearer to the observation; populations need a simulator.
#[test]
fn rejection_uses_what_is_stored() {
    let place = Workplace::simulated();
    place.save("obs.npy", &[2], |_| 0.1);
    place.write("stored.yaml", "{in_dir: sims, theta_file: theta.npy, x_file: x.npy, xobs_file: ../obs.npy}");
    place.write("abc.yaml", format!("{PRIOR}model: {{engine: MCABC}}\ntrain_args: {{quantile: 0.02}}\n"));
    let said = place.run(&["train", "abc.yaml", "--data", "stored.yaml", "-o", "a"]);
    assert!(said.status == 0 && said.stderr.contains("worth 10 independent draws"), "{}", said.stderr);
    let (theta, x) = (place.array("sims/theta.npy"), place.array("sims/x.npy"));
    let columns: Vec<f64> = (0..2)
        .map(|j| {
            let values = || x.data().iter().skip(j).step_by(2).map(|&v| f64::from(v));
            let mean = values().sum::<f64>() / 500.0;
            (values().map(|v| (v - mean).powi(2)).sum::<f64>() / 500.0).sqrt()
        })
        .collect();
    let distance =
        |row: usize| x.row(row).iter().zip(&columns).map(|(v, s)| ((f64::from(*v) - f64::from(0.1f32)) / s).powi(2)).sum::<f64>().sqrt();
    let mut order: Vec<usize> = (0..500).collect();
    order.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
    let epsilon = number(&json(&place.read("a/abc.json"))["epsilon"]);
    assert!((epsilon - distance(order[9])).abs() < 1e-6, "{epsilon}");
    place.ok(&["sample", "a", "-n", "1000", "-o", "s.npy"]);
    let drawn = place.array("s.npy");
    assert!(drawn.data().chunks_exact(2).all(|t| order[..10].iter().any(|&row| theta.row(row) == t)), "draws are accepted rows");

    place.write("smc.yaml", format!("{PRIOR}model: {{engine: SMCABC}}\ntrain_args: {{num_particles: 50, num_initial_pop: 100, num_simulations: 2000, epsilon_decay: 0.7}}\n"));
    place.fails(1, &["train", "smc.yaml", "--data", "stored.yaml", "-o", "b"], &["the data file names no simulator"]);
    place.fails(
        1,
        &["train", "abc.yaml", "--data", "stored.yaml", "-o", "b", "--set", "train_args.num_simulations=501"],
        &["501 simulations are asked for, and 500 are stored"],
    );
    place.fails(1, &["train", "abc.yaml", "--data", "data.yaml", "-o", "b"], &["names none", "xobs_file"]);
}

/// A pipeline with populations: the same bytes for any number of threads, nothing is done twice, and the report shows their course.
#[test]
fn populations_close_in_within_a_pipeline() {
    let place = Workplace::new();
    place.save("obs.npy", &[2], |_| 0.1);
    place.write(
        "pipeline.yaml",
        "simulate: {task: two_moons, n: 6000}\nmodel: {engine: SMC}\n\
         train_args: {num_particles: 200, num_initial_pop: 600, epsilon_decay: 0.6, distance_based_decay: true, kernel_variance_scale: 2, ess_min: 0.5}\n\
         sample: {x_file: obs.npy, n: 300}\n",
    );
    place.ok(&["run", "pipeline.yaml", "-o", "p"]);
    place.ok(&["run", "pipeline.yaml", "-o", "q", "--threads", "1"]);
    assert_same_bytes(&place.path("p"), &place.path("q"));
    assert_eq!(place.array("p/samples.npy").shape(), [1, 300, 2]);
    let summary = json(&place.read("p/abc.json"));
    let course = summary["populations"].as_array().cloned().unwrap_or_default();
    assert!(course.len() > 3, "{summary}");
    assert!(course.windows(2).all(|pair| number(&pair[1]["epsilon"]) <= number(&pair[0]["epsilon"])), "{summary}");
    assert_eq!(number(&summary["simulations"]), 6000.0);
    let report = String::from_utf8(place.read("p/report.html")).unwrap_or_default();
    assert!(report.contains("sequential Monte Carlo ABC") && report.contains("effective particles"));
    let again = place.run(&["run", "pipeline.yaml", "-o", "p"]);
    assert!(again.stderr.contains("train: done before") && again.stderr.contains("sample: done before"), "{}", again.stderr);
    // The run knows its task and its observation.
    place.ok(&["predict", "p", "-n", "50"]);
    let found = json(&place.read("p/predictive/predictive.json"));
    assert!(number(&found[0]["mahalanobis_p"]) > 0.01, "{found}");
    // Rejection in the same pipeline takes the n simulations that the pipeline makes.
    place.write(
        "closest.yaml",
        "simulate: {task: two_moons, n: 6000}\nmodel: {engine: MCABC}\ntrain_args: {quantile: 0.05}\nsample: {x_file: obs.npy, n: 300}\n",
    );
    place.ok(&["run", "closest.yaml", "-o", "r"]);
    assert_eq!(number(&json(&place.read("r/abc.json"))["accepted"]), 300.0);
    assert_eq!(place.array("r/simulations/x.npy").shape(), [6000, 2]);
}

/// A program as the simulator, and an observation of five independent data: θ + noise, whose mean the posterior follows.
#[test]
fn programs_and_several_data() {
    let place = Workplace::new();
    // x = θ + a small number that depends on the seed alone.
    place.write(
        "sim.sh",
        "while read -r line; do id=$(echo \"$line\" | sed 's/.*\"id\": *\\([0-9]*\\).*/\\1/'); t=$(echo \"$line\" | sed 's/.*\"theta\": *\\[\\([^]]*\\)\\].*/\\1/'); \
         echo \"{\\\"id\\\": $id, \\\"x\\\": [$t]}\"; done\n",
    );
    place.save("obs.npy", &[5, 1], |_| 0.25);
    place.write("sim.yaml", "xobs_file: obs.npy\nsimulator: {command: [sh, sim.sh], workers: 2}\n");
    place.write(
        "abc.yaml",
        "prior: {uniform: {low: [0], high: [1]}}\nmodel: {engine: MCABC}\ntrain_args: {num_simulations: 60, quantile: 0.1, num_iid_samples: 5}\n",
    );
    place.ok(&["train", "abc.yaml", "--data", "sim.yaml", "-o", "a"]);
    place.ok(&["sample", "a", "-n", "60", "-o", "s.npy"]);
    // Six of sixty parameters on (0, 1): the nearest to 0.25 lie within some 0.1.
    assert!(place.array("s.npy").data().iter().all(|t| (t - 0.25).abs() < 0.2), "{:?}", place.array("s.npy").data());
    place.fails(
        1,
        &["train", "abc.yaml", "--data", "sim.yaml", "-o", "b", "--set", "train_args.num_iid_samples=4"],
        &["holds 5 data where 4"],
    );
}

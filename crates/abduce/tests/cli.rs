//! Every command, end to end, on a task of a few seconds.

mod program;

use abduce_data::npy;
use abduce_inference::diagnostics::{ConformalCalibration, ConformalScore};
use program::{Workplace, assert_same_bytes};
use std::time::Duration;

#[test]
fn every_command_in_turn() {
    let place = Workplace::simulated();
    assert_eq!(place.array("sims/theta.npy").shape(), [500, 2]);
    assert_eq!(place.array("sims/x.npy").shape(), [500, 2]);

    let printed = place.ok(&["train", "infer.yaml", "--data", "data.yaml", "-o", "run", "--seed", "3"]);
    assert!(printed.trim_end().ends_with("run/posterior.safetensors"), "{printed}");
    let summary: serde_json::Value = serde_json::from_slice(&place.read("run/summary.json")).unwrap();
    assert_eq!(summary[0]["epochs_trained"], serde_json::json!([5]));
    assert_eq!(summary[1]["validation_log_probs"].as_array().unwrap().len(), 5);

    // One observation from a file of one datum's shape, several from rows.
    place.save("one.npy", &[2], |_| 0.1);
    place.save("three.npy", &[3, 2], |i| 0.05 * i as f32);
    place.ok(&["sample", "run", "--x", "one.npy", "-n", "100", "--seed", "1", "-o", "one_samples.npy"]);
    place.ok(&["sample", "run", "--x", "three.npy", "-n", "100", "--seed", "1", "-o", "samples.npy"]);
    assert_eq!(place.array("one_samples.npy").shape(), [1, 100, 2]);
    let samples = place.array("samples.npy");
    assert_eq!(samples.shape(), [3, 100, 2]);
    assert!(samples.data().iter().all(|value| value.abs() < 1.0), "a draw lies outside the prior");

    let printed = place.ok(&["sample", "run", "--x", "three.npy", "--map"]);
    let maxima: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(maxima.as_array().unwrap().len(), 3);
    assert!(maxima[2]["theta"]["theta_1"].is_number());

    // Log-probabilities pair rows; a single x goes with all theta; outside the prior they are -inf.
    place.save("theta.npy", &[3, 2], |i| if i == 0 { 5.0 } else { 0.1 });
    for x in ["one.npy", "three.npy"] {
        place.ok(&["log-prob", "run", "--theta", "theta.npy", "--x", x, "-o", "lp.npy"]);
        let values = npy::read::<f64>(&place.path("lp.npy")).unwrap();
        assert_eq!(values.shape(), [3]);
        assert!(values.data()[0] == f64::NEG_INFINITY && values.data()[1..].iter().all(|v| v.is_finite()));
    }

    place.ok(&["validate", "run", "--data", "data.yaml", "-o", "run/validation", "--set", "n_data=60"]);
    let metrics: serde_json::Value = serde_json::from_slice(&place.read("run/validation/metrics.json")).unwrap();
    assert_eq!((&metrics["version"], &metrics["n_pairs"], &metrics["n_draws"]), (&1.into(), &60.into(), &1000.into()));
    assert!(place.path("run/validation/a_plot_coverage.svg").exists(), "plots carry the nets' signatures");
    place.fails(1, &["validate", "run", "--data", "data.yaml", "--set", "n_data=60", "--gate", "coverage"], &["at least 500 test pairs"]);

    let printed = place.ok(&["report", "run"]);
    assert!(printed.trim_end().ends_with("run/report.html"));
    assert!(String::from_utf8(place.read("run/report.html")).unwrap().contains("<svg"));
}

#[test]
fn a_failed_gate_is_status_three() {
    let place = Workplace::simulated();
    // A net that has not learnt anything does not beat the prior.
    place.ok(&[
        "train",
        "infer.yaml",
        "--data",
        "data.yaml",
        "-o",
        "run",
        "--quiet",
        "--set",
        "train_args.max_num_epochs=1",
        "--set",
        "train_args.learning_rate=1e-9",
    ]);
    let args = ["validate", "run", "--data", "data.yaml", "--set", "n_data=100", "--gate", "log_prob_beats_prior", "-o", "v"];
    place.fails(3, &args, &["gate log_prob_beats_prior does not hold"]);
}

#[test]
fn validation_files_of_ltu_ili() {
    let place = Workplace::simulated();
    place.ok(&["train", "infer.yaml", "--data", "data.yaml", "-o", "run", "--quiet", "--set", "model.name=demo"]);
    place.write(
        "val.yaml",
        "
out_dir: run
posterior_file: demo_posterior.pkl
labels: [alpha, beta]
n_data: 40
metrics:
  one: {module: ili.validation.metrics, class: PlotSinglePosterior, args: {num_samples: 200, sample_method: emcee, save_samples: true, seed: 7}}
  cover: {module: ili.validation.metrics, class: PosteriorCoverage, args: {num_samples: 50, sample_method: direct, plot_list: [tarp, logprob]}}
  draws: {module: ili.validation.metrics, class: PosteriorSamples, args: {num_samples: 20, sample_method: direct}}
",
    );
    let ended = place.run(&["validate", "--metrics", "val.yaml", "--data", "data.yaml", "-o", "v"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("drawn from directly"), "{}", ended.stderr);
    assert_eq!(place.array("v/demo_a_posterior_samples.npy").shape(), [20, 40, 2]);
    assert_eq!(place.array("v/demo_a_single_samples.npy").shape(), [200, 1, 2]);
    for name in ["plot_single_posterior.png", "plot_TARP.svg", "plot_true_logprobs.png", "true_logprobs.npy"] {
        assert!(place.path(&format!("v/demo_a_{name}")).exists(), "{name}");
    }
    assert!(!place.path("v/demo_a_plot_coverage.svg").exists(), "only what plot_list names");

    place.ok(&["validate", "run", "--metrics", "val.yaml", "--data", "data.yaml", "-o", "each", "--set", "ensemble_mode=false", "--quiet"]);
    for name in ["net0_metrics.json", "net1_metrics.json", "demo_net0_a_true_logprobs.npy"] {
        assert!(place.path(&format!("each/{name}")).exists(), "{name}");
    }
}

#[test]
fn regions_corrections_and_observations() {
    let place = Workplace::simulated();
    place.ok(&["train", "infer.yaml", "--data", "data.yaml", "-o", "run", "--quiet"]);
    place.save("sims/x_obs.npy", &[2, 2], |i| if i < 2 { 0.1 } else { 50.0 });
    place.write("observed.yaml", "{in_dir: sims, theta_file: theta.npy, x_file: x.npy, xobs_file: x_obs.npy}");
    place.write(
        "val.yaml",
        "
metrics:
  cover: {posterior_coverage: {num_samples: 100, plot_list: [coverage]}}
  bins: {regions: {bins: 3, features: [1]}}
  exact: {conformal: {score: log_density}}
  here: {local_c2st: {permutations: 3, num_samples: 50, n_observations: 1}}
  average: {data_averaged_c2st: {}}
",
    );
    let validate = ["validate", "run", "--metrics", "val.yaml", "--data", "observed.yaml", "--seed", "2", "-o"];
    let with = |more: &[&'static str]| validate.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>();
    let ended = place.run(&with(&["v"]));
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("misspecified: observation 1 is unlike the simulations"), "{}", ended.stderr);
    let metrics: serde_json::Value = serde_json::from_slice(&place.read("v/metrics.json")).unwrap();
    // Two parameters in three bins of two posterior means and one feature.
    assert_eq!(metrics["regions"]["n_tests"], 18);
    assert_eq!(metrics["local_c2st"].as_array().unwrap().len(), 1);
    assert_eq!(metrics["misspecification"]["observations"].as_array().unwrap().len(), 2);
    assert!(metrics["data_averaged"]["c2st"].is_number() && metrics["conformal"]["levels"][4]["stated"] == 0.99);
    let saved: ConformalCalibration = serde_json::from_slice(&place.read("v/conformal.json")).unwrap();
    assert_eq!((saved.pairs(), saved.draws(), saved.score()), (500, 100, ConformalScore::LogDensity));
    for name in ["a_plot_region_coverage.svg", "a_plot_region_bias.png", "a_plot_conformal.svg"] {
        assert!(place.path(&format!("v/{name}")).exists(), "{name}");
    }
    // The same for any number of threads.
    place.ok(&with(&["w", "--threads", "1", "--quiet"]));
    assert_same_bytes(&place.path("v"), &place.path("w"));

    place.fails(1, &with(&["e", "--set", "metrics.bins.regions.features=[2]"]), &["features = 2, expected indices of features of x"]);
    let unobserved = ["validate", "run", "--metrics", "val.yaml", "--data", "data.yaml", "-o", "e"];
    place.fails(1, &unobserved, &["`local_c2st` tests an observation, and there is none"]);
}

#[test]
fn chains_for_other_programs() {
    let place = Workplace::simulated();
    place.ok(&["train", "infer.yaml", "--data", "data.yaml", "-o", "run", "--quiet"]);
    place.save("one.npy", &[2], |_| 0.1);
    place.ok(&["sample", "run", "--x", "one.npy", "-n", "50", "--getdist", "chains/a", "--arviz", "chains/a.npz", "--quiet"]);
    let chain = String::from_utf8(place.read("chains/a_1.txt")).unwrap();
    assert_eq!(chain.lines().count(), 50);
    let first: Vec<f64> = chain.lines().next().unwrap().split(' ').map(|cell| cell.parse().unwrap()).collect();
    assert!(first.len() == 4 && first[0] == 1.0);
    assert_eq!(String::from_utf8(place.read("chains/a.ranges")).unwrap(), "theta_0 -1 1\ntheta_1 -1 1\n");
    let mut archive = abduce_data::npz::Npz::open(&place.path("chains/a.npz")).unwrap();
    assert_eq!(archive.names(), ["theta_0", "theta_1"]);
    assert_eq!(archive.read::<f32>("theta_1").unwrap().shape(), [1, 50]);
}

const PIPELINE: &str = "
seed: 5
out_dir: run
simulate: {task: two_moons, n: 400, n_test: 40}
model: {nets: [{model: maf, hidden_features: 8, num_transforms: 2}, {model: mdn, hidden_features: 8, num_components: 2}]}
train_args: {max_num_epochs: 4}
sample: {x_file: x.npy, n: 100}
validate: {metrics: {c: {posterior_coverage: {num_samples: 30, plot_list: [coverage]}}}}
report: {compare: {file: truth.npy, name: truth, predict: {feature: 0, quantity: x, bins: 5}}}
";

#[test]
fn one_file_runs_everything_to_the_same_bytes_for_any_threads() {
    let place = Workplace::new();
    place.write("pipeline.yaml", PIPELINE);
    place.save("x.npy", &[4, 2], |i| 0.03 * i as f32);
    place.save("truth.npy", &[4, 1], |i| 0.1 * (i + 1) as f32);
    let printed = place.ok(&["run", "pipeline.yaml", "-o", "one", "--threads", "1", "--quiet"]);
    assert!(printed.trim_end().ends_with("one/report.html"), "{printed}");
    place.ok(&["run", "pipeline.yaml", "-o", "two", "--threads", "2", "--quiet"]);
    assert_same_bytes(&place.path("one"), &place.path("two"));

    // A second run has nothing to do, a changed option repeats what depends on it.
    let again = place.run(&["run", "pipeline.yaml", "-o", "one"]);
    for stage in ["simulate", "train", "sample", "compare", "validate"] {
        assert!(again.stderr.contains(&format!("{stage}: done before")), "{stage}: {}", again.stderr);
    }
    let changed = place.run(&["run", "pipeline.yaml", "-o", "one", "--set", "sample.n=50"]);
    assert_eq!(changed.status, 0, "{}", changed.stderr);
    assert!(changed.stderr.contains("train: done before") && !changed.stderr.contains("sample: done before"), "{}", changed.stderr);
    assert_eq!(place.array("one/samples.npy").shape(), [4, 50, 2]);
    place.fails(1, &["run", "pipeline.yaml", "-o", "one", "--set", "seed=6", "--resume"], &["cannot resume", "--restart"]);
}

#[test]
fn a_killed_training_resumes_to_the_same_bytes() {
    let place = Workplace::simulated();
    let train = |out: &str| {
        [
            "train",
            "infer.yaml",
            "--data",
            "data.yaml",
            "-o",
            out,
            "--quiet",
            "--threads",
            "1",
            "--set",
            "train_args.max_num_epochs=300",
            "--set",
            "train_args.stop_after_epochs=300",
        ]
        .map(str::to_string)
    };
    fn args(all: &[String]) -> Vec<&str> {
        all.iter().map(String::as_str).collect()
    }
    let begun = std::time::Instant::now();
    place.ok(&args(&train("whole")));
    let whole = begun.elapsed();
    // Kills early, in the middle and late; a machine that is busy may have finished by then, or not begun, and both must resume too.
    for (sixths, out) in [(1, "early"), (3, "middle"), (5, "late")] {
        let checkpoint = place.path(&format!("{out}/checkpoints/net-0.safetensors"));
        let mut child = place.command(&args(&train(out))).spawn().unwrap();
        let mut waited = Duration::ZERO;
        while !(checkpoint.exists() && waited > whole * sixths / 6) && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
            waited += Duration::from_millis(2);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let mut resume = train(out).to_vec();
        resume.push("--resume".to_string());
        place.ok(&args(&resume));
        assert_same_bytes(&place.path("whole"), &place.path(out));
    }
}

#[test]
fn an_interrupt_is_status_75_and_resumes() {
    let place = Workplace::simulated();
    let args = [
        "train",
        "infer.yaml",
        "--data",
        "data.yaml",
        "-o",
        "run",
        "--threads",
        "1",
        "--set",
        "train_args.max_num_epochs=100000",
        "--set",
        "train_args.stop_after_epochs=100000",
    ];
    let mut command = place.command(&args);
    let child = command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap();
    while !place.path("run/checkpoints/net-0.safetensors").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let kill = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(75), "{said}");
    assert!(said.contains("--resume"), "{said}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let place = Workplace::new();
    let mut child = place.command(&["schema", "pipeline"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

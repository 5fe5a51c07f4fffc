//! `abduce gflownet`, as a user calls it.

mod program;

use program::{Workplace, assert_same_bytes};

const GRID: &str = "
environment: {hypergrid: {dimensions: 2, height: 6}}
policy: {trunk: {mlp: {hidden: [32, 32]}}}
train: {iterations: 300, batch: 32, learning_rate: 0.005}
evaluations: 10
out_dir: grid
";

#[test]
fn a_grid_is_learnt_and_drawn() {
    let place = Workplace::new();
    place.write("grid.yaml", GRID);
    let printed = place.ok(&["gflownet", "train", "grid.yaml", "--seed", "3", "--quiet"]);
    assert!(printed.trim_end().ends_with("/grid"), "{printed}");
    let metrics: serde_json::Value = serde_json::from_slice(&place.read("grid/metrics.json")).unwrap();
    assert!(metrics["l1"].as_f64().unwrap() < 0.15, "{metrics}");
    assert!((metrics["log_z"].as_f64().unwrap() - metrics["exact_log_z"].as_f64().unwrap()).abs() < 0.1);
    assert_eq!(metrics["evaluations"].as_array().unwrap().len(), 10);
    for name in ["plot_loss.svg", "plot_distance.png", "plot_learnt.png", "policy.safetensors", "history.json"] {
        assert!(place.path(&format!("grid/{name}")).exists(), "{name}");
    }
    for (threads, folder) in [("1", "one"), ("2", "two")] {
        place.ok(&["gflownet", "train", "grid.yaml", "--seed", "3", "--quiet", "--threads", threads, "-o", folder]);
    }
    assert_same_bytes(&place.path("one"), &place.path("two"));
}

#[test]
fn what_can_not_be_trained_is_said() {
    let place = Workplace::new();
    let fails = |file: &str, status, parts: &[&str]| {
        place.write("bad.yaml", file);
        place.fails(status, &["gflownet", "train", "bad.yaml", "-o", "bad", "--quiet"], parts);
    };
    fails("environment: {hypergird: {}}", 2, &["hypergird", "hypergrid"]);
    fails("environment: {bit_sequence: {length: 7, word: 2}}", 2, &["no multiple of words of 2"]);
    fails("environment: {ising: {}}\nloss: {sub_trajectory_balance: {lambda: -1}}", 2, &["lambda"]);
    fails("environment: {ising: {}}\nloss: {modified_detailed_balance: {}}", 1, &["every state may end"]);
    fails("environment: {hypergrid: {dimensions: 20}}\npolicy: {trunk: table}", 1, &["states does not fit"]);
}

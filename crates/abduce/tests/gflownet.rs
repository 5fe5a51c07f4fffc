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

const IMPLICATION: &str = include_str!("../../../examples/proofs/implication.mm");

/// Proofs of ( ph -> ph ) by a table: ends are drawn in proportion to e^(-steps), as the exact sum over all attempts shows.
#[test]
fn proofs_are_an_environment() {
    let place = Workplace::new();
    place.write("implication.mm", IMPLICATION);
    let file = |theorem: &str, expressions: &str| {
        format!(
            "environment: {{proof: {{database: implication.mm, theorem: {theorem}, labels: [ax-mp, ax-1, ax-2, a1i, a2i], expressions: {expressions}, max_steps: 4, dead_end: -5}}}}
policy: {{trunk: table, backward: uniform}}
train: {{iterations: 400, batch: 64, learning_rate: 0.05}}
evaluations: 4
out_dir: proofs
"
        )
    };
    let wffs = r#"["wff ph", "wff ( ph -> ph )", "wff ( ph -> ( ph -> ph ) )"]"#;
    place.write("proofs.yaml", file("id", wffs));
    let ended = place.run(&["gflownet", "train", "proofs.yaml", "--json"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("of them proofs"), "{}", ended.stderr);
    let metrics: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(metrics["l1"].as_f64().unwrap() < 0.1, "{metrics}");
    let fails = |text: String, parts: &[&str]| {
        place.write("bad.yaml", text);
        place.fails(1, &["gflownet", "train", "bad.yaml", "-o", "bad", "--quiet"], parts);
    };
    fails(file("nothing", wffs), &["`nothing` is no statement"]);
    fails(file("id", "[\"wff ( ph\"]"), &["`wff ( ph`", "type first"]);
    fails(file("id", "[ph]"), &["`ph`:", "type first"]);
    fails(file("id", "[nothing ph]"), &["`nothing ph`: its first word is no type"]);
    fails(file("id", "[]").replace("a1i, a2i", "a1i").replace("max_steps: 4", "max_steps: 1"), &["ends in a proof"]);
    fails(file("id", wffs).replace("implication.mm", "nowhere.mm"), &["nowhere.mm"]);
}

/// Every loss and backward policy, memory and search that a file can name, for a few steps each.
#[test]
fn all_that_a_file_can_name_trains() {
    let place = Workplace::new();
    let train = |environment: &str, policy: &str, loss: &str, train: &str| {
        place.write(
            "any.yaml",
            format!("environment: {environment}\npolicy: {policy}\nloss: {loss}\ntrain: {{iterations: 5, batch: 8, {train}}}\n"),
        );
        let printed = place.ok(&["gflownet", "train", "any.yaml", "-o", "any", "--quiet", "--json"]);
        let metrics: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert!(metrics["l1"].as_f64().unwrap() > 0.0, "{environment} {policy} {loss}: {metrics}");
    };
    let (grid, plain) = ("{hypergrid: {dimensions: 2, height: 4}}", "updates: 1");
    for loss in [
        "{flow_matching: {}}",
        "{detailed_balance: {}}",
        "{detailed_balance: {flow: forward_looking}}",
        "{modified_detailed_balance: {}}",
        "{trajectory_balance: {}}",
        "{var_grad: {}}",
        "{sub_trajectory_balance: {lambda: 0.9}}",
        "{modified_sub_trajectory_balance: {lambda: 1}}",
        "{relative_trajectory_balance: {beta: 1}}",
        "{reinforce: {}}",
        "{reinforce: {returns: soft}}",
        "{ppo: {clip: 0.2, gae: 0.95}}",
        "{grpo: {clip: 0.2, kl: 0.1}}",
        "{expert_iteration: {fraction: 0.25}}",
    ] {
        train(grid, "{trunk: {mlp: {hidden: [8]}}}", loss, plain);
    }
    for policy in ["{backward: uniform, trunk: table}", "{backward: learned}", "{backward: max_entropy, trunk: {mlp: {hidden: [8]}}}"] {
        train(grid, policy, "{trajectory_balance: {}}", plain);
    }
    for options in [
        "exploration: {epsilon: 0.1, temperature: 1.5}",
        "replay: {capacity: 20, fraction: 0.5}",
        "replay: {capacity: 20, priority: {rank: {alpha: 0.5}}, min_distance: 0.3}",
        "replay: {capacity: 20, priority: stratified}",
        "local_search: {rounds: 2, steps: 2, filter: greedy}",
        "local_search: {rounds: 2, steps: 2, filter: metropolis}",
    ] {
        train(grid, "{trunk: {mlp: {hidden: [8]}}}", "{trajectory_balance: {}}", options);
    }
    for environment in [
        "{bit_sequence: {length: 4}}",
        "{ising: {}}",
        "{perfect_tree: {branching: 2, depth: 3}}",
        "{set_addition: {size: 2}}",
        "{miu: {target: MUI, max_length: 8, max_steps: 5}}",
    ] {
        train(environment, "{trunk: {mlp: {hidden: [8]}}}", "{trajectory_balance: {}}", plain);
    }
    place.write("miu.yaml", "environment: {miu: {target: MAU, max_length: 8, max_steps: 5}}");
    place.fails(2, &["gflownet", "train", "miu.yaml", "-o", "any", "--quiet"], &["no string of M, I and U"]);
}

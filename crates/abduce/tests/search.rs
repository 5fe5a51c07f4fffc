//! Studies: the same trials again, several processes, stops, and what they leave.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod program;

use abduce::present::run::TRAINING;
use program::{Workplace, assert_same_bytes};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const STUDY: &str = "
base: infer.yaml
data: data.yaml
out_dir: study
seed: 2
ensemble: 2
sampler: {startup: 3}
pruner: {min_epochs: 2, reduction: 2}
search:
  model.nets.0.hidden_features: {int: [4, 24], log: true}
  model.nets.0.model: {choice: [maf, mdn]}
  model.nets.0.num_transforms: {int: [1, 3], when: {model.nets.0.model: [maf]}}
  embedding_net.fcn.n_hidden: {layers: {width: [4, 16], depth: [0, 2]}}
  train_args.learning_rate: {float: [1.0e-4, 1.0e-2], log: true}
";

const BASE: &str = "
prior: {uniform: {low: [-1, -1], high: [1, 1]}}
model: {nets: [{model: maf}]}
train_args: {training_batch_size: 50, max_num_epochs: 6}
seed: 4
";

fn place() -> Workplace {
    let place = Workplace::new();
    place.ok(&["simulate", "two_moons", "-n", "300", "--seed", "1", "-o", "sims", "--quiet"]);
    place.write("infer.yaml", BASE);
    place.write("study.yaml", STUDY);
    place
}

/// Trials by number: every value, every step and the end, as the journal has them; without workers and times.
fn trials(place: &Workplace, folder: &str) -> BTreeMap<u64, Vec<String>> {
    let mut found: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8(place.read(&format!("{folder}/journal.jsonl"))).unwrap().lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let Some(trial) = line["trial"].as_u64() else { continue };
        let object = line.as_object_mut().unwrap();
        object.retain(|key, _| !["worker", "time"].contains(&key.as_str()));
        found.entry(trial).or_default().push(line.to_string());
    }
    found
}

fn results(place: &Workplace, folder: &str) -> Value {
    serde_json::from_slice(&place.read(&format!("{folder}/study.json"))).unwrap()
}

#[test]
fn a_study_repeats_and_goes_on_and_leaves_an_ensemble() {
    let place = place();
    let search = |out: &'static str, trials: &'static str, more: &[&'static str]| {
        [&["search", "study.yaml", "--workers", "1", "--quiet", "-o", out, "--trials", trials], more].concat()
    };
    let printed = place.ok(&search("one", "10", &[]));
    assert!(printed.trim_end().ends_with("one/ensemble"), "{printed}");
    // Stopped after four trials and gone on with: the same trials.
    place.ok(&search("two", "4", &[]));
    place.fails(1, &search("two", "10", &[]), &["already holds a run", "--resume"]);
    place.ok(&search("two", "10", &["--resume"]));
    assert_eq!(trials(&place, "one"), trials(&place, "two"));
    assert_eq!(trials(&place, "one").len(), 10);
    for name in ["study.json", "trials.csv", "config.yaml"] {
        assert!(place.read(&format!("one/{name}")) == place.read(&format!("two/{name}")), "{name}");
    }
    assert_same_bytes(&place.path("one/ensemble"), &place.path("two/ensemble"));

    let results = results(&place, "one");
    let count = |key: &str| results[key].as_u64().unwrap();
    assert_eq!(count("complete") + count("pruned") + count("failed"), 10);
    assert!(count("pruned") > 0 && count("failed") == 0, "{results}");
    // The best trial is the best of the table.
    let table = String::from_utf8(place.read("one/trials.csv")).unwrap();
    let best = table
        .lines()
        .filter_map(|line| line.split_once(",complete,"))
        .map(|(_, rest)| rest.split(',').next().unwrap().parse::<f64>().unwrap())
        .fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(results["best"]["value"].as_f64().unwrap(), best);
    // Its run says the same.
    let trial = results["best"]["trial"].as_u64().unwrap();
    let training: Value = serde_json::from_slice(&place.read(&format!("one/trials/{trial:05}/{TRAINING}"))).unwrap();
    let epoch = training[0]["best_epoch"].as_u64().unwrap() as usize;
    assert_eq!(training[0]["history"][epoch]["validation"].as_f64().unwrap(), best);
    // Stacking can only gain on the pairs that it is fitted to.
    let gain = results["ensemble_log_prob"].as_f64().unwrap() - results["best_log_prob"].as_f64().unwrap();
    assert!(gain > -1e-6, "{results}");
    let shares: f64 = results["importance"].as_array().unwrap().iter().map(|one| one["share"].as_f64().unwrap()).sum();
    assert!(shares > 0.3 && shares < 1.0 + 1e-9, "{results}");

    // The ensemble is a run like any other.
    place.save("one.npy", &[2], |_| 0.1);
    place.ok(&["sample", "one/ensemble", "--x", "one.npy", "-n", "50", "-o", "samples.npy", "--quiet"]);
    assert_eq!(place.array("samples.npy").shape(), [1, 50, 2]);
    place.ok(&["validate", "one/ensemble", "--data", "data.yaml", "--set", "n_data=30", "--quiet"]);
    place.ok(&["report", "one/ensemble"]);

    place.fails(1, &search("one", "10", &["--resume", "--seed", "9"]), &["what its scores depend on", "--restart"]);
}

#[test]
fn several_processes_share_a_study_and_a_killed_one_is_replaced() {
    let place = place();
    // Long enough to be killed in; a worker that is killed while it holds the journal's lock would cost the others half a minute.
    place.write("infer.yaml", BASE.replace("max_num_epochs: 6", "max_num_epochs: 200, stop_after_epochs: 200"));
    let args = ["search", "study.yaml", "--workers", "1", "--quiet", "--trials", "8", "--set", "heartbeat=0.5", "--resume"];
    let mut first = place.command(&args).spawn().unwrap();
    let begun = Instant::now();
    let journal = place.path("study/journal.jsonl");
    while !std::fs::read_to_string(&journal).is_ok_and(|text| text.contains("\"op\":\"step\"")) {
        assert!(begun.elapsed() < Duration::from_secs(60), "no trial began");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(20));
    while place.path("study/journal.lock").exists() {
        std::thread::sleep(Duration::from_micros(100));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let mut others: Vec<_> = (0..2).map(|_| place.command(&args).spawn().unwrap()).collect();
    for other in &mut others {
        assert!(other.wait().unwrap().success());
    }
    let results = results(&place, "study");
    let count = |key: &str| results[key].as_u64().unwrap();
    assert_eq!(count("complete") + count("pruned") + count("failed"), 8, "{results}");
    let trials = trials(&place, "study");
    assert_eq!(trials.keys().copied().collect::<Vec<_>>(), (0..8).collect::<Vec<u64>>());
    // Each has one claim per attempt and one end.
    for (trial, lines) in &trials {
        assert_eq!(lines.iter().filter(|line| line.contains("\"op\":\"end\"")).count(), 1, "trial {trial}: {lines:?}");
    }
}

#[test]
fn studies_that_cannot_be_say_why() {
    let place = place();
    let fails = |search: &str, parts: &[&str]| {
        place.write("bad.yaml", format!("base: infer.yaml\ndata: data.yaml\nout_dir: bad\nsearch: {search}\n"));
        place.fails(2, &["search", "bad.yaml", "--trials", "2", "--quiet"], parts);
    };
    fails("{model.nets.0.hidden_features: {int: [16, 4]}}", &["holds no two integers"]);
    fails("{model.nets.0.hidden_features: {int: [4, 16], float: [1, 2]}}", &["exactly one of `int`, `float`, `choice` and `layers`"]);
    fails("{train_args.validation_fraction: {float: [0.1, 0.5]}}", &["cannot be compared"]);
    fails("{prior.uniform.low: {float: [0.1, 0.5]}}", &["`prior.uniform.low` cannot vary in a study"]);
    fails(
        "{model.nets.0.num_bins: {int: [4, 8], when: {model.nets.0.model: [nsf]}}}",
        &["names `model.nets.0.model`, which is no dimension"],
    );
    fails("defualt", &["unknown search space `defualt`"]);
    fails("{model.nets.0.hiden: {int: [4, 16]}}", &["unknown key `hiden`", "hidden_features"]);
    let database = |url: &str, status, parts: &[&str]| {
        let storage = format!("storage={{postgresql: \"{url}\"}}");
        place.fails(status, &["search", "study.yaml", "-o", "bad1", "--quiet", "--set", &storage], parts);
    };
    database("postgresql://me:secret@host/studies", 2, &["holds a password", "PGPASSWORD"]);
    database("not an address", 2, &["no address of a database"]);
    database("postgresql://me@%2Fnowhere/studies", 1, &["postgresql://me@%2Fnowhere/studies", "see that the server runs"]);
    // Data that no trial can be trained on end the study, and not only its trials.
    place.write("infer.yaml", BASE.replace("[1, 1]", "[0.1, 0.1]"));
    place.fails(
        1,
        &["search", "study.yaml", "--workers", "1", "-o", "bad2", "--quiet"],
        &["3 trials failed and none succeeded", "outside the prior"],
    );
}

#[test]
fn the_default_space_is_that_of_ltu_cmass() {
    use abduce::config::{StudyConfig, parse};
    let study = parse::<StudyConfig>("study.yaml", "{base: a.yaml, data: b.yaml, search: default}", &[]).unwrap().config;
    let space = serde_json::to_value(study.space().unwrap()).unwrap();
    let names: Vec<&str> = space["dimensions"].as_array().unwrap().iter().map(|dimension| dimension["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "embedding_net.fcn.n_hidden.depth",
            "model.nets.0.hidden_features",
            "model.nets.0.num_transforms",
            "train_args.learning_rate",
            "train_args.training_batch_size",
            "train_args.weight_decay",
            "embedding_net.fcn.n_hidden.width"
        ]
    );
    let params = |depth: u64| {
        BTreeMap::from([
            ("embedding_net.fcn.n_hidden.depth".to_string(), Value::from(depth)),
            ("embedding_net.fcn.n_hidden.width".to_string(), Value::from(32)),
            ("train_args.learning_rate".to_string(), Value::from(3e-4)),
        ])
    };
    assert_eq!(study.overrides(&params(2)), ["embedding_net.fcn.n_hidden=[32,32]", "train_args.learning_rate=0.0003"]);
    assert_eq!(study.overrides(&params(0)), ["embedding_net=null", "train_args.learning_rate=0.0003"]);
}

/// A pipeline as the base: it simulates once for all trials and processes, and the trials are those of an infer file on the same simulations.
#[test]
fn a_pipeline_is_searched_like_an_infer_file() {
    let place = place();
    let pipeline = "simulate: {task: two_moons, n: 300, n_test: 0, seed: 1}\nmodel: {nets: [{model: maf}]}\n\
                    train_args: {training_batch_size: 50, max_num_epochs: 6}\nseed: 4\nvalidate: {metrics: {}}\n";
    place.write("pipeline.yaml", pipeline);
    place.write(
        "whole.yaml",
        STUDY.replace("base: infer.yaml", "base: pipeline.yaml").replace("data: data.yaml\n", "").replace("study", "whole"),
    );
    let search = |study: &'static str| ["search", study, "--quiet", "--trials", "5", "--workers", "1", "--resume"];
    let mut both: Vec<_> = (0..2).map(|_| place.command(&search("whole.yaml")).spawn().unwrap()).collect();
    for process in &mut both {
        assert!(process.wait().unwrap().success());
    }
    place.ok(&search("study.yaml"));
    assert!(place.read("whole/simulations/simulations/x.npy") == place.read("sims/x.npy"), "the simulations of `abduce simulate`");
    let (whole, plain) = (results(&place, "whole"), results(&place, "study"));
    assert_eq!(whole["complete"].as_u64().unwrap() + whole["pruned"].as_u64().unwrap(), 5);
    // Who was given up when two processes share a study depends on their pace; a trial that both studies completed has one value.
    let values = |folder: &str| -> BTreeMap<String, String> {
        let table = String::from_utf8(place.read(&format!("{folder}/trials.csv"))).unwrap();
        table.lines().filter_map(|line| line.split_once(",complete,")).map(|(trial, rest)| (trial.to_string(), rest.to_string())).collect()
    };
    let (of_whole, of_plain) = (values("whole"), values("study"));
    let common = of_plain.iter().filter(|(trial, _)| of_whole.contains_key(*trial)).count();
    assert!(common > 0 && of_plain.iter().all(|(trial, row)| of_whole.get(trial).is_none_or(|other| other == row)), "{whole}, {plain}");

    place.write(
        "stored.yaml",
        pipeline.replace(
            "simulate: {task: two_moons, n: 300, n_test: 0, seed: 1}",
            "prior: {uniform: {low: [-1, -1], high: [1, 1]}}\ndata: {in_dir: sims, theta_file: theta.npy, x_file: x.npy}",
        ),
    );
    place.ok(&["search", "whole.yaml", "--quiet", "--trials", "2", "--workers", "1", "-o", "stored", "--set", "base=stored.yaml"]);
    assert!(!place.path("stored/simulations").exists());
    place.write("rounds.yaml", pipeline.replace("model: {", "sample: {x_file: sims/x.npy}\nmodel: {engine: SNPE, "));
    place.fails(1, &["search", "whole.yaml", "--quiet", "-o", "no", "--set", "base=rounds.yaml"], &["simulates as it goes"]);
}

//! Engines other than NPE, through the program.

mod program;

use program::{Workplace, assert_same_bytes};
use serde_json::Value;

const PRIOR: &str = "prior: {module: sbi.utils, class: BoxUniform, args: {low: [-1, -1], high: [1, 1]}}\n";

#[allow(clippy::unwrap_used)] // a helper of tests
fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// LtU-ILI's files with an engine of likelihoods or ratios: chains, their convergence, marginals, held-out scores.
#[test]
fn likelihoods_and_ratios_are_drawn_by_chains() {
    let place = Workplace::simulated();
    place.save("two.npy", &[2, 2], |i| 0.1 * i as f32);
    for (engine, net) in [("NLE", "maf"), ("NRE", "resnet")] {
        let infer = format!(
            "{PRIOR}model: {{engine: {engine}, nets: [{{model: {net}, hidden_features: 16}}]}}\ntrain_args: {{max_num_epochs: 5}}\n"
        );
        place.write("engine.yaml", &infer);
        place.ok(&["train", "engine.yaml", "--data", "data.yaml", "-o", engine]);
        let sample = ["sample", engine, "--x", "two.npy", "-n", "200", "--convergence", "c.json", "-o", "s.npy", "--seed", "1"];
        let ended = place.run(&sample);
        assert_eq!(ended.status, 0, "{}", ended.stderr);
        assert!(ended.stderr.contains("R-hat at most"), "{}", ended.stderr);
        let draws = place.array("s.npy");
        assert_eq!(draws.shape(), [2, 200, 2]);
        assert!(draws.data().iter().all(|value| value.abs() < 1.0), "a draw lies outside the prior");
        assert_eq!(json(&place.read("c.json")).as_array().map(Vec::len), Some(2));
        place.ok(&[&sample[..9], &["t.npy", "--seed", "1", "--threads", "1"]].concat());
        assert_eq!(place.array("t.npy").data(), draws.data(), "the same draws for any number of threads");
        place.ok(&["sample", engine, "--x", "two.npy", "-n", "50", "--method", "emcee", "--parameters", "theta_1", "-o", "m.npy"]);
        assert_eq!(place.array("m.npy").shape(), [2, 50, 1]);
        place.ok(&["sample", engine, "--x", "two.npy", "-n", "50", "--trials", "2", "-o", "both.npy"]);
        assert_eq!(place.array("both.npy").shape(), [1, 50, 2]);
        place.fails(1, &["sample", engine, "--x", "two.npy", "--method", "direct", "-o", "s.npy"], &["use slice, emcee, hmc, nuts or vi"]);
        let ended = place.run(&["log-prob", engine, "--theta", "two.npy", "--x", "two.npy", "-o", "lp.npy"]);
        assert!(ended.status == 0 && ended.stderr.contains("normalised: false"), "{}", ended.stderr);
        place.ok(&["validate", engine, "--data", "data.yaml", "-o", "v", "--set", "n_data=20"]);
        assert_eq!(json(&place.read("v/metrics.json"))["n_pairs"], 20);
    }
}

/// Fitted distributions, importance weights and evidences, through the command line and LtU-ILI's val file.
#[test]
fn fits_weights_and_evidences() {
    let place = Workplace::simulated();
    place.save("two.npy", &[2, 2], |i| 0.1 * i as f32);
    for (engine, net) in [("NLE", "maf"), ("NPE", "nsf")] {
        let infer = format!(
            "{PRIOR}model: {{engine: {engine}, nets: [{{model: {net}, hidden_features: 16}}]}}\ntrain_args: {{max_num_epochs: 5}}\n"
        );
        place.write("engine.yaml", &infer);
        place.ok(&["train", "engine.yaml", "--data", "data.yaml", "-o", engine]);
    }
    let vi = [
        "sample",
        "NLE",
        "--x",
        "two.npy",
        "-n",
        "200",
        "--method",
        "vi",
        "--max-num-iters",
        "20",
        "-o",
        "s.npy",
        "--convergence",
        "c.json",
    ];
    let ended = place.run(&vi);
    assert!(ended.status == 0 && ended.stderr.contains("Pareto k at most"), "{}", ended.stderr);
    let draws = place.array("s.npy");
    assert_eq!(draws.shape(), [2, 200, 2]);
    assert!(draws.data().iter().all(|value| value.abs() < 1.0), "a draw lies outside the prior");
    let report = json(&place.read("c.json"));
    assert!(report[1]["k_hat"].is_number() && report[1]["elbo"].is_number() && report[1]["steps"] == 20, "{report}");
    place.ok(&[&vi[..], &["--threads", "1"]].concat());
    assert_eq!(place.array("s.npy").data(), draws.data(), "the same draws for any number of threads");
    place.ok(&[
        "sample",
        "NPE",
        "--x",
        "two.npy",
        "-n",
        "50",
        "--method",
        "vi",
        "--dist",
        "gaussian_diag",
        "--divergence",
        "forward",
        "-o",
        "g.npy",
    ]);
    place.write(
        "val.yaml",
        "metrics:\n  draws: {module: ili.validation.metrics, class: PosteriorSamples, args: {num_samples: 30, sample_method: vi,\n    \
         sample_params: {dist: gaussian, n_particles: 32, max_num_iters: 20, vi_method: rKL}}}\n",
    );
    place.ok(&["validate", "NLE", "--metrics", "val.yaml", "--data", "data.yaml", "-o", "v", "--set", "n_data=20"]);
    assert_eq!(place.array("v/posterior_samples.npy").shape(), [30, 20, 2]);

    let importance = ["sample", "NPE", "--x", "two.npy", "-n", "100", "--method", "importance", "-o", "w.npy"];
    let ended = place.run(&[&importance[..], &["--likelihood", "two_moons", "--weighted", "w.npz", "--convergence", "c.json"]].concat());
    assert!(ended.status == 0 && ended.stderr.contains("effective draws of 1000"), "{}", ended.stderr);
    assert!(json(&place.read("c.json"))[0]["log_evidence"].is_number());
    assert_eq!(place.array("w.npy").shape(), [2, 100, 2]);
    place.ok(&["sample", "NLE", "--x", "two.npy", "-n", "100", "--method", "importance", "--proposal", "NPE", "-o", "w.npy"]);
    place.fails(2, &importance, &["needs a likelihood to weigh by"]);
    place.fails(2, &[&importance[..], &["--likelihood", "sz_cluster"]].concat(), &["no likelihood is known", "two_moons, slcp"]);
    place.fails(1, &[&importance[..], &["--likelihood", "slcp"]].concat(), &["the task slcp has 5 parameters"]);
    place.fails(1, &[&importance[..], &["--proposal", "NLE"]].concat(), &["exchange the two"]);
    place.fails(2, &["sample", "NPE", "--x", "two.npy", "--proposals", "100", "-o", "w.npy"], &["belong to `--method importance`"]);

    let ended = place.run(&["evidence", "NLE", "--x", "two.npy", "-n", "400"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let found = json(ended.stdout.as_bytes());
    for key in ["importance", "harmonic"] {
        assert!(found[1][key]["log_evidence"].is_number(), "{found}");
    }
    place.fails(1, &["evidence", "NPE", "--x", "two.npy"], &["abduce models"]);
}

/// Estimates and comparisons are trained, written, and asked again from their files.
#[test]
fn estimates_and_models() {
    let place = Workplace::simulated();
    place.save("two.npy", &[2, 2], |i| 0.1 * i as f32);
    place.save("other.npy", &[200, 2], |i| (i % 7) as f32);
    let quick = ["--max-epochs", "3", "--hidden", "8"];
    for (quantity, numbers) in [("moments", 2), ("median", 1), ("quantiles", 5)] {
        let train = ["estimate", "e.safetensors", "--data", "data.yaml", "--quantity", quantity, "--x", "two.npy", "-o", "a.npy"];
        let ended = place.run(&[&train[..], &quick[..]].concat());
        assert_eq!(ended.status, 0, "{}", ended.stderr);
        assert_eq!(json(ended.stdout.as_bytes())["kind"], quantity);
        place.ok(&["estimate", "e.safetensors", "--x", "two.npy", "-o", "b.npy"]);
        assert_eq!(place.read("a.npy"), place.read("b.npy"));
        assert!(String::from_utf8_lossy(&place.read("a.npy")[..128]).contains(&format!("(2, 2, {numbers})")));
    }
    let levels = ["estimate", "e.safetensors", "--data", "data.yaml", "--quantity", "quantiles", "--levels", "0.5,0.1"];
    place.fails(1, &levels, &["must increase"]);
    let models = ["models", "m.safetensors", "--data", "moons=sims/x.npy", "other=other.npy", "--x", "two.npy"];
    let ended = place.run(&[&models[..], &quick[..]].concat());
    assert!(ended.status == 0 && ended.stdout.contains("calibration_error"), "{}", ended.stderr);
    let ended = place.run(&["models", "m.safetensors", "--x", "two.npy", "--prior", "3,1"]);
    let found = json(ended.stdout.as_bytes());
    assert_eq!(found["models"][1], "other");
    let sum: f64 = found["observations"][0]["probability"].as_array().unwrap().iter().filter_map(Value::as_f64).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{found}");
    place.fails(1, &["models", "m.safetensors", "--x", "two.npy", "--prior", "1"], &["one per model"]);
    place.fails(2, &["models", "n.safetensors", "--data", "x.npy"], &["NAME=X.npy"]);
    place.fails(1, &["models", "n.safetensors", "--data", "only=sims/x.npy"], &["at least two"]);
    place.fails(1, &["estimate", "m.safetensors", "--x", "two.npy", "-o", "b.npy"], &["it compares models"]);
}

/// Rounds through LtU-ILI's SBISimulator files and through a pipeline; a finished run resumes to the same bytes, and simulations are saved.
#[test]
fn sequential_engines_simulate_in_rounds() {
    let place = Workplace::simulated();
    place.save("obs.npy", &[2], |_| 0.1);
    let infer = format!(
        "{PRIOR}model: {{engine: SNPE, nets: [{{model: maf, hidden_features: 8}}]}}\ntrain_args: {{max_num_epochs: 3, num_round: 2}}\n"
    );
    place.write("rounds.yaml", &infer);
    place.write(
        "simulated.yaml",
        "xobs_file: obs.npy\nnum_simulations: 100\nsave_simulated: true\nx_file: all_x.npy\ntheta_file: all_theta.npy\nsimulator: {task: two_moons}\n",
    );
    place.ok(&["train", "rounds.yaml", "--data", "simulated.yaml", "-o", "a"]);
    assert_eq!(place.array("all_theta.npy").shape(), [200, 2]);
    assert_eq!(place.array("a/rounds/2/x.npy").shape(), [100, 2]);
    place.ok(&["sample", "a", "--x", "obs.npy", "-n", "50", "-o", "s.npy"]);
    // Without the result and the last round, only that round is run again.
    place.ok(&["train", "rounds.yaml", "--data", "simulated.yaml", "-o", "b", "--threads", "1"]);
    assert_same_bytes(&place.path("a/rounds"), &place.path("b/rounds"));
    std::fs::remove_dir_all(place.path("b/rounds/2")).unwrap();
    std::fs::remove_file(place.path("b/posterior.safetensors")).unwrap();
    place.ok(&["train", "rounds.yaml", "--data", "simulated.yaml", "-o", "b", "--resume"]);
    assert_same_bytes(&place.path("a/rounds"), &place.path("b/rounds"));
    place.fails(1, &["train", "rounds.yaml", "--data", "data.yaml", "-o", "c"], &["a sequential engine needs a simulator"]);

    place.write(
        "pipeline.yaml",
        "simulate: {task: two_moons, n: 100, n_test: 0}\nmodel: {engine: SNLE, nets: [{model: maf, hidden_features: 8}]}\n\
         train_args: {max_num_epochs: 3, num_round: 2}\nsample: {x_file: obs.npy, n: 100}\nvalidate: {metrics: {}}\n",
    );
    place.ok(&["run", "pipeline.yaml", "-o", "p"]);
    assert_eq!(place.array("p/samples.npy").shape(), [1, 100, 2]);
    assert!(json(&place.read("p/sampling.json"))[0]["r_hat"].is_array());
    let report = String::from_utf8(place.read("p/report.html")).unwrap();
    assert!(report.contains("neural likelihood estimation in 2 rounds"), "the report names the method");
}

/// Vector fields are drawn from exactly and scored by their differential equation.
#[test]
fn vector_fields_are_posteriors() {
    let place = Workplace::simulated();
    place.save("one.npy", &[2], |_| 0.1);
    for engine in ["FMPE", "NPSE"] {
        let net = "{model: mlp, hidden_features: 16, hidden_layers: 2}";
        place.write(
            "field.yaml",
            format!("{PRIOR}model: {{engine: {engine}, sde_type: vp, nets: [{net}]}}\ntrain_args: {{max_num_epochs: 3}}\n"),
        );
        place.ok(&["train", "field.yaml", "--data", "data.yaml", "-o", engine]);
        place.ok(&["sample", engine, "--x", "one.npy", "-n", "20", "-o", "s.npy"]);
        assert_eq!(place.array("s.npy").shape(), [1, 20, 2]);
        place.save("theta.npy", &[3, 2], |i| 0.1 * i as f32);
        place.ok(&["log-prob", engine, "--theta", "theta.npy", "--x", "one.npy", "-o", "lp.npy"]);
    }
}

/// Images and sets go through LtU-ILI's CNN and the networks on sets; the same bytes for any number of threads, and events for TensorBoard.
#[test]
fn images_and_sets_are_embedded() {
    let place = Workplace::simulated();
    let n = 120;
    // A number that the datum repeats with a pattern: something is there to be learnt.
    let theta = |row: usize, k: usize| ((row * 37 + k * 11) % 200) as f32 / 100.0 - 1.0;
    place.save("theta.npy", &[n, 2], |i| theta(i / 2, i % 2));
    place.save("image.npy", &[n, 8, 8], |i| theta(i / 64, usize::from(i % 8 > 3)) + ((i * 7) % 13) as f32 / 50.0);
    place.save("set.npy", &[n, 6, 3], |i| theta(i / 18, i % 2) + ((i * 5) % 11) as f32 / 20.0);
    for file in ["image", "set"] {
        place.write(&format!("{file}.yaml"), format!("theta_file: theta.npy\nx_file: {file}.npy\n"));
    }
    let cnn = "{module: ili.embedding, class: CNN, args: {in_shape: [1, 8, 8], n_channels: [4, 4], kernel_sizes: [3, 3], strides: [1, 1], \
               pool_sizes: [2, 1], n_hiddens: [8, 4]}}";
    let embeddings = [
        ("image", "NPE", "maf", cnn),
        ("image", "NRE", "mlp", "{res_net: {n_channels: [4], num_blocks: 1, n_output: 3}}"),
        ("set", "NPE", "nsf", "{set_transformer: {hidden_features: 8, num_heads: 2, num_layers: 1, n_hiddens: [4]}}"),
        ("set", "NPE", "mdn", "{transformer: {hidden_features: 8, num_heads: 2, num_layers: 1, dropout: 0.1, n_hiddens: [4]}}"),
        (
            "set",
            "NPE",
            "maf",
            "{module: ili.embedding, class: GNN, args: {num_neighbours: 3, hidden_features: 8, num_rounds: 1, n_hiddens: [4]}}",
        ),
    ];
    for (k, (file, engine, net, embedding)) in embeddings.into_iter().enumerate() {
        let infer = format!(
            "{PRIOR}model: {{engine: {engine}, nets: [{{model: {net}, hidden_features: 8}}]}}\nembedding_net: {embedding}\n\
             train_args: {{max_num_epochs: 2, ema_decay: 0.9}}\n"
        );
        place.write("embedding.yaml", &infer);
        let data = format!("{file}.yaml");
        for (run, threads) in [("a", "1"), ("b", "2")] {
            let out = format!("{run}{k}");
            place.ok(&["train", "embedding.yaml", "--data", &data, "-o", &out, "--threads", threads, "--tensorboard", "events"]);
        }
        let weights = |run: &str| place.read(&format!("{run}{k}/posterior.safetensors"));
        assert!(weights("a") == weights("b"), "{embedding}: threads change the weights");
        if engine == "NPE" {
            place.ok(&["sample", &format!("a{k}"), "--x", &format!("{file}.npy"), "-n", "3", "-o", "s.npy"]);
            assert_eq!(place.array("s.npy").shape(), [n, 3, 2]);
        }
    }
    assert!(place.read("events/net-0/events.out.tfevents.abduce").windows(16).any(|w| w == b"score/validation"));
    let wrong = format!(
        "{PRIOR}model: {{nets: [{{model: maf}}]}}\nembedding_net: {{cnn: {{in_shape: [1, 9, 9], n_channels: [2], n_hiddens: [2]}}}}\n"
    );
    place.write("wrong.yaml", &wrong);
    place.fails(
        1,
        &["train", "wrong.yaml", "--data", "image.yaml", "-o", "w"],
        &["embedding_net: the network takes [1, 9, 9], which is 81 values"],
    );
}

/// A pipeline's sections `estimate` and `models`: files, answers for the observations, the same bytes for any number of threads, refusals.
#[test]
fn a_pipeline_estimates_and_compares_models() {
    let place = Workplace::new();
    place.save("two.npy", &[2, 2], |i| 0.1 * i as f32);
    let net = "model: {nets: [{model: maf, hidden_features: 8}]}\ntrain_args: {max_num_epochs: 2}\nvalidate: {metrics: {}}\n";
    let sections = "estimate:\n  means: {hidden: [8], max_epochs: 3}\n  bands: {quantity: quantiles, levels: [0.16, 0.5, 0.84], hidden: [8], max_epochs: 3}\n\
                    models: {name: moons, others: {mixture: {task: gaussian_mixture}}, n: 200, prior: {moons: 3}, hidden: [8], max_epochs: 3}\n";
    let head = "simulate: {task: two_moons, n: 200, n_test: 0}\nsample: {x_file: two.npy, n: 20}\n";
    place.write("pipeline.yaml", format!("{head}{net}{sections}"));
    place.ok(&["run", "pipeline.yaml", "-o", "a"]);
    place.ok(&["run", "pipeline.yaml", "-o", "b", "--threads", "1"]);
    assert_same_bytes(&place.path("a"), &place.path("b"));
    assert!(String::from_utf8_lossy(&place.read("a/estimates/bands.npy")[..128]).contains("(2, 2, 3)"));
    assert_eq!(json(&place.read("a/estimates/means.json"))["kind"], "moments");
    let models = json(&place.read("a/models.json"));
    assert_eq!(models["models"][1], "mixture");
    let first = &models["observations"][0]["probability"];
    assert!((first[0].as_f64().unwrap() + first[1].as_f64().unwrap() - 1.0).abs() < 1e-9, "{models}");
    // The files are those of the commands.
    place.ok(&["estimate", "a/estimates/bands.safetensors", "--x", "two.npy", "-o", "again.npy"]);
    assert_eq!(place.read("again.npy"), place.read("a/estimates/bands.npy"));
    let ended = place.run(&["models", "a/models.safetensors", "--x", "two.npy", "--prior", "3,1"]);
    assert_eq!(json(ended.stdout.as_bytes())["observations"], models["observations"]);
    let refused = |sections: &str, parts: &[&str]| {
        place.write("bad.yaml", format!("{head}{net}{sections}"));
        place.fails(2, &["run", "bad.yaml", "-o", "c"], parts);
    };
    refused("estimate: {a: {levels: [0.5, 0.1]}}\n", &["levels increase between 0 and 1"]);
    refused("estimate: {../a: {}}\n", &["no name of a file"]);
    refused("models: {others: {simulate: {task: slcp}}}\n", &["the name of two models"]);
    refused("models: {others: {a: {task: slcp}}, prior: {b: 1}}\n", &["there is no model `b`"]);
    place.write("bad.yaml", format!("{head}{}{sections}", net.replace("model: {", "model: {engine: SNPE, ")));
    place.fails(2, &["run", "bad.yaml", "-o", "c"], &["estimates are learnt on simulations of the prior"]);
}

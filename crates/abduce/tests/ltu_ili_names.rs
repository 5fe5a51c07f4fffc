//! Every engine, alias, net and argument that LtU-ILI's infer files know trains from its YAML (`inference.md`, section 1.3), and every method of drawing
//! either draws or says why it can't.

mod program;

use abduce_data::ModelFile;
use program::Workplace;
use serde_json::Value;

const PRIOR: &str = "prior: {module: ili.utils, class: Uniform, args: {low: [-1, -1], high: [1, 1], device: cpu}}\n";

/// Simulations, and a loader that simulates for one observation.
fn place() -> Workplace {
    let place = Workplace::new();
    place.ok(&["simulate", "two_moons", "-n", "120", "--seed", "1", "-o", "sims", "--quiet"]);
    place.save("obs.npy", &[2], |_| 0.1);
    place.write("rounds.yaml", "{in_dir: ., xobs_file: obs.npy, num_simulations: 60, simulator: {task: two_moons}}");
    place.write("observed.yaml", "{in_dir: ., theta_file: sims/theta.npy, x_file: sims/x.npy, xobs_file: obs.npy}");
    place
}

/// Trains and gives the document of the model's file.
#[allow(clippy::unwrap_used)] // a helper of tests
fn trained(place: &Workplace, infer: &str, data: &str, run: &str, stem: &str) -> Value {
    place.write("named.yaml", infer);
    let ended = place.run(&["train", "named.yaml", "--data", data, "-o", run, "--threads", "1"]);
    assert_eq!(ended.status, 0, "{infer}\n{}", ended.stderr);
    ModelFile::load(&place.path(&format!("{run}/{stem}posterior.safetensors"))).unwrap().metadata
}

/// What a name learns, and whether it simulates in rounds: sbi's class behind LtU-ILI's "S" + engine.
#[test]
fn every_engine_and_alias_trains() {
    let place = place();
    let nets = [("npe", "mdn"), ("nle", "maf"), ("nre", "mlp")];
    let mut run = 0;
    for (names, kind) in [
        (&["NPE", "NPE_A", "NPE_B", "NPE_C", "APT"][..], "npe"),
        (&["NLE", "NLE_A"], "nle"),
        (&["NRE", "NRE_A", "NRE_B", "NRE_C", "AALR", "CNRE", "BNRE"], "nre"),
        (&["SNPE", "SNPE_A", "SNPE_B", "SNPE_C", "TSNPE"], "npe"),
        (&["SNLE", "SNL", "SNLE_A"], "nle"),
        (&["SNRE", "SNRE_A", "SNRE_B", "SNRE_C", "SRE"], "nre"),
        (&["FMPE", "NPSE"], "npe"),
    ] {
        for name in names {
            run += 1;
            let field = ["FMPE", "NPSE"].contains(name);
            let net = if field { "mlp" } else { nets.iter().find(|(of, _)| *of == kind).map_or("", |(_, net)| net) };
            let balance = if *name == "BNRE" { "regularization_strength: 10, " } else { "" };
            let sequential = name.starts_with('S') || *name == "TSNPE";
            let infer = format!(
                "{PRIOR}model: {{backend: sbi, engine: {name}, nets: [{{model: {net}, hidden_features: 6}}]}}\n\
                 train_args: {{{balance}max_num_epochs: 2, num_round: 2}}\n"
            );
            let data = if sequential { "rounds.yaml" } else { "data.yaml" };
            let found = trained(&place, &infer, data, &format!("r{run}"), "");
            // From the second round on SNPE_A gives a ratio: a density over its Gaussian proposal.
            assert_eq!(found["kind"], if *name == "SNPE_A" { "nre" } else { kind }, "{name}");
            assert_eq!(place.path(&format!("r{run}/rounds/2")).exists(), sequential, "{name}");
        }
    }
    for name in ["MCABC", "ABC", "SMCABC", "SMC"] {
        run += 1;
        let args = if name.starts_with('S') {
            "num_particles: 20, num_initial_pop: 40, num_simulations: 100, epsilon_decay: 0.5, distance_based_decay: true, ess_min: 0.5, \
             kernel_variance_scale: 1.0, use_last_pop_samples: true, lra: true, lra_with_weights: true, sass: false, kde: true, kde_kwargs: {bandwidth: cv}"
        } else {
            "num_simulations: 120, quantile: 0.2, lra: true, sass: true, sass_fraction: 0.25, sass_expansion_degree: 1, kde: true, \
             kde_kwargs: {bandwidth: scott}, num_iid_samples: 1"
        };
        place.write("named.yaml", format!("{PRIOR}model: {{engine: {name}, num_workers: 4}}\ntrain_args: {{{args}}}\n"));
        let data = if name.starts_with('S') { "rounds.yaml" } else { "observed.yaml" };
        place.ok(&["train", "named.yaml", "--data", data, "-o", &format!("r{run}"), "--threads", "1"]);
    }
    place.write("named.yaml", format!("{PRIOR}model: {{engine: MCABC}}\ntrain_args: {{num_simulations: 120, eps: 0.5}}\n"));
    place.ok(&["train", "named.yaml", "--data", "observed.yaml", "-o", "eps"]);
}

/// Sizes arrive in the file: (backend, engine, net with all arguments of the table, what its architecture must say).
#[test]
fn every_net_takes_its_arguments() {
    let place = place();
    let cases = [
        ("sbi", "NPE", "mdn, hidden_features: 7, num_components: 3", "\"hidden\":[7,7] \"components\":3"),
        ("sbi", "NLE", "mdn, hidden_features: 7, num_components: 3", "\"components\":3"),
        ("sbi", "NPE", "maf, hidden_features: 7, num_transforms: 3", "\"transforms\":3 \"hidden\":[7,7]"),
        ("sbi", "NLE", "MAF, hidden_features: 7, num_transforms: 3", "\"transforms\":3"),
        ("sbi", "NPE", "nsf, hidden_features: 7, num_transforms: 3", "\"transforms\":3 \"hidden\":7"),
        ("sbi", "NLE", "NSF, hidden_features: 7, num_transforms: 3", "\"hidden\":7"),
        ("sbi", "NPE", "made, hidden_features: 7, num_transforms: 3", "\"hidden\":[7,7]"),
        ("sbi", "NLE", "made, hidden_features: 7", "made"),
        ("sbi", "NRE", "linear", "linear"),
        ("sbi", "NRE", "mlp, hidden_features: 7", "\"hidden\":[7,7]"),
        ("sbi", "NRE", "resnet, hidden_features: 7, num_blocks: 1", "\"hidden\":7 \"blocks\":1"),
        ("lampe", "NPE", "mdn, hidden_features: 7, num_components: 2", "\"hidden\":[7,7,7] \"components\":2"),
        ("lampe", "NPE", "maf, hidden_features: 7, num_transforms: 1", "\"transforms\":1 \"hidden\":[7,7]"),
        ("lampe", "NPE", "nsf, hidden_features: 7, num_transforms: 1", "\"transforms\":1"),
        ("lampe", "NPE", "ncsf, hidden_features: 7, num_transforms: 1", "ncsf"),
        ("lampe", "NPE", "nice, hidden_features: 7, num_transforms: 1", "nice"),
        ("lampe", "NPE", "gf, hidden_features: 7, num_transforms: 1", "gf"),
        ("lampe", "NPE", "sospf, hidden_features: 7, num_transforms: 1", "sospf"),
        ("lampe", "NPE", "naf, hidden_features: 7, num_transforms: 1", "naf"),
        ("lampe", "NPE", "unaf, hidden_features: 7, num_transforms: 1", "unaf"),
        ("lampe", "NPE", "cnf, hidden_features: 7, num_transforms: 1", "\"frequencies\":1"),
        ("lampe", "NPE", "maf, x_normalize: true, theta_normalize: true", "\"transforms\":2 \"hidden\":[16,16]"),
        ("pydelfi", "NLE", "mdn, hidden_features: 7, num_components: 2", "\"components\":2"),
        ("pydelfi", "NLE", "maf, hidden_features: 7, num_transforms: 1", "\"transforms\":1"),
    ];
    for (k, (backend, engine, net, says)) in cases.into_iter().enumerate() {
        let infer = format!(
            "{PRIOR}model: {{backend: {backend}, engine: {engine}, name: demo, kwargs: {{}}, nets: [{{model: {net}, signature: a, repeats: 2}}]}}\n\
             train_args: {{training_batch_size: 20, max_epochs: 1}}\n"
        );
        let found = trained(&place, &infer, "data.yaml", &format!("n{k}"), "demo_");
        assert_eq!(found["nets"].as_array().map(Vec::len), Some(2));
        assert_eq!(found["nets"][1]["signature"], "a");
        let architecture = found["nets"][0]["architecture"].to_string();
        assert!(says.split(' ').all(|part| architecture.contains(part)), "{backend} {engine} {net}: {architecture}");
    }
}

/// `train_args` that all engines share, those passed through to an engine, and those without effect; embeddings with each activation; a proposal; the older
/// dialect.
#[test]
fn every_training_argument_is_read() {
    let place = place();
    let shared = "training_batch_size: 30, learning_rate: 0.001, validation_fraction: 0.2, stop_after_epochs: 2, clip_max_norm: 3, \
                  max_num_epochs: 2, show_train_summary: true, dataloader_kwargs: {num_workers: 2}";
    let mut run = 0;
    let mut train = |infer: String, data: &str| {
        run += 1;
        trained(&place, &infer, data, &format!("a{run}"), "")
    };
    for (engine, net, own, data) in [
        ("NPE", "maf", "force_first_round_loss: true", "data.yaml"),
        ("NRE", "resnet", "num_atoms: 4", "data.yaml"),
        ("NRE_A", "resnet", "num_atoms: 2", "data.yaml"),
        ("NRE_C", "resnet", "num_classes: 3, gamma: 0.5", "data.yaml"),
        ("BNRE", "resnet", "regularization_strength: 5", "data.yaml"),
        (
            "SNPE",
            "maf",
            "num_atoms: 4, use_combined_loss: true, discard_prior_samples: false, retrain_from_scratch: true, num_round: 2",
            "rounds.yaml",
        ),
        ("SNLE", "maf", "discard_prior_samples: true, num_round: 2", "rounds.yaml"),
    ] {
        let net = format!("{{model: {net}, hidden_features: 6}}");
        train(format!("{PRIOR}model: {{engine: {engine}, nets: [{net}]}}\ntrain_args: {{{shared}, {own}}}\n"), data);
    }
    let delfi = "backend: pydelfi, engine: NLE, nets: [{model: maf, hidden_features: 6}]";
    train(format!("{PRIOR}model: {{{delfi}}}\ntrain_args: {{batch_size: 30, epochs: 1}}\n"), "data.yaml");
    let net = "model: {nets: [{model: mdn, hidden_features: 6}]}\ntrain_args: {max_num_epochs: 1}\n";
    for activation in ["SiLU", "ReLU", "LeakyReLU", "ELU", "GELU", "Tanh", "Sigmoid", "Softplus", "Mish"] {
        let fcn =
            format!("embedding_net: {{module: ili.embedding, class: FCN, args: {{n_hidden: [5, 3], act_fn: {activation}, n_input: 2}}}}\n");
        train(format!("{PRIOR}{fcn}{net}"), "data.yaml");
    }
    let proposal = "proposal: {module: ili.utils, class: IndependentUniform, args: {low: [-1, -1], high: [1, 1]}}\n";
    train(format!("{PRIOR}{proposal}{net}"), "data.yaml");
    let older = "prior: {module: ili.utils, class: IndependentUniform, args: {lower: [-1, -1], upper: [1, 1]}}\n\
                 model: {module: sbi.inference, class: SNPE, nets: [{model: maf, hidden_features: 6}]}\ntrain_args: {max_num_epochs: 1}\noutput_path: ./older\n";
    train(older.to_string(), "rounds.yaml");
}

/// Engines against methods of drawing: a table without gaps.
#[test]
fn every_method_draws_or_says_why_not() {
    let place = place();
    for (engine, net) in [("NPE", "mdn"), ("NLE", "maf"), ("NRE", "mlp")] {
        let infer = format!(
            "{PRIOR}model: {{engine: {engine}, nets: [{{model: {net}, hidden_features: 6}}]}}\ntrain_args: {{max_num_epochs: 2}}\n"
        );
        trained(&place, &infer, "data.yaml", engine, "");
    }
    for engine in ["NPE", "NLE", "NRE"] {
        for method in ["direct", "slice", "emcee", "hmc", "nuts", "vi", "importance"] {
            let draw = ["sample", engine, "--x", "obs.npy", "-n", "20", "--method", method, "--max-num-iters", "10", "-o", "s.npy"];
            match (engine, method) {
                ("NLE" | "NRE", "direct") => place.fails(1, &draw, &["use slice, emcee, hmc, nuts or vi"]),
                (_, "importance") => place.fails(2, &draw, &["needs a likelihood to weigh by"]),
                _ => {
                    place.ok(&draw);
                    let draws = place.array("s.npy");
                    assert_eq!(draws.shape(), [1, 20, 2]);
                    assert!(draws.data().iter().all(|t| t.abs() < 1.0), "{engine}, {method}: a draw lies outside the prior");
                }
            }
        }
        let weigh = ["sample", "NPE", "--x", "obs.npy", "-n", "20", "--method", "importance", "--proposals", "200", "-o", "s.npy"];
        match engine {
            "NPE" => place.ok(&[&weigh[..], &["--likelihood", "two_moons"]].concat()),
            other => {
                place.ok(&["sample", other, "--x", "obs.npy", "-n", "20", "--method", "importance", "--proposal", "NPE", "-o", "s.npy"])
            }
        };
        if engine != "NPE" {
            place.fails(1, &[&weigh[..], &["--proposal", engine]].concat(), &["exchange the two"]);
        }
    }
}

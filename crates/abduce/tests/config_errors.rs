//! What a wrong configuration is answered with: the whole message, as a terminal without colour shows it.
//!
//! The answers stand in `tests/config/errors.txt`. After a wanted change, run with `UPDATE_EXPECTED=1` and read the difference.

use abduce::config::{DataConfig, InferConfig, PathRules, PipelineConfig, Section, SimulatorConfig, ValConfig, explain, load, parse};
use abduce::error::{ConfigError, ReportStyle, render};
use proptest::prelude::*;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const PRIOR: &str = "prior: {uniform: {low: [0, 0], high: [1, 1]}}\n";

fn refusal<T: Section>(name: &str, text: &str, set: &[&str]) -> String {
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    match parse::<T>(name, text, &set) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => report(&error),
    }
}

fn report(error: &ConfigError) -> String {
    let text = render(error, ReportStyle::Plain, 110);
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn infer(text: &str) -> String {
    refusal::<InferConfig>("infer.yaml", &format!("{PRIOR}{text}"), &[])
}

fn set(overrides: &[&str]) -> String {
    let text = format!("{PRIOR}model:\n  nets:\n    - {{model: nsf}}\n");
    refusal::<InferConfig>("infer.yaml", &text, overrides)
}

fn whole(text: &str) -> String {
    refusal::<InferConfig>("infer.yaml", text, &[])
}

fn data(text: &str) -> String {
    refusal::<DataConfig>("data.yaml", text, &[])
}

fn val(text: &str) -> String {
    refusal::<ValConfig>("val.yaml", text, &[])
}

fn whole_simulator(text: &str) -> String {
    refusal::<SimulatorConfig>("simulator.yaml", text, &[])
}

fn simulator(text: &str) -> String {
    whole_simulator(&format!("{text}{PRIOR}"))
}

fn pipeline(text: &str) -> String {
    refusal::<PipelineConfig>("pipeline.yaml", text, &[])
}

#[test]
fn refusals_say_what_where_and_what_instead() {
    let cases: Vec<(&str, String)> = vec![
        ("unknown key at the top", infer("train_arg: {}\n")),
        ("unknown key in a section", infer("train_args:\n  training_batch_size: 50\n  learning_rat: 1e-3\n")),
        ("unknown key of a net", infer("model:\n  nets:\n    - {model: maf, hiden_features: 64}\n")),
        ("unknown key far from all", infer("model:\n  nets:\n    - model: mdn\n      dropout: 0.1\n")),
        ("a key of another net model", infer("model: {nets: [{model: mdn, num_transforms: 5}]}\n")),
        ("unknown argument of a prior", whole("prior: {module: ili.utils, class: Uniform, args: {low: 0, hihg: 1}}\n")),
        ("unknown key beside module, class, args", whole("prior: {module: ili.utils, klass: Uniform, args: {low: 0, high: 1}}\n")),
        ("unknown module", whole("prior:\n  module: ili.util\n  class: Uniform\n  args: {low: 0, high: 1}\n")),
        ("unknown class", whole("prior:\n  module: ili.utils\n  class: IndependantNormal\n  args: {loc: 0, scale: 1}\n")),
        ("unknown family", whole("prior: {unifrom: {low: 0, high: 1}}\n")),
        ("unknown net model", infer("model: {nets: [{model: mafia}]}\n")),
        ("engine that nobody has", infer("model:\n  backend: sbi\n  engine: SNPE_D\n")),
        ("rejection without a criterion", infer("model: {engine: MCABC}\ntrain_args: {num_simulations: 100}\n")),
        ("rejection with two criteria", infer("model: {engine: ABC}\ntrain_args:\n  eps: 0.1\n  quantile: 0.1\n")),
        ("populations without their options", infer("model: {engine: SMCABC}\ntrain_args: {num_particles: 100, eps: 0.1}\n")),
        (
            "a first population too small",
            infer("model: {engine: SMC}\ntrain_args: {num_particles: 100, num_initial_pop: 50, epsilon_decay: 0.5, num_simulations: 40}\n"),
        ),
        ("training of nets for ABC", infer("model: {engine: MCABC}\ntrain_args:\n  quantile: 0.1\n  learning_rate: 1e-3\n")),
        (
            "nets for ABC",
            infer("model: {engine: MCABC, nets: [{model: maf}]}\ntrain_args: {quantile: 0.1}\nembedding_net: {fcn: {n_hidden: [8]}}\n"),
        ),
        ("ABC for nets", infer("train_args: {quantile: 0.1}\n")),
        (
            "parts of ABC without their switch",
            infer("model: {engine: MCABC}\ntrain_args: {quantile: 0.1, sass_fraction: 0.5, kde_kwargs: {bandwidth: wide}}\n"),
        ),
        ("regression on several data", infer("model: {engine: MCABC}\ntrain_args: {quantile: 0.1, lra: true, num_iid_samples: 5}\n")),
        (
            "populations without a simulator",
            pipeline(&format!(
                "{PRIOR}data: {{x_file: x.npy, theta_file: t.npy}}\nmodel: {{engine: SMCABC}}\ntrain_args: {{num_particles: 10, num_initial_pop: 20, epsilon_decay: 0.5}}\n"
            )),
        ),
        ("unknown backend", infer("model: {backend: tensorflow, engine: NLE}\n")),
        ("a vector field of another sort", infer("model: {engine: FMPE, nets: [{model: mlp}, {model: nsf}]}\n")),
        ("a density for a ratio", infer("model: {engine: NRE, nets: [{model: resnet}, {model: maf}]}\n")),
        ("a classifier for a density", infer("model: {engine: NLE, nets: [{model: resnet}]}\n")),
        ("balance without its strength", infer("model: {engine: BNRE}\ntrain_args: {num_atoms: 2}\n")),
        ("embedding unknown", infer("embedding_net: {module: ili.embedding, class: LSTM, args: {n_channels: [8]}}\n")),
        ("loader not available", data("in_dir: quijote\nx_root: pk\ntheta_file: params.txt\ntrain_test_split_file: split.json\n")),
        ("text for a number", infer("train_args: {learning_rate: fast}\n")),
        ("fraction for an integer", infer("train_args: {training_batch_size: 32.5}\n")),
        ("list for a section", infer("train_args: [1, 2]\n")),
        ("section for a list", infer("model:\n  nets:\n    model: maf\n    hidden_features: 3\n")),
        ("scalar for a prior argument list item", whole("prior: {uniform: {low: [0, a], high: [1, 1]}}\n")),
        ("nothing for a section", whole("prior:\nmodel: {}\n")),
        ("number out of range", infer("train_args: {validation_fraction: 1.5, stop_after_epochs: 0}\n")),
        ("not a number", infer("train_args: {learning_rate: .nan}\n")),
        ("negative count", infer("model: {nets: [{model: nsf, repeats: -1}]}\n")),
        ("huge integer", infer("seed: 99999999999999999999999\n")),
        ("empty ensemble", infer("model: {nets: []}\n")),
        ("key twice", infer("seed: 1\ntrain_args: {}\nseed: 2\n")),
        ("key under two names", infer("train_args:\n  batch_size: 32\n  training_batch_size: 64\n")),
        ("missing prior", whole("model: {}\n")),
        ("missing file name", data("in_dir: .\ntheta_file: theta.npy\n")),
        ("missing net model", infer("model:\n  nets:\n    - hidden_features: 64\n")),
        ("missing class", whole("prior: {module: ili.utils, args: {low: 0, high: 1}}\n")),
        ("missing prior argument", whole("prior:\n  module: ili.utils\n  class: Uniform\n  args:\n    low: [0, 0]\n")),
        ("two families", whole("prior: {uniform: {low: 0, high: 1}, normal: {loc: 0, scale: 1}}\n")),
        ("bounds swapped", whole("prior:\n  uniform:\n    low: [0, 3]\n    high: [1, 2]\n")),
        ("lengths of prior arguments differ", whole("prior:\n  uniform:\n    low: [0, 0, 0]\n    high: [1, 2]\n")),
        ("proposal of another dimension", infer("proposal: {uniform: {low: [0], high: [1]}}\n")),
        ("names do not match the prior", infer("parameters: [{name: a}, {name: b}, {name: a}]\n")),
        ("cosine without length", infer("train_args:\n  schedule: cosine\n")),
        ("slash in a name", infer("model: {name: a/b}\n")),
        ("no YAML", whole("prior: {uniform: {low: 0, high: 1}\nmodel: {}\n")),
        ("tab indentation", whole("prior:\n\tuniform: {low: 0, high: 1}\n")),
        ("two documents", whole("---\nseed: 1\n---\nseed: 2\n")),
        ("object tag", whole("prior: !!python/object/apply:os.system [ls]\n")),
        ("undefined alias", whole("prior: *default\n")),
        ("a list for a file", whole("- 1\n- 2\n")),
        ("letters of several bytes before the mistake", infer("parameters: [{name: Ωβ, lable: Ω}]\n")),
        ("unknown plot", val("metrics:\n  c: {posterior_coverage: {plot_list: [coverage, histogramm]}}\n")),
        ("missing plot list", val("metrics:\n  c: {module: ili.validation.metrics, class: PosteriorCoverage, args: {num_samples: 9}}\n")),
        ("unknown gate", val("gates: [coverag]\n")),
        ("no such sampling method", val("metrics: {c: {posterior_samples: {sample_method: gibbs}}}\n")),
        ("unknown task", pipeline("out_dir: o\nsimulate: {task: two_moon, n: 10}\n")),
        ("nothing to train on", pipeline("out_dir: o\n")),
        ("simulate and data", pipeline("out_dir: o\nsimulate: {task: sir, n: 10}\ndata: {x_file: x, theta_file: t}\n")),
        ("stored data without prior and test pairs", pipeline("out_dir: o\ndata: {x_file: x.npy, theta_file: t.npy}\nsample: {}\n")),
        ("posterior of another run", pipeline("out_dir: o\nsimulate: {task: sir, n: 10}\nvalidate: {posterior_file: p.pkl}\n")),
        ("prior beside a task", pipeline(&format!("out_dir: o\nsimulate: {{task: sir, n: 10}}\n{PRIOR}"))),
        ("no simulator", pipeline("out_dir: o\nsimulate: {n: 10}\n")),
        ("task and command", pipeline("out_dir: o\nsimulate:\n  task: sir\n  command: [./run]\n  n: 10\n")),
        ("a program's key beside a task", pipeline("out_dir: o\nsimulate:\n  task: sir\n  n: 10\n  timeout_s: 5\n")),
        ("command without prior", pipeline("out_dir: o\nsimulate:\n  command: [./run]\n  n: 10\n")),
        ("prior beside a command", pipeline(&format!("out_dir: o\nsimulate:\n  command: [./run]\n  n: 10\n  {PRIOR}{PRIOR}"))),
        ("unknown key of a command", pipeline(&format!("out_dir: o\nsimulate:\n  command: [./run]\n  n: 10\n  timeout: 5\n  {PRIOR}"))),
        ("command as a text", simulator("command: ./run --fast\n")),
        ("unknown exchange", simulator("command: [./run]\nexchange: pipes\n")),
        ("no time at all", simulator("command: [./run]\ntimeout_s: 0\nworkers: 0\n")),
        ("names of parameters that do not match", simulator("command: [./run]\nparameters: [{name: a}, {name: b}, {name: a}]\n")),
        ("files without a place for x", simulator("command: [./run, '{theta}']\nexchange: npy_files\n")),
        ("one seed for a batch", simulator("command: [./run, '{dir}', '{seed}']\nexchange: npy_files\nbatch: 10\n")),
        ("placeholders on a command with lines", simulator("command: [./run, '{theta}', '{x}']\n")),
        ("a datum without values", simulator("command: [./run]\nx_shape: [3, 0]\n")),
        ("prior of a command with swapped bounds", whole_simulator("command: [./run]\nprior:\n  uniform:\n    low: [3]\n    high: [2]\n")),
        ("simulations saved without names", data("num_simulations: 10\nsave_simulated: true\nx_file: x.npy\n")),
        ("nothing to save", data("x_file: x.npy\ntheta_file: t.npy\nsave_simulated: true\n")),
        ("one name of two", data("num_simulations: 10\nx_file: x.npy\n")),
        ("prior of a data file's simulator", data(&format!("num_simulations: 10\nsimulator:\n  command: [./run]\n  {PRIOR}"))),
        ("override of an unknown key", set(&["model.nets.0.hidden_feature=64"])),
        ("override of the wrong type", set(&["train_args.learning_rate=high"])),
        ("override past the end", set(&["model.nets.3.hidden_features=64"])),
        ("override below a scalar", set(&["model.nets.0.model.x=1"])),
        ("override without value", set(&["seed"])),
        ("override with broken YAML", set(&["train_args={learning_rate: 1e-3"])),
        ("override with an empty key", set(&["train_args..learning_rate=1"])),
    ];
    let mut found = String::new();
    for (name, message) in &cases {
        _ = writeln!(found, "## {name}\n{message}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/errors.txt");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (expected, found) in expected.split("## ").zip(found.split("## ")) {
        assert_eq!(found, expected, "found (left) is not what tests/config/errors.txt says (right):\n{found}");
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn files_that_cannot_be_configurations() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str| load::<InferConfig>(Path::new(name), &[], folder.path()).unwrap_err().to_string();
    assert!(refused("absent.yaml").starts_with("cannot read absent.yaml: "), "{}", refused("absent.yaml"));
    std::fs::write(folder.path().join("x.npy"), b"\x93NUMPY\x01\x00\xff\xfe").unwrap();
    assert_eq!(refused("x.npy"), "x.npy is not a text file (UTF-8)");
    std::fs::write(folder.path().join("large.yaml"), "# comment\n".repeat(200_000)).unwrap();
    assert_eq!(refused("large.yaml"), "large.yaml is larger than 1024 KiB");
    assert!(refused(".").starts_with("cannot read .: "));
}

#[test]
fn hostile_yaml_is_refused_quickly() {
    let start = std::time::Instant::now();
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_string();
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        _ = writeln!(bomb, "a{level}: &a{level} [{items}]");
    }
    let deep = format!("prior: {}1{}", "[".repeat(5000), "]".repeat(5000));
    let wide = format!("prior: [{}]", "1,".repeat(400_000));
    let keys: String = (0..60_000).map(|key| format!("k{key}: 1\n")).collect();
    let long_key = format!("{}: 1\n", "a".repeat(100_000));
    let recursive = "prior: &p {joint: [*p]}\n".to_string();
    for text in [bomb, deep, wide, keys, long_key, recursive] {
        let message = whole(&text);
        assert!(message.len() < 1_000_000, "{} bytes", message.len());
    }
    // Seconds at most, also unoptimised on a busy machine; an expansion would take hours or all memory.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn paths_are_looked_for_in_the_working_directory_then_beside_the_file() {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    let touch = |path: &str| {
        std::fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        std::fs::write(at(path), "").unwrap();
    };
    touch("work/both.npy");
    touch("work/conf/both.npy");
    touch("work/conf/beside.npy");
    let rules = PathRules::new(&at("work"), Path::new("conf/infer.yaml"));
    assert_eq!(rules.input(Path::new("both.npy")), at("work/both.npy"));
    assert_eq!(rules.input(Path::new("beside.npy")), at("work/conf/beside.npy"));
    assert_eq!(rules.input(Path::new("absent.npy")), at("work/absent.npy"));
    assert_eq!(rules.input(&at("work/conf/both.npy")), at("work/conf/both.npy"));
    assert_eq!(rules.output(Path::new("run")), at("work/run"));

    let posterior = |out: &str, file: &str| rules.posterior(Path::new(out), Path::new(file));
    assert_eq!(posterior("run", "demo_posterior.pkl").unwrap_err().len(), 8);
    touch("work/run/demo_posterior.safetensors");
    let demo = at("work/run/demo_posterior.safetensors");
    assert_eq!(posterior("run", "demo_posterior.pkl"), Ok(demo.clone()));
    // The folder is repeated in the name, as in some of LtU-ILI's own files.
    assert_eq!(posterior("run", "run/demo_posterior.pkl"), Ok(demo.clone()));
    assert_eq!(posterior(".", "run"), Ok(demo.clone()));
    // A pickle is never opened.
    touch("work/run/other.pkl");
    assert!(posterior("run", "other.pkl").is_err());
    touch("work/run/posterior.safetensors");
    assert_eq!(posterior("elsewhere", "run"), Ok(at("work/run/posterior.safetensors")));
    assert_eq!(abduce::config::posterior_file_name("demo"), "demo_posterior.safetensors");
    let _: PathBuf = demo;
}

#[test]
fn explain_finds_keys_and_suggests() {
    let text = explain("num_bins").unwrap();
    assert!(text.contains("infer: model.nets.N.num_bins (model: nsf)"), "{text}");
    assert!(text.contains("integer, ≥ 2, ≤ 64, default: 10"), "{text}");
    let text = explain("train_args.training_batch_size").unwrap();
    assert!(text.starts_with("infer: train_args.training_batch_size\npipeline: train_args.training_batch_size\n"), "{text}");
    assert!(text.contains("also written batch_size"), "{text}");
    assert!(explain("task").unwrap().contains("    two_moons\n"));
    assert!(explain("prior").unwrap().contains("LtU-ILI: Uniform, IndependentUniform, BoxUniform"));
    let error = explain("model.nets.num_bin").unwrap_err();
    assert_eq!(error.exit_status(), 2);
    let report = render(&error, ReportStyle::Plain, 110);
    assert!(report.contains("did you mean `num_bins`?"), "{report}");
}

fn any_scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_string()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| format!("{value:e}")),
        "[a-z_]{0,12}",
        "\\PC{0,12}",
        prop::sample::select(vec![
            "uniform",
            "ili.utils",
            "Uniform",
            "nsf",
            "NPE",
            "sbi",
            "lampe",
            "cosine",
            ".inf",
            "*a",
            "&a 1",
            "!!str x"
        ])
        .prop_map(String::from),
    ]
}

/// Trees of known and unknown keys in flow style.
fn any_yaml() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        4 => prop::sample::select(vec![
            "prior", "module", "class", "args", "model", "nets", "backend", "engine", "train_args", "low", "high", "uniform", "joint",
            "hidden_features", "repeats", "parameters", "name", "proposal", "embedding_net", "fcn", "n_hidden", "metrics", "gates", "seed",
            "simulate", "task", "n", "out_dir", "data", "x_file", "theta_file", "validate", "labels", "learning_rate", "<<",
        ]).prop_map(String::from),
        1 => "[a-zΩ]{1,8}",
    ];
    any_scalar().prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|entries| format!("{{{}}}", entries.iter().map(|(k, v)| format!("{k}: {v}")).collect::<Vec<_>>().join(", "))),
        ]
    })
}

fn answers<T: Section>(text: &str, set: &[String]) {
    match parse::<T>("any.yaml", text, set) {
        Ok(_) => {}
        Err(error) => assert!(!report(&error).is_empty()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer(text in any_yaml(), bytes in "\\PC{0,60}", set in prop::option::of("[a-z0-9._]{0,10}=[ -~]{0,12}")) {
        let set: Vec<String> = set.into_iter().collect();
        for text in [&text, &bytes] {
            answers::<InferConfig>(text, &set);
            answers::<DataConfig>(text, &set);
            answers::<ValConfig>(text, &set);
            answers::<PipelineConfig>(text, &set);
        }
    }
}

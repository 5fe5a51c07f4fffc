//! Configuration files: what is read, what is refused, and what the refusal says.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use abduce::config::*;
use abduce::error::{ConfigError, ReportStyle, render};
use abduce_data::ParameterInfo;
use abduce_inference::diagnostics::{ConformalScore, Gate};
use abduce_inference::prior::{Bounds, LocationScale, PriorSpec, TruncatedLocationScale};
use abduce_inference::simulator::named;
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

fn read<T: Section>(name: &str) -> Loaded<T> {
    let text = std::fs::read_to_string(file(name)).unwrap();
    parse(name, &text, &[]).unwrap_or_else(|error| panic!("{}", report(&error)))
}

fn report(error: &ConfigError) -> String {
    render(error, ReportStyle::Plain, 110)
}

fn messages<T>(loaded: &Loaded<T>) -> Vec<String> {
    loaded.notices.iter().map(ToString::to_string).collect()
}

fn uniform(low: [f64; 2], high: [f64; 2]) -> PriorSpec {
    PriorSpec::Uniform(Bounds { low: low.into(), high: high.into() })
}

#[test]
fn ltu_ili_data_files_are_read_unchanged() {
    let numpy = read::<DataConfig>("data_numpy.yaml");
    let expected = DataConfig {
        in_dir: "./run1".into(),
        x_file: Some("x.npy".into()),
        theta_file: Some("theta.npy".into()),
        xobs_file: Some("xobs.npy".into()),
        thetafid_file: Some("thetafid.npy".into()),
        thin_data: 1,
        n_data: None,
        nan_rows: NanRows::Drop,
        buffer_mib: 128,
        num_simulations: None,
        save_simulated: false,
        simulator: None,
    };
    assert_eq!(numpy.config, expected);
    assert_eq!(numpy.config.file(Path::new("x.npy")), PathBuf::from("./run1/x.npy"));
    assert!(numpy.notices.is_empty());

    let simulator = read::<DataConfig>("data_simulator.yaml");
    let rounds = DataConfig { thetafid_file: None, num_simulations: Some(500), save_simulated: true, ..expected };
    assert_eq!(simulator.config, rounds);
    assert!(messages(&simulator).is_empty());

    let text = "num_simulations: 50\nsimulator: {command: [sh, sim.sh], workers: 4, timeout_s: 2.5}\n";
    let own = parse::<DataConfig>("data.yaml", text, &[]).unwrap().config;
    let program = own.simulator.clone().unwrap();
    assert_eq!((program.command.len(), program.workers, program.timeout_s, program.retries), (2, Some(4), Some(2.5), 1));
    assert_eq!((&own.x_file, own.num_simulations), (&None, Some(50)));
    assert_eq!(parse::<DataConfig>("again.yaml", &to_yaml(&own).unwrap(), &[]).unwrap().config, own);

    let older = read::<DataConfig>("data_older.yaml").config;
    assert_eq!((older.in_dir, older.theta_file, older.thin_data), ("/scratch/halos".into(), Some("cosmo.npy".into()), 4));
}

#[test]
fn embeddings_by_ltu_ilis_names_and_by_ours() {
    let embedding = |text: &str| {
        let prior = "prior: {module: sbi.utils, class: BoxUniform, args: {low: [-1], high: [1]}}\nmodel: {nets: [{model: maf}]}\n";
        parse::<InferConfig>("infer.yaml", &format!("{prior}embedding_net: {text}\n"), &[]).unwrap().config.embedding_net
    };
    let args = "{in_shape: [1, 64, 64], n_channels: [8, 16], kernel_sizes: [5, 3], strides: [2, 1], pool_sizes: [1, 2], n_hiddens: [32, 4], act_fn: ReLU}";
    let cnn = CnnConfig {
        in_shape: Some(vec![1, 64, 64]),
        n_channels: vec![8, 16],
        kernel_sizes: vec![5, 3],
        strides: vec![2, 1],
        pool_sizes: vec![1, 2],
        n_hiddens: vec![32, 4],
        act_fn: Activation::ReLU,
        padding: Padding::Valid,
    };
    assert_eq!(embedding(&format!("{{module: ili.embedding, class: CNN, args: {args}}}")), Some(EmbeddingConfig::Cnn(cnn.clone())));
    assert_eq!(embedding(&format!("{{cnn: {args}}}")), Some(EmbeddingConfig::Cnn(cnn)));
    let gnn = embedding("{module: ili.embedding, class: GNN, args: {hidden_features: 16, n_hiddens: [4]}}");
    assert!(matches!(gnn, Some(EmbeddingConfig::Gnn(c)) if (c.num_axes, c.num_neighbours, c.num_rounds) == (3, 8, 2)));
}

#[test]
fn infer_file_of_backend_sbi() {
    let Loaded { config, notices, .. } = read::<InferConfig>("infer_sbi.yaml");
    assert_eq!(config.prior, uniform([0.0, 0.0], [1.0, 2.0]));
    assert_eq!(config.proposal, Some(uniform([0.0, 0.0], [1.0, 1.0])));
    let fcn = FcnConfig { n_hidden: vec![64, 32], act_fn: Activation::SiLU, n_input: None };
    assert_eq!(config.embedding_net, Some(EmbeddingConfig::Fcn(fcn)));
    let nsf = NsfConfig { hidden_features: 40, num_transforms: 4, num_blocks: 2, num_bins: 10, tail_bound: 3.0 };
    let mdn = MdnConfig { hidden_features: 40, num_components: 8, hidden_layers: 2 };
    let maf = AffineFlowConfig { hidden_features: 50, hidden_layers: 2, num_transforms: 5 };
    let made = MadeConfig { hidden_features: 50, hidden_layers: 2, num_components: 10 };
    let nets = vec![
        NetConfig { density: DensityConfig::Nsf(nsf), signature: "a".into(), repeats: 2 },
        NetConfig::new(DensityConfig::Mdn(mdn)),
        NetConfig::new(DensityConfig::Maf(maf)),
        NetConfig::new(DensityConfig::Made(made)),
    ];
    assert_eq!(config.model, ModelConfig { backend: Backend::Sbi, engine: Engine::Npe, sde_type: SdeType::Ve, name: "demo".into(), nets });
    assert_eq!(config.train_args, TrainConfig { training_batch_size: 64, learning_rate: 5e-4, ..TrainConfig::default() });
    assert_eq!(config.out_dir, PathBuf::from("./run1"));
    let notices: Vec<String> = notices.iter().map(ToString::to_string).collect();
    assert_eq!(
        notices,
        [
            "infer_sbi.yaml:7:88: `proposal.uniform.device` is ignored: everything runs on the CPU",
            "infer_sbi.yaml:20:21: `model.nets.3.num_transforms` is ignored: a MADE is a single transform",
            "infer_sbi.yaml:25:3: `train_args.show_train_summary` is ignored: the report shows the training curves",
            "infer_sbi.yaml:26:9: `cuda` is not built in; running on the CPU",
        ]
    );
}

#[test]
fn backend_lampe_has_its_own_defaults() {
    let config = read::<InferConfig>("infer_lampe.yaml").config;
    let prior = TruncatedLocationScale {
        loc: [0.0, 14.0].into(),
        scale: 1.0.into(),
        low: [f64::NEG_INFINITY, 13.0].into(),
        high: [f64::INFINITY, 15.0].into(),
    };
    assert_eq!(config.prior, PriorSpec::TruncatedNormal(prior));
    let densities: Vec<DensityConfig> = config.model.nets.into_iter().map(|net| net.density).collect();
    let affine = |hidden_features, num_transforms| AffineFlowConfig { hidden_features, hidden_layers: 2, num_transforms };
    assert_eq!(
        densities,
        [
            DensityConfig::Mdn(MdnConfig { hidden_features: 16, hidden_layers: 3, num_components: 3 }),
            DensityConfig::Maf(affine(50, 5)),
            DensityConfig::Nsf(NsfConfig { hidden_features: 16, num_blocks: 2, num_transforms: 2, num_bins: 8, tail_bound: 5.0 }),
            DensityConfig::Nice(affine(16, 2)),
        ]
    );
    let train = config.train_args;
    assert_eq!((train.stop_after_epochs, train.max_num_epochs, train.clip_max_norm), (25, Some(300), None));
    let bare = parse::<InferConfig>("x", "prior: {uniform: {low: 0, high: 1}}\nmodel: {backend: lampe}", &[]).unwrap().config;
    assert_eq!(bare.train_args.stop_after_epochs, 30);
    assert_eq!(bare.model.nets[0].density, densities[2]);
}

#[test]
fn older_dialect() {
    let infer = read::<InferConfig>("infer_older.yaml").config;
    assert_eq!(infer.prior, uniform([-1.0, -1.0], [1.0, 1.0]));
    assert_eq!((infer.model.backend, infer.model.engine), (Backend::Sbi, Engine::Npe));
    assert_eq!((infer.train_args.training_batch_size, infer.train_args.max_num_epochs), (32, Some(100)));
    assert_eq!(infer.out_dir, PathBuf::from("out/wave"));

    let Loaded { config, notices, .. } = read::<ValConfig>("val_older.yaml");
    assert_eq!(config.posterior_file, Some("out/wave/posterior.pkl".into()));
    assert_eq!(config.labels, Some(vec![r"$\Omega_m$".into(), r"$\sigma_8$".into()]));
    assert_eq!(config.n_data, Some(100));
    let plots = |name: &str| match &config.metrics[name] {
        MetricConfig::PosteriorCoverage(coverage) => coverage.plot_list.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(plots("ranks"), [CoveragePlot::Coverage, CoveragePlot::Histogram, CoveragePlot::Predictions]);
    assert_eq!(plots("tarp"), [CoveragePlot::Tarp]);
    assert_eq!(notices.len(), 2);
}

#[test]
fn val_file() {
    let loaded = read::<ValConfig>("val_current.yaml");
    let draws = |num_samples, method, sample_params| DrawsConfig { num_samples, sample_method: Some(method), sample_params };
    let plain = SampleParams::default();
    let config = &loaded.config;
    assert_eq!(config.labels.as_deref(), Some(["alpha".to_string(), r"$\beta$".to_string()].as_slice()));
    let one = SinglePosteriorConfig { draws: draws(2000, SampleMethod::Direct, plain), save_samples: true, seed: Some(7) };
    assert_eq!(config.metrics["one"], MetricConfig::SinglePosterior(one));
    let cover = CoverageConfig {
        draws: draws(500, SampleMethod::Emcee, SampleParams { num_chains: 4, burn_in: Some(50), thin: Some(2), ..plain }),
        plot_list: CoveragePlot::ALL.to_vec(),
    };
    assert_eq!(config.metrics["cover"], MetricConfig::PosteriorCoverage(cover));
    assert_eq!(
        config.metrics["draws"],
        MetricConfig::PosteriorSamples(PosteriorSamplesConfig {
            draws: draws(200, SampleMethod::Slice, SampleParams { num_chains: -1, burn_in: Some(50), thin: Some(2), ..plain })
        })
    );
    assert_eq!(loaded.notices.len(), 0, "{:?}", messages(&loaded));
}

#[test]
fn metrics_of_our_own() {
    let text = "metrics: {a: {regions: {bins: 4, features: [0, 7]}}, b: {conformal: {score: log_density}}, c: {local_c2st: {}}, \
                d: {data_averaged_c2st: {}}, e: {conformal: {}}}";
    let metrics = parse::<ValConfig>("val", text, &[]).unwrap().config.metrics;
    assert_eq!(metrics["a"], MetricConfig::Regions(RegionsConfig { bins: 4, features: vec![0, 7] }));
    assert_eq!(metrics["b"], MetricConfig::Conformal(ConformalConfig { score: ConformalScore::LogDensity }));
    assert_eq!(metrics["c"], MetricConfig::LocalC2st(LocalC2stConfig { permutations: 100, num_samples: 1000, n_observations: 10 }));
    assert_eq!(metrics["d"], MetricConfig::DataAveragedC2st(DataAveragedC2stConfig {}));
    assert_eq!(metrics["e"], ValConfig::default().metrics["conformal"]);
}

#[test]
fn one_file_form() {
    let config = read::<PipelineConfig>("pipeline.yaml").config;
    let simulate = config.simulate.as_ref().unwrap();
    assert_eq!((simulate.simulator.name(), simulate.n, simulate.n_test, simulate.seed), ("two_moons", 10_000, 500, None));
    let info: Vec<ParameterInfo> = config.parameters.iter().map(ParameterInfo::from).collect();
    assert_eq!((info[0].label.as_deref(), info[1].unit.as_deref()), (Some(r"\theta_0"), Some("Msun")));
    assert_eq!(config.validate.gates, [Gate::Coverage]);
    assert_eq!(config.validate.metrics, ValConfig::default().metrics);
    assert_eq!(config.report.title.as_deref(), Some("Two moons"));
    let infer = config.infer().unwrap();
    assert_eq!(Some(&infer.prior), named("two_moons").map(|task| task.prior().spec().clone()).as_ref());
    assert_eq!((infer.seed, infer.model.nets.len(), infer.train_args.schedule), (4, 2, Schedule::Cosine));

    let joint = read::<PipelineConfig>("pipeline_joint.yaml").config;
    assert_eq!(joint.infer().unwrap().prior, joint.prior.clone().unwrap());
    let Some(PriorSpec::Joint(parts)) = &joint.prior else { panic!("{:?}", joint.prior) };
    assert_eq!(parts[0], PriorSpec::LogNormal(LocationScale { loc: 0.0.into(), scale: 0.5.into() }));
    assert_eq!(joint.data.as_ref().unwrap().nan_rows, NanRows::Error);
    assert_eq!(joint.validate.data.unwrap().theta_file, Some(PathBuf::from("theta_test.csv")));
}

/// The resolved configuration reads back to itself, from YAML and from JSON, without a notice.
fn round_trips<T: Section + PartialEq + std::fmt::Debug>(name: &str) {
    let config = read::<T>(name).config;
    for text in [to_yaml(&config).unwrap(), to_json(&config).unwrap()] {
        let again = parse::<T>("config.yaml", &text, &[]).unwrap_or_else(|error| panic!("{text}\n{}", report(&error)));
        assert_eq!(again.config, config, "{text}");
        assert_eq!(to_yaml(&again.config).unwrap(), to_yaml(&config).unwrap());
    }
}

#[test]
fn resolved_configurations_read_back_to_themselves() {
    for name in ["data_numpy.yaml", "data_simulator.yaml", "data_older.yaml"] {
        round_trips::<DataConfig>(name);
    }
    for name in ["infer_sbi.yaml", "infer_lampe.yaml", "infer_older.yaml"] {
        round_trips::<InferConfig>(name);
    }
    for name in ["val_current.yaml", "val_older.yaml"] {
        round_trips::<ValConfig>(name);
    }
    for name in ["pipeline.yaml", "pipeline_joint.yaml"] {
        round_trips::<PipelineConfig>(name);
    }
}

#[test]
fn overrides_merge_before_checking() {
    let text = std::fs::read_to_string(file("infer_sbi.yaml")).unwrap();
    let set = [
        "model.nets.0.hidden_features=64",
        "train_args={batch_size: 128, learning_rate: 1e-3}",
        "prior.args.high=[3, 4]",
        "embedding_net.args.n_hidden=[8]",
        "model.name=2024",
        "proposal=",
        "seed=7",
    ]
    .map(String::from);
    let config = parse::<InferConfig>("infer_sbi.yaml", &text, &set).unwrap_or_else(|error| panic!("{}", report(&error))).config;
    let DensityConfig::Nsf(nsf) = &config.model.nets[0].density else { panic!("{:?}", config.model.nets) };
    assert_eq!((nsf.hidden_features, nsf.num_transforms), (64, 4));
    // The file says training_batch_size, the override its older name: the override counts.
    assert_eq!((config.train_args.training_batch_size, config.train_args.learning_rate), (128, 1e-3));
    assert_eq!(config.prior, uniform([0.0, 0.0], [3.0, 4.0]));
    assert_eq!((config.model.name.as_str(), config.proposal, config.seed), ("2024", None, 7));
}

#[test]
fn every_class_name_of_a_prior_is_one_serde_knows() {
    for class in [
        "Uniform",
        "IndependentUniform",
        "BoxUniform",
        "IndependentNormal",
        "IndependentLogNormal",
        "IndependentTruncatedNormal",
        "IndependentBeta",
        "IndependentCauchy",
        "IndependentChi2",
        "IndependentExponential",
        "IndependentFisherSnedecor",
        "IndependentGamma",
        "IndependentGumbel",
        "IndependentHalfCauchy",
        "IndependentHalfNormal",
        "IndependentLaplace",
        "IndependentPareto",
        "IndependentStudentT",
        "IndependentVonMises",
        "IndependentWeibull",
    ] {
        let args = match class {
            "Uniform" | "IndependentUniform" | "BoxUniform" => "{low: 1, high: 2}",
            "IndependentTruncatedNormal" => "{loc: 1, scale: 2, low: 0, high: 3}",
            "IndependentBeta" => "{concentration1: 1, concentration0: 2}",
            "IndependentChi2" => "{df: 2}",
            "IndependentExponential" => "{rate: 2}",
            "IndependentFisherSnedecor" => "{df1: 2, df2: 3}",
            "IndependentGamma" => "{concentration: 1, rate: 2}",
            "IndependentHalfCauchy" | "IndependentHalfNormal" => "{scale: 2}",
            "IndependentPareto" => "{scale: 1, alpha: 2}",
            "IndependentStudentT" => "{df: 3, loc: 1, scale: 2}",
            "IndependentVonMises" => "{loc: 1, concentration: 2}",
            "IndependentWeibull" => "{scale: 1, concentration: 2}",
            _ => "{loc: 1, scale: 2}",
        };
        let text = format!("prior: {{module: ili.utils, class: {class}, args: {args}}}");
        let config = parse::<InferConfig>("x", &text, &[]).unwrap_or_else(|error| panic!("{class}: {}", report(&error))).config;
        let ours = to_json(&config).unwrap();
        let family = ours.split('"').nth(3).unwrap();
        // The same prior under LtU-ILI's name, read by the library itself.
        let theirs: PriorSpec = serde_json::from_str(&ours_with_name(&ours, family, class)).unwrap();
        assert_eq!(config.prior, theirs, "{class}");
    }
}

/// The `prior` of a resolved configuration with `family` called `class`.
fn ours_with_name(json: &str, family: &str, class: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    serde_json::json!({ class: value["prior"][family] }).to_string()
}

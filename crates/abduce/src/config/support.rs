//! What LtU-ILI knows and this version does not have, or does not need: the one place to edit when a part becomes available.
//!
//! Names here parse and give a clear message at their line. Making something available means adding it to its struct or enum and deleting
//! its row here.

/// Keys of data files that belong to other loaders than the plain numpy one: (key, loader).
pub(crate) const LOADER_KEYS: &[(&str, &str)] = &[
    ("x_root", "SummarizerDatasetLoader"),
    ("summary_root_file", "SummarizerDatasetLoader"),
    ("train_test_split_file", "SummarizerDatasetLoader"),
    ("param_names", "SummarizerDatasetLoader"),
    ("stage", "SummarizerDatasetLoader"),
];

/// Keys that the original accepts and that have no effect here, with the reason: (key, reason). Each is reported once, as a notice.
pub(crate) type Ignored = &'static [(&'static str, &'static str)];

/// In every `args` of an object.
pub(crate) const ARGS: Ignored = &[("device", "everything runs on the CPU")];

/// In `model`.
pub(crate) const MODEL: Ignored =
    &[("kwargs", "it configured TensorFlow in pydelfi"), ("num_workers", "use --threads, or `workers` of the simulator")];

/// In an entry of `model.nets`.
pub(crate) const NET: Ignored = &[
    ("x_normalize", "x is always standardised on the training part"),
    ("theta_normalize", "theta is always standardised on the training part"),
];

/// In an entry with `model: made`.
pub(crate) const MADE: Ignored = &[("num_transforms", "a MADE is a single transform")];

/// In `train_args`.
pub(crate) const TRAIN: Ignored = &[
    ("force_first_round_loss", "the first round always draws from the prior"),
    ("show_train_summary", "the report shows the training curves"),
    ("dataloader_kwargs", "it belongs to PyTorch's data loader"),
];

/// In `train_args.kde_kwargs`.
pub(crate) const KDE: Ignored = &[
    ("transform", "kernels are on the unconstrained scale of the prior"),
    ("sample_weights", "the weights of the accepted parameters are used"),
    ("num_cv_partitions", "every parameter is left out once"),
    ("num_cv_repetitions", "every parameter is left out once"),
];

/// In the validation file.
pub(crate) const VAL: Ignored = &[("backend", "the saved posterior knows its backend"), ("device", "everything runs on the CPU")];

/// In the arguments of a metric.
pub(crate) const METRIC: Ignored = &[
    ("device", "everything runs on the CPU"),
    ("labels", "names of parameters are given once for all metrics"),
    ("out_dir", "the output folder is given once for all metrics"),
];

/// A class of LtU-ILI: `{module, class, args}` is read as `{name: args}`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class {
    /// The class name in LtU-ILI.
    pub(crate) class: &'static str,
    /// Our name of the same thing.
    pub(crate) name: &'static str,
    /// Arguments that the class implies where they are not given: (key, items of a list).
    pub(crate) implied: Option<(&'static str, &'static [&'static str])>,
}

const fn class(class: &'static str, name: &'static str) -> Class {
    Class { class, name, implied: None }
}

/// The classes of one kind and the modules they are found in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Classes {
    /// The schema's name of the type.
    pub(crate) type_name: &'static str,
    /// What it is, for messages.
    pub(crate) kind: &'static str,
    /// Modules; any module of `abduce` is accepted besides.
    pub(crate) modules: &'static [&'static str],
    /// Classes.
    pub(crate) classes: &'static [Class],
}

/// Every kind of object that LtU-ILI writes as `{module, class, args}`.
pub(crate) const OBJECTS: &[Classes] = &[
    Classes {
        type_name: "PriorSpec",
        kind: "prior",
        modules: &["ili.utils", "ili.utils.distributions_pt", "ili.utils.distributions_tf", "sbi.utils"],
        classes: &[
            class("Uniform", "uniform"),
            class("IndependentUniform", "uniform"),
            class("BoxUniform", "uniform"),
            class("IndependentNormal", "normal"),
            class("IndependentLogNormal", "log_normal"),
            class("IndependentTruncatedNormal", "truncated_normal"),
            class("IndependentBeta", "beta"),
            class("IndependentCauchy", "cauchy"),
            class("IndependentChi2", "chi2"),
            class("IndependentExponential", "exponential"),
            class("IndependentFisherSnedecor", "fisher_snedecor"),
            class("IndependentGamma", "gamma"),
            class("IndependentGumbel", "gumbel"),
            class("IndependentHalfCauchy", "half_cauchy"),
            class("IndependentHalfNormal", "half_normal"),
            class("IndependentLaplace", "laplace"),
            class("IndependentPareto", "pareto"),
            class("IndependentStudentT", "student_t"),
            class("IndependentVonMises", "von_mises"),
            class("IndependentWeibull", "weibull"),
            class("MultivariateNormal", "multivariate_normal"),
            class("LowRankMultivariateNormal", "low_rank_multivariate_normal"),
            class("MultivariateTruncatedNormal", "multivariate_truncated_normal"),
        ],
    },
    Classes {
        type_name: "EmbeddingConfig",
        kind: "embedding",
        modules: &["ili.embedding", "ili.embedding.fcn", "ili.embedding.cnn"],
        classes: &[
            class("FCN", "fcn"),
            class("IOB", "iob"),
            class("CNN", "cnn"),
            class("ResNet", "res_net"),
            class("DeepSet", "deep_set"),
            class("SetTransformer", "set_transformer"),
            class("Transformer", "transformer"),
            class("GNN", "gnn"),
        ],
    },
    Classes {
        type_name: "MetricConfig",
        kind: "metric",
        modules: &["ili.validation.metrics", "ili.validation"],
        classes: &[
            class("PlotSinglePosterior", "single_posterior"),
            class("PosteriorSamples", "posterior_samples"),
            class("PosteriorCoverage", "posterior_coverage"),
            Class {
                class: "PlotRankStatistics",
                name: "posterior_coverage",
                implied: Some(("plot_list", &["coverage", "histogram", "predictions"])),
            },
            Class { class: "TARP", name: "posterior_coverage", implied: Some(("plot_list", &["tarp"])) },
        ],
    },
];

/// The row of [`OBJECTS`] for a type of the schema.
pub(crate) fn object(type_name: &str) -> Option<&'static Classes> {
    OBJECTS.iter().find(|row| row.type_name == type_name)
}

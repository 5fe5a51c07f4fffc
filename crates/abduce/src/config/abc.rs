//! The keys of `train_args` for approximate Bayesian computation (engines MCABC and SMCABC), with the names of sbi.

use super::Findings;
use super::infer::TrainConfig;
use super::nets::Engine;
use super::support;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How parameters are accepted. Distances are Euclidean, each value of the data in units of its standard deviation over simulations from the prior.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AbcConfig {
    /// Engines MCABC and SMCABC: parameters that are simulated in all. In a pipeline `simulate.n` where not given, and for MCABC on stored simulations all
    /// of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub num_simulations: Option<usize>,
    /// Engine MCABC: the largest accepted distance. This or `quantile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub eps: Option<f64>,
    /// Engine MCABC: the closest part of the simulations, which is accepted. This or `eps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub quantile: Option<f64>,
    /// Engine SMCABC: particles of each population.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub num_particles: Option<usize>,
    /// Engine SMCABC: simulations from the prior, of which the first population is the closest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub num_initial_pop: Option<usize>,
    /// Engine SMCABC: the next population's largest distance over this one's; with `distance_based_decay` the quantile of this one's distances.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub epsilon_decay: Option<f64>,
    /// Engine SMCABC: whether `epsilon_decay` is a quantile; false where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance_based_decay: Option<bool>,
    /// Engine SMCABC: a population whose effective share of particles is smaller is resampled; never where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub ess_min: Option<f64>,
    /// Engine SMCABC: covariance of the moves over the population's, on the unconstrained scale; 1 where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub kernel_variance_scale: Option<f64>,
    /// Engine SMCABC: whether a population that the simulations don't suffice for is filled up from the one before (the default) or left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_last_pop_samples: Option<bool>,
    /// Engines MCABC and SMCABC: correct the accepted parameters for their distance by a local linear regression; false where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lra: Option<bool>,
    /// Engine SMCABC: fit the regression with the weights of the particles; false where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lra_with_weights: Option<bool>,
    /// Engines MCABC and SMCABC: measure the distance on predictions of the parameters, by a regression on part of the simulations; false where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sass: Option<bool>,
    /// With `sass`: part of the simulations that the regression takes; 0.25 where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub sass_fraction: Option<f64>,
    /// With `sass`: highest power of each value of the data in the regression; 1 where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 8))]
    pub sass_expansion_degree: Option<usize>,
    /// Engines MCABC and SMCABC: smooth the accepted parameters by kernels, so that draws don't repeat and have a density; false where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kde: Option<bool>,
    /// With `kde`: how wide the kernels are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kde_kwargs: Option<KdeConfig>,
    /// Engines MCABC and SMCABC: independent data of the observation, the rows of its file; so many are simulated with each parameter, and sets are
    /// compared by their energy distance. 1 where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100000))]
    pub num_iid_samples: Option<usize>,
}

/// Kernels over the accepted parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-ignored" = support::KDE))]
pub struct KdeConfig {
    /// Width of the kernels, in units of the sample's covariance: `cv` (by leave-one-out), `scott`, `silverman`, or a number.
    pub bandwidth: String,
}

impl Default for KdeConfig {
    fn default() -> Self {
        Self { bandwidth: "cv".into() }
    }
}

/// How wide kernels are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KdeBandwidth {
    /// By leave-one-out.
    CrossValidated,
    /// Scott's rule.
    Scott,
    /// Silverman's rule.
    Silverman,
    /// Given.
    Factor(f64),
}

impl KdeConfig {
    /// The bandwidth; nothing where it is none.
    pub fn width(&self) -> Option<KdeBandwidth> {
        Some(match self.bandwidth.to_lowercase().as_str() {
            "cv" => KdeBandwidth::CrossValidated,
            "scott" => KdeBandwidth::Scott,
            // sbi's own spelling.
            "silverman" | "silvermann" => KdeBandwidth::Silverman,
            number => KdeBandwidth::Factor(number.parse().ok().filter(|h: &f64| h.is_finite() && *h > 0.0)?),
        })
    }
}

/// Keys of one of the two engines.
const OF_REJECTION: [&str; 2] = ["eps", "quantile"];
const OF_POPULATIONS: [&str; 8] = [
    "num_particles",
    "num_initial_pop",
    "epsilon_decay",
    "distance_based_decay",
    "ess_min",
    "kernel_variance_scale",
    "use_last_pop_samples",
    "lra_with_weights",
];

impl AbcConfig {
    /// The keys that are given.
    fn given(&self) -> Vec<String> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// The rules of an engine.
    pub(crate) fn check(engine: Engine, train: &TrainConfig, findings: &mut Findings) {
        let config = &train.abc;
        let at = |key: &str| format!("train_args.{key}");
        if !engine.is_abc() {
            for key in config.given() {
                findings.error(&at(&key), &format!("`{key}` belongs to the engines MCABC and SMCABC"), &format!("leave `{key}` out"));
            }
            return;
        }
        let plain = TrainConfig { abc: config.clone(), ..TrainConfig::default() };
        if let (Ok(Value::Object(own)), Ok(Value::Object(plain))) = (serde_json::to_value(train), serde_json::to_value(plain)) {
            for (key, _) in own.iter().filter(|(key, value)| plain.get(*key) != Some(*value)) {
                findings.error(
                    &at(key),
                    &format!("`{key}` belongs to the training of nets, and ABC has none"),
                    &format!("leave `{key}` out"),
                );
            }
        }
        let foreign: &[&str] = if engine == Engine::Mcabc { &OF_POPULATIONS } else { &OF_REJECTION };
        for key in config.given().iter().filter(|key| foreign.contains(&key.as_str())) {
            let (owner, this) = if engine == Engine::Mcabc { ("SMCABC", "MCABC") } else { ("MCABC", "SMCABC") };
            findings.error(&at(key), &format!("`{key}` belongs to engine {owner}, here is {this}"), &format!("leave `{key}` out"));
        }
        if engine == Engine::Mcabc {
            match (config.eps, config.quantile) {
                (Some(_), Some(_)) => findings.error(&at("quantile"), "both `eps` and `quantile` are given", "keep one of the two"),
                (None, None) => {
                    findings.error(
                        "train_args",
                        "engine MCABC needs `eps` or `quantile`",
                        "`quantile: 0.01` accepts the closest hundredth",
                    );
                }
                (Some(_), None) => findings.notice(
                    &at("eps"),
                    "distances are measured in standard deviations of the simulated data; sbi's are in the units of the data",
                ),
                (None, Some(_)) => {}
            }
        } else {
            let needed = [
                ("num_particles", config.num_particles.is_some()),
                ("num_initial_pop", config.num_initial_pop.is_some()),
                ("epsilon_decay", config.epsilon_decay.is_some()),
            ];
            for (key, _) in needed.iter().filter(|(_, given)| !given) {
                findings.error("train_args", &format!("engine SMCABC needs `{key}`"), "see `abduce explain train_args`");
            }
            if let (Some(particles), Some(initial)) = (config.num_particles, config.num_initial_pop)
                && initial < particles
            {
                let message = format!("the first population has {particles} particles, and {initial} simulations to choose from");
                findings.error(&at("num_initial_pop"), &message, "give `num_initial_pop` of at least `num_particles`");
            }
            if let (Some(all), Some(initial)) = (config.num_simulations, config.num_initial_pop)
                && all < initial
            {
                let message = format!("`num_initial_pop` is {initial}, more than all {all} simulations");
                findings.error(&at("num_initial_pop"), &message, "it is a part of `num_simulations`");
            }
            if config.lra_with_weights == Some(true) && config.lra != Some(true) {
                findings.error(&at("lra_with_weights"), "there is no regression to weight", "add `lra: true`");
            }
        }
        for (switch, on, keys) in
            [("sass", config.sass, &["sass_fraction", "sass_expansion_degree"][..]), ("kde", config.kde, &["kde_kwargs"])]
        {
            for key in config.given().iter().filter(|key| on != Some(true) && keys.contains(&key.as_str())) {
                findings.error(&at(key), &format!("`{key}` without `{switch}`"), &format!("add `{switch}: true`"));
            }
        }
        if let Some(kernels) = config.kde_kwargs.as_ref().filter(|kernels| kernels.width().is_none()) {
            let message = format!("there is no bandwidth `{}`", kernels.bandwidth);
            findings.error(&at("kde_kwargs.bandwidth"), &message, "use cv, scott, silverman, or a number above 0");
        }
        if config.num_iid_samples.is_some_and(|n| n > 1) {
            for (key, on) in [("lra", config.lra), ("sass", config.sass)] {
                if on == Some(true) {
                    let message = format!("`{key}` is a regression on one datum, and an observation has `num_iid_samples` of them");
                    findings.error(&at(key), &message, &format!("leave `{key}` or `num_iid_samples` out"));
                }
            }
        }
    }
}

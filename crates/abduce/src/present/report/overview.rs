//! What was run: configuration, data and versions in a few words.

use crate::config::{ModelConfig, NetConfig, TrainConfig};
use crate::present::labels::{capital, prose_label, unit_label};
use crate::present::run::{RunConfig, RunFiles};
use abduce_diffusion::NoiseSchedule;
use abduce_inference::abc::AbcPosterior;
use abduce_inference::posterior::{Network, Posterior};
use abduce_report::html::{Cell, Table};
use serde::Serialize;
use serde_json::Value;

/// The title given in the configuration, or the task.
pub(super) fn title(files: &RunFiles) -> String {
    if let Some(RunConfig::Pipeline(config)) = &files.config {
        if let Some(title) = &config.report.title {
            return title.clone();
        }
        if let Some(simulate) = &config.simulate {
            return capital(&simulate.simulator.name().replace('_', " "));
        }
    }
    let name = files.posterior.as_ref().map(|posterior| posterior.name.as_str());
    let name = name.or_else(|| files.abc.as_ref().map(|abc| abc.name.as_str())).filter(|name| !name.is_empty());
    name.map_or_else(|| "Posterior".into(), |name| format!("Posterior {name}"))
}

/// Parameters, data and method in one line.
pub(super) fn subtitle(files: &RunFiles) -> String {
    let parameters = files.parameters();
    let names: Vec<String> = parameters.iter().map(prose_label).collect();
    let of = match names.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        few if few.len() <= 6 => few.join(", "),
        many => format!("{} parameters", many.len()),
    };
    let given = |length: usize, by: String| {
        let numbers = if length == 1 { "one number".into() } else { format!("{length} numbers") };
        format!(" given {numbers}, by {by}")
    };
    let given = match (&files.posterior, &files.abc) {
        (Some(posterior), _) => given(posterior.x_len(), method(files, posterior)),
        (None, Some(abc)) => given(abc.x_obs.len(), abc_method(abc).into()),
        (None, None) => String::new(),
    };
    format!("{of}{given}")
}

/// Names and values under "What was run".
pub(super) fn run(files: &RunFiles) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            pairs.push((name.to_string(), value));
        }
    };
    if let Some(posterior) = &files.posterior {
        add("method", method(files, posterior));
    }
    if let Some(abc) = &files.abc {
        add("method", abc_method(abc).into());
        let sample = &abc.sample;
        let failed = if sample.failed == 0 { String::new() } else { format!(", {} of them failed", sample.failed) };
        add("simulations", format!("{}{failed}", sample.simulations));
        add("accepted", format!("{} ({:.3} %)", sample.weights.len(), 100.0 * abc.acceptance()));
        add("largest distance", format!("{:.4} standard deviations of the simulated data", sample.epsilon));
        add("effective draws", format!("{:.0}", sample.effective_size()));
        add("kernel width", abc.bandwidth.map(|h| format!("{h:.3} of the sample's")).unwrap_or_default());
        add("shape of one datum", shape(&abc.x_shape));
    }
    let (model, train) = training_config(files).filter(|_| files.abc.is_none()).unzip();
    if let Some(model) = model {
        add("networks", model.nets.iter().map(net).collect::<Vec<_>>().join("; "));
    }
    if let Some(embedding) = embedding(files) {
        add("embedding of the data", embedding);
    }
    if let Some(prior) = files.prior() {
        add("prior", family(prior.spec()));
    }
    if let Some(data) = &files.data {
        let dropped = if data.dropped == 0 { String::new() } else { format!(", {} left out for NaN or infinite values", data.dropped) };
        add("simulations", format!("{}{dropped}", data.rows));
        add("split", format!("{} for training, {} for early stop and weights", data.train, data.validation));
        add("shape of one datum", shape(&data.x_shape));
        add("constant features", some_of(&data.constant_features));
    }
    if let Some(train) = train {
        add("optimiser", optimiser(train));
    }
    let epochs: Vec<usize> = files.training.iter().map(|net| net.history.len()).collect();
    if let (Some(fewest), Some(most)) = (epochs.iter().min(), epochs.iter().max()) {
        add("epochs", if fewest == most { fewest.to_string() } else { format!("{fewest} to {most}") });
    }
    if let Some(validation) = &files.validation {
        let metrics = &validation.metrics;
        add("validation", format!("{} held-out pairs, {} draws each", metrics.n_pairs, metrics.n_draws));
    }
    if let Some(manifest) = &files.manifest {
        let seeds = manifest.seeds.iter().map(|(purpose, seed)| format!("{purpose} {}", seed.0));
        add("seeds", seeds.collect::<Vec<_>>().join(", "));
        add("instruction set", manifest.simd_level.clone());
        add("configuration", format!("sha256 `{}`", short(&manifest.config_sha256)));
        let data = manifest.data.iter().map(|file| format!("{} `{}`", file.role, short(&file.sha256)));
        add("input files, sha256", data.collect::<Vec<_>>().join(", "));
    }
    pairs
}

/// The parameters with their limits.
pub(super) fn parameters(files: &RunFiles) -> Table {
    let parameters = files.parameters();
    let support = files.prior().map(abduce_inference::prior::Prior::support);
    let with_units = parameters.iter().any(|parameter| parameter.unit.is_some());
    let mut columns = vec!["parameter".to_string(), "name".into()];
    columns.extend(with_units.then(|| "unit".to_string()));
    if support.is_some() {
        columns.extend(["prior from".to_string(), "to".into()]);
    }
    let row = |(index, parameter): (usize, &abduce_data::ParameterInfo)| {
        let mut row = vec![Cell::Name(parameter.label_or_name().to_string()), Cell::Text(format!("`{}`", parameter.name))];
        row.extend(with_units.then(|| Cell::Name(parameter.unit.as_deref().map(unit_label).unwrap_or_default())));
        if let Some(limit) = support.and_then(|support| support.get(index)) {
            row.extend([limit.low, limit.high].map(|end| Cell::Number(end, digits(end))));
        }
        row
    };
    Table { caption: "Parameters and the limits of their prior.".into(), columns, rows: parameters.iter().enumerate().map(row).collect() }
}

/// The fewest significant digits, up to six, that say the number.
fn digits(value: f64) -> usize {
    let says =
        |digits: usize| format!("{value:.*e}", digits - 1).parse().is_ok_and(|short: f64| (short - value).abs() <= 1e-6 * value.abs());
    (1..6).find(|&digits| says(digits)).unwrap_or(6)
}

/// Version, and what the page is.
pub(super) fn footer(files: &RunFiles) -> String {
    let version = files.manifest.as_ref().map_or_else(String::new, |manifest| format!(" of a run by version {}", manifest.program_version));
    format!("Written by abduce from the files{version}. This page runs no scripts and loads nothing.")
}

fn abc_method(abc: &AbcPosterior) -> &'static str {
    if abc.course.is_empty() { "rejection ABC" } else { "sequential Monte Carlo ABC" }
}

/// What the networks learnt, and how many there are.
fn method(files: &RunFiles, posterior: &Posterior) -> String {
    let learnt = match posterior.members.first().map(|member| &member.network) {
        Some(Network::Likelihood(_)) => "neural likelihood estimation",
        Some(Network::Ratio(_)) => "neural ratio estimation",
        Some(Network::Field(field)) => match field.architecture().schedule {
            NoiseSchedule::FlowMatching { .. } => "flow-matching posterior estimation",
            _ => "neural posterior score estimation",
        },
        // What is corrected is a posterior all the same.
        Some(Network::Posterior(_) | Network::Corrected(_)) | None => "neural posterior estimation",
    };
    let rounds = match training_config(files) {
        Some((model, train)) if model.engine.is_sequential() => format!(" in {} rounds", train.num_round),
        _ => String::new(),
    };
    match posterior.members.len() {
        1 => format!("{learnt}{rounds}"),
        nets => format!("{learnt} with an ensemble of {nets} nets{rounds}"),
    }
}

fn training_config(files: &RunFiles) -> Option<(&ModelConfig, &TrainConfig)> {
    Some(match files.config.as_ref()? {
        RunConfig::Pipeline(config) => (&config.model, &config.train_args),
        RunConfig::Infer(config) => (&config.model, &config.train_args),
    })
}

fn embedding(files: &RunFiles) -> Option<String> {
    let embedding = match files.config.as_ref()? {
        RunConfig::Pipeline(config) => config.embedding_net.as_ref(),
        RunConfig::Infer(config) => config.embedding_net.as_ref(),
    };
    embedding.map(arguments)
}

/// `2 × maf: hidden_features 50, num_transforms 5`.
fn net(net: &NetConfig) -> String {
    let repeats = if net.repeats == 1 { String::new() } else { format!("{} × ", net.repeats) };
    format!("{repeats}{}", arguments(&net.density))
}

/// `KIND: key value, …` of a section `{model: KIND, …}` or `{KIND: {…}}`.
fn arguments(section: &impl Serialize) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(section) else { return String::new() };
    let kind = match fields.remove("model") {
        Some(kind) => plain(&kind),
        None => {
            let Some((kind, Value::Object(inner))) = fields.into_iter().next() else { return String::new() };
            fields = inner;
            kind
        }
    };
    let arguments = fields.iter().filter(|(_, value)| !value.is_null());
    let arguments: Vec<String> = arguments.map(|(key, value)| format!("{} {}", key.replace('_', " "), plain(value))).collect();
    if arguments.is_empty() { kind } else { format!("{kind}: {}", arguments.join(", ")) }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Families of the prior, `uniform` or `uniform, normal`; a task's joint prior says what it joins.
fn family(spec: &impl Serialize) -> String {
    let mut names = Vec::new();
    if let Ok(value) = serde_json::to_value(spec) {
        families(&value, &mut names);
    }
    names.dedup();
    names.join(", ")
}

fn families(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                match inner {
                    Value::Array(blocks) if blocks.iter().all(Value::is_object) => blocks.iter().for_each(|block| families(block, names)),
                    _ => names.push(name.replace('_', " ")),
                }
            }
        }
        Value::Array(blocks) => blocks.iter().for_each(|block| families(block, names)),
        _ => {}
    }
}

fn optimiser(train: &TrainConfig) -> String {
    let schedule = serde_json::to_value(train.schedule).ok().and_then(|value| value.as_str().map(str::to_string)).unwrap_or_default();
    format!(
        "Adam, batch {}, learning rate {} ({schedule}), stop after {} epochs without progress",
        train.training_batch_size, train.learning_rate, train.stop_after_epochs
    )
}

fn shape(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ")
}

/// The first ten, and how many more.
fn some_of(features: &[usize]) -> String {
    let shown: Vec<String> = features.iter().take(10).map(usize::to_string).collect();
    let more = if features.len() > 10 { format!(" and {} more", features.len() - 10) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

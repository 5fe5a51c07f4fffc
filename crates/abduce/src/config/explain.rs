//! The reference of the configuration keys, from the schema.

use super::nearest::suggestion;
use super::schema::reading_schema;
use super::{DataConfig, InferConfig, PipelineConfig, Section, SimulatorConfig, StudyConfig, ValConfig, support};
use crate::error::Error;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// One key at one place.
struct Found {
    /// `infer: train_args.learning_rate`.
    place: String,
    /// Dotted path without the kind of file.
    path: String,
    text: String,
}

/// The documentation of a key, given by its name or the end of its dotted path: type, default, meaning, choices, where it stands.
pub fn explain(key: &str) -> Result<String, Error> {
    let mut found = Vec::new();
    collect::<InferConfig>(&mut found);
    collect::<DataConfig>(&mut found);
    collect::<ValConfig>(&mut found);
    collect::<PipelineConfig>(&mut found);
    collect::<SimulatorConfig>(&mut found);
    collect::<StudyConfig>(&mut found);
    let steps = |path: &str| path.split('.').filter(|step| step.parse::<usize>().is_err()).map(str::to_string).collect::<Vec<_>>();
    let wanted = steps(&key.to_lowercase());
    // Placeholders for list items and free names are not part of what a user types.
    let matches = |path: &str| {
        let path: Vec<String> = steps(path).into_iter().filter(|step| !["N", "NAME"].contains(&step.as_str())).collect();
        let wanted: Vec<&String> = wanted.iter().collect();
        path.len() >= wanted.len() && path[path.len() - wanted.len()..].iter().zip(&wanted).all(|(a, b)| a == *b)
    };
    let mut entries: Vec<(String, Vec<String>)> = Vec::new();
    for item in found.iter().filter(|item| !wanted.is_empty() && matches(&item.path)) {
        match entries.iter_mut().find(|(text, _)| *text == item.text) {
            Some((_, places)) => places.push(item.place.clone()),
            None => entries.push((item.text.clone(), vec![item.place.clone()])),
        }
    }
    if entries.is_empty() {
        let names: BTreeSet<&str> = found.iter().filter_map(|item| item.path.rsplit('.').next()).collect();
        let names: Vec<&str> = names.into_iter().filter(|name| !["N", "NAME"].contains(name)).collect();
        let last = key.rsplit('.').next().unwrap_or(key);
        return Err(Error::Usage { message: format!("there is no configuration key `{key}`"), help: suggestion(last, &names) });
    }
    let blocks: Vec<String> = entries
        .into_iter()
        .map(|(text, mut places)| {
            places.dedup();
            format!("{}\n{text}", places.join("\n"))
        })
        .collect();
    Ok(blocks.join("\n"))
}

fn collect<T: Section>(found: &mut Vec<Found>) {
    let schema = reading_schema::<T>();
    let mut walk = Walk { schema: &schema, kind: T::KIND, found, open: Vec::new() };
    walk.properties(&schema, "", "");
}

struct Walk<'a> {
    schema: &'a Value,
    kind: &'static str,
    found: &'a mut Vec<Found>,
    /// Types that are being walked: a joint prior contains priors.
    open: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn resolve(&self, schema: &'a Value) -> (Option<&'a str>, &'a Value) {
        match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
            Some(name) => (Some(name), &self.schema["$defs"][name]),
            None => (None, schema),
        }
    }

    fn properties(&mut self, section: &'a Value, path: &str, condition: &str) {
        for (key, property) in section["properties"].as_object().into_iter().flatten() {
            if property["const"].is_string() {
                continue;
            }
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let text = self.describe(property);
            self.found.push(Found { place: format!("{}: {path}{condition}", self.kind), path: path.clone(), text });
            self.inside(property, &path);
        }
    }

    /// The keys below a value.
    fn inside(&mut self, schema: &'a Value, path: &str) {
        let (name, target) = self.resolve(schema);
        if let Some(name) = name {
            if self.open.contains(&name) {
                return;
            }
            self.open.push(name);
        }
        self.properties(target, path, "");
        for branch in branches(target) {
            match branch["properties"].as_object().into_iter().flatten().find_map(|(key, tag)| Some((key, tag["const"].as_str()?))) {
                Some((key, value)) => self.properties(branch, path, &format!(" ({key}: {value})")),
                None => self.inside(branch, path),
            }
        }
        if target["items"].is_object() {
            self.inside(&target["items"], &format!("{path}.N"));
        }
        if target["additionalProperties"].is_object() {
            self.inside(&target["additionalProperties"], &format!("{path}.NAME"));
        }
        if name.is_some() {
            self.open.pop();
        }
    }

    fn describe(&self, property: &'a Value) -> String {
        let mut text = String::new();
        let default = match &property["default"] {
            Value::Null if property.get("default").is_none() => String::new(),
            Value::Null => ", default: none".into(),
            Value::Object(_) => ", default: its keys' defaults".into(),
            value => format!(", default: {value}"),
        };
        // Writing to a string cannot fail.
        _ = writeln!(text, "  {}{default}", self.type_of(property));
        if let Some(description) = property["description"].as_str().or_else(|| self.resolve(property).1["description"].as_str()) {
            _ = writeln!(text, "  {}", description.replace('\n', " "));
        }
        let aliases: Vec<&str> = property["x-aliases"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !aliases.is_empty() {
            _ = writeln!(text, "  also written {}", aliases.join(", "));
        }
        for (name, description) in self.choices(property) {
            let colon = if description.is_empty() { "" } else { ": " };
            _ = writeln!(text, "    {name}{colon}{description}");
        }
        text
    }

    /// The choices of a value, or of the items of a list, with their meaning.
    fn choices(&self, schema: &'a Value) -> Vec<(&'a str, String)> {
        let (type_name, target) = self.resolve(schema);
        let own = branches(target).filter_map(|branch| {
            let description = branch["description"].as_str().unwrap_or_default().replace('\n', " ");
            if let Some(name) = branch["const"].as_str() {
                return Some((name, description));
            }
            let properties = branch["properties"].as_object()?;
            if let Some(name) = properties.values().find_map(|tag| tag["const"].as_str()) {
                return Some((name, description));
            }
            let (name, _) = properties.iter().next().filter(|_| properties.len() == 1)?;
            let classes = type_name.and_then(support::object).map(|object| object.classes).unwrap_or_default();
            let classes: Vec<&str> = classes.iter().filter(|row| row.name == name).map(|row| row.class).collect();
            let note = if classes.is_empty() { String::new() } else { format!(" (LtU-ILI: {})", classes.join(", ")) };
            Some((name.as_str(), format!("{description}{note}")))
        });
        let listed = target["enum"].as_array().into_iter().flatten().filter_map(|name| Some((name.as_str()?, String::new())));
        let own: Vec<_> = own.chain(listed).collect();
        if !own.is_empty() {
            return own;
        }
        let below =
            branches(target).chain([&target["items"], &target["additionalProperties"]].into_iter().filter(|below| below.is_object()));
        below.flat_map(|schema| self.choices(schema)).collect()
    }

    fn type_of(&self, schema: &'a Value) -> String {
        let (_, target) = self.resolve(schema);
        let kinds: Vec<String> = match &target["type"] {
            Value::String(kind) => vec![kind.clone()],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).map(str::to_string).collect(),
            _ => {
                let all: Vec<&Value> = branches(target).collect();
                if all.iter().all(|branch| branch["const"].is_string()) || all.iter().all(|branch| branch["type"] == "object") {
                    return "one of the choices below".into();
                }
                return all.into_iter().map(|branch| self.type_of(branch)).collect::<Vec<_>>().join(" or ");
            }
        };
        let mut words = kinds
            .iter()
            .map(|kind| match kind.as_str() {
                "object" => "section".to_string(),
                "array" => format!("list, each: {}", self.type_of(&target["items"])),
                "string" => "text".to_string(),
                kind => kind.to_string(),
            })
            .collect::<Vec<_>>()
            .join(" or ");
        for (key, sign) in [("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<")] {
            if let Some(bound) = target[key].as_f64() {
                _ = write!(words, ", {sign} {bound}");
            }
        }
        words
    }
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten()
}

//! Checks a tree against the JSON schema of its section and turns it into the JSON value that serde reads.
//!
//! The schema comes from the structs, so keys, types, ranges, choices, older names and ignored keys stand in one place, and every problem
//! is found with its position, all in one pass. Extensions of the schema that this module reads: `x-aliases` (older names of a key),
//! `x-ignored` (keys without effect), `x-unavailable-keys`, `x-kind`, `x-names` and `x-substituted` (choices).

use super::Notice;
use super::nearest::{nearest, suggestion};
use super::node::{Entry, Node, Sources, Span, Yaml};
use super::support::{self, Classes};
use crate::error::Problem;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The largest integer below which every integer is a double: a whole float up to here may stand for an integer.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

pub(crate) struct Reader<'a> {
    schema: &'a Value,
    sources: &'a Sources,
    path: Vec<String>,
    /// Whether numbers may be infinite here.
    unbounded: bool,
    pub(crate) problems: Vec<Problem>,
    pub(crate) notices: Vec<Notice>,
    /// Where each key of the result stands, by dotted path.
    pub(crate) spans: BTreeMap<String, Span>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(schema: &'a Value, sources: &'a Sources) -> Self {
        Self { schema, sources, path: vec![], unbounded: false, problems: vec![], notices: vec![], spans: BTreeMap::new() }
    }

    /// The checked value of the whole file; nothing where there were problems.
    pub(crate) fn read(&mut self, root: &Node) -> Option<Value> {
        let empty = Node { span: root.span, value: Yaml::Map(Vec::new()) };
        let root = if matches!(root.value, Yaml::Null) { &empty } else { root };
        self.spans.insert(String::new(), root.span);
        let value = self.value(self.schema, root, root.span);
        value.filter(|_| self.problems.is_empty())
    }

    fn report(&mut self, span: Span, message: String, label: &str, help: Option<String>) {
        let problem = self.sources.problem(span, message, label);
        self.problems.push(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }

    fn notice(&mut self, span: Span, message: String) {
        self.notices.push(Notice { place: self.sources.place(span), message });
    }

    /// " in `model.nets.0`", or nothing at the top.
    fn location(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!(" in `{}`", self.path.join(".")) }
    }

    fn within<T>(&mut self, step: &str, span: Span, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step.to_string());
        self.spans.insert(self.path.join("."), span);
        let result = read(self);
        self.path.pop();
        result
    }

    /// Reads `node` by `schema`. `anchor` is what to point at when something is missing: the key that the value stands under.
    fn value(&mut self, schema: &'a Value, node: &Node, anchor: Span) -> Option<Value> {
        if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
            let target = &self.schema["$defs"][name];
            if let Some(classes) = support::object(name) {
                return self.object_by_name(classes, target, node, anchor);
            }
            let outer = self.unbounded;
            self.unbounded |= name == "PerParameter";
            let value = self.value(target, node, anchor);
            self.unbounded = outer;
            return value;
        }
        let alternatives: Vec<&'a Value> = ["oneOf", "anyOf"].iter().filter_map(|key| schema[key].as_array()).flatten().collect();
        if let Some(names) = choices(schema, &alternatives) {
            return self.choice(schema, &names, node);
        }
        if alternatives.is_empty() || schema["properties"].is_object() || alternatives.iter().all(|branch| tag(branch).is_some()) {
            return self.plain(schema, &alternatives, node, anchor);
        }
        if alternatives.len() > 1 && alternatives.iter().all(|branch| only_key(branch).is_some()) {
            return self.named(schema, &alternatives, node, anchor);
        }
        match alternatives.iter().find(|branch| self.fits(branch, node)) {
            Some(branch) => self.value(branch, node, anchor),
            None => {
                let expected: Vec<String> = alternatives.iter().map(|branch| self.expectation(branch)).collect();
                self.wrong_type(&expected.join(" or "), node)
            }
        }
    }

    /// Whether `node` has the kind of value, scalar, list or section, that `schema` describes.
    fn fits(&self, schema: &'a Value, node: &Node) -> bool {
        let schema = self.resolve(schema);
        if schema["oneOf"].is_array() || schema["anyOf"].is_array() {
            return choices(schema, &schema["oneOf"].as_array().map(|all| all.iter().collect::<Vec<_>>()).unwrap_or_default())
                .map_or(!matches!(node.value, Yaml::Null), |_| !matches!(node.value, Yaml::Null | Yaml::List(_) | Yaml::Map(_)));
        }
        types(schema).iter().any(|kind| match *kind {
            "null" => matches!(node.value, Yaml::Null),
            "array" => matches!(node.value, Yaml::List(_)),
            "object" => matches!(node.value, Yaml::Map(_)),
            _ => !matches!(node.value, Yaml::Null | Yaml::List(_) | Yaml::Map(_)),
        })
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
            Some(name) => &self.schema["$defs"][name],
            None => schema,
        }
    }

    fn expectation(&self, schema: &'a Value) -> String {
        let schema = self.resolve(schema);
        let words = |kind: &&str| match *kind {
            "object" => "a section with keys".to_string(),
            "array" => format!("a list of {}", plural(types(&schema["items"]).first().copied().unwrap_or("object"))),
            "string" => "a text".to_string(),
            "integer" => "an integer".to_string(),
            "number" => "a number".to_string(),
            "boolean" => "true or false".to_string(),
            _ => "nothing".to_string(),
        };
        let kinds = types(schema);
        if kinds.is_empty() { "a value".into() } else { kinds.iter().map(words).collect::<Vec<_>>().join(" or ") }
    }

    fn wrong_type(&mut self, expected: &str, node: &Node) -> Option<Value> {
        let subject = if self.path.is_empty() { "the file".to_string() } else { format!("`{}`", self.path.join(".")) };
        let message = format!("{subject} should be {expected}, found {}", node.describe());
        self.report(node.span, message, &format!("expected {expected}"), None);
        None
    }

    /// One of several names; upper and lower case are the same.
    fn choice(&mut self, schema: &'a Value, names: &[&'a str], node: &Node) -> Option<Value> {
        let written = match &node.value {
            Yaml::Text(text) => text.clone(),
            Yaml::Bool(_) | Yaml::Integer(_) | Yaml::Float(_) => self.sources.text(node.span).to_string(),
            _ => return self.wrong_type(&format!("one of {}", names.join(", ")), node),
        };
        let same = |name: &str| name.eq_ignore_ascii_case(&written);
        if let Some(name) = names.iter().find(|name| same(name)) {
            return Some(json!(name));
        }
        if let Some((_, name)) = pairs(&schema["x-names"]).find(|(other, _)| same(other)) {
            return Some(json!(name));
        }
        if let Some((_, reason)) = pairs(&schema["x-substituted"]).find(|(other, _)| same(other)) {
            let message = format!("`{}: {written}` is read as `{}`: {reason}", self.path.join("."), names[0]);
            self.notice(node.span, message);
            return Some(json!(names[0]));
        }
        self.unknown_name(schema["x-kind"].as_str().unwrap_or("value"), &written, names, node.span);
        None
    }

    fn unknown_name(&mut self, kind: &str, name: &str, known: &[&str], span: Span) {
        let message = format!("unknown {kind} `{}`{}", shorten(name), self.location());
        self.report(span, message, &format!("no such {kind}"), Some(suggestion(name, known)));
    }

    /// `{NAME: {ARGUMENTS}}`, or LtU-ILI's `{module, class, args}` in its place.
    fn object_by_name(&mut self, classes: &Classes, target: &'a Value, node: &Node, anchor: Span) -> Option<Value> {
        if node.get("class").is_none() && node.get("module").is_none() {
            let branches: Vec<&'a Value> = target["oneOf"].as_array().into_iter().flatten().collect();
            return self.named(target, &branches, node, anchor);
        }
        let Yaml::Map(entries) = &node.value else { return None };
        for entry in entries.iter().filter(|entry| !["module", "class", "args"].contains(&entry.key.as_str())) {
            self.unknown_key(entry, &["module", "class", "args"]);
        }
        if let Some(module) = node.get("module")
            && !matches!(&module.value.value, Yaml::Text(name) if classes.modules.contains(&name.as_str()) || name.starts_with("abduce"))
        {
            let written = self.sources.text(module.value.span).to_string();
            self.unknown_name("module", &written, classes.modules, module.value.span);
        }
        let Some(class) = node.get("class") else {
            self.missing("class", anchor);
            return None;
        };
        let known: Vec<&str> = classes.classes.iter().map(|row| row.class).collect();
        let Yaml::Text(written) = &class.value.value else {
            return self.within("class", class.span, |reader| reader.wrong_type("the name of a class", &class.value));
        };
        let Some(row) = classes.classes.iter().find(|row| row.class == written) else {
            self.unknown_name(classes.kind, written, &known, class.value.span);
            return None;
        };
        let empty = Yaml::Map(Vec::new());
        let (span, mut args) = match node.get("args") {
            None => (class.span, Node { span: class.span, value: empty }),
            Some(Entry { span, value: Node { value: Yaml::Null, .. }, .. }) => (*span, Node { span: *span, value: empty }),
            Some(args) => (args.span, args.value.clone()),
        };
        if let (Some((key, items)), Yaml::Map(entries)) = (row.implied, &mut args.value)
            && entries.iter().all(|entry| entry.key != key)
        {
            let item = |text: &&str| Node { span: class.value.span, value: Yaml::Text(text.to_string()) };
            let list = Node { span: class.value.span, value: Yaml::List(items.iter().map(item).collect()) };
            entries.push(Entry { key: key.into(), span: class.value.span, value: list });
        }
        let entry = Entry { key: row.name.into(), span, value: args };
        self.named(
            target,
            &target["oneOf"].as_array().into_iter().flatten().collect::<Vec<_>>(),
            &Node { span: node.span, value: Yaml::Map(vec![entry]) },
            anchor,
        )
    }

    /// A section with one key that names the alternative.
    fn named(&mut self, schema: &'a Value, branches: &[&'a Value], node: &Node, anchor: Span) -> Option<Value> {
        let names: Vec<&'a str> = branches.iter().filter_map(|branch| only_key(branch)).collect();
        let kind = schema["x-kind"].as_str().unwrap_or("name");
        let Yaml::Map(entries) = &node.value else {
            return self.wrong_type("a section whose key names the kind", node);
        };
        let [entry] = entries.as_slice() else {
            let message = format!("`{}` needs exactly one key, the {kind}, and has {}", self.path.join("."), entries.len());
            self.report(anchor, message, "one key expected", Some(suggestion("", &names)));
            return None;
        };
        let Some(at) = names.iter().position(|name| name.eq_ignore_ascii_case(&entry.key)) else {
            self.unknown_name(kind, &entry.key, &names, entry.span);
            return None;
        };
        let arguments = &branches[at]["properties"][names[at]];
        let value = self.within(names[at], entry.span, |reader| reader.value(arguments, &entry.value, entry.span))?;
        Some(json!({ names[at]: value }))
    }

    /// A scalar, a list or a section.
    fn plain(&mut self, schema: &'a Value, branches: &[&'a Value], node: &Node, anchor: Span) -> Option<Value> {
        let kinds = types(schema);
        if kinds.is_empty() && branches.is_empty() {
            return self.anything(node);
        }
        let has = |kind: &str| kinds.contains(&kind);
        match &node.value {
            Yaml::Null if has("null") => Some(Value::Null),
            Yaml::Map(entries) if has("object") || !branches.is_empty() => self.section(schema, branches, entries, anchor),
            Yaml::List(items) if has("array") => self.list(schema, items, node),
            Yaml::Bool(value) if has("boolean") => Some(json!(value)),
            Yaml::Integer(value) if has("integer") => {
                let number = u64::try_from(*value).map(Value::from).or_else(|_| i64::try_from(*value).map(Value::from)).ok();
                if number.is_none() {
                    self.range_problem("fit into 64 bits", node);
                }
                self.in_range(schema, *value as f64, node).then_some(number?)
            }
            Yaml::Float(value) if has("integer") && value.fract() == 0.0 && value.abs() <= MAX_EXACT => {
                let number = if *value < 0.0 { Value::from(*value as i64) } else { Value::from(*value as u64) };
                self.in_range(schema, *value, node).then_some(number)
            }
            Yaml::Float(value) if has("integer") && value.fract() == 0.0 => {
                self.range_problem("fit into 64 bits", node);
                None
            }
            Yaml::Integer(value) if has("number") => self.number(schema, *value as f64, node),
            Yaml::Float(value) if has("number") => self.number(schema, *value, node),
            Yaml::Text(text) if has("number") && self.unbounded && matches!(text.as_str(), "inf" | "-inf" | "+inf") => {
                Some(json!(text.trim_start_matches('+')))
            }
            Yaml::Text(text) if has("string") => self.text(schema, text, node),
            // `name: 2024` is a text where a text is expected.
            Yaml::Bool(_) | Yaml::Integer(_) | Yaml::Float(_) if has("string") => {
                let text = self.sources.text(node.span).to_string();
                self.text(schema, &text, node)
            }
            _ => {
                let expected = self.expectation(schema);
                self.wrong_type(&expected, node)
            }
        }
    }

    fn anything(&mut self, node: &Node) -> Option<Value> {
        Some(match &node.value {
            Yaml::Null => Value::Null,
            Yaml::Bool(value) => json!(value),
            Yaml::Integer(value) => match i64::try_from(*value) {
                Ok(value) => json!(value),
                Err(_) => json!(*value as f64),
            },
            Yaml::Float(value) if value.is_finite() => json!(value),
            Yaml::Float(_) => {
                self.range_problem("be finite", node);
                return None;
            }
            Yaml::Text(text) => json!(text),
            Yaml::List(items) => Value::Array(items.iter().map(|item| self.anything(item)).collect::<Option<_>>()?),
            Yaml::Map(entries) => {
                let pairs = entries.iter().map(|entry| Some((entry.key.clone(), self.anything(&entry.value)?)));
                Value::Object(pairs.collect::<Option<_>>()?)
            }
        })
    }

    fn text(&mut self, schema: &'a Value, text: &str, node: &Node) -> Option<Value> {
        if text.chars().count() < schema["minLength"].as_u64().unwrap_or(0) as usize {
            self.range_problem("not be empty", node);
            return None;
        }
        Some(json!(text))
    }

    fn number(&mut self, schema: &'a Value, value: f64, node: &Node) -> Option<Value> {
        if value.is_nan() || (value.is_infinite() && !self.unbounded) {
            self.range_problem("be a finite number", node);
            return None;
        }
        if value.is_infinite() {
            // JSON has no infinities; they travel as texts.
            return Some(json!(if value > 0.0 { "inf" } else { "-inf" }));
        }
        self.in_range(schema, value, node).then(|| json!(value))
    }

    fn in_range(&mut self, schema: &'a Value, value: f64, node: &Node) -> bool {
        let rules = [
            ("minimum", "be at least", [false, true, true]),
            ("exclusiveMinimum", "be greater than", [false, false, true]),
            ("maximum", "be at most", [true, true, false]),
            ("exclusiveMaximum", "be less than", [true, false, false]),
        ];
        for (key, words, [below, equal, above]) in rules {
            let Some(bound) = schema[key].as_f64() else { continue };
            let holds = (below && value < bound) || (equal && value == bound) || (above && value > bound);
            if !holds {
                self.range_problem(&format!("{words} {bound}"), node);
                return false;
            }
        }
        true
    }

    fn range_problem(&mut self, rule: &str, node: &Node) {
        let message = format!("`{}` must {rule}, found {}", self.path.join("."), node.describe());
        self.report(node.span, message, &format!("must {rule}"), None);
    }

    fn list(&mut self, schema: &'a Value, items: &[Node], node: &Node) -> Option<Value> {
        let count = items.len() as u64;
        if items.is_empty() && schema["minItems"].as_u64().is_some_and(|least| least > 0) {
            self.range_problem("not be empty", node);
            return None;
        }
        if count > schema["maxItems"].as_u64().unwrap_or(u64::MAX) {
            self.range_problem(&format!("have at most {} items", schema["maxItems"]), node);
            return None;
        }
        let values: Vec<Option<Value>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| self.within(&index.to_string(), item.span, |reader| reader.value(&schema["items"], item, item.span)))
            .collect();
        Some(Value::Array(values.into_iter().collect::<Option<_>>()?))
    }

    fn section(&mut self, schema: &'a Value, branches: &[&'a Value], entries: &[Entry], anchor: Span) -> Option<Value> {
        let mut parts = vec![schema];
        let mut result = Map::new();
        if let Some(tag_key) = branches.first().and_then(|branch| tag(branch)).map(|(key, _)| key) {
            let names: Vec<&'a str> = branches.iter().filter_map(|branch| Some(tag(branch)?.1)).collect();
            let Some(entry) = entries.iter().find(|entry| entry.key == tag_key) else {
                self.missing(tag_key, anchor);
                return None;
            };
            let name = self.within(tag_key, entry.span, |reader| reader.choice(schema, &names, &entry.value))?;
            parts.extend(branches.iter().find(|branch| tag(branch).is_some_and(|(_, value)| name == value)));
            result.insert(tag_key.into(), name);
        }
        let tagged = result.keys().next().cloned();
        let properties: Vec<(&'a str, &'a Value)> =
            parts.iter().filter_map(|part| part["properties"].as_object()).flatten().map(|(key, value)| (key.as_str(), value)).collect();
        let mut known: Vec<&str> = properties.iter().map(|(key, _)| *key).collect();
        known.sort_unstable();
        let foreign = |entry: &&Entry| {
            let mut keys = parts.iter().flat_map(|part| pairs(&part["x-unavailable-keys"]));
            Some(keys.find(|(key, _)| *key == entry.key)?.1)
        };
        if let Some((entry, loader)) = entries.iter().find_map(|entry| Some((entry, foreign(&entry)?))) {
            let message = format!("loader {loader}, which `{}` belongs to, is not available in this version", entry.key);
            self.report(entry.span, message, "not available", Some("available: StaticNumpyLoader, with x_file and theta_file".into()));
            return None;
        }
        let mut meant: Vec<&str> = Vec::new();
        let mut read: BTreeMap<&str, (&Entry, Option<Value>)> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| tagged.as_ref() != Some(&entry.key)) {
            let property = properties
                .iter()
                .find(|(key, _)| *key == entry.key)
                .or_else(|| properties.iter().find(|(_, property)| strings(&property["x-aliases"]).any(|alias| alias == entry.key)));
            let Some((key, property)) = property else {
                match self.extra_key(&parts, entry, &known) {
                    Some((key, value)) => _ = result.insert(key, value),
                    None => meant.extend(nearest(&entry.key, known.iter().copied())),
                }
                continue;
            };
            if let Some((other, _)) = read.get(key) {
                if other.span.source > entry.span.source {
                    continue;
                }
                if other.span.source == entry.span.source {
                    let message = format!("`{}` and `{}` are two names of the same key", other.key, entry.key);
                    self.report(entry.span, message, "given twice", Some(format!("keep `{key}`")));
                }
            }
            let span = if matches!(entry.value.value, Yaml::Map(_) | Yaml::Null) { entry.span } else { entry.value.span };
            let value = self.within(key, span, |reader| reader.value(property, &entry.value, entry.span));
            read.insert(key, (entry, value));
        }
        for key in parts.iter().flat_map(|part| strings(&part["required"])) {
            // A misspelt key has been reported already.
            if !read.contains_key(key) && !result.contains_key(key) && !meant.contains(&key) {
                self.missing(key, anchor);
            }
        }
        for (key, (_, value)) in read {
            result.insert(key.into(), value?);
        }
        Some(Value::Object(result))
    }

    /// A key that is no property of the section: one that is ignored or unknown, or an entry of a free-form map.
    fn extra_key(&mut self, parts: &[&'a Value], entry: &Entry, known: &[&str]) -> Option<(String, Value)> {
        if let Some((_, reason)) = parts.iter().flat_map(|part| pairs(&part["x-ignored"])).find(|(key, _)| *key == entry.key) {
            let path: Vec<&str> = self.path.iter().map(String::as_str).chain([entry.key.as_str()]).collect();
            let message = format!("`{}` is ignored: {reason}", path.join("."));
            self.notice(entry.span, message);
            return None;
        }
        match parts.iter().map(|part| &part["additionalProperties"]).find(|extra| extra.is_object() || **extra == true) {
            Some(extra) => {
                let value = self.within(&entry.key, entry.span, |reader| reader.value(extra, &entry.value, entry.span))?;
                Some((entry.key.clone(), value))
            }
            None => {
                self.unknown_key(entry, known);
                None
            }
        }
    }

    fn unknown_key(&mut self, entry: &Entry, known: &[&str]) {
        let message = format!("unknown key `{}`{}", shorten(&entry.key), self.location());
        self.report(entry.span, message, "not a key of this section", Some(suggestion(&entry.key, known)));
    }

    fn missing(&mut self, key: &str, anchor: Span) {
        let message = format!("missing key `{key}`{}", self.location());
        self.report(anchor, message, &format!("`{key}` is missing in this section"), None);
    }
}

/// The types that a schema allows.
fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The names of a choice between constants.
fn choices<'a>(schema: &'a Value, alternatives: &[&'a Value]) -> Option<Vec<&'a str>> {
    if let Some(names) = schema["enum"].as_array() {
        return names.iter().map(Value::as_str).collect();
    }
    let names = alternatives.iter().map(|branch| branch["const"].as_str());
    if alternatives.is_empty() { None } else { names.collect() }
}

/// The key and value that mark an alternative of an internally tagged union.
fn tag(branch: &Value) -> Option<(&str, &str)> {
    branch["properties"].as_object()?.iter().find_map(|(key, property)| Some((key.as_str(), property["const"].as_str()?)))
}

/// The single key of an alternative of an externally tagged union.
fn only_key(branch: &Value) -> Option<&str> {
    let properties = branch["properties"].as_object()?;
    let (key, _) = properties.iter().next()?;
    (properties.len() == 1 && branch["required"] == json!([key])).then_some(key)
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Pairs of texts `[[a, b], …]`.
fn pairs(list: &Value) -> impl Iterator<Item = (&str, &str)> {
    list.as_array().into_iter().flatten().filter_map(|pair| Some((pair[0].as_str()?, pair[1].as_str()?)))
}

fn plural(kind: &str) -> &str {
    match kind {
        "integer" => "integers",
        "number" => "numbers",
        "string" => "texts",
        "array" => "lists",
        _ => "items",
    }
}

fn shorten(name: &str) -> String {
    if name.chars().count() <= 60 { name.to_string() } else { format!("{}…", name.chars().take(60).collect::<String>()) }
}

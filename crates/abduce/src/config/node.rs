//! A YAML text as a tree whose every key and value knows where it stands.
//!
//! serde's own buffering (tagged and flattened enums) forgets positions, so the text is read into this tree first; the section reader
//! ([`super::reader`]) then checks the tree against the JSON schema of the section and hands a plain JSON value to serde.

use crate::error::Problem;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{AliasLimits, NonFiniteFloatPolicy, Options};
use serde_saphyr::{Error as YamlError, Location, Spanned};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Configurations are written by hand: anything near this size is a mistake or an attack.
pub(crate) const MAX_BYTES: u64 = 1 << 20;
/// Keys and values of one text, after expansion of aliases.
const MAX_NODES: usize = 100_000;

/// Longer lines are not shown: nobody finds anything in them, and the report's padding has a limit.
const MAX_EXCERPT_COLUMNS: usize = 2000;

/// A stretch of one of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) source: usize,
    pub(crate) start: usize,
    pub(crate) length: usize,
}

/// The texts a configuration is made of: the file first, then the overrides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources(Vec<(String, Arc<str>)>);

impl Sources {
    pub(crate) fn add(&mut self, name: impl Into<String>, text: &str) -> usize {
        self.0.push((name.into(), text.into()));
        self.0.len() - 1
    }

    pub(crate) fn name(&self, source: usize) -> &str {
        &self.0[source].0
    }

    pub(crate) fn text(&self, span: Span) -> &str {
        self.0[span.source].1.get(span.start..span.start + span.length).unwrap_or_default()
    }

    /// `file:line:column`, or the name alone for a text without line structure of interest.
    pub(crate) fn place(&self, span: Span) -> String {
        let (name, text) = &self.0[span.source];
        let before = &text[..floor_char(text, span.start)];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        if span.source == 0 { format!("{name}:{line}:{column}") } else { name.clone() }
    }

    pub(crate) fn problem(&self, span: Span, message: impl Into<String>, label: impl Into<String>) -> Problem {
        let (name, text) = &self.0[span.source];
        let start = floor_char(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[line_start..].lines().next().unwrap_or_default();
        if line.len() > MAX_EXCERPT_COLUMNS {
            return Problem::new(format!("{}: {}", self.place(span), message.into()));
        }
        // One line is enough of an excerpt for a value that goes on.
        let length = span.length.min((line_start + line.len()).saturating_sub(start));
        Problem::new(message).at(name, text, start, length, label)
    }
}

fn floor_char(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Yaml,
}

#[derive(Clone, Debug)]
pub(crate) enum Yaml {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) span: Span,
    pub(crate) value: Node,
}

impl Node {
    /// What the value is, for "expected …, found …".
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Yaml::Null => "nothing".into(),
            Yaml::Bool(value) => format!("`{value}`"),
            Yaml::Integer(value) => format!("the integer {value}"),
            Yaml::Float(value) => format!("the number {value}"),
            Yaml::Text(value) if value.chars().count() > 40 => "a long text".into(),
            Yaml::Text(value) => format!("the text {value:?}"),
            Yaml::List(_) => "a list".into(),
            Yaml::Map(_) => "a section with keys".into(),
        }
    }

    /// The value without its places; numbers that JSON has not (infinities) as their words.
    pub(crate) fn plain(&self) -> serde_json::Value {
        match &self.value {
            Yaml::Null => serde_json::Value::Null,
            Yaml::Bool(value) => (*value).into(),
            Yaml::Integer(value) => i64::try_from(*value).map_or_else(|_| (*value as f64).into(), Into::into),
            Yaml::Float(value) if value.is_nan() => "nan".into(),
            Yaml::Float(value) if value.is_infinite() => if *value > 0.0 { "inf" } else { "-inf" }.into(),
            Yaml::Float(value) => (*value).into(),
            Yaml::Text(value) => value.clone().into(),
            Yaml::List(items) => items.iter().map(Self::plain).collect(),
            Yaml::Map(entries) => serde_json::Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.plain())).collect()),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Yaml::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }
}

/// Reads `text`, the source number `source` of `sources`. Refuses documents that are too large, too deep, or expand too far, several
/// documents, repeated keys, and tags that would build objects.
pub(crate) fn parse(text: &str, source: usize, sources: &Sources) -> Result<Node, Problem> {
    let mut alias_limits = AliasLimits::default();
    alias_limits.max_total_replayed_events = MAX_NODES;
    let options: Options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_total_scalar_bytes: MAX_BYTES as usize,
        },
        alias_limits: alias_limits,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let too_large = || Problem::new(format!("{} is larger than {} KiB", sources.name(source), MAX_BYTES >> 10));
    if text.len() as u64 > MAX_BYTES {
        return Err(too_large().help("a configuration is a page of text; was a data file given in its place?"));
    }
    match serde_saphyr::from_str_with_options::<Located>(text, options) {
        Ok(Located(spanned)) => Ok(node(spanned, source, text)),
        Err(error) => Err(syntax_problem(&error, text, source, sources)),
    }
}

fn syntax_problem(error: &YamlError, text: &str, source: usize, sources: &Sources) -> Problem {
    let error = error.without_snippet();
    let span = error.location().map(|location| span_of(location, source, text));
    let (message, label, help) = match error {
        YamlError::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("this key");
            (format!("`{key}` is given twice"), "second time here".into(), Some("keep one of the two".into()))
        }
        YamlError::MultipleDocuments { .. } => {
            ("more than one YAML document in the file".into(), "second document".into(), Some("keep one".into()))
        }
        YamlError::Budget { .. }
        | YamlError::AliasReplayLimitExceeded { .. }
        | YamlError::AliasReplayStackDepthExceeded { .. }
        | YamlError::AliasExpansionLimitExceeded { .. } => {
            ("too many values, too deep a nesting or too many aliases for a configuration".into(), "limit reached here".into(), None)
        }
        other => {
            let full = other.to_string();
            // The library appends "at line L, column C", which the excerpt shows.
            let reason = full.split(" at line ").next().unwrap_or(&full).to_string();
            ("this is not valid YAML".into(), reason, None::<String>)
        }
    };
    let problem = match span {
        Some(span) => sources.problem(span, message, label),
        None => Problem::new(format!("{message}: {label}")),
    };
    match help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

fn span_of(location: Location, source: usize, text: &str) -> Span {
    let span = location.span();
    let start = match span.byte_offset() {
        Some(offset) => offset as usize,
        None => {
            let line_start: usize = text.split_inclusive('\n').take((location.line() as usize).saturating_sub(1)).map(str::len).sum();
            let column = (location.column() as usize).saturating_sub(1);
            line_start + text[line_start.min(text.len())..].chars().take(column).map(char::len_utf8).sum::<usize>()
        }
    };
    Span { source, start: start.min(text.len()), length: span.byte_len().map_or(1, |length| length as usize) }
}

fn node(spanned: Spanned<Raw>, source: usize, text: &str) -> Node {
    let mut span = span_of(spanned.defined, source, text);
    let value = match spanned.value {
        Raw::Null => Yaml::Null,
        Raw::Bool(value) => Yaml::Bool(value),
        Raw::Integer(value) => Yaml::Integer(value),
        Raw::Float(value) => Yaml::Float(value),
        Raw::Text(value) => Yaml::Text(value),
        Raw::List(items) => Yaml::List(items.into_iter().map(|Located(item)| node(item, source, text)).collect()),
        Raw::Map(entries) => Yaml::Map(
            entries
                .into_iter()
                .map(|(key, Located(value))| {
                    let span = span_of(key.defined, source, text);
                    Entry { key: key.value, span, value: node(value, source, text) }
                })
                .collect(),
        ),
    };
    // A block collection is reported without extent: point at its first key.
    if let Yaml::Map(entries) = &value
        && let Some(first) = entries.first()
        && span.length == 0
    {
        span = first.span;
    }
    Node { span, value }
}

struct Located(Spanned<Raw>);

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

enum Raw {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Located>),
    Map(Vec<(Spanned<String>, Located)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Integer(value))
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Raw, E> {
        i128::try_from(value).map(Raw::Integer).map_err(|_| E::custom("this integer is too large"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Located>()? {
            // `1` and `"1"` are different YAML keys but the same text here.
            if !seen.insert(key.value.clone()) {
                return Err(A::Error::custom(format!("`{}` is given twice", key.value)));
            }
            map.push((key, value));
        }
        Ok(Raw::Map(map))
    }
}

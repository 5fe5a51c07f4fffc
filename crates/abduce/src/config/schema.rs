//! The JSON schemas: generated from the structs, read by the parser, published for editors, printed by `abduce explain`.

use super::support::{self, Classes};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The schema as the structs give it.
pub(crate) fn plain_schema<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema that the reader checks files against.
pub(crate) fn reading_schema<T: JsonSchema>() -> Value {
    let mut schema = plain_schema::<T>();
    if let Some(types) = schema["$defs"].as_object_mut() {
        extend_library_types(types);
    }
    schema
}

/// Types of the library crates know nothing of YAML; what LtU-ILI writes differently is added here.
fn extend_library_types(types: &mut Map<String, Value>) {
    if let Some(gate) = types.get_mut("Gate") {
        gate["x-kind"] = json!("gate");
    }
    for classes in support::OBJECTS {
        if let Some(target) = types.get_mut(classes.type_name) {
            target["x-kind"] = json!(classes.kind);
        }
    }
    let arguments: Vec<String> = argument_types(types.get("PriorSpec")).map(str::to_string).collect();
    for name in arguments {
        let Some(section) = types.get_mut(&name) else { continue };
        section["x-ignored"] = json!(support::ARGS);
        for (key, older) in [("low", "lower"), ("high", "upper")] {
            if let Some(property) = section["properties"].get_mut(key) {
                property["x-aliases"] = json!([older]);
            }
        }
    }
}

/// The types of the arguments of a union of `{NAME: {ARGUMENTS}}`.
fn argument_types(union: Option<&Value>) -> impl Iterator<Item = &str> {
    let branches = union.and_then(|union| union["oneOf"].as_array()).into_iter().flatten();
    branches.filter_map(|branch| branch["properties"].as_object()?.values().next()?["$ref"].as_str()?.strip_prefix("#/$defs/"))
}

/// The schema for editors and scripts: plain JSON schema, with LtU-ILI's forms and older names written out.
pub(crate) fn published_schema<T: JsonSchema>() -> Value {
    let mut schema = reading_schema::<T>();
    if let Some(types) = schema["$defs"].as_object_mut() {
        for classes in support::OBJECTS {
            if let Some(target) = types.get_mut(classes.type_name) {
                add_class_forms(target, classes);
            }
        }
        if let Some(numbers) = types.get_mut("PerParameter") {
            allow_infinities(numbers);
        }
    }
    write_out_extensions(&mut schema);
    schema
}

/// `{module, class, args}` beside `{name: args}`.
fn add_class_forms(target: &mut Value, classes: &Classes) {
    let Some(branches) = target["oneOf"].as_array_mut() else { return };
    let forms: Vec<Value> = classes
        .classes
        .iter()
        .filter_map(|row| {
            let args = branches.iter().find_map(|branch| branch["properties"].get(row.name))?;
            let args = if row.implied.is_some() { json!({"type": "object"}) } else { args.clone() };
            Some(json!({
                "type": "object",
                "properties": {"module": {"enum": classes.modules}, "class": {"const": row.class}, "args": args},
                "required": ["class"],
                "additionalProperties": false
            }))
        })
        .collect();
    branches.extend(forms);
}

fn allow_infinities(numbers: &mut Value) {
    let infinite = json!({"enum": ["inf", "-inf"]});
    if let Some(alternatives) = numbers["anyOf"].as_array_mut() {
        for list in alternatives.iter_mut().filter(|alternative| alternative["type"] == "array") {
            list["items"] = json!({"anyOf": [list["items"], infinite]});
        }
        alternatives.push(infinite);
    }
}

fn write_out_extensions(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(write_out_extensions),
        Value::Object(object) => {
            write_out_keys(object);
            write_out_choices(object);
            object.retain(|key, _| !key.starts_with("x-"));
            object.values_mut().for_each(write_out_extensions);
        }
        _ => {}
    }
}

/// Older names and ignored keys as properties of their own.
fn write_out_keys(object: &mut Map<String, Value>) {
    let ignored = object.get("x-ignored").cloned();
    let mut alternatives = Vec::new();
    let mut required: Vec<Value> = object.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        let mut older = Vec::new();
        for (key, property) in properties.iter() {
            let aliases: Vec<&str> = property["x-aliases"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for alias in &aliases {
                let mut copy = property.clone();
                copy["description"] = json!(format!("Older name of `{key}`."));
                copy["deprecated"] = json!(true);
                if let Some(copy) = copy.as_object_mut() {
                    copy.retain(|name, _| name != "x-aliases" && name != "default");
                }
                older.push((alias.to_string(), copy));
            }
            if !aliases.is_empty() && required.contains(&json!(key)) {
                required.retain(|name| name != key);
                alternatives.push(json!({"anyOf": std::iter::once(key.as_str()).chain(aliases).map(|name| json!({"required": [name]})).collect::<Vec<_>>()}));
            }
        }
        properties.extend(older);
        for pair in ignored.iter().filter_map(Value::as_array).flatten() {
            if let (Some(key), Some(reason)) = (pair[0].as_str(), pair[1].as_str()) {
                let note = json!({"description": format!("Accepted and ignored: {reason}."), "deprecated": true});
                properties.entry(key).or_insert(note);
            }
        }
    }
    if !alternatives.is_empty() {
        object.insert("required".into(), Value::Array(required));
        object.insert("allOf".into(), Value::Array(alternatives));
    }
    // Closed sections: serde leaves structs with flattened parts open, the reader does not.
    if object.contains_key("properties") && !object.contains_key("additionalProperties") && !is_tagged(object) {
        let key = if object.contains_key("oneOf") { "unevaluatedProperties" } else { "additionalProperties" };
        object.insert(key.into(), json!(false));
    }
}

/// One alternative of a tagged union: the section around it says which other keys there are.
fn is_tagged(object: &Map<String, Value>) -> bool {
    let properties = object.get("properties").and_then(Value::as_object).into_iter().flatten();
    !object.contains_key("oneOf") && properties.into_iter().any(|(key, property)| key != "class" && property.get("const").is_some())
}

/// Other names of a choice as alternatives of their own.
fn write_out_choices(object: &mut Map<String, Value>) {
    let names: Vec<Value> = ["x-names", "x-substituted"]
        .iter()
        .filter_map(|key| object.get(*key)?.as_array().cloned())
        .flatten()
        .map(|pair| pair[0].clone())
        .collect();
    if names.is_empty() {
        return;
    }
    if let Some(branches) = object.get_mut("oneOf").and_then(Value::as_array_mut) {
        branches.push(json!({"type": "string", "enum": names}));
    }
}

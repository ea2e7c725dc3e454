//! The JSON schema of the config (draft 2020-12), made from the recorded shape.

use serde_json::{Map, Value, json};

use super::Config;
use crate::base::settings::{Entry, Shape};

/// The schema of a config file, as it is kept in `config/portcullis.schema.json`. Ends with a line break.
pub fn schema() -> String {
    let mut whole = of(&Config::shape());
    if let Value::Object(whole) = &mut whole {
        whole.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        whole.insert("title".into(), json!("Portcullis config"));
    }
    format!("{whole:#}\n")
}

fn of(shape: &Shape) -> Value {
    match shape {
        Shape::Boolean => json!({ "type": "boolean" }),
        // A number may be filled in from the environment: "${NAME}".
        Shape::Integer(low, high) => filled(&json!({ "type": "integer", "minimum": low, "maximum": high })),
        Shape::Number(low, high) => filled(&json!({ "type": "number", "minimum": low, "maximum": high })),
        Shape::Text { what, example, pattern } => text(what, example, *pattern),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::Constant(value) => json!({ "const": value }),
        Shape::List(inner) => json!({ "type": "array", "items": of(inner) }),
        Shape::OneOf(forms) => json!({ "anyOf": forms.iter().map(of).collect::<Vec<_>>() }),
        Shape::Table(entries) => table(entries),
        Shape::Map(inner) => json!({ "type": "object", "additionalProperties": of(inner) }),
    }
}

fn filled(number: &Value) -> Value {
    json!({ "anyOf": [number, { "type": "string", "pattern": r"\$\{" }] })
}

fn text(what: &str, example: &str, pattern: Option<&str>) -> Value {
    let mut text = json!({ "type": "string", "title": what, "examples": [example] });
    if let Some(pattern) = pattern {
        text["pattern"] = pattern.into();
    }
    text
}

fn table(entries: &[Entry]) -> Value {
    let mut properties = Map::new();
    for entry in entries {
        let mut property = of(&entry.shape);
        property["description"] = entry.doc.into();
        if let Some(default) = &entry.default {
            property["default"] = default.clone();
        }
        properties.insert(entry.name.into(), property);
    }
    let required: Vec<&str> = entries.iter().filter(|entry| entry.required).map(|entry| entry.name).collect();
    let mut table = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        table["required"] = required.into();
    }
    table
}

//! The table of fields as JSON Schema, so that editors complete and check what is written.

use serde_json::{Map, Value, json};

use crate::shape::{Choice, Field, Format, KINDS, Kind, KindShape, Shape, Support};

/// JSON Schema (draft 2020-12) of one resource of any kind.
#[must_use]
pub fn schema() -> Value {
    let of_kind = |shape: &&KindShape| {
        json!({
            "if": { "properties": { "kind": { "const": shape.name } } },
            "then": { "$ref": format!("#/$defs/{}", shape.name) },
        })
    };
    let definitions: Map<String, Value> = KINDS
        .iter()
        .map(|shape| (shape.name.to_owned(), kind(shape)))
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "evenkeel configuration",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata"],
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "enum": KINDS.iter().map(|shape| shape.name).collect::<Vec<_>>() },
        },
        "allOf": KINDS.iter().map(of_kind).collect::<Vec<_>>(),
        "$defs": definitions,
    })
}

fn kind(shape: &KindShape) -> Value {
    let mut schema = object(shape.root);
    let versions: Vec<_> = shape.versions.iter().chain(shape.old_versions).collect();
    schema["description"] = shape.doc.into();
    schema["properties"]["apiVersion"] = json!({ "enum": versions });
    schema["properties"]["kind"] = json!({ "const": shape.name });
    schema
}

fn object(shape: &Shape) -> Value {
    let usable = || {
        shape
            .fields
            .iter()
            .filter(|field| !matches!(field.support, Support::Later(_)))
    };
    let properties: Map<String, Value> = usable()
        .map(|field| (field.name.to_owned(), property(field)))
        .collect();
    let required: Vec<_> = usable()
        .filter(|field| field.required)
        .map(|field| field.name)
        .collect();
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

fn property(field: &Field) -> Value {
    let mut schema = value(field.kind);
    let mut doc = match field.support {
        Support::Ignored(why) => format!("No effect: {why}."),
        _ => field.doc.to_owned(),
    };
    if !field.default.is_empty() {
        doc += &format!(" Default: {}.", field.default.replace('`', ""));
    }
    if !doc.is_empty() {
        schema["description"] = doc.into();
    }
    schema
}

fn value(kind: Kind) -> Value {
    match kind {
        Kind::Text(format) => text(format),
        Kind::Texts { of, least, most } => list(text(of), least, most),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Int(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Number(least, most) => json!({ "type": "number", "minimum": least, "maximum": most }),
        Kind::IntOr((least, most), shape) => {
            json!({ "anyOf": [value(Kind::Int(least, most)), object(shape)] })
        }
        Kind::Ints {
            of: (least, most),
            most: items,
        } => list(value(Kind::Int(least, most)), 0, items),
        Kind::Duration { .. } => json!({ "type": "string", "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$" }),
        Kind::Quantity(least, most) => json!({ "anyOf": [
            { "type": "integer", "minimum": least, "maximum": most },
            { "type": "string", "pattern": "^[0-9]+(k|M|G|Ki|Mi|Gi)?$" },
        ] }),
        Kind::Choice(choices) => choice(choices),
        Kind::Choices { of, most } => list(choice(of), 0, most),
        Kind::Object(shape) => object(shape),
        Kind::Objects { of, least, most } => list(object(of), least, most),
        Kind::Labels => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Anything => json!({}),
    }
}

fn text(format: Format) -> Value {
    let (least, most) = format.length();
    let mut schema = json!({ "type": "string", "minLength": least, "maxLength": most });
    if let Some(pattern) = format.pattern() {
        schema["pattern"] = pattern.into();
    }
    schema
}

fn choice(choices: &[Choice]) -> Value {
    let usable = choices
        .iter()
        .filter(|choice| !matches!(choice.support, Support::Later(_)));
    json!({ "enum": usable.map(|choice| choice.word).collect::<Vec<_>>() })
}

fn list(items: Value, least: usize, most: usize) -> Value {
    json!({ "type": "array", "items": items, "minItems": least, "maxItems": most })
}

//! JSON to CEL values, as the schema declares them.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use kube_cel::cel::Value as Cel;
use kube_cel::cel::objects::{Key, Map};
use serde_json::{Map as Object, Value};

use crate::schema::{Kind, Schema, formats};

/// Words that CEL keeps for itself: a field of that name is `__word__` in a rule.
pub const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The value under its schema: `date-time`, `duration` and `byte` become their CEL types, numbers are doubles where declared so.
pub(super) fn to_cel(schema: &Schema, value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => match (schema.kind, number.as_i64()) {
            (Kind::Number, _) | (_, None) => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
            (_, Some(number)) => Cel::Int(number),
        },
        Value::String(value) => text(schema, value),
        Value::Array(items) => {
            let items = match schema.items.as_deref() {
                Some(child) => items.iter().map(|item| to_cel(child, item)).collect(),
                None => items.iter().map(untyped).collect(),
            };
            Cel::List(Arc::new(items))
        }
        Value::Object(members) => object(schema, members, &|_| true),
    }
}

/// As [`to_cel`]; of an object only those fields that `needed` says, in the way rules write their names.
pub(super) fn to_cel_in_part(schema: &Schema, value: &Value, needed: &dyn Fn(&str) -> bool) -> Cel {
    match value {
        Value::Object(members) => object(schema, members, needed),
        other => to_cel(schema, other),
    }
}

fn object(schema: &Schema, members: &Object<String, Value>, needed: &dyn Fn(&str) -> bool) -> Cel {
    let mut map = HashMap::with_capacity(members.len());
    for (name, value) in members {
        if !needed(name) && !needed(&field_name(name)) {
            continue;
        }
        // Fields that a rule cannot name because no schema declares them are not shown to it, as on a real server.
        let (key, value) = match (schema.properties.get(name), schema.additional.as_deref()) {
            (Some(child), _) => (field_name(name), to_cel(child, value)),
            (None, Some(child)) => (name.clone(), to_cel(child, value)),
            (None, None) if schema.kind == Kind::Any => (name.clone(), untyped(value)),
            (None, None) => continue,
        };
        map.insert(Key::String(Arc::new(key)), value);
    }
    Cel::Map(Map { map: Arc::new(map) })
}

/// A value that no schema describes.
fn untyped(value: &Value) -> Cel {
    to_cel(&Schema::default(), value)
}

fn text(schema: &Schema, value: &str) -> Cel {
    let parsed = match (schema.kind, schema.format.as_str()) {
        (Kind::String, "date-time" | "datetime") => timestamp(value),
        (Kind::String, "date") => timestamp(&format!("{value}T00:00:00Z")),
        (Kind::String, "duration") => duration(value),
        (Kind::String, "byte") => base64::engine::general_purpose::STANDARD.decode(value).ok().map(|bytes| Cel::Bytes(Arc::new(bytes))),
        _ => None,
    };
    parsed.unwrap_or_else(|| Cel::String(Arc::new(value.to_owned())))
}

/// The interpreter's own functions make these values; their types are of a crate that only it depends on.
fn timestamp(value: &str) -> Option<Cel> {
    made_by("timestamp", value)
}

fn duration(value: &str) -> Option<Cel> {
    formats::nanoseconds(value).and_then(|nanoseconds| made_by("duration", &format!("{nanoseconds}ns")))
}

fn made_by(function: &str, value: &str) -> Option<Cel> {
    let expression = super::program::parse_here(&format!("{function}({})", Value::from(value))).ok()?;
    Cel::resolve(&expression, &super::functions::FUNCTIONS).ok()
}

/// How a rule writes a field name: `a-b` is `a__dash__b`, `namespace` is `__namespace__`.
pub(super) fn field_name(name: &str) -> String {
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    if !name.contains(['-', '.', '/']) && !name.contains("__") {
        return name.to_owned();
    }
    name.replace("__", "__underscores__").replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__")
}

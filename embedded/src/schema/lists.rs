//! `x-kubernetes-list-type`: no item twice in a set, no key twice in a map.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{ListKind, Schema};
use crate::status::FieldError;

/// A `Duplicate value` for each item that repeats an earlier one.
pub(super) fn check(schema: &Schema, value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    visit(schema, value, &mut String::new(), &mut errors);
    errors
}

fn visit(schema: &Schema, value: &Value, path: &mut String, errors: &mut Vec<FieldError>) {
    let length = path.len();
    match value {
        Value::Object(object) => {
            for (name, value) in object.iter().filter(|(_, value)| value.is_object() || value.is_array()) {
                let Some(child) = schema.field(name) else { continue };
                if length > 0 {
                    path.push('.');
                }
                path.push_str(name);
                visit(child, value, path, errors);
                path.truncate(length);
            }
        }
        Value::Array(items) => {
            repeated(schema, items, path, errors);
            let Some(child) = &schema.items else { return };
            for (index, item) in items.iter().enumerate().filter(|(_, item)| item.is_object() || item.is_array()) {
                path.push_str(&format!("[{index}]"));
                visit(child, item, path, errors);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

fn repeated(schema: &Schema, items: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    if schema.list == ListKind::Atomic {
        return;
    }
    // The text of a value stands for it: object members are sorted, so equal values have equal texts.
    let mut seen = HashSet::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let identity = match &schema.list {
            ListKind::Map(keys) => identity(keys, item),
            _ => item.clone(),
        };
        if !seen.insert(identity.to_string()) {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), &identity));
        }
    }
}

/// The key members of an item; one that is missing counts as its absence.
fn identity(keys: &[String], item: &Value) -> Value {
    let members: Map<String, Value> = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone()))).collect();
    Value::Object(members)
}

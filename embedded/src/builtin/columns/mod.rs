//! Columns of `kubectl get`, as a Kubernetes API server prints them.
//!
//! A column is a row in a table of [`Heading`]s; its cell is a function of the object alone (and of the clock, for ages).

pub(super) mod core;
mod format;
pub(super) mod pods;
pub(super) mod policies;
pub(super) mod workloads;

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{age, kinds};
use crate::resource::{Column, ColumnSource};

/// A column of a built-in kind.
#[derive(Clone, Copy)]
pub(super) struct Heading {
    name: &'static str,
    kind: &'static str,
    format: &'static str,
    description: Description,
    priority: i32,
    cell: fn(&Value) -> Value,
}

/// Where the explanation of a column comes from.
#[derive(Clone, Copy)]
enum Description {
    /// From the schema, as `group.version.Type.field`.
    Of(&'static str),
    /// These words.
    Text(&'static str),
}
use Description::{Of, Text};

const fn heading(name: &'static str, kind: &'static str, description: Description, cell: fn(&Value) -> Value) -> Heading {
    Heading { name, kind, format: "", description, priority: 0, cell }
}

/// A column that only `-o wide` shows.
const fn wide(name: &'static str, kind: &'static str, description: Description, cell: fn(&Value) -> Value) -> Heading {
    Heading { name, kind, format: "", description, priority: 1, cell }
}

const NAME: Heading =
    Heading { format: "name", ..heading("Name", "string", Of("meta.v1.ObjectMeta.name"), |o| text(o, "/metadata/name", "")) };
const AGE: Heading = heading("Age", "string", Of("meta.v1.ObjectMeta.creationTimestamp"), |o| json!(age::of_object(o)));
/// The time itself, not how long ago: what kinds without columns of their own show, CustomResourceDefinitions and roles among them.
const CREATED_AT: Heading =
    heading("Created At", "date", Of("meta.v1.ObjectMeta.creationTimestamp"), |o| text(o, "/metadata/creationTimestamp", "<unknown>"));

pub(super) const NAME_AND_AGE: &[Heading] = &[NAME, AGE];
pub(super) const NAME_AND_CREATED_AT: &[Heading] = &[NAME, CREATED_AT];

/// The columns for a [`crate::resource::Resource`].
pub(super) fn of(headings: &[Heading]) -> Vec<Column> {
    let described = descriptions();
    headings
        .iter()
        .map(|heading| Column {
            name: heading.name.to_owned(),
            kind: heading.kind.to_owned(),
            format: heading.format.to_owned(),
            description: match heading.description {
                Of(field) => described.get(field).cloned().unwrap_or_default(),
                Text(text) => text.to_owned(),
            },
            priority: heading.priority,
            source: ColumnSource::Computed(heading.cell),
        })
        .collect()
}

/// The fields whose descriptions columns use; the schema generator puts those into a small file of their own.
pub fn described_fields() -> Vec<&'static str> {
    let mut fields: Vec<&str> = kinds::KINDS
        .iter()
        .flat_map(|kind| kind.columns)
        .filter_map(|heading| match heading.description {
            Of(field) => Some(field),
            Text(_) => None,
        })
        .collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}

fn descriptions() -> &'static HashMap<String, String> {
    static READ: std::sync::OnceLock<HashMap<String, String>> = std::sync::OnceLock::new();
    READ.get_or_init(|| serde_json::from_str(include_str!("../../../schemas/columns.json")).unwrap_or_default())
}

/// The string at a JSON pointer, or `absent` where there is none or it is empty.
fn text(object: &Value, pointer: &str, absent: &str) -> Value {
    json!(str_at(object, pointer).unwrap_or(absent))
}

fn str_at<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The integer at a JSON pointer, 0 where there is none.
fn int_at(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn bool_at(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// The items of the array at a JSON pointer; none where it is absent.
fn items_at<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The number of entries of the array or object at a JSON pointer.
fn count_at(object: &Value, pointer: &str) -> usize {
    match object.pointer(pointer) {
        Some(Value::Array(items)) => items.len(),
        Some(Value::Object(fields)) => fields.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;

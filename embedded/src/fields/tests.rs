#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod applying;
mod builtins;
mod custom;
mod merging;
mod random;
mod sets;
mod updating;

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Writer, update};
use crate::builtin;
use crate::schema::Schema;

/// 2026-11-22, so many seconds after noon.
fn at(second: u32) -> String {
    format!("2026-11-22T12:{:02}:{:02}Z", second / 60, second % 60)
}

const NOON: &str = "2026-11-22T12:00:00Z";

fn writer<'a>(manager: &'a str, api_version: &'a str) -> Writer<'a> {
    Writer { manager, api_version, subresource: "", time: NOON }
}

fn builtin_schema(api_version: &str, kind: &str) -> Arc<Schema> {
    let resource = builtin::resources().into_iter().find(|resource| resource.api_version() == api_version && resource.kind == kind);
    resource.unwrap_or_else(|| panic!("no built-in kind {kind} in {api_version}")).schema().clone()
}

fn config_map() -> Arc<Schema> {
    builtin_schema("v1", "ConfigMap")
}

/// `manager operation[/subresource]` and `fieldsV1` of every entry, in the order of the object.
fn managed(object: &Value) -> Vec<(String, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let describe = |entry: &Value| {
        let subresource = entry["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
        (format!("{} {}{subresource}", entry["manager"].as_str().unwrap(), entry["operation"].as_str().unwrap()), entry["fieldsV1"].clone())
    };
    entries.iter().map(describe).collect()
}

#[track_caller]
fn assert_managed(object: &Value, expected: &[(&str, Value)]) {
    let mut found = managed(object);
    let mut expected: Vec<(String, Value)> = expected.iter().map(|(who, fields)| ((*who).to_owned(), fields.clone())).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(json!(found), json!(expected));
}

/// A create or update by the manager, with the fields merged over `old` as a merge patch does.
fn write(schema: &Schema, old: Option<&Value>, changes: Value, writer: &Writer<'_>) -> Value {
    let mut new = old.cloned().unwrap_or_else(|| json!({}));
    json_patch::merge(&mut new, &changes);
    update(schema, old, &mut new, writer);
    new
}

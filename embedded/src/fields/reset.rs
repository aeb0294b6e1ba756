//! Which part of an object each endpoint writes, and writes that only would change times.

use serde_json::{Map, Value};

use super::element::same;
use super::manage::{managed_of, put_managed, take_managed};

/// Takes out of an applied configuration what its endpoint ignores: on the main endpoint of a kind with a status subresource
/// `status`, on `/status` all but `status` and what identifies the object.
pub fn reset_config(config: &mut Value, subresource: &str, has_status: bool) {
    let Some(object) = config.as_object_mut() else { return };
    if subresource == "status" {
        object.retain(|name, _| matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|name, _| matches!(name.as_str(), "name" | "namespace" | "uid" | "resourceVersion" | "managedFields"));
        }
    } else if has_status {
        object.remove("status");
    }
}

/// Puts back in a new state what its endpoint does not write: on the main endpoint of a kind with a status subresource `status`
/// stays as it was, on `/status` all else but `metadata.managedFields` and `metadata.resourceVersion` does.
pub fn reset_update(old: Option<&Value>, new: &mut Value, subresource: &str, has_status: bool) {
    let Some(object) = new.as_object_mut() else { return };
    let status_of_old = old.and_then(|old| old.get("status")).cloned();
    if subresource == "status" {
        let Some(old) = old else { return };
        let status = object.remove("status");
        let sent = object.remove("metadata").unwrap_or_default();
        let mut kept = old.as_object().cloned().unwrap_or_default();
        kept.remove("status");
        if let Some(status) = status {
            kept.insert("status".to_owned(), status);
        }
        let metadata = kept.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        for name in ["managedFields", "resourceVersion"] {
            if let (Some(value), Some(metadata)) = (sent.get(name), metadata.as_object_mut()) {
                metadata.insert(name.to_owned(), value.clone());
            }
        }
        *object = kept;
    } else if has_status {
        match status_of_old {
            Some(status) => object.insert("status".to_owned(), status),
            None => object.remove("status"),
        };
    }
}

/// If `new` differs from `old` in nothing but the times of its managers (and its resource version), gives it the old times:
/// then the write is none. To be called after defaulting.
pub fn keep_times(old: &Value, new: &mut Value) {
    let (Some(before), Some(after)) = (managed_of(old), managed_of(new)) else { return };
    if before == after || !same_entries(before, after) || !same_content(old, new) {
        return;
    }
    let before = before.clone();
    take_managed(new);
    put_managed(new, before);
}

fn same_entries(before: &Value, after: &Value) -> bool {
    let (Value::Array(before), Value::Array(after)) = (before, after) else { return false };
    // The order depends on the times, so every entry looks for its like.
    before.len() == after.len() && before.iter().all(|entry| after.iter().any(|other| same_without(entry, other, &["time"])))
}

fn same_content(old: &Value, new: &Value) -> bool {
    same_without(old, new, &["metadata"])
        && match (old.get("metadata"), new.get("metadata")) {
            (Some(old), Some(new)) => same_without(old, new, &["managedFields", "resourceVersion"]),
            (old, new) => old == new,
        }
}

fn same_without(a: &Value, b: &Value, ignored: &[&str]) -> bool {
    let (Value::Object(a), Value::Object(b)) = (a, b) else { return false };
    let counted = |map: &Map<String, Value>| map.keys().filter(|name| !ignored.contains(&name.as_str())).count();
    counted(a) == counted(b)
        && a.iter()
            .filter(|(name, _)| !ignored.contains(&name.as_str()))
            .all(|(name, value)| b.get(name).is_some_and(|other| same(value, other)))
}

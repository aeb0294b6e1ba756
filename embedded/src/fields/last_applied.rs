//! Objects that `kubectl apply` managed on the client's side before: their annotation says what was applied.
//!
//! Only for the manager `kubectl`, as on a real server: fields that the annotation names and that still are as it says may be taken
//! over without a conflict, and the annotation is kept up to date.

use serde_json::Value;

use super::compare::compare;
use super::from_value::set_of;
use super::set::FieldSet;
use crate::schema::Schema;

const MANAGER: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// All annotations of an object together, in bytes.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// The fields that may be taken over without a conflict.
pub(super) fn may_take(schema: &Schema, live: &Value, manager: &str, api_version: &str) -> FieldSet {
    if manager != MANAGER {
        return FieldSet::default();
    }
    let applied = annotation(live).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(applied) = applied.filter(|applied| applied.get("apiVersion").and_then(Value::as_str) == Some(api_version)) else {
        return FieldSet::default();
    };
    let differences = compare(schema, &applied, live, false);
    set_of(schema, &applied).difference(&differences.modified).difference(&differences.added).difference(&differences.removed)
}

/// Writes `config` into the annotation where there is one already.
pub(super) fn keep_up(merged: &mut Value, config: &Value, manager: &str) {
    if manager != MANAGER || annotation(merged).is_none_or(str::is_empty) {
        return;
    }
    let mut applied = config.clone();
    super::manage::take_managed(&mut applied);
    if let Some(annotations) =
        applied.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations")).and_then(Value::as_object_mut)
    {
        annotations.remove(ANNOTATION);
    }
    let text = format!("{applied}\n");
    let Some(annotations) = merged.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations")).and_then(Value::as_object_mut)
    else {
        return;
    };
    let others: usize = annotations
        .iter()
        .filter(|(name, _)| *name != ANNOTATION)
        .map(|(name, value)| name.len() + value.as_str().map_or(0, str::len))
        .sum();
    if others + ANNOTATION.len() + text.len() > ANNOTATIONS_LIMIT {
        annotations.remove(ANNOTATION);
    } else {
        annotations.insert(ANNOTATION.to_owned(), Value::String(text));
    }
}

fn annotation(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str()
}

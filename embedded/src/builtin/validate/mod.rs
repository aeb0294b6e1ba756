//! Rules of the built-in kinds that a schema cannot say, in Kubernetes' words.

mod config;
mod definitions;
mod other;
mod pods;
mod policies;
pub(crate) mod selectors;
mod services;
mod workloads;

use serde_json::{Value, json};

use crate::resource::Resource;
use crate::status::FieldError;

pub(super) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
pub(super) const IMMUTABLE: &str = "field is immutable";

/// What is wrong with an object of a built-in kind beyond its metadata and schema; `old` is the state before an update.
///
/// To be called on the defaulted object. Kinds from CustomResourceDefinitions have no such rules.
pub fn validate_object(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if resource.custom {
        return errors;
    }
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "ConfigMap" | "Secret") => config::validate(&resource.kind, object, old, &mut errors),
        ("", "Service") => services::validate(object, old, &mut errors),
        ("", "Pod") => pods::validate_pod(object, old, &mut errors),
        ("apps" | "batch" | "autoscaling", kind) => workloads::validate(kind, object, old, &mut errors),
        ("", "ReplicationController") => workloads::validate("ReplicationController", object, old, &mut errors),
        ("apiextensions.k8s.io", _) => definitions::validate(object, old, &mut errors),
        (group, kind) => other::validate(group, kind, object, old, &mut errors),
    }
    errors
}

/// `Unsupported value: …` with the values there are.
fn unsupported(field: impl Into<String>, value: &str, supported: &[&str]) -> FieldError {
    let supported: Vec<Value> = supported.iter().map(|value| json!(value)).collect();
    FieldError::not_supported(field, &json!(value), &supported)
}

/// `Not found: …`.
fn not_found(field: impl Into<String>, value: &str) -> FieldError {
    FieldError { reason: "FieldValueNotFound", field: field.into(), message: format!("Not found: {}", json!(value)) }
}

/// One error a fault of a name or key.
fn faults(errors: &mut Vec<FieldError>, field: &str, value: &str, faults: Vec<String>) {
    errors.extend(faults.into_iter().map(|fault| FieldError::invalid(field, &json!(value), fault)));
}

/// A number that must not be negative.
fn not_negative(errors: &mut Vec<FieldError>, object: &Value, pointer: &str) {
    if let Some(value) = object.pointer(pointer).filter(|value| value.as_i64().is_some_and(|number| number < 0)) {
        errors.push(FieldError::invalid(path(pointer), value, NOT_NEGATIVE));
    }
}

/// The same for fields of a part of the object, which stands at `field`.
fn not_negative_below(errors: &mut Vec<FieldError>, part: &Value, field: &str, names: &[&str]) {
    for name in names {
        if let Some(value) = part.get(name).filter(|value| value.as_i64().is_some_and(|number| number < 0)) {
            errors.push(FieldError::invalid(format!("{field}.{name}"), value, NOT_NEGATIVE));
        }
    }
}

/// A field that must stay as it was.
fn immutable(errors: &mut Vec<FieldError>, object: &Value, old: &Value, pointer: &str) {
    let (new, was) = (object.pointer(pointer), old.pointer(pointer));
    if new.unwrap_or(&Value::Null) != was.unwrap_or(&Value::Null) {
        errors.push(FieldError::invalid(path(pointer), new.unwrap_or(&Value::Null), IMMUTABLE));
    }
}

/// `/spec/replicas` as `spec.replicas`.
fn path(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

#[cfg(test)]
mod tests;

//! Rules for `metadata`, the same for every kind but for what a name may look like.

use serde_json::{Map, Value, json};

use super::json::{items_at, text_at};
use super::names::{self, Check};
use crate::resource::Resource;
use crate::status::FieldError;

/// All annotations of an object together, in bytes.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// What is wrong with the metadata of an object, in Kubernetes' words. `old` is the state before an update.
///
/// A generated name must be in place already: then `metadata.generateName` is checked as the name's beginning.
pub fn validate_metadata(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match old {
        None => validate_names(resource, object, &mut errors),
        Some(old) => validate_update(object, old, &mut errors),
    }
    validate_labels(object.pointer("/metadata/labels"), "metadata.labels", &mut errors);
    validate_annotations(object.pointer("/metadata/annotations"), &mut errors);
    validate_owners(object, &mut errors);
    if old.is_none() {
        validate_finalizers(object, &mut errors);
    }
    errors
}

fn validate_names(resource: &Resource, object: &Value, errors: &mut Vec<FieldError>) {
    let check = name_check(resource);
    let prefix = text_at(object, "/metadata/generateName");
    if let Some(prefix) = prefix {
        // What follows makes a trailing dash good.
        let begun = if prefix.ends_with('-') { format!("{prefix}a") } else { prefix.to_owned() };
        add(errors, "metadata.generateName", prefix, check(&begun));
    }
    match text_at(object, "/metadata/name") {
        Some(name) => add(errors, "metadata.name", name, check(name)),
        None => errors.push(FieldError::required("metadata.name", "name or generateName is required")),
    }
    match (resource.namespaced, text_at(object, "/metadata/namespace")) {
        (true, Some(namespace)) => add(errors, "metadata.namespace", namespace, names::label(namespace)),
        (false, Some(_)) => errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type")),
        (_, None) => {}
    }
}

/// What a name of this kind may look like.
fn name_check(resource: &Resource) -> Check {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("rbac.authorization.k8s.io", _) => names::path_segment,
        ("", "Namespace") => names::label,
        ("", "Service") => names::label_of_1035,
        _ => names::subdomain,
    }
}

fn add(errors: &mut Vec<FieldError>, field: &str, value: &str, faults: Vec<String>) {
    errors.extend(faults.into_iter().map(|fault| FieldError::invalid(field, &json!(value), fault)));
}

/// Keys and values of labels, at the given field; also for labels elsewhere, such as in selectors and templates.
pub(super) fn validate_labels(labels: Option<&Value>, field: &str, errors: &mut Vec<FieldError>) {
    for (key, value) in entries(labels) {
        add(errors, field, key, names::qualified(key));
        let value = value.as_str().unwrap_or_default();
        add(errors, field, value, names::label_value(value));
    }
}

fn validate_annotations(annotations: Option<&Value>, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, value) in entries(annotations) {
        size += key.len() + value.as_str().map_or(0, str::len);
        // Upper case is allowed here, in the domain before the slash too.
        add(errors, "metadata.annotations", key, names::qualified(&key.to_lowercase()));
    }
    if size > ANNOTATIONS_LIMIT {
        let message = format!("Too long: may not be more than {ANNOTATIONS_LIMIT} bytes");
        errors.push(FieldError { reason: "FieldValueTooLong", field: "metadata.annotations".to_owned(), message });
    }
}

fn entries(map: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    map.and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

fn validate_owners(object: &Value, errors: &mut Vec<FieldError>) {
    let owners = items_at(object, "/metadata/ownerReferences");
    for (index, owner) in owners.iter().enumerate() {
        let field = |name: &str| format!("metadata.ownerReferences[{index}].{name}");
        let api_version = text_at(owner, "/apiVersion").unwrap_or_default();
        if api_version.is_empty() || api_version.ends_with('/') {
            errors.push(FieldError::invalid(field("apiVersion"), &json!(api_version), "version must not be empty"));
        }
        for name in ["kind", "name", "uid"] {
            if text_at(owner, &format!("/{name}")).is_none() {
                errors.push(FieldError::invalid(field(name), &json!(""), "must not be empty"));
            }
        }
        if text_at(owner, "/kind") == Some("Event") && matches!(api_version, "v1" | "events.k8s.io/v1") {
            errors.push(FieldError::invalid(
                field("").trim_end_matches('.'),
                owner,
                format!("{api_version}, Kind=Event is disallowed from being an owner"),
            ));
        }
    }
    let controllers: Vec<&str> = owners
        .iter()
        .filter(|owner| owner.get("controller") == Some(&json!(true)))
        .map(|owner| text_at(owner, "/name").unwrap_or_default())
        .collect();
    if let [first, second, ..] = controllers[..] {
        let detail = format!("Only one reference can have Controller set to true. Found \"true\" in references for {first} and {second}");
        errors.push(FieldError::invalid("metadata.ownerReferences", &json!(owners), detail));
    }
}

fn validate_finalizers(object: &Value, errors: &mut Vec<FieldError>) {
    let finalizers = items_at(object, "/metadata/finalizers");
    for finalizer in finalizers.iter().filter_map(Value::as_str) {
        add(errors, "metadata.finalizers", finalizer, names::qualified(finalizer));
    }
    if ["orphan", "foregroundDeletion"].iter().all(|wanted| finalizers.iter().any(|finalizer| finalizer == wanted)) {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid("metadata.finalizers", &json!(finalizers), detail));
    }
}

fn validate_update(object: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let added: Vec<&str> = items_at(object, "/metadata/finalizers")
        .iter()
        .filter(|finalizer| !items_at(old, "/metadata/finalizers").contains(finalizer))
        .filter_map(Value::as_str)
        .collect();
    if old.pointer("/metadata/deletionTimestamp").is_some_and(Value::is_string) {
        if !added.is_empty() {
            let list = added.iter().map(|finalizer| format!("{finalizer:?}")).collect::<Vec<_>>().join(", ");
            let detail = format!("no new finalizers can be added if the object is being deleted, found new finalizers []string{{{list}}}");
            errors.push(FieldError::forbidden("metadata.finalizers", detail));
        }
    } else {
        for finalizer in added {
            add(errors, "metadata.finalizers", finalizer, names::qualified(finalizer));
        }
    }
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        let pointer = format!("/metadata/{field}");
        if let (Some(new), Some(was)) = (text_at(object, &pointer), text_at(old, &pointer))
            && new != was
        {
            errors.push(FieldError::invalid(format!("metadata.{field}"), &json!(new), "field is immutable"));
        }
    }
}

#[cfg(test)]
mod tests;

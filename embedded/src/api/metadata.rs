//! The metadata only the server writes, and how it is carried from one state of an object to the next.

use serde_json::{Map, Value, json};

use crate::naming;
use crate::resource::Resource;
use crate::status::Status;

/// A generated name is cut so that it stays a valid label value.
const LONGEST_PREFIX: usize = 58;

/// The present time as Kubernetes writes it: whole seconds, UTC.
pub(super) fn now() -> String {
    later(0)
}

/// The time so many seconds from now.
pub(super) fn later(seconds: i64) -> String {
    let now = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(now.saturating_add(seconds)).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// Five random characters.
pub(super) fn random_suffix() -> String {
    let random = uuid::Uuid::new_v4().as_u128();
    (0..5).map(|place| naming::letter(u64::try_from((random >> (place * 16)) & 0xffff).unwrap_or(0))).collect()
}

/// The metadata of an object, made where it is missing.
pub(super) fn of(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    match &mut object["metadata"] {
        Value::Object(metadata) => metadata,
        // It was made an object just above.
        _ => unreachable!(),
    }
}

/// A text in the metadata, empty where it is absent.
pub(super) fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"][key].as_str().unwrap_or_default()
}

/// Whether `metadata.<key>` is a list with something in it.
pub(super) fn has_any(object: &Value, key: &str) -> bool {
    object["metadata"][key].as_array().is_some_and(|items| !items.is_empty())
}

/// Whether the object waits for its deletion.
pub(super) fn is_deleting(object: &Value) -> bool {
    !text(object, "deletionTimestamp").is_empty()
}

/// Whether objects of a kind count the changes of their specification.
pub(super) fn has_generation(resource: &Resource) -> bool {
    let counted = [
        "CronJob",
        "CustomResourceDefinition",
        "DaemonSet",
        "Deployment",
        "EndpointSlice",
        "Ingress",
        "Job",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "ReplicaSet",
        "ReplicationController",
        "StatefulSet",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    resource.custom || counted.contains(&resource.kind.as_str())
}

/// Gives a new object its identity. The name stays as it is; see [`generate_name`].
pub(super) fn begin(resource: &Resource, namespace: &str, object: &mut Value) {
    let generation = has_generation(resource);
    let metadata = of(object);
    for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation", "resourceVersion"] {
        metadata.remove(key);
    }
    metadata.insert("uid".into(), json!(uuid::Uuid::new_v4().to_string()));
    metadata.insert("creationTimestamp".into(), json!(now()));
    if generation {
        metadata.insert("generation".into(), json!(1));
    }
    if resource.namespaced {
        metadata.insert("namespace".into(), json!(namespace));
    } else {
        metadata.remove("namespace");
    }
}

/// Makes a name of `generateName` where there is no name. Says whether it did.
pub(super) fn generate_name(object: &mut Value) -> bool {
    let prefix = text(object, "generateName").to_owned();
    if prefix.is_empty() || !text(object, "name").is_empty() {
        return false;
    }
    let end = (0..=LONGEST_PREFIX.min(prefix.len())).rev().find(|end| prefix.is_char_boundary(*end)).unwrap_or(0);
    of(object).insert("name".into(), json!(format!("{}{}", &prefix[..end], random_suffix())));
    true
}

/// Carries what clients cannot change from the state before: identity, times, deletion, generation.
pub(super) fn carry_over(old: &Value, new: &mut Value) {
    let metadata = of(new);
    for key in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "namespace",
        "name",
        "resourceVersion",
    ] {
        match old["metadata"].get(key) {
            Some(value) => drop(metadata.insert(key.into(), value.clone())),
            None => drop(metadata.remove(key)),
        }
    }
    metadata.remove("selfLink");
}

/// Counts the generation up where the specification changed.
pub(super) fn count_generation(resource: &Resource, old: &Value, new: &mut Value) {
    if !has_generation(resource) || old["metadata"]["generation"].is_null() {
        return;
    }
    let changed =
        if resource.custom { wanted_state(resource, old) != wanted_state(resource, new) } else { old.get("spec") != new.get("spec") };
    if changed {
        bump_generation(new);
    }
}

/// One more generation.
pub(super) fn bump_generation(object: &mut Value) {
    if let Some(generation) = object["metadata"]["generation"].as_i64().filter(|generation| *generation > 0) {
        object["metadata"]["generation"] = json!(generation + 1);
    }
}

/// Of a custom kind everything is specification but metadata and, where it is a subresource, status.
fn wanted_state(resource: &Resource, object: &Value) -> Value {
    let mut state = object.clone();
    if let Some(members) = state.as_object_mut() {
        for key in ["metadata", "apiVersion", "kind"].into_iter().chain(resource.status.then_some("status")) {
            members.remove(key);
        }
    }
    state
}

/// Empty lists and maps in the metadata are the same as none.
pub(super) fn drop_empty(object: &mut Value) {
    let metadata = of(object);
    for key in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let empty = match metadata.get(key) {
            Some(Value::Array(items)) => items.is_empty(),
            Some(Value::Object(members)) => members.is_empty(),
            Some(Value::Null) => true,
            _ => false,
        };
        if empty {
            metadata.remove(key);
        }
    }
}

/// Checks that name and namespace in the body are those of the path.
pub(super) fn check_place(object: &Value, name: &str, namespace: &str) -> Result<(), Status> {
    let given = text(object, "name");
    if given.is_empty() {
        return Err(Status::bad_request(format!("the name of the object ({name} based on URL) was undeterminable: name must be provided")));
    }
    if given != name {
        return Err(Status::bad_request(format!("the name of the object ({given}) does not match the name on the URL ({name})")));
    }
    check_namespace(object, namespace)
}

/// Checks that the namespace in the body is that of the path.
pub(super) fn check_namespace(object: &Value, namespace: &str) -> Result<(), Status> {
    let given = text(object, "namespace");
    if namespace.is_empty() || given.is_empty() || given == namespace {
        return Ok(());
    }
    Err(Status::bad_request("the namespace of the provided object does not match the namespace sent on the request"))
}

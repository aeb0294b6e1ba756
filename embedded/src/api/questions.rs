//! Which questions about rights and tokens make sense; what else is asked is refused as a Kubernetes server refuses it.

use serde_json::{Value, json};

use crate::resource::Resource;
use crate::status::{FieldError, Status};

/// Refuses a question that cannot be answered. `namespace` is that of the path, empty where there is none.
pub(super) fn check(resource: &Resource, question: &Value, namespace: &str) -> Result<(), Status> {
    let spec = &question["spec"];
    match resource.kind.as_str() {
        "TokenReview" if spec["token"].as_str().unwrap_or_default().is_empty() => {
            Err(Status::bad_request("token is required for TokenReview in authentication"))
        }
        "SelfSubjectRulesReview" if spec["namespace"].as_str().unwrap_or_default().is_empty() => {
            Err(Status::bad_request("no namespace on request"))
        }
        "SelfSubjectAccessReview" => refuse(attributes(spec)),
        "SubjectAccessReview" => refuse(attributes(spec).into_iter().chain(subject(spec)).collect()),
        "LocalSubjectAccessReview" => {
            let mut errors = attributes(spec);
            errors.extend(subject(spec));
            errors.extend(local(spec, namespace));
            refuse(errors)
        }
        _ => Ok(()),
    }
}

fn refuse(errors: Vec<FieldError>) -> Result<(), Status> {
    // The kind is empty there, too.
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("authorization.k8s.io", "", "", &errors)) }
}

/// Exactly one of the two kinds of attributes.
fn attributes(spec: &Value) -> Vec<FieldError> {
    match (spec["resourceAttributes"].is_object(), spec["nonResourceAttributes"].is_object()) {
        (true, true) => vec![other_path(spec, "cannot be specified in combination with resourceAttributes")],
        (false, false) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            vec![FieldError::invalid("spec.resourceAttributes", &Value::Null, detail)]
        }
        _ => Vec::new(),
    }
}

fn other_path(spec: &Value, detail: &str) -> FieldError {
    let text = |key: &str| spec["nonResourceAttributes"][key].as_str().unwrap_or_default();
    FieldError::invalid("spec.nonResourceAttributes", &json!({"Path": text("path"), "Verb": text("verb")}), detail)
}

fn subject(spec: &Value) -> Option<FieldError> {
    let nobody = spec["user"].as_str().unwrap_or_default().is_empty() && spec["groups"].as_array().is_none_or(Vec::is_empty);
    nobody.then(|| FieldError::invalid("spec.user", &json!(""), "at least one of user or group must be specified"))
}

/// Whoever may ask about one namespace is told nothing about another, nor about what is in none.
fn local(spec: &Value, namespace: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if spec["nonResourceAttributes"].is_object() {
        errors.push(other_path(spec, "disallowed on this kind of request"));
    }
    let asked = spec["resourceAttributes"]["namespace"].as_str().unwrap_or_default();
    if spec["resourceAttributes"].is_object() && asked != namespace {
        errors.push(FieldError::invalid("spec.resourceAttributes.namespace", &json!(asked), "must match metadata.namespace"));
    }
    errors
}

//! What an object passes on its way in: decoding, unknown fields, defaults, rules.

use serde_json::{Value, json};

use super::request::{Call, FieldValidation};
use super::{Api, crd, metadata, protobuf, respond, scale, yaml};
use crate::resource::Resource;
use crate::status::{FieldError, Status};
use crate::{builtin, schema};

impl Api {
    /// The object in the body, which must be of the kind the path names.
    pub(super) fn decode_object(&self, call: &Call, resource: &Resource) -> Result<Value, Status> {
        let mut object = decode_body(call, &resource.kind)?;
        check_kind(resource, &mut object)?;
        Ok(object)
    }

    /// Refuses unknown and repeated fields or returns a warning for each, as the client wishes.
    pub(super) fn check_fields(&self, call: &Call, resource: &Resource, object: &Value) -> Result<Vec<String>, Status> {
        let validation = call.field_validation();
        if validation == FieldValidation::Ignore {
            return Ok(Vec::new());
        }
        let problems = field_problems(call, resource, object);
        if validation == FieldValidation::Warn || problems.is_empty() {
            return Ok(problems);
        }
        let text = problems.join(", ");
        Err(Status::bad_request(format!(
            "{0} in version {1:?} cannot be handled as a {0}: strict decoding error: {text}",
            resource.kind, resource.version
        )))
    }

    /// Drops what the schema does not know and fills in what it has a default for.
    pub(super) fn complete(&self, resource: &Resource, object: &mut Value) {
        schema::prune(resource.schema(), object);
        metadata::drop_empty(object);
        schema::apply_defaults(resource.schema(), object);
        builtin::default_object(resource, object);
        if crd::is_definition(resource) {
            crd::default_definition(object);
        }
    }

    /// All rules for an object; `old` is the state before an update.
    pub(super) fn validate(&self, resource: &Resource, object: &Value, old: Option<&Value>) -> Result<(), Status> {
        let mut errors = builtin::validate_metadata(resource, object, old);
        if old.is_some() {
            // Metadata is looked at twice on updates, by the generic code and by the kind's own: the causes show it.
            errors.extend(errors.clone());
        } else if !errors.is_empty() {
            return Err(invalid(resource, object, &errors));
        }
        if resource.custom {
            errors.extend(check_type(resource, object));
        }
        errors.extend(schema::validate(resource.schema(), object, old));
        if let Some(paths) = resource.scale.as_ref().filter(|_| resource.custom) {
            errors.extend(scale::validate(paths, object));
        }
        errors.extend(builtin::validate_object(resource, object, old));
        if crd::is_definition(resource) {
            errors.extend(crd::validate_definition(object));
        }
        if errors.is_empty() { Ok(()) } else { Err(invalid(resource, object, &errors)) }
    }
}

/// 422. The sentence says everything once, however many causes repeat it.
pub(super) fn invalid(resource: &Resource, object: &Value, errors: &[FieldError]) -> Status {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let mut unique: Vec<FieldError> = Vec::new();
    for error in errors {
        if !unique.contains(error) {
            unique.push(error.clone());
        }
    }
    let mut status = Status::invalid(&resource.group, &resource.kind, name, &unique);
    let causes: Vec<Value> =
        errors.iter().map(|error| json!({"reason": error.reason, "message": error.message, "field": error.field})).collect();
    if let Some(details) = status.details.as_mut() {
        details["causes"] = Value::Array(causes);
    }
    status
}

/// `unknown field "spec.x"`, `duplicate field "spec.y"`.
pub(super) fn field_problems(call: &Call, resource: &Resource, object: &Value) -> Vec<String> {
    let mut problems: Vec<String> = Vec::new();
    if matches!(call.content_type().as_str(), "" | "application/json") {
        problems.extend(schema::duplicate_keys(&call.body).into_iter().map(|field| format!("duplicate field {field:?}")));
    }
    problems.extend(schema::unknown_fields(resource.schema(), object).into_iter().map(|field| format!("unknown field {field:?}")));
    problems
}

/// The body as a tree, from JSON, YAML or protobuf.
pub(super) fn decode_body(call: &Call, kind: &str) -> Result<Value, Status> {
    let unrecognized = |why: String| {
        let start: String = String::from_utf8_lossy(&call.body).chars().take(100).collect();
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {why} ({start})"
        ))
    };
    let value = match call.content_type().as_str() {
        "" | "application/json" => parse_json(&call.body).map_err(unrecognized)?,
        "application/yaml" => parse_yaml(&call.body).map_err(unrecognized)?,
        protobuf::MEDIA_TYPE => protobuf::decode(&call.body)?,
        _ => return Err(unsupported_media_type(&["application/json", "application/yaml", protobuf::MEDIA_TYPE])),
    };
    if value.is_object() { Ok(value) } else { Err(unrecognized("the body is not an object".to_owned())) }
}

/// 415.
pub(super) fn unsupported_media_type(accepted: &[&str]) -> Status {
    let list = accepted.join(", ");
    Status::new(
        415,
        "UnsupportedMediaType",
        format!("the body of the request was in an unknown format - accepted media types include: {list}"),
    )
}

/// JSON, with the reason where it is not.
pub(super) fn parse_json(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|cause| cause.to_string())?;
    text.parse().map_err(|cause: serde_json::Error| cause.to_string())
}

/// YAML, of which JSON is a part.
pub(super) fn parse_yaml(text: &[u8]) -> Result<Value, String> {
    if let Some(value) = respond::parse(text) {
        return Ok(value);
    }
    yaml::parse(text)
}

fn check_kind(resource: &Resource, object: &mut Value) -> Result<(), Status> {
    let version = resource.api_version();
    if resource.custom {
        for (key, word) in [("kind", "Kind"), ("apiVersion", "apiVersion")] {
            if object[key].as_str().unwrap_or_default().is_empty() {
                return Err(Status::bad_request(format!("Object '{word}' is missing in '{object}'")));
            }
        }
        if object["apiVersion"] != version.as_str() {
            let given = object["apiVersion"].as_str().unwrap_or_default();
            return Err(Status::bad_request(format!(
                "the API version in the data ({given}) does not match the expected API version ({version})"
            )));
        }
        return Ok(());
    }
    let given = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    let (given_version, given_kind) = (given("apiVersion"), given("kind"));
    let kind_differs = !given_kind.is_empty() && given_kind != resource.kind;
    let version_differs = !given_version.is_empty() && given_version != version;
    if kind_differs || (version_differs && group_of(&given_version) != resource.group) {
        let (kind, expected) = (&given_kind, &resource.kind);
        let (name, internal) = (given_version.rsplit('/').next().unwrap_or_default(), internal_group(&resource.group));
        return Err(Status::bad_request(format!(
            "{kind} in version {name:?} cannot be handled as a {expected}: converting ({name}.{kind}) to ({internal}.{expected}): unknown conversion"
        )));
    }
    if version_differs {
        return Err(Status::bad_request(format!(
            "the API version in the data ({given_version}) does not match the expected API version ({version})"
        )));
    }
    object["apiVersion"] = json!(version);
    object["kind"] = json!(resource.kind);
    Ok(())
}

fn group_of(version: &str) -> &str {
    version.split_once('/').map_or("", |(group, _)| group)
}

/// What a Kubernetes server calls its internal version of a group.
fn internal_group(group: &str) -> &str {
    if group.is_empty() { "core" } else { group.split('.').next().unwrap_or_default() }
}

fn check_type(resource: &Resource, object: &Value) -> Vec<FieldError> {
    let version = resource.api_version();
    let expected = [("kind", resource.kind.as_str()), ("apiVersion", version.as_str())];
    let wrong = expected.into_iter().filter(|(key, expected)| object[*key] != *expected);
    wrong.map(|(key, expected)| FieldError::invalid(key, &object[key], format!("must be {expected}"))).collect()
}

/// Refuses an applied configuration of another kind than the path names.
pub(super) fn check_applied_kind(resource: &Resource, config: &Value) -> Result<(), Status> {
    let version = resource.api_version();
    for (key, expected) in [("apiVersion", version.as_str()), ("kind", resource.kind.as_str())] {
        let given = config[key].as_str().unwrap_or_default();
        if given.is_empty() {
            return Err(Status::bad_request(format!("invalid object type: {key} must be set in the applied configuration")));
        }
        if given != expected {
            let message = format!("Incorrect version specified in apply patch. Specified patch {key}: {given}, expected: {expected}");
            return Err(Status::bad_request(message));
        }
    }
    Ok(())
}

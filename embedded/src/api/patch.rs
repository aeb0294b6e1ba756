//! PATCH: JSON patch, merge patch, strategic merge patch and apply.

use serde_json::{Value, json};

use super::admission::{check_applied_kind, parse_json, parse_yaml, unsupported_media_type};
use super::metadata::{self, check_place};
use super::negotiation::Form;
use super::protobuf::order;
use super::read::shaped;
use super::request::{Call, FieldValidation};
use super::respond::{self, Answer};
use super::routing::Target;
use super::write::{Ownership, Written};
use super::{Api, view};
use crate::fields::{self, Writer};
use crate::status::{FieldError, Status};
use crate::{patch, schema};

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

impl Api {
    pub(super) async fn patch(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        let resource = &target.resource;
        let media_type = call.content_type();
        match media_type.as_str() {
            JSON | MERGE => {}
            STRATEGIC | APPLY if target.subresource == "scale" => return Err(unsupported_media_type(&[JSON, MERGE])),
            STRATEGIC if resource.custom => return Err(unsupported_media_type(&[JSON, MERGE, APPLY])),
            STRATEGIC | APPLY => {}
            _ => {
                let mut status = Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type");
                status.details = Some(json!({}));
                return Err(status);
            }
        }
        let form = Form::negotiate(call.header("accept"))?;
        let applies = media_type == APPLY;
        check_patch_options(call, applies)?;
        let body = if applies { parse_yaml(&call.body) } else { parse_json(&call.body) };
        let body = body.map_err(|why| Status::bad_request(format!("error decoding patch: {why}")))?;
        if target.subresource == "scale" {
            return self.patch_scale(call, target, form, |scale| patched(target, &media_type, scale, &body)).await;
        }
        let (written, warnings) =
            if applies { self.apply(call, target, body).await? } else { self.patch_object(call, target, &media_type, &body).await? };
        let mut answer = respond::value(if written.created { 201 } else { 200 }, form.syntax, &shaped(call, target, form, written.object));
        respond::warn(&mut answer, &warnings);
        Ok(answer)
    }

    async fn patch_object(&self, call: &Call, target: &Target, media_type: &str, body: &Value) -> Result<(Written, Vec<String>), Status> {
        let warnings = std::sync::Mutex::new(Vec::new());
        let written = self
            .change(call, target, &Ownership::of(call, target), |old| {
                let new = patched(target, media_type, old, body)?;
                let problems = unknown(call, target, media_type, body, &new)?;
                if let Ok(mut warnings) = warnings.lock() {
                    *warnings = problems;
                }
                Ok(new)
            })
            .await?;
        Ok((written, warnings.into_inner().unwrap_or_default()))
    }

    /// Server-side apply: what is not there is created.
    async fn apply(&self, call: &Call, target: &Target, mut config: Value) -> Result<(Written, Vec<String>), Status> {
        let resource = &target.resource;
        check_applied_kind(resource, &config)?;
        if config["metadata"].get("managedFields").is_some_and(|fields| !fields.is_null()) {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        metadata::of(&mut config).entry("name").or_insert_with(|| json!(target.name()));
        check_place(&config, target.name(), &target.namespace)?;
        if resource.namespaced {
            metadata::of(&mut config).insert("namespace".into(), json!(target.namespace));
        }
        fields::reset_config(&mut config, &target.subresource, resource.status);
        let (manager, version, time) = (call.manager(), resource.api_version(), metadata::now());
        let writer = Writer { manager: &manager, api_version: &version, subresource: &target.subresource, time: &time };
        let settled = Ownership { manager: manager.clone(), subresource: target.subresource.clone(), settled: true };
        let force = call.query.flag("force");
        // An object that appears or goes between the look and the write sends the request round again.
        loop {
            if self.store().get(&self.key(target)).is_some() || !target.subresource.is_empty() {
                let result =
                    self.change(call, target, &settled, |old| fields::apply(resource.schema(), Some(old), &config, &writer, force)).await;
                match result {
                    Err(status) if status.code == 404 && target.subresource.is_empty() => continue,
                    other => return other.map(|written| (written, Vec::new())),
                }
            }
            refuse_identity(target, &config)?;
            self.demand_create(call, target)?;
            let new = fields::apply(resource.schema(), None, &config, &writer, force)?;
            match self.create_object(call, target, new, &settled).await {
                Err(status) if status.reason == "AlreadyExists" && !call.dry_run() => {}
                other => return other.map(|object| (Written { object, created: true }, Vec::new())),
            }
        }
    }
}

/// The state that a patch makes of another.
fn patched(target: &Target, media_type: &str, old: &Value, body: &Value) -> Result<Value, Status> {
    match media_type {
        JSON => patch::json_patch(old, body),
        STRATEGIC => patch::strategic(target.resource.schema(), old, body),
        _ => {
            let mut new = old.clone();
            patch::merge_patch(&mut new, body);
            Ok(new)
        }
    }
}

fn check_patch_options(call: &Call, applies: bool) -> Result<(), Status> {
    call.check_write_options("PatchOptions")?;
    let mut errors = Vec::new();
    if applies && call.query.text("fieldManager").is_empty() {
        errors.push(FieldError::required("fieldManager", "is required for apply patch"));
    }
    if !applies && call.query.get("force").is_some() {
        errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &errors)) }
}

/// Unknown fields after a patch: an error or warnings, as the client wishes.
fn unknown(call: &Call, target: &Target, media_type: &str, body: &Value, new: &Value) -> Result<Vec<String>, Status> {
    let validation = call.field_validation();
    if validation == FieldValidation::Ignore {
        return Ok(Vec::new());
    }
    let mut problems: Vec<String> =
        schema::duplicate_keys(&call.body).into_iter().map(|field| format!("duplicate field {field:?}")).collect();
    problems.extend(schema::unknown_fields(target.resource.schema(), new).into_iter().map(|field| format!("unknown field {field:?}")));
    if validation == FieldValidation::Warn || problems.is_empty() {
        return Ok(problems);
    }
    // The server of Kubernetes shows here what it could not decode: the whole object, or for a strategic patch the patch.
    let shown = if media_type == STRATEGIC {
        go_map(body)
    } else {
        order::after_patch(&target.resource.api_version(), &target.resource.kind, new, &order::touched(body))
    };
    let error = FieldError::invalid("patch", &json!(shown), format!("strict decoding error: {}", problems.join(", ")));
    let mut status = Status::invalid("", "", "", std::slice::from_ref(&error));
    status.message = format!(" \"\" is invalid: {error}");
    Err(status)
}

/// A tree as Go prints maps: `map[a:1 b:[x y]]`.
fn go_map(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            format!("map[{}]", members.iter().map(|(key, value)| format!("{key}:{}", go_map(value))).collect::<Vec<_>>().join(" "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(go_map).collect::<Vec<_>>().join(" ")),
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

/// Who applies with an identity means an object that is there.
fn refuse_identity(target: &Target, config: &Value) -> Result<(), Status> {
    let uid = metadata::text(config, "uid");
    let resource = &target.resource;
    if !uid.is_empty() {
        let detail = format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
        return Err(Status::conflict(&resource.group, &resource.plural, target.name(), &detail));
    }
    if !metadata::text(config, "resourceVersion").is_empty() {
        return Err(Status::not_found(&resource.group, &resource.plural, target.name()));
    }
    Ok(())
}

/// An object as the store has it, in the version asked for.
pub(super) fn present(api: &Api, target: &Target) -> Result<Value, Status> {
    Ok(view::value(&target.resource, api.find(target)?.as_ref()))
}

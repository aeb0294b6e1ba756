//! `/scale`: how many replicas, whatever the kind.

use serde_json::{Value, json};

use super::Api;
use super::admission::decode_body;
use super::metadata::{self, check_place};
use super::negotiation::Form;
use super::patch::present;
use super::request::Call;
use super::respond::{self, Answer};
use super::routing::Target;
use super::write::Ownership;
use crate::resource::Scale;
use crate::status::{FieldError, Status};

/// Where the paths of `/scale` lead in an object.
fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.trim_start_matches('.').split('.').try_fold(object, |value, key| value.get(key))
}

fn set(object: &mut Value, path: &str, value: Value) {
    let mut place = object;
    for key in path.trim_start_matches('.').split('.') {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[key];
    }
    *place = value;
}

/// An object as `Scale`.
pub(super) fn scale_of(paths: &Scale, object: &Value) -> Value {
    let number = |path: &str| at(object, path).and_then(Value::as_i64).unwrap_or(0);
    let mut metadata = json!({});
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(key) {
            metadata[key] = value.clone();
        }
    }
    let mut spec = json!({});
    if number(&paths.spec_replicas) != 0 {
        spec["replicas"] = json!(number(&paths.spec_replicas));
    }
    let mut status = json!({"replicas": number(&paths.status_replicas)});
    let selector = paths.label_selector.as_ref().and_then(|path| at(object, path)).map(selector_text).unwrap_or_default();
    if !selector.is_empty() {
        status["selector"] = json!(selector);
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}

/// A selector as text: it is text already in custom kinds, a map or a `LabelSelector` in built-in ones.
fn selector_text(selector: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match selector {
        Value::String(text) => text.clone(),
        Value::Object(members) => {
            let structured = members.contains_key("matchLabels") || members.contains_key("matchExpressions");
            let labels = if structured { selector["matchLabels"].as_object() } else { Some(members) };
            let mut terms: Vec<String> = labels.into_iter().flatten().map(|(key, value)| format!("{key}={}", text(value))).collect();
            for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
                let key = text(&expression["key"]);
                let values = expression["values"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(",");
                terms.push(match expression["operator"].as_str().unwrap_or_default() {
                    "In" => format!("{key} in ({values})"),
                    "NotIn" => format!("{key} notin ({values})"),
                    "DoesNotExist" => format!("!{key}"),
                    _ => key,
                });
            }
            terms.sort();
            terms.join(",")
        }
        _ => String::new(),
    }
}

fn paths_of(target: &Target) -> Result<&Scale, Status> {
    target.resource.scale.as_ref().ok_or_else(|| Status::not_found(&target.resource.group, &target.resource.plural, target.name()))
}

impl Api {
    pub(super) fn get_scale(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        let form = Form::negotiate(call.header("accept"))?;
        Ok(respond::value(200, form.syntax, &scale_of(paths_of(target)?, &present(self, target)?)))
    }

    pub(super) async fn put_scale(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        call.check_write_options("UpdateOptions")?;
        let form = Form::negotiate(call.header("accept"))?;
        let sent = decode_body(call, "Scale")?;
        self.patch_scale(call, target, form, |_| Ok(sent.clone())).await
    }

    /// Changes the replicas as `change` changes the `Scale`.
    pub(super) async fn patch_scale(
        &self,
        call: &Call,
        target: &Target,
        form: Form,
        change: impl Fn(&Value) -> Result<Value, Status> + Send + Sync,
    ) -> Result<Answer, Status> {
        let paths = paths_of(target)?;
        let written = self
            .change(call, target, &Ownership::of(call, target), |old| {
                let scale = change(&scale_of(paths, old))?;
                check_place(&scale, target.name(), &target.namespace)?;
                let replicas = wanted(target, &scale)?;
                let mut new = old.clone();
                set(&mut new, &paths.spec_replicas, json!(replicas));
                // A version in the Scale is a condition on the object.
                let version = metadata::text(&scale, "resourceVersion").to_owned();
                metadata::of(&mut new).insert("resourceVersion".into(), json!(version));
                Ok(new)
            })
            .await?;
        Ok(respond::value(200, form.syntax, &scale_of(paths, &written.object)))
    }
}

/// The replicas a `Scale` asks for.
fn wanted(target: &Target, scale: &Value) -> Result<i64, Status> {
    let replicas = match &scale["spec"]["replicas"] {
        Value::Null => Some(0),
        other => other.as_i64(),
    };
    let detail = match replicas {
        Some(replicas) if replicas >= 0 && i32::try_from(replicas).is_ok() => return Ok(replicas),
        Some(_) => "must be greater than or equal to 0",
        None => "must be a whole number",
    };
    let error = FieldError::invalid("spec.replicas", &scale["spec"]["replicas"], detail);
    Err(Status::invalid("autoscaling", "Scale", target.name(), &[error]))
}

/// Scaling leaves no time in the managed fields: a Kubernetes server loses it on the way between the two kinds, and so do we.
pub(super) fn forget_time(manager: &str, object: &mut Value) {
    for entry in object["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
        if entry["subresource"] == "scale"
            && entry["manager"] == manager
            && let Some(entry) = entry.as_object_mut()
        {
            entry.remove("time");
        }
    }
}

/// The rules `/scale` puts on objects of a custom kind.
pub(super) fn validate(paths: &Scale, object: &Value) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> =
        [&paths.spec_replicas, &paths.status_replicas].into_iter().filter_map(|path| check_number(path, object)).collect();
    if let Some(path) = &paths.label_selector
        && let Some(value) = at(object, path)
        && let Some(text) = value.as_str()
        && let Err(status) = super::selectors::LabelSelector::parse(text)
    {
        errors.push(FieldError::invalid(path, value, status.message));
    }
    errors
}

fn check_number(path: &str, object: &Value) -> Option<FieldError> {
    let value = at(object, path).filter(|value| !value.is_null())?;
    let Some(number) = value.as_i64() else {
        let kind = match value {
            Value::String(_) => "string",
            Value::Bool(_) => "bool",
            Value::Number(_) => "float64",
            Value::Array(_) => "[]interface {}",
            _ => "map[string]interface {}",
        };
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        return Some(FieldError::invalid(path, &json!(0), format!("{path} accessor error: {shown} is of the type {kind}, expected int64")));
    };
    if number < 0 {
        return Some(FieldError::invalid(path, value, "should be a non-negative integer"));
    }
    i32::try_from(number).is_err().then(|| FieldError::invalid(path, value, format!("should be less than or equal to {}", i32::MAX)))
}

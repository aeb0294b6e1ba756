//! ConfigMaps and Secrets.

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::faults;
use crate::builtin::json::text_at;
use crate::builtin::names;
use crate::status::FieldError;

/// Everything in one object's data together, in bytes.
const LIMIT: usize = 1024 * 1024;

pub(super) fn validate(kind: &str, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let encoded: &[&str] = if kind == "Secret" { &["data"] } else { &["binaryData"] };
    let mut size = 0;
    for field in ["data", "binaryData"] {
        for (key, value) in entries(object, field) {
            let place = format!("{field}[{key}]");
            faults(errors, &place, key, names::config_key(key));
            if field == "data" && object.pointer("/binaryData").and_then(|data| data.get(key)).is_some() {
                errors.push(FieldError::invalid(&place, &json!(key), "duplicate of key present in binaryData"));
            }
            let text = value.as_str().unwrap_or_default();
            size += if encoded.contains(&field) { decoded_size(&place, text, errors) } else { text.len() };
        }
    }
    if size > LIMIT {
        let field = if kind == "Secret" { "data" } else { "" };
        let message = format!("Too long: may not be more than {LIMIT} bytes");
        errors.push(FieldError { reason: "FieldValueTooLong", field: field.to_owned(), message });
    }
    if kind == "Secret" {
        validate_type(object, errors);
    }
    if let Some(old) = old {
        validate_update(kind, object, old, errors);
    }
}

fn entries<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object.get(field).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

fn decoded_size(field: &str, text: &str, errors: &mut Vec<FieldError>) -> usize {
    match base64::engine::general_purpose::STANDARD.decode(text) {
        Ok(bytes) => bytes.len(),
        Err(error) => {
            errors.push(FieldError::invalid(field, &json!("..."), format!("must be base64: {error}")));
            0
        }
    }
}

/// Some types of Secrets promise keys to whoever reads them.
fn validate_type(secret: &Value, errors: &mut Vec<FieldError>) {
    let has = |key: &str| secret.get("data").and_then(|data| data.get(key)).is_some();
    let wanted: &[&str] = match text_at(secret, "/type").unwrap_or_default() {
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => &["username", "password"],
        "kubernetes.io/service-account-token" => {
            let account = "kubernetes.io/service-account.name";
            if secret.pointer("/metadata/annotations").and_then(|all| all.get(account)).is_none() {
                errors.push(FieldError::required(format!("metadata.annotations[{account}]"), ""));
            }
            &[]
        }
        _ => &[],
    };
    let missing = wanted.iter().filter(|key| !has(key));
    errors.extend(missing.map(|key| FieldError::required(format!("data[{key}]"), "")));
}

fn validate_update(kind: &str, object: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    if kind == "Secret" {
        super::immutable(errors, object, old, "/type");
    }
    if old.get("immutable") != Some(&json!(true)) {
        return;
    }
    let detail = "field is immutable when `immutable` is set";
    if object.get("immutable") != Some(&json!(true)) {
        errors.push(FieldError::forbidden("immutable", detail));
    }
    for field in ["data", "binaryData"] {
        let entries = |object: &Value| object.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
        if entries(object) != entries(old) {
            errors.push(FieldError::forbidden(field, detail));
        }
    }
}

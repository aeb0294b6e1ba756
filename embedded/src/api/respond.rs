//! Answers.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use serde_json::Value;

use super::negotiation::Syntax;
use crate::body::{self, Body};
use crate::status::Status;

/// The answer to a request.
pub(super) type Answer = Response<Body>;

/// Bytes of a given type.
pub(super) fn bytes(code: u16, content_type: &'static str, content: impl Into<Bytes>) -> Answer {
    build(code, content_type, body::full(content))
}

/// A body of a given type, known in full or sent piece by piece.
pub(super) fn build(code: u16, content_type: &'static str, body: Body) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache, private"));
    response
}

/// A value as JSON or YAML.
pub(super) fn value(code: u16, syntax: Syntax, content: &Value) -> Answer {
    match syntax {
        Syntax::Json => bytes(code, "application/json", content.to_string()),
        Syntax::Yaml => bytes(code, "application/yaml", serde_yaml::to_string(content).unwrap_or_default()),
    }
}

/// JSON that is already text.
pub(super) fn json(code: u16, syntax: Syntax, content: Bytes) -> Answer {
    match syntax {
        Syntax::Json => bytes(code, "application/json", content),
        Syntax::Yaml => value(code, syntax, &parse(&content).unwrap_or_default()),
    }
}

/// Parses JSON. `str::parse` rather than `from_slice`: the former is compiled inside serde_json, the latter in this crate.
pub(super) fn parse(text: &[u8]) -> Option<Value> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// An error. Always JSON: a client that cannot read the object it asked for can read why.
pub(super) fn error(status: &Status) -> Answer {
    let mut content = status.to_value();
    if let Some(token) = content.get_mut("details").and_then(Value::as_object_mut).and_then(|details| details.remove("continue")) {
        content["metadata"] = serde_json::json!({"continue": token});
        content.as_object_mut().map(|content| content.remove("details"));
    }
    let mut response = bytes(status.code, "application/json", content.to_string());
    if let Some(seconds) = status.details.as_ref().and_then(|details| details["retryAfterSeconds"].as_u64()) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The answer for a path that leads nowhere: plain text, which tells clients that there is no API of that name.
pub(super) fn no_such_path() -> Answer {
    bytes(404, "text/plain; charset=utf-8", "404 page not found\n")
}

/// Adds `Warning` headers, one a sentence.
pub(super) fn warn(response: &mut Answer, warnings: &[String]) {
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
        if let Ok(value) = header::HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

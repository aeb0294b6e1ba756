//! One request, taken apart: query, headers, options.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::status::{FieldError, Status};
use crate::upgrade::Takeover;
use crate::user::User;

/// A request with its path and query decoded.
pub(super) struct Call {
    pub method: Method,
    pub path: String,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub user: User,
    /// Of the server's own doing: no policy is asked.
    pub own: bool,
    warnings: Mutex<Vec<String>>,
    /// Takes the connection over; absent where there is none, as for the client in process.
    pub takeover: Option<Takeover>,
}

impl Call {
    pub fn new(request: http::Request<Bytes>, user: &User) -> Self {
        let (mut parts, body) = request.into_parts();
        let takeover = parts.extensions.remove();
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        Self {
            method: parts.method,
            path: decode(parts.uri.path(), false),
            query,
            headers: parts.headers,
            body,
            user: user.clone(),
            own: false,
            warnings: Mutex::default(),
            takeover,
        }
    }

    /// Adds to what the answer is to warn of; what was said already is not said again.
    pub fn warn(&self, warnings: Vec<String>) {
        let mut all = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        for warning in warnings {
            if !all.contains(&warning) {
                all.push(warning);
            }
        }
    }

    /// What the answer is to warn of.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A header as text, empty where it is absent or not text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The media type of the body, in lower case and without parameters.
    pub fn content_type(&self) -> String {
        self.header("content-type").split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Whether nothing is to be stored.
    pub fn dry_run(&self) -> bool {
        self.query.get("dryRun").is_some()
    }

    /// Who is named as the writer of fields: `fieldManager`, else the program's name from `User-Agent`.
    pub fn manager(&self) -> String {
        match self.query.get("fieldManager") {
            Some(manager) if !manager.is_empty() => manager.to_owned(),
            _ => {
                let agent = self.header("user-agent").split('/').next().unwrap_or_default();
                if agent.is_empty() { "unknown".to_owned() } else { agent.chars().take(128).collect() }
            }
        }
    }

    /// What to do about unknown fields.
    pub fn field_validation(&self) -> FieldValidation {
        match self.query.get("fieldValidation") {
            Some("Strict") => FieldValidation::Strict,
            Some("Ignore") => FieldValidation::Ignore,
            _ => FieldValidation::Warn,
        }
    }

    /// Refuses options that are out of range, as `CreateOptions`, `UpdateOptions` or `PatchOptions`.
    pub fn check_write_options(&self, kind: &str) -> Result<(), Status> {
        let mut errors = Vec::new();
        if let Some(value) = self.query.get("dryRun").filter(|value| *value != "All") {
            errors.push(unsupported("dryRun", value, &["All"]));
        }
        if let Some(value) = self.query.get("fieldValidation").filter(|value| !["", "Ignore", "Warn", "Strict"].contains(value)) {
            errors.push(unsupported("fieldValidation", value, &["", "Ignore", "Strict", "Warn"]));
        }
        if let Some(value) = self.query.get("fieldManager").filter(|value| value.len() > 128) {
            errors.push(FieldError {
                reason: "FieldValueTooLong",
                field: "fieldManager".into(),
                message: "Too long: may not be more than 128 bytes".into(),
            });
            let _ = value;
        }
        if errors.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", kind, "", &errors)) }
    }
}

/// `Unsupported value: "x": supported values: "a", "b"`.
pub(super) fn unsupported(field: &str, value: &str, allowed: &[&str]) -> FieldError {
    let allowed = allowed.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", ");
    FieldError {
        reason: "FieldValueNotSupported",
        field: field.into(),
        message: format!("Unsupported value: {value:?}: supported values: {allowed}"),
    }
}

/// `fieldValidation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldValidation {
    /// Unknown fields are dropped without a word.
    Ignore,
    /// Unknown fields are dropped and named in a warning.
    Warn,
    /// Unknown fields are an error.
    Strict,
}

/// The query of a URL.
#[derive(Debug, Default, Clone)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(key, true), decode(value, true))
                })
                .collect(),
        )
    }

    /// The first value of a parameter.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter, empty where it is absent.
    pub fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    /// A switch: present and neither empty, `false` nor `0`.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !matches!(value, "" | "false" | "0"))
    }

    /// A whole number, with the error a Kubernetes server gives for anything else.
    pub fn integer(&self, key: &str) -> Result<Option<i64>, Status> {
        match self.get(key) {
            None | Some("") => Ok(None),
            Some(text) => {
                text.parse().map(Some).map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
            }
        }
    }
}

/// Undoes percent-encoding, and `+` for a blank in queries.
fn decode(text: &str, plus: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok())).flatten();
        match hex {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if plus && bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

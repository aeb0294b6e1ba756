//! Errors as a Kubernetes API server words them: the `Status` object, and the field errors that make up its causes.

use serde_json::{Value, json};

/// An answer that is not the object asked for, with the HTTP code it travels under.
///
/// Serialised by [`Status::to_value`] as `meta.k8s.io/v1` `Status` (kind `Status`, apiVersion `v1`).
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// HTTP status code, also the `code` field.
    pub code: u16,
    /// Machine-readable reason (`NotFound`, `Conflict`, `Invalid`, …); empty is left out.
    pub reason: &'static str,
    /// Sentence for people.
    pub message: String,
    /// The `details` object, where there is one.
    pub details: Option<Value>,
}

/// Identifies a kind and object in an error: `details.group`, `details.kind`, `details.name`.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// API group, empty for the core group.
    pub group: String,
    /// Plural resource (`configmaps`) or kind (`ConfigMap`), as the particular error has it.
    pub kind: String,
    /// Object name.
    pub name: String,
}

/// One thing wrong with one field. Becomes an entry of `details.causes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// `FieldValueInvalid`, `FieldValueRequired`, `FieldValueDuplicate`, `FieldValueNotSupported`, `FieldValueTooLong`, `FieldValueForbidden`, `FieldValueTypeInvalid`, `FieldManagerConflict`, …
    pub reason: &'static str,
    /// Path such as `spec.ports[0].name`.
    pub field: String,
    /// The whole text of the cause, for example `Invalid value: "x": must be …`.
    pub message: String,
}

impl FieldError {
    /// `Invalid value: <value>: <detail>`; `value` is printed as JSON.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: impl AsRef<str>) -> Self {
        Self { reason: "FieldValueInvalid", field: field.into(), message: format!("Invalid value: {value}: {}", detail.as_ref()) }
    }
    /// `Required value` or `Required value: <detail>`.
    pub fn required(field: impl Into<String>, detail: impl AsRef<str>) -> Self {
        let detail = detail.as_ref();
        let message = if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        Self { reason: "FieldValueRequired", field: field.into(), message }
    }
    /// `Duplicate value: <value>`.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self { reason: "FieldValueDuplicate", field: field.into(), message: format!("Duplicate value: {value}") }
    }
    /// `Unsupported value: <value>: supported values: "a", "b"`.
    pub fn not_supported(field: impl Into<String>, value: &Value, supported: &[Value]) -> Self {
        let list: Vec<String> =
            supported.iter().map(|value| if value.is_string() { value.to_string() } else { format!("{:?}", value.to_string()) }).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", list.join(", "));
        Self { reason: "FieldValueNotSupported", field: field.into(), message }
    }
    /// `Too long: may not be more than <limit> bytes`.
    pub fn too_long(field: impl Into<String>, limit: u64) -> Self {
        Self { reason: "FieldValueTooLong", field: field.into(), message: format!("Too long: may not be more than {limit} bytes") }
    }
    /// `Too many: <count>: must have at most <limit> items`.
    pub fn too_many(field: impl Into<String>, count: usize, limit: u64) -> Self {
        Self { reason: "FieldValueTooMany", field: field.into(), message: format!("Too many: {count}: must have at most {limit} items") }
    }
    /// `Invalid value: <value>: <detail>` for a value of the wrong JSON type.
    pub fn type_invalid(field: impl Into<String>, value: &Value, detail: impl AsRef<str>) -> Self {
        Self { reason: "FieldValueTypeInvalid", ..Self::invalid(field, value, detail) }
    }
    /// The same error with `prefix` before its path.
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Self {
        if self.field.is_empty() {
            prefix.clone_into(&mut self.field);
        } else if self.field.starts_with('[') {
            self.field.insert_str(0, prefix);
        } else {
            self.field = format!("{prefix}.{}", self.field);
        }
        self
    }
    /// `Forbidden: <detail>`.
    pub fn forbidden(field: impl Into<String>, detail: impl AsRef<str>) -> Self {
        Self { reason: "FieldValueForbidden", field: field.into(), message: format!("Forbidden: {}", detail.as_ref()) }
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl Status {
    /// An error without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }
    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }
    /// 404 for an object: `configmaps "x" not found`, with the group in the name where there is one (`widgets.example.com "x" not found`).
    pub fn not_found(group: &str, plural: &str, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", qualified(plural, group))).about(group, plural, name)
    }
    /// 409 for a name that is taken.
    pub fn already_exists(group: &str, plural: &str, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", qualified(plural, group))).about(group, plural, name)
    }
    /// 409 for a write against a state that is gone: `Operation cannot be fulfilled on …: <detail>`.
    pub fn conflict(group: &str, plural: &str, name: &str, detail: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {} \"{name}\": {detail}", qualified(plural, group)))
            .about(group, plural, name)
    }
    /// 409 with the usual sentence about a stale `resourceVersion`.
    pub fn modified(group: &str, plural: &str, name: &str) -> Self {
        Self::conflict(group, plural, name, "the object has been modified; please apply your changes to the latest version and try again")
    }
    /// 422 with one cause a field error: `Widget.example.com "x" is invalid: …`.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let text = match errors {
            [one] => one.to_string(),
            many => format!("[{}]", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        };
        let mut status =
            Self::new(422, "Invalid", format!("{} \"{name}\" is invalid: {text}", qualified(kind, group))).about(group, kind, name);
        let causes: Vec<Value> = errors.iter().map(|e| json!({"reason": e.reason, "message": e.message, "field": e.field})).collect();
        if let Some(details) = status.details.as_mut().and_then(Value::as_object_mut) {
            details.insert("causes".into(), Value::Array(causes));
        }
        status
    }
    /// 500.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
    }
    /// Fills `details` with what the error is about; empty parts are left out.
    #[must_use]
    pub fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        let mut details = serde_json::Map::new();
        for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
            if !value.is_empty() {
                details.insert(key.into(), Value::String(value.into()));
            }
        }
        self.details = Some(Value::Object(details));
        self
    }
    /// The `Status` object.
    pub fn to_value(&self) -> Value {
        let mut out =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message, "code": self.code});
        if !self.reason.is_empty() {
            out["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            out["details"] = details.clone();
        }
        out
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.code, self.reason, self.message)
    }
}
impl std::error::Error for Status {}

/// `name` or `name.group`.
fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}
